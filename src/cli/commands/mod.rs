//! One file per command: options, the call into the library, the printing.

pub mod apply;
pub mod approve;
pub mod cancel;
pub mod controller;
pub mod create;
pub mod delete;
pub mod dev;
pub mod diff;
pub mod explain;
pub mod get;
pub mod history;
pub mod logs;
mod named;
pub mod plan;
pub mod render;
pub mod rerun;
pub mod run;
pub mod schema;
pub mod status;
pub mod suspend;
pub mod sync;
pub mod trace;
pub mod tree;
pub mod validate;
pub mod version;

use std::future::Future;

use crate::cli::args::Command;
use crate::cli::args::Global;
use crate::cli::commands::suspend::To;
use crate::cli::exit::Exit;
use crate::cli::ui::Failure;

/// Runs one command.
pub fn run(global: &Global, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Controller(options) => block_on(controller::run(global, options)),
        Command::Dev(options) => block_on(dev::run(global, options)),
        Command::Plan(options) => block_on(plan::run(global, &options)),
        Command::Diff(options) => block_on(diff::run(global, &options)),
        Command::Apply(options) => block_on(apply::run(global, &options)),
        Command::Run(options) => block_on(run::run(global, &options)),
        Command::Get(options) => block_on(get::run(global, &options)),
        Command::Delete(options) => block_on(delete::run(global, &options)),
        Command::Cancel(options) => block_on(cancel::run(global, &options)),
        Command::Rerun(options) => block_on(rerun::run(global, &options)),
        Command::Create(options) => block_on(create::run(global, &options)),
        Command::Sync(options) => block_on(sync::run(global, &options)),
        Command::Approve(options) => block_on(approve::run(global, &options)),
        Command::Suspend(options) => block_on(suspend::run(global, &options, To::Suspend)),
        Command::Resume(options) => block_on(suspend::run(global, &options, To::Resume)),
        Command::Status(options) => block_on(status::run(global, &options)),
        Command::Tree(options) => block_on(tree::run(global, &options)),
        Command::Logs(options) => block_on(logs::run(global, &options)),
        Command::History(options) => block_on(history::run(global, &options)),
        Command::Trace(options) => block_on(trace::run(global, &options)),
        Command::Validate(options) => block_on(validate::run(&options)),
        Command::Render(options) => block_on(render::run(global, &options)),
        Command::Explain(options) => explain::run(&options),
        Command::Schema => Ok(schema::run()),
        Command::Version(options) => Ok(version::run(&options)),
    }
}

/// Runs a command that waits for things. Commands that do not stay free of the runtime's start.
pub fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new("cannot start worker threads", &error))?
        .block_on(work)
}
