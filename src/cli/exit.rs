//! How a command exits.

use std::process::ExitCode;

/// Exit codes of every command; `docs/cli.md` holds the same table. "Could not tell" is never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Something failed.
    Error = 1,
    /// `--detailed-exitcode`: there are changes.
    Changes = 2,
    /// A guard refused the plan.
    Guard = 3,
    /// A field or an object belongs to someone else.
    Conflict = 5,
    /// A wait ended before what it waited for.
    TimedOut = 6,
    /// Wrong usage, as `EX_USAGE` of sysexits.
    Usage = 64,
    /// Interrupted by Ctrl-C, as a shell reports SIGINT.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
