//! Starts the helper.

use std::process::ExitCode;

fn main() -> ExitCode {
    let code = axon_helper::main(std::env::args_os().skip(1));
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}
