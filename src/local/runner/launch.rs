//! What the runner and the child that supervises a container say to each other: one JSON line
//! each way at a time, over the child's standard input and output.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

/// The longest line that is read. A command line of the kernel's own limit (2 MiB) fits twice.
pub(super) const LINE_LIMIT: u64 = 8 * 1024 * 1024;

/// What to run. Holds secret values in `env`: never printed.
#[derive(Serialize, Deserialize)]
pub(super) struct Launch {
    pub(super) program: String,
    pub(super) args: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) dir: PathBuf,
    /// Takes standard output and standard error.
    pub(super) log: PathBuf,
    /// How many bytes the log may have.
    pub(super) log_limit: u64,
}

/// What the runner asks for while the container runs. The end of the input means `Kill`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Order {
    /// SIGTERM to the whole group.
    Terminate,
    /// SIGKILL to everything that came of the container.
    Kill,
}

/// What the supervisor tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Report {
    /// The container's main process, which leads its group.
    Started { pid: i32 },
    /// It could not be started. The text is for people.
    Refused { reason: String },
    /// It ended, and nothing of it is left. A signal counts as 128 and its number.
    Exited { code: i32 },
}
