//! The step between supervisor and container: makes a user and a PID namespace, starts the first process
//! in them, tells its number and ends. That process is then the supervisor's own child.
//!
//! It is a process of its own because who enters a PID namespace cannot have threads any more.

use std::io;
use std::process::Command;

use nix::sched::CloneFlags;
use nix::sched::unshare;

use super::INIT;
use super::OWN_EXECUTABLE;
use super::SUBCOMMAND;
use super::Step;
use super::identity;
use super::identity::Identity;
use super::tell;

/// Gives the exit code of the process.
pub(super) fn main() -> u8 {
    let step = match enter() {
        Ok(pid) => Step::Entered { pid },
        Err(reason) => Step::Refused { reason },
    };
    u8::from(tell(&mut io::stdout(), &step).is_err())
}

fn enter() -> Result<i32, String> {
    let identity = Identity::own();
    match identity {
        // Root in a namespace of its own, for the mounts; the container gets another user.
        Identity::Mapped => identity::enter_user_namespace(0)?,
        Identity::Root | Identity::Same => {}
    }
    unshare(CloneFlags::CLONE_NEWPID)
        .map_err(|error| format!("cannot make a PID namespace: {error}"))?;
    let child = Command::new(OWN_EXECUTABLE)
        .args([SUBCOMMAND, INIT, identity.word()])
        .env_clear()
        .spawn()
        .map_err(|error| format!("cannot start a first process: {error}"))?;
    i32::try_from(child.id()).map_err(|error| error.to_string())
}
