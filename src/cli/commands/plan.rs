//! `axon plan`: what applying a configuration would change.

use clap::Args;

use crate::cli::args::Global;
use crate::cli::connect::Target;
use crate::cli::connect::connect;
use crate::cli::exit::Exit;
use crate::cli::plan_text;
use crate::cli::source;
use crate::cli::source::loaded;
use crate::cli::ui;
use crate::cli::ui::Failure;
use crate::cluster;
use crate::cluster::Cluster;
use crate::model::Plan;
use crate::model::SyncId;
use crate::sync;
use crate::sync::Allow;
use crate::sync::Cleared;
use crate::sync::Input;
use crate::sync::Pipeline;
use crate::sync::Probe;
use crate::sync::Refusal;
use crate::sync::guard;
use crate::sync::target_namespace;

/// Show what applying a configuration would change
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    source: source::Options,
    #[command(flatten)]
    scope: Scope,
    /// Plan with read rights alone, without asking the API server for dry runs
    #[arg(long)]
    no_dry_run: bool,
    /// Exit with 2 if there are changes
    #[arg(long)]
    detailed_exitcode: bool,
}

/// How far a plan may go.
#[derive(Clone, Debug, Args)]
#[group(skip)]
pub(super) struct Scope {
    /// Take objects that belong to no sync, or to this one in another source
    #[arg(long)]
    adopt: bool,
    /// On objects that are adopted, take fields of other managers too
    #[arg(long)]
    force_conflicts: bool,
    /// On objects that are adopted, inherit the fields that client-side kubectl left
    #[arg(long)]
    take_ownership: bool,
    /// The id that this sync had before: what it has becomes this sync's, records of runs included
    #[arg(long, value_name = "ID", value_parser = SyncId::parse)]
    take_over_sync: Option<SyncId>,
    /// Delete exactly so many objects, where the guard would refuse
    #[arg(long, value_name = "COUNT")]
    allow_delete: Option<usize>,
    /// Run up to so many Tasks again, where the guard would refuse
    #[arg(long, value_name = "COUNT")]
    allow_runs: Option<usize>,
}

pub(super) async fn run(global: &Global, options: &Options) -> Result<Exit, Failure> {
    let probe = if options.no_dry_run {
        Probe::Nothing
    } else {
        Probe::All
    };
    let (_, plan) = options.scope.plan(global, &options.source, probe).await?;
    ui::out(plan_text::render(&plan));
    if options.no_dry_run && plan.summary().has_changes() {
        ui::note("The API server was not asked: it may still change or refuse this.");
    }
    options.scope.clear(&plan)?;
    let sum = plan.summary();
    if sum.refused > 0 && !options.no_dry_run {
        ui::hint("with read rights alone, plan with --no-dry-run");
    }
    Ok(if sum.conflicts > 0 {
        Exit::Conflict
    } else if sum.refused > 0 {
        Exit::Error
    } else if options.detailed_exitcode && sum.has_changes() {
        Exit::Changes
    } else {
        Exit::Ok
    })
}

impl Scope {
    /// Reads the source and plans it for the cluster that the flags name.
    pub(super) async fn plan(
        &self,
        global: &Global,
        source: &source::Options,
        probe: Probe,
    ) -> Result<(Pipeline, Plan), Failure> {
        let source = source.open()?;
        let snapshot = source.read().await?;
        let loaded = loaded(&snapshot, source.base.as_deref())?;
        let Target { client, namespace } = connect(global).await?;
        let requested = global.namespace.is_some().then(|| namespace.clone());
        let namespace = target_namespace(&loaded.set, requested, namespace)
            .map_err(|error| cannot_plan(&error))?;
        let options = sync::Options {
            adopt: self.adopt,
            force_conflicts: self.force_conflicts,
            take_ownership: self.take_ownership,
            take_over: self.take_over_sync.clone(),
            probe,
            ..sync::Options::default()
        };
        let pipeline = Pipeline::new(Cluster::new(client, namespace), options);
        let plan = pipeline.plan(Input::new(&loaded.set, &snapshot)).await;
        let plan = plan.map_err(|error| cannot_plan(&error))?;
        Ok((pipeline, plan))
    }

    /// Lets the plan pass the guards.
    pub(super) fn clear<'a>(&self, plan: &'a Plan) -> Result<Cleared<'a>, Failure> {
        let allow = Allow {
            deletes: self.allow_delete,
            runs: self.allow_runs,
        };
        guard::clear(plan, allow).map_err(|refusals| refused(&refusals))
    }
}

/// A plan that the guards refuse, with the flags that would let it pass.
pub(in crate::cli) fn refused(refusals: &[Refusal]) -> Failure {
    let mut failure = Failure::plain("the plan is refused").exit(Exit::Guard);
    failure.causes = refusals.iter().map(ToString::to_string).collect();
    let flags: Vec<String> = refusals
        .iter()
        .map(|refusal| match refusal {
            Refusal::Empty { deletes } | Refusal::Prune { deletes, .. } => {
                format!("--allow-delete={deletes}")
            }
            Refusal::Rerun { reruns } => format!("--allow-runs={reruns}"),
        })
        .collect();
    failure.hint(format!("if this is meant, say so: {}", flags.join(" ")))
}

fn cannot_plan(error: &sync::Error) -> Failure {
    hinted(Failure::new("cannot plan", error), error)
}

/// What a person can do about an error of the pipeline.
pub(super) fn hinted(failure: Failure, error: &sync::Error) -> Failure {
    match error {
        sync::Error::Namespace { .. } => {
            failure.hint("leave out --namespace, or \"namespace\" in the configuration")
        }
        sync::Error::Workspaces { known, .. } => {
            let known: Vec<String> = known.iter().map(|it| format!("\"{it}\"")).collect();
            let there = match known.as_slice() {
                [] => "the cluster has none".to_owned(),
                some => format!("Workspaces there: {}", some.join(", ")),
            };
            failure.hint(format!("declare it under \"workspaces\"; {there}"))
        }
        sync::Error::Read { source, .. } | sync::Error::Probe { source, .. } => {
            with_hint(failure, source)
        }
    }
}

/// What a person can do about an error of the cluster.
pub(super) fn with_hint(failure: Failure, error: &cluster::Error) -> Failure {
    match error {
        cluster::Error::NotInstalled(_) => {
            failure.hint("install Axon's resources: kubectl apply --server-side -f deploy/crds/")
        }
        cluster::Error::NoNamespace(name) => {
            failure.hint(format!("create it: kubectl create namespace {name}"))
        }
        cluster::Error::Unreachable(_) | cluster::Error::Timeout(_) => {
            failure.hint("check --kubeconfig and --context, or start a local cluster: axon dev")
        }
        cluster::Error::Unauthorized(_) => failure.hint("check the credentials in the kubeconfig"),
        cluster::Error::NotFound(_)
        | cluster::Error::FieldConflict(_)
        | cluster::Error::Moved(_)
        | cluster::Error::Forbidden(_)
        | cluster::Error::Invalid(_)
        | cluster::Error::Expired
        | cluster::Error::TooMany { .. }
        | cluster::Error::Server { .. }
        | cluster::Error::Garbled(_)
        | cluster::Error::TooMuch(_) => failure,
    }
}
