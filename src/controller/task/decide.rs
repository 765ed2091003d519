//! What is to be done next for a Task: pure. The same sight and the same time give the same step.

use std::time::Duration;

use jiff::SignedDuration;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use kube::ResourceExt;

use super::build;
use super::needs;
use super::needs::Checkout;
use super::needs::Needs;
use super::news::News;
use super::outcome;
use super::outcome::Told;
use super::reason::End;
use super::reason::Waiting;
use super::status;
use crate::api::Task;
use crate::api::labels;
use crate::controller::Options;
use crate::model;
use crate::model::problem::Severity;

/// How soon to look again for what has no watch: at least, and at most.
const RECHECK_MIN: Duration = Duration::from_secs(2);
const RECHECK_MAX: Duration = Duration::from_mins(1);

/// Problems that a message names at most.
const MAX_PROBLEMS: usize = 10;

/// What was seen of a Task's surroundings.
#[derive(Clone, Debug)]
pub(super) enum Sight<'a> {
    /// Nothing was looked at: nothing matters any more.
    Unneeded,
    /// No run has begun. `holder` has the name that the Job is to have.
    Before {
        needs: &'a Needs,
        holder: Option<&'a Job>,
    },
    /// A run has begun.
    Begun {
        job: Option<&'a Job>,
        pod: Option<&'a Pod>,
    },
}

/// What is to be done next.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Nothing, until something changes.
    Rest,
    /// Nothing, until then.
    Return(Duration),
    /// The time to live has passed.
    Delete,
    /// Write what is known; look again after a while, if nothing is watched that would tell.
    Report { news: News, again: Option<Duration> },
    /// Claim the run and the Job's name, as far as they are not claimed, and create the Job.
    Start(Start),
}

/// What a Job is built from, besides the Task.
#[derive(Clone, Debug)]
pub(super) struct Start {
    pub(super) image: String,
    pub(super) checkout: Option<Checkout>,
    /// The prompt as the agent gets it.
    pub(super) prompt: String,
    /// What the Tasks before this one left, as JSON; at most 64 KiB.
    pub(super) dependencies: Option<String>,
    /// Which run of the Task this is: 1, 2, and so on.
    pub(super) attempt: i32,
}

/// Where a Task stands before anything else is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is being deleted: owner references see to the rest.
    Deleting,
    Finished,
    /// No Job was ever made, as far as the Task knows.
    Before,
    /// A Job was made.
    Begun,
}

/// Where `task` stands by its own account. `Before` is said only if no Job of this Task was ever
/// seen: a missing Job is made anew then, and else it is lost.
pub(super) fn stage(task: &Task) -> Stage {
    let Some(status) = &task.status else {
        return if is_deleting(task) {
            Stage::Deleting
        } else {
            Stage::Before
        };
    };
    if is_deleting(task) {
        return Stage::Deleting;
    }
    if status::is_finished(status) {
        return Stage::Finished;
    }
    if status.job_name.is_none() {
        return Stage::Before;
    }
    let waiting = status::condition(status, status::STARTED)
        .filter(|it| it.status == "False")
        .and_then(|it| Waiting::parse(&it.reason));
    match waiting {
        Some(reason) if reason.is_before_the_job() => Stage::Before,
        Some(_) | None => Stage::Begun,
    }
}

/// Name of the Job of `task`: the one it claimed, else the one it will claim.
pub(super) fn job_name(task: &Task) -> String {
    let claimed = task.status.as_ref().and_then(|it| it.job_name.clone());
    claimed.unwrap_or_else(|| build::job_name(&task.name_any(), 1))
}

/// What is to be done next for `task`.
pub(super) fn decide(task: &Task, sight: &Sight, options: &Options, now: Timestamp) -> Step {
    match (stage(task), sight) {
        (Stage::Deleting, _) => Step::Rest,
        (Stage::Finished, _) => expire(task, now),
        (_, Sight::Before { needs, holder }) => before(task, needs, *holder, options, now),
        (_, Sight::Begun { job, pod }) => begun(task, *job, *pod, now),
        // Not looked at, and yet not at its end: look again.
        (Stage::Before | Stage::Begun, Sight::Unneeded) => Step::Return(RECHECK_MIN),
    }
}

fn expire(task: &Task, now: Timestamp) -> Step {
    let ttl = task.spec.ttl_seconds_after_finished;
    let ended = task
        .status
        .as_ref()
        .and_then(|it| it.completion_time.as_ref());
    let (Some(ttl), Some(ended)) = (ttl, ended) else {
        return Step::Rest;
    };
    let due = ended
        .0
        .checked_add(SignedDuration::from_secs(i64::from(ttl)));
    match due {
        Ok(due) if due <= now => Step::Delete,
        Ok(due) => Step::Return(until(due, now)),
        Err(_) => Step::Rest,
    }
}

fn before(
    task: &Task,
    needs: &Needs,
    holder: Option<&Job>,
    options: &Options,
    now: Timestamp,
) -> Step {
    let problems = model::task::validate(&task.spec);
    let mut wrong: Vec<String> = problems
        .iter()
        .filter(|it| it.severity == Severity::Error)
        .map(|it| format!("spec{}: {}", it.pointer.replace('/', "."), it.message))
        .collect();
    let chosen = task.spec.image.clone().filter(|it| !it.is_empty());
    let image = chosen.or_else(|| options.images.of(task.spec.agent));
    let Some(image) = image.filter(|_| wrong.is_empty()) else {
        wrong.truncate(MAX_PROBLEMS);
        return report(News::ended(End::InvalidSpec, wrong.join("; ")));
    };
    match needs::check(task, needs, options.allow_file_urls) {
        Err((reason, message)) => wait(task, reason, message, now),
        Ok(checkout) => match holder.map(|it| (it, ownership(it, task))) {
            None | Some((_, Ownership::Ours)) => Step::Start(Start {
                image,
                checkout,
                prompt: task.spec.prompt.clone(),
                dependencies: None,
                attempt: 1,
            }),
            Some((job, Ownership::Namesake)) => {
                let message = format!(
                    "an earlier Task of this name still has Job \"{}\"",
                    job.name_any()
                );
                wait(task, Waiting::Starting, message, now)
            }
            Some((job, Ownership::Foreign)) => report(name_taken(task, job)),
        },
    }
}

fn begun(task: &Task, job: Option<&Job>, pod: Option<&Pod>, now: Timestamp) -> Step {
    let job = job.filter(|it| ownership(it, task) == Ownership::Ours);
    let pod = pod.filter(|it| belongs(it, task, job));
    match (job, pod) {
        (_, Some(pod)) => match outcome::of_pod(pod, task.spec.agent.as_str(), now) {
            Told::News(news) => report(news),
            Told::Settling(until_then) => Step::Return(until(until_then, now)),
        },
        (Some(job), None) => report(outcome::of_job(job)),
        (None, None) => {
            let message = format!(
                "Job \"{}\" is gone, and how it ended with it",
                job_name(task)
            );
            report(News::ended(End::JobLost, message))
        }
    }
}

/// News that a foreign Job has the name. This Task has had its turn: what helps is another run, or
/// another Task, and what makes one depends on who made this one.
pub(super) fn name_taken(task: &Task, job: &Job) -> News {
    let way = if task.labels().contains_key(labels::SYNC) {
        "delete that Job and raise \"rerun\", or rename the Task where it is declared"
    } else if task.labels().contains_key(labels::TASK_SPAWNER) {
        "delete that Job, then let the work item stop matching for a while"
    } else {
        "delete that Job and create this Task anew, or create one of another name"
    };
    let message = format!("Job \"{}\" is not of this Task; {way}", job.name_any());
    News::ended(End::NameTaken, message)
}

/// Whose a Job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ownership {
    Ours,
    /// Of an earlier Task of the same name: it will go with that Task.
    Namesake,
    Foreign,
}

pub(super) fn ownership(job: &Job, task: &Task) -> Ownership {
    let owner = job
        .owner_references()
        .iter()
        .find(|it| it.controller == Some(true));
    match owner {
        Some(owner) if task.metadata.uid.as_ref() == Some(&owner.uid) => Ownership::Ours,
        Some(owner) if is_a_task(owner) && owner.name == task.name_any() => Ownership::Namesake,
        Some(_) | None => Ownership::Foreign,
    }
}

/// Whether an owner is a Task of ours: other projects have a kind of that name too.
pub(super) fn is_a_task(owner: &OwnerReference) -> bool {
    owner.kind == Task::kind(&()) && owner.api_version == Task::api_version(&())
}

/// Whether the Pod is of our Job; without the Job, whether it is the Pod we knew, or says itself
/// that it runs this very Task.
pub(super) fn belongs(pod: &Pod, task: &Task, job: Option<&Job>) -> bool {
    let owner = pod
        .owner_references()
        .iter()
        .find(|it| it.controller == Some(true));
    let known = task.status.as_ref().and_then(|it| it.pod_name.as_ref());
    if let Some(job) = job {
        return owner.is_some_and(|it| job.metadata.uid.as_ref() == Some(&it.uid));
    }
    let says = pod.annotations().get(labels::TASK_UID);
    (known.is_some() && known == pod.metadata.name.as_ref())
        || (says.is_some() && says == task.metadata.uid.as_ref())
}

fn is_deleting(task: &Task) -> bool {
    task.metadata.deletion_timestamp.is_some()
}

fn report(news: News) -> Step {
    Step::Report { news, again: None }
}

fn wait(task: &Task, reason: Waiting, message: String, now: Timestamp) -> Step {
    Step::Report {
        news: News::waiting(reason, message),
        again: Some(recheck(task, now)),
    }
}

/// The longer a Task has waited, the longer until the next look.
pub(super) fn recheck(task: &Task, now: Timestamp) -> Duration {
    let created = task.metadata.creation_timestamp.as_ref();
    let waited = created.map_or(SignedDuration::ZERO, |it| now.duration_since(it.0));
    let waited = Duration::try_from(waited).unwrap_or_default();
    (waited / 4).clamp(RECHECK_MIN, RECHECK_MAX)
}

/// Never nothing: a look at the very second that is waited for must not come a moment too early.
fn until(then: Timestamp, now: Timestamp) -> Duration {
    let left = Duration::try_from(then.duration_since(now)).unwrap_or_default();
    left.max(Duration::from_millis(10))
}

#[cfg(test)]
mod tests;
