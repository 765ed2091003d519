//! What a Job and its Pod tell about the run: pure reading, no decision.

mod view;

use jiff::SignedDuration;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ContainerState;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::core::v1::PodCondition;
use k8s_openapi::api::core::v1::PodStatus;

use self::view::View;
use super::news::Ending;
use super::news::News;
use super::news::What;
use super::reason::End;
use super::reason::Waiting;

/// How long after the agent's container failed its Pod may take to say why (a deadline, an
/// eviction): the kubelet reports the container first.
const SETTLE: SignedDuration = SignedDuration::from_secs(10);

/// How far the clocks of a node and of the API server may be apart.
const SKEW: SignedDuration = SignedDuration::from_mins(1);

/// How long a Pod may start, and check out, before that is worth a write: most are quicker.
const PASSING: SignedDuration = SignedDuration::from_secs(2);
/// How long a Job may be without a Pod before somebody is asked why.
const PODLESS: SignedDuration = SignedDuration::from_secs(5);

/// How long a Pod that has its node may start before somebody is asked why it does not.
const LINGERING: SignedDuration = SignedDuration::from_secs(10);

/// What a Pod tells.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Told {
    News(Box<News>),
    /// Nothing yet: ask again then. The agent's container has failed and the Pod has not said why, or
    /// it has only just begun to start.
    Settling(Timestamp),
}

/// What is known of a run besides what its Pod tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Circumstances {
    /// The container had ended by itself before anything befell the Pod.
    pub(super) ended: bool,
    /// The Pod was told to end: its deadline is not one that the user asked for.
    pub(super) stopped: bool,
}

/// What `pod` tells about the run of the agent in the container `agent`.
pub(super) fn of_pod(pod: &Pod, agent: &str, known: Circumstances, now: Timestamp) -> Told {
    let name = pod.metadata.name.clone().unwrap_or_default();
    let empty = PodStatus::default();
    let mut view = View::of(&name, pod.status.as_ref().unwrap_or(&empty), agent);
    view.removed = removed(pod);
    view.known = known;
    let news = |what| {
        Told::News(Box::new(News {
            pod: Some(name.clone()),
            started: view.started(),
            what,
        }))
    };
    if view.is_terminal() {
        return news(What::Ended(view.ending()));
    }
    if let Some(ended) = view.ended_container() {
        let done = ended.exit_code == 0;
        let at = ended.finished_at.as_ref().map_or(now, |it| it.0);
        let settled = after(at, SETTLE);
        if done || settled <= now {
            return news(What::Ended(view.ending()));
        }
        return Told::Settling(settled);
    }
    if view.agent_runs() {
        return news(What::Running);
    }
    let (reason, message) = view.waiting();
    match view.passing(pod, reason) {
        Some(passed) if passed > now => Told::Settling(passed.min(after(now, PASSING))),
        Some(_) | None => news(What::Waiting(reason, message)),
    }
}

/// Since when a Job may be asked why it has no Pod: most have one sooner. None that is held back.
pub(super) fn lacks_pod_at(job: &Job) -> Option<Timestamp> {
    let created = job.metadata.creation_timestamp.as_ref()?;
    (!is_suspended(job) && !is_over(job)).then(|| after(created.0, PODLESS))
}

/// Since when a Pod may be asked why it does not start: it has a node, and none of its containers ran.
pub(super) fn lingers_at(pod: &Pod) -> Option<Timestamp> {
    let created = pod.metadata.creation_timestamp.as_ref()?;
    let status = pod.status.as_ref();
    let containers = status.into_iter().flat_map(|it| {
        let lists = [&it.init_container_statuses, &it.container_statuses];
        lists.into_iter().flatten().flatten()
    });
    let ran = |state: &ContainerState| state.running.is_some() || state.terminated.is_some();
    let mut seen = containers.filter_map(|it| it.state.as_ref());
    (is_bound(pod) && !is_terminal(pod) && !seen.any(ran)).then(|| after(created.0, LINGERING))
}

/// What is told of a Pod that does not start, with its kubelet's `words` if there are any.
pub(super) fn unmounted(pod: &str, words: &str) -> (Waiting, String) {
    // What lacks is said last.
    let why = words.rsplit(" : ").next().unwrap_or(words);
    let message = format!("Pod \"{pod}\" cannot start: {words}");
    (view::refused_for(why), message)
}

/// What a Job tells whose Pod is not there. `refusal`: why it could not be made.
pub(super) fn of_job(job: &Job, refusal: Option<&str>) -> News {
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let status = job.status.as_ref();
    let conditions = status
        .and_then(|it| it.conditions.as_deref())
        .unwrap_or_default();
    let holds = |kind: &str| {
        conditions
            .iter()
            .find(|it| it.type_ == kind && it.status == "True")
    };
    if holds("Complete").is_some() {
        let message = format!("Job \"{name}\" succeeded; its Pod is gone, and its outputs with it");
        return News::ended(End::Succeeded, message);
    }
    let Some(failed) = holds("Failed") else {
        if let Some(why) = refusal {
            let message = format!("the cluster refuses the Pod of Job \"{name}\": {why}");
            return News::waiting(Waiting::JobRefused, message);
        }
        let message = format!("Job \"{name}\" has no Pod yet");
        return News::waiting(Waiting::PodPending, message);
    };
    let why = failed.message.as_deref().unwrap_or_default();
    let (reason, what) = match failed.reason.as_deref() {
        Some("DeadlineExceeded") => (
            End::DeadlineExceeded,
            format!("Job \"{name}\" ran out of time"),
        ),
        Some("PodFailurePolicy") => (End::Evicted, format!("Job \"{name}\" was disrupted")),
        Some(_) | None => (
            End::Evicted,
            format!("the Pod of Job \"{name}\" is gone, and how it ended with it"),
        ),
    };
    What::Ended(Ending {
        // Nobody can tell any more.
        begun: true,
        ..Ending::bare(reason, format!("{what}: {why}"))
    })
    .into()
}

/// Whether the Job has ended.
pub(super) fn is_over(job: &Job) -> bool {
    let conditions = job.status.as_ref().and_then(|it| it.conditions.as_deref());
    let ended = |kind: &str| matches!(kind, "Complete" | "Failed");
    conditions
        .unwrap_or_default()
        .iter()
        .any(|it| ended(&it.type_) && it.status == "True")
}

/// Whether the Job is held back: it makes no Pod.
pub(super) fn is_suspended(job: &Job) -> bool {
    job.spec.as_ref().and_then(|it| it.suspend) == Some(true)
}

/// Whether a node has taken the Pod: from then on only its kubelet ends it in order.
pub(super) fn is_bound(pod: &Pod) -> bool {
    let node = pod.spec.as_ref().and_then(|it| it.node_name.as_ref());
    let conditions = pod.status.as_ref().and_then(|it| it.conditions.as_deref());
    let scheduled = |it: &PodCondition| it.type_ == "PodScheduled" && it.status == "True";
    node.is_some() || conditions.unwrap_or_default().iter().any(scheduled)
}

fn after(time: Timestamp, wait: SignedDuration) -> Timestamp {
    time.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// When somebody asked for the Pod to be deleted.
fn removed(pod: &Pod) -> Option<Timestamp> {
    let gone = pod.metadata.deletion_timestamp.as_ref()?.0;
    let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
    let asked = gone.checked_sub(SignedDuration::from_secs(grace));
    Some(asked.unwrap_or(gone))
}

/// Whether the Pod has ended.
pub(super) fn is_terminal(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|it| it.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

#[cfg(test)]
mod tests;
