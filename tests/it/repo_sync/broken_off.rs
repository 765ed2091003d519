//! What is left of an approved plan that was broken off.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use axon::api::repo_sync::RepoSyncStatus;
use kube::Client;
use serde_json::Value;
use serde_json::json;
use tower::service_fn;

use super::stage::Running;
use super::stage::Stage;
use super::stage::stuck_after;
use crate::server::Context;
use crate::server::eventually;

crate::on_both_servers!(
    what_is_left_of_an_approved_plan_goes_on,
    what_a_killed_controller_left_goes_on,
    a_new_step_makes_what_is_left_wait,
    an_approval_that_is_taken_back_makes_what_is_left_wait,
);

const APPROVED: &str = "axon.io/approved-plan";
const ALL: [(&str, &str); 3] = [("a", "x"), ("b", "x"), ("c", "x")];
const WITHOUT_B: [(&str, &str); 2] = [("a", "x"), ("c", "x")];

/// An API server that lets nobody write Workspace `b` as long as the policy is there.
fn with_policy(inner: &Client) -> (Client, Arc<AtomicBool>) {
    let policy = Arc::new(AtomicBool::new(true));
    let (inner, is_there) = (inner.clone(), Arc::clone(&policy));
    let service = service_fn(move |request: http::Request<kube::client::Body>| {
        let inner = inner.clone();
        let is_b = request.uri().path().ends_with("/workspaces/b");
        let is_refused =
            is_b && request.method() == http::Method::PATCH && is_there.load(Ordering::SeqCst);
        async move {
            if !is_refused {
                return inner.send(request).await.map_err(tower::BoxError::from);
            }
            let message = "Internal error occurred: failed calling webhook";
            let status = json!({"kind": "Status", "code": 500, "message": message}).to_string();
            let answer = http::Response::builder().status(500);
            Ok(answer.body(kube::client::Body::from(status.into_bytes()))?)
        }
    });
    (Client::new(service, "default"), policy)
}

/// Lets a plan that creates all be approved. Gives its digest.
async fn approve(stage: &Stage<'_>) -> String {
    stage.create("app", json!({"approval": "All"})).await;
    let status = stage.reason("app", "ApprovalRequired").await;
    let digest = status.plan.unwrap().digest;
    stage.annotate("app", APPROVED, &digest).await;
    digest
}

/// A plan that was approved and could not be carried out in full.
async fn half_done(stage: &Stage<'_>) -> RepoSyncStatus {
    let digest = approve(stage).await;
    let status = stage.reason("app", "ApplyFailed").await;
    stage.holds(&WITHOUT_B).await;
    assert_eq!(status.approved.as_ref().unwrap().digest, digest);
    status
}

async fn what_is_left_of_an_approved_plan_goes_on(context: Context) {
    let stage = Stage::new(&context);
    let first = stage.commit(&ALL);
    let (client, policy) = with_policy(&context.client);
    let controller = Running::with(client, &context);
    half_done(&stage).await;
    policy.store(false, Ordering::SeqCst);
    let status = stage.applied("app", &first).await;
    assert_eq!(status.approved, None);
    stage.holds(&ALL).await;
    controller.stop().await;
}

async fn what_a_killed_controller_left_goes_on(context: Context) {
    let stage = Stage::new(&context);
    let first = stage.commit(&ALL);
    let (client, _) = stuck_after(1, &context.client);
    let stuck = Running::with(client, &context);
    approve(&stage).await;
    eventually("one of them is there", || async {
        (stage.workspaces().await.len() == 1).then_some(())
    })
    .await;
    stuck.task.abort();
    assert!(stuck.task.await.unwrap_err().is_cancelled());

    let controller = Running::start(&context);
    let status = stage.applied("app", &first).await;
    assert_eq!(status.approved, None);
    stage.holds(&ALL).await;
    controller.stop().await;
}

async fn a_new_step_makes_what_is_left_wait(context: Context) {
    let stage = Stage::new(&context);
    let first = stage.commit(&ALL);
    let (client, policy) = with_policy(&context.client);
    let controller = Running::with(client, &context);
    half_done(&stage).await;
    stage.drift("a", "y").await;
    let status = stage.reason("app", "ApprovalRequired").await;
    assert_eq!(status.approved, None);
    policy.store(false, Ordering::SeqCst);
    stage.call("app").await;
    let status = stage.reason("app", "ApprovalRequired").await;
    stage.holds(&[("a", "y"), ("c", "x")]).await;
    let digest = status.plan.unwrap().digest;
    stage.annotate("app", APPROVED, &digest).await;
    stage.applied("app", &first).await;
    stage.holds(&ALL).await;
    controller.stop().await;
}

async fn an_approval_that_is_taken_back_makes_what_is_left_wait(context: Context) {
    let stage = Stage::new(&context);
    stage.commit(&ALL);
    let (client, policy) = with_policy(&context.client);
    let controller = Running::with(client, &context);
    let digest = half_done(&stage).await.approved.unwrap().digest;
    let none = json!({"metadata": {"annotations": {APPROVED: Value::Null}}});
    stage.edit("app", none).await;
    stage.reason("app", "ApprovalRequired").await;
    policy.store(false, Ordering::SeqCst);
    stage.call("app").await;
    let status = stage.reason("app", "ApprovalRequired").await;
    stage.holds(&WITHOUT_B).await;
    // What was approved before is another plan by now.
    assert_ne!(status.plan.unwrap().digest, digest);
    stage.annotate("app", APPROVED, &digest).await;
    stage.call("app").await;
    stage.reason("app", "ApprovalRequired").await;
    stage.holds(&WITHOUT_B).await;
    controller.stop().await;
}
