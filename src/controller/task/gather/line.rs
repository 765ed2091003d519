//! The line for a branch: who has it, by the API server and never by a cache.

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Api;
use kube::Client;
use kube::ResourceExt;
use kube::core::DeserializeGuard;

use super::Caches;
use super::get;
use super::is_ours;
use super::jobs;
use crate::api::Task;
use crate::api::labels;
use crate::controller::task::branch;
use crate::controller::task::branch::Holder;
use crate::controller::task::outcome;
use crate::controller::task::pods;
use crate::controller::task::stage;
use crate::controller::task::status;

/// The branch that `task` asks for, and who has it: by the API server, never by a cache.
pub(super) async fn branch(
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
    // A Lease may go with its Workspace, or by hand, while its Task goes on.
    let holder = match caches.index.at_work(task) {
        Some(name) if holder == Holder::Nobody => Holder::Task(name),
        Some(_) | None => holder,
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
