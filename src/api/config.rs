//! `axon.yaml`: what a team commits.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use super::pattern;
use super::task::AgentType;
use super::task::Credentials;
use super::task::PodOverrides;
use super::task::PromptSyntax;
use super::task::Retry;
use super::task_spawner::When;
use super::workspace::GitIdentity;

/// The configuration document of `axon.yaml`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// `axon.io/v1alpha1`.
    #[schemars(extend("const" = "axon.io/v1alpha1"))]
    pub api_version: String,
    /// `Config`.
    #[schemars(extend("const" = "Config"))]
    pub kind: String,
    /// Namespace of every object. Absent: the target's own. Root file only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub namespace: Option<String>,
    /// Id that the objects carry. Absent: made from the repository. Root file only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub sync: Option<String>,
    /// Further files, as paths or glob patterns inside the repository. Root file only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Merged into every task and spawner of this configuration. Root file only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults: Option<Defaults>,
    /// Workspaces by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub workspaces: BTreeMap<String, WorkspaceEntry>,
    /// TaskSpawners by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub spawners: BTreeMap<String, SpawnerEntry>,
    /// Tasks by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tasks: BTreeMap<String, TaskEntry>,
    /// Tasks or TaskSpawners that differ in a few values, by the name they begin with.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fleets: BTreeMap<String, FleetEntry>,
}

/// One definition, expanded once for each combination of the values of its lists.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FleetEntry {
    /// Lists of values by the variable that stands for them. Every combination makes one object,
    /// named after the fleet and its values.
    #[schemars(extend("minProperties" = 1))]
    pub for_each: BTreeMap<String, Values>,
    /// A task, whose texts may hold Tera expressions such as `{{ repo }}`. Either this or `spawner`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskEntry>,
    /// A spawner, whose texts, other than `prompt` and `branch`, may hold Tera expressions such as
    /// `{{ repo }}`. Either this or `task`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spawner: Option<SpawnerEntry>,
}

/// The values of a variable.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Values(#[schemars(length(min = 1, max = 5000))] pub Vec<ForEachValue>);

/// One value of a variable.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ForEachValue {
    Text(#[schemars(length(max = 1024))] String),
    Number(i64),
    Bool(bool),
}

/// What an entry is filled up with. Maps merge key by key, lists and scalars are taken whole,
/// `credentials` as a whole.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Defaults {
    /// Which agent runs.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentType>,
    /// How the agent signs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// Model to use, in the agent's own terms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub model: Option<String>,
    /// Image to run instead of the default one of the agent type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub image: Option<String>,
    /// Name of the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub workspace: Option<String>,
    /// Seconds after the end at which a Task is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub ttl_seconds_after_finished: Option<i32>,
    /// What to change in the Pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_overrides: Option<PodOverrides>,
    /// Branch to work on; no longer than a Task takes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 244))]
    pub branch: Option<String>,
    /// When a Task runs again after a run that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Labels and annotations of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<EntryMetadata>,
}

/// A Workspace's spec. Without `repo` it is the repository that `axon.yaml` is in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkspaceEntry {
    /// URL of the repository. Absent: the repository that `axon.yaml` is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 2048),
        regex(pattern = r"^(https?://|git://|ssh://|file://|git@).+$")
    )]
    pub repo: Option<String>,
    /// Branch, tag, or commit.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 244))]
    pub reference: Option<String>,
    /// Secret with the credentials for `repo`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<super::task::LocalRef>,
    /// How many commits of history agents see. 0: all. Absent: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub depth: Option<i32>,
    /// Whether submodules of the same host are checked out too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub submodules: bool,
    /// Whom agents commit as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_identity: Option<GitIdentity>,
    /// Labels and annotations of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<EntryMetadata>,
}

/// The fields of a TaskSpawner and, flat beside them, those of its task template.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SpawnerEntry {
    /// Where work comes from: exactly one source.
    pub when: When,
    /// How often to look for work: a duration (`90s`, `1h30m`) or plain seconds; at least `10s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        regex(pattern = r"^([0-9]+|([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+)$"),
        length(max = 32)
    )]
    pub poll_interval: Option<String>,
    /// How many Tasks of this spawner may be unfinished at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_concurrency: Option<i32>,
    /// Prompt, as a Go `text/template` over the work item. Absent: title, body and comments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 131_072))]
    pub prompt: Option<String>,
    /// Which agent runs.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentType>,
    /// How the agent signs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// Model to use, in the agent's own terms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub model: Option<String>,
    /// Image to run instead of the default one of the agent type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub image: Option<String>,
    /// Name of the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub workspace: Option<String>,
    /// Seconds after the end at which a Task is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub ttl_seconds_after_finished: Option<i32>,
    /// What to change in the Pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_overrides: Option<PodOverrides>,
    /// Branch to work on, as a Go `text/template` over the work item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub branch: Option<String>,
    /// When a Task runs again after a run that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Whether the spawner looks for no work for now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
    /// How many Tasks the spawner creates in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_total_tasks: Option<i32>,
    /// Labels and annotations of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<EntryMetadata>,
}

/// A Task's spec.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TaskEntry {
    /// What the agent is asked to do.
    #[schemars(length(min = 1, max = 131_072))]
    pub prompt: String,
    /// Raise it to run the Task again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun: Option<u32>,
    /// Which agent runs.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentType>,
    /// How the agent signs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// Model to use, in the agent's own terms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub model: Option<String>,
    /// Image to run instead of the default one of the agent type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub image: Option<String>,
    /// Name of the workspace, or a workspace's spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<WorkspaceUse>,
    /// Seconds after the end at which the Task is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub ttl_seconds_after_finished: Option<i32>,
    /// What to change in the Pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_overrides: Option<PodOverrides>,
    /// Branch to work on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 244))]
    pub branch: Option<String>,
    /// When a Task runs again after a run that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Tasks that must have succeeded before this one starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 253), regex(pattern = pattern::NAME))
    )]
    pub depends_on: Vec<String>,
    /// How the prompt is read. Absent: `Plain`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_syntax: Option<PromptSyntax>,
    /// Stops the run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancelled: bool,
    /// Labels and annotations of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<EntryMetadata>,
}

/// The workspace of a task: a name, or a Workspace of its own, named after the task.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum WorkspaceUse {
    Name(String),
    Inline(WorkspaceEntry),
}

/// Labels and annotations of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EntryMetadata {
    /// Labels. Those under `axon.io/`, `app.kubernetes.io/` and `batch.kubernetes.io/` are Axon's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}
