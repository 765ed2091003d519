//! What is to be said about a Task: the result of looking at its Job and Pod.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::reason::End;
use super::reason::Waiting;

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
    Running,
    Ended(Ending),
}

/// How a Task ended and what it left.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ending {
    pub(super) reason: End,
    pub(super) message: String,
    pub(super) outputs: Vec<String>,
    pub(super) results: BTreeMap<String, String>,
    pub(super) exit_code: Option<i32>,
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
            exit_code: None,
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
