//! Tells the world, once, how a sync ended: by an event on the RepoSync, and by a status on the commit
//! where the RepoSync asks for one.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Client;
use kube::Resource as _;
use kube::ResourceExt as _;

use super::left::Left;
use super::reason::Class;
use super::reason::Reason;
use super::reason::Trouble;
use super::status;
use crate::api::RepoSync;
use crate::api::repo_sync::ObjectCounts;
use crate::api::repo_sync::RepoSyncStatus;
use crate::controller::commit_status::CommitStatuses;
use crate::controller::events;
use crate::controller::events::Level;
use crate::controller::events::Notice;
use crate::github::CommitState;

/// Characters of two messages that are compared: less than a condition's message is cut to.
const COMPARED: usize = 1000;

/// How a sync ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// The commit that was to be applied; absent where the repository could not be read.
    pub(super) revision: Option<String>,
    pub(super) reason: Reason,
    pub(super) class: Class,
    /// What was done, or what is wrong: without any value of a field.
    pub(super) summary: String,
    /// What was written.
    pub(super) counts: Option<ObjectCounts>,
}

/// What is to be said of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) revision: String,
    state: CommitState,
    summary: String,
}

impl Verdict {
    /// Of a commit at which the sync stands as `trouble` says, or well.
    pub(super) fn new(revision: String, trouble: Option<&Trouble>, done: String) -> Self {
        Self {
            revision,
            state: state(trouble.map_or(Class::Done, Trouble::class)),
            summary: trouble.map_or(done, |it| it.message.clone()),
        }
    }
}

fn state(class: Class) -> CommitState {
    match class {
        Class::Done => CommitState::Success,
        Class::Waiting => CommitState::Pending,
        Class::Stalled | Class::Transient => CommitState::Failure,
    }
}

/// Tells it on the commit.
pub(super) fn on_commit(statuses: &Arc<CommitStatuses>, sync: &RepoSync, verdict: &Verdict) {
    let Verdict {
        revision,
        state,
        summary,
    } = verdict;
    statuses.tell(sync, revision, *state, summary);
}

/// Tells how the sync of `sync` ended. Its status says so already; `before` is what it said until then:
/// the same again is no event.
pub(super) async fn ended(
    client: &Client,
    before: Option<&RepoSyncStatus>,
    sync: &RepoSync,
    ended: &Ended,
    now: Timestamp,
) {
    if !is_news(before, ended) {
        return;
    }
    let notice = Notice {
        level: match state(ended.class) {
            CommitState::Success | CommitState::Pending => Level::Normal,
            CommitState::Failure => Level::Warning,
        },
        reason: ended.reason.as_str().to_owned(),
        message: match &ended.revision {
            Some(revision) => format!("{revision}: {}", ended.summary),
            None => ended.summary.clone(),
        },
    };
    // The version of the object tells one occasion from another.
    let version = sync.resource_version().unwrap_or_default();
    events::publish(client, &sync.object_ref(&()), &notice, &version, now).await;
}

/// Tells what an earlier repository, path or id of `sync` has left.
pub(super) async fn left(client: &Client, sync: &RepoSync, left: &Left, now: Timestamp) {
    let notice = Notice {
        level: Level::Warning,
        reason: "LeftBehind".into(),
        message: left.to_string(),
    };
    let version = sync.resource_version().unwrap_or_default();
    events::publish(client, &sync.object_ref(&()), &notice, &version, now).await;
}

fn is_news(before: Option<&RepoSyncStatus>, ended: &Ended) -> bool {
    let mut conditions = before.into_iter().flat_map(|it| &it.conditions);
    let said = conditions.find(|it| it.type_ == status::READY);
    let is_other = said.is_none_or(|it| it.reason != ended.reason.as_str());
    // A revision that changes nothing is no event, another cause of a trouble is one.
    let is_told = |said: &Condition| said.message.starts_with(beginning(&ended.summary));
    let has_other_cause = ended.class != Class::Done && !said.is_some_and(is_told);
    is_other || has_other_cause || ended.counts.is_some()
}

/// As much as any message holds.
fn beginning(text: &str) -> &str {
    let end = text
        .char_indices()
        .nth(COMPARED)
        .map_or(text.len(), |(at, _)| at);
    &text[..end]
}
