//! What a Job and its Pod tell about the run: pure reading, no decision.

use axon_helper::report;
use axon_helper::report::Report;
use jiff::SignedDuration;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ContainerState;
use k8s_openapi::api::core::v1::ContainerStateTerminated;
use k8s_openapi::api::core::v1::ContainerStatus;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::core::v1::PodCondition;
use k8s_openapi::api::core::v1::PodStatus;

use super::build::CHECKOUT;
use super::news::Ending;
use super::news::News;
use super::news::What;
use super::reason::End;
use super::reason::Waiting;
use crate::api::task::Usage;

/// How long after the agent's container failed its Pod may take to say why (a deadline, an
/// eviction): the kubelet reports the container first.
const SETTLE: SignedDuration = SignedDuration::from_secs(10);

/// How long a Pod may start, and check out, before that is worth a write: most are quicker.
const PASSING: SignedDuration = SignedDuration::from_secs(2);
/// How long a Job may be without a Pod before somebody is asked why.
const PODLESS: SignedDuration = SignedDuration::from_secs(5);
/// What a message says besides, when a report was cut.
const CUT: &str = "some of what it left did not fit and was cut";

/// What a Pod tells.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Told {
    News(Box<News>),
    /// Nothing yet: ask again then. The agent's container has failed and the Pod has not said why, or
    /// it has only just begun to start.
    Settling(Timestamp),
}

/// What `pod` tells about the run of the agent in the container `agent`. `known_end`: it is known that the
/// container had ended by itself before anything befell the Pod.
pub(super) fn of_pod(pod: &Pod, agent: &str, known_end: bool, now: Timestamp) -> Told {
    let name = pod.metadata.name.clone().unwrap_or_default();
    let empty = PodStatus::default();
    let view = View {
        removed: removed(pod),
        known_end,
        ..View::of(&name, pod.status.as_ref().unwrap_or(&empty), agent)
    };
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
        Some("DeadlineExceeded") => (End::DeadlineExceeded, "ran out of time"),
        Some("PodFailurePolicy") => (End::Evicted, "was disrupted"),
        Some(_) | None => (End::JobLost, "failed, and its Pod is gone"),
    };
    What::Ended(Ending {
        // Nobody can tell any more.
        begun: true,
        ..Ending::bare(reason, format!("Job \"{name}\" {what}: {why}"))
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

/// The parts of a Pod's status that matter here.
struct View<'a> {
    pod: &'a str,
    status: &'a PodStatus,
    /// Name of the agent's container.
    agent_name: &'a str,
    agent: Option<&'a ContainerState>,
    checkout: Option<&'a ContainerState>,
    /// When somebody asked for the Pod to be deleted.
    removed: Option<Timestamp>,
    /// Whether the container's end is known to be the cause of all else.
    known_end: bool,
}

impl<'a> View<'a> {
    fn of(pod: &'a str, status: &'a PodStatus, agent_name: &'a str) -> Self {
        Self {
            pod,
            status,
            agent_name,
            agent: state(status.container_statuses.as_deref(), agent_name),
            checkout: state(status.init_container_statuses.as_deref(), CHECKOUT),
            removed: None,
            known_end: false,
        }
    }

    fn is_terminal(&self) -> bool {
        matches!(self.status.phase.as_deref(), Some("Succeeded" | "Failed"))
    }

    fn agent_end(&self) -> Option<&'a ContainerStateTerminated> {
        self.agent?.terminated.as_ref()
    }

    fn failed_checkout(&self) -> Option<&'a ContainerStateTerminated> {
        self.checkout?
            .terminated
            .as_ref()
            .filter(|it| it.exit_code != 0)
    }

    /// The container whose end is the end of the run.
    fn ended_container(&self) -> Option<&'a ContainerStateTerminated> {
        self.agent_end().or_else(|| self.failed_checkout())
    }

    fn agent_runs(&self) -> bool {
        self.agent.is_some_and(|it| it.running.is_some())
    }

    fn started(&self) -> Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time> {
        let running = || self.agent?.running.as_ref()?.started_at.clone();
        // A container that could not be started ends without ever having started.
        let ended = || {
            self.agent_end()?
                .started_at
                .clone()
                .filter(|it| it.0 > Timestamp::UNIX_EPOCH)
        };
        running().or_else(ended)
    }

    fn waiting(&self) -> (Waiting, String) {
        let pod = self.pod;
        if self.checkout.is_some_and(|it| it.running.is_some()) {
            return (
                Waiting::Cloning,
                format!("Pod \"{pod}\" checks the workspace out"),
            );
        }
        for (name, state) in [(CHECKOUT, self.checkout), (self.agent_name, self.agent)] {
            let Some(waiting) = state.and_then(|it| it.waiting.as_ref()) else {
                continue;
            };
            let why = waiting.message.as_deref().unwrap_or_default();
            match waiting.reason.as_deref() {
                Some(reason) if is_image_trouble(reason) => {
                    let message = format!("container \"{name}\" has no image: {reason}: {why}");
                    return (Waiting::ImagePullFailed, message);
                }
                Some(reason) if reason.starts_with("Create") => {
                    let message = format!("container \"{name}\" cannot start: {reason}: {why}");
                    return (Waiting::PodPending, message);
                }
                Some(_) | None => {}
            }
        }
        let conditions = self.status.conditions.as_deref().unwrap_or_default();
        let scheduled = conditions.iter().find(|it| it.type_ == "PodScheduled");
        if let Some(no) = scheduled.filter(|it| it.status == "False") {
            let why = no.message.as_deref().unwrap_or_default();
            let message = format!("no node takes Pod \"{pod}\": {why}");
            return (Waiting::Unschedulable, message);
        }
        (Waiting::PodPending, format!("Pod \"{pod}\" is starting"))
    }

    /// Until when a wait is nothing to speak of.
    fn passing(&self, pod: &Pod, reason: Waiting) -> Option<Timestamp> {
        let since = match reason {
            Waiting::Cloning => self.checkout?.running.as_ref()?.started_at.as_ref(),
            Waiting::PodPending => pod.metadata.creation_timestamp.as_ref(),
            Waiting::Unschedulable
            | Waiting::ImagePullFailed
            | Waiting::Starting
            | Waiting::JobRefused
            | Waiting::ForDependency
            | Waiting::ForBranch
            | Waiting::ForRetry
            | Waiting::WorkspaceNotFound
            | Waiting::WorkspaceInvalid
            | Waiting::SecretNotFound
            | Waiting::SecretKeyMissing
            | Waiting::SecretForbidden
            | Waiting::ConfigMapNotFound
            | Waiting::ConfigMapKeyMissing => None,
        };
        since.map(|it| after(it.0, PASSING))
    }

    fn ending(&self) -> Ending {
        let report = self.ended_container().and_then(read_report);
        let (reason, message) = self.verdict(report.as_ref());
        let ended = self.ended_container();
        let usage = report.as_ref().and_then(|it| it.usage).map(usage);
        let report = report.unwrap_or_default();
        let message = if report.cut {
            format!("{message}; {CUT}")
        } else {
            message
        };
        let code = self.agent_end().map(|it| it.exit_code);
        Ending {
            reason,
            message,
            outputs: report.outputs,
            results: report.results,
            usage,
            exit_code: report.exit_code.or(code),
            begun: self.may_have_begun(),
            settled: self.is_terminal(),
            finished: ended.and_then(|it| it.finished_at.clone()),
        }
    }

    /// Whether the agent began. Where the last word is not its kubelet's, nobody can say that it did
    /// not: a node that is cut off goes on.
    fn may_have_begun(&self) -> bool {
        let unknown = self
            .agent_end()
            .is_some_and(|it| it.reason.as_deref() == Some("ContainerStatusUnknown"));
        let unheard = self.was_scheduled() && !self.kubelet_told();
        self.started().is_some() || self.agent_runs() || unknown || unheard
    }

    fn was_scheduled(&self) -> bool {
        self.condition("PodScheduled").is_some()
    }

    /// Whether what the Pod says of its end comes from the kubelet that ran it.
    fn kubelet_told(&self) -> bool {
        match self.condition("DisruptionTarget") {
            Some(it) => it.reason.as_deref() != Some("DeletionByPodGC"),
            None => self.status.reason.is_some() || self.ended_container().is_some(),
        }
    }

    /// The condition, if it holds.
    fn condition(&self, kind: &str) -> Option<&'a PodCondition> {
        let conditions = self.status.conditions.as_deref().unwrap_or_default();
        conditions
            .iter()
            .find(|it| it.type_ == kind && it.status == "True")
    }

    /// Why it ended, the outermost cause first: what ended the Pod, then what ended a container.
    fn verdict(&self, report: Option<&Report>) -> (End, String) {
        let last_words = last_words(report, self.ended_container());
        if self.agent_succeeded(report) {
            return (
                End::Succeeded,
                format!("container \"{}\" finished{last_words}", self.agent_name),
            );
        }
        let outside = self.cause_outside().filter(|_| !self.known_end);
        if let Some((reason, why)) = outside {
            return (reason, format!("{why}{last_words}"));
        }
        let (name, ended) = match (self.agent_end(), self.failed_checkout()) {
            (Some(ended), _) => (self.agent_name, ended),
            (None, Some(ended)) => (CHECKOUT, ended),
            (None, None) => {
                let why = self
                    .status
                    .message
                    .as_deref()
                    .unwrap_or("no container told its end");
                return (End::NodeLost, format!("Pod \"{}\" failed: {why}", self.pod));
            }
        };
        let code = report
            .and_then(|it| it.exit_code)
            .unwrap_or(ended.exit_code);
        match ended.reason.as_deref() {
            Some("OOMKilled") => {
                let message = format!(
                    "container \"{name}\" ran out of memory (exit code {code}){last_words}"
                );
                (End::OutOfMemory, message)
            }
            Some("ContainerStatusUnknown") => {
                let message =
                    format!("the end of container \"{name}\" was lost with its node{last_words}");
                (End::NodeLost, message)
            }
            Some(_) | None if name == CHECKOUT => {
                let message =
                    format!("container \"{name}\" failed with exit code {code}{last_words}");
                (End::CloneFailed, message)
            }
            Some(_) | None => {
                let message =
                    format!("container \"{name}\" failed with exit code {code}{last_words}");
                (End::AgentFailed, message)
            }
        }
    }

    /// Whether somebody deleted the Pod before its container had ended.
    fn was_removed(&self) -> bool {
        let Some(asked) = self.removed else {
            return false;
        };
        let ended = self.ended_container().and_then(|it| it.finished_at.clone());
        ended.is_none_or(|it| it.0 >= asked)
    }

    fn agent_succeeded(&self, report: Option<&Report>) -> bool {
        self.status.phase.as_deref() != Some("Failed")
            && self.agent_end().is_some_and(|it| it.exit_code == 0)
            && report.is_none_or(|it| it.succeeded)
    }

    /// What ended the Pod as a whole.
    fn cause_outside(&self) -> Option<(End, String)> {
        let pod = self.pod;
        let why = self.status.message.as_deref().unwrap_or_default();
        match self.status.reason.as_deref() {
            Some("DeadlineExceeded") => {
                let message = format!("Pod \"{pod}\" ran out of time: {why}");
                return Some((End::DeadlineExceeded, message));
            }
            Some("NodeLost") => {
                return Some((End::NodeLost, format!("Pod \"{pod}\" was lost: {why}")));
            }
            Some(reason) => {
                let message = format!("Pod \"{pod}\" was ended: {reason}: {why}");
                return Some((End::Evicted, message));
            }
            None => {}
        }
        let Some(disrupted) = self.condition("DisruptionTarget") else {
            let message = format!("Pod \"{pod}\" was deleted while it was in use");
            return self.was_removed().then_some((End::Evicted, message));
        };
        let why = disrupted.message.as_deref().unwrap_or_default();
        let reason = match disrupted.reason.as_deref() {
            Some("DeletionByTaintManager" | "DeletionByPodGC") => End::NodeLost,
            Some(_) | None => End::Evicted,
        };
        Some((reason, format!("Pod \"{pod}\" was disrupted: {why}")))
    }
}

fn state<'a>(of: Option<&'a [ContainerStatus]>, name: &str) -> Option<&'a ContainerState> {
    of?.iter().find(|it| it.name == name)?.state.as_ref()
}

fn read_report(ended: &ContainerStateTerminated) -> Option<Report> {
    Report::parse(ended.message.as_deref()?.as_bytes())
}

/// What the container said last, to stand after a sentence.
fn last_words(report: Option<&Report>, ended: Option<&ContainerStateTerminated>) -> String {
    let said = match report {
        Some(report) => report.message.as_deref(),
        // Without a report: what the runtime says, for example that there is no such program.
        None => ended
            .filter(|it| it.exit_code != 0)
            .and_then(|it| it.message.as_deref()),
    };
    match said.map(str::trim).filter(|it| !it.is_empty()) {
        Some(said) => format!(": {said}"),
        None => String::new(),
    }
}

fn usage(told: report::Usage) -> Usage {
    let count = |it: u64| i64::try_from(it).ok();
    Usage {
        cost_usd: told.cost_usd,
        estimated: told.estimated,
        input_tokens: count(told.input_tokens),
        cached_input_tokens: count(told.cached_input_tokens),
        output_tokens: count(told.output_tokens),
        turns: Some(told.turns.into()),
    }
}

fn is_image_trouble(reason: &str) -> bool {
    matches!(
        reason,
        "ErrImagePull"
            | "ImagePullBackOff"
            | "ErrImageNeverPull"
            | "InvalidImageName"
            | "ImageInspectError"
            | "RegistryUnavailable"
            | "SignatureValidationFailed"
    )
}

#[cfg(test)]
mod tests;
