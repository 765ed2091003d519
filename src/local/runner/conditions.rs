//! The conditions of a Pod. Those that the kubelet does not own are kept as they are.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::PodCondition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::status::Container;
use super::status::Phase;
use super::status::Progress;
use super::status::Verdict;

/// Says that a process of the Pod may have been started.
pub(super) const BEGUN: &str = "PodReadyToStartContainers";
const INITIALIZED: &str = "Initialized";
const READY: &str = "Ready";
const CONTAINERS_READY: &str = "ContainersReady";
const SCHEDULED: &str = "PodScheduled";
/// Says that something other than the Pod's own doing ended it.
const DISRUPTED: &str = "DisruptionTarget";

/// The conditions that follow from `progress`; times of unchanged ones are taken from `before`.
pub(super) fn of(
    progress: &Progress,
    before: &[PodCondition],
    now: Timestamp,
) -> Vec<PodCondition> {
    let ready = readiness(progress);
    let mut all = vec![
        // After the end nothing is ready to start; that something did start is in the phase.
        condition(BEGUN, progress.begun && !progress.phase().is_final()),
        initialization(progress),
        PodCondition {
            type_: READY.to_owned(),
            ..ready.clone()
        },
        PodCondition {
            type_: CONTAINERS_READY.to_owned(),
            ..ready
        },
        condition(SCHEDULED, true),
    ];
    all.extend(disruption(progress));
    for new in &mut all {
        new.observed_generation = progress.generation;
        let same = before
            .iter()
            .find(|old| old.type_ == new.type_ && old.status == new.status);
        new.last_transition_time = same
            .and_then(|old| old.last_transition_time.clone())
            .or(Some(Time(now)));
    }
    let foreign = before
        .iter()
        .filter(|old| all.iter().all(|new| new.type_ != old.type_));
    let foreign: Vec<_> = foreign.cloned().collect();
    all.extend(foreign);
    all
}

fn condition(kind: &str, holds: bool) -> PodCondition {
    PodCondition {
        type_: kind.to_owned(),
        status: if holds { "True" } else { "False" }.to_owned(),
        ..PodCondition::default()
    }
}

fn initialization(progress: &Progress) -> PodCondition {
    let mut it = condition(INITIALIZED, progress.initialized());
    if progress.phase() == Phase::Succeeded {
        it.reason = Some("PodCompleted".to_owned());
    } else if !progress.initialized() {
        it.reason = Some("ContainersNotInitialized".to_owned());
        it.message = Some(listed(
            "containers with incomplete status",
            progress.init.iter().filter(|it| !it.has_initialized()),
        ));
    }
    it
}

fn readiness(progress: &Progress) -> PodCondition {
    let unready = || {
        progress
            .init
            .iter()
            .filter(|it| it.is_sidecar)
            .chain(&progress.main)
            .filter(|it| !it.is_running())
    };
    let phase = progress.phase();
    let ready = phase == Phase::Running && unready().next().is_none();
    let mut it = condition(READY, ready);
    match phase {
        Phase::Succeeded => it.reason = Some("PodCompleted".to_owned()),
        Phase::Failed => it.reason = Some("PodFailed".to_owned()),
        Phase::Pending | Phase::Running if ready => {}
        Phase::Pending | Phase::Running => {
            it.reason = Some("ContainersNotReady".to_owned());
            it.message = Some(listed("containers with unready status", unready()));
        }
    }
    it
}

fn disruption(progress: &Progress) -> Option<PodCondition> {
    let (reason, message) = match progress.verdict? {
        Verdict::Deleted | Verdict::Deadline => return None,
        Verdict::Shutdown => (
            "TerminationByKubelet",
            "Pod was terminated in response to imminent node shutdown.",
        ),
        Verdict::Lost => ("DeletionByPodGC", "PodGC: node no longer exists"),
    };
    Some(PodCondition {
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        ..condition(DISRUPTED, true)
    })
}

fn listed<'a>(what: &str, containers: impl Iterator<Item = &'a Container>) -> String {
    let names: Vec<_> = containers.map(|it| it.name.as_str()).collect();
    format!("{what}: [{}]", names.join(" "))
}
