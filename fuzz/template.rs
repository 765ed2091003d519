//! No bytes upset the templates of prompts.
#![no_main]

#[path = "../tests/it/hostile/bytes.rs"]
mod bytes;

libfuzzer_sys::fuzz_target!(|input: &[u8]| bytes::render_any(input));
