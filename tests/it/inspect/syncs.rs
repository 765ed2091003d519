//! What people do to a RepoSync. The controller is played by the test.

use std::time::Duration;

use kube::ResourceExt as _;
use kube::api::DeleteParams;
use kube::api::Patch;
use kube::api::PatchParams;
use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde_json::Value;
use serde_json::json;

use super::world::World;
use super::world::end;
use super::world::repo_sync;
use super::world::told;
use crate::on_both_servers;
use crate::server::Context;
use crate::server::eventually;

const URL: &str = "https://example.com/acme/app.git";

on_both_servers!(
    a_sync_is_created_once_and_as_it_was_typed,
    a_sync_is_asked_to_look_and_its_answer_is_told,
    a_sync_that_nobody_answers_ends_in_time,
    a_plan_is_approved_by_its_digest,
    a_sync_is_held_and_goes_on,
);

async fn a_sync_is_created_once_and_as_it_was_typed(context: Context) {
    let world = World::of(context).await;
    let create = ["create", "sync", "app", "--repo", URL, "--interval", "90s"];
    let dry = world.axon(&[&create[..], &["--dry-run"]].concat()).await;
    dry.check(
        0,
        &[
            "kind: RepoSync\n",
            "interval: \"1m30s\"\n",
            "repo: https://example.com",
        ],
    );
    assert!(world.syncs().get_opt("app").await.unwrap().is_none());
    world
        .axon(&create)
        .await
        .check(0, &["RepoSync/app created\n", "hint: watch its first sync"]);
    let made = world.syncs().get("app").await.unwrap();
    assert_eq!(made.spec.interval, "1m30s");
    assert_eq!(
        made.managed_fields()[0].manager.as_deref(),
        Some("axon-cli")
    );
    world
        .axon(&create)
        .await
        .check(1, &["is there already", "hint: change it"]);
    let wrong = [
        "create",
        "sync",
        "b",
        "--repo",
        "https://bob:CANARY@example.com/a",
    ];
    let said = world.axon(&wrong).await;
    said.check(64, &["cannot use --repo", "Secret"]);
    assert!(!said.err.contains("CANARY"), "{said:?}");
}

/// Asks for a sync and answers it with `status`.
async fn answered(world: &World, status: Value) -> super::world::Said {
    let started = world
        .command(&["sync", "app", "--timeout", "40s"])
        .spawn()
        .unwrap();
    let before = world.syncs().get("app").await.unwrap();
    let handled = before.status.and_then(|it| it.last_handled_reconcile_at);
    let asked = eventually("the request", || async {
        let sync = world.syncs().get("app").await.unwrap();
        let asked = sync.annotations().get("axon.io/reconcileAt").cloned();
        asked.filter(|it| Some(it) != handled.as_ref())
    })
    .await;
    let mut status = status;
    status["lastHandledReconcileAt"] = json!(asked);
    world.set_sync_status("app", status).await;
    end(started).await
}

async fn a_sync_is_asked_to_look_and_its_answer_is_told(context: Context) {
    let world = World::of(context).await;
    world
        .axon(&["sync", "app"])
        .await
        .check(1, &["there is no RepoSync \"app\"", "hint: create it"]);
    world.make(repo_sync("app", URL)).await;
    world
        .axon(&["sync", "other"])
        .await
        .check(1, &["hint: there are: \"app\""]);
    let mut status = told(true, "Synced", "");
    status["lastAppliedRevision"] = json!("0123456789abcdef0123456789abcdef01234567");
    status["objects"] = json!({"created": 2, "updated": 0, "deleted": 0, "unchanged": 1});
    let said = answered(&world, status).await;
    said.check(
        0,
        &["RepoSync/app  at 0123456789ab (last change: 2 created, 1 unchanged)\n"],
    );

    let mut guarded = told(false, "PruneGuard", "9 of 10 would go\u{1b}[2J");
    guarded["plan"] = json!({"digest": "d1", "summary": "- Task/a  delete\n"});
    let said = answered(&world, guarded).await;
    said.check(3, &[
        "Plan d1\n  - Task/a  delete\n",
        "error: RepoSync/app is not ready: PruneGuard\n  caused by: 9 of 10 would go\\u{1b}[2J\n",
        "axon approve app",
    ]);
    answered(&world, told(false, "NotOwned", "taken"))
        .await
        .check(5, &["caused by: taken"]);
    answered(&world, told(false, "FetchFailed", "no route"))
        .await
        .check(1, &["no route", "hint"]);
    world
        .axon(&["sync", "app", "--no-wait"])
        .await
        .check(0, &["asked RepoSync/app"]);
    world.axon(&["suspend", "sync/app"]).await.check(0, &[]);
    world
        .axon(&["sync", "app"])
        .await
        .check(1, &["is suspended", "axon resume sync/app"]);
}

async fn a_sync_that_nobody_answers_ends_in_time(context: Context) {
    let world = World::of(context).await;
    world.make(repo_sync("app", URL)).await;
    let said = world.axon(&["sync", "app", "--timeout", "6s"]).await;
    said.check(6, &["has not answered within 6s", "does a controller run"]);

    let asked = || async {
        let sync = world.syncs().get("app").await.unwrap();
        sync.annotations().get("axon.io/reconcileAt").cloned()
    };
    let before = asked().await;
    let started = world.command(&["sync", "app"]).spawn().unwrap();
    let pid = Pid::from_raw(i32::try_from(started.id().unwrap()).unwrap());
    eventually("the request", || async {
        (asked().await != before).then_some(())
    })
    .await;
    // It listens from when it waits on; until then the signal ends it like any program.
    tokio::time::sleep(Duration::from_millis(300)).await;
    kill(pid, Signal::SIGINT).unwrap();
    end(started)
        .await
        .check(130, &["interrupted; RepoSync/app goes on"]);

    let before = asked().await;
    let started = world.command(&["sync", "app"]).spawn().unwrap();
    eventually("the request", || async {
        (asked().await != before).then_some(())
    })
    .await;
    world
        .syncs()
        .delete("app", &DeleteParams::default())
        .await
        .unwrap();
    end(started).await.check(1, &["was deleted meanwhile"]);
}

async fn a_plan_is_approved_by_its_digest(context: Context) {
    let world = World::of(context).await;
    world.make(repo_sync("app", URL)).await;
    world
        .axon(&["approve", "app"])
        .await
        .check(64, &["no terminal", "--yes"]);
    let approve = ["approve", "app", "--yes"];
    world.axon(&approve).await.check(1, &["no plan that waits"]);
    let digest = "0123456789abcdef".repeat(4);
    let mut status = told(false, "ApprovalRequired", "someone has to look");
    status["plan"] = json!({"digest": digest, "summary": "- Task/a  delete\n"});
    world.set_sync_status("app", status.clone()).await;
    let other = world
        .axon(&[&approve[..], &["--plan", "fedcba987654"]].concat())
        .await;
    other.check(
        4,
        &[
            "the plan that waits is not \"fedcba987654\"",
            "- Task/a  delete",
        ],
    );
    let annotations = || async {
        world
            .syncs()
            .get("app")
            .await
            .unwrap()
            .annotations()
            .clone()
    };
    assert!(annotations().await.is_empty());
    for answer in ["no\n", "y\n"] {
        let said = world.typed(&["approve", "app"], answer).await;
        said.check(1, &["- Task/a  delete"]);
        assert!(!annotations().await.contains_key("axon.io/approved-plan"));
    }
    world
        .typed(&["approve", "app"], "yes\n")
        .await
        .check(0, &["approved", "axon sync app"]);
    assert_eq!(annotations().await["axon.io/approved-plan"], digest);
    world
        .axon(&[&approve[..], &["--plan", &digest[..12]]].concat())
        .await
        .check(0, &["approved already"]);
    assert_eq!(annotations().await["axon.io/approved-plan"], digest);
    assert!(!annotations().await.contains_key("axon.io/allow-prune"));
    world.axon(&approve).await.check(0, &["approved already"]);
    status["conditions"][0]["reason"] = json!("PruneGuard");
    world.set_sync_status("app", status).await;
    world.axon(&approve).await.check(0, &["approved;"]);
    assert_eq!(annotations().await["axon.io/allow-prune"], digest);
}

async fn a_sync_is_held_and_goes_on(context: Context) {
    let world = World::of(context).await;
    let object = repo_sync("app", URL);
    let params = PatchParams::apply("flux");
    let mut held = object.clone();
    held["spec"]["suspend"] = json!(false);
    world
        .syncs()
        .patch("app", &params, &Patch::Apply(&held))
        .await
        .unwrap();
    let is_held = || async { world.syncs().get("app").await.unwrap().spec.suspend };
    let said = world.axon(&["suspend", "sync/app"]).await;
    said.check(
        0,
        &[
            "RepoSync/app suspended\n",
            "warning: \"spec.suspend\" is set by \"flux\"",
        ],
    );
    assert!(is_held().await);
    world
        .axon(&["suspend", "sync", "app"])
        .await
        .check(0, &["is suspended already"]);
    world
        .axon(&["resume", "reposync/app"])
        .await
        .check(0, &["RepoSync/app resumed\n"]);
    assert!(!is_held().await);
    world
        .axon(&["resume", "sync/app"])
        .await
        .check(0, &["is not suspended"]);
    world
        .axon(&["suspend", "task/app"])
        .await
        .check(64, &["not a kind", "sync/NAME"]);
    world
        .axon(&["suspend", "app"])
        .await
        .check(64, &["does not name an object"]);
}
