//! What runs around an agent inside its container: no network, no async runtime.
//!
//! `run` is the story. Other crates need `report`, what comes out of it, and `stream`, what agents say
//! while they run.

mod bounded;
mod capture;
mod codex_session;
pub mod credential;
mod git_state;
mod mask;
mod options;
mod outcome;
mod plain;
mod process;
mod prompt;
pub mod report;
pub mod run;
pub mod secret_files;
pub mod ssh;
pub mod stream;
mod tail;
mod verdict;

use std::ffi::OsStr;
use std::ffi::OsString;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;
use signal_hook::flag;

/// Name under which the helper is called.
pub const NAME: &str = "axon-helper";

/// The helper's command line, without the program's name; gives its exit code.
pub fn main(args: impl IntoIterator<Item = OsString>) -> i32 {
    let mut args = args.into_iter();
    let word = args.next();
    match word.as_deref().and_then(OsStr::to_str) {
        Some("run") => run::main(args),
        Some(process::EXEC) => process::exec(args),
        Some(credential::WORD) => credential::main(args),
        Some(ssh::WORD) => ssh::main(args),
        _ => {
            options::complain("the commands are \"run\", \"credential\" and \"ssh\"");
            options::USAGE_EXIT
        }
    }
}

/// Makes SIGTERM and SIGINT end this process at once, also where it is the first of a container: the
/// kernel lets such a process be ended only by signals that it asked for.
pub fn exit_when_stopped() -> io::Result<()> {
    let always = Arc::new(AtomicBool::new(true));
    for signal in [SIGTERM, SIGINT] {
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&always))?;
    }
    Ok(())
}
