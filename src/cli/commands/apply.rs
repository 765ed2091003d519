//! `axon apply`: plan, ask, apply, prune, wait.

use std::io;
use std::io::IsTerminal as _;

use clap::Args;
use clap::ValueEnum;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::cli::apply_text;
use crate::cli::args::Global;
use crate::cli::commands::plan::Scope;
use crate::cli::commands::plan::with_hint;
use crate::cli::exit::Exit;
use crate::cli::plan_text;
use crate::cli::source;
use crate::cli::ui;
use crate::cli::ui::Failure;
use crate::model::Plan;
use crate::model::duration::GoDuration;
use crate::model::plan::Applied;
use crate::model::run::Outcome;
use crate::sync::Pipeline;
use crate::sync::Probe;
use crate::sync::Until;

/// Make the cluster equal to a configuration
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    source: source::Options,
    #[command(flatten)]
    scope: Scope,
    /// Plan with read rights alone, without asking the API server for dry runs
    #[arg(long)]
    no_dry_run: bool,
    /// Apply without asking
    #[arg(short, long)]
    yes: bool,
    /// What to wait for once all is applied
    #[arg(long, value_name = "STATE", default_value = "accepted", num_args = 0..=1, default_missing_value = "finished")]
    wait: Wait,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = GoDuration::parse)]
    timeout: GoDuration,
}

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Wait {
    /// The API server has taken everything.
    Accepted,
    /// Every declared Task has begun to run.
    Started,
    /// Every declared Task has finished; exits 0 only if all succeeded.
    Finished,
}

pub(super) async fn run(global: &Global, options: &Options) -> Result<Exit, Failure> {
    let asks = !options.yes;
    if asks && !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        return Err(Failure::usage("there is no terminal to ask on")
            .hint("apply without asking: --yes; look before: axon plan"));
    }
    let probe = match (options.no_dry_run, asks) {
        (true, _) => Probe::Nothing,
        (false, true) => Probe::All,
        // What is refused shows when it is applied, at half the requests.
        (false, false) => Probe::Updates,
    };
    let (pipeline, plan) = options.scope.plan(global, &options.source, probe).await?;
    ui::out(plan_text::render(&plan));
    let cleared = options.scope.clear(&plan)?;
    if asks && plan.summary().has_changes() && !confirmed().await? {
        ui::note("Nothing was applied.");
        return Ok(Exit::Error);
    }
    let interrupt = Interrupt::listen();
    let stop = &interrupt.stop;
    let applied = tokio::select! {
        applied = pipeline.apply(cleared, stop) => applied,
        () = interrupt.now.cancelled() => return Ok(Exit::Interrupted),
    };
    if plan.summary().has_changes() {
        ui::out(apply_text::summary(&applied));
    }
    let problems = apply_text::problems(&applied);
    if !problems.is_empty() {
        ui::note(problems.trim_end());
    }
    if !applied.is_complete() {
        return Ok(failed(&plan, &applied, stop));
    }
    match options.wait {
        Wait::Accepted => Ok(Exit::Ok),
        Wait::Started => wait(&pipeline, &plan, Until::Started, options.timeout, stop).await,
        Wait::Finished => wait(&pipeline, &plan, Until::Finished, options.timeout, stop).await,
    }
}

fn failed(plan: &Plan, applied: &Applied, stop: &CancellationToken) -> Exit {
    if stop.is_cancelled() {
        return Exit::Interrupted;
    }
    if plan.summary().conflicts > 0 || applied.failed.iter().any(|it| it.is_conflict) {
        return Exit::Conflict;
    }
    Exit::Error
}

/// Asks on the terminal.
async fn confirmed() -> Result<bool, Failure> {
    ui::note("Apply this? Only \"yes\" is taken as yes:");
    let unreadable = |error: &dyn std::error::Error| Failure::new("cannot read the answer", error);
    let answer = tokio::task::spawn_blocking(|| io::stdin().lines().next())
        .await
        .map_err(|error| unreadable(&error))?;
    let answer = answer.transpose().map_err(|error| unreadable(&error))?;
    Ok(answer.is_some_and(|line| line.trim() == "yes"))
}

/// Ctrl-C, heard.
struct Interrupt {
    /// The first one: begin nothing more.
    stop: CancellationToken,
    /// The second one: leave everything as it is.
    now: CancellationToken,
}

impl Interrupt {
    fn listen() -> Self {
        let interrupt = Self {
            stop: CancellationToken::new(),
            now: CancellationToken::new(),
        };
        let (stop, now) = (interrupt.stop.clone(), interrupt.now.clone());
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                ui::note("Interrupted: ending what is under way. Once more ends at once.");
                stop.cancel();
                if tokio::signal::ctrl_c().await.is_ok() {
                    now.cancel();
                }
            }
        });
        interrupt
    }
}

async fn wait(
    pipeline: &Pipeline,
    plan: &Plan,
    until: Until,
    limit: GoDuration,
    stop: &CancellationToken,
) -> Result<Exit, Failure> {
    // The deadline is heard like an interruption, so that what is known by then can be told.
    let deadline = stop.child_token();
    let waiting = pipeline.observe(plan, until, &deadline);
    tokio::pin!(waiting);
    let observed = if let Ok(observed) = timeout(limit.get(), &mut waiting).await {
        observed
    } else {
        deadline.cancel();
        waiting.await
    };
    let observed =
        observed.map_err(|error| with_hint(Failure::new("cannot wait", &error), &error))?;
    ui::out(apply_text::observed(&observed));
    if observed.reached(until) {
        let all_well = observed
            .finished
            .values()
            .all(|it| *it == Outcome::Succeeded);
        return Ok(if all_well { Exit::Ok } else { Exit::Error });
    }
    if stop.is_cancelled() {
        return Ok(Exit::Interrupted);
    }
    Err(Failure::plain(format!("not all Tasks got so far within {limit}")).exit(Exit::TimedOut))
}
