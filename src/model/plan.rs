//! The plan, and what became of it. Data only: `sync` makes it, `cli` prints it.

mod parts;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use super::names::Namespace;
use super::names::ObjectName;
use super::names::SyncId;
use super::object::Key;
use super::object::Kind;
use super::origin::Home;
use super::run::Outcome;
use super::run::RunDigest;
use super::snapshot::Revision;

/// What is to be done to make the cluster equal to the configuration.
#[derive(Clone, Debug)]
pub struct Plan {
    pub namespace: Namespace,
    pub sync: SyncId,
    /// The id that the sync had before, where that is given up.
    pub takes_over: Option<SyncId>,
    pub home: Home,
    pub revision: Revision,
    /// How many objects the configuration declares.
    pub declared: usize,
    /// How many objects of this sync the cluster holds.
    pub members: usize,
    /// The declared Tasks, and what identifies their runs.
    pub runs: BTreeMap<ObjectName, RunDigest>,
    /// One step for each object, in the order of output: by rank, then name; deletions last.
    pub steps: Vec<Step>,
    /// What happens to the records of runs.
    pub ledger: Vec<LedgerStep>,
}

/// What happens to one record of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerStep {
    /// It becomes one of this sync, under a new name.
    Move { from: String, to: String },
    /// The name of its Task left the configuration: the record goes some time after.
    Leave { record: String },
    /// The name of its Task came back: the record stays.
    Return { record: String },
    /// Its Task is deleted before it has ended.
    Cancel { task: ObjectName, record: String },
}

impl LedgerStep {
    /// Whether it is worth an apply of its own. The others wait for one.
    pub fn is_change(&self) -> bool {
        match self {
            Self::Move { .. } | Self::Return { .. } => true,
            Self::Leave { .. } | Self::Cancel { .. } => false,
        }
    }
}

/// What happens to one object.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub key: Key,
    pub action: Action,
}

/// What happens, with all that doing it needs.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// It is not there. `again`: a Task of this name ran before, as something else.
    Create { manifest: Manifest, again: bool },
    /// It is there and differs.
    Update {
        manifest: Manifest,
        live: LiveId,
        changes: Vec<FieldChange>,
        claim: Claim,
        /// Field managers whose fields become ours before anything else: what they set is then
        /// declared, or removed.
        inherits: Vec<String>,
    },
    /// A Task whose run changed: it is deleted, awaited gone, and created.
    Replace {
        manifest: Manifest,
        live: LiveId,
        changes: Vec<FieldChange>,
        unfinished: bool,
    },
    /// It left the configuration. `running` counts the unfinished Tasks of a spawner (or is 1 for
    /// an unfinished Task).
    Delete { live: LiveId, running: usize },
    /// It left the configuration, and stays.
    Keep { why: Kept },
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

/// Why what left the configuration stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It is annotated `axon.io/prune: disabled`, or the sync deletes nothing.
    Asked,
    /// It carries the label of the sync, but no `axon.io/origin`: nothing proves that the sync made it.
    Unproven,
}

/// The right by which an object is updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is of this sync: git wins over whoever changed a declared field.
    Own,
    /// It becomes one of this sync; fields of other managers are left to them.
    Adopt,
    /// It becomes one of this sync, with all declared fields.
    AdoptByForce,
    /// It was of the id that this sync had before.
    TakeOver,
}

impl Claim {
    /// Whether declared fields are taken from other managers.
    pub fn takes_fields(self) -> bool {
        match self {
            Self::Own | Self::AdoptByForce | Self::TakeOver => true,
            Self::Adopt => false,
        }
    }
}

/// Why an object cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blocked {
    /// Other field managers own fields, and the object is being adopted.
    Conflict { fields: Vec<OwnedField> },
    /// An object of that name exists and is not of any sync.
    Foreign,
    /// An object of that name belongs to another sync.
    OtherSync {
        sync: String,
        /// Whether another file declared it, too.
        is_elsewhere: bool,
    },
    /// The same sync id, from another source.
    OtherSource { origin: String },
    /// It is being deleted, and something holds it: it can be made again when it has gone.
    Going,
    /// The API server does not take it (schema, admission); without a reason why it never will, that may pass.
    Refused {
        why: Option<Refusal>,
        message: String,
    },
}

/// Why the API server will not take an object, however often it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is not as it must be: schema, validation, admission.
    Invalid,
    /// Whoever writes may not write it: rights, quota, admission.
    Forbidden,
}

/// A field, and the manager that owns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedField {
    pub path: String,
    pub manager: String,
}

/// Which very object a step was planned for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveId {
    pub uid: String,
    pub generation: i64,
    pub resource_version: String,
    /// Whose it is: sync, origin, and whether it is to be kept.
    pub marks: Marks,
}

impl LiveId {
    /// Whether `now` is the same object, and of the same owner.
    pub fn is_of(&self, now: &Self) -> bool {
        self.uid == now.uid && self.marks == now.marks
    }
}

/// What says whose an object is. A change of it raises no generation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    pub sync: Option<String>,
    pub origin: Option<String>,
    pub prune: Option<String>,
}

/// An object as it is sent to the API server. Its `Debug` shows no values: they may be sensitive.
#[derive(Clone, PartialEq)]
pub struct Manifest(Value);

impl Manifest {
    pub fn new(value: Value) -> Self {
        Self(value)
    }

    pub fn as_value(&self) -> &Value {
        &self.0
    }

    /// The Workspace that a Task or a TaskSpawner names.
    pub fn workspace(&self) -> Option<&str> {
        [
            "/spec/workspaceRef/name",
            "/spec/taskTemplate/workspaceRef/name",
        ]
        .iter()
        .find_map(|pointer| self.0.pointer(pointer)?.as_str())
    }
}

impl fmt::Debug for Manifest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Manifest(..)")
    }
}

/// One field that changes.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldChange {
    /// As a person writes it: `spec.podOverrides.env[0].value`.
    pub path: String,
    pub before: Shown,
    pub after: Shown,
    /// The field manager that set `before`, where that is not us: the change takes back drift.
    pub changed_by: Option<String>,
}

/// A value as far as it may be shown.
#[derive(Clone, Debug, PartialEq)]
pub enum Shown {
    Absent,
    Sensitive,
    /// Sensitive parts are replaced by [`SENSITIVE`].
    Value(Value),
}

/// Stands for what must not be shown.
pub const SENSITIVE: &str = "(sensitive)";

/// How many steps of each sort a plan has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub create: usize,
    pub update: usize,
    pub replace: usize,
    pub delete: usize,
    pub unchanged: usize,
    /// Objects that cannot be applied because of whom they or their fields belong to.
    pub conflicts: usize,
    /// Objects that the API server refuses.
    pub refused: usize,
    /// Agent runs that the plan starts: declared Tasks that are created or replaced.
    pub runs: usize,
    /// Those of them whose Task ran before.
    pub reruns: usize,
    /// Records of runs that move from the id that the sync had before, or stay after all.
    pub records: usize,
}

impl Summary {
    /// Whether carrying the plan out would write anything.
    pub fn has_changes(&self) -> bool {
        self.create + self.update + self.replace + self.delete + self.records > 0
    }
}

impl Plan {
    /// Whether carrying it out is worth it: it changes something, or marks records of runs whose Tasks
    /// left the configuration. What cannot be applied keeps records from being marked.
    pub fn has_work(&self) -> bool {
        let is_blocked = |step: &Step| matches!(step.action, Action::Blocked { .. });
        let leaves = |it: &LedgerStep| matches!(it, LedgerStep::Leave { .. });
        self.summary().has_changes()
            || (self.ledger.iter().any(leaves) && !self.steps.iter().any(is_blocked))
    }

    pub fn summary(&self) -> Summary {
        let mut sum = Summary {
            records: self.ledger.iter().filter(|it| it.is_change()).count(),
            ..Summary::default()
        };
        for step in &self.steps {
            match &step.action {
                Action::Create { again, .. } => {
                    sum.create += 1;
                    sum.runs += usize::from(step.key.kind == Kind::Task);
                    sum.reruns += usize::from(*again);
                }
                Action::Update { .. } => sum.update += 1,
                Action::Replace { .. } => {
                    sum.replace += 1;
                    sum.runs += 1;
                    sum.reruns += 1;
                }
                Action::Delete { .. } => sum.delete += 1,
                Action::Keep { .. } | Action::Unchanged | Action::AlreadyRan { .. } => {
                    sum.unchanged += 1;
                }
                Action::Blocked { reason } => match reason {
                    Blocked::Refused { .. } => sum.refused += 1,
                    Blocked::Conflict { .. }
                    | Blocked::Foreign
                    | Blocked::OtherSync { .. }
                    | Blocked::OtherSource { .. }
                    | Blocked::Going => sum.conflicts += 1,
                },
            }
        }
        sum
    }
}

/// What became of a plan that was carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// What was done, in the order of the plan.
    pub done: Vec<(Key, Deed)>,
    pub unchanged: usize,
    /// What the plan already said cannot be applied.
    pub blocked: Vec<Key>,
    pub failed: Vec<Failed>,
    /// What was left out, and why.
    pub skipped: Vec<(Key, Skipped)>,
    /// Why records of runs could not be moved, outermost cause first; empty if they were.
    pub records: Vec<String>,
}

/// What was done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Created,
    Updated,
    Replaced,
    Deleted,
}

/// An object that could not be brought to its planned state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    pub key: Key,
    /// Whether it is because somebody else owns or changed it.
    pub is_conflict: bool,
    /// Why the API server will not take it, where trying again is of no use.
    pub refusal: Option<Refusal>,
    /// The causes in words, outermost first.
    pub causes: Vec<String>,
}

/// Why a step was not tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// The Workspace that it names was not applied.
    Workspace { name: String },
    /// The API server was lost before its turn.
    Unreachable,
    /// The apply was told to stop before its turn.
    Interrupted,
    /// The records of runs could not be moved before it.
    Records,
    /// Nothing is deleted when something before it did not succeed.
    PruneAfterFailure,
}

impl Applied {
    pub fn is_complete(&self) -> bool {
        self.blocked.is_empty()
            && self.failed.is_empty()
            && self.skipped.is_empty()
            && self.records.is_empty()
    }

    pub fn count(&self, deed: Deed) -> usize {
        self.done.iter().filter(|(_, done)| *done == deed).count()
    }
}
