//! Real Pods on a real node, with Axon installed as people install it: what `make e2e` runs.
//! Without a node every test says that it was left out.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failed fixture is a failed test, and one that is left out is told"
)]

mod audit;
mod canaries;
mod credentials;
#[path = "../it/git_server.rs"]
#[expect(dead_code, reason = "shared with tests/it, which uses all of it")]
mod git_server;
mod impersonation;
mod lost;
mod matrix;
#[path = "../it/prompts.rs"]
mod nasty;
mod node;
mod promise;
mod prompts;
mod pushed;
mod rights;
mod scarcity;
mod secrets;
#[path = "../it/ssh_server.rs"]
#[expect(dead_code, reason = "shared with tests/it, which uses all of it")]
mod ssh_server;
mod task;
mod tls;
mod trouble;
