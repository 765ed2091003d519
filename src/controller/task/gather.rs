//! Looks at what surrounds a Task: its Job, its Pod and other Tasks in the caches, the rest at the
//! API server. Before an end or a start is read from a cache, the API server is asked.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Api;
use kube::Client;
use kube::Resource as _;
use kube::ResourceExt;
use kube::api::ListParams;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::reflector::Store;

use super::branch;
use super::branch::Holder;
use super::decide;
use super::dependencies;
use super::index::Index;
use super::named;
use super::named::FoundNamed;
use super::needs;
use super::needs::FoundSecret;
use super::needs::FoundWorkspace;
use super::needs::Needs;
use super::needs::SecretState;
use super::outcome;
use super::ownership;
use super::ownership::Ownership;
use super::pods;
use super::pods::Pods;
use super::refusals::Refusals;
use super::stage;
use super::stage::Before;
use super::stage::Stage;
use super::status;
use crate::api::Task;
use crate::api::Workspace;
use crate::api::labels;
use crate::api::pod_overrides::PodOverrides;
use crate::api::task::TaskPhase;
use crate::api::task::TaskStatus;
use crate::controller::workspace;
use crate::model::sensitive;
use crate::model::sensitive::Known;

/// Workspaces that are listed to say which ones there are.
const MAX_WORKSPACES: u32 = 20;

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
        needs: Box::new(needs(client, caches, task).await?),
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

/// What `task` needs before it can start.
async fn needs(client: &Client, caches: &Caches, task: &Task) -> Result<Needs, kube::Error> {
    let namespace = task.namespace().unwrap_or_default();
    let (dependencies, cycle) = dependencies(client, caches, task).await?;
    let mut needs = Needs {
        dependencies,
        cycle,
        workspace: FoundWorkspace::NotAsked,
        secrets: Vec::new(),
        named: Vec::new(),
        branch: None,
    };
    if dependencies::check(&needs.dependencies).is_err() {
        return Ok(needs);
    }
    if let Some(reference) = &task.spec.workspace_ref {
        needs.workspace = workspace(client, &namespace, &reference.name).await?;
    }
    let found = match &needs.workspace {
        FoundWorkspace::Found(workspace) => Some(&**workspace),
        FoundWorkspace::NotAsked
        | FoundWorkspace::Missing { .. }
        | FoundWorkspace::Unreadable(_) => None,
    };
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    let mut seen = Vec::new();
    let agent = needs::credential(task.spec.agent, &task.spec.credentials);
    if let Some(wanted) = agent {
        let state = secret_state(get(&secrets, &wanted.secret).await)?;
        seen.push(FoundSecret { wanted, state });
    }
    if let Some(workspace) = found {
        match workspace::git_keys(client, workspace).await {
            Ok(git) => seen.extend(git.into_iter().map(needs::of_workspace)),
            Err(error) => seen.push(needs::forbidden_to_git(forbidden(error, workspace)?)),
        }
    }
    needs.secrets = seen;
    if let Some(overrides) = &task.spec.pod_overrides {
        needs.named = named(client, &namespace, overrides).await?;
    }
    let owner = found.and_then(|it| it.owner_ref(&()));
    needs.branch = branch(client, caches, task, owner).await?;
    Ok(needs)
}

/// The Secrets and ConfigMaps that `podOverrides` names.
async fn named(
    client: &Client,
    namespace: &str,
    overrides: &PodOverrides,
) -> Result<Vec<FoundNamed>, kube::Error> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let mut found = Vec::new();
    for ((kind, name), keys) in named::of(overrides) {
        let state = match kind {
            named::Kind::Secret => secret_state(get(&secrets, &name).await)?,
            named::Kind::ConfigMap => state(get(&maps, &name).await, |map| {
                let text = map.data.unwrap_or_default().into_keys();
                text.chain(map.binary_data.unwrap_or_default().into_keys())
                    .collect()
            })?,
        };
        found.push(FoundNamed {
            kind,
            name,
            keys,
            state,
        });
    }
    Ok(found)
}

fn secret_state(answer: Result<Option<Secret>, kube::Error>) -> Result<SecretState, kube::Error> {
    state(answer, |it| {
        it.data.unwrap_or_default().into_keys().collect()
    })
}

/// What an answer about an object with keys says of it.
fn state<K>(
    answer: Result<Option<K>, kube::Error>,
    keys: impl FnOnce(K) -> BTreeSet<String>,
) -> Result<SecretState, kube::Error> {
    match answer {
        Ok(Some(object)) => Ok(SecretState::Keys(keys(object))),
        Ok(None) => Ok(SecretState::Missing),
        Err(kube::Error::Api(status)) if status.is_forbidden() => Ok(SecretState::Forbidden),
        Err(error) => Err(error),
    }
}

/// Which of the Secrets of a Workspace may not be read; any other error is given back.
fn forbidden(error: kube::Error, workspace: &Workspace) -> Result<String, kube::Error> {
    match error {
        kube::Error::Api(status) if status.is_forbidden() => {
            let told = status.details.as_ref().map(|it| it.name.clone());
            let own = || workspace.spec.secret_ref.as_ref().map(|it| it.name.clone());
            let name = told.filter(|it| !it.is_empty()).or_else(own);
            Ok(name.unwrap_or_default())
        }
        other => Err(other),
    }
}

/// The Tasks that `task` depends on, and the cycle that it is on. An end that the cache shows is read
/// again: a Task of that name may have been made anew since.
async fn dependencies(
    client: &Client,
    caches: &Caches,
    task: &Task,
) -> Result<(Vec<dependencies::Found>, Option<Vec<String>>), kube::Error> {
    let mut found: Vec<dependencies::Found> = Vec::new();
    for name in &task.spec.depends_on {
        let status = cached(&caches.tasks, task, name).map(|it| status_of(&it));
        let name = name.clone();
        found.push(dependencies::Found { name, status });
    }
    let phase = |it: &dependencies::Found| it.status.as_ref().and_then(|it| it.phase);
    let all_done = found
        .iter()
        .all(|it| it.status.as_ref().is_some_and(status::is_finished));
    let some_failed = found.iter().any(|it| phase(it) == Some(TaskPhase::Failed));
    let cycle = if found
        .iter()
        .all(|it| phase(it) == Some(TaskPhase::Succeeded))
    {
        None
    } else {
        dependencies::cycle(&task.name_any(), |name| edges(caches, task, name))
    };
    if all_done || some_failed {
        let tasks = tasks(client, task);
        for one in &mut found {
            let finished = one.status.as_ref().is_some_and(status::is_finished);
            if finished {
                let live = tasks.get_opt(&one.name).await?;
                one.status = live.map(|it| it.status.unwrap_or_default());
            }
        }
    }
    Ok((found, cycle))
}

/// What a Task of the namespace of `task` depends on; nothing if it has succeeded or is not there.
fn edges(caches: &Caches, task: &Task, name: &str) -> Option<Vec<String>> {
    if name == task.name_any() {
        return Some(task.spec.depends_on.clone());
    }
    let other = cached(&caches.tasks, task, name)?;
    let other = other.0.as_ref().ok()?;
    let phase = other.status.as_ref().and_then(|it| it.phase);
    (phase != Some(TaskPhase::Succeeded)).then(|| other.spec.depends_on.clone())
}

/// One that cannot be read is there, and has not ended.
fn status_of(task: &DeserializeGuard<Task>) -> TaskStatus {
    let status = task.0.as_ref().ok().and_then(|it| it.status.clone());
    status.unwrap_or_default()
}

/// The branch that `task` asks for, and who has it: by the API server, never by a cache.
async fn branch(
    client: &Client,
    caches: &Caches,
    task: &Task,
    workspace: Option<OwnerReference>,
) -> Result<Option<branch::Found>, kube::Error> {
    let Some(name) = branch::lease_name(task) else {
        return Ok(None);
    };
    let namespace = task.namespace().unwrap_or_default();
    let leases: Api<Lease> = Api::namespaced(client.clone(), &namespace);
    let lease = leases.get_opt(&name).await?;
    let holder = match lease.as_ref().and_then(branch::holder) {
        None => Holder::Nobody,
        Some((_, uid)) if Some(&uid) == task.metadata.uid.as_ref() => Holder::Us,
        Some((name, uid)) => holder(client, task, name, &uid).await?,
    };
    Ok(Some(branch::Found {
        lease,
        holder,
        ahead: caches.index.ahead(task),
        workspace,
    }))
}

/// Whether the Task that holds a Lease still needs it.
async fn holder(
    client: &Client,
    task: &Task,
    name: String,
    uid: &str,
) -> Result<Holder, kube::Error> {
    let namespace = task.namespace().unwrap_or_default();
    let tasks: Api<DeserializeGuard<Task>> = Api::namespaced(client.clone(), &namespace);
    let found = get(&tasks, &name).await?;
    let found = found.filter(|it| it.uid().as_deref() == Some(uid));
    match found.as_ref().map(|it| &it.0) {
        // Nobody can say that it has finished.
        Some(Err(_)) => return Ok(Holder::Task(name)),
        Some(Ok(found)) if found.status.as_ref().is_some_and(status::is_finished) => {
            return Ok(Holder::Nobody);
        }
        Some(Ok(found)) if found.metadata.deletion_timestamp.is_none() => {
            return Ok(Holder::Task(name));
        }
        // Somebody's finalizer may keep it for long. As long as it has a Job, that may make a Pod.
        Some(Ok(found)) => {
            let job = jobs(client, task).get_opt(&stage::job_name(found)).await?;
            if job.is_some_and(|it| is_ours(&it, found) && !outcome::is_over(&it)) {
                return Ok(Holder::Task(name));
            }
        }
        None => {}
    }
    // The Task is gone; what it ran may take its time to end.
    let runs = pods::list(client, task, &name)
        .await?
        .into_iter()
        .any(|it| {
            let of = it.annotations().get(labels::TASK_UID).map(String::as_str);
            // No node takes a Pod that is being deleted.
            let never = it.metadata.deletion_timestamp.is_some() && !outcome::is_bound(&it);
            of == Some(uid) && !outcome::is_terminal(&it) && !never
        });
    Ok(if runs {
        Holder::Task(name)
    } else {
        Holder::Nobody
    })
}

async fn workspace(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<FoundWorkspace, kube::Error> {
    let workspaces: Api<DeserializeGuard<Workspace>> = Api::namespaced(client.clone(), namespace);
    if let Some(found) = get(&workspaces, name).await? {
        return Ok(match found.0 {
            Ok(workspace) => FoundWorkspace::Found(Box::new(workspace)),
            Err(invalid) => {
                FoundWorkspace::Unreadable(sensitive::line(&invalid.error, &Known::default()))
            }
        });
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
