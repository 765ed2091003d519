//! Spawners that are to make no Tasks, or no more of them.

use axon::api::TaskSpawner;
use axon::api::task_spawner::SpawnerPhase;
use kube::Api;
use kube::api::Patch;
use kube::api::PatchParams;
use serde_json::Value;
use serde_json::json;

use super::Controller;
use super::FakeGithub;
use super::await_names;
use super::finish;
use super::issue;
use super::names;
use super::observed;
use super::reason;
use super::spawner;
use super::workspace;
use crate::server::Context;
use crate::server::eventually;

crate::on_both_servers!(
    a_suspended_spawner_looks_for_nothing,
    ticks_of_a_suspended_time_are_one_run,
    no_more_tasks_than_asked_for,
    a_lost_count_makes_no_more,
);

async fn change(context: &Context, spec: Value) {
    let patch = json!({"spec": spec});
    context
        .api::<TaskSpawner>()
        .patch("triage", &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
}

async fn a_suspended_spawner_looks_for_nothing(context: Context) {
    let github = FakeGithub::start(&[1, 2].map(issue)).await;
    workspace(&context).await;
    let retry = json!({"limit": 3, "backoff": "1m"});
    spawner(
        &context,
        json!({"maxConcurrency": 1, "taskTemplate": {"retry": retry}}),
    )
    .await;
    let controller = Controller::start(&context, &github);
    await_names(&context, &["triage-1"]).await;
    let task: Api<axon::api::Task> = context.api();
    let given = task.get("triage-1").await.unwrap().spec.retry.unwrap();
    assert_eq!((given.limit, given.backoff.as_str()), (3, "1m"));

    change(&context, json!({"suspend": true})).await;
    let suspended = reason(&context, "Suspended").await.status.unwrap();
    assert_eq!(suspended.phase, Some(SpawnerPhase::Running));
    assert_eq!(suspended.active_tasks, Some(1), "its Tasks go on");
    let polls = github.polls().await;
    finish(&context, "triage-1").await;
    let spawners: Api<TaskSpawner> = context.api();
    eventually("no active Tasks", || async {
        let status = spawners.get("triage").await.unwrap().status?;
        (status.active_tasks == Some(0)).then_some(())
    })
    .await;
    assert_eq!(names(&context).await.len(), 1, "a free slot is not filled");
    assert_eq!(github.polls().await, polls);

    change(&context, json!({"suspend": false})).await;
    reason(&context, "Working").await;
    await_names(&context, &["triage-1", "triage-2"]).await;
    controller.stop().await;
}

async fn ticks_of_a_suspended_time_are_one_run(context: Context) {
    let github = FakeGithub::start(&[]).await;
    let every_day = json!({"githubIssues": null, "cron": {"schedule": "0 3 * * *"}});
    spawner(&context, json!({"when": every_day, "suspend": true})).await;
    let cursor = json!({"status": {"lastScheduleTime": "2026-01-01T03:00:00Z"}});
    context
        .api::<TaskSpawner>()
        .patch_status("triage", &PatchParams::default(), &Patch::Merge(&cursor))
        .await
        .unwrap();
    let controller = Controller::start(&context, &github);
    let suspended = reason(&context, "Suspended").await.status.unwrap();
    assert_eq!(suspended.next_schedule_time, None);
    assert!(names(&context).await.is_empty());
    change(&context, json!({"suspend": false})).await;
    let resumed = reason(&context, "Working").await;
    assert!(resumed.status.unwrap().next_schedule_time.is_some());
    assert_eq!(names(&context).await.len(), 1, "one run, not a burst");
    controller.stop().await;
}

async fn no_more_tasks_than_asked_for(context: Context) {
    let github = FakeGithub::start(&[1, 2, 3].map(issue)).await;
    workspace(&context).await;
    spawner(&context, json!({"maxTotalTasks": 2})).await;
    let controller = Controller::start(&context, &github);
    await_names(&context, &["triage-1", "triage-2"]).await;
    let full = reason(&context, "MaxTotalTasksReached")
        .await
        .status
        .unwrap();
    assert_eq!(full.total_tasks_created, Some(2));
    finish(&context, "triage-1").await;
    let spawners: Api<TaskSpawner> = context.api();
    eventually("one active Task", || async {
        let status = spawners.get("triage").await.unwrap().status?;
        (status.active_tasks == Some(1)).then_some(())
    })
    .await;
    assert_eq!(names(&context).await.len(), 2);
    change(&context, json!({"maxTotalTasks": 3})).await;
    await_names(&context, &["triage-1", "triage-2", "triage-3"]).await;
    reason(&context, "MaxTotalTasksReached").await;
    controller.stop().await;
}

/// As after a crash between a creation and the report of it.
async fn a_lost_count_makes_no_more(context: Context) {
    let github = FakeGithub::start(&[1, 2].map(issue)).await;
    workspace(&context).await;
    spawner(&context, json!({"maxTotalTasks": 1})).await;
    let controller = Controller::start(&context, &github);
    reason(&context, "MaxTotalTasksReached").await;
    controller.stop().await;
    let lost =
        json!({"status": {"totalTasksCreated": 0, "observedGeneration": null, "conditions": []}});
    context
        .api::<TaskSpawner>()
        .patch_status("triage", &PatchParams::default(), &Patch::Merge(&lost))
        .await
        .unwrap();
    let controller = Controller::start(&context, &github);
    reason(&context, "MaxTotalTasksReached").await;
    observed(&context).await;
    await_names(&context, &["triage-1"]).await;
    controller.stop().await;
}
