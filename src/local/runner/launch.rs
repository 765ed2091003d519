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
    #[serde(default)]
    pub(super) limits: Limits,
    /// All that a confined container sees of files. None: what the runner sees.
    #[serde(default)]
    pub(super) sandbox: Option<Vec<Place>>,
}

/// What each process of a container may have, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Limits {
    /// Memory that it writes to and shares with nobody.
    pub(super) data: Option<u64>,
    /// The size of a file that it writes.
    pub(super) file: Option<u64>,
}

/// One path of a confined container. In a list a later one lies over an earlier one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) at: PathBuf,
    pub(super) shows: Shows,
}

/// What is there. Paths of this machine are without links.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Shows {
    /// An empty directory, which stays empty.
    Nothing,
    Link(PathBuf),
    ReadOnly(PathBuf),
    Writable(PathBuf),
}

impl Place {
    pub(super) fn new(at: impl Into<PathBuf>, shows: Shows) -> Self {
        Self {
            at: at.into(),
            shows,
        }
    }
}

/// What the runner asks for while the container runs. The end of the input means `Kill`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Order {
    /// SIGTERM: to the main process of a confined container, as a container engine does; to the whole
    /// group of another.
    Terminate,
    /// SIGKILL to everything that came of the container.
    Kill,
}

/// What the supervisor tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Report {
    /// The container's main process.
    Started { pid: i32 },
    /// It could not be started. The text is for people.
    Refused { reason: String },
    /// It ended, and nothing of it is left. A signal counts as 128 and its number.
    Exited { code: i32 },
}
