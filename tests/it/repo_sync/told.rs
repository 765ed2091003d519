//! What a RepoSync says of itself while it works, and what it makes of refusals.

use axon::api::Workspace;
use axon::api::repo_sync::RepoSyncStatus;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::Client;
use kube::ResourceExt as _;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::api::PostParams;
use serde_json::json;
use tower::service_fn;

use super::stage::Requests;
use super::stage::Running;
use super::stage::Stage;
use super::stage::message;
use super::stage::ready;
use super::stage::stuck_after;
use crate::server::Context;
use crate::server::eventually;

crate::on_both_servers!(
    an_apply_says_that_it_goes_on,
    a_refusal_that_lasts_is_no_work_in_progress,
    records_of_what_left_are_marked_by_a_commit_that_changes_nothing,
    a_record_that_cannot_be_written_holds_no_other_up,
    objects_go_with_their_sync_though_its_spec_was_edited,
    what_a_sync_that_goes_leaves_is_said,
    what_has_lost_its_origin_is_said,
);

async fn what_has_lost_its_origin_is_said(context: Context) {
    let stage = Stage::new(&context);
    let first = stage.commit(&[("a", "x"), ("b", "x")]);
    let controller = Running::start(&context);
    // What is stripped is put right as long as it is declared; here it leaves git before.
    let spec = json!({"driftCorrection": false});
    stage.create("app", spec).await;
    stage.applied("app", &first).await;
    let api: Api<Workspace> = context.api();
    let stripped = json!({"metadata": {"annotations": {"axon.io/origin": null}}});
    let patch = Patch::Merge(&stripped);
    api.patch("b", &PatchParams::default(), &patch)
        .await
        .unwrap();
    let second = stage.commit(&[("a", "x")]);
    stage.call("app").await;
    let status = stage.applied("app", &second).await;
    let told = format!(
        "applied revision {second}; nothing proves that this sync made what left its configuration without \
         \"axon.io/origin\": Workspace/b; delete it, or take its label \"axon.io/sync\" away"
    );
    assert_eq!(message(&status), told);
    stage.holds(&[("a", "x"), ("b", "x")]).await;
    stage.remove_workspaces(&["b"]).await;
    let third = stage.commit(&[("a", "y")]);
    stage.call("app").await;
    let status = stage.applied("app", &third).await;
    assert_eq!(message(&status), format!("applied revision {third}"));
    controller.stop().await;
}

fn conditions(status: &RepoSyncStatus) -> Vec<String> {
    let all = status.conditions.iter();
    all.map(|it| format!("{}={} {}", it.type_, it.status, it.reason))
        .collect()
}

async fn an_apply_says_that_it_goes_on(context: Context) {
    let stage = Stage::new(&context);
    let first = stage.commit(&[("a", "main")]);
    let controller = Running::start(&context);
    stage.create("app", json!({})).await;
    stage.applied("app", &first).await;
    controller.stop().await;

    let second = stage.commit(&[("a", "main"), ("b", "main"), ("c", "main")]);
    let (client, _) = stuck_after(1, &context.client);
    let stuck = Running::with(client, &context);
    let status = eventually("it says that it is at work", || async {
        let status = stage.status("app").await;
        (ready(&status)?.reason == "Progressing").then_some(status)
    })
    .await;
    let expected = ["Ready=Unknown Progressing", "Reconciling=True Progressing"];
    assert_eq!(conditions(&status), expected);
    assert_eq!(status.last_attempted_revision.as_ref(), Some(&second));
    assert_eq!(status.last_applied_revision, Some(first));
    let told = format!("applying revision {second}: 2 to create, 1 unchanged");
    assert_eq!(message(&status), told);
    stuck.task.abort();
    assert!(stuck.task.await.unwrap_err().is_cancelled());

    let controller = Running::start(&context);
    let status = stage.applied("app", &second).await;
    assert_eq!(conditions(&status), ["Ready=True Synced"]);
    controller.stop().await;
}

/// An API server whose kinds are older than the controller.
fn older(inner: &Client) -> Client {
    let inner = inner.clone();
    let service = service_fn(move |request: http::Request<kube::client::Body>| {
        let inner = inner.clone();
        async move {
            let path = request.uri().path();
            if request.method() != http::Method::PATCH || !path.contains("/workspaces/") {
                return inner.send(request).await.map_err(tower::BoxError::from);
            }
            let message = "failed to create typed patch object (x/a; axon.io/v1alpha1, Kind=Workspace): .spec.ref: field not declared in schema";
            let status = json!({"kind": "Status", "code": 500, "message": message}).to_string();
            let answer = http::Response::builder().status(500);
            Ok(answer.body(kube::client::Body::from(status.into_bytes()))?)
        }
    });
    Client::new(service, "default")
}

async fn a_refusal_that_lasts_is_no_work_in_progress(context: Context) {
    let stage = Stage::new(&context);
    let first = stage.commit(&[("a", "main")]);
    let controller = Running::with(older(&context.client), &context);
    stage.create("app", json!({})).await;
    let status = stage.reason("app", "InvalidConfig").await;
    let told = message(&status);
    assert!(
        told.contains("Workspace/a: failed to create typed patch object"),
        "{told}"
    );
    let expected = ["Ready=False InvalidConfig", "Stalled=True InvalidConfig"];
    assert_eq!(conditions(&status), expected);
    assert_eq!(status.history.len(), 1);
    controller.stop().await;
    let controller = Running::start(&context);
    stage.applied("app", &first).await;
    controller.stop().await;
}

async fn records_of_what_left_are_marked_by_a_commit_that_changes_nothing(context: Context) {
    let stage = Stage::new(&context);
    let first = stage.commit(&[("a", "main")]);
    let requests = Requests::default();
    let controller = Running::with(requests.count(&context.client), &context);
    stage.create("app", json!({})).await;
    stage.applied("app", &first).await;
    // A Task ran, and its TTL removed it; then it leaves the configuration.
    let record: ConfigMap = serde_json::from_value(json!({
        "metadata": {"name": "gone", "labels": {"axon.io/record": "run", "axon.io/sync": "app"}},
        "data": {"task": "gone", "taskUID": "u", "run": "v1-x", "outcome": "Succeeded"},
    }))
    .unwrap();
    let records: Api<ConfigMap> = context.api();
    records
        .create(&PostParams::default(), &record)
        .await
        .unwrap();
    let same = format!("{}# no longer\n", super::config(&[("a", "main")]));
    let second = stage.repo.commit(&[("axon.yaml", &same)]);
    stage.call("app").await;
    let status = stage.applied("app", &second).await;
    let is_left = || async {
        let record = records.get("gone").await.unwrap();
        let label = record.labels().get("axon.io/left").cloned();
        (label.as_deref() == Some("true")).then_some(())
    };
    eventually("the record is marked", is_left).await;
    assert_eq!(
        status.history[0].objects, None,
        "no object changed: {status:?}"
    );

    // The next commit costs what a commit costs, and nothing else.
    let third = stage
        .repo
        .commit(&[("axon.yaml", &format!("{same}# at all\n"))]);
    requests.taken();
    stage.call("app").await;
    stage.applied("app", &third).await;
    let ours = |line: &String| !line.contains("/leases/") && !line.contains("/events");
    let asked: Vec<String> = requests.taken().into_iter().filter(ours).collect();
    let status = format!(
        "PATCH /apis/axon.io/v1alpha1/namespaces/{}/reposyncs/app/status",
        context.namespace
    );
    assert_eq!(asked, [status]);
    controller.stop().await;
}

async fn a_record_that_cannot_be_written_holds_no_other_up(context: Context) {
    let records: Api<ConfigMap> = context.api();
    let marks = json!({"axon.io/record": "run", "axon.io/sync": "app", "axon.io/left": "true"});
    for name in ["a", "b", "c"] {
        let record = json!({"metadata": {"name": name, "labels": marks}, "data": {"task": name}});
        let record = serde_json::from_value(record).unwrap();
        records
            .create(&PostParams::default(), &record)
            .await
            .unwrap();
    }
    let inner = context.client.clone();
    let service = service_fn(move |request: http::Request<kube::client::Body>| {
        let inner = inner.clone();
        async move {
            let is_held = request.uri().path().ends_with("/configmaps/a");
            if request.method() != http::Method::PATCH || !is_held {
                return inner.send(request).await.map_err(tower::BoxError::from);
            }
            let status =
                json!({"kind": "Status", "code": 403, "reason": "Forbidden", "message": "no"});
            let answer = http::Response::builder().status(403);
            Ok(answer.body(kube::client::Body::from(status.to_string().into_bytes()))?)
        }
    });
    let controller = Running::with(Client::new(service, "default"), &context);
    for name in ["b", "c"] {
        eventually("the record gets its time", || async {
            let record = records.get(name).await.unwrap();
            record
                .annotations()
                .contains_key("axon.io/forget-after")
                .then_some(())
        })
        .await;
    }
    assert!(records.get("a").await.unwrap().annotations().is_empty());
    controller.stop().await;
}

async fn objects_go_with_their_sync_though_its_spec_was_edited(context: Context) {
    let stage = Stage::new(&context);
    let first = stage.commit(&[("a", "main"), ("b", "main")]);
    let controller = Running::start(&context);
    let spec = json!({"deletionPolicy": "Delete"});
    stage.create("app", spec).await;
    let status = stage.applied("app", &first).await;
    assert_eq!(status.in_force.unwrap().path, "axon.yaml");
    stage
        .edit("app", json!({"spec": {"path": "elsewhere/axon.yaml"}}))
        .await;
    let status = stage.reason("app", "PathNotFound").await;
    assert_eq!(status.in_force.unwrap().path, "axon.yaml");
    stage.delete("app").await;
    super::gone(&stage, "app").await;
    stage.holds(&[]).await;
    controller.stop().await;
}

async fn what_a_sync_that_goes_leaves_is_said(context: Context) {
    let stage = Stage::new(&context);
    let first = stage.commit(&[("a", "main")]);
    let controller = Running::start(&context);
    stage
        .create("app", json!({"deletionPolicy": "Delete"}))
        .await;
    stage.applied("app", &first).await;
    // Of the same id, declared by another file: applied by hand before the RepoSync came, say.
    let workspaces: Api<Workspace> = context.api();
    let other = serde_json::from_value(json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "Workspace",
        "metadata": {
            "name": "other",
            "labels": {"axon.io/sync": "app"},
            "annotations": {"axon.io/origin": "example.com/other#axon.yaml#Workspace/other"},
        },
        "spec": {"repo": "https://example.com/other.git"},
    }))
    .unwrap();
    workspaces
        .create(&PostParams::default(), &other)
        .await
        .unwrap();
    stage.delete("app").await;
    super::gone(&stage, "app").await;
    stage.holds(&[("other", "")]).await;
    let events = stage.events("app").await;
    assert!(events.contains(&"DeletionGivenUp".to_owned()), "{events:?}");
    controller.stop().await;
}
