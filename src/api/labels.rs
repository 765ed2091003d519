//! Names of the labels and annotations that Axon reads and writes.

/// Label on Jobs and Pods: the Task they run.
pub const TASK: &str = "axon.io/task";
/// Annotation on Pods: UID of the Task they run. A Pod may outlive its Job, which else tells whose it is.
pub const TASK_UID: &str = "axon.io/task-uid";
/// Annotation on Jobs and Pods: which attempt of their Task they are: `1`, `2`, and so on.
pub const ATTEMPT: &str = "axon.io/attempt";
/// Annotation on the Lease of a branch: the branch's name.
pub const BRANCH: &str = "axon.io/branch";
/// Label on Jobs and Pods that work on a branch: the name of its Lease, which they may outlive.
pub const BRANCH_LEASE: &str = "axon.io/branch-lease";
/// Annotation on Jobs: `true` from the moment on that their Pod may be made. One that is held back
/// after that was held back by somebody else.
pub const RELEASED: &str = "axon.io/released";
/// Values of [`RELEASED`].
pub const RELEASED_FALSE: &str = "false";
pub const RELEASED_TRUE: &str = "true";
/// Label on Tasks and run records: the TaskSpawner that made them. Annotation: its full name.
pub const TASK_SPAWNER: &str = "axon.io/taskspawner";
/// Label on declared objects and their run records: the id of the sync they belong to.
pub const SYNC: &str = "axon.io/sync";
/// Label on run records. Its only value is [`RECORD_RUN`].
pub const RECORD: &str = "axon.io/record";
/// Value of [`RECORD`].
pub const RECORD_RUN: &str = "run";
/// Label on run records whose Task's name left `axon.yaml`. Its only value is [`LEFT_TRUE`].
pub const LEFT: &str = "axon.io/left";
/// Value of [`LEFT`].
pub const LEFT_TRUE: &str = "true";
/// Annotation on run records that have [`LEFT`]: the time (RFC 3339) from which they may go.
pub const FORGET_AFTER: &str = "axon.io/forget-after";

/// Annotation on declared objects: `<source>#<path>#<Kind>/<name>`.
pub const ORIGIN: &str = "axon.io/origin";
/// Annotation on Tasks that must run once: what identifies the run (see `ARCHITECTURE.md`).
pub const RUN: &str = "axon.io/run";
/// Annotation on a plain Task manifest: raise it to run the Task again.
pub const RERUN: &str = "axon.io/rerun";
/// Annotation on Tasks made by a command: which call of it made them.
pub const REQUEST: &str = "axon.io/request";
/// Annotation on Tasks made by `axon rerun`: name of the first Task of these words.
pub const RERUN_OF: &str = "axon.io/rerun-of";
/// Annotation on spawned Tasks: the key of the work item, which holds its repository.
pub const ITEM: &str = "axon.io/item";
/// Annotation on spawned Tasks: where a person finds the work item.
pub const ITEM_URL: &str = "axon.io/item-url";
/// Annotation on spawned Tasks: `Issue` or `PR`.
pub const ITEM_KIND: &str = "axon.io/item-kind";
/// Annotation: `disabled` keeps an object that left `axon.yaml`.
pub const PRUNE: &str = "axon.io/prune";
/// Annotation on a foreign object: the id of the sync that may adopt it.
pub const ADOPT_INTO: &str = "axon.io/adopt-into";

/// Annotation on a RepoSync: a new value makes it look at once; its status repeats the value.
pub const RECONCILE_AT: &str = "axon.io/reconcileAt";
/// Annotation on a RepoSync: the digest of the plan that may be applied.
pub const APPROVED_PLAN: &str = "axon.io/approved-plan";
/// Annotation on a RepoSync: the digest of the plan whose deletions may exceed the guard.
pub const ALLOW_PRUNE: &str = "axon.io/allow-prune";

/// Annotation on Secrets with a token of a GitHub App: when the token expires (RFC 3339).
pub const TOKEN_EXPIRES: &str = "axon.io/token-expires";
/// Annotation on such Secrets: which installation the token is of, as a digest.
pub const TOKEN_OF: &str = "axon.io/token-of";

/// The fixed labels of Jobs and Pods, as the Go Axon writes them.
pub const APP: [(&str, &str); 3] = [
    ("app.kubernetes.io/name", "axon"),
    ("app.kubernetes.io/component", "task"),
    ("app.kubernetes.io/managed-by", "axon-controller"),
];
