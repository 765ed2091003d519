//! Small objects for the tests of this module.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::Value;
use serde_json::json;

use crate::api::Task;
use crate::api::Workspace;

/// The time in tests.
pub(super) fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

/// A Task that was just created.
pub(super) fn task(name: &str) -> Task {
    serde_json::from_value(json!({
        "apiVersion": "axon.io/v1alpha1",
        "kind": "Task",
        "metadata": {
            "name": name, "namespace": "team", "uid": "task-uid", "generation": 1,
            "resourceVersion": "7", "creationTimestamp": "2026-03-01T11:59:50Z",
        },
        "spec": {
            "type": "claude-code",
            "prompt": "Fix the login.",
            "credentials": {"type": "api-key", "secretRef": {"name": "key"}},
        },
    }))
    .unwrap()
}

/// Changes to a Task, to be read as part of a sentence.
pub(super) trait TaskExt: Sized {
    fn with(self, changes: &Value) -> Self;
    /// Its Job's name is claimed, and this is what it waits for.
    fn claimed(self, reason: &str) -> Self;
    /// Its agent's container runs.
    fn running(self) -> Self;
    fn finished(self, phase: &str) -> Self;
}

impl TaskExt for Task {
    fn with(self, changes: &Value) -> Self {
        let mut value = serde_json::to_value(self).unwrap();
        json_patch::merge(&mut value, changes);
        serde_json::from_value(value).unwrap()
    }

    fn claimed(self, reason: &str) -> Self {
        let name = self.name_any();
        self.with(
            &json!({"status": {"phase": "Pending", "jobName": name, "conditions": [
                condition("Started", "False", reason),
            ]}}),
        )
    }

    fn running(self) -> Self {
        let name = self.name_any();
        self.with(&json!({"status": {
            "phase": "Running", "jobName": name, "podName": format!("{name}-x"),
            "startTime": "2026-03-01T11:59:55Z",
            "conditions": [condition("Started", "True", "AgentStarted")],
        }}))
    }

    fn finished(self, phase: &str) -> Self {
        let kind = if phase == "Succeeded" {
            "Complete"
        } else {
            "Failed"
        };
        self.running().with(&json!({"status": {
            "phase": phase, "completionTime": "2026-03-01T11:59:59Z",
            "conditions": [
                condition("Started", "True", "AgentStarted"),
                condition(kind, "True", "AgentFailed"),
            ],
        }}))
    }
}

fn condition(kind: &str, status: &str, reason: &str) -> Value {
    json!({
        "type": kind, "status": status, "reason": reason, "message": "",
        "lastTransitionTime": "2026-03-01T11:59:51Z",
    })
}

/// The Job of `task` with these conditions that are true: (type, reason).
pub(super) fn job(task: &Task, conditions: &[(&str, &str)]) -> Job {
    let conditions: Vec<Value> = conditions
        .iter()
        .map(|(kind, reason)| json!({"type": kind, "status": "True", "reason": reason, "message": "why"}))
        .collect();
    serde_json::from_value(json!({
        "metadata": {
            "name": task.name_any(), "namespace": "team", "uid": "job-uid",
            "ownerReferences": [{
                "apiVersion": "axon.io/v1alpha1", "kind": "Task", "name": task.name_any(),
                "uid": task.uid().unwrap(), "controller": true,
            }],
        },
        "status": {"conditions": conditions},
    }))
    .unwrap()
}

/// The Pod of `task`'s Job with this status.
pub(super) fn pod(task: &Task, status: &Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {
            "name": format!("{}-x", task.name_any()), "namespace": "team",
            "ownerReferences": [{
                "apiVersion": "batch/v1", "kind": "Job", "name": task.name_any(),
                "uid": "job-uid", "controller": true,
            }],
        },
        "status": status,
    }))
    .unwrap()
}

/// Status of a Pod in `phase` whose checkout and agent are in these states.
pub(super) fn containers(phase: &str, checkout: &Value, agent: &Value) -> Value {
    let status = |name: &str, state: &Value| json!([{"name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}]);
    json!({
        "phase": phase,
        "initContainerStatuses": status("checkout", checkout),
        "containerStatuses": status("claude-code", agent),
    })
}

pub(super) fn runs() -> Value {
    json!({"running": {"startedAt": "2026-03-01T11:59:55Z"}})
}

pub(super) fn waits(reason: &str) -> Value {
    json!({"waiting": {"reason": reason, "message": "why"}})
}

/// A container that ended two seconds ago.
pub(super) fn ended(code: i32, message: &str) -> Value {
    json!({"terminated": {
        "exitCode": code, "message": message,
        "startedAt": "2026-03-01T11:59:55Z", "finishedAt": "2026-03-01T11:59:58Z",
    }})
}

pub(super) fn workspace(spec: &Value) -> Workspace {
    serde_json::from_value(json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "Workspace",
        "metadata": {"name": "web", "namespace": "team"}, "spec": spec,
    }))
    .unwrap()
}
