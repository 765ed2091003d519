//! `axon version`.

use clap::Args;
use clap::ValueEnum;
use serde_json::json;

use crate::api;
use crate::cli::exit::Exit;
use crate::cli::ui;

/// Print the version.
#[derive(Debug, Args)]
pub struct Options {
    /// Output format
    #[arg(short, long, value_name = "FORMAT")]
    output: Option<Format>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Json,
}

pub fn run(options: &Options) -> Exit {
    let version = env!("CARGO_PKG_VERSION");
    match options.output {
        None => ui::out(format_args!("axon {version}\n")),
        Some(Format::Json) => {
            ui::out(format_args!(
                "{}\n",
                json!({"version": version, "apiVersion": api::API_VERSION})
            ));
        }
    }
    Exit::Ok
}
