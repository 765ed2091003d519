//! What a RepoSync says of itself while it works, and what it makes of refusals.

use axon::api::repo_sync::RepoSyncStatus;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::Client;
use kube::ResourceExt as _;
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
);

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
    assert_eq!(status.history[0].objects, None, "no object changed: {status:?}");

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
