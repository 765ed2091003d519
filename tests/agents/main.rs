//! The real programs of the agents, each through a Task, with a model that plays a script: what
//! `make e2e-agents` runs. Without the programs every test says that it was left out; so do those in Pods without a node.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failed fixture is a failed test, and one that is left out is told"
)]

mod agent;
#[path = "../e2e/audit.rs"]
#[expect(dead_code, reason = "shared with tests/e2e")]
mod audit;
mod ending;
#[path = "../it/git_server.rs"]
#[expect(dead_code, reason = "shared with tests/it, which uses all of it")]
mod git_server;
mod local;
mod machine;
mod model;
#[path = "../e2e/node.rs"]
#[expect(dead_code, reason = "shared with tests/e2e")]
mod node;
mod pods;
#[path = "../e2e/rights.rs"]
#[expect(dead_code, reason = "shared with tests/e2e")]
mod rights;
mod story;
