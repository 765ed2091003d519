//! Plans and what applying them does to objects of our own.

use std::fmt::Write as _;

use axon::model::run::Outcome;
use axon::sync::Stand;
use axon::sync::Until;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::fixture::CONFIG;
use super::fixture::Requests;
use super::fixture::Sync;
use super::fixture::changes;
use super::fixture::edit_as;
use super::fixture::lines;
use crate::on_both_servers;
use crate::server::Context;

on_both_servers!(
    a_configuration_is_applied_once_and_then_unchanged,
    a_thousand_objects_cost_no_more_requests_than_they_must,
    drift_is_shown_and_taken_back,
    what_left_an_object_is_removed_and_what_others_set_stays,
    no_value_of_a_variable_is_told,
    tasks_are_waited_for,
);

async fn a_configuration_is_applied_once_and_then_unchanged(context: Context) {
    let requests = Requests::default();
    let sync = Sync::of(requests.count(&context.client), &context);
    let plan = sync.plan(CONFIG).await;
    assert_eq!(
        lines(&plan),
        [
            "Workspace/app create",
            "TaskSpawner/nightly create",
            "Task/port create"
        ]
    );
    assert_eq!(
        (plan.summary().runs, plan.declared, plan.members),
        (1, 3, 0)
    );
    let applied = sync.apply(&plan).await;
    assert_eq!(applied.done.len(), 3, "{applied:?}");

    requests.taken();
    let plan = sync.plan(CONFIG).await;
    assert!(!plan.summary().has_changes(), "{:?}", lines(&plan));
    assert_eq!(plan.members, 3);
    let mut asked = requests.taken();
    asked.sort();
    let base = format!("/namespaces/{}", context.namespace);
    assert_eq!(
        asked,
        [
            format!("GET /api/v1{base}/configmaps"),
            format!("GET /apis/axon.io/v1alpha1{base}/tasks"),
            format!("GET /apis/axon.io/v1alpha1{base}/taskspawners"),
            format!("GET /apis/axon.io/v1alpha1{base}/workspaces"),
        ]
    );
    // Order, comments and form of the file make no difference.
    let reordered = CONFIG
        .replace("sync: app\n", "")
        .replace("tasks:", "# x\nsync: app\ntasks:");
    assert!(!sync.plan(&reordered).await.summary().has_changes());
}

async fn a_thousand_objects_cost_no_more_requests_than_they_must(context: Context) {
    const OBJECTS: usize = 1000;
    let mut config =
        "apiVersion: axon.io/v1alpha1\nkind: Config\nsync: app\nworkspaces:\n".to_owned();
    for number in 0..OBJECTS {
        writeln!(
            config,
            "  w{number}: {{repo: \"https://example.com/acme/{number}.git\"}}"
        )
        .unwrap();
    }
    let requests = Requests::default();
    let sync = Sync::of(requests.count(&context.client), &context);
    let plan = sync.plan(&config).await;
    // One LIST for each kind and the records; one more for what is in the way of creations.
    assert_eq!(requests.taken().len(), 5);
    assert_eq!(sync.apply(&plan).await.done.len(), OBJECTS);
    assert_eq!(requests.taken().len(), OBJECTS, "one request an object");
    let plan = sync.plan(&config).await;
    assert!(!plan.summary().has_changes());
    let asked = requests.taken();
    assert!(
        asked.len() == 4 && asked.iter().all(|it| it.starts_with("GET ")),
        "{asked:?}"
    );
}

async fn drift_is_shown_and_taken_back(context: Context) {
    let sync = Sync::new(&context);
    sync.converge(CONFIG).await;
    let edit = json!({"spec": {"ref": "x"}});
    edit_as("kubectl-edit", &context, "Workspace", "app", &edit).await;
    let plan = sync.plan(CONFIG).await;
    let changes = changes(&plan, "Workspace/app");
    assert_eq!(
        changes,
        [r#"spec.ref: Value(String("x")) -> Value(String("main")) by Some("kubectl-edit")"#]
    );
    sync.apply(&plan).await;
    assert!(!sync.plan(CONFIG).await.summary().has_changes());
    let live = context.get("Workspace", "app").await.unwrap();
    assert_eq!(live["spec"]["ref"], "main");
}

async fn what_left_an_object_is_removed_and_what_others_set_stays(context: Context) {
    let sync = Sync::new(&context);
    sync.converge(CONFIG).await;
    let edit = json!({"spec": {"maxConcurrency": 1}, "metadata": {"labels": {"team": "web"}}});
    edit_as("someone", &context, "TaskSpawner", "nightly", &edit).await;
    assert!(!sync.plan(CONFIG).await.summary().has_changes());

    let without = CONFIG.replace(", ref: main", "");
    let plan = sync.plan(&without).await;
    assert_eq!(lines(&plan)[0], "Workspace/app update");
    assert_eq!(
        changes(&plan, "Workspace/app"),
        [r#"spec.ref: Value(String("main")) -> Absent by None"#]
    );
    sync.apply(&plan).await;
    assert!(!sync.plan(&without).await.summary().has_changes());
    let workspace = context.get("Workspace", "app").await.unwrap();
    assert_eq!(workspace["spec"].get("ref"), None);
    let spawner = context.get("TaskSpawner", "nightly").await.unwrap();
    assert_eq!(spawner["spec"]["maxConcurrency"], 1);
}

async fn no_value_of_a_variable_is_told(context: Context) {
    let sync = Sync::new(&context);
    let config = |value: &str| {
        let env = format!("podOverrides: {{env: [{{name: A, value: {value}}}]}}");
        CONFIG
            .replace("tasks:\n  port: {", &format!("tasks:\n  port: {{{env}, "))
            .replace(
                "    prompt: Look around.",
                &format!("    prompt: Look around.\n    {env}"),
            )
    };
    let created = sync.converge(&config("CANARYone")).await;
    let changed = sync.plan(&config("CANARYtwo")).await;
    assert_eq!(
        changes(&changed, "TaskSpawner/nightly"),
        ["spec.taskTemplate.podOverrides.env[0].value: Sensitive -> Sensitive by None"]
    );
    let applied = sync.apply(&changed).await;
    let told = format!("{created:?}{changed:?}{applied:?}");
    assert!(!told.contains("CANARY"), "{told}");
}

async fn tasks_are_waited_for(context: Context) {
    let sync = Sync::new(&context);
    let plan = sync.converge(CONFIG).await;
    let pipeline = sync.pipeline.clone();
    let waiting = |until| {
        let (pipeline, plan) = (pipeline.clone(), plan.clone());
        tokio::spawn(async move {
            let stop = CancellationToken::new();
            pipeline
                .observe(&plan, until, &stop, &|_, _| {})
                .await
                .unwrap()
        })
    };
    let stopped = CancellationToken::new();
    stopped.cancel();
    let pending = sync
        .pipeline
        .observe(&plan, Until::Started, &stopped, &|_, _| {})
        .await;
    let pending = pending.unwrap();
    assert!(
        !pending.reached(Until::Started) && pending.tasks.len() == 1,
        "{pending:?}"
    );

    let (started, finished) = (waiting(Until::Started), waiting(Until::Finished));
    context
        .set_status("Task", "port", &json!({"phase": "Running"}))
        .await;
    let observed = started.await.unwrap();
    let stands: Vec<&Stand> = observed.tasks.values().collect();
    assert_eq!(stands, [&Stand::Running]);
    assert!(!observed.reached(Until::Finished));
    context
        .set_status("Task", "port", &json!({"phase": "Failed"}))
        .await;
    let observed = finished.await.unwrap();
    let stands: Vec<Stand> = observed.tasks.into_values().collect();
    assert_eq!(stands, [Stand::Finished(Outcome::Failed)]);
}
