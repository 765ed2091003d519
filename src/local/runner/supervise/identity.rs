//! Whom a container runs as.
//!
//! An ordinary user becomes the container's user in a user namespace and stays, for the machine, who they
//! are. Root becomes another user for good.

use std::ffi::OsStr;
use std::fs;

use nix::sched::CloneFlags;
use nix::sched::unshare;
use nix::unistd::Gid;
use nix::unistd::Uid;

/// User and group of every confined container.
pub(in crate::local::runner) const CONTAINER_USER: u32 = 61100;

/// Who the runner is, as far as it decides how a container is confined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// Nothing changes: the container is not confined.
    Same,
    /// An ordinary user.
    Mapped,
    Root,
}

impl Identity {
    /// Of a confined container that this process is to start.
    pub(super) fn own() -> Self {
        if Uid::effective().is_root() {
            Self::Root
        } else {
            Self::Mapped
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Mapped => "mapped",
            Self::Root => "root",
        }
    }

    pub(super) fn read(word: &OsStr) -> Option<Self> {
        [Self::Same, Self::Mapped, Self::Root]
            .into_iter()
            .find(|it| word == it.word())
    }

    /// Becomes the container's user, once nothing is left to do that takes more rights.
    pub(super) fn become_container_user(self) -> Result<(), String> {
        let done = match self {
            Self::Same => return Ok(()),
            Self::Mapped => return enter_user_namespace(CONTAINER_USER),
            Self::Root => {
                let (user, group) = (Uid::from_raw(CONTAINER_USER), Gid::from_raw(CONTAINER_USER));
                nix::unistd::setgroups(&[])
                    .and_then(|()| nix::unistd::setresgid(group, group, group))
                    .and_then(|()| nix::unistd::setresuid(user, user, user))
            }
        };
        done.map_err(|error| format!("cannot become user {CONTAINER_USER}: {error}"))
    }
}

/// Enters a new user namespace, where this process is `inside`.
pub(super) fn enter_user_namespace(inside: u32) -> Result<(), String> {
    let (user, group) = (Uid::effective(), Gid::effective());
    unshare(CloneFlags::CLONE_NEWUSER)
        .map_err(|error| format!("cannot make a user namespace: {error}"))?;
    let write = |file: &str, text: String| {
        fs::write(format!("/proc/self/{file}"), text)
            .map_err(|error| format!("cannot set up a user namespace ({file}): {error}"))
    };
    // A group may be mapped only by who can not change its other groups any more.
    write("setgroups", "deny".to_owned())?;
    write("uid_map", format!("{inside} {user} 1"))?;
    write("gid_map", format!("{inside} {group} 1"))
}
