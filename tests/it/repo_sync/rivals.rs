//! Two RepoSyncs that want the same: one has it, the other says so, and they never take turns.

use std::collections::BTreeMap;

use axon::api::Workspace;
use kube::Api;
use kube::ResourceExt as _;
use kube::api::ListParams;
use serde_json::json;

use super::stage::Running;
use super::stage::Stage;
use super::stage::config;
use super::stage::message;
use crate::server::Context;

crate::on_both_servers!(
    of_two_with_one_id_the_older_has_it,
    of_two_that_declare_one_object_the_first_has_it,
    a_foreign_object_is_taken_when_it_is_given,
    whoever_takes_an_id_over_does_not_go_back_to_an_older_commit,
    what_git_says_already_is_no_drift,
);

/// Generation and UID of a Workspace: what they were taken back to, they would tell.
async fn trace_of(context: &Context, name: &str) -> (Option<i64>, Option<String>) {
    let workspaces: Api<Workspace> = context.api();
    let found = workspaces.get(name).await.unwrap();
    (found.metadata.generation, found.uid())
}

async fn whoever_takes_an_id_over_does_not_go_back_to_an_older_commit(context: Context) {
    let stage = Stage::new(&context);
    let first = stage.commit(&[("a", "main"), ("b", "main")]);
    let controller = Running::start(&context);
    stage.create("one", json!({})).await;
    stage.applied("one", &first).await;
    whoever_comes_is_younger_than(&stage, "one").await;
    stage.create("two", json!({})).await;
    stage.reason("two", "NotOwned").await;
    // The other one has read the first commit only.
    let second = stage.commit(&[("a", "next"), ("b", "main"), ("c", "main")]);
    stage.call("one").await;
    stage.applied("one", &second).await;
    let before = (trace_of(&context, "a").await, trace_of(&context, "c").await);
    stage.delete("one").await;
    stage.applied("two", &second).await;
    let after = (trace_of(&context, "a").await, trace_of(&context, "c").await);
    assert_eq!(after, before);
    controller.stop().await;
}

async fn what_git_says_already_is_no_drift(context: Context) {
    let stage = Stage::new(&context);
    let first = stage.commit(&[("a", "main")]);
    let controller = Running::start(&context);
    stage.create("one", json!({})).await;
    stage.applied("one", &first).await;
    let before = trace_of(&context, "a").await.0.unwrap();
    // A commit that nobody polled for, applied from elsewhere.
    let second = stage.commit(&[("a", "next")]);
    stage.drift("a", "next").await;
    stage.applied("one", &second).await;
    stage.holds(&[("a", "next")]).await;
    assert_eq!(trace_of(&context, "a").await.0, Some(before + 1));
    controller.stop().await;
}

/// Calls both again and again, and sees that neither objects nor statuses are written but for the
/// answers to the calls.
async fn stay_as_they_are(stage: &Stage<'_>, names: [&str; 2], context: &Context) {
    let workspaces: Api<Workspace> = context.api();
    let versions = async || -> BTreeMap<String, Option<i64>> {
        let all = workspaces.list(&ListParams::default()).await.unwrap();
        let versions = all.iter().map(|it| (it.name_any(), it.metadata.generation));
        versions.collect()
    };
    let conditions = async || {
        let mut all = Vec::new();
        for name in names {
            all.push(stage.status(name).await.conditions);
        }
        all
    };
    let before = (versions().await, conditions().await);
    for _ in 0..5 {
        for name in names {
            stage.call(name).await;
        }
    }
    assert_eq!((versions().await, conditions().await), before);
}

/// Times of creation have whole seconds: awaits the next one.
async fn whoever_comes_is_younger_than(stage: &Stage<'_>, name: &str) {
    let created = stage.get(name).await.creation_timestamp().unwrap().0;
    crate::server::eventually("the next second", || async {
        let mut probe = stage.create("probe", json!({"suspend": true})).await;
        stage.delete("probe").await;
        let time = probe.metadata.creation_timestamp.take().unwrap().0;
        (time > created).then_some(())
    })
    .await;
}

async fn of_two_with_one_id_the_older_has_it(context: Context) {
    let stage = Stage::new(&context);
    let other = config(&[("a", "other"), ("z", "other")]);
    let first = stage.repo.commit(&[
        ("axon.yaml", &config(&[("a", "main")])),
        ("other.yaml", &other),
    ]);
    stage.create("older", json!({})).await;
    whoever_comes_is_younger_than(&stage, "older").await;
    stage.create("younger", json!({"path": "other.yaml"})).await;
    let controller = Running::start(&context);
    stage.applied("older", &first).await;
    let status = stage.reason("younger", "NotOwned").await;
    assert!(
        message(&status).contains("sync id \"app\" is taken by RepoSync \"older\""),
        "{}",
        message(&status)
    );
    assert_eq!(status.sync, None);
    stage.holds(&[("a", "main")]).await;
    stay_as_they_are(&stage, ["older", "younger"], &context).await;
    // When the older one goes, the id is free; its objects are still of its file.
    stage.delete("older").await;
    let status = crate::server::eventually("the younger one looks again", || async {
        let status = stage.status("younger").await;
        (status.sync.as_deref() == Some("app")).then_some(status)
    })
    .await;
    assert!(
        message(&status).contains("Workspace/a: it comes from"),
        "{}",
        message(&status)
    );
    controller.stop().await;
}

async fn of_two_that_declare_one_object_the_first_has_it(context: Context) {
    let stage = Stage::new(&context);
    let other = config(&[("shared", "other"), ("z", "other")]).replace("sync: app", "sync: web");
    let mine = config(&[("a", "main"), ("shared", "main")]);
    let first = stage
        .repo
        .commit(&[("axon.yaml", &mine), ("other.yaml", &other)]);
    let controller = Running::start(&context);
    stage.create("one", json!({})).await;
    stage.applied("one", &first).await;
    stage.create("two", json!({"path": "other.yaml"})).await;
    let status = stage.reason("two", "NotOwned").await;
    assert!(
        message(&status).contains("Workspace/shared: it belongs to sync \"app\""),
        "{}",
        message(&status)
    );
    // What is its own is in force all the same.
    let expected = [("a", "main"), ("shared", "main"), ("z", "other")];
    stage.holds(&expected).await;
    stay_as_they_are(&stage, ["one", "two"], &context).await;
    // It is given up by the one, and so the other's.
    let second = stage
        .repo
        .commit(&[("axon.yaml", &config(&[("a", "main")]))]);
    stage.call("one").await;
    stage.applied("one", &second).await;
    stage
        .holds(&[("a", "main"), ("shared", "other"), ("z", "other")])
        .await;
    stage.reason("two", "Synced").await;
    controller.stop().await;
}

async fn a_foreign_object_is_taken_when_it_is_given(context: Context) {
    let stage = Stage::new(&context);
    let workspaces: Api<Workspace> = context.api();
    let foreign: Workspace = serde_json::from_value(json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "Workspace", "metadata": {"name": "a"},
        "spec": {"repo": "https://example.com/a.git"},
    }))
    .unwrap();
    workspaces
        .create(&kube::api::PostParams::default(), &foreign)
        .await
        .unwrap();
    let first = stage.commit(&[("a", "main")]);
    let controller = Running::start(&context);
    stage.create("app", json!({})).await;
    let status = stage.reason("app", "NotOwned").await;
    assert!(
        message(&status).contains("belongs to no sync"),
        "{}",
        message(&status)
    );
    let give = json!({"metadata": {"annotations": {"axon.io/adopt-into": "app"}}});
    let params = kube::api::PatchParams::default();
    let patch = kube::api::Patch::Merge(&give);
    workspaces.patch("a", &params, &patch).await.unwrap();
    stage.applied("app", &first).await;
    stage.holds(&[("a", "main")]).await;
    controller.stop().await;
}
