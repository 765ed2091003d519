//! How long a Job waits before it tries again.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

/// After the first failure; it doubles with each.
const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_mins(10);

/// What is left of the pause after the last of `failures`.
pub(super) fn left(failures: i32, pods: &[Pod], now: Timestamp) -> Duration {
    let Some(last) = pods.iter().filter_map(failed_at).max() else {
        return Duration::ZERO;
    };
    let passed = Duration::try_from(now.duration_since(last)).unwrap_or_default();
    pause(failures).saturating_sub(passed)
}

fn pause(failures: i32) -> Duration {
    let Some(doublings) = failures
        .checked_sub(1)
        .and_then(|it| u32::try_from(it).ok())
    else {
        return Duration::ZERO;
    };
    let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
    FIRST.saturating_mul(factor).min(LONGEST)
}

/// When the last container of a failed Pod ended.
fn failed_at(pod: &Pod) -> Option<Timestamp> {
    let status = pod.status.as_ref()?;
    if status.phase.as_deref() != Some("Failed") {
        return None;
    }
    let containers = status.container_statuses.iter().flatten();
    let ends = containers.filter_map(|it| {
        let end = it.state.as_ref()?.terminated.as_ref()?;
        end.finished_at.as_ref().map(|it| it.0)
    });
    ends.max().or(status.start_time.as_ref().map(|it| it.0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(failures: i32, ended_ago: i64, expected: u64) {
        let now = Timestamp::from_second(100_000).unwrap();
        let ended = Timestamp::from_second(100_000 - ended_ago).unwrap();
        let pod = json!({"status": {"phase": "Failed", "startTime": ended}});
        let pod = serde_json::from_value(pod).unwrap();
        let found = left(failures, &[pod], now);
        assert_eq!(found, Duration::from_secs(expected));
    }

    #[test]
    fn the_pause_doubles_up_to_ten_minutes() {
        check(0, 0, 0);
        check(1, 0, 10);
        check(1, 4, 6);
        check(1, 60, 0);
        check(3, 0, 40);
        check(100, 0, 600);
    }

    #[test]
    fn without_a_failure_there_is_none() {
        assert!(left(3, &[], Timestamp::UNIX_EPOCH).is_zero());
    }
}
