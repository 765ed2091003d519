//! What is to be said about a Task: the result of looking at its Job and Pod.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;

use super::reason::End;
use super::reason::Waiting;
use crate::api::task::Usage;

/// What is to be said about a Task that has not finished.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct News {
    /// Its Pod, if there is one.
    pub(super) pod: Option<String>,
    /// When the agent's container started, if it has.
    pub(super) started: Option<Time>,
    pub(super) what: What,
}

/// How far the Task is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum What {
    Waiting(Waiting, String),
    /// The Job of this attempt was made; it is released after this is written.
    Made {
        attempt: i32,
        job: JobId,
    },
    Running,
    /// The attempt has ended, and another will follow once its Pod has ended too.
    Outlived {
        message: String,
        /// Whether the attempt was lost by no fault of its own: then the Pod may say more.
        disrupted: bool,
    },
    /// The attempt has ended, and another will follow.
    Again(Again),
    Ended(Ending),
}

/// A Job, and no later one of its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct JobId {
    pub(super) name: String,
    pub(super) uid: String,
}

impl JobId {
    pub(super) fn of(job: &Job) -> Self {
        Self {
            name: job.name_any(),
            uid: job.uid().unwrap_or_default(),
        }
    }
}

/// The attempt that follows one that has ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Again {
    /// Not before then.
    pub(super) at: Timestamp,
    /// How the last one ended, and when the next one starts.
    pub(super) message: String,
    /// Whether the last one was lost by no fault of its own.
    pub(super) disrupted: bool,
    /// What the last one used.
    pub(super) usage: Option<Usage>,
}

/// How an attempt ended and what it left.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ending {
    pub(super) reason: End,
    pub(super) message: String,
    pub(super) outputs: Vec<String>,
    pub(super) results: BTreeMap<String, String>,
    pub(super) usage: Option<Usage>,
    pub(super) exit_code: Option<i32>,
    /// Whether the agent began, or may have.
    pub(super) begun: bool,
    /// Whether nothing of the Pod runs any more.
    pub(super) settled: bool,
    /// When the container ended, where one did.
    pub(super) finished: Option<Time>,
}

impl Ending {
    /// An end that left nothing.
    pub(super) fn bare(reason: End, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            outputs: Vec::new(),
            results: BTreeMap::new(),
            usage: None,
            exit_code: None,
            begun: false,
            settled: true,
            finished: None,
        }
    }
}

impl News {
    pub(super) fn waiting(reason: Waiting, message: impl Into<String>) -> Self {
        What::Waiting(reason, message.into()).into()
    }

    pub(super) fn ended(reason: End, message: impl Into<String>) -> Self {
        What::Ended(Ending::bare(reason, message)).into()
    }
}

impl From<What> for News {
    /// News that no Pod told.
    fn from(what: What) -> Self {
        Self {
            pod: None,
            started: None,
            what,
        }
    }
}
