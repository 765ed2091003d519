//! `axon schema`.

use crate::api;
use crate::cli::exit::Exit;
use crate::cli::ui;

pub fn run() -> Exit {
    ui::out(format_args!("{:#}\n", api::config_schema()));
    Exit::Ok
}
