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

use super::settings::Settings;
use crate::api::RepoSync;
use crate::api::repo_sync::DeletionPolicy;
use crate::cluster;
use crate::cluster::Cluster;
use crate::controller::FIELD_MANAGER;
use crate::model::SyncId;
use crate::model::object::DesiredSet;
use crate::model::plan::Applied;
use crate::model::plan::Failed;
use crate::model::plan::Refusal;
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
/// would.
pub(super) async fn objects(
    client: &Client,
    sync: &RepoSync,
    settings: &Settings,
    stop: &CancellationToken,
) -> Removal {
    let id = sync.status.as_ref().and_then(|it| it.sync.as_deref());
    let Some(id) = id.and_then(|it| SyncId::parse(it).ok()) else {
        // It never had any.
        return Removal::Done(0);
    };
    let set = DesiredSet {
        has_config: true,
        sync: Some(id),
        ..DesiredSet::default()
    };
    match delete(client, settings, &set, stop).await {
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
    }
}

async fn delete(
    client: &Client,
    settings: &Settings,
    set: &DesiredSet,
    stop: &CancellationToken,
) -> Result<Applied, sync::Error> {
    let cluster = Cluster::new(client.clone(), settings.namespace.clone());
    let cluster = match &settings.writer {
        Some(user) => cluster.writing_as(user.clone()),
        None => cluster,
    };
    let pipeline = Pipeline::new(cluster, sync::Options::default());
    let (source, revision) = (settings.source(), Settings::no_revision());
    let plan = pipeline
        .plan(Input {
            set,
            source: &source,
            revision: &revision,
            root: &settings.root,
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
