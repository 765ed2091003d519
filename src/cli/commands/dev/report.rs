//! Events of the sync, as people see them: on stderr, for stdout is the outcome's.

use std::path::Path;

use crate::cli::apply_text;
use crate::cli::commands::plan;
use crate::cli::exit::Exit;
use crate::cli::plan_hint;
use crate::cli::plan_text;
use crate::cli::source;
use crate::cli::ui;
use crate::cli::ui::Failure;
use crate::controller::follow;
use crate::model::Diagnostic;
use crate::model::Plan;
use crate::model::plan::Applied;
use crate::sync::Refusal;

/// `base` is the directory that their paths begin at.
pub(super) fn diagnostics(problems: &[Diagnostic], base: Option<&Path>) {
    crate::cli::diagnostics::print(problems, base);
}

/// Shows a plan; `command` takes the flags that get it out of its conflicts.
pub(super) fn plan(plan: &Plan, command: &str) {
    ui::note(plan_text::render(plan).trim_end());
    let command = format!("{command} -n {}", plan.namespace);
    for line in plan_hint::lines(plan, &command) {
        ui::hint(line);
    }
}

pub(super) fn refused(refusals: &[Refusal]) -> Failure {
    plan::refused(refusals)
}

pub(super) fn failed(error: &follow::Error) -> Failure {
    let failure = Failure::new("cannot sync", error);
    match error {
        follow::Error::Read(error) => source::with_hint(failure, error),
        follow::Error::Plan(error) => plan::hinted(failure, error),
        follow::Error::Watch(_) => failure,
    }
}

pub(super) fn applied(applied: &Applied) -> Option<Exit> {
    let problems = apply_text::problems(applied);
    if !problems.is_empty() {
        ui::note(problems.trim_end());
    }
    if !applied.done.is_empty() || !applied.is_complete() {
        ui::note(apply_text::summary(applied).trim_end());
    }
    (!applied.is_complete()).then_some(Exit::Error)
}
