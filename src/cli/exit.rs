//! How a command exits.

use std::process::ExitCode;

/// How every command exits; `docs/cli.md` holds the same table. "Could not tell" is never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Ok,
    /// Something failed.
    Error,
    /// `--detailed-exitcode`: there are changes.
    Changes,
    /// `axon diff`: there are differences.
    Differences,
    /// `axon diff`: something failed. Its code 1 says something else.
    Trouble,
    /// A guard refused the plan.
    Guard,
    /// What a saved plan rests on has moved, or its time is over.
    Stale,
    /// A field or an object belongs to someone else.
    Conflict,
    /// A wait ended before what it waited for.
    TimedOut,
    /// Wrong usage, as `EX_USAGE` of sysexits.
    Usage,
    /// Interrupted by Ctrl-C, as a shell reports SIGINT.
    Interrupted,
}

impl Exit {
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Error | Self::Differences => 1,
            Self::Changes | Self::Trouble => 2,
            Self::Guard => 3,
            Self::Stale => 4,
            Self::Conflict => 5,
            Self::TimedOut => 6,
            Self::Usage => 64,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
