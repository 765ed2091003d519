//! `axon controller`, killed while a schedule's tick becomes a Task. The test plays the kubelet.

use std::collections::BTreeSet;

use axon::api::Task;
use axon::api::TaskSpawner;
use axon::api::task::TaskPhase;
use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use kube::api::ListParams;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::api::PostParams;
use serde_json::json;
use tokio::task::JoinSet;

use super::Fault;
use super::PATIENCE;
use super::Place;
use super::controller::Seen;
use super::controller::arguments;
use super::controller::end_pods;
use super::controller::witness;
use super::everywhere;
use super::note;
use crate::on_both_servers;
use crate::server::Context;
use crate::server::within;

on_both_servers!(a_tick_may_be_killed_anywhere);

/// The last tick that was handled: many are due since, which make one run.
const CURSOR: &str = "2026-01-01T03:00:00Z";

async fn prepare(context: &Context) {
    let spawners: Api<TaskSpawner> = context.api();
    let spawner = serde_json::from_value(json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "TaskSpawner", "metadata": {"name": "daily"},
        "spec": {
            "when": {"cron": {"schedule": "0 3 * * *"}},
            "taskTemplate": {
                "type": "claude-code", "credentials": {"type": "none"}, "promptTemplate": "x",
            },
        },
    }))
    .unwrap();
    let params = PostParams::default();
    spawners.create(&params, &spawner).await.unwrap();
    let cursor = json!({"status": {"lastScheduleTime": CURSOR}});
    let (params, cursor) = (PatchParams::default(), Patch::Merge(&cursor));
    spawners
        .patch_status("daily", &params, &cursor)
        .await
        .unwrap();
}

async fn over(context: &Context) {
    within(
        PATIENCE,
        "the tick is handled and its run has ended",
        async || {
            let spawner = context.api::<TaskSpawner>().get("daily").await.unwrap();
            let last = spawner.status?.last_schedule_time?.0.to_string();
            let tasks: Api<Task> = context.api();
            let tasks = tasks.list(&ListParams::default()).await.unwrap().items;
            let phase = |task: &Task| task.status.as_ref().and_then(|it| it.phase);
            let ended = tasks
                .iter()
                .all(|it| phase(it) == Some(TaskPhase::Succeeded));
            (last != CURSOR && ended && !tasks.is_empty()).then_some(())
        },
    )
    .await;
}

/// Runs the controller until all is over, through a kill if there is a fault. Gives the writes and
/// whether the line was cut.
async fn run(context: &Context, fault: Option<Fault>) -> (usize, bool) {
    let (tasks, jobs) = (Seen::default(), Seen::default());
    let mut around = JoinSet::new();
    around.spawn(witness::<Task>(context.api(), &tasks));
    around.spawn(witness::<Job>(context.api(), &jobs));
    around.spawn(end_pods(context.alias()));
    prepare(context).await;
    let place = Place::new(context, fault).await;
    let mut child = place.start(&arguments(context));
    let cut = tokio::select! {
        () = place.proxy.is_cut() => true,
        () = over(context) => false,
    };
    child.kill().await.unwrap();
    if cut {
        let again = Place::new(context, None).await;
        let mut child = again.start(&arguments(context));
        over(context).await;
        child.kill().await.unwrap();
    }
    around.shutdown().await;
    for (what, seen) in [("Task", &tasks), ("Job", &jobs)] {
        let seen = seen.lock().unwrap();
        let count: usize = seen.values().map(BTreeSet::len).sum();
        assert_eq!(count, 1, "{what}s of a tick after {fault:?}: {seen:?}");
    }
    (place.proxy.writes(), cut)
}

async fn a_tick_may_be_killed_anywhere(context: Context) {
    let undisturbed = context.sibling().await;
    let (writes, _) = run(&undisturbed, None).await;
    let points = everywhere(&context, writes, |context, fault| async move {
        run(&context, Some(fault)).await.1
    })
    .await;
    note("axon controller, a schedule", &context, points, 8);
}
