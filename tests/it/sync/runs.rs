//! Declared Tasks run once: what plans make of their records.

use axon::model::run::Outcome;
use axon::sync::Stand;
use axon::sync::Until;
use serde_json::Value;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::fixture::CONFIG;
use super::fixture::Requests;
use super::fixture::Sync;
use super::fixture::TASK;
use super::fixture::lines;
use crate::on_both_servers;
use crate::server::Context;

on_both_servers!(
    an_edited_task_is_replaced,
    a_task_that_ran_does_not_run_again,
    what_ran_before_does_not_run_when_it_comes_back,
    tasks_that_swap_their_names_run_once_each_way,
    a_run_that_is_broken_off_is_on_record,
    a_record_is_marked_when_its_name_leaves_and_stays_when_it_returns,
);

async fn an_edited_task_is_replaced(context: Context) {
    let sync = Sync::new(&context);
    sync.converge(CONFIG).await;
    let before = context.get("Task", "port").await.unwrap();
    // A status that is written between plan and apply is not a reason to stop.
    let edited = CONFIG.replace("All of it.", "Half of it.");
    let plan = sync.plan(&edited).await;
    assert_eq!(lines(&plan)[2], "Task/port replace");
    assert_eq!(plan.summary().reruns, 1);
    context
        .set_status(
            "Task",
            "port",
            &json!({"phase": "Running", "jobName": "port"}),
        )
        .await;
    let applied = sync.apply(&plan).await;
    assert!(applied.is_complete(), "{applied:?}");
    let after = context.get("Task", "port").await.unwrap();
    assert_ne!(before["metadata"]["uid"], after["metadata"]["uid"]);
    assert_eq!(after["spec"]["prompt"], "Port it.\nHalf of it.");
    assert!(!sync.plan(&edited).await.summary().has_changes());

    // Labels and the time to live do not make another run.
    let kept = edited.replace("port: {", "port: {ttlSecondsAfterFinished: 60, ");
    let plan = sync.plan(&kept).await;
    assert_eq!(lines(&plan)[2], "Task/port update");
    assert!(sync.apply(&plan).await.is_complete());
    let again = kept.replace("port: {", "port: {rerun: 1, ");
    assert_eq!(lines(&sync.plan(&again).await)[2], "Task/port replace");
}

async fn a_task_that_ran_does_not_run_again(context: Context) {
    let sync = Sync::new(&context);
    let plan = sync.converge(CONFIG).await;
    let task = context.get("Task", "port").await.unwrap();
    context
        .record("app", "port", &task, Some(Outcome::Succeeded))
        .await;
    assert!(!sync.plan(CONFIG).await.summary().has_changes());
    context.delete("Task", "port").await;
    let plan_after = sync.plan(CONFIG).await;
    assert_eq!(
        lines(&plan_after)[2],
        "Task/port ran Succeeded 2026-11-02T10:00:00Z"
    );
    assert!(!plan_after.summary().has_changes());
    assert!(sync.apply(&plan_after).await.done.is_empty());

    let edited = CONFIG.replace("All of it.", "Half of it.");
    let plan_edited = sync.plan(&edited).await;
    assert_eq!(lines(&plan_edited)[2], "Task/port create again");
    assert_eq!(plan_edited.summary().reruns, 1);
    // Waiting for a run that is over ends with what its record says.
    let stop = CancellationToken::new();
    let observed = sync
        .pipeline
        .observe(&plan, Until::Finished, &stop, &|_, _| {})
        .await
        .unwrap();
    assert_eq!(
        observed.tasks.into_values().collect::<Vec<_>>(),
        [Stand::Finished(Outcome::Succeeded)]
    );
}

async fn what_ran_before_does_not_run_when_it_comes_back(context: Context) {
    let sync = Sync::new(&context);
    let edited = CONFIG.replace("All of it.", "Half of it.");
    sync.converge(CONFIG).await;
    let task = context.get("Task", "port").await.unwrap();
    context
        .record("app", "port", &task, Some(Outcome::Succeeded))
        .await;
    sync.converge(&edited).await;
    let plan = sync.plan(CONFIG).await;
    assert_eq!(lines(&plan)[2], "Task/port delete 1");
    assert_eq!(plan.summary().runs, 0);
    assert!(sync.apply(&plan).await.is_complete());
    context.await_gone("Task", "port").await;
    let plan = sync.plan(CONFIG).await;
    assert!(lines(&plan)[2].starts_with("Task/port ran Succeeded"));
    assert!(!plan.summary().has_changes());
    let again = CONFIG.replace("port: {", "port: {rerun: 1, ");
    assert_eq!(lines(&sync.plan(&again).await)[2], "Task/port create again");
}

async fn tasks_that_swap_their_names_run_once_each_way(context: Context) {
    let config = |a: &str, b: &str| {
        format!(
            "apiVersion: axon.io/v1alpha1\nkind: Config\nsync: app\n\
             defaults: {{type: claude-code, credentials: {{type: none}}}}\n\
             tasks:\n  a: {{prompt: {a}}}\n  b: {{prompt: {b}}}\n"
        )
    };
    let sync = Sync::new(&context);
    let claim_both = async || {
        for name in ["a", "b"] {
            let task = context.get("Task", name).await.unwrap();
            context
                .record("app", name, &task, Some(Outcome::Failed))
                .await;
        }
    };
    sync.converge(&config("p", "q")).await;
    claim_both().await;
    let plan = sync.plan(&config("q", "p")).await;
    assert_eq!(lines(&plan), ["Task/a replace", "Task/b replace"]);
    assert_eq!(plan.summary().reruns, 2);
    assert!(sync.apply(&plan).await.is_complete());
    claim_both().await;
    // And back: both ran as what they become.
    let plan = sync.plan(&config("p", "q")).await;
    assert_eq!(lines(&plan), ["Task/a delete 1", "Task/b delete 1"]);
    assert!(sync.apply(&plan).await.is_complete());
    let plan = sync.plan(&config("p", "q")).await;
    assert_eq!(plan.summary().runs, 0, "{:?}", lines(&plan));
    assert!(!plan.summary().has_changes());
}

async fn a_run_that_is_broken_off_is_on_record(context: Context) {
    let sync = Sync::new(&context);
    sync.converge(CONFIG).await;
    let first = context.get("Task", "port").await.unwrap();
    context.record("app", "port", &first, None).await;
    let edited = CONFIG.replace("All of it.", "Half of it.");
    sync.converge(&edited).await;
    let second = context.get("Task", "port").await.unwrap();
    context.record("app", "port", &second, None).await;
    sync.apply(&sync.plan(&CONFIG.replace(TASK, "")).await)
        .await;
    let ends: Vec<(String, Option<String>)> = context.records("app").await;
    let run = |task: &Value| {
        let run = &task["metadata"]["annotations"]["axon.io/run"];
        run.as_str().unwrap().to_owned()
    };
    let cancelled = Some("Cancelled".to_owned());
    let mut expected = [(run(&first), cancelled.clone()), (run(&second), cancelled)];
    expected.sort();
    assert_eq!(ends, expected);
}

async fn a_record_is_marked_when_its_name_leaves_and_stays_when_it_returns(context: Context) {
    let requests = Requests::default();
    let sync = Sync::of(requests.count(&context.client), &context);
    sync.converge(CONFIG).await;
    let task = context.get("Task", "port").await.unwrap();
    context
        .record("app", "port", &task, Some(Outcome::Succeeded))
        .await;
    let marked = async || {
        let all = context.labelled_records("app,axon.io/left=true").await;
        all.len()
    };
    let without = CONFIG.replace(TASK, "");
    sync.apply(&sync.plan(&without).await).await;
    assert_eq!(marked().await, 1);
    // Nothing more is written: not by plans, and not by applying them.
    requests.taken();
    let plan = sync.plan(&without).await;
    assert!(
        !plan.summary().has_changes() && plan.ledger.is_empty(),
        "{plan:?}"
    );
    sync.apply(&plan).await;
    assert!(requests.taken().iter().all(|it| it.starts_with("GET ")));
    // It is back: the plan says that it ran, and keeps what tells so.
    let plan = sync.plan(CONFIG).await;
    assert!(lines(&plan)[2].starts_with("Task/port ran Succeeded"));
    assert_eq!(plan.summary().records, 1);
    sync.apply(&plan).await;
    assert_eq!(marked().await, 0);
    assert!(!sync.plan(CONFIG).await.summary().has_changes());
}
