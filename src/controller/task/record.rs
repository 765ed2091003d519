//! The record of a run: what makes a Task that must run once run once.
//!
//! A record is a ConfigMap whose name says which run it stands for; creating a name is the one
//! thing that the API server makes unique. A record outlives its Task.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::ResourceExt;
use kube::api::ObjectMeta;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::api::PostParams;
use serde_json::json;

use crate::api::Task;
use crate::api::labels;
use crate::controller::FIELD_MANAGER;
use crate::model::names::cut;
use crate::model::run::Outcome;
use crate::model::run::RunDigest;
use crate::model::run::RunScope;
use crate::model::run::record_key;
use crate::model::run::record_name;

/// What came of claiming a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// The run is this Task's, or the Task is free to run as often as it likes.
    Ours,
    /// Another Task had the run.
    Taken { record: String, task: String },
}

/// Claims the run of `task` for it. Doing so again does no harm.
pub(super) async fn claim(records: &Api<ConfigMap>, task: &Task) -> Result<Claim, kube::Error> {
    let Some(record) = record_of(task) else {
        return Ok(Claim::Ours);
    };
    match create(records, &record).await {
        Ok(_) => Ok(Claim::Ours),
        Err(kube::Error::Api(status)) if status.is_already_exists() => {
            // Deleted in between: the error brings us back here.
            let held = records.get(&record.name_any()).await?;
            if belongs_to(&held, task) {
                return Ok(Claim::Ours);
            }
            Ok(Claim::Taken {
                record: held.name_any(),
                task: value(&held, record_key::TASK)
                    .unwrap_or_default()
                    .to_owned(),
            })
        }
        Err(error) => Err(error),
    }
}

/// Writes how the run ended, once. A Task that ended before it claimed its run leaves a record too:
/// it has had its turn.
pub(super) async fn finish(
    records: &Api<ConfigMap>,
    task: &Task,
    outcome: Outcome,
    now: Timestamp,
) -> Result<(), kube::Error> {
    let Some(mut record) = record_of(task) else {
        return Ok(());
    };
    let end = BTreeMap::from([
        (record_key::OUTCOME.to_owned(), outcome.as_str().to_owned()),
        (
            record_key::FINISHED.to_owned(),
            now.strftime("%FT%TZ").to_string(),
        ),
    ]);
    let Some(held) = records.get_opt(&record.name_any()).await? else {
        record.data.get_or_insert_default().extend(end);
        return create(records, &record).await.map(|_| ());
    };
    if !belongs_to(&held, task) || is_settled(&held) {
        return Ok(());
    }
    let patch = json!({
        "metadata": {"resourceVersion": held.metadata.resource_version},
        "data": end,
    });
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    records
        .patch(&held.name_any(), &parameters, &Patch::Merge(&patch))
        .await
        .map(|_| ())
}

async fn create(records: &Api<ConfigMap>, record: &ConfigMap) -> Result<ConfigMap, kube::Error> {
    let parameters = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    records.create(&parameters, record).await
}

/// The record that claims the run of `task`; none if the Task carries no identity of a run.
fn record_of(task: &Task) -> Option<ConfigMap> {
    let run = RunDigest::from_annotation(task.annotations().get(labels::RUN)?);
    let (scope, label) = scope_of(task)?;
    let mut record_labels = BTreeMap::from([(labels::RECORD.into(), labels::RECORD_RUN.into())]);
    record_labels.extend([label]);
    let mut facts = BTreeMap::from([
        (record_key::TASK.into(), task.name_any()),
        (record_key::TASK_UID.into(), task.uid()?),
        (record_key::RUN.into(), run.to_string()),
    ]);
    if let Some(item) = task.annotations().get(labels::ITEM) {
        facts.insert(record_key::ITEM.into(), item.clone());
    }
    Some(ConfigMap {
        metadata: ObjectMeta {
            name: Some(record_name(&scope, &run)),
            namespace: task.namespace(),
            labels: Some(record_labels),
            ..ObjectMeta::default()
        },
        data: Some(facts),
        ..ConfigMap::default()
    })
}

/// Who asked for the run, and the label that ties the record to them.
fn scope_of(task: &Task) -> Option<(RunScope, (String, String))> {
    if let Some(sync) = task.labels().get(labels::SYNC) {
        let scope = RunScope::Sync {
            sync: sync.clone(),
            task: task.name_any(),
        };
        return Some((scope, (labels::SYNC.into(), sync.clone())));
    }
    let full_name = task.annotations().get(labels::TASK_SPAWNER);
    let spawner = full_name.or_else(|| task.labels().get(labels::TASK_SPAWNER))?;
    let scope = RunScope::Spawner {
        spawner: spawner.clone(),
    };
    Some((scope, (labels::TASK_SPAWNER.into(), cut(spawner))))
}

/// Whether the record tells how the Task itself ended. That a sync meant to cancel it does not.
fn is_settled(record: &ConfigMap) -> bool {
    let outcome = value(record, record_key::OUTCOME).map_or(Outcome::Unknown, Outcome::parse);
    match outcome {
        Outcome::Succeeded | Outcome::Failed => true,
        Outcome::Cancelled | Outcome::Unknown => false,
    }
}

fn belongs_to(record: &ConfigMap, task: &Task) -> bool {
    let uid = task.metadata.uid.as_deref();
    uid.is_some() && value(record, record_key::TASK_UID) == uid
}

fn value<'a>(record: &'a ConfigMap, key: &str) -> Option<&'a str> {
    record.data.as_ref()?.get(key).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The record of a Task with these labels and annotations, without its name.
    fn check(labels: &serde_json::Value, annotations: &serde_json::Value) -> Option<String> {
        let task: Task = serde_json::from_value(json!({
            "apiVersion": "axon.io/v1alpha1", "kind": "Task",
            "metadata": {
                "name": "fix", "namespace": "n", "uid": "u1",
                "labels": labels, "annotations": annotations,
            },
            "spec": {"type": "codex", "prompt": "x", "credentials": {"type": "none"}},
        }))
        .unwrap();
        let record = record_of(&task)?;
        assert!(record.name_any().starts_with("axon-run-"));
        let facts = json!([record.labels(), record.data]);
        Some(facts.to_string())
    }

    #[test]
    fn a_record_belongs_to_the_sync_or_the_spawner() {
        let run = json!({"axon.io/run": "v1-x"});
        assert_eq!(
            check(&json!({"axon.io/sync": "s"}), &run).unwrap(),
            r#"[{"axon.io/record":"run","axon.io/sync":"s"},{"run":"v1-x","task":"fix","taskUID":"u1"}]"#
        );
        let item = json!({"axon.io/run": "item-v1-x", "axon.io/item": "github.com/a/b#1"});
        assert_eq!(
            check(&json!({"axon.io/taskspawner": "triage"}), &item).unwrap(),
            r#"[{"axon.io/record":"run","axon.io/taskspawner":"triage"},{"item":"github.com/a/b#1","run":"item-v1-x","task":"fix","taskUID":"u1"}]"#
        );
    }

    #[test]
    fn without_run_or_scope_there_is_no_record() {
        assert_eq!(check(&json!({"axon.io/sync": "s"}), &json!({})), None);
        assert_eq!(check(&json!({}), &json!({"axon.io/run": "v1-x"})), None);
    }
}
