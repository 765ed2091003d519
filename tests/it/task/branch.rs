//! Tasks that share a branch.

use std::time::Duration;

use super::*;
use crate::server::within;

/// How long a cluster's collector may take that has just met our kinds.
const COLLECTED: Duration = Duration::from_mins(2);

crate::on_both_servers!(
    one_task_at_a_time_works_on_a_branch,
    a_branch_is_free_when_its_task_is_gone,
    a_lease_of_nobody_is_taken_over,
    a_branch_is_kept_between_two_attempts,
    a_task_that_is_kept_from_going_stands_in_no_line,
    a_branch_stays_with_its_task_when_the_lease_goes,
    a_pod_that_still_ends_keeps_its_branch_without_workspace_task_and_lease,
);

fn on_branch() -> Value {
    json!({"spec": {"workspaceRef": {"name": "web"}, "branch": "fix"}})
}

pub(super) async fn create_workspace(context: &Context) {
    let workspace: Workspace = serde_json::from_value(json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "Workspace",
        "metadata": {"name": "web"}, "spec": {"repo": "https://example.com/acme/web.git"},
    }))
    .unwrap();
    let workspaces: Api<Workspace> = context.api();
    workspaces
        .create(&PostParams::default(), &workspace)
        .await
        .unwrap();
}

async fn leases(context: &Context) -> Vec<Lease> {
    let leases: Api<Lease> = context.api();
    leases.list(&ListParams::default()).await.unwrap().items
}

async fn one_task_at_a_time_works_on_a_branch(context: Context) {
    create_secret(&context).await;
    create_workspace(&context).await;
    let names = ["a", "b", "c", "d"];
    for name in names {
        create(&context, name, on_branch()).await;
    }
    let mut other = on_branch();
    other["spec"]["branch"] = json!("another");
    create(&context, "free", other).await;
    let controller = Controller::start(&context);
    job_of(&context, "free").await;
    for (at, name) in names.into_iter().enumerate() {
        job_of(&context, name).await;
        if let Some(next) = names.get(at + 1) {
            let waiting = once(&context, next, "a wait", shows("WaitingForBranch")).await;
            assert!(
                said(&waiting).contains("branch \"fix\""),
                "{}",
                said(&waiting)
            );
        }
        let (jobs, _) = jobs_and_pods(&context).await;
        // Besides the free one, and one that showed the restart.
        let others = if at == 0 { 1 } else { 2 };
        assert_eq!(jobs, at + 1 + others, "while {name} works");
        let held: Vec<_> = leases(&context)
            .await
            .into_iter()
            .filter(|it| it.annotations()["axon.io/branch"] == "fix")
            .collect();
        assert_eq!(held.len(), 1);
        assert_eq!(held[0].annotations()["axon.io/task"], name);
        agent_ends(&context, name, 0, DONE).await;
        ended(&context, name).await;
        if at == 0 {
            // The order does not depend on who was there to see it.
            controller_restarts(&context).await;
        }
    }
    agent_ends(&context, "free", 0, DONE).await;
    ended(&context, "free").await;
    eventually("no Lease", || async {
        leases(&context).await.is_empty().then_some(())
    })
    .await;
    controller.stop().await;
}

/// A second controller comes and goes.
async fn controller_restarts(context: &Context) {
    let second = Controller::start(context);
    create(context, "seen", json!({})).await;
    agent_ends(context, "seen", 0, DONE).await;
    ended(context, "seen").await;
    second.stop().await;
}

async fn a_branch_is_free_when_its_task_is_gone(context: Context) {
    create_secret(&context).await;
    create_workspace(&context).await;
    let controller = Controller::start(&context);
    create(&context, "a", on_branch()).await;
    let pod = kubelet::pod_of(&context, "a").await;
    let on_a_node = json!({"conditions": [{"type": "PodScheduled", "status": "True"}]});
    kubelet::says(&context, &pod, on_a_node).await;
    hold(&context, &pod, true).await;
    create(&context, "b", on_branch()).await;
    let waiting = once(&context, "b", "a wait", shows("WaitingForBranch")).await;
    assert_eq!(
        said(&waiting),
        "WaitingForBranch: waits for branch \"fix\": Task \"a\" works on it"
    );
    let tasks: Api<Task> = context.api();
    tasks
        .delete("a", &DeleteParams::background())
        .await
        .unwrap();
    // A cluster's collector needs its time to know of a new kind.
    let jobs: Api<Job> = context.api();
    within(COLLECTED, "Job a is gone", async || {
        jobs.get_opt("a").await.unwrap().is_none().then_some(())
    })
    .await;
    // The agent has its time to end, and may still push.
    let pods: Api<Pod> = context.api();
    within(COLLECTED, "Pod a is told to end", async || {
        let pod = pods.get(&pod.name_any()).await.unwrap();
        pod.metadata.deletion_timestamp.map(|_| ())
    })
    .await;
    let lease = leases(&context).await.remove(0);
    assert_eq!(lease.annotations()["axon.io/task"], "a");
    assert!(jobs.get_opt("b").await.unwrap().is_none());
    hold(&context, &pod, false).await;
    job_of(&context, "b").await;
    controller.stop().await;
}

/// Keeps a Pod that is deleted there, as a kubelet does as long as its containers run; or lets it go.
async fn hold(context: &Context, pod: &Pod, stays: bool) {
    let finalizers = if stays {
        json!(["example.com/held"])
    } else {
        json!(null)
    };
    let patch = Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
    let pods: Api<Pod> = context.api();
    let parameters = PatchParams::default();
    pods.patch(&pod.name_any(), &parameters, &patch)
        .await
        .unwrap();
}

async fn a_lease_of_nobody_is_taken_over(context: Context) {
    create_secret(&context).await;
    create_workspace(&context).await;
    let controller = Controller::start(&context);
    create(&context, "a", on_branch()).await;
    job_of(&context, "a").await;
    // As a Task leaves it whose controller died, and that was deleted.
    let mut left = leases(&context).await.remove(0);
    left.metadata.owner_references = None;
    let spec = left.spec.as_mut().unwrap();
    spec.holder_identity = Some("somebody-else".into());
    let api: Api<Lease> = context.api();
    let name = left.name_any();
    api.replace(&name, &PostParams::default(), &left)
        .await
        .unwrap();
    agent_ends(&context, "a", 0, DONE).await;
    ended(&context, "a").await;
    create(&context, "b", on_branch()).await;
    job_of(&context, "b").await;
    let held = api.get(&name).await.unwrap();
    assert_eq!(held.annotations()["axon.io/task"], "b");
    controller.stop().await;
}

async fn a_branch_is_kept_between_two_attempts(context: Context) {
    create_secret(&context).await;
    create_workspace(&context).await;
    let controller = Controller::start(&context);
    let mut first = on_branch();
    first["spec"]["retry"] = json!({"limit": 1, "backoff": "1h"});
    create(&context, "a", first).await;
    agent_ends(&context, "a", 3, "").await;
    once(&context, "a", "a wait", shows("WaitingForRetry")).await;
    create(&context, "b", on_branch()).await;
    once(&context, "b", "a wait", shows("WaitingForBranch")).await;
    assert_eq!(jobs_and_pods(&context).await.0, 1);
    edit(&context, "a", json!({"spec": {"cancelled": true}})).await;
    job_of(&context, "b").await;
    controller.stop().await;
}

async fn a_task_that_is_kept_from_going_stands_in_no_line(context: Context) {
    create_secret(&context).await;
    create_workspace(&context).await;
    let mut kept = on_branch();
    kept["metadata"] = json!({"finalizers": ["example.com/kept"]});
    create(&context, "a", kept).await;
    let tasks: Api<Task> = context.api();
    tasks
        .delete("a", &DeleteParams::background())
        .await
        .unwrap();
    create(&context, "b", on_branch()).await;
    let controller = Controller::start(&context);
    job_of(&context, "b").await;
    // Nor does one that had its turn, once nothing of it runs any more.
    edit(
        &context,
        "b",
        json!({"metadata": {"finalizers": ["example.com/kept"]}}),
    )
    .await;
    let pod = kubelet::pod_of(&context, "b").await;
    create(&context, "c", on_branch()).await;
    once(&context, "c", "a wait", shows("WaitingForBranch")).await;
    tasks
        .delete("b", &DeleteParams::background())
        .await
        .unwrap();
    let jobs: Api<Job> = context.api();
    let marked = eventually("c is looked at", || async {
        let task = tasks.get("c").await.unwrap();
        shows("WaitingForBranch")(&status_of(&task)).then_some(task)
    })
    .await;
    assert!(
        said(&marked).contains("Task \"b\" works on it"),
        "{}",
        said(&marked)
    );
    assert!(jobs.get_opt("c").await.unwrap().is_none());
    kubelet::ends(&context, &pod, 0, DONE).await;
    within(COLLECTED, "Job c", async || {
        jobs.get_opt("c").await.unwrap()
    })
    .await;
    let free = json!({"metadata": {"finalizers": null}});
    for name in ["a", "b"] {
        edit(&context, name, free.clone()).await;
    }
    controller.stop().await;
}

async fn a_branch_stays_with_its_task_when_the_lease_goes(context: Context) {
    create_secret(&context).await;
    create_workspace(&context).await;
    let controller = Controller::start(&context);
    create(&context, "a", on_branch()).await;
    let pod = kubelet::pod_of(&context, "a").await;
    kubelet::starts(&context, &pod).await;
    once(&context, "a", "a run", shows("AgentStarted")).await;
    // It does not go with its Workspace alone.
    let workspaces: Api<Workspace> = context.api();
    let parameters = DeleteParams::background();
    workspaces.delete("web", &parameters).await.unwrap();
    within(COLLECTED, "the Lease has one owner", async || {
        let lease = leases(&context).await.remove(0);
        (lease.owner_references().len() == 1).then_some(())
    })
    .await;
    create_workspace(&context).await;
    let lease = leases(&context).await.remove(0);
    let api: Api<Lease> = context.api();
    api.delete(&lease.name_any(), &parameters).await.unwrap();
    create(&context, "b", on_branch()).await;
    let waiting = once(&context, "b", "a wait", shows("WaitingForBranch")).await;
    assert_eq!(
        said(&waiting),
        "WaitingForBranch: waits for branch \"fix\": Task \"a\" works on it"
    );
    let jobs: Api<Job> = context.api();
    assert!(jobs.get_opt("b").await.unwrap().is_none());
    agent_ends(&context, "a", 0, DONE).await;
    ended(&context, "a").await;
    job_of(&context, "b").await;
    controller.stop().await;
}

async fn a_pod_that_still_ends_keeps_its_branch_without_workspace_task_and_lease(context: Context) {
    create_secret(&context).await;
    create_workspace(&context).await;
    let controller = Controller::start(&context);
    create(&context, "a", on_branch()).await;
    let pod = kubelet::pod_of(&context, "a").await;
    let on_a_node = json!({"conditions": [{"type": "PodScheduled", "status": "True"}]});
    kubelet::says(&context, &pod, on_a_node).await;
    hold(&context, &pod, true).await;
    let workspaces: Api<Workspace> = context.api();
    let tasks: Api<Task> = context.api();
    let parameters = DeleteParams::background();
    workspaces.delete("web", &parameters).await.unwrap();
    tasks.delete("a", &parameters).await.unwrap();
    let jobs: Api<Job> = context.api();
    within(COLLECTED, "Job and Lease are gone", async || {
        let no_job = jobs.get_opt("a").await.unwrap().is_none();
        (no_job && leases(&context).await.is_empty()).then_some(())
    })
    .await;
    create_workspace(&context).await;
    create(&context, "b", on_branch()).await;
    let waiting = once(&context, "b", "a look", |it| !it.conditions.is_empty()).await;
    assert_eq!(
        said(&waiting),
        "WaitingForBranch: waits for branch \"fix\": Task \"a\" works on it"
    );
    assert!(jobs.get_opt("b").await.unwrap().is_none());
    hold(&context, &pod, false).await;
    job_of(&context, "b").await;
    controller.stop().await;
}
