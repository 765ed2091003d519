//! No bytes upset the loader.
#![no_main]

#[path = "../tests/it/hostile/bytes.rs"]
mod bytes;

libfuzzer_sys::fuzz_target!(|input: &[u8]| bytes::load_any(input));
