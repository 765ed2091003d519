//! Carries a plan out: by rank, then prune. The one place that writes on behalf of `axon.yaml`.

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::FutureExt as _;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::cluster::Error;
use crate::model::Key;
use crate::model::Kind;
use crate::model::Plan;
use crate::model::plan::Action;
use crate::model::plan::Applied;
use crate::model::plan::Claim;
use crate::model::plan::Deed;
use crate::model::plan::Failed;
use crate::model::plan::Manifest;
use crate::model::plan::Skipped;
use crate::model::plan::Step;
use crate::sync::PARALLEL;
use crate::sync::records::Records;
use crate::sync::work::Work;
use crate::sync::world::manager_of;

/// Replaced Tasks that may be awaited gone at once. The others of their rank do not wait for them.
const AWAITED: usize = 64;

/// Carries `plan` out. `stop` is heard between objects, never inside one.
/// `tell` hears of each object that has had its turn. A replaced Task has `gone` to go.
pub(super) async fn apply(
    cluster: &Cluster,
    plan: &Plan,
    gone: Duration,
    stop: &CancellationToken,
    tell: &(dyn Fn(&Key, Progress) + Send + Sync),
) -> Applied {
    let manager = manager_of(&plan.sync);
    let records = Records {
        cluster,
        plan,
        manager: &manager,
    };
    let mut applied = Applied::default();
    if let Err(error) = records.copy().await {
        applied.records = causes(&error);
        let steps = plan.steps.iter();
        applied.skipped = steps.map(|it| (it.key.clone(), Skipped::Records)).collect();
        return applied;
    }
    let slots = Semaphore::new(PARALLEL);
    let run = Run {
        work: Work {
            cluster,
            manager: &manager,
            records: &records,
            broken_off: records.broken_off(),
            slots: &slots,
            gone,
        },
        stop,
        lost: AtomicBool::new(false),
        unanswered: AtomicU32::new(0),
        tell,
    };
    run.objects(plan, &mut applied).await;
    if applied.is_complete() {
        if let Err(error) = records.settle().await {
            applied.records = causes(&error);
        }
        records.note_left().await;
    }
    // A record that git lists again is kept, whatever else is in the way.
    records.note_back().await;
    applied
}

struct Run<'a> {
    work: Work<'a>,
    stop: &'a CancellationToken,
    /// Whether the API server stopped answering: it is not asked for the rest.
    lost: AtomicBool,
    /// Requests in a row that were not answered in time.
    unanswered: AtomicU32,
    tell: &'a (dyn Fn(&Key, Progress) + Send + Sync),
}

/// So many requests in a row that are not answered in time, and the server is as good as lost.
const MAX_UNANSWERED: u32 = 3;

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
    async fn objects(&self, plan: &Plan, applied: &mut Applied) {
        let mut broken = BTreeSet::new();
        for kind in Kind::ALL {
            let rank = of_kind(plan, kind, |action| {
                !matches!(action, Action::Delete { .. })
            });
            self.each(rank, &broken, applied).await;
            if kind == Kind::Workspace {
                broken = not_applied(applied);
            }
        }
        let deletes = |action: &Action| matches!(action, Action::Delete { .. });
        if applied.is_complete() {
            // Ranks in turn: what names a Workspace goes before it.
            for kind in Kind::ALL.iter().rev() {
                let rank = of_kind(plan, *kind, deletes);
                self.each(rank, &broken, applied).await;
            }
        } else {
            let left = plan.steps.iter().filter(|step| deletes(&step.action));
            let left = left.map(|step| (step.key.clone(), Skipped::PruneAfterFailure));
            applied.skipped.extend(left);
        }
    }

    async fn each(&self, steps: Vec<&Step>, broken: &BTreeSet<String>, applied: &mut Applied) {
        // Lists, not iterators: a task that moves between threads cannot hold closures over borrowed
        // steps.
        let (long, short): (Vec<_>, Vec<_>) = steps
            .into_iter()
            .enumerate()
            .partition(|(_, step)| matches!(step.action, Action::Replace { .. }));
        let (mut fates, others) = tokio::join!(
            self.turns(long, AWAITED, broken).boxed(),
            self.turns(short, PARALLEL, broken).boxed()
        );
        fates.extend(others);
        fates.sort_unstable_by_key(|(index, ..)| *index);
        for (_, step, fate) in fates {
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

    /// Gives each step its turn, so many at once, in whatever order they end.
    async fn turns<'s>(
        &self,
        steps: Vec<(usize, &'s Step)>,
        at_once: usize,
        broken: &BTreeSet<String>,
    ) -> Vec<(usize, &'s Step, Fate)> {
        let mut steps = steps.into_iter();
        let mut under_way = FuturesUnordered::new();
        let mut ended = Vec::with_capacity(steps.len());
        loop {
            for (index, step) in steps.by_ref().take(at_once - under_way.len()) {
                let turn = async move { (index, step, self.turn(step, broken).await) };
                under_way.push(turn.boxed());
            }
            match under_way.next().await {
                Some(turn) => ended.push(turn),
                None => return ended,
            }
        }
    }

    async fn turn(&self, step: &Step, broken: &BTreeSet<String>) -> Fate {
        let fate = self.step(step, broken).await;
        if let Some(progress) = fate.progress() {
            (self.tell)(&step.key, progress);
        }
        fate
    }

    async fn step(&self, step: &Step, broken: &BTreeSet<String>) -> Fate {
        let key = &step.key;
        match &step.action {
            Action::Create { manifest, .. } => {
                let work = self.held(self.work.create(key, manifest));
                self.attempt(key, Some(manifest), broken, work).await
            }
            Action::Update {
                manifest,
                live,
                claim,
                inherits,
                changes: _,
            } => {
                if *claim == Claim::TakeOver || !inherits.is_empty() {
                    let work = self.work.take(key, manifest, live, *claim, inherits);
                    let work = self.held(work);
                    return self.attempt(key, Some(manifest), broken, work).await;
                }
                let work = self.held(self.work.update(key, manifest, live, *claim));
                self.attempt(key, Some(manifest), broken, work).await
            }
            Action::Replace { manifest, live, .. } => {
                let work = self.work.replace(key, manifest, live);
                self.attempt(key, Some(manifest), broken, work).await
            }
            Action::Delete { live, .. } => {
                let work = self.held(self.work.prune(key, live));
                self.attempt(key, None, broken, work).await
            }
            Action::Keep { .. } | Action::Unchanged | Action::AlreadyRan { .. } => Fate::Unchanged,
            Action::Blocked { .. } => Fate::Blocked,
        }
    }

    /// `work` in one of the places for requests.
    async fn held<T>(&self, work: impl Future<Output = T>) -> T {
        let _slot = self.work.slot().await;
        work.await
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
                self.unanswered.store(0, Ordering::Relaxed);
                Fate::Done(deed)
            }
            Err(error) => {
                if self.is_lost(&error) {
                    self.lost.store(true, Ordering::Relaxed);
                }
                Fate::Failed(error)
            }
        }
    }

    /// Whether the error says that the next request would fare no better.
    fn is_lost(&self, error: &Error) -> bool {
        if is_unanswered(error) {
            // One alone may be the object's own: a webhook that hangs.
            return self.unanswered.fetch_add(1, Ordering::Relaxed) + 1 >= MAX_UNANSWERED;
        }
        matches!(error, Error::Unreachable(_))
    }
}

/// Whether the server had too little time. An object that does not go, or is refused, says nothing about the others.
fn is_unanswered(error: &Error) -> bool {
    match error {
        Error::Timeout(_) | Error::TooMany { .. } => true,
        Error::Unreachable(_)
        | Error::NotFound(_)
        | Error::NotInstalled(_)
        | Error::NoNamespace(_)
        | Error::FieldConflict(_)
        | Error::Moved(_)
        | Error::Unauthorized(_)
        | Error::Forbidden(_)
        | Error::Invalid(_)
        | Error::Schema(_)
        | Error::StillThere(_)
        | Error::Expired
        | Error::Server { .. }
        | Error::Garbled(_)
        | Error::TooMuch(_) => false,
    }
}

/// The steps of one kind whose action is `wanted`.
fn of_kind(plan: &Plan, kind: Kind, wanted: impl Fn(&Action) -> bool) -> Vec<&Step> {
    let steps = plan.steps.iter();
    steps
        .filter(|step| step.key.kind == kind && wanted(&step.action))
        .collect()
}

/// Names of the Workspaces that are not as declared.
fn not_applied(applied: &Applied) -> BTreeSet<String> {
    let blocked = applied.blocked.iter();
    let failed = applied.failed.iter().map(|it| &it.key);
    let skipped = applied.skipped.iter().map(|(key, _)| key);
    blocked
        .chain(failed)
        .chain(skipped)
        .filter(|key| key.kind == Kind::Workspace)
        .map(|key| key.name.to_string())
        .collect()
}

fn failed(key: Key, error: &Error) -> Failed {
    Failed {
        key,
        is_conflict: matches!(error, Error::FieldConflict(_) | Error::Moved(_)),
        refusal: error.refusal(),
        causes: causes(error),
    }
}

/// An error in words, with what caused it.
fn causes(error: &Error) -> Vec<String> {
    let mut causes = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        causes.push(cause.to_string());
        source = cause.source();
    }
    causes
}
