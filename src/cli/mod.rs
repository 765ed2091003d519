//! The command line: one file per command; all printing is here.

mod apply_progress;
mod apply_text;
pub mod args;
pub mod commands;
pub mod connect;
pub mod diagnostics;
pub mod exit;
mod inspect;
mod jsonpath;
mod live;
mod logs;
mod output;
mod plan_file;
mod plan_hint;
mod plan_json;
mod plan_markdown;
mod plan_saved;
mod plan_text;
mod screen;
pub mod source;
mod table;
mod text_diff;
pub mod ui;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::args::Args;
use crate::cli::exit::Exit;

/// Runs the command line and says how the process is to exit.
pub fn main(command_line: Vec<OsString>) -> ExitCode {
    // A second call finds a provider in place, which is all that is wanted.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    match Args::try_parse_from(command_line) {
        Ok(args) => run(args).into(),
        Err(usage) => {
            let asked_for = !usage.use_stderr();
            // Nothing is left to tell when the terminal itself is gone.
            usage.print().ok();
            if asked_for { Exit::Ok } else { Exit::Usage }.into()
        }
    }
}

fn run(args: Args) -> Exit {
    ui::set_color(args.global.color);
    ui::log(args.global.verbose);
    commands::run(&args.global, args.command).unwrap_or_else(|failure| {
        ui::error(&failure);
        failure.exit
    })
}
