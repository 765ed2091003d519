//! What was seen of a Task's surroundings: what is gathered, and what is decided by.

use std::sync::Arc;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;

use super::needs::Needs;

/// What was seen; which of it there is follows from the stage of the Task.
#[derive(Clone, Debug)]
pub(super) enum Sight {
    /// Nothing was looked at, or the Task is gone: nothing matters for now.
    Unneeded,
    /// It has finished. `left` is a Job of it that was never released; `needed` says that another
    /// Task depends on this one.
    Finished {
        left: Option<Arc<Job>>,
        needed: bool,
    },
    /// The next attempt has no Job. `holder` has the name that its Job is to have.
    Before {
        needs: Box<Needs>,
        holder: Option<Arc<Job>>,
    },
    /// The Job of the next attempt was made, and that is not known yet.
    Made { job: Arc<Job> },
    /// An attempt has begun.
    Begun {
        job: Option<Arc<Job>>,
        pod: Option<Arc<Pod>>,
        /// Why the Job has no Pod, as its Job controller said, or why the Pod does not start, as its kubelet did.
        refusal: Option<String>,
    },
}
