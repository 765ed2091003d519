//! Looks at what surrounds a Task: its Job, its Pod and other Tasks in the caches, the rest at the
//! API server. Before an end or a start is read from a cache, the API server is asked.

mod line;
mod needs;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::Client;
use kube::ResourceExt;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::reflector::Store;

use super::decide;
use super::index::Index;
use super::needs::Needs;
use super::outcome;
use super::ownership;
use super::ownership::Ownership;
use super::pods::Pods;
use super::refusals::Refusals;
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

/// What was found around a Task.
#[derive(Debug)]
pub(super) enum Found {
    Unneeded,
    Finished {
        left: Option<Arc<Job>>,
        needed: bool,
    },
    Before {
        needs: Box<Needs>,
        holder: Option<Arc<Job>>,
    },
    Made {
        job: Arc<Job>,
    },
    Begun {
        job: Option<Arc<Job>>,
        pod: Option<Arc<Pod>>,
        /// Why the Job has no Pod, as its Job controller said.
        refusal: Option<String>,
    },
}

impl Found {
    pub(super) fn sight(&self) -> decide::Sight<'_> {
        match self {
            Self::Unneeded => decide::Sight::Unneeded,
            Self::Finished { left, needed } => decide::Sight::Finished {
                left: left.as_deref(),
                needed: *needed,
            },
            Self::Before { needs, holder } => decide::Sight::Before {
                needs,
                holder: holder.as_deref(),
            },
            Self::Made { job } => decide::Sight::Made { job },
            Self::Begun { job, pod, refusal } => decide::Sight::Begun {
                job: job.as_deref(),
                pod: pod.as_deref(),
                refusal: refusal.as_deref(),
            },
        }
    }
}

/// Looks at all that the next decision about `task` needs.
pub(super) async fn gather(
    client: &Client,
    caches: &Caches,
    refusals: &Refusals,
    task: &Task,
    now: Timestamp,
) -> Result<Found, kube::Error> {
    match stage::stage(task) {
        Stage::Deleting => Ok(Found::Unneeded),
        Stage::Finished => Ok(Found::Finished {
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
) -> Result<Found, kube::Error> {
    let name = stage::job_name(task);
    let holder = match cached(&caches.jobs, task, &name) {
        // The cache knows Jobs with our label; a foreign one of the name shows only there.
        None if at.claimed => jobs(client, task).get_opt(&name).await?.map(Arc::new),
        found => found,
    };
    if let Some(job) = holder.clone().filter(|it| is_ours(it, task)) {
        return Ok(Found::Made { job });
    }
    if at.claimed
        && let Some(pod) = caches.pods.of(client, task, None).await?
    {
        // A Job was made, has run, and is gone: another would run the Task again.
        return Ok(Found::Begun {
            job: None,
            pod: Some(pod),
            refusal: None,
        });
    }
    let is_early = at.due.is_some_and(|it| it > now);
    if is_early || task.spec.cancelled {
        return Ok(Found::Unneeded);
    }
    Ok(Found::Before {
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
) -> Result<Found, kube::Error> {
    let name = stage::job_name(task);
    let job = match cached(&caches.jobs, task, &name) {
        // One that the cache shows as held back may have been released since.
        Some(job) if !ownership::is_held_back(&job) => Some(job),
        Some(_) | None => jobs(client, task).get_opt(&name).await?.map(Arc::new),
    };
    let job = job.filter(|it| is_ours(it, task));
    let pod = caches.pods.of(client, task, job.as_deref()).await?;
    let podless = job
        .as_ref()
        .filter(|it| pod.is_none() && outcome::lacks_pod_at(it).is_some_and(|since| since <= now));
    let refusal = match podless.and_then(|it| it.uid()) {
        Some(uid) => {
            let namespace = task.namespace().unwrap_or_default();
            refusals.of(&namespace, &uid).await
        }
        None => None,
    };
    Ok(Found::Begun { job, pod, refusal })
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
