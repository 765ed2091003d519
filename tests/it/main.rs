//! Everything that is not beside the code: one binary.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failed fixture is a failed test, and a skipped one is told"
)]

mod api_server;
mod bad_input;
mod checkout;
mod cli;
mod cluster;
mod confined;
mod costs;
mod counts;
mod crash;
mod dev;
mod differential;
mod exact_prompts;
mod generated;
mod generated_types;
mod git_server;
mod hooks;
mod hostile;
mod identity;
mod images;
mod informer;
mod inspect;
mod kubectl;
mod kubectl_parity;
mod load_laws;
mod network_policy;
mod people;
mod plan_cli;
mod plan_program;
mod pod_overrides;
mod prompts;
mod repo;
mod repo_sync;
mod runner;
mod schema_agrees;
mod server;
mod spawner;
mod ssh_server;
mod store_crash;
mod supervise;
mod sync;
mod taken_back;
mod task;
mod tidy;
mod validate;
mod workspace;
