//! Whether agents are kept from this machine: what it allows, and what the user accepts.

use std::path::PathBuf;

use crate::cli::commands::dev::Options;
use crate::cli::commands::dev::embedded::supervisor;
use crate::cli::ui;
use crate::cli::ui::Failure;
use crate::local::runner::isolation::Confined;
use crate::local::runner::isolation::Isolation;
use crate::local::runner::isolation::probe;

/// Where to read on.
const DOCS: &str = "docs/local-mode.md says under \"Isolation\" what it takes";

/// How agents will run. `is_own` says whether the source is a directory of the user's own.
pub(super) async fn choose(is_own: bool, options: &Options) -> Result<Isolation, Failure> {
    if options.unconfined {
        ui::warning("agents run without isolation: they can read and change all that you can");
        return Ok(Isolation::Open);
    }
    let Err(why) = probe(&supervisor()?).await else {
        let home = home();
        return Ok(Isolation::Confined(Confined { home }));
    };
    if is_own && !options.require_isolation {
        ui::warning(format_args!(
            "agents run without isolation ({why}): they can read and change all that you can"
        ));
        ui::hint(DOCS);
        return Ok(Isolation::Open);
    }
    let mut failure = Failure::plain("agents would run without isolation");
    failure.causes.push(why);
    Err(failure.hint(if options.require_isolation {
        DOCS.to_owned()
    } else {
        format!("{DOCS}; or look at what the URL declares, then accept it with --unconfined")
    }))
}

#[expect(
    clippy::disallowed_methods,
    reason = "HOME is the shell's, not an option of ours"
)]
fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").map(PathBuf::from)
}
