//! What runs around an agent inside its container: no network, no async runtime.

pub mod report;
