//! Whether a Task runs again after a run that has ended: pure.

use std::time::Duration;

use jiff::SignedDuration;
use jiff::Timestamp;

use super::news::Again;
use super::news::Ending;
use super::reason::End;
use super::stage;
use super::stage::Stage;
use crate::api::Task;
use crate::api::task::OnDisruption;
use crate::api::task::Retry;
use crate::model::duration::GoDuration;

/// Longest wait between two attempts.
const MAX_BACKOFF: Duration = Duration::from_hours(1);
/// Further attempts after disruptions, which no limit of the user's counts: a cluster that loses
/// every Pod must not go on for ever.
const MAX_DISRUPTIONS: i32 = 10;

/// What is said between two attempts after how the one ended.
const NEXT: &str = "; the next one starts at ";

/// What an end means for another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It counts against `retry.limit`.
    Failure,
    /// It does not.
    Disruption,
    /// Another attempt could not help, or is not wanted.
    Final,
}

/// The attempt that follows the one that ended like this, if one does.
pub(super) fn after(task: &Task, ending: &Ending, now: Timestamp) -> Option<Again> {
    let status = task.status.clone().unwrap_or_default();
    let retry = task.spec.retry.clone().unwrap_or_default();
    let disruptions = status.disruptions.unwrap_or(0).max(0);
    let attempt = stage::attempt(task);
    let (count, disrupted) = match kind(ending) {
        Kind::Final => return None,
        Kind::Failure => {
            let failures = attempt.saturating_sub(disruptions).max(1);
            (failures <= retry.limit).then_some((failures, false))?
        }
        Kind::Disruption => {
            let wanted = match retry.on_disruption {
                OnDisruption::Always => true,
                OnDisruption::IfNotStarted => !ending.begun,
                OnDisruption::Never => false,
            };
            let more = wanted && disruptions < MAX_DISRUPTIONS;
            more.then_some((disruptions.saturating_add(1), true))?
        }
    };
    let at = due(&retry, count, now);
    let message = format!(
        "{}{NEXT}{}",
        told(task, ending, disrupted),
        at.strftime("%H:%M:%S UTC")
    );
    Some(Again {
        at,
        message,
        disrupted,
        usage: ending.usage.clone(),
    })
}

/// What an attempt says of itself that is to be followed by another once `pod` has ended.
pub(super) fn outlived_message(task: &Task, ending: &Ending, disrupted: bool, pod: &str) -> String {
    let told = told(task, ending, disrupted);
    format!("{told}; the next one waits for the end of Pod \"{pod}\"")
}

fn told(task: &Task, ending: &Ending, disrupted: bool) -> String {
    let what = if disrupted { "was lost" } else { "failed" };
    format!(
        "attempt {} {what}: {}",
        stage::attempt(task),
        ending.message
    )
}

/// What an attempt that is not followed by another says of itself, after others before it.
pub(super) fn last_message(task: &Task, message: &str) -> String {
    match stage::stage(task) {
        Stage::Begun(attempt @ 2..) => format!("{message} (attempt {attempt})"),
        Stage::Begun(_) | Stage::Before(_) | Stage::Deleting | Stage::Finished => {
            message.to_owned()
        }
    }
}

/// How the attempt ended that was to be followed by another: what is `said` while that is waited for, without it.
pub(super) fn without_next(said: &str) -> &str {
    said.rsplit_once(NEXT).map_or(said, |(ended, _)| ended)
}

fn kind(ending: &Ending) -> Kind {
    match ending.reason {
        End::AgentFailed | End::OutOfMemory | End::CloneFailed => Kind::Failure,
        End::Evicted | End::NodeLost => Kind::Disruption,
        // A time limit would be reached again. A Job or a spec is as a person made it.
        End::Succeeded
        | End::DeadlineExceeded
        | End::JobLost
        | End::InvalidSpec
        | End::AlreadyRan
        | End::NameTaken
        | End::DependencyFailed
        | End::Cancelled => Kind::Final,
    }
}

/// When the next attempt may start, after `count` that ended in the same way. In whole seconds, as
/// the API keeps them, and never too early.
fn due(retry: &Retry, count: i32, now: Timestamp) -> Timestamp {
    let first = GoDuration::parse(&retry.backoff).map_or(MAX_BACKOFF, GoDuration::get);
    let doublings = u32::try_from(count.saturating_sub(1)).unwrap_or(0);
    let wait = first
        .saturating_mul(2_u32.saturating_pow(doublings))
        .min(MAX_BACKOFF);
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::ZERO);
    let at = now.saturating_add(wait).unwrap_or(Timestamp::MAX);
    let up = i64::from(!wait.is_zero() && at.subsec_nanosecond() > 0);
    Timestamp::from_second(at.as_second().saturating_add(up)).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json;

    use super::super::fixture::TaskExt as _;
    use super::super::fixture::now;
    use super::super::fixture::task;
    use super::*;

    /// In how many seconds the next attempt starts, after these that were made and disrupted.
    fn wait(retry: &Value, (made, disrupted): (i32, i32), ending: &Ending) -> Option<i64> {
        let task = task("a").running().with(&json!({
            "spec": {"retry": retry},
            "status": {
                "attempts": made, "disruptions": disrupted,
                "jobName": crate::controller::task::build::job_name(&task("a"), made),
            },
        }));
        let again = after(&task, ending, now())?;
        Some(again.at.as_second() - now().as_second())
    }

    fn failed(reason: End) -> Ending {
        Ending::bare(reason, "why")
    }

    #[test]
    fn failures_are_run_again_as_often_as_the_limit_says() {
        let twice = json!({"limit": 2, "backoff": "30s"});
        let check = |made, expected| {
            assert_eq!(wait(&twice, made, &failed(End::AgentFailed)), expected);
        };
        check((1, 0), Some(30));
        check((2, 0), Some(60));
        check((3, 0), None);
        // Disruptions do not count.
        check((3, 1), Some(60));
        check((4, 1), None);
        assert_eq!(wait(&Value::Null, (1, 0), &failed(End::AgentFailed)), None);
    }

    #[test]
    fn each_wait_is_twice_the_last_up_to_an_hour() {
        let long = json!({"limit": 100, "backoff": "1m"});
        let waits: Vec<_> = [1, 2, 3, 6, 7, 8, 60, 100]
            .map(|made| wait(&long, (made, 0), &failed(End::OutOfMemory)).unwrap())
            .into();
        assert_eq!(waits, [60, 120, 240, 1920, 3600, 3600, 3600, 3600]);
        let day = json!({"limit": 1, "backoff": "24h"});
        assert_eq!(wait(&day, (1, 0), &failed(End::AgentFailed)), Some(3600));
        let none = json!({"limit": 1, "backoff": "0"});
        assert_eq!(wait(&none, (1, 0), &failed(End::AgentFailed)), Some(0));
        let less = json!({"limit": 1, "backoff": "10ms"});
        assert_eq!(wait(&less, (1, 0), &failed(End::AgentFailed)), Some(1));
        // An object from before the schema.
        let odd = json!({"limit": 1, "backoff": "soon"});
        assert_eq!(wait(&odd, (1, 0), &failed(End::AgentFailed)), Some(3600));
    }

    #[test]
    fn only_what_another_attempt_can_help_is_run_again() {
        let always = json!({"limit": 9, "onDisruption": "Always"});
        for (reason, again) in [
            (End::Succeeded, false),
            (End::AgentFailed, true),
            (End::CloneFailed, true),
            (End::OutOfMemory, true),
            (End::DeadlineExceeded, false),
            (End::Evicted, true),
            (End::NodeLost, true),
            (End::JobLost, false),
            (End::InvalidSpec, false),
            (End::AlreadyRan, false),
            (End::NameTaken, false),
            (End::DependencyFailed, false),
            (End::Cancelled, false),
        ] {
            let found = wait(&always, (1, 0), &failed(reason));
            assert_eq!(found.is_some(), again, "{reason:?}");
        }
    }

    #[test]
    fn disruptions() {
        let lost = |begun| Ending {
            begun,
            ..failed(End::NodeLost)
        };
        let check = |policy: &str, begun, made, expected| {
            let retry = json!({"backoff": "10s", "onDisruption": policy});
            assert_eq!(
                wait(&retry, made, &lost(begun)),
                expected,
                "{policy} {begun}"
            );
        };
        for (policy, fresh, begun) in [
            ("IfNotStarted", Some(10), None),
            ("Always", Some(10), Some(10)),
            ("Never", None, None),
        ] {
            check(policy, false, (1, 0), fresh);
            check(policy, true, (1, 0), begun);
        }
        // Without a word about it, as with the default.
        assert_eq!(wait(&Value::Null, (1, 0), &lost(false)), Some(30));
        assert_eq!(wait(&Value::Null, (1, 0), &lost(true)), None);
        // They have a bound all the same.
        check("Always", true, (4, 3), Some(80));
        check("Always", true, (10, 9), Some(3600));
        check("Always", true, (11, 10), None);
    }

    #[test]
    fn the_message_says_what_was_and_what_comes() {
        let task = task("a")
            .running()
            .with(&json!({"spec": {"retry": {"limit": 1}}}));
        let again = after(&task, &failed(End::AgentFailed), now()).unwrap();
        let said = "attempt 1 failed: why; the next one starts at 12:00:30 UTC";
        assert_eq!(again.message, said);
        assert!(!again.disrupted);
        assert_eq!(last_message(&task, "why"), "why");
        let third = task.with(&json!({"status": {"attempts": 3}}));
        assert_eq!(last_message(&third, "why"), "why (attempt 3)");
    }
}
