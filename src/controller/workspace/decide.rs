//! Whether to look at a repository or its token, and when to come back: pure.

use std::time::Duration;

use jiff::Timestamp;

use super::memory::Memory;
use super::memory::Token;
use super::reason::Reason;
use super::status;
use super::uses::Use;
use crate::api::Workspace;

/// First and longest pause before looking again at what is wrong.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(10));

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Ask the repository, by a token that is fresh.
    Check,
    /// Only see to the token.
    Token,
    Rest,
}

/// What is to be done about `workspace`.
pub(super) fn step(workspace: &Workspace, memory: &Memory, used: Use, now: Timestamp) -> Step {
    let current = status::ready(workspace)
        .filter(|ready| ready.observed_generation == workspace.metadata.generation);
    let Some(ready) = current else {
        // Never looked at, or edited since.
        return wait_or(Step::Check, memory, now);
    };
    if used.last_start > memory.answered {
        return Step::Check;
    }
    // What is known to be wrong is looked at again, whatever the status says: that may not have been
    // written.
    if memory.retry.is_some() || (memory.failures > 0 && ready.status == "True") {
        return wait_or(Step::Check, memory, now);
    }
    if ready.status != "True" {
        let stays = [Reason::InvalidURL, Reason::InvalidRef].map(Reason::as_str);
        return if stays.contains(&ready.reason.as_str()) {
            Step::Rest
        } else {
            wait_or(Step::Check, memory, now)
        };
    }
    match memory.token {
        Token::Unknown if used.tasks > 0 => Step::Token,
        Token::Until(then) if used.tasks > 0 && then <= now => Step::Token,
        Token::Unknown | Token::None | Token::Until(_) => Step::Rest,
    }
}

fn wait_or(step: Step, memory: &Memory, now: Timestamp) -> Step {
    match memory.retry {
        Some(then) if now < then => Step::Rest,
        Some(_) | None => step,
    }
}

/// How long after a failure to look again, having failed so often in a row.
pub(super) fn pause(failures: u32) -> Duration {
    let (first, longest) = BACKOFF;
    let times = failures.saturating_sub(1).min(16);
    first.saturating_mul(1 << times).min(longest)
}

/// When to come back though nobody calls.
pub(super) fn rest(memory: &Memory, used: Use, now: Timestamp) -> Option<Duration> {
    let refresh = match memory.token {
        Token::Until(then) if used.tasks > 0 => Some(then),
        Token::Until(_) | Token::Unknown | Token::None => None,
    };
    let next = [memory.retry, refresh].into_iter().flatten().min()?;
    let left = Duration::try_from(next.duration_since(now)).unwrap_or_default();
    // Never nothing: a look must not come a moment too early.
    Some(left.max(Duration::from_millis(100)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn after(seconds: u64) -> Timestamp {
        NOW + Duration::from_secs(seconds)
    }

    /// A Workspace of generation 2 whose condition says this of that generation.
    fn workspace(ready: Option<(i64, &str, &str)>) -> Workspace {
        let conditions: Vec<_> = ready
            .into_iter()
            .map(|(generation, status, reason)| {
                json!({
                    "type": "Ready", "status": status, "reason": reason, "message": "",
                    "observedGeneration": generation,
                    "lastTransitionTime": "2026-01-01T00:00:00Z",
                })
            })
            .collect();
        serde_json::from_value(json!({
            "apiVersion": "axon.io/v1alpha1",
            "kind": "Workspace",
            "metadata": {"name": "web", "uid": "u", "generation": 2},
            "spec": {"repo": "https://h/a"},
            "status": {"conditions": conditions},
        }))
        .unwrap()
    }

    fn check(
        ready: Option<(i64, &str, &str)>,
        used: (usize, u64),
        change: impl Fn(&mut Memory),
        expected: Step,
    ) {
        let workspace = workspace(ready);
        let mut memory = Memory::new(&workspace);
        change(&mut memory);
        let used = Use {
            tasks: used.0,
            last_start: used.1,
        };
        assert_eq!(
            step(&workspace, &memory, used, NOW),
            expected,
            "{ready:?} {used:?}"
        );
    }

    #[test]
    fn it_looks_after_an_edit_and_on_use() {
        let same = |_: &mut Memory| {};
        check(None, (0, 0), same, Step::Check);
        check(Some((1, "True", "Reachable")), (0, 0), same, Step::Check);
        check(Some((2, "True", "Reachable")), (0, 0), same, Step::Rest);
        check(Some((2, "True", "Reachable")), (1, 7), same, Step::Check);
        check(
            Some((2, "True", "Reachable")),
            (1, 7),
            |it| {
                it.answered = 7;
                it.token = Token::None;
            },
            Step::Rest,
        );
    }

    #[test]
    fn what_is_wrong_is_looked_at_again_after_a_pause() {
        let wrong = Some((2, "False", "Unreachable"));
        check(wrong, (0, 0), |_| {}, Step::Check);
        check(wrong, (0, 0), |it| it.retry = Some(after(1)), Step::Rest);
        check(wrong, (0, 0), |it| it.retry = Some(NOW), Step::Check);
        check(wrong, (1, 1), |it| it.retry = Some(after(1)), Step::Check);
        check(Some((2, "False", "InvalidURL")), (0, 0), |_| {}, Step::Rest);
        check(None, (0, 0), |it| it.retry = Some(after(1)), Step::Rest);
        // The status of a failed look could not be written.
        let failed = |retry| {
            move |it: &mut Memory| {
                (it.failures, it.token, it.retry) = (1, Token::None, retry);
            }
        };
        let good = Some((2, "True", "Reachable"));
        check(good, (0, 0), failed(Some(after(1))), Step::Rest);
        check(good, (0, 0), failed(Some(NOW)), Step::Check);
        check(good, (0, 0), failed(None), Step::Check);
        let invalid = Some((2, "False", "InvalidURL"));
        check(invalid, (0, 0), failed(Some(NOW)), Step::Check);
        check(invalid, (0, 0), failed(None), Step::Rest);
        let pauses = [1, 2, 3, 100].map(|failures| pause(failures).as_secs());
        assert_eq!(pauses, [5, 10, 20, 600]);
    }

    #[test]
    fn a_token_is_kept_fresh_while_it_is_used() {
        let good = Some((2, "True", "Reachable"));
        check(good, (1, 0), |_| {}, Step::Token);
        let until = |then| move |it: &mut Memory| it.token = Token::Until(then);
        check(good, (1, 0), until(NOW), Step::Token);
        check(good, (1, 0), until(after(1)), Step::Rest);
        check(good, (0, 0), until(NOW), Step::Rest);
        let mut memory = Memory::new(&workspace(good));
        memory.token = Token::Until(after(60));
        let rest = |tasks| {
            let used = Use {
                tasks,
                last_start: 0,
            };
            rest(&memory, used, NOW)
        };
        assert_eq!((rest(1), rest(0)), (Some(Duration::from_mins(1)), None));
    }
}
