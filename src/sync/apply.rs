//! Carries a plan out: by rank, then prune. The one place that writes on behalf of `axon.yaml`.

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use tokio_util::sync::CancellationToken;

use crate::api::labels;
use crate::cluster::Apply;
use crate::cluster::Cluster;
use crate::cluster::Error;
use crate::cluster::Object;
use crate::cluster::Propagation;
use crate::model::Key;
use crate::model::Kind;
use crate::model::Plan;
use crate::model::plan::Action;
use crate::model::plan::Applied;
use crate::model::plan::Claim;
use crate::model::plan::Deed;
use crate::model::plan::Failed;
use crate::model::plan::LiveId;
use crate::model::plan::Manifest;
use crate::model::plan::Skipped;
use crate::model::plan::Step;
use crate::sync::PARALLEL;
use crate::sync::decide::PRUNE_DISABLED;

/// How long a replaced Task may take to go: its Pod's grace period, and again as much.
const GONE_LIMIT: Duration = Duration::from_mins(2);
/// How often a deletion is tried anew when only the status of the object moved.
const DELETE_ATTEMPTS: usize = 5;

/// Carries `plan` out. `stop` is heard between objects, never inside one.
/// `tell` hears of each object that has had its turn.
pub(super) async fn apply(
    cluster: &Cluster,
    plan: &Plan,
    stop: &CancellationToken,
    tell: &(dyn Fn(&Key, Progress) + Send + Sync),
) -> Applied {
    let run = Run {
        cluster,
        plan,
        manager: format!("axon-{}", plan.sync),
        stop,
        lost: AtomicBool::new(false),
        tell,
    };
    let mut applied = Applied::default();
    let mut broken = BTreeSet::new();
    for kind in Kind::ALL {
        let rank = plan
            .steps
            .iter()
            .filter(|step| step.key.kind == kind && !matches!(step.action, Action::Delete { .. }));
        run.each(rank, &broken, &mut applied).await;
        if kind == Kind::Workspace {
            broken = not_applied(&applied);
        }
    }
    let deletes = |step: &&Step| matches!(step.action, Action::Delete { .. });
    let prune = plan.steps.iter().filter(deletes);
    if applied.is_complete() {
        // Ranks in turn: what names a Workspace goes before it.
        for kind in Kind::ALL.iter().rev() {
            let rank = prune.clone().filter(|step| step.key.kind == *kind);
            run.each(rank, &broken, &mut applied).await;
        }
    } else {
        let left = prune.map(|step| (step.key.clone(), Skipped::PruneAfterFailure));
        applied.skipped.extend(left);
    }
    applied
}

struct Run<'a> {
    cluster: &'a Cluster,
    plan: &'a Plan,
    manager: String,
    stop: &'a CancellationToken,
    /// Whether the API server stopped answering: it is not asked for the rest.
    lost: AtomicBool,
    tell: &'a (dyn Fn(&Key, Progress) + Send + Sync),
}

/// How the turn of one object ended that was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Done(Deed),
    Failed,
    Skipped,
}

/// What became of one step.
enum Fate {
    Done(Deed),
    Unchanged,
    Blocked,
    Failed(Error),
    Skipped(Skipped),
}

impl Fate {
    fn progress(&self) -> Option<Progress> {
        match self {
            Self::Done(deed) => Some(Progress::Done(*deed)),
            Self::Failed(_) => Some(Progress::Failed),
            Self::Skipped(_) => Some(Progress::Skipped),
            Self::Unchanged | Self::Blocked => None,
        }
    }
}

impl Run<'_> {
    async fn each<'s>(
        &self,
        steps: impl Iterator<Item = &'s Step>,
        broken: &BTreeSet<String>,
        applied: &mut Applied,
    ) {
        let mut fates = stream::iter(steps)
            .map(|step| async move {
                let fate = self.step(step, broken).await;
                if let Some(progress) = fate.progress() {
                    (self.tell)(&step.key, progress);
                }
                (step, fate)
            })
            .buffered(PARALLEL);
        while let Some((step, fate)) = fates.next().await {
            let key = step.key.clone();
            match fate {
                Fate::Done(deed) => applied.done.push((key, deed)),
                Fate::Unchanged => applied.unchanged += 1,
                Fate::Blocked => applied.blocked.push(key),
                Fate::Failed(error) => applied.failed.push(failed(key, &error)),
                Fate::Skipped(why) => applied.skipped.push((key, why)),
            }
        }
    }

    async fn step(&self, step: &Step, broken: &BTreeSet<String>) -> Fate {
        let key = &step.key;
        match &step.action {
            Action::Create { manifest, .. } => {
                let work = self.create(key, manifest);
                self.attempt(key, Some(manifest), broken, work).await
            }
            Action::Update {
                manifest,
                live,
                claim,
                ..
            } => {
                let work = self.update(key, manifest, live, *claim);
                self.attempt(key, Some(manifest), broken, work).await
            }
            Action::Replace { manifest, live, .. } => {
                let work = self.replace(key, manifest, live);
                self.attempt(key, Some(manifest), broken, work).await
            }
            Action::Delete { live, .. } => {
                self.attempt(key, None, broken, self.prune(key, live)).await
            }
            Action::Keep | Action::Unchanged | Action::AlreadyRan { .. } => Fate::Unchanged,
            Action::Blocked { .. } => Fate::Blocked,
        }
    }

    /// Does `work` unless something speaks against beginning it.
    async fn attempt(
        &self,
        key: &Key,
        manifest: Option<&Manifest>,
        broken: &BTreeSet<String>,
        work: impl Future<Output = Result<Deed, Error>>,
    ) -> Fate {
        if self.stop.is_cancelled() {
            return Fate::Skipped(Skipped::Interrupted);
        }
        if self.lost.load(Ordering::Relaxed) {
            return Fate::Skipped(Skipped::Unreachable);
        }
        if let Some(name) = manifest.and_then(Manifest::workspace)
            && broken.contains(name)
        {
            let name = name.to_owned();
            return Fate::Skipped(Skipped::Workspace { name });
        }
        match work.await {
            Ok(deed) => {
                tracing::debug!(%key, ?deed, "applied");
                Fate::Done(deed)
            }
            Err(error) => {
                if matches!(error, Error::Unreachable(_) | Error::Timeout(_)) {
                    self.lost.store(true, Ordering::Relaxed);
                }
                Fate::Failed(error)
            }
        }
    }

    async fn create(&self, key: &Key, manifest: &Manifest) -> Result<Deed, Error> {
        // Without force: an object that appeared meanwhile keeps its owners.
        let how = self.how(Claim::Adopt);
        self.cluster.apply(key, manifest, how).await?;
        Ok(Deed::Created)
    }

    async fn update(
        &self,
        key: &Key,
        manifest: &Manifest,
        live: &LiveId,
        claim: Claim,
    ) -> Result<Deed, Error> {
        let how = self.how(claim);
        self.cluster.apply_to(key, manifest, live, how).await?;
        Ok(Deed::Updated)
    }

    async fn replace(&self, key: &Key, manifest: &Manifest, live: &LiveId) -> Result<Deed, Error> {
        // Foreground: the old Job is gone before its name is needed again.
        self.delete(key, live, Propagation::Foreground, |_| true)
            .await?;
        self.cluster.await_gone(key, &live.uid, GONE_LIMIT).await?;
        self.create(key, manifest).await?;
        Ok(Deed::Replaced)
    }

    async fn prune(&self, key: &Key, live: &LiveId) -> Result<Deed, Error> {
        let still_ours = |object: &Object| {
            object.label(labels::SYNC) == Some(self.plan.sync.as_str())
                && object.annotation(labels::PRUNE) != Some(PRUNE_DISABLED)
        };
        self.delete(key, live, Propagation::Background, still_ours)
            .await?;
        Ok(Deed::Deleted)
    }

    /// Deletes the object if it is the one that was planned for, save for its status.
    async fn delete(
        &self,
        key: &Key,
        planned: &LiveId,
        propagation: Propagation,
        still_meant: impl Fn(&Object) -> bool,
    ) -> Result<(), Error> {
        let mut live = planned.clone();
        for _ in 1..DELETE_ATTEMPTS {
            match self.cluster.delete(key, &live, propagation).await {
                Err(Error::NotFound(_)) => return Ok(()),
                Err(Error::Moved(message)) => {
                    let Some(now) = self.cluster.get(key).await? else {
                        return Ok(());
                    };
                    let id = now.id();
                    let same = id.uid == planned.uid && id.generation == planned.generation;
                    if !same || !still_meant(&now) {
                        return Err(Error::Moved(message));
                    }
                    live = id;
                }
                done => return done,
            }
        }
        self.cluster.delete(key, &live, propagation).await
    }

    fn how(&self, claim: Claim) -> Apply<'_> {
        Apply {
            manager: &self.manager,
            force: claim.takes_fields(),
            dry_run: false,
        }
    }
}

/// Names of the Workspaces that are not as declared.
fn not_applied(applied: &Applied) -> BTreeSet<String> {
    let blocked = applied.blocked.iter();
    let failed = applied.failed.iter().map(|it| &it.key);
    let skipped = applied.skipped.iter().map(|(key, _)| key);
    blocked
        .chain(failed)
        .chain(skipped)
        .map(|key| key.name.to_string())
        .collect()
}

fn failed(key: Key, error: &Error) -> Failed {
    let mut causes = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        causes.push(cause.to_string());
        source = cause.source();
    }
    Failed {
        key,
        is_conflict: matches!(error, Error::FieldConflict(_) | Error::Moved(_)),
        causes,
    }
}
