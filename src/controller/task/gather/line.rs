//! The line for a branch: who has it, by the API server and never by a cache.

use std::collections::BTreeSet;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Api;
use kube::Client;
use kube::ResourceExt;
use kube::api::ListParams;
use kube::core::DeserializeGuard;

use super::Caches;
use super::cached;
use super::get;
use super::jobs;
use crate::api::Task;
use crate::api::labels;
use crate::controller::task::branch;
use crate::controller::task::branch::Holder;
use crate::controller::task::outcome;
use crate::controller::task::ownership;
use crate::controller::task::pods;
use crate::controller::task::status;
use crate::model::names::cut;

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
    let holder = match holder {
        // A Lease may go, with its owners or by hand, before what works on its branch.
        Holder::Nobody => at_work(client, caches, task, &name).await?,
        Holder::Us | Holder::Task(_) => holder,
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
        // Somebody's finalizer may keep it for long; what it runs may take its time to end.
        Some(Ok(_)) | None => {}
    }
    // In this order: what has no Job any more gets no new Pod.
    let own = ListParams::default().labels(&format!("{}={}", labels::TASK, cut(&name)));
    let jobs = jobs(client, task).list(&own).await?;
    let pods = pods::list(client, task, &name).await?;
    Ok(if still_runs(uid, &jobs.items, &pods) {
        Holder::Task(name)
    } else {
        Holder::Nobody
    })
}

/// Whether one of these runs for the Task of this UID, or may yet.
fn still_runs(uid: &str, jobs: &[Job], pods: &[Pod]) -> bool {
    let by_job = jobs.iter().any(|it| {
        let of = ownership::task_of(it.owner_references());
        of.is_some_and(|of| of.uid == uid) && !outcome::is_over(it)
    });
    let by_pod = pods.iter().any(|it| {
        let of = it.annotations().get(labels::TASK_UID).map(String::as_str);
        // No node takes a Pod that is being deleted.
        let never = it.metadata.deletion_timestamp.is_some() && !outcome::is_bound(it);
        of == Some(uid) && !outcome::is_terminal(it) && !never
    });
    by_job || by_pod
}

/// Another Task that still needs the branch, by what was made to work on it.
async fn at_work(
    client: &Client,
    caches: &Caches,
    task: &Task,
    lease: &str,
) -> Result<Holder, kube::Error> {
    let on_branch = ListParams::default().labels(&format!("{}={lease}", labels::BRANCH_LEASE));
    let pods: Api<Pod> = Api::namespaced(client.clone(), &task.namespace().unwrap_or_default());
    let jobs = jobs(client, task).list_metadata(&on_branch).await?;
    let pods = pods.list_metadata(&on_branch).await?;
    let of_jobs = jobs.iter().filter_map(|it| {
        let of = ownership::task_of(it.owner_references())?;
        Some((of.name.clone(), of.uid.clone()))
    });
    let of_pods = pods.iter().filter_map(|it| {
        let name = it.annotations().get(labels::TASK);
        let name = name.or_else(|| it.labels().get(labels::TASK))?;
        let uid = it.annotations().get(labels::TASK_UID)?;
        Some((name.clone(), uid.clone()))
    });
    for (name, uid) in of_jobs.chain(of_pods).collect::<BTreeSet<_>>() {
        if Some(&uid) == task.metadata.uid.as_ref() || has_finished(caches, task, &name, &uid) {
            continue;
        }
        let found = holder(client, task, name, &uid).await?;
        if found != Holder::Nobody {
            return Ok(found);
        }
    }
    Ok(Holder::Nobody)
}

/// Whether a Task is known to have finished: that is final, so a cache that lags behind does not err.
fn has_finished(caches: &Caches, task: &Task, name: &str, uid: &str) -> bool {
    cached(&caches.tasks, task, name).is_some_and(|it| {
        let known = it.0.as_ref().ok();
        known.is_some_and(|it| {
            it.metadata.uid.as_deref() == Some(uid)
                && it.status.as_ref().is_some_and(status::is_finished)
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json;

    use super::super::super::fixture::job;
    use super::super::super::fixture::pod;
    use super::super::super::fixture::task;
    use super::*;

    fn of_task(pod: Pod, changes: &Value) -> Pod {
        let mut pod = serde_json::to_value(pod).unwrap();
        let own = json!({"metadata": {"annotations": {"axon.io/task-uid": "task-uid"}}});
        json_patch::merge(&mut pod, &own);
        json_patch::merge(&mut pod, changes);
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn what_still_runs_for_a_task_that_is_gone() {
        let runs = |jobs: &[Job], pods: &[Pod]| still_runs("task-uid", jobs, pods);
        assert!(!runs(&[], &[]));
        // It may yet get its Pod.
        assert!(runs(&[job(&task("a"), &[])], &[]));
        let over = job(&task("a"), &[("Failed", "BackoffLimitExceeded")]);
        assert!(!runs(&[over], &[]));
        assert!(!still_runs("another", &[job(&task("a"), &[])], &[]));
        let check = |phase: &str, changes: &Value, expected: bool| {
            let pod = of_task(pod(&task("a"), &json!({"phase": phase})), changes);
            assert_eq!(runs(&[], &[pod]), expected, "{phase} {changes}");
        };
        let goes = json!({"deletionTimestamp": "2026-03-01T12:00:00Z"});
        let bound = json!({"containers": [], "nodeName": "n"});
        check("Running", &json!({}), true);
        check("Running", &json!({"metadata": goes, "spec": bound}), true);
        check("Pending", &json!({"metadata": goes}), false);
        check("Failed", &json!({}), false);
        let another = json!({"metadata": {"annotations": {"axon.io/task-uid": "another"}}});
        check("Running", &another, false);
    }
}
