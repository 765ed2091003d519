//! Plans that wait for somebody's word.

use axon::api::Task;
use kube::Api;
use kube::ResourceExt as _;
use kube::api::ListParams;
use serde_json::json;

use super::stage::Running;
use super::stage::Stage;
use super::stage::message;
use crate::server::Context;
use crate::server::eventually;

crate::on_both_servers!(
    a_plan_waits_for_approval,
    only_destructive_plans_wait_where_that_is_asked_for,
    a_newer_commit_does_not_wait,
    many_deletions_wait_for_a_word,
    an_empty_configuration_deletes_nothing_by_itself,
    many_reruns_wait_for_a_word,
);

async fn a_plan_waits_for_approval(context: Context) {
    let stage = Stage::new(&context);
    let first = stage.commit(&[("a", "main")]);
    let controller = Running::start(&context);
    stage.create("app", json!({"approval": "All"})).await;
    let status = stage.reason("app", "ApprovalRequired").await;
    let plan = status.plan.clone().unwrap();
    assert_eq!(plan.summary, "+ Workspace/a\n1 to create");
    assert!(
        message(&status).contains(&plan.digest),
        "{}",
        message(&status)
    );
    assert_eq!(status.conditions[1].type_, "Reconciling");
    stage.holds(&[]).await;
    // Another plan's digest is no approval of this one.
    stage.annotate("app", "axon.io/approved-plan", "0000").await;
    let status = stage.call("app").await;
    assert_eq!(status.plan, Some(plan.clone()));
    stage.holds(&[]).await;
    stage
        .annotate("app", "axon.io/approved-plan", &plan.digest)
        .await;
    let status = stage.applied("app", &first).await;
    assert_eq!(status.plan, None);
    stage.holds(&[("a", "main")]).await;
    assert!(
        stage
            .events("app")
            .await
            .contains(&"ApprovalRequired".to_owned())
    );

    // The approval is used up: what comes next is another plan.
    stage.commit(&[("a", "next")]);
    stage.call("app").await;
    let status = stage.reason("app", "ApprovalRequired").await;
    let next = status.plan.unwrap();
    assert_eq!(next.summary, "~ Workspace/a: spec.ref\n1 to update");
    assert_ne!(next.digest, plan.digest);
    controller.stop().await;
}

async fn only_destructive_plans_wait_where_that_is_asked_for(context: Context) {
    let stage = Stage::new(&context);
    let first = stage.commit(&[("a", "main"), ("b", "main")]);
    let controller = Running::start(&context);
    stage
        .create("app", json!({"approval": "Destructive"}))
        .await;
    stage.applied("app", &first).await;
    stage.commit(&[("a", "next")]);
    stage.call("app").await;
    let status = stage.reason("app", "ApprovalRequired").await;
    let plan = status.plan.unwrap();
    assert!(plan.summary.contains("- Workspace/b"), "{}", plan.summary);
    stage.holds(&[("a", "main"), ("b", "main")]).await;
    stage
        .annotate("app", "axon.io/approved-plan", &plan.digest)
        .await;
    stage.holds(&[("a", "next")]).await;
    controller.stop().await;
}

async fn a_newer_commit_does_not_wait(context: Context) {
    let stage = Stage::new(&context);
    let first = stage.commit(&[("a", "main"), ("b", "main")]);
    let controller = Running::start(&context);
    stage
        .create("app", json!({"approval": "Destructive"}))
        .await;
    stage.applied("app", &first).await;
    stage.commit(&[("a", "main")]);
    stage.call("app").await;
    stage.reason("app", "ApprovalRequired").await;
    let third = stage.commit(&[("a", "main"), ("b", "main"), ("c", "main")]);
    stage.call("app").await;
    let status = stage.applied("app", &third).await;
    assert_eq!(status.plan, None);
    stage
        .holds(&[("a", "main"), ("b", "main"), ("c", "main")])
        .await;
    controller.stop().await;
}

async fn many_deletions_wait_for_a_word(context: Context) {
    let stage = Stage::new(&context);
    let all = [("a", "x"), ("b", "x"), ("c", "x"), ("d", "x"), ("e", "x")];
    let first = stage.commit(&all);
    let controller = Running::start(&context);
    stage.create("app", json!({})).await;
    stage.applied("app", &first).await;
    let second = stage.commit(&all[..2]);
    stage.call("app").await;
    let status = stage.reason("app", "PruneGuard").await;
    assert!(
        message(&status).starts_with("3 of 5 objects would be deleted; if that is meant"),
        "{}",
        message(&status)
    );
    stage.holds(&all).await;
    let digest = status.plan.unwrap().digest;
    stage.annotate("app", "axon.io/allow-prune", &digest).await;
    stage.applied("app", &second).await;
    stage.holds(&all[..2]).await;
    controller.stop().await;
}

async fn an_empty_configuration_deletes_nothing_by_itself(context: Context) {
    let stage = Stage::new(&context);
    let first = stage.commit(&[("a", "x")]);
    let controller = Running::start(&context);
    stage.create("app", json!({})).await;
    stage.applied("app", &first).await;
    let empty = "apiVersion: axon.io/v1alpha1\nkind: Config\nsync: app\n";
    let second = stage.repo.commit(&[("axon.yaml", empty)]);
    stage.call("app").await;
    let status = stage.reason("app", "EmptyGuard").await;
    stage.holds(&[("a", "x")]).await;
    let digest = status.plan.unwrap().digest;
    stage.annotate("app", "axon.io/allow-prune", &digest).await;
    stage.applied("app", &second).await;
    stage.holds(&[]).await;
    controller.stop().await;
}

async fn many_reruns_wait_for_a_word(context: Context) {
    let config = |prompt: &str| {
        let tasks: Vec<String> = (0..4)
            .map(|number| format!("  t{number}: {{prompt: {prompt}}}\n"))
            .collect();
        format!(
            "apiVersion: axon.io/v1alpha1\nkind: Config\nsync: app\n\
             defaults: {{type: codex, credentials: {{type: api-key, secretRef: {{name: none}}}}}}\n\
             tasks:\n{}",
            tasks.concat()
        )
    };
    let stage = Stage::new(&context);
    let first = stage.repo.commit(&[("axon.yaml", &config("one"))]);
    let controller = Running::start(&context);
    stage.create("app", json!({})).await;
    stage.applied("app", &first).await;
    let second = stage.repo.commit(&[("axon.yaml", &config("CANARY"))]);
    stage.call("app").await;
    let status = stage.reason("app", "RerunGuard").await;
    let told = serde_json::to_string(&status).unwrap();
    assert!(!told.contains("CANARY"), "{told}");
    let tasks: Api<Task> = context.api();
    let uids = async || {
        let all = tasks.list(&ListParams::default()).await.unwrap();
        let uids = all.iter().map(|it| it.uid().unwrap());
        uids.collect::<Vec<String>>()
    };
    let before = uids().await;
    assert_eq!(before.len(), 4);
    let digest = status.plan.unwrap().digest;
    stage
        .annotate("app", "axon.io/approved-plan", &digest)
        .await;
    stage.applied("app", &second).await;
    eventually("all four run again", || async {
        let now = uids().await;
        (now.len() == 4 && now.iter().all(|it| !before.contains(it))).then_some(())
    })
    .await;
    controller.stop().await;
}
