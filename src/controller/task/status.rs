//! The only place that writes a Task's status.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::ResourceExt;
use kube::api::Patch;
use kube::api::PatchParams;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::news::Again;
use super::news::Ending;
use super::news::JobId;
use super::news::News;
use super::news::What;
use super::reason::End;
use super::reason::Waiting;
use super::retry;
use super::stage;
use super::stage::Stage;
use crate::api::Task;
use crate::api::task::TaskPhase;
use crate::api::task::TaskStatus;
use crate::api::task::Usage;
use crate::controller::FIELD_MANAGER;

pub(super) const STARTED: &str = "Started";
pub(super) const COMPLETE: &str = "Complete";
pub(super) const FAILED: &str = "Failed";
/// Reason of `Started` once it is true.
pub(super) const AGENT_STARTED: &str = "AgentStarted";
pub(super) const STARTED_MESSAGE: &str = "the agent's container has started";
/// Longest message of a condition (the schema's limit is 32,768) and of the status.
const MAX_MESSAGE: usize = 4096;

/// The status that `task` is to have, given the news. Within one attempt, phases only go forward.
pub(super) fn next(task: &Task, news: &News, now: Timestamp) -> TaskStatus {
    let mut status = task.status.clone().unwrap_or_default();
    if is_finished(&status) {
        return status;
    }
    status.observed_generation = task.metadata.generation;
    if let Some(pod) = &news.pod {
        status.pod_name = Some(pod.clone());
    }
    // What has begun stays begun, whatever it waits for now. A Pod tells that its Job was made.
    let has_begun = matches!(stage::stage(task), Stage::Begun(_));
    if has_begun || news.pod.is_some() {
        status.attempts = Some(stage::attempt(task));
    }
    let mut mark = Marker {
        status: &mut status,
        generation: task.metadata.generation,
        now: whole_seconds(now),
    };
    if let Some(started) = &news.started {
        mark.started(started);
    }
    match &news.what {
        What::Waiting(reason, message) => mark.waiting(*reason, message),
        What::Made { attempt, job } => mark.made(*attempt, job),
        What::Running => mark.status.phase = Some(TaskPhase::Running),
        What::Outlived { message, disrupted } => mark.outlived(message, *disrupted),
        What::Again(again) => mark.again(again),
        What::Ended(ending) => {
            mark.ended(ending, &retry::last_message(task, &ending.message));
        }
    }
    status
}

/// The status that claims the Job's name: the lock on the run. What an attempt before it left is
/// gone from it.
pub(super) fn locked(task: &Task, job: &str, now: Timestamp) -> TaskStatus {
    let news = News::waiting(Waiting::Starting, format!("starts Job \"{job}\""));
    let status = next(task, &news, now);
    TaskStatus {
        job_name: Some(job.to_owned()),
        job_uid: None,
        pod_name: None,
        start_time: None,
        retry_time: None,
        ..status
    }
}

/// Writes `status`, unless the Task has changed since it was read: then the API server answers 409.
/// Nothing is sent when nothing changed.
pub(super) async fn write(
    tasks: &Api<Task>,
    task: &Task,
    status: &TaskStatus,
) -> Result<Option<Task>, kube::Error> {
    let before = task.status.clone().unwrap_or_default();
    if before == *status {
        return Ok(None);
    }
    let patch = json!({
        "metadata": {"resourceVersion": task.metadata.resource_version},
        "status": changes(&fields(&before), &fields(status)),
    });
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    tasks
        .patch_status(&task.name_any(), &parameters, &Patch::Merge(&patch))
        .await
        .map(Some)
}

pub(super) fn is_finished(status: &TaskStatus) -> bool {
    match status.phase {
        Some(TaskPhase::Succeeded | TaskPhase::Failed) => true,
        Some(TaskPhase::Pending | TaskPhase::Running) | None => false,
    }
}

/// Whether an attempt is known to have failed by itself, while its Pod has not ended.
pub(super) fn is_outlived(status: &TaskStatus) -> bool {
    let started = condition(status, STARTED);
    status.retry_time.is_none()
        && status.phase == Some(TaskPhase::Pending)
        && started.is_some_and(|it| it.status == "False" && it.reason == Waiting::ForRetry.as_str())
}

/// The phase in words: a Task that nobody looked at yet is pending.
pub(super) fn phase_name(status: &TaskStatus) -> &'static str {
    match status.phase {
        None | Some(TaskPhase::Pending) => "Pending",
        Some(TaskPhase::Running) => "Running",
        Some(TaskPhase::Succeeded) => "Succeeded",
        Some(TaskPhase::Failed) => "Failed",
    }
}

pub(super) fn condition<'a>(status: &'a TaskStatus, kind: &str) -> Option<&'a Condition> {
    status.conditions.iter().find(|it| it.type_ == kind)
}

/// Writes into a status what has happened.
struct Marker<'a> {
    status: &'a mut TaskStatus,
    generation: Option<i64>,
    now: Time,
}

impl Marker<'_> {
    fn waiting(&mut self, reason: Waiting, message: &str) {
        // A Pod seen late cannot take a start back.
        if self.status.phase != Some(TaskPhase::Running) {
            self.status.phase = Some(TaskPhase::Pending);
            self.status.message = Some(cut(message));
            self.set(STARTED, "False", reason.as_str(), message);
        }
    }

    fn started(&mut self, at: &Time) {
        self.status.start_time.get_or_insert(at.clone());
        self.status.message = None;
        self.set(STARTED, "True", AGENT_STARTED, STARTED_MESSAGE);
    }

    fn made(&mut self, attempt: i32, job: &JobId) {
        self.status.attempts = Some(attempt);
        self.status.job_name = Some(job.name.clone());
        self.status.job_uid = Some(job.uid.clone());
        let message = format!("Job \"{}\" has no Pod yet", job.name);
        self.waiting(Waiting::PodPending, &message);
    }

    /// A way back to `Pending`: without a time, so the attempt is not over yet.
    fn outlived(&mut self, message: &str, disrupted: bool) {
        if disrupted {
            self.status.message = Some(cut(message));
            return;
        }
        self.status.phase = Some(TaskPhase::Pending);
        self.waiting(Waiting::ForRetry, message);
    }

    /// The other way back to `Pending`. The Pod's name stays until the next attempt has one.
    fn again(&mut self, again: &Again) {
        let Again {
            at,
            message,
            disrupted,
            usage,
        } = again;
        if *disrupted {
            let before = self.status.disruptions.unwrap_or(0);
            self.status.disruptions = Some(before.saturating_add(1));
        }
        self.status.retry_time = Some(Time(*at));
        self.used(usage.as_ref());
        self.status.phase = Some(TaskPhase::Pending);
        self.waiting(Waiting::ForRetry, message);
    }

    fn ended(&mut self, ending: &Ending, message: &str) {
        let Ending {
            reason,
            message: _,
            outputs,
            results,
            usage,
            exit_code,
            begun: _,
            settled: _,
            finished,
        } = ending;
        let (phase, kind) = match reason {
            End::Succeeded => (TaskPhase::Succeeded, COMPLETE),
            End::AgentFailed
            | End::CloneFailed
            | End::DeadlineExceeded
            | End::OutOfMemory
            | End::Evicted
            | End::NodeLost
            | End::JobLost
            | End::InvalidSpec
            | End::AlreadyRan
            | End::NameTaken
            | End::DependencyFailed
            | End::Cancelled => (TaskPhase::Failed, FAILED),
        };
        let finished = finished.clone().unwrap_or_else(|| self.now.clone());
        self.status.phase = Some(phase);
        self.status.message = Some(cut(message));
        self.status.outputs.clone_from(outputs);
        self.status.results.clone_from(results);
        self.used(usage.as_ref());
        self.status.exit_code = *exit_code;
        self.status.retry_time = None;
        self.status.completion_time = Some(finished);
        self.set(kind, "True", reason.as_str(), message);
    }

    /// Adds what an attempt used, if it told, to what those before it did.
    fn used(&mut self, usage: Option<&Usage>) {
        let before = self.status.usage.take();
        self.status.usage = match (before, usage) {
            (Some(before), Some(usage)) => Some(sum(&before, usage)),
            (before, usage) => before.or_else(|| usage.cloned()),
        };
    }

    /// Sets a condition. The one that changed last stands last: `kubectl get` shows its reason.
    fn set(&mut self, kind: &str, value: &str, reason: &str, message: &str) {
        let message = cut(message);
        let old = self
            .status
            .conditions
            .iter()
            .position(|it| it.type_ == kind);
        let mut since = self.now.clone();
        if let Some(at) = old {
            let old = &self.status.conditions[at];
            if old.status == value && old.reason == reason && old.message == message {
                return;
            }
            if old.status == value {
                since = old.last_transition_time.clone();
            }
            self.status.conditions.remove(at);
        }
        self.status.conditions.push(Condition {
            type_: kind.to_owned(),
            status: value.to_owned(),
            reason: reason.to_owned(),
            message,
            last_transition_time: since,
            observed_generation: self.generation,
        });
    }
}

/// Times in the API have whole seconds; one with a fraction would differ from itself when read back.
fn whole_seconds(now: Timestamp) -> Time {
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}

fn cut(message: &str) -> String {
    let mut end = message.len().min(MAX_MESSAGE);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message[..end].to_owned()
}

fn fields(status: &TaskStatus) -> Map<String, Value> {
    let value = serde_json::to_value(status).expect("a status holds nothing that JSON cannot");
    serde_json::from_value(value).expect("a struct becomes an object")
}

/// A merge patch that turns `before` into `after`, field by field.
fn changes(before: &Map<String, Value>, after: &Map<String, Value>) -> Value {
    let gone = before.keys().filter(|key| !after.contains_key(*key));
    let gone = gone.map(|key| (key.clone(), Value::Null));
    let new = after
        .iter()
        .filter(|(key, value)| before.get(*key) != Some(value));
    let new = new.map(|(key, value)| (key.clone(), value.clone()));
    Value::Object(gone.chain(new).collect())
}

/// What two attempts used. What only one has told counts alone.
fn sum(one: &Usage, other: &Usage) -> Usage {
    let counts = |pick: fn(&Usage) -> Option<i64>| match (pick(one), pick(other)) {
        (Some(one), Some(other)) => Some(one.saturating_add(other)),
        (one, other) => one.or(other),
    };
    Usage {
        cost_usd: match (one.cost_usd, other.cost_usd) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        },
        estimated: one.estimated || other.estimated,
        input_tokens: counts(|it| it.input_tokens),
        cached_input_tokens: counts(|it| it.cached_input_tokens),
        output_tokens: counts(|it| it.output_tokens),
        turns: counts(|it| it.turns),
    }
}

#[cfg(test)]
mod tests;
