//! Looks at what surrounds a Task: its Job and Pod in the caches, the rest at the API server.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::Client;
use kube::ResourceExt;
use kube::api::ListParams;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::reflector::Store;

use super::decide;
use super::decide::Ownership;
use super::decide::Stage;
use super::needs;
use super::needs::FoundSecret;
use super::needs::FoundWorkspace;
use super::needs::Needs;
use super::outcome;
use crate::api::Task;
use crate::api::Workspace;
use crate::api::labels;
use crate::controller::workspace;
use crate::model::names::cut;

/// Workspaces that are listed to say which ones there are.
const MAX_WORKSPACES: u32 = 20;

/// Where Jobs and Pods are looked up before the API server is asked.
#[derive(Clone)]
pub(super) struct Caches {
    pub(super) jobs: Store<Job>,
    pub(super) pods: Store<Pod>,
}

/// What was found around a Task.
#[derive(Debug)]
pub(super) enum Found {
    Unneeded,
    Before {
        needs: Needs,
        holder: Option<Arc<Job>>,
    },
    Begun {
        job: Option<Arc<Job>>,
        pod: Option<Arc<Pod>>,
    },
}

impl Found {
    pub(super) fn sight(&self) -> decide::Sight<'_> {
        match self {
            Self::Unneeded => decide::Sight::Unneeded,
            Self::Before { needs, holder } => decide::Sight::Before {
                needs,
                holder: holder.as_deref(),
            },
            Self::Begun { job, pod } => decide::Sight::Begun {
                job: job.as_deref(),
                pod: pod.as_deref(),
            },
        }
    }
}

/// Looks at all that the next decision about `task` needs.
pub(super) async fn gather(
    client: &Client,
    caches: &Caches,
    task: &Task,
) -> Result<Found, kube::Error> {
    let stage = decide::stage(task);
    if matches!(stage, Stage::Deleting | Stage::Finished) {
        return Ok(Found::Unneeded);
    }
    let claimed = task.status.as_ref().is_some_and(|it| it.job_name.is_some());
    let name = decide::job_name(task);
    let job = match cached(&caches.jobs, task, &name) {
        // The cache knows Jobs with our label; a foreign one of the name shows only there.
        None if claimed => jobs(client, task).get_opt(&name).await?.map(Arc::new),
        found => found,
    };
    let ours = job
        .as_deref()
        .is_some_and(|it| decide::ownership(it, task) == Ownership::Ours);
    if ours || stage == Stage::Begun {
        let pod = pod(client, caches, task, job.as_deref()).await?;
        return Ok(Found::Begun { job, pod });
    }
    if claimed && let Some(pod) = pod(client, caches, task, None).await? {
        // A Job was made, has run, and is gone: another would run the Task again.
        return Ok(Found::Begun {
            job: None,
            pod: Some(pod),
        });
    }
    Ok(Found::Before {
        needs: needs(client, task).await?,
        holder: job,
    })
}

/// What `task` needs before it can start.
async fn needs(client: &Client, task: &Task) -> Result<Needs, kube::Error> {
    let namespace = task.namespace().unwrap_or_default();
    let workspace = match &task.spec.workspace_ref {
        Some(reference) => workspace(client, &namespace, &reference.name).await?,
        None => FoundWorkspace::NotAsked,
    };
    let found = match &workspace {
        FoundWorkspace::Found(workspace) => Some(&**workspace),
        FoundWorkspace::NotAsked | FoundWorkspace::Missing { .. } => None,
    };
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    let mut seen = Vec::new();
    let agent = needs::credential(task.spec.agent, &task.spec.credentials);
    if let Some(wanted) = agent {
        let secret = get(&secrets, &wanted.secret).await?;
        let keys = secret.map(|it| {
            it.data
                .unwrap_or_default()
                .into_keys()
                .collect::<BTreeSet<_>>()
        });
        seen.push(FoundSecret { wanted, keys });
    }
    if let Some(workspace) = found {
        let git = workspace::git_keys(client, workspace).await?;
        seen.extend(git.into_iter().map(needs::of_workspace));
    }
    Ok(Needs {
        workspace,
        secrets: seen,
    })
}

async fn workspace(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<FoundWorkspace, kube::Error> {
    let workspaces: Api<Workspace> = Api::namespaced(client.clone(), namespace);
    if let Some(workspace) = get(&workspaces, name).await? {
        return Ok(FoundWorkspace::Found(Box::new(workspace)));
    }
    let some = ListParams::default().limit(MAX_WORKSPACES);
    // Only names: one that cannot be read is no reason to stop.
    let others = workspaces.list_metadata(&some).await?;
    Ok(FoundWorkspace::Missing {
        others: others.iter().map(ResourceExt::name_any).collect(),
    })
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

/// The Pod of the Task. The cache may lag behind: before an end is read from a Pod's absence, or
/// from a Job that has ended while its Pod seems to go on, the API server is asked.
async fn pod(
    client: &Client,
    caches: &Caches,
    task: &Task,
    job: Option<&Job>,
) -> Result<Option<Arc<Pod>>, kube::Error> {
    let found = cached_pod(&caches.pods, task, job);
    let over = job.is_none_or(outcome::is_over);
    let may_lag = match &found {
        Some(pod) => over && !outcome::is_terminal(pod),
        None => over,
    };
    if !may_lag {
        return Ok(found);
    }
    let pods: Api<Pod> = Api::namespaced(client.clone(), &task.namespace().unwrap_or_default());
    let label = format!("{}={}", labels::TASK, cut(&task.name_any()));
    let listed = pods.list(&ListParams::default().labels(&label)).await?;
    Ok(listed
        .into_iter()
        .find(|it| decide::belongs(it, task, job))
        .map(Arc::new))
}

fn cached_pod(pods: &Store<Pod>, task: &Task, job: Option<&Job>) -> Option<Arc<Pod>> {
    let known = task.status.as_ref().and_then(|it| it.pod_name.as_deref());
    if let Some(pod) = known.and_then(|name| cached(pods, task, name)) {
        return Some(pod);
    }
    pods.find(|it| it.namespace() == task.namespace() && decide::belongs(it, task, job))
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
