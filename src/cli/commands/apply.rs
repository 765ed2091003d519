//! `axon apply`: plan, ask, apply, prune, wait.

mod follow;

use std::io;
use std::io::IsTerminal as _;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use clap::ValueEnum;
use futures::FutureExt as _;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio::time::MissedTickBehavior;
use tokio::time::interval;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use crate::cli::apply_progress::Applying;
use crate::cli::apply_progress::Waiting;
use crate::cli::apply_text;
use crate::cli::args::Global;
use crate::cli::commands::plan::Allowance;
use crate::cli::commands::plan::Planned;
use crate::cli::commands::plan::Reach;
use crate::cli::commands::plan::plan;
use crate::cli::commands::plan::ways_out;
use crate::cli::commands::plan::with_hint;
use crate::cli::exit::Exit;
use crate::cli::plan_file;
use crate::cli::plan_saved;
use crate::cli::plan_text;
use crate::cli::source;
use crate::cli::ui;
use crate::cli::ui::Failure;
use crate::model::Plan;
use crate::model::duration::GoDuration;
use crate::model::plan::Applied;
use crate::sync::Cleared;
use crate::sync::Observed;
use crate::sync::Pipeline;
use crate::sync::Probe;
use crate::sync::Until;

/// How often the lines of what is waited for are drawn anew: their clocks show seconds.
const TICK: Duration = Duration::from_secs(1);

/// Make the cluster equal to a configuration, or carry out a saved plan
#[derive(Debug, Args)]
#[command(mut_arg("source", |arg| arg
    .value_name("PATH|GIT-URL|PLAN")
    .help("Directory with an axon.yaml, that file, the URL of a git repository, or a plan of \"axon plan --out\"")))]
pub struct Options {
    #[command(flatten)]
    source: source::Options,
    #[command(flatten)]
    reach: Reach,
    #[command(flatten)]
    allowance: Allowance,
    /// Plan with read rights alone, without asking the API server for dry runs
    #[arg(long)]
    no_dry_run: bool,
    /// Apply without asking
    #[arg(short, long)]
    yes: bool,
    /// Apply again whenever the directory's files change, until Ctrl-C
    #[arg(long, conflicts_with_all = ["wait", "timeout"])]
    watch: bool,
    /// What to wait for once all is applied
    #[arg(long, value_name = "STATE", default_value = "accepted", num_args = 0..=1, default_missing_value = "finished")]
    wait: Wait,
    /// How long to apply and wait in all
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
    let file = Path::new(&options.source.source);
    let (planned, allowance) = if plan_file::is_saved(file) {
        options.only_how()?;
        let confirmed = plan_saved::confirm(global, file, &options.source).await?;
        (confirmed.planned, confirmed.allowance)
    } else if options.watch {
        return follow::run(global, options).await;
    } else {
        let planned = plan(global, &options.source, &options.reach, options.probe()).await?;
        (planned, options.allowance)
    };
    let Planned { pipeline, plan, .. } = planned;
    ui::out(plan_text::render(&plan));
    ways_out(&plan, &options.source.source);
    let cleared = allowance.clear(&plan)?;
    if asks && plan.summary().has_changes() && !confirmed().await? {
        ui::note("Nothing was applied.");
        return Ok(Exit::Error);
    }
    let interrupt = Interrupt::listen();
    let stop = &interrupt.stop;
    let limit = Limit::begin(options.timeout);
    let Some(applied) = carry_out(&pipeline, cleared, &interrupt, &limit).await else {
        return Ok(Exit::Interrupted);
    };
    if plan.summary().has_changes() {
        ui::out(apply_text::summary(&applied));
    }
    let problems = apply_text::problems(&applied);
    if !problems.is_empty() {
        ui::note(problems.trim_end());
    }
    if !applied.is_complete() {
        return if limit.is_over() && !stop.is_cancelled() {
            Err(limit.exceeded("not all was applied"))
        } else {
            Ok(failed(&plan, &applied, stop))
        };
    }
    let until = match options.wait {
        Wait::Accepted => return Ok(Exit::Ok),
        Wait::Started => Until::Started,
        Wait::Finished => Until::Finished,
    };
    tokio::select! {
        exit = wait(&pipeline, &plan, until, &limit, stop) => exit,
        () = interrupt.now.cancelled() => Ok(Exit::Interrupted),
    }
}

/// How long the whole may take.
struct Limit {
    length: GoDuration,
    end: Instant,
}

impl Limit {
    fn begin(length: GoDuration) -> Self {
        let end = Instant::now() + length.get();
        Self { length, end }
    }

    fn is_over(&self) -> bool {
        self.end <= Instant::now()
    }

    fn exceeded(&self, what: &str) -> Failure {
        let failure = Failure::plain(format!("{what} within {}", self.length));
        failure
            .exit(Exit::TimedOut)
            .hint("what is there goes on; look again with the same command")
    }
}

/// Applies until the end, or until there is no more time: then what is under way is ended, and no more.
/// Gives nothing where it was interrupted in the middle.
async fn carry_out(
    pipeline: &Pipeline,
    plan: Cleared<'_>,
    interrupt: &Interrupt,
    limit: &Limit,
) -> Option<Applied> {
    let progress = Applying::new(plan.plan());
    let tell = |key: &_, told| progress.tell(key, told);
    let stop = interrupt.stop.child_token();
    let mut applying = pipeline.apply_telling(plan, &stop, &tell).boxed();
    loop {
        tokio::select! {
            applied = &mut applying => return Some(applied),
            () = sleep_until(limit.end), if !stop.is_cancelled() => stop.cancel(),
            () = interrupt.now.cancelled() => return None,
        }
    }
}

impl Options {
    /// A saved plan is carried out as it is: what would change its meaning is refused.
    fn only_how(&self) -> Result<(), Failure> {
        let given = [
            (self.source.reference.is_some(), "--ref"),
            (self.source.path.is_some(), "--path"),
            (self.reach.adopt, "--adopt"),
            (self.reach.force_conflicts, "--force-conflicts"),
            (self.reach.take_ownership, "--take-ownership"),
            (self.reach.take_over_sync.is_some(), "--take-over-sync"),
            (self.allowance.allow_delete.is_some(), "--allow-delete"),
            (self.allowance.allow_runs.is_some(), "--allow-runs"),
            (self.no_dry_run, "--no-dry-run"),
            (self.watch, "--watch"),
        ];
        let given = given.iter().find(|(is_given, _)| *is_given);
        given.map_or(Ok(()), |(_, flag)| {
            Err(
                Failure::usage(format!("{flag} cannot be used with a saved plan"))
                    .hint("it belongs to axon plan --out, when the plan is made"),
            )
        })
    }

    fn probe(&self) -> Probe {
        match (self.no_dry_run, self.yes) {
            (true, _) => Probe::Nothing,
            (false, false) => Probe::All,
            // What is refused shows when it is applied, at half the requests.
            (false, true) => Probe::First,
        }
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
    answered_yes().await
}

/// Whether the next line that is typed is a yes.
pub(super) async fn answered_yes() -> Result<bool, Failure> {
    let (sender, answer) = oneshot::channel();
    // A thread of its own: the runtime would wait for one of its own when the program ends.
    std::thread::spawn(move || sender.send(io::stdin().lines().next()).ok());
    let answer = answer.await.ok().flatten().transpose();
    let answer = answer.map_err(|error| Failure::new("cannot read the answer", &error))?;
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
    limit: &Limit,
    stop: &CancellationToken,
) -> Result<Exit, Failure> {
    let observed = watched(pipeline, plan, until, limit, stop).await?;
    ui::out(apply_text::observed(&observed));
    if observed.reached(until) {
        return Ok(if observed.is_well() {
            Exit::Ok
        } else {
            Exit::Error
        });
    }
    if stop.is_cancelled() {
        return Ok(Exit::Interrupted);
    }
    let word = match until {
        Until::Started => "begun",
        Until::Finished => "finished",
    };
    let mut failure = limit.exceeded(&format!("not all Tasks have {word}"));
    failure.causes = apply_text::open(&observed, until);
    Err(failure.hint("they go on; look again with the same command"))
}

/// Waits, and shows what goes on meanwhile.
async fn watched(
    pipeline: &Pipeline,
    plan: &Plan,
    until: Until,
    limit: &Limit,
    stop: &CancellationToken,
) -> Result<Observed, Failure> {
    let progress = Waiting::new();
    let tell = |name: &_, stand: &_| progress.tell(name, stand);
    // The deadline is heard like an interruption, so that what is known by then can be told.
    let deadline = stop.child_token();
    let mut waiting = std::pin::pin!(pipeline.observe(plan, until, &deadline, &tell));
    let mut over = std::pin::pin!(sleep_until(limit.end));
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            observed = &mut waiting => {
                return observed.map_err(|error| {
                    with_hint(Failure::new("cannot wait", &error), &error)
                });
            }
            () = &mut over, if !deadline.is_cancelled() => deadline.cancel(),
            _ = tick.tick() => progress.draw(),
        }
    }
}
