//! Objects and fields of others.

use axon::sync::Probe;
use serde_json::json;

use super::fixture::CONFIG;
use super::fixture::Sync;
use super::fixture::changes;
use super::fixture::edit_as;
use super::fixture::lines;
use super::fixture::managers;
use super::fixture::workspace;
use crate::on_both_servers;
use crate::server::Context;

on_both_servers!(
    objects_of_others_are_adopted_only_on_request,
    conflicts_stop_an_adoption_unless_forced,
    an_object_may_invite_its_sync,
    what_appears_between_plan_and_apply_is_not_merged_into,
    fields_of_client_side_kubectl_are_taken_on_request,
    fields_of_others_stay_conflicts_when_ownership_is_taken,
);

async fn objects_of_others_are_adopted_only_on_request(context: Context) {
    let sync = Sync::new(&context);
    let foreign = workspace("app", &json!({"repo": "https://example.com/acme/app.git"}));
    context.create("Workspace", &foreign).await;
    let plan = sync.plan(CONFIG).await;
    assert_eq!(lines(&plan)[0], "Workspace/app Foreign");
    let applied = sync.apply(&plan).await;
    assert_eq!(applied.blocked.len(), 1);
    let live = context.get("Workspace", "app").await.unwrap();
    assert_eq!(live["metadata"].get("labels"), None);

    let adopting = sync.with(|options| options.adopt = true);
    adopting.converge(CONFIG).await;
    assert!(!sync.plan(CONFIG).await.summary().has_changes());

    // Whatever is asked for, what another sync has stays there.
    let other = CONFIG.replace("sync: app", "sync: other");
    let plan = adopting.plan(&other).await;
    assert!(
        lines(&plan)
            .iter()
            .all(|line| line.ends_with("OtherSync { sync: \"app\", is_elsewhere: false }")),
        "{:?}",
        lines(&plan)
    );
}

async fn conflicts_stop_an_adoption_unless_forced(context: Context) {
    let adopting = Sync::new(&context).with(|options| options.adopt = true);
    let spec = json!({"repo": "https://example.com/acme/app.git", "ref": "x"});
    context.create("Workspace", &workspace("app", &spec)).await;
    for probe in [Probe::Nothing, Probe::All] {
        let plan = adopting
            .with(|options| options.probe = probe)
            .plan(CONFIG)
            .await;
        let line = &lines(&plan)[0];
        assert!(
            line.starts_with("Workspace/app Conflict { fields: [OwnedField { path: \"spec.ref\""),
            "{line}"
        );
        assert_eq!(plan.summary().conflicts, 1);
    }
    let forcing = adopting.with(|options| options.force_conflicts = true);
    forcing.converge(CONFIG).await;
    let live = context.get("Workspace", "app").await.unwrap();
    assert_eq!(live["spec"]["ref"], "main");
}

async fn an_object_may_invite_its_sync(context: Context) {
    let sync = Sync::new(&context);
    let mut foreign = workspace("app", &json!({"repo": "https://example.com/acme/app.git"}));
    foreign["metadata"]["annotations"] = json!({"axon.io/adopt-into": "other"});
    context.create("Workspace", &foreign).await;
    assert_eq!(lines(&sync.plan(CONFIG).await)[0], "Workspace/app Foreign");
    let invite = json!({"metadata": {"annotations": {"axon.io/adopt-into": "app"}}});
    edit_as("someone", &context, "Workspace", "app", &invite).await;
    assert_eq!(lines(&sync.plan(CONFIG).await)[0], "Workspace/app update");
    sync.converge(CONFIG).await;
    let live = context.get("Workspace", "app").await.unwrap();
    assert_eq!(live["metadata"]["labels"]["axon.io/sync"], "app");
}

async fn what_appears_between_plan_and_apply_is_not_merged_into(context: Context) {
    let sync = Sync::new(&context);
    let plan = sync.plan(CONFIG).await;
    // Nothing in it contradicts what is declared, and yet it is somebody's.
    let foreign = workspace("app", &json!({"repo": "https://example.com/acme/app.git"}));
    context.create("Workspace", &foreign).await;
    let before = context.get("Workspace", "app").await;
    let applied = sync.apply(&plan).await;
    assert_eq!(applied.failed.len(), 1, "{applied:?}");
    assert!(applied.failed[0].is_conflict, "{applied:?}");
    assert_eq!(context.get("Workspace", "app").await, before);
    context.delete("Workspace", "app").await;
    sync.converge(CONFIG).await;
    // What creates is an apply, so that what leaves the configuration leaves the object.
    let live = context.get("Workspace", "app").await.unwrap();
    assert_eq!(managers(&live), ["axon-app Apply"]);
}

async fn fields_of_client_side_kubectl_are_taken_on_request(context: Context) {
    let spec = json!({
        "repo": "https://example.com/acme/app.git", "ref": "x", "secretRef": {"name": "old"},
    });
    let mut foreign = workspace("app", &spec);
    foreign["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/last-applied-configuration": "CANARY"});
    context
        .create_as("kubectl-client-side-apply", "Workspace", &foreign)
        .await;
    let label = json!({"metadata": {"labels": {"team": "web"}}});
    edit_as("someone", &context, "Workspace", "app", &label).await;
    let adopting = Sync::new(&context).with(|options| options.adopt = true);
    let told = lines(&adopting.plan(CONFIG).await)[0].clone();
    assert!(told.contains("Conflict"), "{told}");

    let taking = adopting.with(|options| options.take_ownership = true);
    let plan = taking.plan(CONFIG).await;
    let told = changes(&plan, "Workspace/app").join("\n");
    for expected in [
        r#"spec.ref: Value(String("x")) -> Value(String("main")) by None"#,
        r#"spec.secretRef.name: Value(String("old")) -> Absent by None"#,
        r#"last-applied-configuration"]: Sensitive -> Absent"#,
    ] {
        assert!(told.contains(expected), "{told}");
    }
    assert!(!told.contains("CANARY"), "{told}");
    taking.converge(CONFIG).await;
    let live = context.get("Workspace", "app").await.unwrap();
    assert_eq!(live["spec"]["ref"], "main");
    assert_eq!(live["spec"].get("secretRef"), None);
    assert_eq!(live["metadata"]["labels"]["team"], "web");
    assert_eq!(managers(&live), ["axon-app Apply", "someone Update"]);

    // What was taken is ours: it goes when it leaves the configuration.
    let without = CONFIG.replace(", ref: main", "");
    Sync::new(&context).converge(&without).await;
    let live = context.get("Workspace", "app").await.unwrap();
    assert_eq!(live["spec"].get("ref"), None);
}

async fn fields_of_others_stay_conflicts_when_ownership_is_taken(context: Context) {
    let spec = json!({"repo": "https://example.com/acme/app.git"});
    let foreign = workspace("app", &spec);
    context
        .create_as("kubectl-create", "Workspace", &foreign)
        .await;
    let other = json!({"spec": {"ref": "x"}});
    edit_as("someone", &context, "Workspace", "app", &other).await;
    let taking = Sync::new(&context).with(|options| {
        options.adopt = true;
        options.take_ownership = true;
    });
    let line = lines(&taking.plan(CONFIG).await)[0].clone();
    assert!(line.contains("manager: \"someone\""), "{line}");
}
