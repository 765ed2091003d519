//! The plan as programs read it (`axon plan -o json`), and the plan in a file (`axon plan --out`).
//!
//! Codes here are stable: a later version of Axon adds to them, and raises [`FORMAT_VERSION`] when it
//! changes what one means. `schema/plan.schema.json` is generated from [`PlanDocument`].

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;

/// Version of both forms.
pub const FORMAT_VERSION: u32 = 1;

/// A plan.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanDocument {
    pub kind: PlanKind,
    /// Rises when the meaning of something here changes; additions do not raise it.
    pub format_version: u32,
    /// Namespace that is planned for.
    pub namespace: String,
    /// Id of the sync.
    pub sync: String,
    /// Where the configuration is: host and path of a repository, or the name of a directory.
    pub source: String,
    /// Path of the root file.
    pub path: String,
    pub revision: PlanRevision,
    /// Identifies what the plan would do to which very objects.
    pub digest: String,
    /// Whether applying the plan would write anything.
    pub has_changes: bool,
    /// Whether the API server was asked what would come of it.
    pub dry_run: bool,
    pub summary: PlanSummary,
    pub runs: PlanRuns,
    /// Why the guards refuse the plan; empty if they let it pass.
    pub refusals: Vec<PlanRefusal>,
    /// One for each object: by rank, then name; deletions last.
    pub steps: Vec<PlanStep>,
}

/// Tells a plan from other documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum PlanKind {
    Plan,
}

/// What the configuration was read at.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(tag = "type", content = "id", rename_all = "camelCase")]
pub enum PlanRevision {
    /// A commit of a repository.
    Commit(String),
    /// A digest of the files of a directory.
    Directory(String),
}

/// How many objects there are of each sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanSummary {
    pub create: usize,
    pub update: usize,
    pub replace: usize,
    pub delete: usize,
    pub unchanged: usize,
    /// Objects that cannot be applied because of whom they or their fields belong to.
    pub conflicts: usize,
    /// Objects that the API server refuses.
    pub refused: usize,
    /// Records of runs that move from the id that the sync had before, or stay after all.
    pub records: usize,
}

/// Agent runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanRuns {
    /// How many the plan starts.
    pub starts: usize,
    /// How many of them are of Tasks that ran before.
    pub again: usize,
}

/// A guard that refuses the plan.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanRefusal {
    pub code: RefusalCode,
    pub message: String,
    /// Number that the allowing flag has to name.
    pub count: usize,
}

/// Which guard refuses, by the reasons of a `RepoSync`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum RefusalCode {
    EmptyGuard,
    PruneGuard,
    RerunGuard,
}

/// What happens to one object.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanStep {
    /// `Workspace`, `TaskSpawner` or `Task`.
    pub kind: String,
    pub name: String,
    #[serde(flatten)]
    pub action: PlanAction,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(
    tag = "action",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum PlanAction {
    /// It is not there.
    Create {
        /// Whether an agent runs.
        runs_agent: bool,
        /// Whether a Task of this name ran before, as something else.
        again: bool,
    },
    /// It is there and differs.
    Update {
        claim: PlanClaim,
        changes: Vec<PlanChange>,
    },
    /// A Task whose run changed: it is deleted and created, and the agent runs again.
    Replace {
        /// Whether that ends a run that is under way.
        cancels_run: bool,
        changes: Vec<PlanChange>,
    },
    /// It left the configuration.
    Delete {
        /// Its run, or the unfinished Tasks of a spawner.
        running: usize,
    },
    /// It left the configuration, and stays.
    Keep { reason: KeepReason },
    /// It is as it should be.
    Unchanged,
    /// A Task that ran and is gone: it does not run again.
    AlreadyRan {
        outcome: RunOutcome,
        /// RFC 3339 time of its end.
        #[serde(skip_serializing_if = "Option::is_none")]
        finished: Option<String>,
    },
    /// It cannot be applied.
    Blocked {
        reason: BlockedReason,
        message: String,
        /// For `Conflict`: the fields and who owns them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        fields: Vec<PlanField>,
    },
}

/// Why what left the configuration stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum KeepReason {
    /// It is annotated `axon.io/prune: disabled`.
    Asked,
    /// It has lost its `axon.io/origin`: nothing proves that the sync made it.
    Unproven,
}

/// The right by which an object is updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum PlanClaim {
    /// It is of this sync: git wins.
    Own,
    /// It becomes one of this sync; fields of other managers are left to them.
    Adopt,
    /// It becomes one of this sync, with all declared fields.
    AdoptByForce,
    /// It was of the id that this sync had before.
    TakeOver,
}

/// How a recorded run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum RunOutcome {
    Succeeded,
    Failed,
    /// Its Task was deleted by a sync before it ended.
    Cancelled,
    Unknown,
}

/// Why an object cannot be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum BlockedReason {
    /// Other managers own fields of an object that is being adopted.
    Conflict,
    /// An object of that name exists and is not of any sync.
    Foreign,
    /// It is being deleted, and something holds it.
    Going,
    /// It belongs to another sync.
    OtherSync,
    /// The same sync id, from another source.
    OtherSource,
    /// The API server refuses it.
    Refused,
}

/// A field and its owner.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct PlanField {
    pub path: String,
    pub manager: String,
}

/// One field that changes.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanChange {
    /// As a person writes it: `spec.podOverrides.env[0].value`.
    pub path: String,
    /// Absent if the field was not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<PlanValue>,
    /// Absent if the field is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<PlanValue>,
    /// The field manager that set `before`, where that is not Axon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<String>,
}

/// A value, as far as it may be shown.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanValue {
    /// `(sensitive)` where it is; so are sensitive parts of it.
    pub value: Value,
    /// Whether the whole is hidden.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sensitive: bool,
}

/// A plan in a file: what it was made from, and digests of what it would do. No values, no secrets.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SavedPlan {
    // Stands first: the file is known by it.
    pub kind: SavedKind,
    pub format_version: u32,
    /// RFC 3339.
    pub created: String,
    /// RFC 3339.
    pub expires: String,
    pub cluster: SavedCluster,
    pub namespace: String,
    pub sync: String,
    pub source: SavedSource,
    pub options: SavedOptions,
    /// As in [`PlanDocument`].
    pub digest: String,
    pub steps: Vec<SavedStep>,
    /// The objects that the plan rests on, also those that stay as they are.
    pub objects: Vec<SavedObject>,
    /// The run records of declared Tasks that were there.
    pub records: Vec<String>,
}

/// Tells a saved plan from other files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum SavedKind {
    SavedPlan,
}

/// What a cluster is known by: the first that both sides know.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SavedCluster {
    /// UID of the namespace `kube-system`.
    pub system: Option<String>,
    /// UID of the namespace that is planned for.
    pub namespace: Option<String>,
    /// Address of the API server.
    pub server: String,
}

/// Where the configuration is read again.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SavedSource {
    /// Directory, file or URL, as it was typed.
    pub location: String,
    /// Value of `--path`.
    pub path: Option<String>,
    pub revision: PlanRevision,
}

/// How far the plan may go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct SavedOptions {
    pub adopt: bool,
    pub force_conflicts: bool,
    pub take_ownership: bool,
    /// Id of the sync that is taken over.
    pub take_over_sync: Option<String>,
    pub no_dry_run: bool,
    pub allow_delete: Option<usize>,
    pub allow_runs: Option<usize>,
}

/// What was planned for one object.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SavedStep {
    /// `Kind/name`.
    pub object: String,
    /// As in [`PlanAction`].
    pub action: String,
    /// Digest of what is sent and of what changes by it.
    pub digest: String,
}

/// An object as it was when the plan was made.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SavedObject {
    /// `Kind/name`.
    pub object: String,
    pub uid: String,
    pub generation: i64,
    /// Digest of the labels and annotations that plans read.
    pub marks: String,
}

/// The JSON Schema of [`PlanDocument`].
pub fn plan_schema() -> Value {
    let settings = SchemaSettings::draft07();
    let mut schema = settings
        .into_generator()
        .into_root_schema_for::<PlanDocument>();
    schema.insert("title".into(), "A plan of Axon (axon plan -o json)".into());
    schema.to_value()
}
