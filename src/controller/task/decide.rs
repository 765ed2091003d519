//! What is to be done next for a Task: pure. The same sight and the same time give the same step.

use std::time::Duration;

use jiff::SignedDuration;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::branch;
use super::branch::Turn;
use super::dependencies;
use super::dependencies::Unmet;
use super::needs;
use super::needs::Needs;
use super::news::Ending;
use super::news::JobId;
use super::news::News;
use super::news::What;
use super::outcome;
use super::outcome::Circumstances;
use super::outcome::Told;
use super::ownership;
use super::ownership::Ownership;
use super::reason::End;
use super::reason::Waiting;
use super::retry;
use super::sight::Sight;
use super::stage::Before;
use super::stage::Stage;
use super::stage::job_name;
use super::stage::stage;
use super::status;
use super::step::Start;
use super::step::Step;
use super::stop;
use super::stop::Stop;
use crate::api::Task;
use crate::controller::Options;
use crate::model;
use crate::model::problem::Severity;
use crate::model::sensitive;
use crate::model::sensitive::Known;

/// How soon to look again for what has no watch: at least, and at most.
const RECHECK_MIN: Duration = Duration::from_secs(2);
const RECHECK_MAX: Duration = Duration::from_mins(1);

/// Problems that a message names at most.
const MAX_PROBLEMS: usize = 10;

/// What is to be done next for `task`.
pub(super) fn decide(task: &Task, sight: &Sight, options: &Options, now: Timestamp) -> Step {
    match stage(task) {
        Stage::Deleting => Step::Rest,
        Stage::Finished => finished(task, sight, now),
        Stage::Before(at) => not_begun(task, at, sight, options, now),
        Stage::Begun(_) => match sight {
            Sight::Begun { job, pod, refusal } => begun(
                task,
                job.as_deref(),
                pod.as_deref(),
                refusal.as_deref(),
                now,
            ),
            // Not looked at, and yet not at its end: look again.
            Sight::Unneeded
            | Sight::Finished { .. }
            | Sight::Before { .. }
            | Sight::Made { .. } => Step::Return(RECHECK_MIN),
        },
    }
}

fn finished(task: &Task, sight: &Sight, now: Timestamp) -> Step {
    match sight {
        Sight::Finished {
            left: Some(job), ..
        } => drop_job(job),
        Sight::Finished { left: None, needed } => expire(task, *needed, now),
        Sight::Unneeded | Sight::Before { .. } | Sight::Made { .. } | Sight::Begun { .. } => {
            Step::Rest
        }
    }
}

/// The next step of a Task whose next attempt has not begun, as far as it knows.
fn not_begun(task: &Task, at: Before, sight: &Sight, options: &Options, now: Timestamp) -> Step {
    match sight {
        Sight::Begun { job, pod, refusal } => begun(
            task,
            job.as_deref(),
            pod.as_deref(),
            refusal.as_deref(),
            now,
        ),
        Sight::Made { job } if task.spec.cancelled => drop_job(job),
        Sight::Made { job } => Step::Adopt {
            attempt: at.attempt,
            job: JobId::of(job),
        },
        Sight::Unneeded | Sight::Finished { .. } | Sight::Before { .. } if task.spec.cancelled => {
            cancelled(task, at)
        }
        Sight::Unneeded | Sight::Finished { .. } => {
            let early = at.due.filter(|it| *it > now);
            Step::Return(early.map_or(RECHECK_MIN, |it| until(it, now)))
        }
        Sight::Before { needs, holder } => before(task, at, needs, holder.as_deref(), options, now),
    }
}

/// Deletes a Task whose time has passed. One that another depends on is kept: what it left would be
/// gone with it.
fn expire(task: &Task, needed: bool, now: Timestamp) -> Step {
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
        Ok(due) if due <= now && needed => Step::Return(RECHECK_MAX),
        Ok(due) if due <= now => Step::Delete,
        Ok(due) => Step::Return(until(due, now)),
        Err(_) => Step::Rest,
    }
}

/// The end of a Task that was cancelled while nothing of it ran.
fn cancelled(task: &Task, before: Before) -> Step {
    let said = task.status.as_ref().and_then(|it| it.message.clone());
    let message = match (before.due, said) {
        (Some(_), Some(said)) => {
            let said = retry::without_next(&said);
            format!("cancelled between two attempts: {said}")
        }
        _ => "cancelled before it started".to_owned(),
    };
    report(News::ended(End::Cancelled, message))
}

fn before(
    task: &Task,
    at: Before,
    needs: &Needs,
    holder: Option<&Job>,
    options: &Options,
    now: Timestamp,
) -> Step {
    let image = match image(task, options) {
        Ok(image) => image,
        Err(wrong) => return report(News::ended(End::InvalidSpec, wrong)),
    };
    if let Some(way) = &needs.cycle {
        let wrong = dependencies::cycle_message(way);
        return report(News::ended(End::InvalidSpec, wrong));
    }
    match dependencies::check(&needs.dependencies) {
        Ok(()) => {}
        Err(Unmet::Waits(reason, message)) => return wait(task, reason, message, now),
        Err(Unmet::Ends(reason, message)) => return report(News::ended(reason, message)),
    }
    let prompt = match dependencies::prompt(task, &needs.dependencies) {
        Ok(prompt) => prompt,
        Err(wrong) => return report(News::ended(End::InvalidSpec, wrong)),
    };
    let checkout = match needs::check(task, needs, options.allow_file_urls) {
        Ok(checkout) => checkout,
        Err((reason, message)) => return wait(task, reason, message, now),
    };
    match holder.map(|it| (it, ownership::of(it, task))) {
        None | Some((_, Ownership::Ours)) => {}
        Some((job, Ownership::Namesake)) => {
            let name = job.name_any();
            let message = format!("an earlier Task of this name still has Job \"{name}\"");
            return wait(task, Waiting::Starting, message, now);
        }
        Some((job, Ownership::Foreign)) => return report(ownership::name_taken(task, job)),
    }
    let branch = match branch::turn(task, needs.branch.as_ref(), now) {
        Turn::Free => None,
        Turn::Take(lease) => Some(lease),
        Turn::Wait(message) => return wait(task, Waiting::ForBranch, message, now),
    };
    let start = Start {
        image,
        checkout,
        prompt,
        dependencies: dependencies::left(&needs.dependencies),
        attempt: at.attempt,
    };
    Step::Start { start, branch }
}

/// The image that the agent runs in, or everything that is wrong with the spec.
fn image(task: &Task, options: &Options) -> Result<String, String> {
    let problems = model::task::validate(&task.spec);
    let mut wrong: Vec<String> = problems
        .iter()
        .filter(|it| it.severity == Severity::Error)
        .map(|it| format!("spec{}: {}", it.pointer.replace('/', "."), it.message))
        .collect();
    wrong.extend(dependencies::prompt_problem(task));
    let chosen = task.spec.image.clone().filter(|it| !it.is_empty());
    let image = chosen.or_else(|| options.images.of(task.spec.agent));
    image.filter(|_| wrong.is_empty()).ok_or_else(|| {
        wrong.truncate(MAX_PROBLEMS);
        wrong.join("; ")
    })
}

fn begun(
    task: &Task,
    job: Option<&Job>,
    pod: Option<&Pod>,
    refusal: Option<&str>,
    now: Timestamp,
) -> Step {
    let job = job
        .filter(|it| ownership::of(it, task) == Ownership::Ours && ownership::is_as_made(it, task));
    let pod = pod.filter(|it| ownership::belongs(it, task, job));
    match (job, pod) {
        (_, Some(pod)) => of_pod(task, job, pod, refusal, now),
        (Some(job), None) if ownership::is_held_back(job) => {
            if task.spec.cancelled {
                drop_job(job)
            } else {
                Step::Release {
                    job: JobId::of(job),
                }
            }
        }
        (Some(job), None) => without_pod(task, job, refusal, now),
        (None, None) => {
            let message = format!(
                "Job \"{}\" is gone, and how it ended with it",
                job_name(task)
            );
            let lost = Ending::bare(End::JobLost, message);
            conclude(task, None, None, None, lost, now)
        }
    }
}

fn of_pod(
    task: &Task,
    job: Option<&Job>,
    pod: &Pod,
    refusal: Option<&str>,
    now: Timestamp,
) -> Step {
    let agent = task.spec.agent.as_str();
    let known = Circumstances {
        ended: task.status.as_ref().is_some_and(status::is_outlived),
        stopped: stop::was_told(task, pod),
    };
    match outcome::of_pod(pod, agent, known, now) {
        Told::Settling(until_then) => match stop::with_pod(task, job, pod) {
            Some(stop) => Step::Stop(stop),
            None => Step::Return(until(until_then, now)),
        },
        Told::News(news) => {
            let (news, again) = starting(task, pod, *news, refusal, now);
            told(task, job, pod, news, again, now)
        }
    }
}

/// Says why a Pod does not start, if its kubelet did, and when to look for that: no watch tells.
fn starting(
    task: &Task,
    pod: &Pod,
    mut news: News,
    refusal: Option<&str>,
    now: Timestamp,
) -> (News, Option<Duration>) {
    let What::Waiting(reason @ Waiting::PodPending, message) = &mut news.what else {
        return (news, None);
    };
    if let Some(words) = refusal {
        (*reason, *message) = outcome::unmounted(&pod.name_any(), &masked(words, task));
    }
    let again = outcome::lingers_at(pod).map(|at| look(at, task, now));
    (news, again)
}

/// When to ask what may be asked from `at` on: then, and later ever less often.
fn look(at: Timestamp, task: &Task, now: Timestamp) -> Duration {
    if at > now {
        until(at, now)
    } else {
        recheck(task, now)
    }
}

/// What follows from a Job that runs, or has run, without a Pod.
fn without_pod(task: &Task, job: &Job, refusal: Option<&str>, now: Timestamp) -> Step {
    let words = refusal.map(|it| masked(it, task));
    let news = match outcome::of_job(job, words.as_deref()) {
        News {
            what: What::Ended(ending),
            ..
        } => return conclude(task, Some(job), None, None, ending, now),
        news => news,
    };
    if let Some(stop) = stop::without_pod(task, job) {
        return Step::Stop(stop);
    }
    // No watch tells that a Pod was refused.
    let again = outcome::lacks_pod_at(job).map(|at| look(at, task, now));
    Step::Report { news, again }
}

/// The words of others about a Pod, which may repeat what stands in it.
fn masked(words: &str, task: &Task) -> String {
    let task = serde_json::to_value(task).unwrap_or_default();
    sensitive::line(words, &Known::of(&task))
}

/// What follows from what the Pod tells.
fn told(
    task: &Task,
    job: Option<&Job>,
    pod: &Pod,
    news: News,
    again: Option<Duration>,
    now: Timestamp,
) -> Step {
    let News { what, .. } = &news;
    match what {
        What::Ended(ending) => {
            let ending = ending.clone();
            conclude(task, job, Some(pod), Some(&news), ending, now)
        }
        What::Waiting(..)
        | What::Made { .. }
        | What::Running
        | What::Outlived { .. }
        | What::Again(_) => match stop::with_pod(task, job, pod) {
            Some(stop) => Step::Stop(stop),
            None => Step::Report { news, again },
        },
    }
}

/// The end of an attempt: the end of the Task, unless another attempt follows.
fn conclude(
    task: &Task,
    job: Option<&Job>,
    pod: Option<&Pod>,
    from: Option<&News>,
    ending: Ending,
    now: Timestamp,
) -> Step {
    let ending = stop::as_meant(task, job, ending);
    let what = match (retry::after(task, &ending, now), pod) {
        // Two Pods of one Task never run side by side.
        (Some(again), Some(pod)) if !ending.settled => {
            return outlived(task, pod, from, &ending, again.disrupted, now);
        }
        (Some(again), _) => What::Again(again),
        (None, _) => What::Ended(ending),
    };
    report(News {
        pod: from.and_then(|it| it.pod.clone()),
        started: from.and_then(|it| it.started.clone()),
        what,
    })
}

/// The attempt has ended, and something of its Pod goes on: that is said, and then, if the attempt failed by
/// itself, the Pod is told to end. Only in this order: its deadline would else be taken for the cause.
fn outlived(
    task: &Task,
    pod: &Pod,
    from: Option<&News>,
    ending: &Ending,
    disrupted: bool,
    now: Timestamp,
) -> Step {
    let is_told = task.status.as_ref().is_some_and(status::is_outlived);
    if is_told && let Some(stop) = stop::by_deadline(pod) {
        return Step::Stop(stop);
    }
    let message = retry::outlived_message(task, ending, disrupted, &pod.name_any());
    let news = News {
        pod: from.and_then(|it| it.pod.clone()),
        // It would take back that the Task waits.
        started: from.and_then(|it| it.started.clone()).filter(|_| disrupted),
        what: What::Outlived { message, disrupted },
    };
    Step::Report {
        news,
        again: Some(recheck(task, now)),
    }
}

/// Deletes a Job that is held back, unless somebody did.
fn drop_job(job: &Job) -> Step {
    if job.metadata.deletion_timestamp.is_some() {
        return Step::Return(RECHECK_MIN);
    }
    Step::Stop(Stop::job(job))
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
