//! The plan, and what became of it. Data only: `sync` makes it, `cli` prints it.

use serde_json::Value;

use super::names::Namespace;
use super::names::SyncId;
use super::object::Desired;
use super::object::Key;
use super::run::Outcome;
use super::snapshot::Revision;

/// What is to be done to make the cluster equal to the configuration.
#[derive(Clone, Debug)]
pub struct Plan {
    pub namespace: Namespace,
    pub sync: SyncId,
    /// Canonical form of the source.
    pub source: String,
    pub revision: Revision,
    /// One step for each object, in the order of output: by rank, then name; deletions last.
    pub steps: Vec<Step>,
}

/// What happens to one object.
#[derive(Clone, Debug)]
pub struct Step {
    pub key: Key,
    pub action: Action,
}

/// What happens, with all that doing it needs.
#[derive(Clone, Debug)]
pub enum Action {
    /// It is not there.
    Create { desired: Box<Desired> },
    /// It is there and differs.
    Update {
        desired: Box<Desired>,
        live: LiveId,
        changes: Vec<FieldChange>,
    },
    /// A Task whose run changed: it is deleted, awaited gone, and created.
    Replace {
        desired: Box<Desired>,
        live: LiveId,
        changes: Vec<FieldChange>,
        unfinished: bool,
    },
    /// It left the configuration. `running` counts the unfinished Tasks of a spawner (or is 1 for
    /// an unfinished Task).
    Delete { live: LiveId, running: usize },
    /// It left the configuration but is annotated `axon.io/prune: disabled`.
    Keep,
    /// It is as it should be.
    Unchanged,
    /// A Task that ran and is gone: it does not run again.
    AlreadyRan {
        outcome: Outcome,
        finished: Option<String>,
    },
    /// It cannot be applied.
    Blocked { reason: Blocked },
}

/// Why an object cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// Another field manager owns a field, and the object is being adopted.
    Conflict { fields: Vec<(String, String)> },
    /// An object of that name exists and is not of any sync.
    Foreign,
    /// An object of that name belongs to another sync.
    OtherSync { sync: String },
    /// The same sync id, from another source.
    OtherSource { origin: String },
    /// The API server refuses it (schema, admission).
    Refused { message: String },
}

/// Which very object a step was planned for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveId {
    pub uid: String,
    pub generation: i64,
    pub resource_version: String,
}

/// One field that changes.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldChange {
    /// Dotted path, `spec.podOverrides.env[0].value`.
    pub path: String,
    pub before: Option<Value>,
    pub after: Option<Value>,
    /// The field manager that set `before`, where that is not us: the change takes back drift.
    pub changed_by: Option<String>,
    /// Whether the values must not be shown.
    pub sensitive: bool,
}

/// How many steps of each sort a plan has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub create: usize,
    pub update: usize,
    pub replace: usize,
    pub delete: usize,
    pub unchanged: usize,
    pub conflicts: usize,
    /// Agent runs that the plan starts: declared Tasks that are created or replaced.
    pub runs: usize,
}

impl Plan {
    pub fn summary(&self) -> Summary {
        let mut sum = Summary::default();
        for step in &self.steps {
            let is_task = step.key.kind == super::object::Kind::Task;
            match &step.action {
                Action::Create { .. } => {
                    sum.create += 1;
                    sum.runs += usize::from(is_task);
                }
                Action::Update { .. } => sum.update += 1,
                Action::Replace { .. } => {
                    sum.replace += 1;
                    sum.runs += 1;
                }
                Action::Delete { .. } => sum.delete += 1,
                Action::Keep | Action::Unchanged | Action::AlreadyRan { .. } => sum.unchanged += 1,
                Action::Blocked { .. } => sum.conflicts += 1,
            }
        }
        sum
    }

    /// Whether carrying the plan out would write anything.
    pub fn has_changes(&self) -> bool {
        let sum = self.summary();
        sum.create + sum.update + sum.replace + sum.delete > 0
    }
}

/// What became of a plan that was carried out.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    pub created: Vec<Key>,
    pub updated: Vec<Key>,
    pub replaced: Vec<Key>,
    pub deleted: Vec<Key>,
    pub unchanged: usize,
    /// What failed, with the cause in words.
    pub failed: Vec<(Key, String)>,
    /// What was left out because something it depends on failed, or because the apply was interrupted.
    pub skipped: Vec<(Key, String)>,
}

impl Applied {
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty() && self.skipped.is_empty()
    }
}
