//! Lets the records of runs go whose Tasks' names left the configuration long ago. Plans, which know what
//! is in git, mark such records and have no clock; here is a clock, and no knowledge of git.

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
use crate::api::labels;

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
        if let Err(error) = sweep(&client, &everywhere, clock::now()).await {
            tracing::warn!(%error, "cannot look through the records of runs");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
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
