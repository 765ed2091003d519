//! `TaskSpawner`: turns discovered work items into Tasks.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use super::task::AgentType;
use super::task::Credentials;
use super::task::LocalRef;
use super::task::PodOverrides;
use super::task::Retry;

/// Turns discovered work items into Tasks.
#[derive(CustomResource, Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "axon.io",
    version = "v1alpha1",
    kind = "TaskSpawner",
    namespaced,
    category = "axon",
    shortname = "ts",
    status = "TaskSpawnerStatus",
    derive = "PartialEq",
    printcolumn(name = "Workspace", type_ = "string", json_path = ".spec.taskTemplate.workspaceRef.name"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Active", type_ = "integer", json_path = ".status.activeTasks"),
    printcolumn(name = "Discovered", type_ = "integer", json_path = ".status.totalDiscovered"),
    printcolumn(name = "Tasks", type_ = "integer", json_path = ".status.totalTasksCreated"),
    printcolumn(name = "Next", type_ = "string", json_path = ".status.nextScheduleTime"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("size(self.metadata.name) <= 63")
        .message("the name of a TaskSpawner has at most 63 characters")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.when.githubIssues) || has(self.taskTemplate.workspaceRef)",
    "message": "githubIssues needs taskTemplate.workspaceRef",
}]))]
pub struct TaskSpawnerSpec {
    /// Where work comes from: exactly one source.
    pub when: When,
    /// What each Task looks like.
    pub task_template: TaskTemplate,
    /// How often to look for work: a Go duration (`90s`, `1h30m`) or plain seconds; at least `10s`.
    #[serde(default = "default_poll_interval")]
    #[schemars(
        regex(pattern = r"^([0-9]+|([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+)$"),
        length(max = 32)
    )]
    pub poll_interval: String,
    /// How many Tasks of this spawner may be unfinished at once. 0 or absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub max_concurrency: Option<i32>,
    /// Whether the spawner looks for no work for now. Its Tasks go on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
    /// How many Tasks the spawner creates in all. Absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_total_tasks: Option<i32>,
}

fn default_poll_interval() -> String {
    "5m".into()
}

/// Where work comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.githubIssues) || has(self.cron)",
    "message": "name a source: githubIssues or cron",
}]))]
pub struct When {
    /// Issues or pull requests of the workspace's GitHub repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub github_issues: Option<GithubIssues>,
    /// Ticks of a schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<Cron>,
}

/// Which issues and pull requests match.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GithubIssues {
    /// Issues, pull requests, or both.
    #[serde(default = "default_types")]
    pub types: Vec<ItemType>,
    /// Labels that an item must all have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Labels of which an item must have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude_labels: Vec<String>,
    /// State that an item must be in.
    #[serde(default = "default_state")]
    pub state: ItemState,
}

impl Default for GithubIssues {
    fn default() -> Self {
        Self {
            types: default_types(),
            labels: Vec::new(),
            exclude_labels: Vec::new(),
            state: default_state(),
        }
    }
}

fn default_types() -> Vec<ItemType> {
    vec![ItemType::Issues]
}

fn default_state() -> ItemState {
    ItemState::Open
}

/// What kind of item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ItemType {
    Issues,
    Pulls,
}

/// State of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ItemState {
    Open,
    Closed,
    All,
}

/// Ticks of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cron {
    /// Five fields (minute, hour, day of month, month, day of week) or a name such as `@hourly`.
    #[schemars(length(min = 1, max = 256))]
    pub schedule: String,
    /// IANA time zone. Absent: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
}

/// What each spawned Task looks like.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!(self.type in ['custom', 'cursor']) || has(self.image)",
    "message": "an agent of type custom or cursor needs an image",
}]))]
pub struct TaskTemplate {
    /// Which agent runs.
    #[serde(rename = "type")]
    pub agent: AgentType,
    /// How the agent signs in.
    pub credentials: Credentials,
    /// Model to use, in the agent's own terms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub model: Option<String>,
    /// Image to run instead of the default one of this agent type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub image: Option<String>,
    /// Workspace in the same namespace that the agent works in. Required with `githubIssues`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace_ref: Option<LocalRef>,
    /// Prompt, as a Go `text/template` over the work item. Absent: title, body and comments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 131_072))]
    pub prompt_template: Option<String>,
    /// Seconds after the end at which each Task is deleted.
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
}

/// What a spawner found and did.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskSpawnerStatus {
    /// Whether the spawner works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<SpawnerPhase>,
    /// The Deployment whose controller runs this spawner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment_name: Option<String>,
    /// Items that matched at the last poll.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_discovered: Option<i32>,
    /// Tasks that this spawner has created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_tasks_created: Option<i32>,
    /// Tasks of this spawner that have not finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_tasks: Option<i32>,
    /// When the source was last asked. Written with another change, else at most every 10 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_discovery_time: Option<Time>,
    /// The last tick that was handled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_schedule_time: Option<Time>,
    /// The tick that comes next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_schedule_time: Option<Time>,
    /// A sentence a person can act on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// `Ready`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// Whether a spawner works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum SpawnerPhase {
    Pending,
    Running,
    Failed,
}
