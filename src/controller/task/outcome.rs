//! What a Job and its Pod tell about the run: pure reading, no decision.

use axon_helper::report::Report;
use jiff::SignedDuration;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ContainerState;
use k8s_openapi::api::core::v1::ContainerStateTerminated;
use k8s_openapi::api::core::v1::ContainerStatus;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::core::v1::PodStatus;

use super::build::CHECKOUT;
use super::news::Ending;
use super::news::News;
use super::news::What;
use super::reason::End;
use super::reason::Waiting;

/// How long after the agent's container failed its Pod may take to say why (a deadline, an
/// eviction): the kubelet reports the container first.
const SETTLE: SignedDuration = SignedDuration::from_secs(10);

/// What a Pod tells.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Told {
    News(News),
    /// The agent's container has failed, the Pod has not said why: ask again then.
    Settling(Timestamp),
}

/// What `pod` tells about the run of the agent in the container `agent`.
pub(super) fn of_pod(pod: &Pod, agent: &str, now: Timestamp) -> Told {
    let name = pod.metadata.name.clone().unwrap_or_default();
    let empty = PodStatus::default();
    let view = View::of(&name, pod.status.as_ref().unwrap_or(&empty), agent);
    let news = |what| {
        Told::News(News {
            pod: Some(name.clone()),
            started: view.started(),
            what,
        })
    };
    if view.is_terminal() {
        return news(What::Ended(view.ending()));
    }
    if let Some(ended) = view.ended_container() {
        let done = ended.exit_code == 0;
        let at = ended.finished_at.as_ref().map_or(now, |it| it.0);
        let settled = at.checked_add(SETTLE).unwrap_or(Timestamp::MAX);
        if done || settled <= now {
            return news(What::Ended(view.ending()));
        }
        return Told::Settling(settled);
    }
    if view.agent_runs() {
        return news(What::Running);
    }
    let (reason, message) = view.waiting();
    news(What::Waiting(reason, message))
}

/// What a Job tells whose Pod is not there.
pub(super) fn of_job(job: &Job) -> News {
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
        return no_pod_yet(name);
    };
    let why = failed.message.as_deref().unwrap_or_default();
    let (reason, what) = match failed.reason.as_deref() {
        Some("DeadlineExceeded") => (End::DeadlineExceeded, "ran out of time"),
        Some("PodFailurePolicy") => (End::Evicted, "was disrupted"),
        Some(_) | None => (End::JobLost, "failed, and its Pod is gone"),
    };
    News::ended(reason, format!("Job \"{name}\" {what}: {why}"))
}

/// News that the Job is there and its Pod is not.
pub(super) fn no_pod_yet(job: &str) -> News {
    let message = format!("Job \"{job}\" has no Pod yet");
    News::waiting(Waiting::PodPending, message)
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
}

impl<'a> View<'a> {
    fn of(pod: &'a str, status: &'a PodStatus, agent_name: &'a str) -> Self {
        Self {
            pod,
            status,
            agent_name,
            agent: state(status.container_statuses.as_deref(), agent_name),
            checkout: state(status.init_container_statuses.as_deref(), CHECKOUT),
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

    fn ending(&self) -> Ending {
        let report = self.ended_container().and_then(report);
        let (reason, message) = self.verdict(report.as_ref());
        let ended = self.ended_container();
        let report = report.unwrap_or_default();
        let code = self.agent_end().map(|it| it.exit_code);
        Ending {
            reason,
            message,
            outputs: report.outputs,
            results: report.results,
            exit_code: report.exit_code.or(code),
            finished: ended.and_then(|it| it.finished_at.clone()),
        }
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
        if let Some((reason, why)) = self.cause_outside() {
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
        let conditions = self.status.conditions.as_deref().unwrap_or_default();
        let disrupted = conditions
            .iter()
            .find(|it| it.type_ == "DisruptionTarget" && it.status == "True")?;
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

fn report(ended: &ContainerStateTerminated) -> Option<Report> {
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
