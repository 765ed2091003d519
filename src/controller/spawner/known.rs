//! What the cluster knows of a spawner's runs: its Tasks and their records, read anew each time.
//!
//! Not from a cache: one that lags would let a full spawner start more than it may.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::Client;
use kube::Resource as _;
use kube::ResourceExt;
use kube::api::ListParams;
use kube::core::DeserializeGuard;
use serde::de::DeserializeOwned;

use super::decide::KnownRecord;
use super::decide::KnownTask;
use super::decide::Object;
use super::decide::TaskState;
use crate::api::Task;
use crate::api::labels;
use crate::api::task::TaskPhase;
use crate::model::item::ItemKey;
use crate::model::names;
use crate::model::run::record_key;

/// Objects in one answer. A Task's prompt may have 128 KiB.
const PAGE: u32 = 200;

/// A spawner's Tasks and records.
pub(super) struct Known {
    pub(super) tasks: Vec<KnownTask>,
    pub(super) records: Vec<KnownRecord>,
}

/// Reads the records first: of a Task that comes and goes in between, too much is then known
/// rather than too little.
pub(super) async fn read(
    client: &Client,
    namespace: &str,
    spawner: &str,
) -> Result<Known, kube::Error> {
    let label = format!("{}={}", labels::TASK_SPAWNER, names::cut(spawner));
    let is_record = format!("{label},{}={}", labels::RECORD, labels::RECORD_RUN);
    let records: Vec<ConfigMap> =
        all(&Api::namespaced(client.clone(), namespace), &is_record).await?;
    let tasks: Vec<DeserializeGuard<Task>> =
        all(&Api::namespaced(client.clone(), namespace), &label).await?;
    Ok(Known {
        tasks: tasks
            .iter()
            .filter(|task| is_of(*task, spawner))
            .map(known_task)
            .collect(),
        records: records.iter().map(known_record).collect(),
    })
}

/// Whether a Task was made by this spawner. The label may be cut; the annotation is not.
pub(super) fn is_of(task: &impl ResourceExt, spawner: &str) -> bool {
    let full = task.annotations().get(labels::TASK_SPAWNER);
    match full.or_else(|| task.labels().get(labels::TASK_SPAWNER)) {
        Some(name) => name == spawner && task.labels().contains_key(labels::TASK_SPAWNER),
        None => false,
    }
}

/// The item that a Task was made for.
pub(super) fn item_of(task: &impl ResourceExt) -> Option<ItemKey> {
    task.annotations().get(labels::ITEM).map(ItemKey::new)
}

/// A Task that cannot be read is taken for one that still runs: that never starts a second one.
fn known_task(task: &DeserializeGuard<Task>) -> KnownTask {
    let status = task.0.as_ref().ok().and_then(|task| task.status.as_ref());
    let finished = match status.and_then(|status| status.phase) {
        Some(TaskPhase::Succeeded | TaskPhase::Failed) => true,
        Some(TaskPhase::Pending | TaskPhase::Running) | None => false,
    };
    let item = item_of(task);
    let has_left = item.is_some() && !task.annotations().contains_key(labels::RUN);
    KnownTask {
        object: object(task),
        item,
        state: match (finished, has_left) {
            (false, _) => TaskState::Unfinished,
            (true, false) => TaskState::Finished,
            (true, true) if task.meta().deletion_timestamp.is_some() => TaskState::Leaving,
            (true, true) => TaskState::Left,
        },
    }
}

fn known_record(record: &ConfigMap) -> KnownRecord {
    let fact = |key| record.data.as_ref().and_then(|data| data.get(key));
    let finished = fact(record_key::FINISHED).and_then(|time| time.parse::<Timestamp>().ok());
    KnownRecord {
        object: object(record),
        item: fact(record_key::ITEM).map(ItemKey::new),
        task_uid: fact(record_key::TASK_UID).cloned().unwrap_or_default(),
        since: finished.or_else(|| record.creation_timestamp().map(|time| time.0)),
    }
}

fn object(it: &impl ResourceExt) -> Object {
    Object {
        name: it.name_any(),
        uid: it.uid().unwrap_or_default(),
        version: it.resource_version().unwrap_or_default(),
    }
}

async fn all<K>(api: &Api<K>, selector: &str) -> Result<Vec<K>, kube::Error>
where
    K: Clone + DeserializeOwned + std::fmt::Debug,
{
    let mut params = ListParams::default().labels(selector).limit(PAGE);
    let mut found = Vec::new();
    loop {
        let page = api.list(&params).await?;
        found.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn task(annotations: &serde_json::Value, phase: &str) -> DeserializeGuard<Task> {
        serde_json::from_value(json!({
            "apiVersion": "axon.io/v1alpha1", "kind": "Task",
            "metadata": {
                "name": "triage-7", "uid": "u", "resourceVersion": "3",
                "labels": {"axon.io/taskspawner": "triage"}, "annotations": annotations,
            },
            "spec": {"type": "codex", "prompt": "x", "credentials": {"type": "none"}},
            "status": {"phase": phase},
        }))
        .unwrap()
    }

    #[test]
    fn states() {
        let check = |annotations: &serde_json::Value, phase: &str, expected: TaskState| {
            assert_eq!(known_task(&task(annotations, phase)).state, expected);
        };
        let whole = json!({"axon.io/item": "github.com/a/b#7", "axon.io/run": "item-v1-x"});
        let given_up = json!({"axon.io/item": "github.com/a/b#7"});
        check(&whole, "Running", TaskState::Unfinished);
        check(&whole, "Failed", TaskState::Finished);
        check(&given_up, "Succeeded", TaskState::Left);
        check(&given_up, "Pending", TaskState::Unfinished);
        check(&json!({}), "Succeeded", TaskState::Finished);
        // A phase that this version does not know.
        check(&whole, "Dreaming", TaskState::Unfinished);
    }

    #[test]
    fn whose() {
        assert!(is_of(&task(&json!({}), "Running"), "triage"));
        let other = json!({"axon.io/taskspawner": "triage-and-more"});
        assert!(!is_of(&task(&other, "Running"), "triage"));
    }
}
