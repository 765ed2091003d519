//! Events of the sync, as people see them.

use crate::cli::exit::Exit;
use crate::cli::ui;
use crate::cli::ui::Failure;
use crate::model::Diagnostic;
use crate::model::Plan;
use crate::model::plan::Applied;
use crate::sync::Refusal;

pub(super) fn diagnostics(problems: &[Diagnostic]) {
    for problem in problems {
        ui::note(format_args!("{}: {}", problem.place, problem.message));
    }
}

pub(super) fn plan(plan: &Plan) {
    ui::note(format_args!("{:?}", plan.summary()));
}

pub(super) fn refused(refusals: &[Refusal]) -> Failure {
    let mut failure = Failure::plain("the plan is refused").exit(Exit::Guard);
    failure.causes = refusals.iter().map(ToString::to_string).collect();
    failure
}

pub(super) fn applied(applied: &Applied) -> Option<Exit> {
    for failed in &applied.failed {
        ui::note(format_args!("{}: {}", failed.key, failed.causes.join(": ")));
    }
    (!applied.is_complete()).then_some(Exit::Error)
}
