use axon_helper::report::Report;
use serde_json::Value;
use serde_json::json;

use super::super::fixture::*;
use super::*;

/// What a Pod of this status tells: state, reason, message, exit code.
fn told(status: &Value) -> String {
    match of_pod(
        &pod(&task("a"), status),
        "claude-code",
        Circumstances::default(),
        now(),
    ) {
        Told::Settling(then) => format!("settles until {then}"),
        Told::News(news) => {
            assert_eq!(news.pod.as_deref(), Some("a-x"));
            said(&news.what)
        }
    }
}

fn said(what: &What) -> String {
    match what {
        What::Waiting(reason, message) => format!("{}: {message}", reason.as_str()),
        What::Made { .. } | What::Outlived { .. } | What::Again(_) => panic!("no Pod tells this"),
        What::Running => "runs".into(),
        What::Ended(it) => {
            let code = it
                .exit_code
                .map(|it| format!(" [{it}]"))
                .unwrap_or_default();
            format!("{}: {}{code}", it.reason.as_str(), it.message)
        }
    }
}

#[track_caller]
fn check(status: &Value, expected: &str) {
    assert_eq!(told(status), expected, "{status}");
}

/// A report as the helper writes it.
fn report(code: i32, message: &str) -> String {
    let report = Report {
        outputs: vec!["branch: fix".into(), "made".into()],
        results: [("tests".to_owned(), "12".to_owned())].into(),
        exit_code: Some(code),
        succeeded: code == 0,
        message: (!message.is_empty()).then(|| message.to_owned()),
        cut: false,
        usage: None,
    };
    String::from_utf8(report.to_bytes()).unwrap()
}

fn no_state() -> Value {
    json!({})
}

#[test]
fn before_the_agent_runs() {
    check(&json!({}), "PodPending: Pod \"a-x\" is starting");
    check(
        &json!({"phase": "Pending", "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "0/3 nodes are available: 3 Insufficient memory.",
        }]}),
        "Unschedulable: no node takes Pod \"a-x\": 0/3 nodes are available: 3 Insufficient memory.",
    );
    let initializing = waits("PodInitializing");
    check(
        &containers("Pending", &runs(), &initializing),
        "Cloning: Pod \"a-x\" checks the workspace out",
    );
    for reason in [
        "ErrImagePull",
        "ImagePullBackOff",
        "ErrImageNeverPull",
        "InvalidImageName",
    ] {
        check(
            &containers("Pending", &ended(0, ""), &waits(reason)),
            &format!("ImagePullFailed: container \"claude-code\" has no image: {reason}: why"),
        );
        check(
            &containers("Pending", &waits(reason), &initializing),
            &format!("ImagePullFailed: container \"checkout\" has no image: {reason}: why"),
        );
    }
    check(
        &containers(
            "Pending",
            &ended(0, ""),
            &waits("CreateContainerConfigError"),
        ),
        "ContainerRefused: container \"claude-code\" cannot start: CreateContainerConfigError: why",
    );
    check(
        &containers("Pending", &ended(0, ""), &initializing),
        "PodPending: Pod \"a-x\" is starting",
    );
}

#[test]
fn what_a_node_lacks_for_a_container() {
    let refused = |reason: &str, why: &str| {
        let state = json!({"waiting": {"reason": reason, "message": why}});
        containers("Pending", &ended(0, ""), &state)
    };
    for (why, expected) in [
        ("secret \"npm\" not found", "SecretNotFound"),
        (
            "couldn't find key token in Secret team/npm",
            "SecretKeyMissing",
        ),
        ("configmap \"settings\" not found", "ConfigMapNotFound"),
        (
            "couldn't find key mode in ConfigMap team/settings",
            "ConfigMapKeyMissing",
        ),
        (
            "container has runAsNonRoot and image will run as root (pod: \"a-x_team(0)\", container: claude-code)",
            "ContainerRefused",
        ),
    ] {
        let reason = "CreateContainerConfigError";
        check(
            &refused(reason, why),
            &format!("{expected}: container \"claude-code\" cannot start: {reason}: {why}"),
        );
    }
    let reason = "CreateContainerError";
    check(
        &refused(reason, "context deadline exceeded"),
        &format!(
            "ContainerRefused: container \"claude-code\" cannot start: {reason}: context deadline exceeded"
        ),
    );
}

#[test]
fn what_was_cut_is_said_to_be() {
    let long = Report {
        results: [("log".to_owned(), "x".repeat(2000))].into(),
        exit_code: Some(0),
        succeeded: true,
        ..Report::default()
    };
    let told = String::from_utf8(long.to_bytes()).unwrap();
    check(
        &containers("Succeeded", &ended(0, ""), &ended(0, &told)),
        "Succeeded: container \"claude-code\" finished; some of what it left could not be read or did not fit, and is missing [0]",
    );
}

#[test]
fn only_the_agents_container_makes_it_run() {
    check(&containers("Running", &ended(0, ""), &runs()), "runs");
    // A Pod is `Running` with any of its containers.
    check(
        &json!({"phase": "Running", "containerStatuses": [
            {"name": "sidecar", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": runs()},
        ]}),
        "PodPending: Pod \"a-x\" is starting",
    );
}

#[test]
fn success() {
    let done = containers("Succeeded", &ended(0, ""), &ended(0, &report(0, "")));
    check(&done, "Succeeded: container \"claude-code\" finished [0]");
    let Told::News(news) = of_pod(
        &pod(&task("a"), &done),
        "claude-code",
        Circumstances::default(),
        now(),
    ) else {
        panic!("no news");
    };
    let What::Ended(ending) = news.what else {
        panic!("no end");
    };
    assert_eq!(ending.outputs, ["branch: fix", "made"]);
    assert_eq!(ending.results["tests"], "12");
    assert_eq!(
        ending.finished.unwrap().0.to_string(),
        "2026-03-01T11:59:58Z"
    );
    assert_eq!(news.started.unwrap().0.to_string(), "2026-03-01T11:59:55Z");
    // A sidecar that goes on does not hold the Task.
    let sidecar = containers("Running", &ended(0, ""), &ended(0, &report(0, "")));
    check(
        &sidecar,
        "Succeeded: container \"claude-code\" finished [0]",
    );
    // A child that was killed for memory, and an agent that made good: cgroup v1 says so.
    let mut survived = containers("Succeeded", &ended(0, ""), &ended(0, &report(0, "")));
    survived["containerStatuses"][0]["state"]["terminated"]["reason"] = json!("OOMKilled");
    check(
        &survived,
        "Succeeded: container \"claude-code\" finished [0]",
    );
    // An image without the helper, as of the Go Axon.
    let plain = containers("Succeeded", &ended(0, ""), &ended(0, ""));
    check(&plain, "Succeeded: container \"claude-code\" finished [0]");
}

#[test]
fn the_agent_fails() {
    let ends = |code, message: &str| containers("Failed", &ended(0, ""), &ended(code, message));
    check(
        &ends(3, &report(3, "the agent exited with 3:\nno such model")),
        "AgentFailed: container \"claude-code\" failed with exit code 3: the agent exited with 3:\nno such model [3]",
    );
    check(
        &ends(137, "garbage"),
        "AgentFailed: container \"claude-code\" failed with exit code 137: garbage [137]",
    );
    // What the runtime says when there is no such program.
    check(
        &ends(128, "exec: \"/axon/axon-helper\": no such file"),
        "AgentFailed: container \"claude-code\" failed with exit code 128: exec: \"/axon/axon-helper\": no such file [128]",
    );
    // The helper calls it a failure, whatever the code.
    let mut judged = Report::failed("the event stream broke off");
    judged.exit_code = Some(0);
    let judged = String::from_utf8(judged.to_bytes()).unwrap();
    check(
        &ends(0, &judged),
        "AgentFailed: container \"claude-code\" failed with exit code 0: the event stream broke off [0]",
    );
}

#[test]
fn the_checkout_fails() {
    let why = String::from_utf8(Report::failed("authentication refused (401)").to_bytes()).unwrap();
    let failed = |phase| containers(phase, &ended(1, &why), &waits("PodInitializing"));
    let expected =
        "CloneFailed: container \"checkout\" failed with exit code 1: authentication refused (401)";
    check(&failed("Failed"), expected);
    // The Pod's phase comes a moment later.
    check(&failed("Pending"), "settles until 2026-03-01T12:00:08Z");
}

#[test]
fn memory() {
    for (checkout, agent, name) in [(0, 137, "claude-code"), (137, 0, "checkout")] {
        let mut killed = containers("Failed", &ended(checkout, ""), &ended(agent, ""));
        let (which, other) = if name == "checkout" {
            ("initContainerStatuses", "containerStatuses")
        } else {
            ("containerStatuses", "initContainerStatuses")
        };
        killed[which][0]["state"]["terminated"]["reason"] = json!("OOMKilled");
        if name == "checkout" {
            killed[other][0]["state"] = no_state();
        }
        assert!(
            told(&killed).starts_with(&format!(
                "OutOfMemory: container \"{name}\" ran out of memory (exit code 137)"
            )),
            "{}",
            told(&killed)
        );
    }
}

/// A Pod that has failed, changed so; its agent said "stopped".
fn failed_with(changes: &Value) -> Value {
    let stopped = ended(143, &report(143, "stopped"));
    let mut status = containers("Failed", &ended(0, ""), &stopped);
    json_patch::merge(&mut status, changes);
    status
}

fn disrupted(reason: &str) -> Value {
    failed_with(&json!({"conditions": [
        {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": "why"},
    ]}))
}

#[test]
fn what_ends_the_pod_as_a_whole() {
    let check = |changes: &Value, expected: &str| {
        check(&failed_with(changes), &format!("{expected}: stopped [143]"));
    };
    check(
        &json!({"reason": "DeadlineExceeded", "message": "active longer than 60 seconds"}),
        "DeadlineExceeded: Pod \"a-x\" ran out of time: active longer than 60 seconds",
    );
    check(
        &json!({"reason": "Evicted", "message": "low on memory"}),
        "Evicted: Pod \"a-x\" was ended: Evicted: low on memory",
    );
    check(
        &json!({"reason": "NodeLost", "message": "gone"}),
        "NodeLost: Pod \"a-x\" was lost: gone",
    );
    check(
        &json!({"reason": "Terminated"}),
        "Evicted: Pod \"a-x\" was ended: Terminated",
    );
}

#[test]
fn what_disrupts_the_pod() {
    for (reason, end, what) in [
        ("PreemptionByScheduler", "Evicted", "was preempted"),
        ("EvictionByEvictionAPI", "Evicted", "was evicted"),
        ("TerminationByKubelet", "Evicted", "was ended by its node"),
        (
            "DeletionByTaintManager",
            "NodeLost",
            "was taken from its node",
        ),
        ("DeletionByPodGC", "NodeLost", "was lost with its node"),
        ("SomethingNew", "Evicted", "was disrupted"),
    ] {
        check(
            &disrupted(reason),
            &format!("{end}: Pod \"a-x\" {what}: why: stopped [143]"),
        );
    }
    // An agent that ends well in spite of it has ended well.
    let mut in_time = disrupted("PreemptionByScheduler");
    in_time["phase"] = json!("Succeeded");
    in_time["containerStatuses"][0]["state"] = ended(0, "");
    check(
        &in_time,
        "Succeeded: container \"claude-code\" finished [0]",
    );
}

#[test]
fn a_node_that_was_lost() {
    let mut unknown = containers(
        "Failed",
        &ended(0, ""),
        &ended(137, "The container could not be located"),
    );
    unknown["containerStatuses"][0]["state"]["terminated"]["reason"] =
        json!("ContainerStatusUnknown");
    assert!(
        told(&unknown).starts_with("NodeLost: the end of container"),
        "{}",
        told(&unknown)
    );
    check(
        &json!({"phase": "Failed"}),
        "NodeLost: Pod \"a-x\" failed: no container told its end",
    );
}

#[test]
fn a_failed_container_is_judged_after_a_while_in_any_case() {
    let status = containers("Running", &ended(0, ""), &ended(1, ""));
    let pod = pod(&task("a"), &status);
    let at = |text: &str| {
        of_pod(
            &pod,
            "claude-code",
            Circumstances::default(),
            text.parse().unwrap(),
        )
    };
    assert!(matches!(at("2026-03-01T12:00:07Z"), Told::Settling(_)));
    assert!(matches!(at("2026-03-01T12:00:08Z"), Told::News(_)));
}

#[test]
fn a_job_without_pod() {
    let tells =
        |conditions: &[(&str, &str)]| said(&of_job(&job(&task("a"), conditions), None).what);
    assert_eq!(tells(&[]), "PodPending: Job \"a\" has no Pod yet");
    assert_eq!(
        tells(&[("FailureTarget", "BackoffLimitExceeded")]),
        "PodPending: Job \"a\" has no Pod yet"
    );
    assert_eq!(
        tells(&[("Failed", "DeadlineExceeded")]),
        "DeadlineExceeded: Job \"a\" ran out of time: why"
    );
    assert_eq!(
        tells(&[("Failed", "PodFailurePolicy")]),
        "Evicted: Job \"a\" was disrupted: why"
    );
    assert_eq!(
        tells(&[("Failed", "BackoffLimitExceeded")]),
        "Evicted: the Pod of Job \"a\" is gone, and how it ended with it: why"
    );
    assert_eq!(
        tells(&[("Complete", "")]),
        "Succeeded: Job \"a\" succeeded; its Pod is gone, and its outputs with it"
    );
}

#[test]
fn hostile_reports_are_bounded() {
    let status = containers("Failed", &ended(0, ""), &ended(1, &"x".repeat(100_000)));
    assert!(told(&status).len() < 100_200);
    let status = containers("Failed", &ended(0, ""), &ended(1, &"[".repeat(4000)));
    assert!(told(&status).starts_with("AgentFailed"));
}

/// Whether the agent may have begun, by a Pod of this status.
#[track_caller]
fn check_begun(status: &Value, expected: bool) {
    let told = of_pod(
        &pod(&task("a"), status),
        "claude-code",
        Circumstances::default(),
        now(),
    );
    let Told::News(news) = told else {
        panic!("it settles");
    };
    let What::Ended(ending) = news.what else {
        panic!("no end: {status}");
    };
    assert_eq!(ending.begun, expected, "{status}");
    assert!(ending.settled);
}

#[test]
fn whether_the_agent_had_begun_when_its_pod_was_lost() {
    let lost = |mut status: Value, by: &str| {
        status["conditions"] = json!([
            {"type": "PodScheduled", "status": "True"},
            {"type": "DisruptionTarget", "status": "True", "reason": by},
        ]);
        status
    };
    let cloning = containers("Failed", &ended(143, ""), &waits("PodInitializing"));
    let running = containers("Failed", &ended(0, ""), &ended(143, ""));
    for by in [
        "EvictionByEvictionAPI",
        "PreemptionByScheduler",
        "TerminationByKubelet",
    ] {
        check_begun(&lost(cloning.clone(), by), false);
        check_begun(&lost(running.clone(), by), true);
    }
    // The node was cut off: what its kubelet said last may be long past.
    check_begun(&lost(cloning.clone(), "DeletionByPodGC"), true);
    let mut never_bound = lost(json!({"phase": "Failed"}), "DeletionByPodGC");
    never_bound["conditions"][0]["status"] = json!("False");
    check_begun(&never_bound, false);
    // Refused by the kubelet.
    check_begun(&json!({"phase": "Failed", "reason": "OutOfcpu"}), false);
    let mut unknown = ended(137, "");
    unknown["terminated"]["reason"] = json!("ContainerStatusUnknown");
    unknown["terminated"]["startedAt"] = Value::Null;
    check_begun(&containers("Failed", &ended(0, ""), &unknown), true);
}

#[test]
fn a_pod_that_somebody_deleted_did_not_fail_by_itself() {
    let check = |status: &Value, deleted_at: &str, expected: &str| {
        let mut pod = pod(&task("a"), status);
        let deleted: Timestamp = deleted_at.parse().unwrap();
        pod.metadata.deletion_timestamp = Some(
            k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(deleted),
        );
        pod.metadata.deletion_grace_period_seconds = Some(30);
        let Told::News(news) = of_pod(&pod, "claude-code", Circumstances::default(), now()) else {
            panic!("it settles");
        };
        assert_eq!(said(&news.what), expected);
    };
    // The container ended at 11:59:58.
    let failed = containers("Failed", &ended(0, ""), &ended(143, ""));
    let deleted = "Evicted: Pod \"a-x\" was deleted before it had ended [143]";
    check(&failed, "2026-03-01T12:00:25Z", deleted);
    let earlier = "AgentFailed: container \"claude-code\" failed with exit code 143 [143]";
    // The clocks of the node and of the API server may be a minute apart.
    check(&failed, "2026-03-01T12:01:28Z", deleted);
    check(&failed, "2026-03-01T12:01:29Z", earlier);
    let done = containers("Succeeded", &ended(0, ""), &ended(0, ""));
    check(
        &done,
        "2026-03-01T12:00:25Z",
        "Succeeded: container \"claude-code\" finished [0]",
    );
    let never = json!({"phase": "Failed"});
    check(
        &never,
        "2026-03-01T12:00:25Z",
        "Evicted: Pod \"a-x\" was deleted before it had ended",
    );
}

#[test]
fn what_a_run_used() {
    let told = r#"{"version":1,"outputs":[],"results":{},"exitCode":0,"succeeded":true,"usage":{"costUSD":0.5,"estimated":true,"inputTokens":2300,"cachedInputTokens":300,"outputTokens":55,"turns":2}}"#;
    let done = containers("Succeeded", &ended(0, ""), &ended(0, told));
    let Told::News(news) = of_pod(
        &pod(&task("a"), &done),
        "claude-code",
        Circumstances::default(),
        now(),
    ) else {
        panic!("no news");
    };
    let What::Ended(ending) = news.what else {
        panic!("no end");
    };
    let usage = serde_json::to_value(ending.usage).unwrap();
    let expected = json!({"costUSD": 0.5, "estimated": true, "inputTokens": 2300,
        "cachedInputTokens": 300, "outputTokens": 55, "turns": 2});
    assert_eq!(usage, expected);
}

#[test]
fn a_job_whose_pod_is_refused() {
    let told = of_job(&job(&task("a"), &[]), Some("exceeded quota"));
    let said = "the cluster refuses the Pod of Job \"a\": exceeded quota";
    assert_eq!(told, News::waiting(Waiting::JobRefused, said));
    // It is asked about only when its Pod is due, and only if nobody holds it back.
    let mut it = job(&task("a"), &[]);
    assert_eq!(lacks_pod_at(&it), None);
    it.metadata.creation_timestamp = task("a").metadata.creation_timestamp;
    let due = "2026-03-01T11:59:55Z".parse().unwrap();
    assert_eq!(lacks_pod_at(&it), Some(due));
    it.spec = serde_json::from_value(json!({"suspend": true, "template": {}})).unwrap();
    assert_eq!(lacks_pod_at(&it), None);
}

#[test]
fn a_pod_that_was_told_to_end_did_not_run_out_of_time() {
    let stopped = Circumstances {
        ended: false,
        stopped: true,
    };
    let check = |status: &Value, expected: &str| {
        let told = of_pod(&pod(&task("a"), status), "claude-code", stopped, now());
        let Told::News(news) = told else {
            panic!("no news")
        };
        assert_eq!(said(&news.what), expected);
    };
    let message = "Pod was active on the node longer than the specified deadline";
    let late = json!({"reason": "DeadlineExceeded", "message": message});
    let with = |mut status: Value| {
        json_patch::merge(&mut status, &late);
        status
    };
    let words = report(130, "the agent was stopped by SIGINT");
    check(
        &with(containers("Failed", &ended(0, ""), &ended(130, &words))),
        "Cancelled: Pod \"a-x\" was told to end: the agent was stopped by SIGINT [130]",
    );
    check(
        &with(containers(
            "Failed",
            &ended(143, ""),
            &waits("PodInitializing"),
        )),
        "Cancelled: Pod \"a-x\" was told to end",
    );
    // What came first is said all the same.
    check(
        &json!({"phase": "Failed", "reason": "Evicted", "message": "low on memory"}),
        "Evicted: Pod \"a-x\" was ended: Evicted: low on memory",
    );
    let mut hungry = containers("Failed", &ended(0, ""), &ended(137, ""));
    hungry["containerStatuses"][0]["state"]["terminated"]["reason"] = json!("OOMKilled");
    check(
        &hungry,
        "OutOfMemory: container \"claude-code\" ran out of memory (exit code 137) [137]",
    );
}

#[test]
fn what_befalls_a_pod_after_a_known_end_is_not_its_cause() {
    let mut killed = containers("Failed", &ended(0, ""), &ended(3, ""));
    killed["reason"] = json!("DeadlineExceeded");
    let reason = |ended| {
        let known = Circumstances {
            ended,
            stopped: false,
        };
        let told = of_pod(&pod(&task("a"), &killed), "claude-code", known, now());
        let Told::News(news) = told else {
            panic!("no news")
        };
        let What::Ended(ending) = news.what else {
            panic!("no end")
        };
        ending.reason
    };
    assert_eq!(reason(false), End::DeadlineExceeded);
    assert_eq!(reason(true), End::AgentFailed);
}
