//! A sync that gets another id.

use axon::model::SyncId;
use axon::model::run::Outcome;
use serde_json::json;

use super::fixture::Breaking;
use super::fixture::Sync;
use super::fixture::edit_as;
use super::fixture::lines;
use super::fixture::managers;
use crate::counts;
use crate::on_both_servers;
use crate::server::Context;

on_both_servers!(
    a_renamed_sync_is_refused_unless_it_is_told,
    a_sync_takes_its_new_id_with_all_that_it_has,
    a_rename_may_be_broken_off_anywhere,
    only_what_is_of_this_source_is_renamed,
    a_renamed_sync_of_which_nothing_is_left_runs_nothing_again,
);

const TWO: &str = r#"
apiVersion: axon.io/v1alpha1
kind: Config
sync: app
defaults: {type: claude-code, credentials: {type: none}, workspace: app}
workspaces:
  app: {repo: "https://example.com/acme/app.git", ref: main}
tasks:
  done: {prompt: a}
  gone: {prompt: b}
"#;

fn renamed() -> String {
    TWO.replace("sync: app", "sync: new")
}

fn told(sync: &Sync) -> Sync {
    let old = SyncId::parse("app").unwrap();
    sync.with(|options| options.take_over = Some(old))
}

/// The sync `app` with a Task that has run, and one that is gone since.
async fn with_history(context: &Context) -> Sync {
    let sync = Sync::new(context);
    sync.converge(TWO).await;
    for name in ["done", "gone"] {
        let task = context.get("Task", name).await.unwrap();
        context
            .record("app", name, &task, Some(Outcome::Succeeded))
            .await;
    }
    context.delete("Task", "gone").await;
    sync
}

async fn a_renamed_sync_is_refused_unless_it_is_told(context: Context) {
    let sync = with_history(&context).await;
    let plan = sync.plan(&renamed()).await;
    let lines = lines(&plan);
    assert_eq!(lines.len(), 3);
    // Not even what is gone is made: only the old id's records tell that it ran.
    assert!(
        lines
            .iter()
            .all(|it| it.ends_with(" OtherSync { sync: \"app\", is_elsewhere: false }")),
        "{lines:?}"
    );
    assert!(sync.apply(&plan).await.done.is_empty());
}

async fn a_sync_takes_its_new_id_with_all_that_it_has(context: Context) {
    let sync = with_history(&context).await;
    // What leaves the configuration with the rename goes too.
    let config = renamed().replace(", ref: main", "");
    let plan = told(&sync).plan(&config).await;
    assert_eq!(
        lines(&plan),
        [
            "Workspace/app update",
            "Task/done update",
            "Task/gone ran Succeeded 2026-11-02T10:00:00Z",
        ]
    );
    assert_eq!(
        (plan.members, plan.summary().records, plan.summary().runs),
        (2, 2, 0)
    );
    let applied = told(&sync).apply(&plan).await;
    assert!(applied.is_complete(), "{applied:?}");
    settled(&context, &sync, &config).await;
    let live = context.get("Workspace", "app").await.unwrap();
    assert_eq!(live["spec"].get("ref"), None);
    assert_eq!(managers(&live), ["axon-new Apply"]);
}

/// All is the new id's, with or without the flag, and nothing is left to do.
async fn settled(context: &Context, sync: &Sync, config: &str) {
    for sync in [sync, &told(sync)] {
        let plan = sync.plan(config).await;
        assert!(!plan.summary().has_changes(), "{:?} {plan:?}", lines(&plan));
        assert_eq!(plan.summary().conflicts, 0);
        assert!(lines(&plan)[2].starts_with("Task/gone ran Succeeded"));
    }
    assert_eq!(context.records("new").await.len(), 2);
    assert_eq!(context.records("app").await.len(), 0);
}

async fn a_rename_may_be_broken_off_anywhere(context: Context) {
    let config = renamed();
    let mut points = 0;
    for relayed in [true, false] {
        for at in 0.. {
            let context = context.sibling().await;
            let sync = with_history(&context).await;
            let plan = told(&sync).plan(&config).await;
            let broken = Breaking::at(at, relayed);
            let breaking = told(&Sync::of(broken.client(&context.client), &context));
            breaking.apply(&plan).await;
            // Neither run may be forgotten at any moment.
            for name in ["done", "gone"] {
                let there = context.record_of(name).await;
                assert!(there, "no record of {name} after {at} requests");
            }
            let plan = told(&sync).plan(&config).await;
            assert_eq!(plan.summary().runs, 0, "after {at}: {:?}", lines(&plan));
            let applied = told(&sync).apply(&plan).await;
            assert!(applied.is_complete(), "after {at}: {applied:?}");
            settled(&context, &sync, &config).await;
            if !broken.has_broken() {
                break;
            }
            points += 1;
        }
    }
    assert!(points > 20, "{points}");
    let what = format!("a rename of a sync ({:?})", context.server);
    counts::tell(
        &what,
        &format!("broken off at {points} points, no run forgotten"),
    );
}

async fn only_what_is_of_this_source_is_renamed(context: Context) {
    let sync = with_history(&context).await;
    let origin = json!({"metadata": {"annotations": {
        "axon.io/origin": "example.com/other#axon.yaml#Workspace/app",
    }}});
    edit_as("someone", &context, "Workspace", "app", &origin).await;
    let plan = told(&sync).plan(&renamed()).await;
    assert!(
        lines(&plan)[0].contains("OtherSource"),
        "{:?}",
        lines(&plan)
    );
    let adopting = told(&sync).with(|options| options.adopt = true);
    assert_eq!(
        lines(&adopting.plan(&renamed()).await)[0],
        "Workspace/app update"
    );
}

async fn a_renamed_sync_of_which_nothing_is_left_runs_nothing_again(context: Context) {
    let sync = with_history(&context).await;
    context.delete("Task", "done").await;
    context.delete("Workspace", "app").await;
    let plan = sync.plan(&renamed()).await;
    let told = lines(&plan);
    let blocked = told
        .iter()
        .filter(|it| it.ends_with(" OtherSync { sync: \"app\", is_elsewhere: false }"));
    assert_eq!(blocked.count(), 2, "{told:?}");
    assert_eq!(plan.summary().runs, 0);
    // Told so, it knows what has run.
    let plan = super::rename::told(&sync).plan(&renamed()).await;
    let told = lines(&plan);
    let ran = told.iter().filter(|it| it.contains(" ran Succeeded"));
    assert_eq!(ran.count(), 2, "{told:?}");
}
