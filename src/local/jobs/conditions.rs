//! The conditions of a Job: first what is decided (`FailureTarget`, `SuccessCriteriaMet`), then,
//! when nothing runs any more, the end (`Failed`, `Complete`).

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::JobCondition;
use k8s_openapi::api::batch::v1::JobStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

const FAILURE_TARGET: &str = "FailureTarget";
pub(super) const FAILED: &str = "Failed";
const SUCCESS_CRITERIA_MET: &str = "SuccessCriteriaMet";
pub(super) const COMPLETE: &str = "Complete";
pub(super) const SUSPENDED: &str = "Suspended";

/// How a Job is to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    Complete,
    Failed { reason: String, message: String },
}

impl Goal {
    fn said(&self) -> (&str, &str) {
        match self {
            Self::Complete => (
                "CompletionsReached",
                "Reached expected number of succeeded pods",
            ),
            Self::Failed { reason, message } => (reason, message),
        }
    }
}

pub(super) fn is_finished(status: &JobStatus) -> bool {
    holds(status, COMPLETE).or(holds(status, FAILED)).is_some()
}

/// When a finished Job ended.
pub(super) fn ended_at(status: &JobStatus) -> Option<Timestamp> {
    let end = holds(status, COMPLETE).or(holds(status, FAILED))?;
    end.last_transition_time.as_ref().map(|it| it.0)
}

/// The end that was decided earlier.
pub(super) fn goal(status: &JobStatus) -> Option<Goal> {
    if let Some(it) = holds(status, FAILURE_TARGET) {
        return Some(Goal::Failed {
            reason: it.reason.clone().unwrap_or_default(),
            message: it.message.clone().unwrap_or_default(),
        });
    }
    holds(status, SUCCESS_CRITERIA_MET).map(|_| Goal::Complete)
}

pub(super) fn set_goal(status: &mut JobStatus, goal: &Goal, now: Timestamp) {
    let kind = match goal {
        Goal::Complete => SUCCESS_CRITERIA_MET,
        Goal::Failed { .. } => FAILURE_TARGET,
    };
    let (reason, message) = goal.said();
    set(status, kind, true, reason, message, now);
}

pub(super) fn finish(status: &mut JobStatus, goal: &Goal, now: Timestamp) {
    let (reason, message) = goal.said();
    match goal {
        Goal::Complete => {
            set(status, COMPLETE, true, reason, message, now);
            status.completion_time = Some(Time(now));
        }
        Goal::Failed { .. } => set(status, FAILED, true, reason, message, now),
    }
}

pub(super) fn suspend(status: &mut JobStatus, now: Timestamp) {
    set(
        status,
        SUSPENDED,
        true,
        "JobSuspended",
        "Job suspended",
        now,
    );
    status.start_time = None;
}

/// Takes a suspension back. Whether there was one.
pub(super) fn resume(status: &mut JobStatus, now: Timestamp) -> bool {
    let was_suspended = holds(status, SUSPENDED).is_some();
    if was_suspended {
        set(status, SUSPENDED, false, "JobResumed", "Job resumed", now);
    }
    was_suspended
}

/// Conditions that `after` has and `before` has not, or not so.
pub(super) fn new<'a>(
    before: &'a JobStatus,
    after: &'a JobStatus,
) -> impl Iterator<Item = &'a JobCondition> {
    let was = |it: &JobCondition| {
        let mut all = before.conditions.iter().flatten();
        all.any(|old| old.type_ == it.type_ && old.status == it.status)
    };
    let all = after.conditions.iter().flatten();
    all.filter(move |it| !was(it))
}

fn holds<'a>(status: &'a JobStatus, kind: &str) -> Option<&'a JobCondition> {
    let all = status.conditions.iter().flatten();
    all.into_iter()
        .find(|it| it.type_ == kind && it.status == "True")
}

fn set(
    status: &mut JobStatus,
    kind: &str,
    is_true: bool,
    reason: &str,
    message: &str,
    now: Timestamp,
) {
    let value = if is_true { "True" } else { "False" };
    let all = status.conditions.get_or_insert_default();
    if all.iter().any(|it| it.type_ == kind && it.status == value) {
        return;
    }
    all.retain(|it| it.type_ != kind);
    all.push(JobCondition {
        type_: kind.to_owned(),
        status: value.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_probe_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    });
}
