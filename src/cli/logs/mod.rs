//! The log of a Task's agent: found, followed to its end across cuts, and told as people read it.

mod follow;
mod pod;
mod position;
mod transcript;
mod voice;
mod watch;

pub(in crate::cli) use follow::Follower;
pub(in crate::cli) use follow::Told;
pub(in crate::cli) use transcript::brief;
pub(in crate::cli) use voice::Voice;
pub(in crate::cli) use voice::Waiting;
pub(in crate::cli) use watch::Watched;
