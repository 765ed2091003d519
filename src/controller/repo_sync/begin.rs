//! What is said before an apply begins: that it goes on, in the status and on the commit.

use std::sync::Arc;
use std::sync::OnceLock;

use kube::Api;

use super::status;
use super::summary;
use crate::api::RepoSync;
use crate::api::repo_sync::ApprovedPlan;
use crate::controller::clock;
use crate::controller::commit_status::CommitStatuses;
use crate::github::CommitState;
use crate::model::Plan;

/// Says it of one RepoSync, as it was when it was looked at.
pub(super) struct Begin<'a> {
    syncs: &'a Api<RepoSync>,
    pub(super) sync: &'a RepoSync,
    statuses: &'a Arc<CommitStatuses>,
    written: OnceLock<Arc<RepoSync>>,
}

impl<'a> Begin<'a> {
    pub(super) fn new(
        syncs: &'a Api<RepoSync>,
        sync: &'a RepoSync,
        statuses: &'a Arc<CommitStatuses>,
    ) -> Self {
        Self {
            syncs,
            sync,
            statuses,
            written: OnceLock::new(),
        }
    }

    /// Says that `plan` is being carried out, and by which approval. The apply does not depend on it:
    /// where it cannot be said, what is left of a plan that is broken off waits.
    pub(super) async fn say(&self, plan: &Plan, approved: Option<ApprovedPlan>) {
        let revision = plan.revision.to_string();
        let counts = summary::counts(&plan.summary());
        let before = self.sync.status.as_ref();
        let applied = before.and_then(|it| it.last_applied_revision.as_ref());
        // A commit that is in force stays so while drift is taken back.
        if applied != Some(&revision) {
            let text = format!("applying: {counts}");
            self.statuses
                .tell(self.sync, &revision, CommitState::Pending, &text);
        }
        let text = format!("applying revision {revision}: {counts}");
        let Some(next) = status::begun(self.sync, &revision, &text, approved, clock::now()) else {
            return;
        };
        match status::write(self.syncs, self.sync, &next).await {
            Ok(Some(written)) => drop(self.written.set(written)),
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "cannot say that an apply begins"),
        }
    }

    /// The object with what was said.
    pub(super) fn written(self) -> Option<Arc<RepoSync>> {
        self.written.into_inner()
    }
}
