//! What left the configuration.

use std::fmt::Write as _;

use axon::sync::Allow;
use axon::sync::Refusal;
use axon::sync::guard;
use serde_json::Value;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::fixture::CONFIG;
use super::fixture::Sync;
use super::fixture::TASK;
use super::fixture::edit_as;
use super::fixture::lines;
use super::fixture::loaded_with;
use super::fixture::workspace_task;
use crate::on_both_servers;
use crate::server::Context;

on_both_servers!(
    what_left_the_configuration_is_pruned,
    a_copy_is_not_pruned,
    what_has_lost_its_origin_is_told,
    a_sync_that_does_not_prune_keeps_what_left,
    many_deletions_need_their_number,
    a_deletion_is_of_what_was_planned,
    a_change_is_of_what_was_planned,
);

async fn what_left_the_configuration_is_pruned(context: Context) {
    let sync = Sync::new(&context);
    sync.converge(CONFIG).await;
    let task = workspace_task("spawned", "nightly");
    context.create("Task", &task).await;
    let keep = json!({"metadata": {"annotations": {"axon.io/prune": "disabled"}}});
    edit_as("someone", &context, "Workspace", "app", &keep).await;

    let rest = "apiVersion: axon.io/v1alpha1\nkind: Config\nsync: app\nworkspaces: {b: {repo: \"https://example.com/b\"}}\n";
    let plan = sync.plan(rest).await;
    assert_eq!(
        lines(&plan),
        [
            "Workspace/b create",
            "Task/port delete 1",
            "TaskSpawner/nightly delete 1",
            "Workspace/app keep"
        ]
    );
    let applied = sync.apply(&plan).await;
    assert!(applied.is_complete(), "{applied:?}");
    context.await_gone("Task", "port").await;
    context.await_gone("TaskSpawner", "nightly").await;
    assert!(context.get("Workspace", "app").await.is_some());
    assert!(context.get("Task", "spawned").await.is_some());

    // Nothing declared at all is more likely a mistake than a wish.
    let empty = "apiVersion: axon.io/v1alpha1\nkind: Config\nsync: app\n";
    let plan = sync.plan(empty).await;
    assert!(guard::clear(&plan, Allow::default()).is_err());
    // Without a Config nothing says that the rest is not wanted.
    let bare = sync
        .plan_of(&loaded_with(empty, |loaded| loaded.set.has_config = false))
        .await;
    assert_eq!(lines(&bare), Vec::<String>::new());
}

async fn a_copy_is_not_pruned(context: Context) {
    let sync = Sync::new(&context);
    sync.converge(CONFIG).await;
    let mut copy = context.get("Workspace", "app").await.unwrap();
    copy["metadata"] = json!({
        "name": "copy",
        "labels": copy["metadata"]["labels"],
        "annotations": copy["metadata"]["annotations"],
    });
    context.create("Workspace", &copy).await;
    let plan = sync.plan(CONFIG).await;
    assert!(!plan.summary().has_changes(), "{:?}", lines(&plan));
    assert_eq!(plan.members, 3);
}

async fn what_has_lost_its_origin_is_told(context: Context) {
    let sync = Sync::new(&context);
    let stripped = json!({"metadata": {"annotations": {"axon.io/origin": null}}});
    let rest = CONFIG.replace(TASK, "");
    let unproven = "Task/port unproven".to_owned();
    sync.converge(CONFIG).await;
    edit_as("someone", &context, "Task", "port", &stripped).await;
    let plan = sync.plan(&rest).await;
    assert_eq!(lines(&plan)[2], unproven);
    assert!(!plan.has_work());
    sync.apply(&plan).await;
    assert!(context.get("Task", "port").await.is_some());

    // What is declared again is ours again, and then goes.
    sync.converge(CONFIG).await;
    sync.apply(&sync.plan(&rest).await).await;
    context.await_gone("Task", "port").await;

    // As the plan says: without the label it is nobody's.
    sync.converge(&CONFIG.replace("port:", "other:")).await;
    edit_as("someone", &context, "Task", "other", &stripped).await;
    assert_eq!(sync.plan(&rest).await.steps.len(), 3);
    let released = json!({"metadata": {"labels": {"axon.io/sync": null}}});
    edit_as("someone", &context, "Task", "other", &released).await;
    assert_eq!(sync.plan(&rest).await.steps.len(), 2);
}

async fn a_sync_that_does_not_prune_keeps_what_left(context: Context) {
    let sync = Sync::new(&context);
    sync.converge(CONFIG).await;
    let rest = CONFIG.replace(TASK, "");
    let keeping = sync.with(|options| options.prune = false);
    let plan = keeping.plan(&rest).await;
    assert_eq!(lines(&plan)[2], "Task/port keep");
    assert!(!plan.summary().has_changes());
    keeping.apply(&plan).await;
    assert!(context.get("Task", "port").await.is_some());
    sync.apply(&sync.plan(&rest).await).await;
    context.await_gone("Task", "port").await;
}

async fn many_deletions_need_their_number(context: Context) {
    let sync = Sync::new(&context);
    let config = |count: usize| {
        let mut text =
            "apiVersion: axon.io/v1alpha1\nkind: Config\nsync: app\nworkspaces:\n".to_owned();
        for n in 0..count {
            writeln!(text, "  w{n}: {{repo: \"https://example.com/{n}\"}}").unwrap();
        }
        text
    };
    sync.converge(&config(10)).await;
    let plan = sync.plan(&config(6)).await;
    let with = |deletes| Allow {
        deletes,
        runs: None,
    };
    for wrong in [None, Some(3), Some(5)] {
        let refused = guard::clear(&plan, with(wrong)).unwrap_err();
        assert_eq!(
            refused,
            [Refusal::Prune {
                deletes: 4,
                members: 10
            }]
        );
    }
    let stop = CancellationToken::new();
    let cleared = guard::clear(&plan, with(Some(4))).unwrap();
    let applied = sync.pipeline.apply(cleared, &stop).await;
    assert_eq!(applied.done.len(), 4, "{applied:?}");
    // Three of ten may go, three of six not; and never all of them.
    assert!(guard::clear(&sync.plan(&config(4)).await, with(None)).is_ok());
    assert!(guard::clear(&sync.plan(&config(3)).await, with(None)).is_err());
    let empty = "apiVersion: axon.io/v1alpha1\nkind: Config\nsync: app\n";
    let plan = sync.plan(empty).await;
    let refused = guard::clear(&plan, with(None)).unwrap_err();
    assert_eq!(refused, [Refusal::Empty { deletes: 6 }]);
    let cleared = guard::clear(&plan, with(Some(6))).unwrap();
    assert!(sync.pipeline.apply(cleared, &stop).await.is_complete());
}

async fn a_deletion_is_of_what_was_planned(context: Context) {
    let sync = Sync::new(&context);
    let rest = CONFIG.replace(TASK, "");
    let edits: [(&str, Value, bool); 5] = [
        (
            "labels do not make it another",
            json!({"metadata": {"labels": {"seen": "yes"}}}),
            true,
        ),
        (
            "it was edited",
            json!({"spec": {"ttlSecondsAfterFinished": 7}}),
            false,
        ),
        (
            "it is to be kept",
            json!({"metadata": {"annotations": {"axon.io/prune": "disabled"}}}),
            false,
        ),
        (
            "another repository has adopted it",
            json!({"metadata": {"annotations": {"axon.io/origin": "example.com/acme/other#axon.yaml#Task/port"}}}),
            false,
        ),
        (
            "it was let go",
            json!({"metadata": {"labels": {"axon.io/sync": null}}}),
            false,
        ),
    ];
    for (what, edit, is_deleted) in edits {
        sync.converge(CONFIG).await;
        let plan = sync.plan(&rest).await;
        edit_as("someone", &context, "Task", "port", &edit).await;
        let applied = sync.apply(&plan).await;
        assert_eq!(applied.is_complete(), is_deleted, "{what}: {applied:?}");
        if is_deleted {
            context.await_gone("Task", "port").await;
        } else {
            assert!(applied.failed[0].is_conflict, "{what}: {applied:?}");
            assert!(context.get("Task", "port").await.is_some(), "{what}");
            context.delete("Task", "port").await;
        }
    }
    // Another object of the same name is not the one either.
    sync.converge(CONFIG).await;
    let plan = sync.plan(&rest).await;
    context.delete("Task", "port").await;
    sync.converge(CONFIG).await;
    let applied = sync.apply(&plan).await;
    assert!(applied.failed[0].is_conflict, "{applied:?}");
    assert!(context.get("Task", "port").await.is_some());
}

async fn a_change_is_of_what_was_planned(context: Context) {
    let sync = Sync::new(&context);
    sync.converge(CONFIG).await;
    let edited = CONFIG
        .replace("ref: main", "ref: next")
        .replace("prompt: ", "prompt: now ");
    let plan = sync.plan(&edited).await;
    let told = lines(&plan);
    assert!(told.iter().any(|it| it == "Task/port replace"), "{told:?}");
    let before = context.get("Task", "port").await.unwrap();
    // Somebody lets both go between plan and apply.
    let free = json!({"metadata": {"labels": {"axon.io/sync": null}}});
    for (kind, name) in [("Workspace", "app"), ("Task", "port")] {
        edit_as("someone", &context, kind, name, &free).await;
    }
    let applied = sync.apply(&plan).await;
    assert!(
        applied.failed.iter().any(|it| it.is_conflict),
        "{applied:?}"
    );
    assert!(applied.done.is_empty(), "{applied:?}");
    let after = context.get("Task", "port").await.unwrap();
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    let workspace = context.get("Workspace", "app").await.unwrap();
    assert_eq!(workspace["spec"]["ref"], "main");
    assert_eq!(workspace["metadata"]["labels"]["axon.io/sync"], Value::Null);
}
