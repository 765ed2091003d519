//! A Pod's status, read for what it says of the run. Pure.

use axon_helper::report;
use axon_helper::report::Report;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ContainerState;
use k8s_openapi::api::core::v1::ContainerStateTerminated;
use k8s_openapi::api::core::v1::ContainerStatus;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::core::v1::PodCondition;
use k8s_openapi::api::core::v1::PodStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::Circumstances;
use super::PASSING;
use super::SKEW;
use super::after;
use crate::api::task::Usage;
use crate::controller::task::build::CHECKOUT;
use crate::controller::task::news::Ending;
use crate::controller::task::reason::End;
use crate::controller::task::reason::Waiting;

/// What a message says besides, when a report was cut.
const CUT: &str = "some of what it left could not be read or did not fit, and is missing";

/// The parts of a Pod's status that matter here.
pub(super) struct View<'a> {
    pod: &'a str,
    status: &'a PodStatus,
    /// Name of the agent's container.
    agent_name: &'a str,
    agent: Option<&'a ContainerState>,
    checkout: Option<&'a ContainerState>,
    /// When somebody asked for the Pod to be deleted.
    pub(super) removed: Option<Timestamp>,
    /// What else is known.
    pub(super) known: Circumstances,
}

impl<'a> View<'a> {
    pub(super) fn of(pod: &'a str, status: &'a PodStatus, agent_name: &'a str) -> Self {
        Self {
            pod,
            status,
            agent_name,
            agent: state(status.container_statuses.as_deref(), agent_name),
            checkout: state(status.init_container_statuses.as_deref(), CHECKOUT),
            removed: None,
            known: Circumstances::default(),
        }
    }

    pub(super) fn is_terminal(&self) -> bool {
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
    pub(super) fn ended_container(&self) -> Option<&'a ContainerStateTerminated> {
        self.agent_end().or_else(|| self.failed_checkout())
    }

    pub(super) fn agent_runs(&self) -> bool {
        self.agent.is_some_and(|it| it.running.is_some())
    }

    pub(super) fn started(&self) -> Option<Time> {
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

    pub(super) fn waiting(&self) -> (Waiting, String) {
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
                    return (refused_for(why), message);
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
    pub(super) fn passing(&self, pod: &Pod, reason: Waiting) -> Option<Timestamp> {
        let since = match reason {
            Waiting::Cloning => self.checkout?.running.as_ref()?.started_at.as_ref(),
            Waiting::PodPending => pod.metadata.creation_timestamp.as_ref(),
            Waiting::Unschedulable
            | Waiting::ImagePullFailed
            | Waiting::ContainerRefused
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

    pub(super) fn ending(&self) -> Ending {
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
        let outside = self.cause_outside().filter(|_| !self.known.ended);
        if let Some((reason, why)) = outside {
            return (reason, format!("{why}{last_words}"));
        }
        let (name, ended) = match (self.agent_end(), self.failed_checkout()) {
            (Some(ended), _) => (self.agent_name, ended),
            (None, Some(ended)) => (CHECKOUT, ended),
            (None, None) => {
                let why = self.status.message.as_deref();
                let why = why.unwrap_or("no container told its end");
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

    /// Whether somebody deleted the Pod before its container had ended. Two clocks tell, so where they
    /// are close it counts as removed: an end that the agent had no part in is not tried again as its failure.
    fn was_removed(&self) -> bool {
        let Some(asked) = self.removed else {
            return false;
        };
        let ended = self.ended_container().and_then(|it| it.finished_at.clone());
        ended.is_none_or(|it| after(it.0, SKEW) >= asked)
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
        let told = |what: &str, why: &str| sentence(&format!("Pod \"{pod}\" {what}"), why);
        match self.status.reason.as_deref() {
            // The words are the kubelet's, of a time limit that nobody set.
            Some("DeadlineExceeded") if self.known.stopped => {
                return Some((End::Cancelled, told("was told to end", "")));
            }
            Some("DeadlineExceeded") => {
                return Some((End::DeadlineExceeded, told("ran out of time", why)));
            }
            Some("NodeLost") => return Some((End::NodeLost, told("was lost", why))),
            Some(reason) => {
                return Some((End::Evicted, told(&format!("was ended: {reason}"), why)));
            }
            None => {}
        }
        let Some(disrupted) = self.condition("DisruptionTarget") else {
            let message = told("was deleted before it had ended", "");
            return self.was_removed().then_some((End::Evicted, message));
        };
        let why = disrupted.message.as_deref().unwrap_or_default();
        let (end, what) = match disrupted.reason.as_deref() {
            Some("DeletionByTaintManager") => (End::NodeLost, "was taken from its node"),
            Some("DeletionByPodGC") => (End::NodeLost, "was lost with its node"),
            Some("PreemptionByScheduler") => (End::Evicted, "was preempted"),
            Some("EvictionByEvictionAPI") => (End::Evicted, "was evicted"),
            Some("TerminationByKubelet") => (End::Evicted, "was ended by its node"),
            Some(_) | None => (End::Evicted, "was disrupted"),
        };
        Some((end, told(what, why)))
    }
}

/// What happened, and why, if somebody said so.
fn sentence(what: &str, why: &str) -> String {
    match why.trim() {
        "" => what.to_owned(),
        why => format!("{what}: {why}"),
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

/// What a container lacks that its node cannot make, in the kubelet's words. A Secret may go after the
/// Task was let start.
pub(super) fn refused_for(why: &str) -> Waiting {
    let missing =
        |kind: &str| why.starts_with(&format!("{kind} \"")) && why.ends_with("\" not found");
    let keyless =
        |kind: &str| why.starts_with("couldn't find key ") && why.contains(&format!(" in {kind} "));
    if missing("secret") {
        Waiting::SecretNotFound
    } else if keyless("Secret") || why.starts_with("references non-existent secret key") {
        Waiting::SecretKeyMissing
    } else if missing("configmap") {
        Waiting::ConfigMapNotFound
    } else if keyless("ConfigMap") || why.starts_with("references non-existent config key") {
        Waiting::ConfigMapKeyMissing
    } else {
        Waiting::ContainerRefused
    }
}
