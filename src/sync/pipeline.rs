//! Plan, guard, apply and observe, in one place. A plan is made in three steps: `live` lists, `decide` compares,
//! `probe` asks the API server what would come of it.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::cluster;
use crate::cluster::Cluster;
use crate::model::Home;
use crate::model::Key;
use crate::model::Kind;
use crate::model::Namespace;
use crate::model::ObjectName;
use crate::model::Plan;
use crate::model::RepoPath;
use crate::model::Revision;
use crate::model::Snapshot;
use crate::model::SyncId;
use crate::model::object::DesiredSet;
use crate::model::plan::Action;
use crate::model::plan::Applied;
use crate::model::plan::Step;
use crate::model::problem::Place;
use crate::model::snapshot::Source;
use crate::sync::apply;
use crate::sync::apply::Progress;
use crate::sync::decide;
use crate::sync::guard::Cleared;
use crate::sync::ledger;
use crate::sync::live;
use crate::sync::observe;
use crate::sync::observe::Observed;
use crate::sync::observe::Tell;
use crate::sync::observe::Until;
use crate::sync::probe;
use crate::sync::saved::Witness;
use crate::sync::view::View;
use crate::sync::world::Identity;
use crate::sync::world::World;

/// Plans and applies configurations to one namespace of a cluster.
#[derive(Clone)]
pub struct Pipeline {
    cluster: Cluster,
    options: Options,
}

/// How far a sync may go.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct Options {
    /// Take objects that belong to no sync, or to this one in another source.
    pub adopt: bool,
    /// Take fields of other managers on objects that are being adopted.
    pub force_conflicts: bool,
    /// On objects that are being adopted, inherit the fields that client-side kubectl left: what of
    /// them is not declared goes, as if an earlier apply of ours had set it.
    pub take_ownership: bool,
    /// Delete what left the configuration.
    pub prune: bool,
    /// The id that this sync had before: its objects and the records of its runs become ours.
    pub take_over: Option<SyncId>,
    /// The file that this configuration was read from before, where the caller knows that it is the
    /// same configuration: what that file declared is as if this one had.
    pub moved_from: Option<Home>,
    pub probe: Probe,
    /// How long a replaced Task may take to go.
    pub gone: Duration,
}

/// How long a replaced Task may take to go where nobody says otherwise: its Pod's grace period of 30 s,
/// and time for what the Pod has to end.
const GONE: Duration = Duration::from_mins(2);

impl Default for Options {
    fn default() -> Self {
        Self {
            adopt: false,
            force_conflicts: false,
            take_ownership: false,
            prune: true,
            take_over: None,
            moved_from: None,
            probe: Probe::default(),
            gone: GONE,
        }
    }
}

/// Which steps the API server is asked about while planning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Probe {
    /// None: read rights suffice.
    Nothing,
    /// Updates.
    #[default]
    Updates,
    /// Updates and one creation: it tells whether there is a namespace to create anything in.
    First,
    /// Updates and creations.
    All,
}

/// What is to be planned.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    pub set: &'a DesiredSet,
    pub source: &'a Source,
    pub revision: &'a Revision,
    /// Path of the root file.
    pub root: &'a RepoPath,
}

impl<'a> Input<'a> {
    pub fn new(set: &'a DesiredSet, snapshot: &'a Snapshot) -> Self {
        Self {
            set,
            source: &snapshot.source,
            revision: &snapshot.revision,
            root: &snapshot.root,
        }
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "namespace \"{declared}\" of the configuration and the requested \"{requested}\" differ"
    )]
    Namespace {
        declared: Namespace,
        requested: Namespace,
    },
    #[error("cannot read from namespace \"{namespace}\"")]
    Read {
        namespace: Namespace,
        #[source]
        source: cluster::Error,
    },
    #[error("cannot ask the API server for dry runs in namespace \"{namespace}\"")]
    Probe {
        namespace: Namespace,
        #[source]
        source: cluster::Error,
    },
    #[error("{}", tell_missing(.missing))]
    Workspaces {
        missing: Vec<MissingWorkspace>,
        /// Some of those that are in the namespace.
        known: Vec<ObjectName>,
    },
}

/// Most Workspaces that an error names: a list that a person reads.
const MAX_KNOWN: usize = 10;

/// A Workspace that is named, but neither declared nor in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingWorkspace {
    pub name: ObjectName,
    pub place: Place,
}

/// The namespace that a configuration goes to: its own or the requested one, which must not differ,
/// else `default`.
pub fn target_namespace(
    set: &DesiredSet,
    requested: Option<Namespace>,
    default: Namespace,
) -> Result<Namespace, Error> {
    match (&set.namespace, requested) {
        (Some(declared), Some(requested)) if *declared != requested => Err(Error::Namespace {
            declared: declared.clone(),
            requested,
        }),
        (Some(declared), _) => Ok(declared.clone()),
        (None, Some(requested)) => Ok(requested),
        (None, None) => Ok(default),
    }
}

impl Pipeline {
    pub fn new(cluster: Cluster, options: Options) -> Self {
        Self { cluster, options }
    }

    /// What is to be done to make the cluster equal to the configuration. Writes nothing; where
    /// nothing differs, it sends four LISTs and no other request.
    pub async fn plan(&self, input: Input<'_>) -> Result<Plan, Error> {
        Ok(self.look_and_plan(input, None).await?.0)
    }

    /// The same, for a namespace that was looked at already: names that it does not have are not asked for
    /// again. Where one has come since, its creation fails.
    pub async fn plan_again(&self, input: Input<'_>, seen: &View) -> Result<Plan, Error> {
        Ok(self.look_and_plan(input, Some(seen)).await?.0)
    }

    /// The plan, and what of the cluster it rests on: what a saved plan is compared by.
    pub async fn plan_witnessed(&self, input: Input<'_>) -> Result<(Plan, Witness), Error> {
        self.look_and_plan(input, None).await
    }

    async fn look_and_plan(
        &self,
        input: Input<'_>,
        seen: Option<&View>,
    ) -> Result<(Plan, Witness), Error> {
        let namespace = self.cluster.namespace();
        let identity = self.identity(input);
        let world = live::read(&self.cluster, input.set, &identity, &self.options, seen)
            .await
            .map_err(|source| Error::Read {
                namespace: namespace.clone(),
                source,
            })?;
        let steps = decide::steps(input.set, &world, &identity, &self.options);
        named_workspaces(input.set, &world, &steps)?;
        let manager = identity.manager();
        let steps = probe::refine(&self.cluster, steps, &world, &manager, self.options.probe)
            .await
            .map_err(|source| Error::Probe {
                namespace: namespace.clone(),
                source,
            })?;
        let witness = Witness::of(&world);
        Ok((planned(input, &world, identity, steps), witness))
    }

    /// The plan for a namespace that was already looked at. Pure, and it asks for no dry runs: whether
    /// it has changes tells whether [`Self::plan`] is worth its requests.
    pub fn plan_seen(&self, input: Input<'_>, view: &View) -> Result<Plan, Error> {
        let identity = self.identity(input);
        let world = view.world(input.set, &identity);
        let steps = decide::steps(input.set, &world, &identity, &self.options);
        named_workspaces(input.set, &world, &steps)?;
        Ok(planned(input, &world, identity, steps))
    }

    fn identity(&self, input: Input<'_>) -> Identity {
        let home = Home::new(input.source, input.root);
        let sync = input.set.sync.clone().unwrap_or_else(|| home.sync_id());
        Identity {
            namespace: self.cluster.namespace().clone(),
            old: self.options.take_over.clone().filter(|old| *old != sync),
            sync,
            old_home: self.options.moved_from.clone().filter(|old| *old != home),
            home,
        }
    }

    /// Carries a plan out. Errors of single objects are in the result.
    pub async fn apply(&self, plan: Cleared<'_>, stop: &CancellationToken) -> Applied {
        self.apply_telling(plan, stop, &|_, _| {}).await
    }

    /// Carries a plan out, and tells of each object as its turn ends.
    pub async fn apply_telling(
        &self,
        plan: Cleared<'_>,
        stop: &CancellationToken,
        tell: &(dyn Fn(&Key, Progress) + Send + Sync),
    ) -> Applied {
        apply::apply(&self.cluster, plan.plan(), self.options.gone, stop, tell).await
    }

    /// Waits for the Tasks of a plan, and tells of each change.
    pub async fn observe(
        &self,
        plan: &Plan,
        until: Until,
        stop: &CancellationToken,
        tell: Tell<'_>,
    ) -> Result<Observed, cluster::Error> {
        observe::wait(&self.cluster, plan, until, stop, tell).await
    }
}

fn planned(input: Input<'_>, world: &World, identity: Identity, steps: Vec<Step>) -> Plan {
    let tasks = input.set.objects.iter();
    Plan {
        declared: input.set.objects.len(),
        members: world.members(&identity).count(),
        runs: tasks
            .filter_map(|it| Some((it.key.name.clone(), it.run.clone()?)))
            .collect(),
        ledger: ledger::steps(input.set, world, &identity, &steps),
        namespace: identity.namespace,
        sync: identity.sync,
        takes_over: identity.old,
        home: identity.home,
        revision: input.revision.clone(),
        steps,
    }
}

/// Workspaces that are named but not declared must be there, and stay.
fn named_workspaces(set: &DesiredSet, world: &World, steps: &[Step]) -> Result<(), Error> {
    let is_there = |name: &ObjectName| {
        world
            .objects
            .keys()
            .any(|key| key.kind == Kind::Workspace && key.name == *name)
            && !steps.iter().any(|step| {
                matches!(step.action, Action::Delete { .. })
                    && step.key.kind == Kind::Workspace
                    && step.key.name == *name
            })
    };
    let missing: Vec<MissingWorkspace> = set
        .external_workspaces
        .iter()
        .filter(|(name, _)| !is_there(name))
        .map(|(name, place)| MissingWorkspace {
            name: name.clone(),
            place: place.clone(),
        })
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        let workspaces = world.objects.keys();
        let known = workspaces.filter(|key| key.kind == Kind::Workspace);
        let known = known.map(|key| key.name.clone()).take(MAX_KNOWN).collect();
        Err(Error::Workspaces { missing, known })
    }
}

fn tell_missing(workspaces: &[MissingWorkspace]) -> String {
    let each: Vec<String> = workspaces
        .iter()
        .map(|it| {
            format!(
                "{}: Workspace \"{}\" is neither declared nor in the cluster",
                it.place, it.name
            )
        })
        .collect();
    each.join("\n")
}
