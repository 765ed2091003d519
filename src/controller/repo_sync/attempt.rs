//! Brings the namespace to what a configuration says: load, plan, guard, apply.
//!
//! The plan is made from the watch caches. Only where that has changes is the API server asked, and
//! the plan that is then carried out is made from its answer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use kube::Client;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::begin::Begin;
use super::gate;
use super::gate::Answers;
use super::gate::Held;
use super::gate::Passed;
use super::outcome;
use super::outcome::Outcome;
use super::own::Standing;
use super::reason::Reason;
use super::reason::Trouble;
use super::settings::Settings;
use super::view::View;
use crate::api::repo_sync::ObjectCounts;
use crate::api::repo_sync::RepoSyncSpec;
use crate::cluster::Cluster;
use crate::controller::loading;
use crate::model::Digest;
use crate::model::Home;
use crate::model::Key;
use crate::model::Kind;
use crate::model::Plan;
use crate::model::Snapshot;
use crate::model::SyncId;
use crate::model::object::DesiredSet;
use crate::sync;
use crate::sync::Input;
use crate::sync::Pipeline;

/// How long the caches may take to be filled before the API server is asked instead.
const FILL: Duration = Duration::from_secs(10);
/// How long a replaced Task may take to go: its Pod's grace period of 30 s, and what ending takes. Newer
/// commits wait meanwhile; when it goes later, the watch tells.
const GONE: Duration = Duration::from_secs(45);
/// How soon to come back where an older RepoSync must be looked at first.
const ITS_TURN: Duration = Duration::from_secs(1);

/// What trying needs.
pub(super) struct Trial<'a> {
    pub(super) client: &'a Client,
    pub(super) view: &'a View,
    pub(super) spec: &'a RepoSyncSpec,
    pub(super) settings: &'a Settings,
    pub(super) answers: &'a Answers,
    /// Digest of the files.
    pub(super) configuration: Digest,
    /// Cancelled when the controller stops: heard between objects.
    pub(super) stop: &'a CancellationToken,
    /// What the caches say may be behind what was just written, and nobody would tell.
    pub(super) ask_anew: bool,
    pub(super) begin: &'a Begin<'a>,
}

/// What trying came to.
#[derive(Debug)]
pub(super) enum Tried {
    Ended(Box<End>),
    /// It was not the time for it.
    Later(Duration),
}

/// How it ended.
#[derive(Debug)]
pub(super) struct End {
    pub(super) outcome: Outcome,
    /// The id, where it is ours.
    pub(super) sync: Option<SyncId>,
    /// What was written.
    pub(super) counts: Option<ObjectCounts>,
    /// Whose change makes it worth another try.
    pub(super) in_the_way: BTreeSet<Key>,
    /// Objects that may be of the sync and do not prove it.
    pub(super) unproven: Vec<Key>,
}

impl Trial<'_> {
    /// Loads the configuration; says what its id is.
    pub(super) async fn load(
        &self,
        snapshot: &Arc<Snapshot>,
    ) -> Result<(DesiredSet, SyncId), Tried> {
        let Some(loaded) = loading::load(snapshot).await else {
            return Err(Tried::Later(ITS_TURN));
        };
        let accepted = loaded
            .map_err(|problems| outcome::invalid(&problems))
            .and_then(|loaded| self.accept(loaded.set, snapshot));
        accepted.map_err(|trouble| End::troubled(trouble).into())
    }

    fn accept(
        &self,
        set: DesiredSet,
        snapshot: &Snapshot,
    ) -> Result<(DesiredSet, SyncId), Trouble> {
        let own = &self.settings.namespace;
        sync::target_namespace(&set, Some(own.clone()), own.clone()).map_err(|error| {
            let hint = "a RepoSync writes to its own namespace only";
            Trouble::of(Reason::InvalidConfig, &error, hint)
        })?;
        let home = Home::new(&snapshot.source, &snapshot.root);
        let id = set.sync.clone().unwrap_or_else(|| home.sync_id());
        Ok((set, id))
    }

    /// Does what is to be done, if the id is ours.
    pub(super) async fn attempt(
        &self,
        set: &DesiredSet,
        snapshot: &Snapshot,
        id: SyncId,
        standing: Standing,
    ) -> Tried {
        match standing {
            Standing::Owner => {}
            Standing::Unclear(older) => {
                tracing::debug!(older, "waits until an older RepoSync was looked at");
                return Tried::Later(ITS_TURN);
            }
            Standing::Taken(older) => {
                let message = format!(
                    "sync id \"{id}\" is taken by RepoSync \"{older}\", which is older; delete one of them, or give this configuration another \"sync:\""
                );
                let trouble = Trouble::new(Reason::NotOwned, message);
                return End::troubled(trouble).into();
            }
        }
        let input = Input::new(set, snapshot);
        let mut end = match self.carry_out(input, &id).boxed().await {
            Ok(Some(end)) => end,
            // The controller stops; another goes on where this one was.
            Ok(None) => return Tried::Later(ITS_TURN),
            Err(error) => failed(&error),
        };
        end.sync = Some(id);
        end.into()
    }

    async fn carry_out(&self, input: Input<'_>, id: &SyncId) -> Result<Option<End>, sync::Error> {
        let cluster = Cluster::new(self.client.clone(), self.settings.namespace.clone());
        let cluster = match &self.settings.writer {
            Some(user) => cluster.writing_as(user.clone()),
            None => cluster,
        };
        let options = sync::Options {
            prune: self.spec.prune,
            gone: GONE,
            ..sync::Options::default()
        };
        let pipeline = Pipeline::new(cluster, options);
        let plan = match self.seen(input.set, id).await {
            Some(seen) => {
                let plan = pipeline.plan_seen(input, &seen)?;
                if !plan.has_work() {
                    return Ok(Some(End::of_rest(&plan)));
                }
                pipeline.plan_again(input, &seen).boxed().await?
            }
            None => pipeline.plan(input).boxed().await?,
        };
        if !plan.has_work() {
            return Ok(Some(End::of_rest(&plan)));
        }
        let Passed { cleared, approved } = match self.pass(&plan) {
            Ok(passed) => passed,
            Err(held) => {
                let outcome = Outcome::Held(held.trouble, held.plan);
                return Ok(Some(End::new(outcome, &plan)));
            }
        };
        if plan.summary().has_changes() {
            self.begin.say(&plan, approved).await;
        }
        let applied = pipeline.apply(cleared, self.stop).boxed().await;
        if outcome::is_interrupted(&applied) {
            return Ok(None);
        }
        let mut end = End::new(Outcome::of(&plan, &applied), &plan);
        end.counts = outcome::counts(&applied);
        Ok(Some(end))
    }

    fn pass<'p>(&self, plan: &'p Plan) -> Result<Passed<'p>, Box<Held>> {
        let status = self.begin.sync.status.as_ref();
        let begun = status.and_then(|it| it.approved.as_ref());
        let (approval, answers) = (self.spec.approval, self.answers);
        gate::pass(plan, &self.configuration, approval, answers, begun)
    }

    /// What the caches hold; nothing where they cannot be relied on.
    async fn seen(&self, set: &DesiredSet, id: &SyncId) -> Option<sync::View> {
        if self.ask_anew {
            return None;
        }
        if timeout(FILL, self.view.filled()).await.is_err() {
            tracing::warn!("the watches of declared objects are not there yet");
            return None;
        }
        let declares = |key: &Key| {
            let declared = set.objects.binary_search_by(|it| it.key.cmp(key)).is_ok();
            let named = || {
                set.external_workspaces
                    .iter()
                    .any(|(it, _)| *it == key.name)
            };
            declared || (key.kind == Kind::Workspace && named())
        };
        let namespace = self.settings.namespace.as_str();
        Some(self.view.of(namespace, id, declares))
    }
}

impl End {
    fn new(outcome: Outcome, plan: &Plan) -> Self {
        Self {
            outcome,
            sync: None,
            counts: None,
            in_the_way: outcome::blocked(plan),
            unproven: outcome::unproven(plan),
        }
    }

    fn of_rest(plan: &Plan) -> Self {
        Self::new(Outcome::of_rest(plan), plan)
    }

    /// Of a configuration that is in force, whatever has become of the objects since.
    pub(super) fn settled(id: SyncId) -> Self {
        Self {
            outcome: Outcome::Synced,
            sync: Some(id),
            counts: None,
            in_the_way: BTreeSet::new(),
            unproven: Vec::new(),
        }
    }

    pub(super) fn troubled(trouble: Trouble) -> Self {
        Self {
            outcome: Outcome::Troubled(trouble),
            sync: None,
            counts: None,
            in_the_way: BTreeSet::new(),
            unproven: Vec::new(),
        }
    }
}

impl From<End> for Tried {
    fn from(end: End) -> Self {
        Self::Ended(Box::new(end))
    }
}

/// Why there is no plan. What is missing is waited for.
fn failed(error: &sync::Error) -> End {
    match error {
        sync::Error::Namespace { .. } => {
            End::troubled(Trouble::of(Reason::InvalidConfig, error, ""))
        }
        sync::Error::Workspaces { missing, .. } => {
            let hint = "declare the Workspace, or create it in this namespace";
            let mut end = End::troubled(Trouble::of(Reason::InvalidConfig, error, hint));
            let missing = missing.iter().map(|it| Key {
                kind: Kind::Workspace,
                name: it.name.clone(),
            });
            end.in_the_way = missing.collect();
            end
        }
        sync::Error::Read { source, .. } | sync::Error::Probe { source, .. } => {
            let trouble = Trouble::of(Reason::ApplyFailed, error, "");
            End::troubled(match source.refusal() {
                Some(_) => trouble.for_good(),
                None => trouble,
            })
        }
    }
}
