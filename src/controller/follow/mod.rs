//! Keeps a namespace equal to a source while the source changes.
//!
//! What it does is told as [`Event`]s; it prints nothing.

mod lineage;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::cluster::Cluster;
use crate::controller::follow::watch::Folders;
use crate::controller::loading;
use crate::model::Diagnostic;
use crate::model::Namespace;
use crate::model::Plan;
use crate::model::RepoPath;
use crate::model::Revision;
use crate::model::Snapshot;
use crate::model::digest::Digest;
use crate::model::plan::Applied;
use crate::repo;
use crate::repo::Reference;
use crate::repo::Repository;
use crate::sync;
use crate::sync::Allow;
use crate::sync::Input;
use crate::sync::Pipeline;
use crate::sync::Refusal;
use crate::sync::guard;
use crate::sync::load;

pub use lineage::Lineage;

/// First and longest pause before what failed is tried again.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));

/// A source, and where it is applied.
pub struct Follower {
    pub client: Client,
    /// The namespace that was asked for; the configuration's own if there is none.
    pub namespace: Option<Namespace>,
    /// The namespace where neither names one.
    pub default_namespace: Namespace,
    pub repository: Repository,
    pub reference: Reference,
    /// Path of `axon.yaml` in the repository.
    pub root: RepoPath,
    /// What a Workspace without `repo` stands for, in place of what the source says.
    pub workspace_url: Option<String>,
    pub options: sync::Options,
    /// What it was applied as last, in a cluster of its own.
    pub lineage: Option<Lineage>,
    pub allow: Allow,
}

/// What makes the loop look again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// The time.
    Every(Duration),
    /// A change of the files in this directory, the top of what is read.
    Changes(PathBuf),
}

/// What the loop saw or did.
#[derive(Debug)]
pub enum Event {
    /// The configuration was read.
    Loaded {
        revision: Revision,
        warnings: Vec<Diagnostic>,
    },
    /// The configuration is broken; the cluster stays as it is.
    Invalid(Vec<Diagnostic>),
    /// This is about to be applied.
    Planned(Box<Plan>),
    /// The plan was not agreed to; the cluster stays as it is.
    Declined,
    /// This was applied, and the namespace it was applied to.
    Applied(Applied),
    /// A guard refused the plan.
    Refused(Vec<Refusal>),
    /// It could not be done now; the cluster stays as it is.
    Failed(Error),
}

/// Why one look came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the configuration")]
    Read(#[source] repo::Error),
    #[error("cannot plan")]
    Plan(#[source] sync::Error),
    #[error("cannot watch the directory")]
    Watch(#[source] notify::Error),
}

/// How one look ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// The cluster is as the source says, as far as the plan could make it so.
    Done,
    /// Only an edit helps.
    Stalled,
    /// It may go better later.
    Again,
}

impl Follower {
    /// Looks once, and applies what it finds. Each event is awaited before the next thing happens.
    pub async fn once(&self, mut report: impl AsyncFnMut(Event), stop: &CancellationToken) -> Look {
        match self.snapshot().await {
            Ok(snapshot) => {
                let ask = async |_: &Plan| true;
                self.apply(&snapshot, &mut report, &ask, stop).await
            }
            Err(error) => {
                report(Event::Failed(Error::Read(error))).await;
                Look::Again
            }
        }
    }

    /// Looks and applies, again and again as the trigger says, until `stop`.
    pub async fn run(
        &self,
        trigger: Trigger,
        report: impl AsyncFnMut(Event),
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        self.run_asking(trigger, report, async |_: &Plan| true, stop)
            .await
    }

    /// As [`Self::run`], and applies only what `ask` agrees to.
    pub async fn run_asking(
        &self,
        trigger: Trigger,
        mut report: impl AsyncFnMut(Event),
        ask: impl AsyncFn(&Plan) -> bool,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        let mut told = Told::default();
        let mut report = async |event: Event| {
            if told.is_news(&event) {
                report(event).await;
            }
        };
        let mut trigger = Watch::new(trigger, &self.root)?;
        let mut settled: Option<Digest> = None;
        let mut pause = RETRY.0;
        loop {
            let retry = match self
                .look(&mut settled, &mut trigger, &mut report, &ask, stop)
                .await
            {
                Look::Again => Some(pause),
                Look::Done | Look::Stalled => None,
            };
            pause = if retry.is_some() {
                (pause * 2).min(RETRY.1)
            } else {
                RETRY.0
            };
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = trigger.next() => {}
                () = after(retry) => {}
            }
        }
    }

    async fn look(
        &self,
        settled: &mut Option<Digest>,
        trigger: &mut Watch,
        report: &mut impl AsyncFnMut(Event),
        ask: &impl AsyncFn(&Plan) -> bool,
        stop: &CancellationToken,
    ) -> Look {
        let snapshot = match self.snapshot().await {
            Ok(snapshot) => snapshot,
            Err(error) => {
                report(Event::Failed(Error::Read(error))).await;
                return Look::Again;
            }
        };
        trigger.follow(&snapshot);
        let digest = snapshot.digest();
        if *settled == Some(digest) {
            return Look::Done;
        }
        let look = self.apply(&snapshot, report, ask, stop).await;
        // What only an edit can mend is not told again and again.
        *settled = (look != Look::Again).then_some(digest);
        look
    }

    async fn snapshot(&self) -> Result<Arc<Snapshot>, repo::Error> {
        let tip = self.repository.resolve(&self.reference).await?;
        let mut snapshot = self
            .repository
            .snapshot(&tip, &self.root, load::includes)
            .await?;
        if self.workspace_url.is_some() {
            snapshot.source.url.clone_from(&self.workspace_url);
        }
        Ok(Arc::new(snapshot))
    }

    async fn apply(
        &self,
        snapshot: &Arc<Snapshot>,
        report: &mut impl AsyncFnMut(Event),
        ask: &impl AsyncFn(&Plan) -> bool,
        stop: &CancellationToken,
    ) -> Look {
        let loaded = match loading::load(snapshot).await {
            Some(Ok(loaded)) => loaded,
            Some(Err(problems)) => {
                report(Event::Invalid(problems)).await;
                return Look::Stalled;
            }
            None => return Look::Again,
        };
        report(Event::Loaded {
            revision: snapshot.revision.clone(),
            warnings: loaded.warnings,
        })
        .await;
        let (pipeline, plan) = match self.plan(&Input::new(&loaded.set, snapshot)).await {
            Ok(planned) => planned,
            Err(error) => {
                report(Event::Failed(Error::Plan(error))).await;
                return Look::Again;
            }
        };
        report(Event::Planned(Box::new(plan.clone()))).await;
        if !plan.summary().has_changes() {
            self.keep(&plan);
            return self.mark(&pipeline, &plan, stop).await;
        }
        match guard::clear(&plan, self.allow) {
            Err(refusal) => {
                report(Event::Refused(refusal)).await;
                Look::Stalled
            }
            Ok(_) if !ask(&plan).await => {
                report(Event::Declined).await;
                Look::Stalled
            }
            Ok(cleared) => {
                let applied = pipeline.apply(cleared, stop).await;
                let look = if applied.is_complete() {
                    self.keep(&plan);
                    settled(&plan)
                } else {
                    Look::Again
                };
                report(Event::Applied(applied)).await;
                look
            }
        }
    }

    /// Keeps what a plan that is in force was made of, for the next one.
    fn keep(&self, plan: &Plan) {
        let sum = plan.summary();
        if let (Some(lineage), 0) = (&self.lineage, sum.conflicts + sum.refused)
            && let Err(error) = lineage.keep(plan)
        {
            tracing::warn!(%error, "cannot keep what was applied");
        }
    }

    /// Marks the records of runs that left the configuration: no change that anybody is asked about.
    async fn mark(&self, pipeline: &Pipeline, plan: &Plan, stop: &CancellationToken) -> Look {
        if plan.has_work()
            && let Ok(cleared) = guard::clear(plan, self.allow)
        {
            pipeline.apply(cleared, stop).await;
        }
        settled(plan)
    }

    async fn plan(&self, input: &Input<'_>) -> Result<(Pipeline, Plan), sync::Error> {
        let namespace = sync::target_namespace(
            input.set,
            self.namespace.clone(),
            self.default_namespace.clone(),
        )?;
        let options = match &self.lineage {
            Some(lineage) => lineage.extend(&self.options),
            None => self.options.clone(),
        };
        let pipeline = Pipeline::new(Cluster::new(self.client.clone(), namespace), options);
        let plan = pipeline.plan(*input).await?;
        Ok((pipeline, plan))
    }
}

/// What was told last: the same again is no news.
#[derive(Default)]
struct Told {
    loaded: Option<(Revision, Vec<Diagnostic>)>,
    failed: Option<String>,
}

impl Told {
    fn is_news(&mut self, event: &Event) -> bool {
        match event {
            Event::Loaded { revision, warnings } => {
                let now = Some((revision.clone(), warnings.clone()));
                std::mem::replace(&mut self.loaded, now.clone()) != now
            }
            Event::Failed(error) => {
                let first: &dyn std::error::Error = error;
                let causes = std::iter::successors(Some(first), |it| it.source());
                let causes: Vec<String> = causes.map(ToString::to_string).collect();
                let now = Some(causes.join(": "));
                std::mem::replace(&mut self.failed, now.clone()) != now
            }
            Event::Invalid(_)
            | Event::Planned(_)
            | Event::Declined
            | Event::Applied(_)
            | Event::Refused(_) => {
                self.failed = None;
                true
            }
        }
    }
}

/// A trigger at work.
enum Watch {
    Every(Duration),
    Changes(Folders),
}

impl Watch {
    fn new(trigger: Trigger, root: &RepoPath) -> Result<Self, Error> {
        match trigger {
            Trigger::Every(interval) => Ok(Self::Every(interval)),
            Trigger::Changes(top) => Folders::new(&top, root)
                .map(Self::Changes)
                .map_err(Error::Watch),
        }
    }

    fn follow(&mut self, snapshot: &Snapshot) {
        match self {
            Self::Every(_) => {}
            Self::Changes(folders) => folders.follow(snapshot),
        }
    }

    async fn next(&mut self) {
        match self {
            Self::Every(interval) => sleep(*interval).await,
            Self::Changes(folders) => folders.changed().await,
        }
    }
}

/// How a look ends that did all that could be done.
fn settled(plan: &Plan) -> Look {
    let sum = plan.summary();
    if sum.conflicts + sum.refused > 0 {
        Look::Stalled
    } else {
        Look::Done
    }
}

async fn after(pause: Option<Duration>) {
    match pause {
        Some(pause) => sleep(pause).await,
        None => std::future::pending().await,
    }
}
