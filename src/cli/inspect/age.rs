//! Times as people read them. Pure.

use jiff::SignedDuration;
use jiff::Timestamp;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// How long ago `then` was: `12s`, `5m`, `3h`, `9d`. What seems to lie ahead (another clock) is `0s`.
pub(in crate::cli) fn ago(then: Timestamp, now: Timestamp) -> String {
    span(now.duration_since(then))
}

/// A length of time, in the largest unit that has two or more of it.
pub(in crate::cli) fn span(length: SignedDuration) -> String {
    let seconds = length.as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / MINUTE),
        7_200..172_800 => format!("{}h", seconds / HOUR),
        _ => format!("{}d", seconds / DAY),
    }
}

/// The present, for commands.
#[expect(
    clippy::disallowed_methods,
    reason = "a command is the top that reads the clock"
)]
pub(in crate::cli) fn now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        let check = |seconds: i64, expected: &str| {
            assert_eq!(span(SignedDuration::from_secs(seconds)), expected);
        };
        check(-5, "0s");
        check(119, "119s");
        check(120, "2m");
        check(7_199, "119m");
        check(7_200, "2h");
        check(172_800, "2d");
        check(86_400 * 400, "400d");
    }
}
