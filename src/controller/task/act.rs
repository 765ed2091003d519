//! What is done to a run besides starting it: it is stopped, and its branch is given back.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::Client;
use kube::ResourceExt;
use kube::api::DeleteParams;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::api::Preconditions;
use serde_json::json;

use super::branch;
use super::stop::AT_ONCE;
use super::stop::Stop;
use crate::api::Task;
use crate::controller::FIELD_MANAGER;

/// Stops what `stop` names. What is gone has stopped.
pub(super) async fn stop(client: &Client, namespace: &str, stop: &Stop) -> Result<(), kube::Error> {
    let done = match stop {
        Stop::Pod { name, uid } => {
            let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
            let patch = Patch::Merge(json!({
                "metadata": {"uid": uid},
                "spec": {"activeDeadlineSeconds": AT_ONCE},
            }));
            let parameters = PatchParams {
                field_manager: Some(FIELD_MANAGER.to_owned()),
                ..PatchParams::default()
            };
            pods.patch(name, &parameters, &patch).await.map(drop)
        }
        Stop::Job { name, uid, version } => {
            let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
            // One that may have a Pod stays until the Pod has ended; one that is held back has none.
            let how = match version {
                Some(_) => DeleteParams::background(),
                None => DeleteParams::foreground(),
            };
            let only_this = how.preconditions(Preconditions {
                uid: Some(uid.clone()),
                resource_version: version.clone(),
            });
            jobs.delete(name, &only_this).await.map(drop)
        }
    };
    match done {
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        other => other,
    }
}

/// Gives back the branch of a Task that has finished. If that fails, the next Task takes it over, or
/// it goes with this one: so it is only logged.
pub(super) async fn leave_branch(client: &Client, task: &Task) {
    let Some(name) = branch::lease_name(task) else {
        return;
    };
    let leases: Api<Lease> = Api::namespaced(client.clone(), &task.namespace().unwrap_or_default());
    let left = async {
        let held = leases.get_opt(&name).await?;
        let ours = |it: &Lease| branch::holder(it).map(|(_, uid)| uid) == task.uid();
        let Some(lease) = held.filter(ours) else {
            return Ok(());
        };
        let only_this = DeleteParams::default().preconditions(Preconditions {
            uid: lease.uid(),
            resource_version: lease.resource_version(),
        });
        leases.delete(&name, &only_this).await.map(drop)
    };
    match left.await {
        Ok(()) => {}
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {}
        Err(error) => {
            let task = task.name_any();
            tracing::warn!(%error, task, lease = name, "cannot give a branch back");
        }
    }
}
