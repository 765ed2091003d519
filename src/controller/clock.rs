//! The controllers' clock: the one place in them that asks what time it is.

use jiff::Timestamp;

/// The time that a reconciliation works with; all that it calls takes it as an argument.
#[expect(
    clippy::disallowed_methods,
    reason = "the loop of a controller is the top that reads the clock"
)]
pub(super) fn now() -> Timestamp {
    Timestamp::now()
}
