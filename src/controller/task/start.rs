//! The start of a run. The order of the writes is what keeps a run from happening twice:
//! the record of the run, then the Job's name in the Task's status, then the Job of that name, held
//! back (suspended); then that the Job was made, in the Task's status; then the Job is released.
//! Each write is refused by the API server if somebody else was first, and each may be done again.
//!
//! A Job that is missing before the Task says that it was made has not run: it is made anew. One that
//! is missing after that is lost, for it may have run.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::Client;
use kube::ResourceExt;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::api::PostParams;
use kube::core::Status;
use serde_json::json;

use super::news::JobId;
use super::news::News;
use super::ownership;
use super::ownership::Ownership;
use super::reason::End;
use super::reason::Waiting;
use super::record;
use super::record::Claim;
use super::stage;
use super::status;
use crate::api::Task;
use crate::api::labels;
use crate::controller::FIELD_MANAGER;
use crate::model::sensitive;
use crate::model::sensitive::Known;

/// Answer of the API server to an object that it cannot read, such as one with a malformed quantity.
const BAD_REQUEST: u16 = 400;
/// Begins the words of a webhook that denies: with 400, unless it names a code.
const WEBHOOK: &str = "admission webhook ";
/// In the words of an admission plugin that denies: a `ValidatingAdmissionPolicy` does so with 422, unless it
/// names a reason.
const DENIED: &str = " is forbidden: ";
/// Answer to what a rule, a quota or a policy forbids: that may change.
const FORBIDDEN: u16 = 403;
/// Answer to an object that is not valid, and to a patch of what is not as the patch expects.
const UNPROCESSABLE: u16 = 422;

/// What came of a start.
#[derive(Clone, Debug)]
pub(super) enum Started {
    /// The Job is there, held back: that is to be written, and then it is to be released. `task` is
    /// the Task as it is now.
    Made { task: Box<Task>, job: JobId },
    /// The Task is not as it was when the start was decided: look again.
    Outdated,
    /// It cannot start; this is why. `task` is the Task as it is now.
    No { task: Box<Task>, news: News },
}

/// What came of a release.
#[derive(Clone, Debug)]
pub(super) enum Released {
    Yes,
    /// Somebody was first, or the Job is gone: the next look tells.
    Outdated,
    /// It is not allowed; this is why.
    Refused(Box<News>),
}

/// Whether a run may be made.
#[derive(Clone, Debug)]
pub(super) enum Claimed {
    /// It is this Task's, as it is now, and so is the name of the Job.
    Ours {
        task: Box<Task>,
        job: String,
    },
    Not(Box<Started>),
}

/// Claims a run of `task`, from wherever an earlier start was broken off. `branch` is the Lease to
/// take first.
pub(super) async fn claim(
    client: &Client,
    task: &Task,
    branch: Option<&Lease>,
    now: Timestamp,
) -> Result<Claimed, kube::Error> {
    let namespace = task.namespace().unwrap_or_default();
    let tasks: Api<Task> = Api::namespaced(client.clone(), &namespace);
    // What the cache shows may be long gone; a finished Task must not begin anew.
    let Some(mut task) = tasks
        .get_opt(&task.name_any())
        .await?
        .filter(|it| same(it, task))
    else {
        return Ok(Claimed::Not(Box::new(Started::Outdated)));
    };
    if let Some(lease) = branch {
        let leases: Api<Lease> = Api::namespaced(client.clone(), &namespace);
        if !take(&leases, lease).await? {
            return Ok(Claimed::Not(Box::new(Started::Outdated)));
        }
    }
    let records: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    if let Claim::Taken {
        record,
        task: other,
    } = record::claim(&records, &task).await?
    {
        let message = format!(
            "this run was Task \"{other}\"'s (record \"{record}\"); raise \"rerun\" to run again"
        );
        let news = News::ended(End::AlreadyRan, message);
        return Ok(Claimed::Not(Box::new(no(task, news))));
    }
    let name = stage::job_name(&task);
    let locked = status::locked(&task, &name, now);
    if let Some(written) = status::write(&tasks, &task, &locked).await? {
        task = written;
    }
    Ok(Claimed::Ours {
        task: Box::new(task),
        job: name,
    })
}

/// Creates the Job, held back.
pub(super) async fn create(client: &Client, task: Task, job: Job) -> Result<Started, kube::Error> {
    let name = &job.name_any();
    let jobs: Api<Job> = Api::namespaced(client.clone(), &task.namespace().unwrap_or_default());
    let parameters = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    let job = held_back(job);
    match jobs.create(&parameters, &job).await {
        Ok(made) => Ok(Started::Made {
            task: Box::new(task),
            job: JobId::of(&made),
        }),
        Err(kube::Error::Api(refusal)) if refusal.is_already_exists() => {
            taken(&jobs, task, name).await
        }
        Err(kube::Error::Api(refusal)) => {
            let message = refused(name, &job, &refusal.message);
            match refusal.code {
                _ if may_pass(&refusal) => {
                    Ok(no(task, News::waiting(Waiting::JobRefused, message)))
                }
                BAD_REQUEST | UNPROCESSABLE => Ok(no(task, News::ended(End::InvalidSpec, message))),
                _ => Err(kube::Error::Api(refusal)),
            }
        }
        Err(error) => Err(error),
    }
}

/// The API server's words about a Job, which may repeat what stands in it.
fn refused(name: &str, job: &Job, words: &str) -> String {
    let job = serde_json::to_value(job).unwrap_or_default();
    let words = sensitive::line(words, &Known::of(&job));
    format!("the API server refuses Job \"{name}\": {words}")
}

/// Whether a refusal is a rule's, a quota's, a policy's or a webhook's, which may change, and not the Job's own
/// fault.
fn may_pass(refusal: &Status) -> bool {
    let Status { code, message, .. } = refusal;
    match *code {
        FORBIDDEN => true,
        BAD_REQUEST | UNPROCESSABLE => message.starts_with(WEBHOOK) || message.contains(DENIED),
        _ => false,
    }
}

/// Lets a Job make its Pod, once: whoever holds it back after that is not undone.
pub(super) async fn release(jobs: &Api<Job>, job: &JobId) -> Result<Released, kube::Error> {
    let mark = format!(
        "/metadata/annotations/{}",
        labels::RELEASED.replace('/', "~1")
    );
    let patch = json!([
        {"op": "test", "path": "/metadata/uid", "value": job.uid},
        {"op": "test", "path": "/spec/suspend", "value": true},
        {"op": "test", "path": mark, "value": labels::RELEASED_FALSE},
        {"op": "replace", "path": mark, "value": labels::RELEASED_TRUE},
        {"op": "replace", "path": "/spec/suspend", "value": false},
    ]);
    let patch = serde_json::from_value(patch).expect("the operations above are a patch");
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    match jobs
        .patch(&job.name, &parameters, &Patch::Json::<()>(patch))
        .await
    {
        Ok(_) => Ok(Released::Yes),
        Err(kube::Error::Api(refusal)) if may_pass(&refusal) => Ok(not_released(job, &refusal)),
        Err(kube::Error::Api(refusal)) if refusal.is_not_found() => Ok(Released::Outdated),
        // So it is answered where a test of the patch fails, and where the Job cannot be as the patch asks.
        Err(kube::Error::Api(refusal)) if refusal.code == UNPROCESSABLE => {
            let live = jobs.get_opt(&job.name).await?;
            let as_tested = |it: &Job| JobId::of(it) == *job && ownership::is_held_back(it);
            Ok(if live.as_ref().is_some_and(as_tested) {
                not_released(job, &refusal)
            } else {
                Released::Outdated
            })
        }
        Err(error) => Err(error),
    }
}

fn not_released(job: &JobId, refusal: &Status) -> Released {
    let words = sensitive::line(&refusal.message, &Known::default());
    let message = format!(
        "the API server does not let Job \"{}\" start: {words}",
        job.name
    );
    Released::Refused(Box::new(News::waiting(Waiting::JobRefused, message)))
}

/// Takes the branch. False if somebody else was first.
async fn take(leases: &Api<Lease>, lease: &Lease) -> Result<bool, kube::Error> {
    let parameters = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    let taken = if lease.metadata.resource_version.is_some() {
        leases.replace(&lease.name_any(), &parameters, lease).await
    } else {
        leases.create(&parameters, lease).await
    };
    match taken {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(refusal))
            if refusal.is_conflict() || refusal.is_already_exists() || refusal.is_not_found() =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

fn held_back(mut job: Job) -> Job {
    let annotations = job.metadata.annotations.get_or_insert_with(BTreeMap::new);
    let mark = (
        labels::RELEASED.to_owned(),
        labels::RELEASED_FALSE.to_owned(),
    );
    annotations.extend([mark]);
    if let Some(spec) = &mut job.spec {
        spec.suspend = Some(true);
    }
    job
}

/// There is a Job of this name: whose is it?
async fn taken(jobs: &Api<Job>, task: Task, name: &str) -> Result<Started, kube::Error> {
    let Some(job) = jobs.get_opt(name).await? else {
        return Ok(Started::Outdated);
    };
    match ownership::of(&job, &task) {
        Ownership::Ours => Ok(Started::Made {
            task: Box::new(task),
            job: JobId::of(&job),
        }),
        Ownership::Namesake => Ok(Started::Outdated),
        Ownership::Foreign => {
            let news = ownership::name_taken(&task, &job);
            Ok(no(task, news))
        }
    }
}

fn no(task: Task, news: News) -> Started {
    Started::No {
        task: Box::new(task),
        news,
    }
}

fn same(live: &Task, seen: &Task) -> bool {
    live.metadata.uid == seen.metadata.uid
        && live.metadata.resource_version == seen.metadata.resource_version
}
