//! What a Task needs before it can start: other Tasks, its Workspace, Secrets, a branch.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::Client;
use kube::Resource as _;
use kube::ResourceExt;
use kube::api::ListParams;
use kube::core::DeserializeGuard;

use super::Caches;
use super::cached;
use super::get;
use super::line::branch;
use super::tasks;
use crate::api::Task;
use crate::api::Workspace;
use crate::api::pod_overrides::PodOverrides;
use crate::api::task::TaskPhase;
use crate::api::task::TaskStatus;
use crate::controller::task::dependencies;
use crate::controller::task::named;
use crate::controller::task::needs;
use crate::controller::task::needs::FoundSecret;
use crate::controller::task::needs::FoundWorkspace;
use crate::controller::task::needs::Needs;
use crate::controller::task::needs::SecretState;
use crate::controller::task::status;
use crate::controller::workspace;
use crate::model::sensitive;
use crate::model::sensitive::Known;

/// Workspaces that are listed to say which ones there are.
const MAX_WORKSPACES: u32 = 20;

/// What `task` needs before it can start.
pub(super) async fn needs(
    client: &Client,
    caches: &Caches,
    task: &Task,
) -> Result<Needs, kube::Error> {
    let namespace = task.namespace().unwrap_or_default();
    let (dependencies, cycle) = dependencies(client, caches, task).await?;
    let mut needs = Needs {
        dependencies,
        cycle,
        workspace: FoundWorkspace::NotAsked,
        secrets: Vec::new(),
        named: named::Found::new(),
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
) -> Result<named::Found, kube::Error> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let mut found = named::Found::new();
    for (kind, name) in named::of(overrides, &[]).into_keys() {
        let state = match kind {
            named::Kind::Secret => secret_state(get(&secrets, &name).await)?,
            named::Kind::ConfigMap => state(get(&maps, &name).await, |map| {
                let text = map.data.unwrap_or_default().into_keys();
                text.chain(map.binary_data.unwrap_or_default().into_keys())
                    .collect()
            })?,
        };
        found.insert((kind, name), state);
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
