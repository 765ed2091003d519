//! Where a Task stands by its own status: pure.
//!
//! The status tells it alone, so a controller that starts anew knows as much as one that was there.
//! `jobName` is written before the Job of that name is made, `attempts` after it was made and before
//! it is released: what lies between the two has not run.

use jiff::Timestamp;

use super::build;
use super::reason::Waiting;
use super::status;
use crate::api::Task;
use crate::api::task::TaskStatus;

/// Where a Task stands before anything else is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is being deleted: owner references see to the rest.
    Deleting,
    Finished,
    /// The Job of the next attempt is not known to have been made: nothing of it has run.
    Before(Before),
    /// The Job of this attempt was made: if it is missing now, it is lost.
    Begun(i32),
}

/// An attempt that has not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Before {
    /// 1, 2, and so on.
    pub(super) attempt: i32,
    /// Whether the name of its Job is claimed.
    pub(super) claimed: bool,
    /// Not before then, because the attempt before it has failed.
    pub(super) due: Option<Timestamp>,
}

/// Where `task` stands by its own account.
pub(super) fn stage(task: &Task) -> Stage {
    let nothing = TaskStatus::default();
    let status = task.status.as_ref().unwrap_or(&nothing);
    if task.metadata.deletion_timestamp.is_some() {
        return Stage::Deleting;
    }
    if status::is_finished(status) {
        return Stage::Finished;
    }
    let made = status.attempts.unwrap_or(0).max(0);
    let next = |claimed| {
        Stage::Before(Before {
            attempt: made.saturating_add(1),
            claimed,
            due: status.retry_time.as_ref().map(|it| it.0),
        })
    };
    if status.retry_time.is_some() {
        return next(false);
    }
    let Some(claimed) = &status.job_name else {
        return if made == 0 {
            next(false)
        } else {
            Stage::Begun(made)
        };
    };
    if made == 0 {
        // Also a status from before attempts were counted.
        return if seen_no_job(status) {
            next(true)
        } else {
            Stage::Begun(1)
        };
    }
    if build::is_job_name(claimed, task, made.saturating_add(1)) {
        next(true)
    } else {
        Stage::Begun(made)
    }
}

/// Name of the Job of the attempt that is next or under way: the one that was claimed for it, else
/// the one that will be.
pub(super) fn job_name(task: &Task) -> String {
    let (attempt, is_claimed) = match stage(task) {
        Stage::Before(before) => (before.attempt, before.claimed),
        Stage::Begun(attempt) => (attempt, true),
        Stage::Deleting | Stage::Finished => (1, true),
    };
    let claimed = task.status.as_ref().and_then(|it| it.job_name.clone());
    claimed
        .filter(|_| is_claimed)
        .unwrap_or_else(|| build::job_name(task, attempt))
}

/// Number of the attempt that is next or under way.
pub(super) fn attempt(task: &Task) -> i32 {
    match stage(task) {
        Stage::Before(before) => before.attempt,
        Stage::Begun(attempt) => attempt,
        Stage::Deleting | Stage::Finished => {
            let made = task.status.as_ref().and_then(|it| it.attempts);
            made.unwrap_or(1)
        }
    }
}

fn seen_no_job(status: &TaskStatus) -> bool {
    status::condition(status, status::STARTED)
        .filter(|it| it.status == "False")
        .and_then(|it| Waiting::parse(&it.reason))
        .is_some_and(Waiting::is_before_the_job)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json;

    use super::super::fixture::TaskExt as _;
    use super::super::fixture::task;
    use super::*;

    fn before(attempt: i32, claimed: bool) -> Stage {
        Stage::Before(Before {
            attempt,
            claimed,
            due: None,
        })
    }

    #[track_caller]
    fn check(status: &Value, expected: Stage, job: &str) {
        let task = task("a").with(&json!({"status": status}));
        assert_eq!(stage(&task), expected, "{status}");
        assert_eq!(job_name(&task), job, "{status}");
    }

    fn waits(reason: &str) -> Value {
        json!([{
            "type": "Started", "status": "False", "reason": reason, "message": "",
            "lastTransitionTime": "2026-03-01T11:59:51Z",
        }])
    }

    #[test]
    fn the_way_of_two_attempts() {
        check(&json!({}), before(1, false), "a");
        let waiting = json!({"phase": "Pending", "conditions": waits("SecretNotFound")});
        check(&waiting, before(1, false), "a");
        let claimed = json!({"jobName": "a", "conditions": waits("Starting")});
        check(&claimed, before(1, true), "a");
        let made = json!({"jobName": "a", "attempts": 1, "conditions": waits("PodPending")});
        check(&made, Stage::Begun(1), "a");
        let again = json!({
            "jobName": "a", "attempts": 1, "retryTime": "2026-03-01T12:00:30Z",
            "conditions": waits("WaitingForRetry"),
        });
        let due = Stage::Before(Before {
            attempt: 2,
            claimed: false,
            due: Some("2026-03-01T12:00:30Z".parse().unwrap()),
        });
        let second = build::job_name(&task("a"), 2);
        check(&again, due, &second);
        let claimed = json!({"jobName": second, "attempts": 1, "conditions": waits("Starting")});
        check(&claimed, before(2, true), &second);
        // Whatever it waits for, only `attempts` says that the Job was made.
        let refused = json!({"jobName": second, "attempts": 1, "conditions": waits("JobRefused")});
        check(&refused, before(2, true), &second);
        let made = json!({"jobName": second, "attempts": 2, "conditions": waits("PodPending")});
        check(&made, Stage::Begun(2), &second);
    }

    #[test]
    fn a_claim_from_before_names_had_a_digest_stands() {
        let claimed = json!({"jobName": "a-2", "attempts": 1, "conditions": waits("Starting")});
        check(&claimed, before(2, true), "a-2");
        let made = json!({"jobName": "a-2", "attempts": 2, "conditions": waits("PodPending")});
        check(&made, Stage::Begun(2), "a-2");
    }

    #[test]
    fn a_name_that_is_not_the_next_one_is_of_a_run_that_has_begun() {
        let odd = json!({"jobName": "by-hand", "attempts": 1});
        check(&odd, Stage::Begun(1), "by-hand");
        let odd = json!({"jobName": "a", "attempts": -7, "conditions": waits("Starting")});
        check(&odd, before(1, true), "a");
    }

    #[test]
    fn statuses_from_before_attempts_were_counted() {
        for reason in [
            "PodPending",
            "ImagePullFailed",
            "Cloning",
            "WaitingForGodot",
        ] {
            let begun = json!({"jobName": "a", "conditions": waits(reason)});
            check(&begun, Stage::Begun(1), "a");
        }
        for reason in ["Starting", "SecretNotFound", "JobRefused"] {
            let claimed = json!({"jobName": "a", "conditions": waits(reason)});
            check(&claimed, before(1, true), "a");
        }
        // Of the Go Axon: told by phase and Job only.
        let going = json!({"phase": "Running", "jobName": "a"});
        check(&going, Stage::Begun(1), "a");
        check(&json!({"phase": "Pending"}), before(1, false), "a");
    }

    #[test]
    fn what_is_over_is_over() {
        let gone = json!({"metadata": {"deletionTimestamp": "2026-03-01T12:00:00Z"}});
        assert_eq!(stage(&task("a").running().with(&gone)), Stage::Deleting);
        assert_eq!(stage(&task("a").finished("Failed")), Stage::Finished);
        let done = json!({"phase": "Failed", "jobName": "a", "retryTime": "2026-03-01T12:00:30Z"});
        check(&done, Stage::Finished, "a");
    }

    #[test]
    fn names_of_jobs() {
        assert_eq!(job_name(&task("fix.login")), "fix.login");
        assert_eq!(job_name(&task(&"x".repeat(200))).len(), 63);
    }
}
