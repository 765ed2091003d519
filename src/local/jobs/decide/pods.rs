//! What the status of a Pod says to its Job.

use k8s_openapi::api::core::v1::Pod;

use super::TRACKING;

/// How many Pods are in which state.
pub(super) struct Tally {
    pub(super) active: i32,
    pub(super) ready: i32,
    pub(super) terminating: i32,
}

impl Tally {
    pub(super) fn of(pods: &[Pod], deleted: &[String]) -> Self {
        let count = |holds: &dyn Fn(&Pod) -> bool| {
            let found = pods
                .iter()
                .filter(|pod| !is_over(pod) && holds(pod))
                .count();
            i32::try_from(found).unwrap_or(i32::MAX)
        };
        let leaves = |pod: &Pod| is_terminating(pod) || deleted.contains(&name(pod));
        Self {
            active: count(&|pod| !leaves(pod)),
            ready: count(&|pod| !leaves(pod) && is_ready(pod)),
            terminating: count(&leaves),
        }
    }
}

fn is_ready(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let conditions = status.and_then(|it| it.conditions.as_deref());
    conditions
        .unwrap_or_default()
        .iter()
        .any(|it| it.type_ == "Ready" && it.status == "True")
}

pub(super) fn is_over(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

pub(super) fn is_terminating(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

pub(in crate::local::jobs) fn is_tracked(pod: &Pod) -> bool {
    let finalizers = pod.metadata.finalizers.as_deref();
    finalizers
        .unwrap_or_default()
        .iter()
        .any(|it| it == TRACKING)
}

pub(super) fn phase(pod: &Pod) -> &str {
    let status = pod.status.as_ref();
    status
        .and_then(|it| it.phase.as_deref())
        .unwrap_or_default()
}

pub(super) fn name(pod: &Pod) -> String {
    pod.metadata.name.clone().unwrap_or_default()
}

pub(super) fn uid(pod: &Pod) -> String {
    pod.metadata.uid.clone().unwrap_or_default()
}

/// How often its containers started again.
pub(super) fn restarts(pod: &Pod) -> i32 {
    let status = pod.status.as_ref();
    let all = [
        status.and_then(|it| it.init_container_statuses.as_deref()),
        status.and_then(|it| it.container_statuses.as_deref()),
    ];
    let all = all.into_iter().flatten().flatten();
    all.map(|it| it.restart_count).fold(0, i32::saturating_add)
}
