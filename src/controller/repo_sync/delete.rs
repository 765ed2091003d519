//! What becomes of a RepoSync's objects when it is deleted.
//!
//! With `deletionPolicy: Delete` a finalizer holds the RepoSync until its objects are deleted. It does
//! not hold it for ever: where the namespace goes, or the rights have gone, the objects are left to
//! whoever takes care of them, and an event says so.

use futures::FutureExt as _;
use kube::Api;
use kube::Client;
use kube::ResourceExt as _;
use kube::api::Patch;
use kube::api::PatchParams;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::behind;
use super::settings::Settings;
use crate::api::RepoSync;
use crate::api::repo_sync::DeletionPolicy;
use crate::cluster;
use crate::cluster::Cluster;
use crate::controller::FIELD_MANAGER;
use crate::model::RepoPath;
use crate::model::SyncId;
use crate::model::object::DesiredSet;
use crate::model::plan::Applied;
use crate::model::plan::Failed;
use crate::model::plan::Refusal;
use crate::model::snapshot::Source;
use crate::sync;
use crate::sync::Allow;
use crate::sync::Input;
use crate::sync::Pipeline;
use crate::sync::guard;

/// Our finalizer.
const FINALIZER: &str = "axon.io/sync";

/// What deleting the objects came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Removal {
    /// So many are deleted.
    Done(usize),
    /// They are left; why.
    GivenUp(String),
    /// It is to be tried again.
    Again(String),
}

/// Whether the finalizer is on the object.
pub(super) fn is_held(sync: &RepoSync) -> bool {
    sync.finalizers().iter().any(|it| it == FINALIZER)
}

/// Sets the finalizer, or takes it away, as the spec wants it. Gives the object, if that was written.
pub(super) async fn prepare(
    syncs: &Api<RepoSync>,
    sync: &RepoSync,
) -> Result<Option<RepoSync>, kube::Error> {
    match (sync.spec.deletion_policy, is_held(sync)) {
        (DeletionPolicy::Delete, false) => set_finalizer(syncs, sync, true).await.map(Some),
        (DeletionPolicy::Orphan, true) => set_finalizer(syncs, sync, false).await.map(Some),
        (DeletionPolicy::Delete, true) | (DeletionPolicy::Orphan, false) => Ok(None),
    }
}

/// Lets the object go.
pub(super) async fn release(syncs: &Api<RepoSync>, sync: &RepoSync) -> Result<(), kube::Error> {
    match set_finalizer(syncs, sync, false).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Deletes the objects of `sync`: those, and with those rights, that applying an empty configuration
/// would, from where they were last applied from. The spec may have been edited since.
pub(super) async fn objects(
    client: &Client,
    sync: &RepoSync,
    settings: &Settings,
    stop: &CancellationToken,
) -> Removal {
    let Some(owner) = Owner::of(sync, settings) else {
        // It never had any.
        return Removal::Done(0);
    };
    let cluster = Cluster::new(client.clone(), settings.namespace.clone());
    let done = match delete(&cluster, settings, &owner, stop).await {
        Ok(applied) => removal(&applied),
        Err(sync::Error::Read { source, .. } | sync::Error::Probe { source, .. }) => {
            if is_out_of_reach(&source) {
                Removal::GivenUp(source.to_string())
            } else {
                Removal::Again(source.to_string())
            }
        }
        Err(error @ (sync::Error::Namespace { .. } | sync::Error::Workspaces { .. })) => {
            Removal::Again(error.to_string())
        }
    };
    match &done {
        Removal::Done(_) => behind::of(&cluster, &owner).await.unwrap_or(done),
        Removal::GivenUp(_) | Removal::Again(_) => done,
    }
}

/// Whose the objects are that go.
pub(super) struct Owner {
    pub(super) id: SyncId,
    pub(super) source: Source,
    pub(super) root: RepoPath,
}

impl Owner {
    fn of(sync: &RepoSync, settings: &Settings) -> Option<Self> {
        let status = sync.status.as_ref()?;
        let known = status.in_force.as_ref().and_then(|it| {
            Some(Self {
                id: SyncId::parse(&it.sync).ok()?,
                source: Source {
                    canonical: it.source.clone(),
                    url: None,
                },
                root: RepoPath::parse(&it.path).ok()?,
            })
        });
        known.or_else(|| {
            Some(Self {
                id: SyncId::parse(status.sync.as_deref()?).ok()?,
                source: settings.source(),
                root: settings.root.clone(),
            })
        })
    }
}

async fn delete(
    cluster: &Cluster,
    settings: &Settings,
    owner: &Owner,
    stop: &CancellationToken,
) -> Result<Applied, sync::Error> {
    let cluster = match &settings.writer {
        Some(user) => cluster.clone().writing_as(user.clone()),
        None => cluster.clone(),
    };
    let set = DesiredSet {
        has_config: true,
        sync: Some(owner.id.clone()),
        ..DesiredSet::default()
    };
    let pipeline = Pipeline::new(cluster, sync::Options::default());
    let plan = pipeline
        .plan(Input {
            set: &set,
            source: &owner.source,
            revision: &Settings::no_revision(),
            root: &owner.root,
        })
        .boxed()
        .await?;
    let allow = Allow {
        deletes: Some(plan.summary().delete),
        ..Allow::default()
    };
    let cleared = guard::clear(&plan, allow).expect("exactly these deletions are allowed");
    Ok(pipeline.apply(cleared, stop).boxed().await)
}

fn removal(applied: &Applied) -> Removal {
    let told = |of: &mut dyn Iterator<Item = &Failed>| {
        let failed = of.next()?;
        Some(format!("{}: {}", failed.key, failed.causes.join(": ")))
    };
    let is_lasting = |it: &&Failed| it.refusal == Some(Refusal::Forbidden);
    if let Some(why) = told(&mut applied.failed.iter().filter(|it| !is_lasting(it))) {
        return Removal::Again(why);
    }
    if let Some(why) = told(&mut applied.failed.iter()) {
        return Removal::GivenUp(why);
    }
    if applied.skipped.is_empty() {
        Removal::Done(applied.done.len())
    } else {
        Removal::Again("it was interrupted".into())
    }
}

fn is_out_of_reach(error: &cluster::Error) -> bool {
    matches!(
        error,
        cluster::Error::Forbidden(_)
            | cluster::Error::NoNamespace(_)
            | cluster::Error::NotInstalled(_)
    )
}

async fn set_finalizer(
    syncs: &Api<RepoSync>,
    sync: &RepoSync,
    wanted: bool,
) -> Result<RepoSync, kube::Error> {
    let others = sync.finalizers().iter().filter(|it| *it != FINALIZER);
    let mut all: Vec<&str> = others.map(String::as_str).collect();
    if wanted {
        all.push(FINALIZER);
    }
    // With the version: finalizers that others set meanwhile are not lost.
    let patch = json!({"metadata": {
        "resourceVersion": sync.metadata.resource_version,
        "finalizers": all,
    }});
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let name = sync.name_any();
    syncs.patch(&name, &parameters, &Patch::Merge(&patch)).await
}
