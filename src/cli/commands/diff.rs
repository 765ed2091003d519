//! `axon diff`: the plan, with the exit codes of `kubectl diff`.

use clap::Args;

use crate::cli::args::Global;
use crate::cli::commands::plan::Look;
use crate::cli::exit::Exit;
use crate::cli::ui::Failure;

/// Show what differs; exits 0 for nothing, 1 for differences, more for an error
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    look: Look,
}

pub(super) async fn run(global: &Global, options: &Options) -> Result<Exit, Failure> {
    let planned = options.look.plan(global).await.map_err(|failure| {
        let exit = failure.exit;
        // Its 1 says that there are differences.
        failure.exit(if exit == Exit::Error {
            Exit::Trouble
        } else {
            exit
        })
    })?;
    options.look.show(&planned.plan, &[]);
    let sum = planned.plan.summary();
    Ok(if sum.conflicts > 0 {
        Exit::Conflict
    } else if sum.refused > 0 {
        Exit::Trouble
    } else if sum.has_changes() {
        Exit::Differences
    } else {
        Exit::Ok
    })
}
