//! `RepoSync`: keeps a namespace equal to the `axon.yaml` of a repository.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use super::task::LocalRef;

/// Keeps its own namespace equal to the `axon.yaml` of a repository.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "axon.io",
    version = "v1alpha1",
    kind = "RepoSync",
    namespaced,
    category = "axon",
    shortname = "sync",
    status = "RepoSyncStatus",
    derive = "PartialEq",
    printcolumn(name = "Repo", type_ = "string", json_path = ".spec.repo"),
    printcolumn(name = "Ref", type_ = "string", json_path = ".spec.ref"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason"
    ),
    printcolumn(
        name = "Applied",
        type_ = "string",
        json_path = ".status.lastAppliedRevision"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    ),
    validation = Rule::new("size(self.metadata.name) <= 63")
        .message("the name of a RepoSync has at most 63 characters")
)]
#[serde(rename_all = "camelCase")]
pub struct RepoSyncSpec {
    /// URL of the repository: `https://`, `http://`, `git://`, `ssh://` or `git@host:path`.
    /// `file://` only where the controller allows it.
    #[schemars(
        length(min = 1, max = 2048),
        regex(pattern = r"^(https?://|git://|ssh://|file://|git@).+$")
    )]
    pub repo: String,
    /// Branch, tag, commit, or full ref. Absent: the repository's default branch.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 244))]
    pub reference: Option<String>,
    /// Path of `axon.yaml` in the repository.
    #[serde(default = "default_path")]
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
    /// How often to look for commits: a Go duration; at least `10s`.
    #[serde(default = "default_interval")]
    #[schemars(
        regex(pattern = r"^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$"),
        length(max = 32)
    )]
    pub interval: String,
    /// Secret with the credentials for `repo`; the same keys as a Workspace's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalRef>,
    /// Whether objects that left `axon.yaml` are deleted.
    #[serde(default = "yes")]
    pub prune: bool,
    /// Whether a manual edit of a declared field is undone at once; else at the next commit.
    #[serde(default = "yes")]
    pub drift_correction: bool,
    /// Whether nothing is to be done for now.
    #[serde(default)]
    pub suspend: bool,
    /// ServiceAccount of the same namespace that writes are made as. Absent: the controller's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub service_account_name: Option<String>,
    /// Only commits that are signed by one of these are applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<Verify>,
    /// Which plans wait for the annotation `axon.io/approved-plan`.
    #[serde(default)]
    pub approval: Approval,
    /// What becomes of its objects when the RepoSync is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// Lets the webhook receiver take pushes for this repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
    /// Reports each sync on its commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit_status: Option<CommitStatus>,
}

fn default_path() -> String {
    "axon.yaml".into()
}

fn default_interval() -> String {
    "1m".into()
}

fn yes() -> bool {
    true
}

/// Whose signatures count.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verify {
    /// Secret whose key `allowed_signers` holds a file as `ssh-keygen(1)` describes under
    /// "ALLOWED SIGNERS".
    pub secret_ref: LocalRef,
}

/// How a webhook proves where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Secret whose key `secret` the sender signs with.
    pub secret_ref: LocalRef,
}

/// How commit statuses are written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CommitStatus {
    /// Secret with a token that may write commit statuses; the same keys as a Workspace's.
    pub secret_ref: LocalRef,
}

/// Which plans wait for approval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Approval {
    /// None.
    #[default]
    None,
    /// Those that delete or replace objects, or run Tasks again.
    Destructive,
    /// All that change anything.
    All,
}

/// What becomes of a RepoSync's objects when it is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum DeletionPolicy {
    /// They stay.
    #[default]
    Orphan,
    /// They are deleted first; a finalizer sees to it.
    Delete,
}

/// Where a RepoSync stands.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
// A new object must not look as if somebody had looked at it.
#[schemars(extend("default" = {"observedGeneration": -1}))]
pub struct RepoSyncStatus {
    /// The generation that this status speaks of; -1 before the first look.
    #[serde(default = "never_observed")]
    pub observed_generation: i64,
    /// `Ready`, and `Reconciling` or `Stalled` where they are true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Id that its objects carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<String>,
    /// Id that its objects carried before its repository, path or `sync:` changed, while some are left
    /// that carry it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former_sync: Option<String>,
    /// Whose objects the namespace holds: what the last complete sync declared, and where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_force: Option<InForce>,
    /// The revision that was last looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempted_revision: Option<String>,
    /// The revision that the namespace was last made equal to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_applied_revision: Option<String>,
    /// The value of the annotation `axon.io/reconcileAt` that was last answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// What the last sync that changed something did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<ObjectCounts>,
    /// The plan that waits for approval or is held back by a guard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PendingPlan>,
    /// The approved plan that was begun last, until it is in force: what is left of it goes on without
    /// another approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<ApprovedPlan>,
    /// The latest syncs, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub history: Vec<SyncRecord>,
}

impl Default for RepoSyncStatus {
    fn default() -> Self {
        Self {
            observed_generation: never_observed(),
            conditions: Vec::new(),
            sync: None,
            former_sync: None,
            in_force: None,
            last_attempted_revision: None,
            last_applied_revision: None,
            last_handled_reconcile_at: None,
            objects: None,
            plan: None,
            approved: None,
            history: Vec::new(),
        }
    }
}

fn never_observed() -> i64 {
    -1
}

/// The configuration that a namespace was made equal to. It outlives an edit of the spec.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InForce {
    /// Id that its objects carry.
    pub sync: String,
    /// The repository, as in their annotation `axon.io/origin`.
    pub source: String,
    /// Path of `axon.yaml` in it.
    pub path: String,
}

/// How many objects a sync created, updated, deleted, and left as they were. A replaced Task counts
/// as updated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectCounts {
    #[schemars(range(min = 0), with = "i32")]
    pub created: u32,
    #[schemars(range(min = 0), with = "i32")]
    pub updated: u32,
    #[schemars(range(min = 0), with = "i32")]
    pub deleted: u32,
    #[schemars(range(min = 0), with = "i32")]
    pub unchanged: u32,
}

/// A plan that waits for someone's word.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingPlan {
    /// What the annotations `axon.io/approved-plan` and `axon.io/allow-prune` must say.
    pub digest: String,
    /// What it would do, without any value of a field.
    #[schemars(length(max = 8192))]
    pub summary: String,
}

/// An approved plan. It counts as long as an annotation names its digest, which its steps must give.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovedPlan {
    /// What the annotation `axon.io/approved-plan` or `axon.io/allow-prune` says.
    pub digest: String,
    /// Digest of the files that it was made from.
    pub configuration: String,
    /// A digest of each of its steps.
    #[schemars(length(max = 1000), inner(length(max = 64)))]
    pub steps: Vec<String>,
}

/// One sync that came to an end.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncRecord {
    /// The revision that was applied, or was to be.
    pub revision: String,
    /// When it ended.
    pub time: Time,
    /// The reason of the condition `Ready` then.
    pub reason: String,
    /// What it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<ObjectCounts>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}
