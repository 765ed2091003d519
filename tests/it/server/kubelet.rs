//! The part of a kubelet that a test plays: it writes the status of Pods.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use kube::api::Patch;
use kube::api::PatchParams;
use serde_json::json;

use super::Context;
use super::eventually;

/// The Pod of the Job `job`, once the Job controller has made it.
pub(crate) async fn pod_of(context: &Context, job: &str) -> Pod {
    let pods: Api<Pod> = context.api();
    let selector = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}"));
    eventually("a Pod of the Job", || async {
        pods.list(&selector).await.unwrap().items.into_iter().next()
    })
    .await
}

/// Writes that the agent's container runs.
pub(crate) async fn starts(context: &Context, pod: &Pod) {
    let state = json!({"running": {"startedAt": "2026-01-01T00:00:05Z"}});
    write(context, pod, "Running", &state).await;
}

/// Writes that the agent's container has ended with `code` and `message`.
pub(crate) async fn ends(context: &Context, pod: &Pod, code: i32, message: &str) {
    let state = json!({"terminated": {
        "exitCode": code,
        "reason": if code == 0 { "Completed" } else { "Error" },
        "message": message,
        "startedAt": "2026-01-01T00:00:05Z",
        "finishedAt": "2026-01-01T00:01:00Z",
    }});
    write(
        context,
        pod,
        if code == 0 { "Succeeded" } else { "Failed" },
        &state,
    )
    .await;
}

async fn write(context: &Context, pod: &Pod, phase: &str, agent: &serde_json::Value) {
    let spec = pod.spec.as_ref().unwrap();
    let status = |name: &str, state: &serde_json::Value| json!({"name": name, "image": "x", "imageID": "x", "ready": false, "restartCount": 0, "state": state});
    let done = json!({"terminated": {"exitCode": 0, "reason": "Completed"}});
    let init: Vec<_> = spec
        .init_containers
        .iter()
        .flatten()
        .map(|it| status(&it.name, &done))
        .collect();
    let main: Vec<_> = spec
        .containers
        .iter()
        .map(|it| status(&it.name, agent))
        .collect();
    let patch = json!({"status": {
        "phase": phase,
        "startTime": "2026-01-01T00:00:00Z",
        "initContainerStatuses": init,
        "containerStatuses": main,
    }});
    let pods: Api<Pod> = context.api();
    let name = pod.metadata.name.as_deref().unwrap();
    pods.patch_status(name, &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
}

/// Writes any status.
pub(crate) async fn says(context: &Context, pod: &Pod, status: serde_json::Value) {
    let pods: Api<Pod> = context.api();
    let name = pod.metadata.name.as_deref().unwrap();
    let patch = Patch::Merge(json!({"status": status}));
    pods.patch_status(name, &PatchParams::default(), &patch)
        .await
        .unwrap();
}
