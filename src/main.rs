//! Parse, run, exit code; nothing else.

use std::ffi::OsString;
use std::process::ExitCode;

use axon::local::runner::supervise;
use tikv_jemallocator::Jemalloc;

/// The C library's allocator keeps twice what the controllers' caches hold (`make bench`).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    if words.get(1).is_some_and(|it| it == supervise::SUBCOMMAND) {
        return ExitCode::from(supervise::main(words.into_iter().skip(2)));
    }
    match axon::agent::main(&words) {
        Some(code) => ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)),
        None => axon::cli::main(words),
    }
}
