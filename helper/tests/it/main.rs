//! Runs of the real helper around scripts.
#![expect(clippy::unwrap_used, reason = "a failed fixture is a failed test")]

mod fixture;
mod run;
mod secrets;
mod streams;
mod stress;
