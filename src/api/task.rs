//! `Task`: one run of one agent.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use super::pattern;

pub use super::pod_overrides::PodOverrides;

/// One run of one agent.
#[derive(CustomResource, Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "axon.io",
    version = "v1alpha1",
    kind = "Task",
    namespaced,
    category = "axon",
    status = "TaskStatus",
    derive = "PartialEq",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[-1:].reason"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new(frozen("type")).message("spec.type cannot change once the Task has a Job"),
    validation = Rule::new(frozen("prompt")).message("spec.prompt cannot change once the Task has a Job"),
    validation = Rule::new(frozen("credentials")).message("spec.credentials cannot change once the Task has a Job"),
    validation = Rule::new(frozen("model")).message("spec.model cannot change once the Task has a Job"),
    validation = Rule::new(frozen("image")).message("spec.image cannot change once the Task has a Job"),
    validation = Rule::new(frozen("workspaceRef")).message("spec.workspaceRef cannot change once the Task has a Job"),
    validation = Rule::new(frozen("podOverrides")).message("spec.podOverrides cannot change once the Task has a Job"),
    validation = Rule::new(frozen("branch")).message("spec.branch cannot change once the Task has a Job"),
    validation = Rule::new(frozen("dependsOn")).message("spec.dependsOn cannot change once the Task has a Job"),
    validation = Rule::new(frozen("promptSyntax")).message("spec.promptSyntax cannot change once the Task has a Job"),
    validation = Rule::new(frozen("retry")).message("spec.retry cannot change once the Task has a Job")
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!(self.type in ['custom', 'cursor']) || has(self.image)",
    "message": "an agent of type custom or cursor needs spec.image",
}]))]
pub struct TaskSpec {
    /// Which agent runs.
    #[serde(rename = "type")]
    pub agent: AgentType,
    /// What the agent is asked to do. It arrives byte for byte. At most 128 KiB: what one argument
    /// of a process can hold.
    #[schemars(
        length(min = 1, max = 131_072),
        extend("x-kubernetes-validations" = [
            {"rule": "bytes(self).size() <= 131072", "message": "a prompt has at most 131072 bytes"},
            {"rule": "!self.contains('\\u0000')", "message": "a prompt has no NUL"},
        ])
    )]
    pub prompt: String,
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
    /// Workspace in the same namespace that the agent works in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace_ref: Option<LocalRef>,
    /// Seconds after the end at which the Task is deleted. 0: as soon as it has finished and its
    /// outputs are recorded. Absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub ttl_seconds_after_finished: Option<i32>,
    /// What to change in the Pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_overrides: Option<PodOverrides>,
    /// Branch to work on; created from the workspace's ref if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 244))]
    pub branch: Option<String>,
    /// Tasks of the same namespace that must have succeeded before this one starts. If one of them
    /// fails, this one fails too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 253), regex(pattern = pattern::NAME)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub depends_on: Vec<String>,
    /// How the prompt is read. Absent: `Plain`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_syntax: Option<PromptSyntax>,
    /// Stops the run; the Task ends as failed, with the reason `Cancelled`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancelled: bool,
    /// When the Task runs again after a run that failed. Absent: only if the Pod was lost before the
    /// agent had begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
}

/// How a prompt is read. `Plain`: byte for byte. `GoTemplate`: as a Go `text/template` over what the
/// Tasks of `dependsOn` left, for example `{{.Deps.build.Results.version}}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum PromptSyntax {
    #[default]
    Plain,
    GoTemplate,
}

/// When a Task runs again.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// How many further runs failures of the agent may cost.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100))]
    pub limit: i32,
    /// Wait before the first further run: a Go duration (`90s`, `1h30m`) or plain seconds. Doubled
    /// for each one after it, up to an hour.
    #[serde(default = "default_backoff")]
    #[schemars(
        regex(pattern = r"^([0-9]+|([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+)$"),
        length(max = 32)
    )]
    pub backoff: String,
    /// Whether to run again after the Pod was lost to its node, an eviction or a preemption. Such
    /// runs do not count against `limit`.
    #[serde(default)]
    pub on_disruption: OnDisruption,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            limit: 0,
            backoff: default_backoff(),
            on_disruption: OnDisruption::default(),
        }
    }
}

fn default_backoff() -> String {
    "30s".into()
}

/// Whether a lost Pod is run again. `IfNotStarted`: only if the agent had not begun. `Always`: also if
/// it had, and its work so far is paid for again. `Never`: in no case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum OnDisruption {
    #[default]
    IfNotStarted,
    Always,
    Never,
}

/// Immutability of one field of the spec, written at the root so that added and removed fields
/// are seen too.
fn frozen(field: &str) -> String {
    format!(
        "!has(oldSelf.status) || !has(oldSelf.status.jobName) || \
         (has(self.spec.{field}) == has(oldSelf.spec.{field}) && \
         (!has(self.spec.{field}) || self.spec.{field} == oldSelf.spec.{field}))"
    )
}

/// The agents that Axon knows how to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AgentType {
    ClaudeCode,
    Codex,
    Gemini,
    #[serde(rename = "opencode")]
    OpenCode,
    Cursor,
    Custom,
}

impl AgentType {
    pub const ALL: [Self; 6] = [
        Self::ClaudeCode,
        Self::Codex,
        Self::Gemini,
        Self::OpenCode,
        Self::Cursor,
        Self::Custom,
    ];

    /// As it is written in manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude-code",
            Self::Codex => "codex",
            Self::Gemini => "gemini",
            Self::OpenCode => "opencode",
            Self::Cursor => "cursor",
            Self::Custom => "custom",
        }
    }
}

/// How an agent signs in to its model.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "self.type == 'none' || has(self.secretRef)",
    "message": "credentials other than none need a secretRef",
}]))]
pub struct Credentials {
    /// What kind of key the Secret holds.
    #[serde(rename = "type")]
    pub kind: CredentialType,
    /// The Secret. Its key has the name of the agent's environment variable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalRef>,
}

/// What kind of key an agent is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialType {
    ApiKey,
    Oauth,
    None,
}

/// An object of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct LocalRef {
    /// Its name.
    #[schemars(length(max = 253))]
    pub name: String,
}

/// What became of a Task.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskStatus {
    /// Where the run stands. `Succeeded` and `Failed` are final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<TaskPhase>,
    /// The Job that runs, or ran, this Task. Written before the Job is created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_name: Option<String>,
    /// UID of that Job, as it was made: another of its name is not released. Written before it is released.
    #[serde(rename = "jobUID", default, skip_serializing_if = "Option::is_none")]
    pub job_uid: Option<String>,
    /// The Pod of that Job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_name: Option<String>,
    /// When the agent's container started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When the run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// A sentence a person can act on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What the agent produced: branch, commits, pull requests, and the lines it marked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<String>,
    /// The `key: value` pairs of the agent's results file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub results: BTreeMap<String, String>,
    /// What all attempts used together, as the agent itself tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Exit code of the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Jobs that were made for this Task so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<i32>,
    /// How many of `attempts` were lost to their node, an eviction or a preemption, and were followed
    /// by another. They do not count against `retry.limit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disruptions: Option<i32>,
    /// The last attempt has ended, and another may start from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_time: Option<Time>,
    /// `Started`, `Complete` and `Failed`. The one that changed last stands last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// What a run used. Absent: the agent did not tell.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// US dollars.
    #[serde(rename = "costUSD", default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub cost_usd: Option<f64>,
    /// Whether `costUSD`, or a part of it, comes from Axon's own price table, because the agent tells none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub estimated: bool,
    /// Tokens sent to the model, cached ones included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub input_tokens: Option<i64>,
    /// Those of `inputTokens` that the model had cached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub cached_input_tokens: Option<i64>,
    /// Tokens that the model wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub output_tokens: Option<i64>,
    /// Answers of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub turns: Option<i64>,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum TaskPhase {
    Pending,
    Running,
    Succeeded,
    Failed,
}
