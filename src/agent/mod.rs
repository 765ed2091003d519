//! The agent's side: the workspace checkout that runs in the Pod before the agent.
//!
//! Knows no cluster: what it needs comes as words and environment, what it has to say goes into the
//! container's termination message.

pub mod checkout;
mod clone;
mod credentials;
mod fetch;
mod git_config;
mod options;
mod submodules;
mod worktree;

use std::ffi::OsString;
use std::path::Path;

/// Runs what the program was called for in a Pod, if it was: the helper by its name, the checkout by
/// the words `agent checkout`. Gives the exit code.
pub fn main(words: &[OsString]) -> Option<i32> {
    let (program, rest) = words.split_first()?;
    if Path::new(program)
        .file_name()
        .is_some_and(|name| name == axon_helper::NAME)
    {
        return Some(axon_helper::main(rest.iter().cloned()));
    }
    match rest {
        [agent, checkout, rest @ ..] if agent == "agent" && checkout == "checkout" => {
            Some(checkout::main(rest))
        }
        _ => None,
    }
}
