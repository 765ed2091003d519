//! Looks at what surrounds a Task: its Job, its Pod and other Tasks in the caches, the rest at the
//! API server. Before an end or a start is read from a cache, the API server is asked.

mod line;
mod needs;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use kube::Client;
use kube::ResourceExt;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::reflector::Store;

use super::index::Index;
use super::outcome;
use super::ownership;
use super::ownership::Ownership;
use super::pods::Pods;
use super::refusals::Refusals;
use super::sight::Sight;
use super::stage;
use super::stage::Before;
use super::stage::Stage;
use crate::api::Task;

/// Where Tasks, Jobs and Pods are looked up before the API server is asked.
#[derive(Clone)]
pub(super) struct Caches {
    pub(super) tasks: Store<DeserializeGuard<Task>>,
    pub(super) jobs: Store<Job>,
    pub(super) pods: Pods,
    pub(super) index: Arc<Index>,
}

/// Looks at all that the next decision about `task` needs.
pub(super) async fn gather(
    client: &Client,
    caches: &Caches,
    refusals: &Refusals,
    task: &Task,
    now: Timestamp,
) -> Result<Sight, kube::Error> {
    match stage::stage(task) {
        Stage::Deleting => Ok(Sight::Unneeded),
        Stage::Finished => Ok(Sight::Finished {
            left: cached(&caches.jobs, task, &stage::job_name(task))
                .filter(|it| is_ours(it, task) && ownership::is_held_back(it)),
            needed: caches.index.is_needed(task),
        }),
        Stage::Before(at) => before(client, caches, task, at, now).await,
        Stage::Begun(_) => begun(client, caches, refusals, task, now).await,
    }
}

async fn before(
    client: &Client,
    caches: &Caches,
    task: &Task,
    at: Before,
    now: Timestamp,
) -> Result<Sight, kube::Error> {
    let name = stage::job_name(task);
    let holder = match cached(&caches.jobs, task, &name) {
        // The cache knows Jobs with our label; a foreign one of the name shows only there.
        None if at.claimed => jobs(client, task).get_opt(&name).await?.map(Arc::new),
        found => found,
    };
    if let Some(job) = holder.clone().filter(|it| is_ours(it, task)) {
        return Ok(Sight::Made { job });
    }
    if at.claimed
        && let Some(pod) = caches.pods.of(client, task, None).await?
    {
        // A Job was made, has run, and is gone: another would run the Task again.
        return Ok(Sight::Begun {
            job: None,
            pod: Some(pod),
            refusal: None,
        });
    }
    let is_early = at.due.is_some_and(|it| it > now);
    if is_early || task.spec.cancelled {
        return Ok(Sight::Unneeded);
    }
    Ok(Sight::Before {
        needs: Box::new(needs::needs(client, caches, task).await?),
        holder,
    })
}

async fn begun(
    client: &Client,
    caches: &Caches,
    refusals: &Refusals,
    task: &Task,
    now: Timestamp,
) -> Result<Sight, kube::Error> {
    let name = stage::job_name(task);
    let job = match cached(&caches.jobs, task, &name) {
        // One that the cache shows as held back may have been released since.
        Some(job) if !ownership::is_held_back(&job) => Some(job),
        Some(_) | None => jobs(client, task).get_opt(&name).await?.map(Arc::new),
    };
    let job = job.filter(|it| is_ours(it, task));
    if job.is_none() && !is_there(client, task).await? {
        // Its Job went with it: that is no end of a run.
        return Ok(Sight::Unneeded);
    }
    let pod = caches.pods.of(client, task, job.as_deref()).await?;
    let is_due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
    let namespace = task.namespace().unwrap_or_default();
    let refusal = match (&job, &pod) {
        (_, Some(pod)) if is_due(outcome::lingers_at(pod)) => {
            let uid = pod.uid().unwrap_or_default();
            refusals.of_pod(&namespace, &uid).await
        }
        (Some(job), None) if is_due(outcome::lacks_pod_at(job)) => {
            let uid = job.uid().unwrap_or_default();
            refusals.of_job(&namespace, &uid).await
        }
        _ => None,
    };
    Ok(Sight::Begun { job, pod, refusal })
}

/// Whether the API server still has this very Task, and nobody has deleted it.
async fn is_there(client: &Client, task: &Task) -> Result<bool, kube::Error> {
    let found = tasks(client, task)
        .get_metadata_opt(&task.name_any())
        .await?;
    let same = found.filter(|it| it.metadata.uid == task.metadata.uid);
    Ok(same.is_some_and(|it| it.metadata.deletion_timestamp.is_none()))
}

fn is_ours(job: &Job, task: &Task) -> bool {
    ownership::of(job, task) == Ownership::Ours
}

/// One object by name. A name that cannot be asked for is a name of nothing.
async fn get<K>(api: &Api<K>, name: &str) -> Result<Option<K>, kube::Error>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    if crate::model::ObjectName::parse(name).is_err() {
        return Ok(None);
    }
    api.get_opt(name).await
}

fn cached<K>(store: &Store<K>, task: &Task, name: &str) -> Option<Arc<K>>
where
    K: kube::Resource<DynamicType = ()> + Clone + 'static,
{
    let namespace = task.namespace().unwrap_or_default();
    store.get(&ObjectRef::new(name).within(&namespace))
}

fn jobs(client: &Client, task: &Task) -> Api<Job> {
    Api::namespaced(client.clone(), &task.namespace().unwrap_or_default())
}

fn tasks(client: &Client, task: &Task) -> Api<Task> {
    Api::namespaced(client.clone(), &task.namespace().unwrap_or_default())
}
