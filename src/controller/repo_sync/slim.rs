//! Objects without what no plan depends on. Pure.

use serde_json::Map;
use serde_json::Value;

use crate::api::labels;
use crate::model::Digest;

/// Of `metadata`, what a plan can need of any object.
const METADATA: [&str; 8] = [
    "name",
    "namespace",
    "uid",
    "generation",
    "resourceVersion",
    "labels",
    "annotations",
    "deletionTimestamp",
];
/// Of `status`, what a plan reads: whether a Task has started, and ended.
const STATUS: [&str; 2] = ["phase", "jobName"];
/// What `kubectl apply` keeps for itself: a copy of the object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// An object of a kind that can be declared. Of one of no sync only its existence matters.
pub(super) fn object(mut whole: Value) -> Value {
    let is_member = whole["metadata"]["labels"].get(labels::SYNC).is_some();
    let metadata = &mut whole["metadata"];
    let managers = is_member.then(|| managers(metadata["managedFields"].take()));
    let mut slim = pick(metadata, &METADATA);
    if let Some(Value::Object(notes)) = slim.get_mut("annotations") {
        notes.remove(LAST_APPLIED);
    }
    if let Some(managers) = managers {
        slim.insert("managedFields".into(), managers);
    }
    let mut object = Map::new();
    object.insert("metadata".into(), slim.into());
    if is_member {
        object.insert("spec".into(), whole["spec"].take());
    }
    let status = pick(&mut whole["status"], &STATUS);
    if !status.is_empty() {
        object.insert("status".into(), status.into());
    }
    object.into()
}

/// A record of a run.
pub(super) fn record(mut whole: Value) -> Value {
    let mut record = pick(&mut whole, &["data"]);
    let metadata = pick(&mut whole["metadata"], &METADATA);
    record.insert("metadata".into(), metadata.into());
    record.into()
}

/// A digest of all that may make a plan differ. Counters and times are not part of it, nor the
/// status: a declared field does not change with them.
pub(super) fn relevant(slim: &Value) -> Digest {
    let metadata = &slim["metadata"];
    let mut managers = metadata["managedFields"].clone();
    for entry in managers.as_array_mut().into_iter().flatten() {
        if let Some(entry) = entry.as_object_mut() {
            entry.remove("time");
        }
    }
    Digest::of_json(&Value::Array(vec![
        metadata["uid"].clone(),
        metadata["labels"].clone(),
        metadata["annotations"].clone(),
        managers,
        slim["spec"].clone(),
        slim["data"].clone(),
    ]))
}

/// The field managers, without those of the status.
fn managers(mut all: Value) -> Value {
    if let Some(entries) = all.as_array_mut() {
        entries.retain(|entry| entry["subresource"].as_str().is_none_or(str::is_empty));
    }
    all
}

fn pick(from: &mut Value, names: &[&str]) -> Map<String, Value> {
    let Some(fields) = from.as_object_mut() else {
        return Map::new();
    };
    let picked = names.iter().filter_map(|name| fields.remove_entry(*name));
    picked.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn task() -> Value {
        json!({
            "apiVersion": "axon.io/v1alpha1",
            "kind": "Task",
            "metadata": {
                "name": "a", "namespace": "n", "uid": "u", "generation": 1, "resourceVersion": "5",
                "labels": {"axon.io/sync": "app"},
                "annotations": {(LAST_APPLIED): "{}", "x": "y"},
                "managedFields": [
                    {"manager": "axon-app", "operation": "Apply", "time": "t", "fieldsV1": {}},
                    {"manager": "axon-controller", "subresource": "status", "fieldsV1": {}},
                ],
            },
            "spec": {"prompt": "x"},
            "status": {"phase": "Running", "message": "m", "jobName": "j"},
        })
    }

    #[test]
    fn what_a_plan_needs_stays() {
        let slim = object(task());
        assert_eq!(
            slim,
            json!({
                "metadata": {
                    "name": "a", "namespace": "n", "uid": "u", "generation": 1, "resourceVersion": "5",
                    "labels": {"axon.io/sync": "app"},
                    "annotations": {"x": "y"},
                    "managedFields": [
                        {"manager": "axon-app", "operation": "Apply", "time": "t", "fieldsV1": {}},
                    ],
                },
                "spec": {"prompt": "x"},
                "status": {"phase": "Running", "jobName": "j"},
            })
        );
    }

    #[test]
    fn of_an_object_of_no_sync_only_that_it_is_there() {
        let mut spawned = task();
        spawned["metadata"]["labels"] = json!({"axon.io/taskspawner": "triage"});
        let slim = object(spawned);
        assert_eq!(slim.get("spec"), None);
        assert_eq!(slim["metadata"].get("managedFields"), None);
        assert_eq!(slim["status"]["phase"], "Running");
    }

    #[test]
    fn what_the_controllers_write_is_not_relevant() {
        let check = |pointer: &str, value: Value, expected: bool| {
            let mut changed = task();
            *changed.pointer_mut(pointer).unwrap() = value;
            let same = relevant(&object(changed)) == relevant(&object(task()));
            assert_eq!(!same, expected, "{pointer}");
        };
        check("/status/phase", "Failed".into(), false);
        check("/metadata/resourceVersion", "6".into(), false);
        check("/metadata/managedFields/0/time", "later".into(), false);
        check(
            "/metadata/managedFields/1/fieldsV1",
            json!({"f:x": {}}),
            false,
        );
        check(
            "/metadata/managedFields/0/fieldsV1",
            json!({"f:x": {}}),
            true,
        );
        check("/metadata/annotations/x", "z".into(), true);
        check("/metadata/labels/axon.io~1sync", "web".into(), true);
        check("/metadata/uid", "v".into(), true);
        check("/spec/prompt", "y".into(), true);
    }
}
