//! The only place that writes a RepoSync's status.
//!
//! Conditions follow kstatus: `Ready` is always there, `Reconciling` and `Stalled` only while they
//! are true. A status that would say the same again is not written.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::ResourceExt as _;
use kube::api::Patch;
use kube::api::PatchParams;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::left;
use super::left::Remains;
use super::reason::Class;
use super::reason::Reason;
use super::reason::Trouble;
use super::tell::Ended;
use crate::api::RepoSync;
use crate::api::repo_sync::ApprovedPlan;
use crate::api::repo_sync::InForce;
use crate::api::repo_sync::PendingPlan;
use crate::api::repo_sync::RepoSyncStatus;
use crate::api::repo_sync::SyncRecord;
use crate::controller::FIELD_MANAGER;
use crate::model::Key;

pub(super) const READY: &str = "Ready";
const RECONCILING: &str = "Reconciling";
const STALLED: &str = "Stalled";
/// Reason of both while objects are being written.
const PROGRESSING: &str = "Progressing";
/// Longest message of a condition: what a person reads.
const MAX_MESSAGE: usize = 4096;
/// Longest message of an entry of the history, and how many entries there are: the schema's.
const MAX_TOLD: usize = 1024;
const MAX_HISTORY: usize = 5;

/// What is to be said of a RepoSync. What is absent stays as it was.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Report {
    /// What is wrong; nothing, if the namespace is as `applied` says.
    pub(super) trouble: Option<Trouble>,
    pub(super) attempted: Option<String>,
    pub(super) applied: Option<String>,
    pub(super) handled: Option<String>,
    pub(super) sync: Option<String>,
    /// What an earlier repository, path or id of it has left.
    pub(super) remains: Remains,
    /// Objects that may be of it and do not prove it.
    pub(super) unproven: Vec<Key>,
    pub(super) in_force: Option<InForce>,
    pub(super) plan: Pending,
    /// The syncs that came to an end, and what each wrote.
    pub(super) ended: Vec<Ended>,
}

/// What becomes of the plan that waits for somebody's word.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Pending {
    #[default]
    Same,
    Gone,
    Is(PendingPlan),
}

/// The status that `sync` is to have.
pub(super) fn next(sync: &RepoSync, report: &Report, now: Timestamp) -> RepoSyncStatus {
    let before = sync.status.clone().unwrap_or_default();
    let mut status = before.clone();
    status.observed_generation = sync.metadata.generation.unwrap_or_default();
    let told = [
        (&mut status.last_attempted_revision, &report.attempted),
        (&mut status.last_applied_revision, &report.applied),
        (&mut status.last_handled_reconcile_at, &report.handled),
        (&mut status.sync, &report.sync),
    ];
    for (field, value) in told {
        if value.is_some() {
            field.clone_from(value);
        }
    }
    match &report.remains {
        Remains::Unknown => {}
        Remains::Nothing => status.former_sync = None,
        Remains::Left(left) => status.former_sync = Some(left.sync.clone()),
    }
    if report.in_force.is_some() {
        status.in_force.clone_from(&report.in_force);
    }
    let counts = report.ended.iter().rev().find_map(|it| it.counts);
    status.objects = counts.or(status.objects);
    match &report.plan {
        Pending::Same => {}
        Pending::Gone => status.plan = None,
        Pending::Is(plan) => status.plan = Some(plan.clone()),
    }
    for ended in &report.ended {
        remember(&mut status, &before, report, ended, now);
    }
    status.conditions = conditions(&before, &status, report, now);
    status
}

/// The approval that `latest` has, where something is left that it speaks of. It is used up when the
/// configuration is in force, and when another plan waits.
pub(super) fn approved(latest: &RepoSync, report: &Report) -> Option<ApprovedPlan> {
    let is_over = report.trouble.is_none() || matches!(report.plan, Pending::Is(_));
    let approved = latest.status.as_ref()?.approved.as_ref();
    approved.filter(|_| !is_over).cloned()
}

/// Whether `sync` was synced at `revision` and with the spec that it has.
pub(super) fn is_synced_at(sync: &RepoSync, revision: &str) -> bool {
    sync.status.as_ref().is_some_and(|status| {
        let ready = condition(status, READY);
        ready.is_some_and(|it| it.status == "True")
            && Some(status.observed_generation) == sync.metadata.generation
            && status.last_applied_revision.as_deref() == Some(revision)
    })
}

/// Writes `status`, unless the object has changed since it was read: then the API server answers 409.
/// Nothing is sent when nothing changed.
pub(super) async fn write(
    syncs: &Api<RepoSync>,
    sync: &RepoSync,
    status: &RepoSyncStatus,
) -> Result<Option<Arc<RepoSync>>, kube::Error> {
    if sync.status.as_ref() == Some(status) {
        return Ok(None);
    }
    let before = sync.status.as_ref().map(fields).unwrap_or_default();
    let patch = json!({
        "metadata": {"resourceVersion": sync.metadata.resource_version},
        "status": changes(&before, &fields(status)),
    });
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let (name, patch) = (sync.name_any(), Patch::Merge(&patch));
    let written = syncs.patch_status(&name, &parameters, &patch).await?;
    Ok(Some(Arc::new(written)))
}

/// Adds the end of a sync to the history. What wrote nothing is added where it is what the status says
/// of its commit, and the history does not say so already.
fn remember(
    status: &mut RepoSyncStatus,
    before: &RepoSyncStatus,
    report: &Report,
    ended: &Ended,
    now: Timestamp,
) {
    let Some(revision) = &ended.revision else {
        return;
    };
    let was = condition(before, READY).map(|it| it.reason.as_str());
    let is_same = was == Some(ended.reason.as_str())
        && before.last_attempted_revision.as_ref() == Some(revision)
        && !before.history.is_empty();
    let is_told = ended.reason == reason_of(report)
        && status.last_attempted_revision.as_ref() == Some(revision);
    if ended.counts.is_none() && (is_same || !is_told) {
        return;
    }
    let has_trouble = ended.class != Class::Done;
    let entry = SyncRecord {
        revision: revision.clone(),
        time: whole_seconds(now),
        reason: ended.reason.as_str().to_owned(),
        objects: ended.counts,
        message: has_trouble.then(|| cut(&ended.summary, MAX_TOLD)),
    };
    status.history.insert(0, entry);
    status.history.truncate(MAX_HISTORY);
}

/// The status while `revision` is being applied; nothing where that is said already.
pub(super) fn begun(
    sync: &RepoSync,
    revision: &str,
    message: &str,
    approved: Option<ApprovedPlan>,
    now: Timestamp,
) -> Option<RepoSyncStatus> {
    let before = sync.status.clone().unwrap_or_default();
    let generation = sync.metadata.generation.unwrap_or_default();
    let is_at_it = [PROGRESSING, Reason::ApplyFailed.as_str()];
    let is_said = condition(&before, RECONCILING)
        .is_some_and(|it| it.status == "True" && is_at_it.contains(&it.reason.as_str()));
    if is_said
        && before.observed_generation == generation
        && before.last_attempted_revision.as_deref() == Some(revision)
        && before.approved == approved
    {
        return None;
    }
    let said = Said {
        reason: PROGRESSING,
        message: cut(message, MAX_MESSAGE),
        generation,
    };
    Some(RepoSyncStatus {
        observed_generation: generation,
        last_attempted_revision: Some(revision.to_owned()),
        conditions: vec![
            said.condition(&before, READY, "Unknown", now),
            said.condition(&before, RECONCILING, "True", now),
        ],
        approved,
        ..before
    })
}

fn conditions(
    before: &RepoSyncStatus,
    status: &RepoSyncStatus,
    report: &Report,
    now: Timestamp,
) -> Vec<Condition> {
    let reason = reason_of(report);
    let message = if let Some(trouble) = &report.trouble {
        cut(&trouble.message, MAX_MESSAGE)
    } else {
        let revision = status.last_applied_revision.as_deref();
        let applied = format!("applied revision {}", revision.unwrap_or_default());
        let left = match &report.remains {
            Remains::Left(left) => Some(left.to_string()),
            Remains::Unknown | Remains::Nothing => None,
        };
        let parts = [Some(applied), left, left::unproven(&report.unproven)];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        cut(&parts.join("; "), MAX_MESSAGE)
    };
    let class = report.trouble.as_ref().map_or(Class::Done, Trouble::class);
    let (ready, other) = match class {
        Class::Done => ("True", None),
        Class::Stalled => ("False", Some(STALLED)),
        // Nothing goes on while it is suspended.
        Class::Waiting if reason == Reason::Suspended => ("False", None),
        Class::Waiting | Class::Transient => ("False", Some(RECONCILING)),
    };
    let said = Said {
        reason: reason.as_str(),
        message,
        generation: status.observed_generation,
    };
    let ready = said.condition(before, READY, ready, now);
    let other = other.map(|kind| said.condition(before, kind, "True", now));
    [ready].into_iter().chain(other).collect()
}

/// What all conditions of one moment say.
struct Said {
    reason: &'static str,
    message: String,
    generation: i64,
}

impl Said {
    fn condition(
        &self,
        before: &RepoSyncStatus,
        kind: &str,
        value: &str,
        now: Timestamp,
    ) -> Condition {
        Condition {
            type_: kind.to_owned(),
            status: value.to_owned(),
            reason: self.reason.to_owned(),
            message: self.message.clone(),
            last_transition_time: condition(before, kind)
                .filter(|it| it.status == value)
                .map_or_else(|| whole_seconds(now), |it| it.last_transition_time.clone()),
            observed_generation: Some(self.generation),
        }
    }
}

fn reason_of(report: &Report) -> Reason {
    let trouble = report.trouble.as_ref();
    trouble.map_or(Reason::Synced, |it| it.reason)
}

fn condition<'a>(status: &'a RepoSyncStatus, kind: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|it| it.type_ == kind)
}

/// Times in the API have whole seconds; one with a fraction would differ from itself when read back.
fn whole_seconds(now: Timestamp) -> Time {
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}

fn cut(text: &str, limit: usize) -> String {
    text.chars().take(limit).collect()
}

fn fields(status: &RepoSyncStatus) -> Map<String, Value> {
    let value = serde_json::to_value(status).expect("a status holds nothing that JSON cannot");
    serde_json::from_value(value).expect("a struct becomes an object")
}

/// A merge patch that turns `before` into `after`, field by field.
fn changes(before: &Map<String, Value>, after: &Map<String, Value>) -> Value {
    let gone = before.keys().filter(|key| !after.contains_key(*key));
    let gone = gone.map(|key| (key.clone(), Value::Null));
    let new = after
        .iter()
        .filter(|(key, value)| before.get(*key) != Some(value));
    let new = new.map(|(key, value)| (key.clone(), value.clone()));
    Value::Object(gone.chain(new).collect())
}

#[cfg(test)]
mod tests;
