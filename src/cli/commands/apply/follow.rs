//! `axon apply --watch`: applies again whenever the directory's files change.

use std::cell::RefCell;
use std::path::PathBuf;

use crate::cli::apply_text;
use crate::cli::args::Global;
use crate::cli::commands::apply::Interrupt;
use crate::cli::commands::apply::Options;
use crate::cli::commands::apply::confirmed;
use crate::cli::commands::plan::hinted;
use crate::cli::commands::plan::refused;
use crate::cli::commands::plan::ways_out;
use crate::cli::connect::connect;
use crate::cli::diagnostics;
use crate::cli::exit::Exit;
use crate::cli::plan_text;
use crate::cli::source::with_hint;
use crate::cli::ui;
use crate::cli::ui::Failure;
use crate::controller::follow;
use crate::controller::follow::Event;
use crate::controller::follow::Follower;
use crate::controller::follow::Trigger;
use crate::model::Plan;

pub(super) async fn run(global: &Global, options: &Options) -> Result<Exit, Failure> {
    let source = options.source.open()?;
    let Some(folder) = source.repository.directory().map(PathBuf::from) else {
        return Err(Failure::usage("--watch needs a directory")
            .hint("in the cluster, a RepoSync follows a repository"));
    };
    let target = connect(global).await?;
    let requested = global.namespace.is_some();
    let sync = Follower {
        client: target.client,
        namespace: requested.then(|| target.namespace.clone()),
        default_namespace: target.namespace,
        repository: source.repository,
        reference: source.reference,
        root: source.root,
        workspace_url: None,
        options: options.reach.options(options.probe()),
        lineage: None,
        allow: options.allowance.allow(),
    };
    let interrupt = Interrupt::listen();
    let asks = !options.yes;
    let failed: RefCell<Option<Failure>> = RefCell::default();
    let following = sync.run_asking(
        Trigger::Changes(folder),
        async |event| tell(event, source.base.as_deref(), &options.source.source),
        async |plan| {
            if !asks || !plan.summary().has_changes() {
                return true;
            }
            tokio::select! {
                answer = confirmed() => answer.unwrap_or_else(|failure| {
                    *failed.borrow_mut() = Some(failure);
                    interrupt.stop.cancel();
                    false
                }),
                () = interrupt.stop.cancelled() => false,
            }
        },
        &interrupt.stop,
    );
    tokio::select! {
        ended = following => {
            ended.map_err(|error| Failure::new("cannot follow the source", &error))?;
        }
        () = interrupt.now.cancelled() => {}
    }
    failed.take().map_or(Ok(Exit::Interrupted), Err)
}

fn tell(event: Event, base: Option<&std::path::Path>, named: &str) {
    match event {
        Event::Loaded { revision, warnings } => {
            ui::note(format_args!("axon.yaml at {revision}"));
            diagnostics::print(&warnings, base);
        }
        Event::Invalid(problems) => diagnostics::print(&problems, base),
        Event::Planned(plan) => show(&plan, named),
        Event::Declined => ui::note("Nothing was applied; the next change is asked about again."),
        Event::Refused(refusals) => ui::error(&refused(&refusals)),
        Event::Applied(applied) => {
            ui::out(apply_text::summary(&applied));
            let problems = apply_text::problems(&applied);
            if !problems.is_empty() {
                ui::note(problems.trim_end());
            }
        }
        Event::Failed(error) => ui::error(&failure(&error)),
    }
}

fn show(plan: &Plan, named: &str) {
    ui::out(plan_text::render(plan));
    ways_out(plan, named);
}

fn failure(error: &follow::Error) -> Failure {
    let failure = Failure::new("cannot apply", error);
    match error {
        follow::Error::Read(error) => with_hint(failure, error),
        follow::Error::Plan(error) => hinted(failure, error),
        follow::Error::Watch(_) => failure,
    }
}
