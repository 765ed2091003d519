//! Tells the world, once, how a sync ended. Events are published here; a commit's status would be,
//! too: [`ended`] is called once for each sync that came to an end, with all that one has to say.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Client;
use kube::Resource as _;
use kube::ResourceExt as _;

use super::reason::Class;
use super::reason::Reason;
use super::status;
use crate::api::RepoSync;
use crate::api::repo_sync::ObjectCounts;
use crate::api::repo_sync::RepoSyncStatus;
use crate::controller::events;
use crate::controller::events::Level;
use crate::controller::events::Notice;

/// Characters of two messages that are compared: less than a condition's message is cut to.
const COMPARED: usize = 1000;

/// How a sync ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// The commit that was to be applied; absent where the repository could not be read.
    pub(super) revision: Option<String>,
    pub(super) reason: Reason,
    /// What was done, or what is wrong: without any value of a field.
    pub(super) summary: String,
    /// What was written.
    pub(super) counts: Option<ObjectCounts>,
}

/// What a sync came to, as a commit's status has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Pending,
    Success,
    Failure,
}

impl Ended {
    pub(super) fn state(&self) -> State {
        match self.reason.class() {
            Class::Done => State::Success,
            Class::Waiting => State::Pending,
            Class::Stalled | Class::Transient => State::Failure,
        }
    }
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
        level: match ended.state() {
            State::Success | State::Pending => Level::Normal,
            State::Failure => Level::Warning,
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

fn is_news(before: Option<&RepoSyncStatus>, ended: &Ended) -> bool {
    let mut conditions = before.into_iter().flat_map(|it| &it.conditions);
    let said = conditions.find(|it| it.type_ == status::READY);
    let is_other = said.is_none_or(|it| it.reason != ended.reason.as_str());
    // A revision that changes nothing is no event, another cause of a trouble is one.
    let is_told = |said: &Condition| said.message.starts_with(beginning(&ended.summary));
    let has_other_cause = ended.reason.class() != Class::Done && !said.is_some_and(is_told);
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
