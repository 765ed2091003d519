//! Lets the records of runs go whose Tasks' names left the configuration long ago, or whose TaskSpawner was
//! deleted long ago. Plans, which know what is in git, mark the former and have no clock; here is a
//! clock, and no knowledge of git. The latter are marked here.

use std::collections::HashSet;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::Client;
use kube::ResourceExt;
use kube::api::DeleteParams;
use kube::api::ListParams;
use kube::api::PartialObjectMeta;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::api::Preconditions;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::FIELD_MANAGER;
use super::clock;
use super::options::Options;
use crate::api::TaskSpawner;
use crate::api::labels;
use crate::model::names::cut;

/// How long a record stays after its mark was seen: a name that is put back within a month does not
/// run again.
const LIFE: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Records that one answer may hold: there may be very many.
const PAGE: u32 = 500;
/// Time between two looks: nothing waits for them.
const PAUSE: Duration = Duration::from_hours(1);

/// Looks at the marked records now and then, until `stop`.
pub(super) async fn run(client: Client, options: &Options, stop: CancellationToken) {
    let everywhere: Api<ConfigMap> = options.scope(&client);
    loop {
        let spawners: Api<TaskSpawner> = options.scope(&client);
        if let Err(error) = mark(&client, &spawners, &everywhere).await {
            tracing::warn!(%error, "cannot look for the records of deleted TaskSpawners");
        }
        if let Err(error) = sweep(&client, &everywhere, clock::now()).await {
            tracing::warn!(%error, "cannot look through the records of runs");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// Marks the records of spawners that are gone, and takes the mark from those whose spawner came back.
async fn mark(
    client: &Client,
    spawners: &Api<TaskSpawner>,
    everywhere: &Api<ConfigMap>,
) -> Result<(), kube::Error> {
    let spawned = format!(
        "{}={},{}",
        labels::RECORD,
        labels::RECORD_RUN,
        labels::TASK_SPAWNER
    );
    let mut page = ListParams::default().labels(&spawned).limit(PAGE);
    loop {
        let records = everywhere.list_metadata(&page).await?;
        // After the records: a spawner that is not there has made none of them since.
        let spawners = names(spawners).await?;
        for record in &records {
            let Some(left) = new_mark(record, &spawners) else {
                continue;
            };
            if let Err(error) = write_mark(client, record, left).await {
                let (namespace, name) = (record.namespace(), record.name_any());
                tracing::warn!(%error, namespace, name, "cannot mark the record of a run");
            }
        }
        match records.metadata.continue_.filter(|it| !it.is_empty()) {
            Some(next) => page = page.continue_token(&next),
            None => return Ok(()),
        }
    }
}

/// The spawners that there are: their namespaces, and their names as labels hold them.
async fn names(spawners: &Api<TaskSpawner>) -> Result<HashSet<(String, String)>, kube::Error> {
    let listed = spawners.list_metadata(&ListParams::default()).await?;
    let names = listed.iter().map(|it| {
        let namespace = it.namespace().unwrap_or_default();
        (namespace, cut(&it.name_any()))
    });
    Ok(names.collect())
}

/// Whether the record of a spawner is to be marked (true) or no longer so; nothing if it is as it should be.
fn new_mark(
    record: &PartialObjectMeta<ConfigMap>,
    spawners: &HashSet<(String, String)>,
) -> Option<bool> {
    let spawner = record.labels().get(labels::TASK_SPAWNER)?;
    let namespace = record.namespace().unwrap_or_default();
    let is_gone = !spawners.contains(&(namespace, spawner.clone()));
    let is_marked = record.labels().contains_key(labels::LEFT);
    (is_gone != is_marked).then_some(is_gone)
}

async fn write_mark(
    client: &Client,
    record: &PartialObjectMeta<ConfigMap>,
    left: bool,
) -> Result<(), kube::Error> {
    let namespace = record.namespace().unwrap_or_default();
    let records: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    let mut metadata = json!({
        "resourceVersion": record.resource_version(),
        "labels": {labels::LEFT: left.then_some(labels::LEFT_TRUE)},
    });
    if !left {
        metadata["annotations"] = json!({labels::FORGET_AFTER: null});
    }
    let patch = Patch::Merge(json!({"metadata": metadata}));
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let name = record.name_any();
    match records.patch_metadata(&name, &parameters, &patch).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}

async fn sweep(
    client: &Client,
    everywhere: &Api<ConfigMap>,
    now: Timestamp,
) -> Result<(), kube::Error> {
    let marked = format!(
        "{}={},{}={}",
        labels::RECORD,
        labels::RECORD_RUN,
        labels::LEFT,
        labels::LEFT_TRUE
    );
    let mut page = ListParams::default().labels(&marked).limit(PAGE);
    loop {
        let records = everywhere.list_metadata(&page).await?;
        for record in &records {
            if let Err(error) = turn(client, record, now).await {
                let (namespace, name) = (record.namespace(), record.name_any());
                tracing::warn!(%error, namespace, name, "cannot age the record of a run");
            }
        }
        match records.metadata.continue_.filter(|it| !it.is_empty()) {
            Some(next) => page = page.continue_token(&next),
            None => return Ok(()),
        }
    }
}

/// Does with one marked record what is due. One that cannot be written stops no other.
async fn turn(
    client: &Client,
    record: &PartialObjectMeta<ConfigMap>,
    now: Timestamp,
) -> Result<(), kube::Error> {
    let namespace = record.namespace().unwrap_or_default();
    let records: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    let after = record.annotations().get(labels::FORGET_AFTER);
    let turn = match fate(after.map(String::as_str), now) {
        Fate::Wait => Ok(()),
        Fate::Stamp(end) => stamp(&records, record, end).await,
        Fate::Forget => forget(&records, record).await,
    };
    match turn {
        // Its name came back just now, or somebody else was first.
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => Ok(()),
        other => other,
    }
}

/// What becomes of a marked record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It gets the time from which it may go.
    Stamp(Timestamp),
    Wait,
    Forget,
}

/// `after`: the time that it got earlier. One that cannot be read is none.
fn fate(after: Option<&str>, now: Timestamp) -> Fate {
    match after.and_then(|it| it.parse::<Timestamp>().ok()) {
        Some(end) if end <= now => Fate::Forget,
        Some(_) => Fate::Wait,
        None => Fate::Stamp(now.saturating_add(LIFE).unwrap_or(Timestamp::MAX)),
    }
}

async fn stamp(
    records: &Api<ConfigMap>,
    record: &PartialObjectMeta<ConfigMap>,
    end: Timestamp,
) -> Result<(), kube::Error> {
    let end = end.strftime("%FT%TZ").to_string();
    let patch = json!({"metadata": {
        "resourceVersion": record.resource_version(),
        "annotations": {labels::FORGET_AFTER: end},
    }});
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    records
        .patch_metadata(&record.name_any(), &parameters, &Patch::Merge(&patch))
        .await
        .map(drop)
}

async fn forget(
    records: &Api<ConfigMap>,
    record: &PartialObjectMeta<ConfigMap>,
) -> Result<(), kube::Error> {
    // As it was seen: a name that comes back takes the mark away.
    let only_this = DeleteParams::default().preconditions(Preconditions {
        uid: record.uid(),
        resource_version: record.resource_version(),
    });
    records
        .delete(&record.name_any(), &only_this)
        .await
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_deleted_spawners_are_marked_and_of_new_ones_not() {
        let record = |namespace: &str, labels: serde_json::Value| {
            let metadata = json!({"name": "r", "namespace": namespace, "labels": labels});
            serde_json::from_value(json!({"metadata": metadata})).unwrap()
        };
        let long = "x".repeat(200);
        let names = [("n", "triage"), ("n", &cut(&long))];
        let spawners = names.map(|(a, b)| (a.to_owned(), b.to_owned())).into();
        let check = |namespace: &str, spawner: &str, is_marked: bool, expected: Option<bool>| {
            let mut labels = json!({labels::TASK_SPAWNER: spawner});
            if is_marked {
                labels[labels::LEFT] = json!("true");
            }
            let found = new_mark(&record(namespace, labels), &spawners);
            assert_eq!(found, expected, "{namespace}/{spawner} {is_marked}");
        };
        check("n", "triage", false, None);
        check("n", "triage", true, Some(false));
        check("n", &cut(&long), false, None);
        check("n", "gone", false, Some(true));
        check("n", "gone", true, None);
        check("other", "triage", false, Some(true));
        // What a sync declared is for its plans to mark.
        let of_sync = record("n", json!({labels::SYNC: "s"}));
        assert_eq!(new_mark(&of_sync, &spawners), None);
    }

    #[test]
    fn a_marked_record_has_thirty_days() {
        let now: Timestamp = "2026-01-31T00:00:00Z".parse().unwrap();
        let check = |after: Option<&str>, expected: Fate| assert_eq!(fate(after, now), expected);
        let stamped = Fate::Stamp("2026-03-02T00:00:00Z".parse().unwrap());
        check(None, stamped);
        check(Some("soon"), stamped);
        check(Some("2026-03-02T00:00:00Z"), Fate::Wait);
        check(Some("2026-01-31T00:00:00Z"), Fate::Forget);
        check(Some("2025-01-01T00:00:00Z"), Fate::Forget);
    }
}
