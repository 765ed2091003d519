//! Events of the sync, as people see them: on stderr, for stdout is the outcome's.

use crate::cli::apply_text;
use crate::cli::commands::plan;
use crate::cli::exit::Exit;
use crate::cli::plan_text;
use crate::cli::ui;
use crate::cli::ui::Failure;
use crate::model::Diagnostic;
use crate::model::Plan;
use crate::model::plan::Applied;
use crate::sync::Refusal;

pub(super) fn diagnostics(problems: &[Diagnostic]) {
    crate::cli::diagnostics::print(problems, None);
}

pub(super) fn plan(plan: &Plan) {
    ui::note(plan_text::render(plan).trim_end());
}

pub(super) fn refused(refusals: &[Refusal]) -> Failure {
    plan::refused(refusals)
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
