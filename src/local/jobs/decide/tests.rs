//! The Job's way through its steps, as data.
#![expect(
    clippy::needless_pass_by_value,
    reason = "JSON is written where it is handed over"
)]

use serde_json::Value;
use serde_json::json;

use super::*;

const NOW: i64 = 1_000_000;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn at(ago: i64) -> Timestamp {
    Timestamp::from_second(NOW - ago).unwrap()
}

fn job(spec: Value, status: Value) -> Job {
    let mut job = json!({"metadata": {"name": "j", "namespace": "n", "uid": "u"},
        "spec": {"template": {"spec": {"containers": []}}}, "status": status});
    for (field, value) in spec.as_object().unwrap() {
        job["spec"][field] = value.clone();
    }
    serde_json::from_value(job).unwrap()
}

/// A Pod that holds its finalizer.
fn pod(phase: &str) -> Pod {
    let pod = json!({"metadata": {"name": "p", "namespace": "n", "uid": "p-uid", "finalizers": [TRACKING]},
        "status": {"phase": phase, "startTime": at(0)}});
    serde_json::from_value(pod).unwrap()
}

fn released(mut pod: Pod) -> Pod {
    pod.metadata.finalizers = None;
    pod
}

fn deleted(mut pod: Pod) -> Pod {
    pod.metadata.deletion_timestamp = Some(Time(now()));
    pod
}

fn exited(mut pod: Pod, code: i32) -> Pod {
    let status = json!([{"name": "agent", "image": "", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"terminated": {"exitCode": code, "finishedAt": at(0)}}}]);
    pod.status.as_mut().unwrap().container_statuses = serde_json::from_value(status).unwrap();
    pod
}

fn disrupted(mut pod: Pod) -> Pod {
    let conditions = json!([{"type": "DisruptionTarget", "status": "True"}]);
    pod.status.as_mut().unwrap().conditions = serde_json::from_value(conditions).unwrap();
    pod
}

/// The decision in one line.
fn told(job: &Job, pods: &[Pod]) -> String {
    let it = decide(job, pods, now());
    let mut words = Vec::new();
    words.extend(it.create.map(|number| format!("create {number}")));
    words.extend(it.delete.iter().map(|name| format!("delete {name}")));
    if let Some(status) = it.status {
        let count = |name: &str, count: Option<i32>| {
            count.filter(|it| *it != 0).map(|it| format!("{name}={it}"))
        };
        words.extend(count("active", status.active));
        words.extend(count("ready", status.ready));
        words.extend(count("terminating", status.terminating));
        words.extend(count("succeeded", status.succeeded));
        words.extend(count("failed", status.failed));
        let uncounted = status.uncounted_terminated_pods.unwrap_or_default();
        for (name, list) in [
            ("succeeded", uncounted.succeeded),
            ("failed", uncounted.failed),
        ] {
            words.extend(list.map(|it| format!("uncounted-{name}={}", it.join("+"))));
        }
        for it in status.conditions.into_iter().flatten() {
            words.push(format!(
                "{}={}({})",
                it.type_,
                it.status,
                it.reason.unwrap()
            ));
        }
    }
    words.extend(it.release.iter().map(|name| format!("release {name}")));
    words.extend(it.expired.then(|| "expire".to_owned()));
    words.extend(it.look_again.map(|it| format!("again {}s", it.as_secs())));
    words.join(" ")
}

fn check(spec: Value, status: Value, pods: &[Pod], expected: &str) {
    assert_eq!(told(&job(spec, status), pods), expected);
}

/// Applies decisions until none is left, as a faithful cluster would.
fn settle(spec: Value, mut pods: Vec<Pod>) -> JobStatus {
    let mut job = job(spec, json!({"startTime": at(5)}));
    for _ in 0..10 {
        let decision = decide(&job, &pods, now());
        if decision.status.is_none() && decision.release.is_empty() {
            break;
        }
        assert_eq!(decision.create, None);
        if let Some(status) = decision.status {
            job.status = Some(status);
        }
        for pod in &mut pods {
            if decision.release.contains(&name(pod)) {
                pod.metadata.finalizers = None;
            }
        }
        pods.retain(|pod| is_tracked(pod) || !is_terminating(pod));
    }
    job.status.unwrap()
}

fn started() -> Value {
    json!({"startTime": at(5), "active": 1, "ready": 0, "terminating": 0, "uncountedTerminatedPods": {}})
}

#[test]
fn a_new_job_gets_one_pod() {
    check(json!({}), json!({}), &[], "create 0 active=1");
    check(json!({}), started(), &[pod("Pending")], "");
    check(json!({"parallelism": 0}), started(), &[], "");
}

#[test]
fn a_finished_pod_is_written_down_before_it_is_released() {
    check(
        json!({}),
        started(),
        &[pod("Succeeded")],
        "uncounted-succeeded=p-uid SuccessCriteriaMet=True(CompletionsReached) release p",
    );
    let status = json!({"startTime": at(5), "uncountedTerminatedPods": {"succeeded": ["p-uid"]},
        "conditions": [{"type": "SuccessCriteriaMet", "status": "True", "reason": "CompletionsReached"}]});
    check(
        json!({}),
        status,
        &[released(pod("Succeeded"))],
        "succeeded=1 SuccessCriteriaMet=True(CompletionsReached) Complete=True(CompletionsReached)",
    );
}

#[test]
fn success_and_failure_come_to_their_ends() {
    let status = settle(json!({}), vec![pod("Succeeded")]);
    assert_eq!(status.succeeded, Some(1));
    assert_eq!(status.completion_time, Some(Time(now())));
    let status = settle(json!({"backoffLimit": 0}), vec![pod("Failed")]);
    assert_eq!(status.failed, Some(1));
    assert_eq!(status.completion_time, None);
    let last = status.conditions.unwrap().pop().unwrap();
    assert_eq!(last.type_, "Failed");
    assert_eq!(last.reason.as_deref(), Some("BackoffLimitExceeded"));
}

#[test]
fn another_try_waits_and_has_another_number() {
    let status = json!({"startTime": at(5), "failed": 1});
    let failed = released(pod("Failed"));
    check(
        json!({}),
        status.clone(),
        std::slice::from_ref(&failed),
        "failed=1 again 10s",
    );
    let mut earlier = failed;
    earlier.status.as_mut().unwrap().start_time = Some(Time(at(10)));
    check(json!({}), status, &[earlier], "create 1 active=1 failed=1");
}

#[test]
fn restarts_count_as_failures_where_containers_start_again() {
    let check = |policy: &str, limit: i32, restarts: i32, fails: bool| {
        let template = json!({"spec": {"containers": [], "restartPolicy": policy}});
        let job = job(
            json!({"backoffLimit": limit, "template": template}),
            started(),
        );
        let mut pod = pod("Running");
        let status = json!([{"name": "agent", "image": "", "imageID": "", "ready": true, "restartCount": restarts}]);
        pod.status.as_mut().unwrap().container_statuses = serde_json::from_value(status).unwrap();
        let status = decide(&job, &[pod], now()).status.unwrap_or_default();
        let goal = conditions::goal(&status);
        assert_eq!(goal.is_some(), fails, "{policy} {limit} {restarts}");
    };
    check("OnFailure", 0, 0, false);
    check("OnFailure", 0, 1, true);
    check("OnFailure", 3, 2, false);
    check("OnFailure", 3, 3, true);
    check("Never", 0, 9, false);
}

#[test]
fn a_deleted_pod_counts_at_once_or_when_it_ended() {
    let gone = || deleted(pod("Running"));
    check(
        json!({"backoffLimit": 0}),
        started(),
        &[gone()],
        "terminating=1 uncounted-failed=p-uid FailureTarget=True(BackoffLimitExceeded) release p",
    );
    check(
        json!({"backoffLimit": 0, "podReplacementPolicy": "Failed"}),
        started(),
        &[gone()],
        "terminating=1",
    );
    check(
        json!({"backoffLimit": 1}),
        json!({"startTime": at(5), "failed": 1}),
        &[released(gone())],
        "create 1 active=1 terminating=1 failed=1",
    );
}

#[test]
fn the_end_waits_for_what_still_runs() {
    let status = json!({"startTime": at(5), "failed": 1, "conditions": [
        {"type": "FailureTarget", "status": "True", "reason": "BackoffLimitExceeded", "message": "m"}]});
    check(
        json!({"backoffLimit": 0}),
        status.clone(),
        &[released(deleted(pod("Running")))],
        "terminating=1 failed=1 FailureTarget=True(BackoffLimitExceeded)",
    );
    check(
        json!({"backoffLimit": 0}),
        status,
        &[],
        "failed=1 FailureTarget=True(BackoffLimitExceeded) Failed=True(BackoffLimitExceeded)",
    );
}

#[test]
fn a_deadline_ends_the_job_and_its_pod() {
    let spec = json!({"activeDeadlineSeconds": 5});
    check(
        spec,
        started(),
        &[pod("Running")],
        "delete p terminating=1 FailureTarget=True(DeadlineExceeded)",
    );
    let spec = json!({"activeDeadlineSeconds": 8});
    check(spec, started(), &[pod("Running")], "again 3s");
}

#[test]
fn the_failure_policy_decides() {
    let rules = |rules: Value| json!({"backoffLimit": 5, "podFailurePolicy": {"rules": rules}});
    let on_disruption = || {
        rules(json!([{"action": "FailJob",
            "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]))
    };
    let status = settle(on_disruption(), vec![disrupted(pod("Failed"))]);
    let last = status.conditions.unwrap().pop().unwrap();
    assert_eq!(last.reason.as_deref(), Some("PodFailurePolicy"));
    insta::assert_snapshot!(last.message.unwrap(), @"Pod n/p has condition DisruptionTarget matching FailJob rule at index 0");

    let on_code = rules(json!([
        {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [7]}},
        {"action": "FailJob", "onExitCodes": {"containerName": "agent", "operator": "NotIn", "values": [1]}}]));
    let status = settle(on_code.clone(), vec![exited(pod("Failed"), 42)]);
    let last = status.conditions.unwrap().pop().unwrap();
    insta::assert_snapshot!(last.message.unwrap(), @"Container agent for pod n/p failed with exit code 42 matching FailJob rule at index 1");
    check(
        on_code,
        started(),
        &[exited(pod("Failed"), 7)],
        "release p again 10s",
    );
}

#[test]
fn a_suspended_job_has_no_pod_and_no_failure() {
    let suspend = json!({"suspend": true});
    check(
        suspend.clone(),
        started(),
        &[pod("Running")],
        "delete p terminating=1 Suspended=True(JobSuspended) release p",
    );
    let status =
        json!({"conditions": [{"type": "Suspended", "status": "True", "reason": "JobSuspended"}]});
    check(
        json!({}),
        status,
        &[],
        "create 0 active=1 Suspended=False(JobResumed)",
    );
}

#[test]
fn a_finished_job_lives_as_long_as_it_may() {
    let status = json!({"succeeded": 1, "conditions": [
        {"type": "Complete", "status": "True", "lastTransitionTime": at(60)}]});
    check(json!({}), status.clone(), &[], "");
    let spec = |ttl: i64| json!({"ttlSecondsAfterFinished": ttl});
    check(spec(100), status.clone(), &[], "again 40s");
    check(spec(60), status.clone(), &[], "expire");
    check(json!({}), status, &[pod("Succeeded")], "release p");
}

#[test]
fn a_job_that_is_being_deleted_lets_go() {
    let mut job = job(json!({}), started());
    job.metadata.deletion_timestamp = Some(Time(now()));
    assert_eq!(told(&job, &[]), "");
    assert!(told(&job, &[pod("Running")]).ends_with("release p"));
}

#[test]
fn what_this_cluster_does_not_run_is_said() {
    let expected = "FailureTarget=True(Unsupported) Failed=True(Unsupported)";
    check(json!({"completions": 3}), json!({}), &[], expected);
    check(json!({"managedBy": "example.com/x"}), json!({}), &[], "");
}
