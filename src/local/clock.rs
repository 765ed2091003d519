//! The one place where the embedded cluster reads the clock.

use jiff::Timestamp;
use jiff::Unit;

/// The current time.
#[expect(
    clippy::disallowed_methods,
    reason = "the embedded cluster is a top floor: it hands `now` down"
)]
pub(super) fn now() -> Timestamp {
    Timestamp::now()
}

/// A time as Kubernetes writes it: whole seconds, UTC.
pub(super) fn text(at: Timestamp) -> String {
    let whole = at.round(Unit::Second).unwrap_or(at);
    whole.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
