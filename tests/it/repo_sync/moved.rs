//! A RepoSync that is pointed at another repository: that one is opened, and what the first has left is
//! told.

use serde_json::json;

use super::stage::Running;
use super::stage::Stage;
use super::stage::config;
use super::stage::message;
use crate::git_server::GitRepo;
use crate::server::Context;
use crate::server::eventually;

crate::on_both_servers!(
    another_repository_is_opened,
    what_the_first_repository_left_is_told,
);

async fn another_repository_is_opened(context: Context) {
    let stage = Stage::new(&context);
    stage.commit(&[("a", "main")]);
    let other = GitRepo::new(stage.dir(), "acme/other.git");
    let file = config(&[("b", "main")]).replace("sync: app", "sync: other");
    let there = other.commit(&[("axon.yaml", &file)]);
    let controller = Running::start(&context);
    stage.create("app", json!({})).await;
    stage.reason("app", "Synced").await;

    let url = format!("{}/acme/other.git", stage.server.url());
    stage.edit("app", json!({"spec": {"repo": url}})).await;
    let status = stage.applied("app", &there).await;
    assert_eq!(status.sync.as_deref(), Some("other"));

    // What does not exist is not "Ready" by what was there before.
    let url = format!("{}/acme/none.git", stage.server.url());
    stage.edit("app", json!({"spec": {"repo": url}})).await;
    let status = stage.reason("app", "AuthenticationFailed").await;
    assert!(message(&status).contains("acme/none.git"), "{status:?}");
    let gone = "http://127.0.0.1:1/acme/app.git";
    stage.edit("app", json!({"spec": {"repo": gone}})).await;
    let status = stage.reason("app", "FetchFailed").await;
    assert!(message(&status).contains(gone), "{status:?}");

    stage
        .edit("app", json!({"spec": {"repo": stage.url()}}))
        .await;
    stage.reason("app", "Synced").await;
    controller.stop().await;
}

async fn what_the_first_repository_left_is_told(context: Context) {
    let stage = Stage::new(&context);
    let plain = |names: &[(&str, &str)]| config(names).replace("sync: app\n", "");
    let first = stage
        .repo
        .commit(&[("axon.yaml", &plain(&[("a", "main"), ("b", "main")]))]);
    let other = GitRepo::new(stage.dir(), "acme/other.git");
    let there = other.commit(&[("axon.yaml", &plain(&[("c", "main")]))]);
    let controller = Running::start(&context);
    stage.create("app", json!({})).await;
    let old = stage.applied("app", &first).await.sync.unwrap();

    let url = format!("{}/acme/other.git", stage.server.url());
    stage.edit("app", json!({"spec": {"repo": url}})).await;
    let status = stage.applied("app", &there).await;
    assert_eq!(status.former_sync.as_ref(), Some(&old));
    let said = message(&status);
    for words in [
        format!("objects of sync \"{old}\" are left: Workspace/a, Workspace/b"),
        format!("--take-over-sync {old} --adopt"),
        format!("-l axon.io/sync={old}"),
    ] {
        assert!(said.contains(&words), "{said}");
    }
    // Nothing of another repository is deleted.
    stage
        .holds(&[("a", "main"), ("b", "main"), ("c", "main")])
        .await;
    eventually("it is told by an event", || async {
        let events = stage.events("app").await;
        let told = events.iter().filter(|it| *it == "LeftBehind").count();
        (told == 1).then_some(())
    })
    .await;
    // It is said as long as it is so.
    stage.remove_workspaces(&["a", "b"]).await;
    eventually("nothing is left", || async {
        let status = stage.call("app").await;
        status.former_sync.is_none().then_some(())
    })
    .await;
    let status = stage.applied("app", &there).await;
    assert_eq!(message(&status), format!("applied revision {there}"));
    controller.stop().await;
}
