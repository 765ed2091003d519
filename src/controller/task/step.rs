//! The next step of a Task: what is decided, and what is carried out.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;

use super::needs::Checkout;
use super::news::JobId;
use super::news::News;
use super::stop::Stop;

/// What is to be done next.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Nothing, until something changes.
    Rest,
    /// Nothing, until then.
    Return(Duration),
    /// The time to live has passed.
    Delete,
    /// Write what is known; look again after a while, if nothing is watched that would tell.
    Report { news: News, again: Option<Duration> },
    /// Take the branch if need be, claim the run and the Job's name, as far as they are not claimed,
    /// and create the Job.
    Start {
        start: Start,
        branch: Option<Box<Lease>>,
    },
    /// Write that the Job was made, then release it.
    Adopt { attempt: i32, job: JobId },
    /// Let the Job make its Pod.
    Release { job: JobId },
    /// End what runs, or keep it from running.
    Stop(Stop),
}

/// What a Job is built from, besides the Task.
#[derive(Clone, Debug)]
pub(super) struct Start {
    pub(super) image: String,
    pub(super) checkout: Option<Checkout>,
    /// The prompt as the agent gets it.
    pub(super) prompt: String,
    /// What the Tasks before this one left, as JSON; at most 64 KiB.
    pub(super) dependencies: Option<String>,
    /// Which run of the Task this is: 1, 2, and so on.
    pub(super) attempt: i32,
}
