//! The one place where the embedded cluster reads the clock.

use jiff::Timestamp;

/// The current time.
#[expect(
    clippy::disallowed_methods,
    reason = "the embedded cluster is a top floor: it hands `now` down"
)]
pub(super) fn now() -> Timestamp {
    Timestamp::now()
}

/// A time as Kubernetes writes it: the seconds that have passed, UTC. Never a time that is yet to come.
pub(super) fn text(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_never_one_to_come() {
        let at: Timestamp = "2026-03-01T11:59:59.999999Z".parse().unwrap();
        assert_eq!(text(at), "2026-03-01T11:59:59Z");
    }
}
