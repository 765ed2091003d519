//! What goes wrong around a Task, each with the reason that it shows.

use std::time::Duration;

use http::StatusCode;
use k8s_openapi::api::batch::v1::JobCondition;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::api::core::v1::ResourceQuota;

use super::pair::Line;
use super::*;

crate::on_both_servers!(
    why_a_pod_does_not_start_is_told,
    what_a_pod_lacks_when_its_volumes_are_mounted_is_told,
    how_a_pod_ended_is_told,
    what_pod_overrides_name_is_waited_for,
    what_cannot_be_read_is_told_and_holds_up_no_other,
    a_job_that_was_made_and_vanished_is_lost,
    a_pod_that_vanished_unseen_was_taken_away,
    a_job_that_somebody_holds_back_is_left_so,
    a_task_costs_six_writes,
);

// The embedded server knows no quotas.
crate::on_the_real_server!(
    a_quota_is_waited_for,
    a_pod_that_the_cluster_refuses_is_told,
);

async fn why_a_pod_does_not_start_is_told(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    create(&context, "fix", json!({})).await;
    let pod = kubelet::pod_of(&context, "fix").await;
    let no = json!({"conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/3 nodes are available",
    }]});
    kubelet::says(&context, &pod, no).await;
    once(&context, "fix", "no node", shows("Unschedulable")).await;
    let state = |name: &str, state: Value| json!([{"name": name, "image": "x", "imageID": "", "ready": false, "restartCount": 0, "state": state}]);
    let yes = json!([{"type": "PodScheduled", "status": "True"}]);
    let waits = json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}});
    let no_image = json!({"conditions": yes, "initContainerStatuses": state("checkout", waits)});
    kubelet::says(&context, &pod, no_image).await;
    once(&context, "fix", "no image", shows("ImagePullFailed")).await;
    let runs = json!({"running": {"startedAt": "2026-01-01T00:00:01Z"}});
    let cloning = json!({"initContainerStatuses": state("checkout", runs)});
    kubelet::says(&context, &pod, cloning).await;
    let task = once(&context, "fix", "a clone", shows("Cloning")).await;
    assert_eq!(status_of(&task).phase, Some(TaskPhase::Pending));
    controller.stop().await;
}

async fn what_a_pod_lacks_when_its_volumes_are_mounted_is_told(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    create(&context, "fix", json!({})).await;
    let pod = kubelet::pod_of(&context, "fix").await;
    let bound = json!({"conditions": [{"type": "PodScheduled", "status": "True"}]});
    kubelet::says(&context, &pod, bound).await;
    let words = "MountVolume.SetUp failed for volume \"keys\" : secret \"npm\" not found";
    let event: Event = serde_json::from_value(json!({
        "metadata": {"name": "no-mount"}, "type": "Warning", "reason": "FailedMount", "message": words,
        "involvedObject": {
            "kind": "Pod", "name": pod.name_any(), "uid": pod.uid(), "namespace": context.namespace,
        },
    }))
    .unwrap();
    let told: Api<Event> = context.api();
    told.create(&PostParams::default(), &event).await.unwrap();
    let waits = once(&context, "fix", "no mount", shows("SecretNotFound")).await;
    let expected = format!("Pod \"{}\" cannot start: {words}", pod.name_any());
    assert!(said(&waits).ends_with(&expected), "{}", said(&waits));
    agent_ends(&context, "fix", 0, DONE).await;
    ended(&context, "fix").await;
    controller.stop().await;
}

async fn what_pod_overrides_name_is_waited_for(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    let from = json!({"configMapKeyRef": {"name": "settings", "key": "mode"}});
    let overrides = json!({"spec": {"podOverrides": {
        "env": [
            {"name": "MODE", "valueFrom": from},
            // It is built in: nobody asks for this Secret.
            {"name": "AXON_TASK", "valueFrom": {"secretKeyRef": {"name": "absent", "key": "x"}}},
        ],
        "volumes": [
            {"name": "keys", "secret": {"secretName": "npm"}},
            {"name": "more", "configMap": {"name": "more", "optional": true}},
        ],
        "volumeMounts": [{"name": "keys", "mountPath": "/keys"}],
    }}});
    create(&context, "fix", overrides).await;
    let waits = once(&context, "fix", "no Secret", shows("SecretNotFound")).await;
    assert!(said(&waits).contains("Secret \"npm\" of podOverrides is not in namespace"));
    let secrets: Api<Secret> = context.api();
    let npm = json!({"metadata": {"name": "npm"}, "stringData": {"token": "x"}});
    let npm = serde_json::from_value(npm).unwrap();
    secrets.create(&PostParams::default(), &npm).await.unwrap();
    once(&context, "fix", "no ConfigMap", shows("ConfigMapNotFound")).await;
    let maps: Api<ConfigMap> = context.api();
    let settings = |key: &str| json!({"metadata": {"name": "settings"}, "data": {key: "x"}});
    let other = serde_json::from_value(settings("other")).unwrap();
    maps.create(&PostParams::default(), &other).await.unwrap();
    let waits = once(&context, "fix", "no key", shows("ConfigMapKeyMissing")).await;
    assert!(said(&waits).contains("has no key \"mode\"; its keys: \"other\""));
    assert_eq!(jobs_and_pods(&context).await, (0, 0));
    let patch = Patch::Merge(settings("mode"));
    let params = PatchParams::default();
    maps.patch("settings", &params, &patch).await.unwrap();
    kubelet::pod_of(&context, "fix").await;
    controller.stop().await;
}

async fn how_a_pod_ended_is_told(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    let agent = |reason: &str, code: i32| {
        json!([{"name": "claude-code", "image": "x", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": code, "reason": reason,
                "startedAt": "2026-01-01T00:00:05Z", "finishedAt": "2026-01-01T00:01:00Z"}}}])
    };
    let disrupted = |reason: &str| {
        json!([
            {"type": "PodScheduled", "status": "True"},
            {"type": "DisruptionTarget", "status": "True", "reason": reason},
        ])
    };
    let clone = json!([{"name": "checkout", "image": "x", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"terminated": {"exitCode": 1, "finishedAt": "2026-01-01T00:01:00Z"}}}]);
    let cases = [
        (
            "OutOfMemory",
            json!({"containerStatuses": agent("OOMKilled", 137)}),
        ),
        ("CloneFailed", json!({"initContainerStatuses": clone})),
        (
            "DeadlineExceeded",
            json!({"reason": "DeadlineExceeded", "containerStatuses": agent("Error", 143)}),
        ),
        (
            "NodeLost",
            json!({"conditions": disrupted("DeletionByPodGC")}),
        ),
        (
            "Evicted",
            json!({"conditions": disrupted("PreemptionByScheduler"), "containerStatuses": agent("Error", 143)}),
        ),
    ];
    for (reason, status) in cases {
        let name = reason.to_lowercase();
        create(&context, &name, json!({})).await;
        let pod = kubelet::pod_of(&context, &name).await;
        let mut status = status;
        status["phase"] = json!("Failed");
        kubelet::says(&context, &pod, status).await;
        let end = ended(&context, &name).await;
        assert!(shows(reason)(&status_of(&end)), "{reason}: {end:?}");
        assert_eq!(status_of(&end).phase, Some(TaskPhase::Failed));
    }
    controller.stop().await;
}

async fn a_quota_is_waited_for(context: Context) {
    create_secret(&context).await;
    let quotas = nothing_of(&context, "count/jobs.batch").await;
    let controller = Controller::start(&context);
    create(&context, "fix", json!({})).await;
    let refused = once(&context, "fix", "a refusal", shows("JobRefused")).await;
    assert!(
        said(&refused).contains("exceeded quota"),
        "{}",
        said(&refused)
    );
    quotas
        .delete("none", &DeleteParams::default())
        .await
        .unwrap();
    agent_ends(&context, "fix", 0, DONE).await;
    ended(&context, "fix").await;
    controller.stop().await;
}

/// A quota that allows nothing of this kind.
async fn nothing_of(context: &Context, kind: &str) -> Api<ResourceQuota> {
    let quotas: Api<ResourceQuota> = context.api();
    let none: ResourceQuota = serde_json::from_value(json!({
        "metadata": {"name": "none"}, "spec": {"hard": {kind: "0"}},
    }))
    .unwrap();
    quotas.create(&PostParams::default(), &none).await.unwrap();
    eventually("a quota that counts", || async {
        let quota = quotas.get("none").await.unwrap();
        quota.status.and_then(|it| it.used).map(drop)
    })
    .await;
    quotas
}

async fn a_pod_that_the_cluster_refuses_is_told(context: Context) {
    create_secret(&context).await;
    let quotas = nothing_of(&context, "pods").await;
    let controller = Controller::start(&context);
    create(&context, "fix", json!({})).await;
    let refused = once(&context, "fix", "a refusal", shows("JobRefused")).await;
    let start = "JobRefused: the cluster refuses the Pod of Job \"fix\": pods \"fix-…\" is forbidden: \
                 exceeded quota: none, ";
    assert!(said(&refused).starts_with(start), "{}", said(&refused));
    assert_eq!(status_of(&refused).attempts, Some(1));
    eventually("the event", || async {
        let reasons = events(&context, "fix").await;
        reasons.contains(&"JobRefused".to_owned()).then_some(())
    })
    .await;
    quotas
        .delete("none", &DeleteParams::default())
        .await
        .unwrap();
    agent_ends(&context, "fix", 0, DONE).await;
    let done = ended(&context, "fix").await;
    assert!(shows("Succeeded")(&status_of(&done)), "{}", said(&done));
    assert_eq!(jobs_and_pods(&context).await, (1, 1));
    controller.stop().await;
}

async fn what_cannot_be_read_is_told_and_holds_up_no_other(context: Context) {
    create_secret(&context).await;
    super::branch::create_workspace(&context).await;
    let line = Line::start(&context, Duration::ZERO).await;
    let forbidden = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403,
        "reason": "Forbidden", "message": "secrets \"hidden\" is forbidden",
        "details": {"name": "hidden", "kind": "secrets"},
    });
    line.answer("/secrets/hidden", Some((StatusCode::FORBIDDEN, forbidden)));
    let odd = json!({
        "kind": "Workspace", "apiVersion": "axon.io/v1alpha1",
        "metadata": {"name": "odd", "namespace": context.namespace},
        "spec": {"repo": ["https://bob:canary-value@example.com/"]},
    });
    line.answer("/workspaces/odd", Some((StatusCode::OK, odd)));
    let on = |workspace: &str, secret: &str| {
        json!({"spec": {
            "workspaceRef": {"name": workspace}, "branch": "fix",
            "credentials": {"type": "api-key", "secretRef": {"name": secret}},
        }})
    };
    create(&context, "a", on("web", "hidden")).await;
    create(&context, "b", on("web", "key")).await;
    create(&context, "c", on("odd", "key")).await;
    let controller = Controller::through(&context, line.client());
    let waits = once(&context, "a", "no right", shows("SecretForbidden")).await;
    assert!(
        said(&waits).contains("may not read Secret \"hidden\""),
        "{}",
        said(&waits)
    );
    let waits = once(&context, "c", "no Workspace", shows("WorkspaceInvalid")).await;
    let text = said(&waits);
    assert!(
        text.contains("\"odd\" cannot be used") && !text.contains("canary"),
        "{text}"
    );
    // The one behind them has its turn, and the first its own once it can.
    agent_ends(&context, "b", 0, DONE).await;
    ended(&context, "b").await;
    let secret = json!({
        "kind": "Secret", "apiVersion": "v1", "metadata": {"name": "hidden"},
        "data": {"ANTHROPIC_API_KEY": ""},
    });
    line.answer("/secrets/hidden", Some((StatusCode::OK, secret)));
    job_of(&context, "a").await;
    controller.stop().await;
}

async fn a_job_that_was_made_and_vanished_is_lost(context: Context) {
    create_secret(&context).await;
    for (name, attempts) in [("claimed", 0), ("made", 1)] {
        create(&context, name, json!({})).await;
        let mut status = claimed(name);
        if attempts > 0 {
            status["attempts"] = json!(attempts);
        }
        write_status(&context, name, status).await;
    }
    let controller = Controller::start(&context);
    let lost = ended(&context, "made").await;
    assert!(shows("JobLost")(&status_of(&lost)), "{lost:?}");
    agent_ends(&context, "claimed", 0, DONE).await;
    ended(&context, "claimed").await;
    assert_eq!(jobs_and_pods(&context).await, (1, 1));
    controller.stop().await;
}

async fn a_pod_that_vanished_unseen_was_taken_away(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    let retries =
        |how: &str| json!({"spec": {"retry": {"limit": 1, "backoff": "0", "onDisruption": how}}});
    let cases = [("fix", "IfNotStarted"), ("anew", "Always")];
    let mut seen = Vec::new();
    for (name, how) in cases {
        create(&context, name, retries(how)).await;
        let pod = kubelet::pod_of(&context, name).await;
        kubelet::starts(&context, &pod).await;
        once(&context, name, "Running", is(TaskPhase::Running)).await;
        seen.push(pod);
    }
    controller.stop().await;
    for pod in &seen {
        let at_once = DeleteParams::default().grace_period(0);
        let pods: Api<Pod> = context.api();
        let name = pod.name_any();
        pods.delete(&name, &at_once).await.unwrap();
        // Counted, it goes.
        kubelet::says(&context, pod, json!({"phase": "Failed"})).await;
        gone::<Pod>(&context, &name).await;
    }
    let jobs: Api<Job> = context.api();
    for (name, _) in cases {
        eventually("a Job that has failed", || async {
            let status = jobs.get(name).await.unwrap().status.unwrap();
            let failed = |it: &JobCondition| it.type_ == "Failed" && it.status == "True";
            status.conditions?.iter().any(failed).then_some(())
        })
        .await;
    }
    let controller = Controller::start(&context);
    let lost = ended(&context, "fix").await;
    let text = said(&lost);
    assert!(
        text.starts_with("Evicted: the Pod of Job \"fix\" is gone, and how it ended with it: "),
        "{text}"
    );
    assert_eq!(status_of(&lost).attempts, Some(1));
    let second = once(&context, "anew", "another Job", |it| it.attempts == Some(2)).await;
    let status = status_of(&second);
    assert_eq!(status.disruptions, Some(1), "{status:?}");
    assert_eq!(jobs_and_pods(&context).await.0, 3);
    controller.stop().await;
}

async fn a_job_that_somebody_holds_back_is_left_so(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    create(&context, "fix", json!({})).await;
    let pod = kubelet::pod_of(&context, "fix").await;
    kubelet::starts(&context, &pod).await;
    once(&context, "fix", "Running", is(TaskPhase::Running)).await;
    let jobs: Api<Job> = context.api();
    let hold = Patch::Merge(json!({"spec": {"suspend": true}}));
    jobs.patch("fix", &PatchParams::default(), &hold)
        .await
        .unwrap();
    // Its Pod is deleted for that; what a node writes of one that it has ended:
    eventually("a Pod that goes", || async {
        let pod = context.api::<Pod>().get_opt(&pod.name_any()).await.unwrap();
        pod.is_none_or(|it| it.metadata.deletion_timestamp.is_some())
            .then_some(())
    })
    .await;
    let end = json!({"phase": "Failed"});
    let patch = Patch::Merge(json!({"status": end}));
    let pods: Api<Pod> = context.api();
    pods.patch_status(&pod.name_any(), &PatchParams::default(), &patch)
        .await
        .ok();
    create(&context, "other", json!({})).await;
    agent_ends(&context, "other", 0, DONE).await;
    ended(&context, "other").await;
    let job = jobs.get("fix").await.unwrap();
    assert_eq!(job.spec.unwrap().suspend, Some(true));
    controller.stop().await;
}

async fn a_task_costs_six_writes(context: Context) {
    create_secret(&context).await;
    let proxy = pair::Line::start(&context, std::time::Duration::ZERO).await;
    let controller = Controller::through(&context, proxy.client());
    create(&context, "fix", json!({})).await;
    let pod = kubelet::pod_of(&context, "fix").await;
    kubelet::starts(&context, &pod).await;
    once(&context, "fix", "Running", is(TaskPhase::Running)).await;
    kubelet::ends(&context, &pod, 0, DONE).await;
    ended(&context, "fix").await;
    controller.stop().await;
    let mut writes = proxy.writes();
    // The policy is one for the namespace.
    writes.retain(|it| !it.contains("/events") && !it.contains("/networkpolicies"));
    let kinds: Vec<&str> = writes
        .iter()
        .map(|it| it.split_whitespace().next().unwrap())
        .collect();
    // Claimed, made, told that it was made, released; running, ended.
    let expected = ["PATCH", "POST", "PATCH", "PATCH", "PATCH", "PATCH"];
    assert_eq!(kinds, expected, "{writes:?}");
}
