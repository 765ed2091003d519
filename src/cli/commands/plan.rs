//! `axon plan`: what applying a configuration would change.

use std::path::PathBuf;

use clap::Args;
use clap::ValueEnum;

use crate::cli::args::Global;
use crate::cli::connect::Target;
use crate::cli::connect::connect;
use crate::cli::exit::Exit;
use crate::cli::plan_file;
use crate::cli::plan_hint;
use crate::cli::plan_json;
use crate::cli::plan_markdown;
use crate::cli::plan_saved;
use crate::cli::plan_text;
use crate::cli::source;
use crate::cli::source::loaded;
use crate::cli::ui;
use crate::cli::ui::Failure;
use crate::cluster;
use crate::cluster::Cluster;
use crate::model::Namespace;
use crate::model::Plan;
use crate::model::Snapshot;
use crate::model::SyncId;
use crate::model::duration::GoDuration;
use crate::model::object::DesiredSet;
use crate::sync;
use crate::sync::Allow;
use crate::sync::Cleared;
use crate::sync::Input;
use crate::sync::Pipeline;
use crate::sync::Probe;
use crate::sync::Refusal;
use crate::sync::Witness;
use crate::sync::guard;
use crate::sync::target_namespace;

/// Show what applying a configuration would change
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    look: Look,
    #[command(flatten)]
    allowance: Allowance,
    /// Save the plan to this file, for "axon apply FILE"
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// How long the saved plan may be applied
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = GoDuration::parse, requires = "out")]
    expires: GoDuration,
    /// Exit with 2 if there are changes
    #[arg(long)]
    detailed_exitcode: bool,
}

/// What is planned, and how it is shown.
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct Look {
    #[command(flatten)]
    pub(super) source: source::Options,
    #[command(flatten)]
    pub(super) reach: Reach,
    /// Plan with read rights alone, without asking the API server for dry runs
    #[arg(long)]
    no_dry_run: bool,
    /// How to show the plan
    #[arg(short, long, value_name = "FORMAT", default_value = "text")]
    output: Format,
}

/// How a plan is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For programs: schema/plan.schema.json.
    Json,
    /// For a comment of a pull request.
    Markdown,
}

/// What a plan may take that is not its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
#[group(skip)]
pub(in crate::cli) struct Reach {
    /// Take objects that belong to no sync, or to this one in another source
    #[arg(long)]
    pub(in crate::cli) adopt: bool,
    /// On objects that are adopted, take fields of other managers too
    #[arg(long)]
    pub(in crate::cli) force_conflicts: bool,
    /// On objects that are adopted, inherit the fields that client-side kubectl left
    #[arg(long)]
    pub(in crate::cli) take_ownership: bool,
    /// The id that this sync had before: what it has becomes this sync's, records of runs included
    #[arg(long, value_name = "ID", value_parser = SyncId::parse)]
    pub(in crate::cli) take_over_sync: Option<SyncId>,
}

/// What the guards are told to let pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Args)]
#[group(skip)]
pub(in crate::cli) struct Allowance {
    /// Delete exactly so many objects, where the guard would refuse
    #[arg(long, value_name = "COUNT")]
    pub(in crate::cli) allow_delete: Option<usize>,
    /// Run up to so many Tasks again, where the guard would refuse
    #[arg(long, value_name = "COUNT")]
    pub(in crate::cli) allow_runs: Option<usize>,
}

/// A plan, and all that it was made from.
pub(in crate::cli) struct Planned {
    pub(in crate::cli) target: Target,
    pub(in crate::cli) cluster: Cluster,
    pub(in crate::cli) pipeline: Pipeline,
    pub(in crate::cli) plan: Plan,
    pub(in crate::cli) witness: Witness,
}

pub(super) async fn run(global: &Global, options: &Options) -> Result<Exit, Failure> {
    if let Some(file) = &options.out {
        // Before a server is asked for anything.
        plan_file::check(file)?;
    }
    let look = &options.look;
    let planned = look.plan(global).await?;
    let plan = &planned.plan;
    let cleared = guard::clear(plan, options.allowance.allow());
    look.show(plan, cleared.as_ref().err().map_or(&[], Vec::as_slice));
    cleared.map_err(|refusals| refused(&refusals))?;
    if let Some(file) = &options.out {
        let made = plan_saved::Made {
            source: &look.source,
            reach: &look.reach,
            allowance: options.allowance,
            no_dry_run: look.no_dry_run,
            expires: options.expires,
        };
        plan_saved::save(file, &planned, &made).await?;
    }
    let sum = plan.summary();
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

impl Look {
    /// Reads the source and plans it for the cluster that the flags name.
    pub(super) async fn plan(&self, global: &Global) -> Result<Planned, Failure> {
        let probe = if self.no_dry_run {
            Probe::Nothing
        } else {
            Probe::All
        };
        plan(global, &self.source, &self.reach, probe).await
    }

    /// Prints the plan, and what is to be known of it.
    pub(super) fn show(&self, plan: &Plan, refusals: &[Refusal]) {
        let asked = !self.no_dry_run;
        ui::out(match self.output {
            Format::Text => plan_text::render(plan),
            Format::Json => plan_json::render(plan, refusals, asked),
            Format::Markdown => plan_markdown::render(plan, refusals, asked),
        });
        if self.output == Format::Text && !asked {
            ui::out(format_args!("{}\n", plan_text::NOT_ASKED));
        }
        if plan.summary().refused > 0 && asked {
            ui::hint("with read rights alone, plan with --no-dry-run");
        }
        ways_out(plan, &self.source.source);
    }
}

/// Prints what can be done about the conflicts of `plan`.
pub(super) fn ways_out(plan: &Plan, source: &str) {
    for line in plan_hint::lines(plan, &plan_hint::apply(source)) {
        ui::hint(line);
    }
}

impl Reach {
    /// As the library takes it.
    pub(in crate::cli) fn options(&self, probe: Probe) -> sync::Options {
        sync::Options {
            adopt: self.adopt,
            force_conflicts: self.force_conflicts,
            take_ownership: self.take_ownership,
            take_over: self.take_over_sync.clone(),
            probe,
            ..sync::Options::default()
        }
    }
}

impl Allowance {
    /// As the library takes it.
    pub(in crate::cli) fn allow(self) -> Allow {
        Allow {
            deletes: self.allow_delete,
            runs: self.allow_runs,
        }
    }

    /// Lets the plan pass the guards.
    pub(in crate::cli) fn clear(self, plan: &Plan) -> Result<Cleared<'_>, Failure> {
        guard::clear(plan, self.allow()).map_err(|refusals| refused(&refusals))
    }
}

/// Reads a source and plans it for the cluster that the flags name.
pub(super) async fn plan(
    global: &Global,
    source: &source::Options,
    reach: &Reach,
    probe: Probe,
) -> Result<Planned, Failure> {
    let source = source.open()?;
    let snapshot = source.read().await?;
    // What is wrong in the files is told without a cluster.
    let loaded = loaded(&snapshot, source.base.as_deref())?;
    let target = connect(global).await?;
    let requested = global.namespace.is_some().then(|| target.namespace.clone());
    let options = reach.options(probe);
    plan_loaded(&loaded.set, &snapshot, target, requested, options).await
}

/// Plans what was read.
pub(in crate::cli) async fn plan_loaded(
    set: &DesiredSet,
    snapshot: &Snapshot,
    target: Target,
    requested: Option<Namespace>,
    options: sync::Options,
) -> Result<Planned, Failure> {
    let namespace = target_namespace(set, requested, target.namespace.clone())
        .map_err(|error| cannot_plan(&error))?;
    let cluster = Cluster::new(target.client.clone(), namespace);
    let pipeline = Pipeline::new(cluster.clone(), options);
    let (plan, witness) = pipeline
        .plan_witnessed(Input::new(set, snapshot))
        .await
        .map_err(|error| cannot_plan(&error))?;
    Ok(Planned {
        target,
        cluster,
        pipeline,
        plan,
        witness,
    })
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
pub(in crate::cli) fn with_hint(failure: Failure, error: &cluster::Error) -> Failure {
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
        | cluster::Error::Schema(_)
        | cluster::Error::StillThere(_)
        | cluster::Error::Expired
        | cluster::Error::TooMany { .. }
        | cluster::Error::Server { .. }
        | cluster::Error::Garbled(_)
        | cluster::Error::TooMuch(_) => failure,
    }
}
