//! The agents' images: what their Dockerfiles and entrypoints promise, without a container engine.

mod dockerfile;
mod entrypoint;
mod pins;

use std::path::PathBuf;

/// The agents whose images we publish, and their programs.
const AGENTS: [(&str, &str); 4] = [
    ("claude-code", "claude"),
    ("codex", "codex"),
    ("gemini", "gemini"),
    ("opencode", "opencode"),
];
/// An example for people who build their own.
const EXAMPLE: &str = "custom";

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy/images")
}
