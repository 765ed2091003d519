//! What makes two runs one and the same, so that it happens once.

use std::fmt;

use serde_json::Value;

use super::digest::Digest;

/// Version of the digest. A new version of Axon that digests differently must read the old ones.
const VERSION: &str = "v1";

/// Fields of a Task's spec that may change while it runs: they do not make it another run.
pub const OUTSIDE: [&str; 2] = ["ttlSecondsAfterFinished", "cancelled"];

/// What identifies the run of a declared Task besides its sync and name: a digest of the
/// run-relevant spec as written, and its `rerun` number. Stands in the annotation `axon.io/run`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunDigest(String);

impl RunDigest {
    /// `spec` is the Task's spec after `defaults` and before the API server's defaults.
    /// `ttlSecondsAfterFinished` and `cancelled` are not part of the run.
    pub fn of(spec: &Value, rerun: u32) -> Self {
        let mut spec = spec.clone();
        if let Value::Object(fields) = &mut spec {
            for field in OUTSIDE {
                fields.remove(field);
            }
        }
        let digest = Digest::of_fields([spec.to_string().as_bytes(), &rerun.to_be_bytes()]);
        Self(format!("{VERSION}-{}", digest.short(40)))
    }

    /// What a spawned Task's run is: its work item. `key` names the item with its repository or tick,
    /// `occurrence` tells an item that matched anew from its earlier match.
    pub fn of_item(key: &str, occurrence: &str) -> Self {
        let digest = Digest::of_fields([key.as_bytes(), occurrence.as_bytes()]);
        Self(format!("item-{VERSION}-{}", digest.short(40)))
    }

    /// As read from an annotation. Any text is taken: it is only ever compared.
    pub fn from_annotation(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunDigest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Who asked for a run: the scope in which a [`RunDigest`] is unique.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RunScope {
    /// A sync, by id, and the Task's name.
    Sync { sync: String, task: String },
    /// A TaskSpawner, by name.
    Spawner { spawner: String },
}

/// Name of the record (a ConfigMap) that claims a run. The API server makes it unique.
pub fn record_name(scope: &RunScope, run: &RunDigest) -> String {
    let fields: [&[u8]; 4] = match scope {
        RunScope::Sync { sync, task } => [
            b"sync",
            sync.as_bytes(),
            task.as_bytes(),
            run.as_str().as_bytes(),
        ],
        RunScope::Spawner { spawner } => {
            [b"spawner", spawner.as_bytes(), b"", run.as_str().as_bytes()]
        }
    };
    format!("axon-run-{}", Digest::of_fields(fields).short(40))
}

/// Keys of a record's `data`.
pub mod record_key {
    /// Name of the Task that claimed the run.
    pub const TASK: &str = "task";
    /// UID of that Task.
    pub const TASK_UID: &str = "taskUID";
    /// The [`super::RunDigest`].
    pub const RUN: &str = "run";
    /// `Succeeded`, `Failed` or `Cancelled`; absent until the Task has finished.
    pub const OUTCOME: &str = "outcome";
    /// RFC 3339 time of the outcome.
    pub const FINISHED: &str = "finished";
    /// RFC 3339 time at which the run was claimed, where the record is younger than that: a copy.
    pub const CLAIMED: &str = "claimed";
    /// Key of the work item, for spawned Tasks.
    pub const ITEM: &str = "item";
}

/// A record as it was read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRecord {
    /// Name of the record object.
    pub name: String,
    pub task: String,
    pub task_uid: String,
    pub run: RunDigest,
    pub outcome: Outcome,
    /// RFC 3339.
    pub finished: Option<String>,
    pub item: Option<String>,
    /// The id of the sync that the run is of; none for a spawner's.
    pub sync: Option<String>,
    /// Whether the name of the Task has left the configuration.
    pub left: bool,
}

/// How a recorded run ended, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Succeeded,
    Failed,
    /// Its Task was deleted by a sync before it ended.
    Cancelled,
    /// Claimed, with no end on record: still going, or its Task was removed before it ended.
    Unknown,
}

impl Outcome {
    /// As a record has it. What is not known is [`Outcome::Unknown`].
    pub fn parse(text: &str) -> Self {
        match text {
            "Succeeded" => Self::Succeeded,
            "Failed" => Self::Failed,
            "Cancelled" => Self::Cancelled,
            _ => Self::Unknown,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
            Self::Unknown => "Unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_time_to_live_is_not_part_of_the_run() {
        let spec = json!({"prompt": "x", "type": "codex"});
        let with_ttl = json!({"prompt": "x", "type": "codex", "ttlSecondsAfterFinished": 5});
        assert_eq!(RunDigest::of(&spec, 0), RunDigest::of(&with_ttl, 0));
        assert_ne!(RunDigest::of(&spec, 0), RunDigest::of(&spec, 1));
    }

    #[test]
    fn scopes_do_not_share_records() {
        let run = RunDigest::from_annotation("v1-x");
        let sync = |sync: &str, task: &str| {
            record_name(
                &RunScope::Sync {
                    sync: sync.into(),
                    task: task.into(),
                },
                &run,
            )
        };
        assert_ne!(sync("a", "bc"), sync("ab", "c"));
        assert_ne!(
            sync("a", ""),
            record_name(
                &RunScope::Spawner {
                    spawner: "a".into()
                },
                &run
            )
        );
    }
}
