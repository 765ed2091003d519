//! Tasks that the API server does not take.

use std::time::Duration;

use axon::api::TaskSpawner;
use http::Method;
use kube::Api;
use kube::api::Patch;
use kube::api::PatchParams;
use serde_json::json;

use super::Controller;
use super::FakeGithub;
use super::await_names;
use super::issue;
use super::names;
use super::poll_again;
use super::reason;
use super::spawner;
use super::workspace;
use crate::server::Context;
use crate::server::eventually;
use crate::task::pair::Line;
use crate::task::pair::REFUSAL;

crate::on_both_servers!(
    a_refused_item_starts_once_it_is_taken,
    a_refused_tick_is_not_passed,
);

async fn a_refused_item_starts_once_it_is_taken(context: Context) {
    let github = FakeGithub::start(&[1, 2, 3].map(issue)).await;
    workspace(&context).await;
    spawner(&context, json!({})).await;
    let line = Line::start(&context, Duration::ZERO).await;
    line.refuse(Method::POST, "/tasks", 1);
    let controller = Controller::through(&context, &github, line.client());
    let refused = reason(&context, "ItemFailed").await.status.unwrap();
    let message = refused.message.unwrap();
    assert!(message.contains("github.com/acme/web#2"), "{message}");
    assert!(message.contains(REFUSAL), "{message}");
    assert!(message.contains("1 more"), "{message}");
    await_names(&context, &["triage-1"]).await;
    let before = line.refused().len();
    poll_again(&context, 8).await;
    assert_eq!(line.refused().len(), before + 2, "asked once in a poll");

    line.relent();
    poll_again(&context, 9).await;
    await_names(&context, &["triage-1", "triage-2", "triage-3"]).await;
    let status = reason(&context, "Working").await.status.unwrap();
    assert_eq!(status.total_tasks_created, Some(3));
    controller.stop().await;
}

async fn a_refused_tick_is_not_passed(context: Context) {
    const LAST: &str = "2026-01-01T03:00:00Z";
    let github = FakeGithub::start(&[]).await;
    let every_day = json!({"githubIssues": null, "cron": {"schedule": "0 3 * * *"}});
    spawner(&context, json!({"when": every_day})).await;
    let spawners: Api<TaskSpawner> = context.api();
    let cursor = json!({"status": {"lastScheduleTime": LAST}});
    spawners
        .patch_status("triage", &PatchParams::default(), &Patch::Merge(&cursor))
        .await
        .unwrap();
    let line = Line::start(&context, Duration::ZERO).await;
    line.refuse(Method::POST, "/tasks", 0);
    let controller = Controller::through(&context, &github, line.client());
    let refused = reason(&context, "ItemFailed").await.status.unwrap();
    assert_eq!(refused.last_schedule_time.unwrap().0.to_string(), LAST);
    assert!(names(&context).await.is_empty());

    line.relent();
    poll_again(&context, 9).await;
    eventually("a tick that is handled", || async {
        let status = spawners.get("triage").await.unwrap().status?;
        (status.last_schedule_time?.0.to_string() != LAST).then_some(())
    })
    .await;
    assert_eq!(names(&context).await.len(), 1);
    controller.stop().await;
}
