//! Whose a Job and a Pod are: pure.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use kube::ResourceExt;

use super::news::News;
use super::outcome;
use super::reason::End;
use super::stage::job_name;
use crate::api::Task;
use crate::api::labels;

/// Whose a Job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ownership {
    Ours,
    /// Of an earlier Task of the same name: it will go with that Task.
    Namesake,
    Foreign,
}

pub(super) fn of(job: &Job, task: &Task) -> Ownership {
    let owner = job
        .owner_references()
        .iter()
        .find(|it| it.controller == Some(true));
    match owner {
        Some(owner) if task.metadata.uid.as_ref() == Some(&owner.uid) => Ownership::Ours,
        Some(owner) if is_a_task(owner) && owner.name == task.name_any() => Ownership::Namesake,
        Some(_) | None => Ownership::Foreign,
    }
}

/// Whether a Job is the one that the Task says was made, and not one that a belated request made after
/// that was gone.
pub(super) fn is_as_made(job: &Job, task: &Task) -> bool {
    let made = task.status.as_ref().and_then(|it| it.job_uid.as_ref());
    made.is_none() || made == job.metadata.uid.as_ref()
}

/// The Task of a Job with these owners.
pub(super) fn task_of(owners: &[OwnerReference]) -> Option<&OwnerReference> {
    let controller = owners.iter().find(|it| it.controller == Some(true));
    controller.filter(|it| is_a_task(it))
}

/// Whether an owner is a Task of ours: other projects have a kind of that name too.
fn is_a_task(owner: &OwnerReference) -> bool {
    owner.kind == Task::kind(&()) && owner.api_version == Task::api_version(&())
}

/// Whether the Pod is of our Job; without the Job, whether it is the Pod we knew, or says itself
/// that it runs this attempt of this very Task.
pub(super) fn belongs(pod: &Pod, task: &Task, job: Option<&Job>) -> bool {
    let owner = pod
        .owner_references()
        .iter()
        .find(|it| it.controller == Some(true));
    if let Some(job) = job {
        return owner.is_some_and(|it| job.metadata.uid.as_ref() == Some(&it.uid));
    }
    let name = job_name(task);
    let of_attempt = owner.is_none_or(|it| it.name == name);
    let known = task.status.as_ref().and_then(|it| it.pod_name.as_ref());
    let says = pod.annotations().get(labels::TASK_UID);
    let ours = (known.is_some() && known == pod.metadata.name.as_ref())
        || (says.is_some() && says == task.metadata.uid.as_ref());
    of_attempt && ours
}

/// Whether the Job was made and never released.
pub(super) fn is_held_back(job: &Job) -> bool {
    let released = job.annotations().get(labels::RELEASED);
    outcome::is_suspended(job) && released.is_none_or(|it| it != labels::RELEASED_TRUE)
}

/// News that a foreign Job has the name. This Task has had its turn: what helps is another run, or
/// another Task, and what makes one depends on who made this one.
pub(super) fn name_taken(task: &Task, job: &Job) -> News {
    let way = if task.labels().contains_key(labels::SYNC) {
        "delete that Job and raise \"rerun\", or rename the Task where it is declared"
    } else if task.labels().contains_key(labels::TASK_SPAWNER) {
        "delete that Job, then let the work item stop matching for a while"
    } else {
        "delete that Job and create this Task anew, or create one of another name"
    };
    let message = format!("Job \"{}\" is not of this Task; {way}", job.name_any());
    News::ended(End::NameTaken, message)
}
