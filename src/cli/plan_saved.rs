//! A plan is saved, and carried out later as it was saved or not at all.

use std::path::Path;

use jiff::SignedDuration;
use jiff::Timestamp;

use crate::api::plan::FORMAT_VERSION;
use crate::api::plan::PlanRevision;
use crate::api::plan::SavedCluster;
use crate::api::plan::SavedKind;
use crate::api::plan::SavedOptions;
use crate::api::plan::SavedPlan;
use crate::api::plan::SavedSource;
use crate::cli::args::Global;
use crate::cli::commands::plan::Allowance;
use crate::cli::commands::plan::Planned;
use crate::cli::commands::plan::Reach;
use crate::cli::commands::plan::plan_loaded;
use crate::cli::commands::plan::with_hint;
use crate::cli::connect::Target;
use crate::cli::connect::connect;
use crate::cli::exit::Exit;
use crate::cli::plan_file;
use crate::cli::plan_json;
use crate::cli::source;
use crate::cli::source::Source;
use crate::cli::source::loaded;
use crate::cli::ui;
use crate::cli::ui::Failure;
use crate::cluster::Cluster;
use crate::model::Namespace;
use crate::model::Snapshot;
use crate::model::SyncId;
use crate::model::duration::GoDuration;
use crate::repo::ErrorKind;
use crate::sync;
use crate::sync::Probe;
use crate::sync::saved;

/// Most moves that are told one by one.
const MAX_TOLD: usize = 20;

/// With what a plan was made.
pub(super) struct Made<'a> {
    pub(super) source: &'a source::Options,
    pub(super) reach: &'a Reach,
    pub(super) allowance: Allowance,
    pub(super) no_dry_run: bool,
    pub(super) expires: GoDuration,
}

/// Writes a plan to a file.
pub(super) async fn save(file: &Path, planned: &Planned, made: &Made<'_>) -> Result<(), Failure> {
    let Planned { plan, witness, .. } = planned;
    let now = plan_file::now();
    let expires = SignedDuration::try_from(made.expires.get())
        .ok()
        .and_then(|lasts| now.checked_add(lasts).ok())
        .ok_or_else(|| Failure::usage("--expires is beyond all calendars"))?;
    let cluster = identity(&planned.cluster, &planned.target).await?;
    if cluster.system.is_none() && cluster.namespace.is_none() {
        ui::warning(format_args!(
            "no namespace may be read: the saved plan knows the cluster by its address alone, {}",
            cluster.server
        ));
    }
    let plan = SavedPlan {
        kind: SavedKind::SavedPlan,
        format_version: FORMAT_VERSION,
        created: now.to_string(),
        expires: expires.to_string(),
        cluster,
        namespace: plan.namespace.to_string(),
        sync: plan.sync.to_string(),
        source: SavedSource {
            location: made.source.source.clone(),
            path: made.source.path.clone(),
            revision: plan_json::revision(&plan.revision),
        },
        options: SavedOptions {
            adopt: made.reach.adopt,
            force_conflicts: made.reach.force_conflicts,
            take_ownership: made.reach.take_ownership,
            take_over_sync: made.reach.take_over_sync.as_ref().map(SyncId::to_string),
            no_dry_run: made.no_dry_run,
            allow_delete: made.allowance.allow_delete,
            allow_runs: made.allowance.allow_runs,
        },
        digest: plan.digest().to_string(),
        steps: saved::steps(plan),
        objects: witness.objects(),
        records: witness.records(plan),
    };
    plan_file::write(file, &plan)?;
    ui::note(format_args!(
        "Saved until {}. Carry out exactly this: axon apply {}",
        plan.expires.get(..16).unwrap_or(&plan.expires),
        file.display()
    ));
    Ok(())
}

/// A saved plan, planned again and found to be the same.
pub(super) struct Confirmed {
    pub(super) planned: Planned,
    pub(super) allowance: Allowance,
}

/// Plans anew what was saved in `file`, and refuses if anything has moved. `access` says how the
/// source may be read.
pub(super) async fn confirm(
    global: &Global,
    file: &Path,
    access: &source::Options,
) -> Result<Confirmed, Failure> {
    let saved = plan_file::read(file)?;
    let namespace = in_time(file, &saved)?;
    let source = source(&saved, access).open()?;
    let target = same_target(global, file, &saved, &namespace).await?;
    let snapshot = same_files(file, &saved, &source).await?;
    let options = options(file, &saved)?;
    let loaded = loaded(&snapshot, source.base.as_deref())?;
    let planned = plan_loaded(&loaded.set, &snapshot, target, Some(namespace), options).await?;
    let sync = planned.plan.sync.as_str();
    if sync != saved.sync {
        let why = format!("it is of sync \"{}\", not \"{sync}\"", saved.sync);
        return Err(stale(file, vec![why]));
    }
    let moved = saved::moved(&saved, &planned.plan, &planned.witness);
    if !moved.is_empty() {
        let moved = moved.iter().map(ToString::to_string).collect();
        return Err(stale(file, moved));
    }
    if planned.plan.digest().to_string() != saved.digest {
        let why = "the records of runs were changed".to_owned();
        return Err(stale(file, vec![why]));
    }
    Ok(Confirmed {
        planned,
        allowance: Allowance {
            allow_delete: saved.options.allow_delete,
            allow_runs: saved.options.allow_runs,
        },
    })
}

/// The namespace of a plan whose time is not over.
fn in_time(file: &Path, saved: &SavedPlan) -> Result<Namespace, Failure> {
    let expires: Timestamp = saved
        .expires
        .parse()
        .map_err(|error: jiff::Error| damaged(file, &error))?;
    if expires <= plan_file::now() {
        return Err(stale(file, vec![format!("its time was over at {expires}")]));
    }
    Namespace::parse(&saved.namespace).map_err(|error| damaged(file, &error))
}

/// How far the plan may go.
fn options(file: &Path, saved: &SavedPlan) -> Result<sync::Options, Failure> {
    let take_over = saved.options.take_over_sync.as_deref();
    let take_over = take_over.map(SyncId::parse).transpose();
    let reach = Reach {
        adopt: saved.options.adopt,
        force_conflicts: saved.options.force_conflicts,
        take_ownership: saved.options.take_ownership,
        take_over_sync: take_over.map_err(|error| damaged(file, &error))?,
    };
    Ok(reach.options(if saved.options.no_dry_run {
        Probe::Nothing
    } else {
        Probe::All
    }))
}

/// Connects to the cluster that the plan was made for.
async fn same_target(
    global: &Global,
    file: &Path,
    saved: &SavedPlan,
    namespace: &Namespace,
) -> Result<Target, Failure> {
    let target = connect(global).await?;
    if global.namespace.is_some() && target.namespace != *namespace {
        return Err(Failure::usage(format!(
            "the plan in \"{}\" is for namespace \"{namespace}\", not \"{}\"",
            file.display(),
            target.namespace
        )));
    }
    let cluster = Cluster::new(target.client.clone(), namespace.clone());
    let here = identity(&cluster, &target).await?;
    same_cluster(&saved.cluster, &here).map_err(|moved| stale(file, vec![moved]))?;
    Ok(target)
}

/// Reads the files that the plan was made from.
async fn same_files(file: &Path, saved: &SavedPlan, source: &Source) -> Result<Snapshot, Failure> {
    let snapshot = match (source.try_read().await, &saved.source.revision) {
        (Ok(snapshot), _) => snapshot,
        (Err(error), PlanRevision::Commit(id)) if error.kind() == ErrorKind::NoReference => {
            let why = format!("the repository has no commit {id} any more");
            return Err(stale(file, vec![why]));
        }
        (Err(error), PlanRevision::Commit(id)) => {
            let hint = format!("the plan was made at commit {id}");
            return Err(source.unread(&error).hint(hint));
        }
        (Err(error), PlanRevision::Directory(_)) => return Err(source.unread(&error)),
    };
    if plan_json::revision(&snapshot.revision) == saved.source.revision {
        return Ok(snapshot);
    }
    let why = format!("the files in \"{}\" were changed", saved.source.location);
    Err(stale(file, vec![why]))
}

/// The source as it was, at the very revision.
fn source(saved: &SavedPlan, access: &source::Options) -> source::Options {
    source::Options {
        source: saved.source.location.clone(),
        path: saved.source.path.clone(),
        reference: match &saved.source.revision {
            PlanRevision::Commit(id) => Some(id.clone()),
            PlanRevision::Directory(_) => None,
        },
        ..access.clone()
    }
}

async fn identity(cluster: &Cluster, target: &Target) -> Result<SavedCluster, Failure> {
    let identity = cluster.identity().await.map_err(|error| {
        with_hint(
            Failure::new("cannot tell which cluster this is", &error),
            &error,
        )
    })?;
    Ok(SavedCluster {
        system: identity.system,
        namespace: identity.namespace,
        server: target.server.clone(),
    })
}

/// Compares by the best that both sides know.
fn same_cluster(saved: &SavedCluster, here: &SavedCluster) -> Result<(), String> {
    let by =
        |saved: &Option<String>, here: &Option<String>| Some(saved.as_ref()? == here.as_ref()?);
    let same = by(&saved.system, &here.system)
        .or_else(|| by(&saved.namespace, &here.namespace))
        .unwrap_or_else(|| {
            ui::warning("no namespace may be read: the cluster is known by its address alone");
            saved.server == here.server
        });
    if same {
        Ok(())
    } else {
        let (was, is) = (&saved.server, &here.server);
        Err(format!(
            "this is another cluster: it was planned at {was}, this is {is}"
        ))
    }
}

fn damaged(file: &Path, error: &dyn std::error::Error) -> Failure {
    let what = format!("cannot read the plan in \"{}\"", file.display());
    Failure::new(what, error)
}

fn stale(file: &Path, moved: Vec<String>) -> Failure {
    let what = format!("the plan in \"{}\" is stale", file.display());
    let mut failure = Failure::plain(what).exit(Exit::Stale);
    let beyond = moved.len().saturating_sub(MAX_TOLD);
    failure.causes = moved;
    failure.causes.truncate(MAX_TOLD);
    if beyond > 0 {
        failure.causes.push(format!("{beyond} further moves"));
    }
    failure.hint("plan again, and look at what is different now")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_are_compared_by_the_best_that_both_sides_know() {
        let cluster = |system: Option<&str>, namespace: Option<&str>, server: &str| SavedCluster {
            system: system.map(str::to_owned),
            namespace: namespace.map(str::to_owned),
            server: server.to_owned(),
        };
        let check = |saved: &SavedCluster, here: &SavedCluster, same| {
            assert_eq!(
                same_cluster(saved, here).is_ok(),
                same,
                "{saved:?} {here:?}"
            );
        };
        let full = cluster(Some("s"), Some("n"), "x");
        // By another way to the same cluster.
        check(&full, &cluster(Some("s"), Some("n"), "y"), true);
        check(&full, &cluster(Some("t"), Some("n"), "x"), false);
        // One side may not read it.
        check(&full, &cluster(None, Some("n"), "y"), true);
        check(&full, &cluster(None, Some("m"), "x"), false);
        check(&full, &cluster(None, None, "x"), true);
        check(&full, &cluster(None, None, "y"), false);
    }
}
