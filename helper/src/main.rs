//! Starts the helper.
//!
//! Any agent image must be able to run it, so it is built without a C library of its own:
//! `RUSTFLAGS="-C target-feature=+crt-static" cargo build -p axon-helper --profile ci --target x86_64-unknown-linux-gnu`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let code = axon_helper::main(std::env::args_os().skip(1));
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}
