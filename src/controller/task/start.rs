//! The start of a run. The order of the writes is what keeps a run from happening twice:
//! the record of the run, then the Job's name in the Task's status, then the Job of that name, then
//! that the Job was made. Each write is refused by the API server if somebody else was first, and
//! each may be done again.
//!
//! One gap remains. If the last of these writes does not happen (a crash, an outage) and, before a
//! controller is back, somebody deletes the Job and its Pod goes with it, then nothing is left that
//! tells that there was a Job, and it is made anew. A Pod that is left tells (`gather` looks).

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::Client;
use kube::ResourceExt;
use kube::api::PostParams;

use super::build;
use super::decide;
use super::decide::Ownership;
use super::decide::Start;
use super::news::News;
use super::outcome;
use super::reason::End;
use super::reason::Waiting;
use super::record;
use super::record::Claim;
use super::status;
use crate::api::Task;
use crate::controller::FIELD_MANAGER;
use crate::controller::Images;

/// What came of a start.
#[derive(Clone, Debug)]
pub(super) enum Started {
    /// The Job is there, and `news` is to say so at once: from then on a missing Job is a lost one.
    /// `task` is the Task as it is now.
    Yes {
        task: Box<Task>,
        news: News,
        /// Variables of `podOverrides.env` that lost against built-in ones.
        overridden: Vec<String>,
    },
    /// The Task is not as it was when the start was decided: look again.
    Outdated,
    /// It cannot start; this is why. `task` is the Task as it is now.
    No { task: Box<Task>, news: News },
}

/// Starts `task`, from wherever an earlier start was broken off.
pub(super) async fn start(
    client: &Client,
    task: &Task,
    start: &Start,
    images: &Images,
    now: Timestamp,
) -> Result<Started, kube::Error> {
    let namespace = task.namespace().unwrap_or_default();
    let tasks: Api<Task> = Api::namespaced(client.clone(), &namespace);
    // What the cache shows may be long gone; a finished Task must not begin anew.
    let Some(mut task) = tasks
        .get_opt(&task.name_any())
        .await?
        .filter(|it| same(it, task))
    else {
        return Ok(Started::Outdated);
    };
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
        return Ok(no(task, news));
    }
    let name = decide::job_name(&task);
    let locked = status::locked(&task, &name, now);
    if let Some(written) = status::write(&tasks, &task, &locked).await? {
        task = written;
    }
    let built = build::build(&task, &name, start, images);
    let jobs: Api<Job> = Api::namespaced(client.clone(), &namespace);
    let parameters = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    match jobs.create(&parameters, &built.job).await {
        Ok(_) => Ok(Started::Yes {
            task: Box::new(task),
            news: outcome::no_pod_yet(&name),
            overridden: built.overridden,
        }),
        Err(kube::Error::Api(refusal)) if refusal.is_already_exists() => {
            taken(&jobs, task, &name).await
        }
        Err(kube::Error::Api(refusal)) if refusal.is_invalid() => {
            let message = format!("the API server refuses Job \"{name}\": {}", refusal.message);
            Ok(no(task, News::ended(End::InvalidSpec, message)))
        }
        Err(kube::Error::Api(refusal)) if refusal.is_forbidden() => {
            let message = format!("the API server refuses Job \"{name}\": {}", refusal.message);
            Ok(no(task, News::waiting(Waiting::JobRefused, message)))
        }
        Err(error) => Err(error),
    }
}

/// There is a Job of this name: whose is it?
async fn taken(jobs: &Api<Job>, task: Task, name: &str) -> Result<Started, kube::Error> {
    let Some(job) = jobs.get_opt(name).await? else {
        return Ok(Started::Outdated);
    };
    match decide::ownership(&job, &task) {
        Ownership::Ours => Ok(Started::Yes {
            task: Box::new(task),
            news: outcome::no_pod_yet(name),
            overridden: Vec::new(),
        }),
        Ownership::Namesake => Ok(Started::Outdated),
        Ownership::Foreign => {
            let news = decide::name_taken(&task, &job);
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
