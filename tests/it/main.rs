//! Everything that is not beside the code: one binary.
#![expect(clippy::unwrap_used, reason = "a failed fixture is a failed test")]

mod api_server;
mod checkout;
mod cluster;
mod dev;
mod cli;
mod generated;
mod git_server;
mod plan_cli;
mod repo;
mod runner;
mod server;
mod supervise;
mod spawner;
mod sync;
mod tidy;
