//! Commit statuses against a fake GitHub.

use std::sync::Arc;

use axon::api::RepoSync;
use axon::controller::CommitStatuses;
use axon::controller::Options;
use axon::github::CommitState;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::ListParams;
use kube::api::PostParams;
use serde_json::Value;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use wiremock::Mock;
use wiremock::MockServer;
use wiremock::ResponseTemplate;
use wiremock::matchers::header;
use wiremock::matchers::method;

use crate::server::Context;
use crate::server::eventually;

crate::on_both_servers!(
    each_word_once_and_in_order,
    what_fails_is_an_event,
    a_limit_is_waited_for
);

const ONE: &str = "1111111111111111111111111111111111111111";
const TWO: &str = "2222222222222222222222222222222222222222";
const TOKEN: &str = "ghp-canary-93aa";

/// A GitHub where no commit has a status yet.
async fn github() -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(header("authorization", format!("Bearer {TOKEN}")))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!([])))
        .mount(&server)
        .await;
    server
}

async fn takes(server: &MockServer, answer: ResponseTemplate, times: u64) {
    Mock::given(method("POST"))
        .and(header("authorization", format!("Bearer {TOKEN}")))
        .respond_with(answer)
        .up_to_n_times(times)
        .mount(server)
        .await;
}

fn created() -> ResponseTemplate {
    ResponseTemplate::new(201).set_body_json(json!({}))
}

/// What was written: the commit and the state.
async fn written(server: &MockServer) -> Vec<(String, String)> {
    let requests = server.received_requests().await.unwrap();
    let posts = requests.iter().filter(|it| it.method.as_str() == "POST");
    posts
        .map(|request| {
            let body: Value = serde_json::from_slice(&request.body).unwrap();
            let commit = request.url.path().strip_prefix("/repos/acme/app/statuses/");
            assert!(
                body["context"].as_str().unwrap().ends_with("/app"),
                "{body}"
            );
            let state = body["state"].as_str().unwrap();
            (commit.unwrap().to_owned(), state.to_owned())
        })
        .collect()
}

async fn sync(context: &Context) -> RepoSync {
    let secret: Secret = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token"},
        "data": {"GITHUB_TOKEN": STANDARD.encode(TOKEN)},
    }))
    .unwrap();
    let secrets: Api<Secret> = context.api();
    secrets
        .create(&PostParams::default(), &secret)
        .await
        .unwrap();
    let sync: RepoSync = serde_json::from_value(json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "RepoSync", "metadata": {"name": "app"},
        "spec": {
            "repo": "https://github.com/acme/app.git",
            "commitStatus": {"secretRef": {"name": "token"}},
        },
    }))
    .unwrap();
    let syncs: Api<RepoSync> = context.api();
    syncs.create(&PostParams::default(), &sync).await.unwrap()
}

fn statuses(context: &Context, server: &MockServer) -> Arc<CommitStatuses> {
    CommitStatuses::new(
        context.client.clone(),
        Options {
            github_api: Some(server.uri()),
            ..Options::default()
        },
        CancellationToken::new(),
    )
}

async fn await_written(server: &MockServer, expected: &[(&str, &str)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(commit, state)| ((*commit).to_owned(), (*state).to_owned()))
        .collect();
    eventually("the statuses to be written", || async {
        (written(server).await == expected).then_some(())
    })
    .await;
}

async fn each_word_once_and_in_order(context: Context) {
    let server = github().await;
    takes(&server, created(), 100).await;
    let sync = sync(&context).await;
    let statuses = statuses(&context, &server);
    statuses.tell(&sync, ONE, CommitState::Pending, "waits");
    await_written(&server, &[(ONE, "pending")]).await;
    for _ in 0..10 {
        statuses.tell(&sync, ONE, CommitState::Success, "1 created");
    }
    statuses.tell(&sync, TWO, CommitState::Failure, "conflict");
    // No commit, nothing to tell it on.
    statuses.tell(&sync, "dir:0123456789ab", CommitState::Failure, "conflict");
    let all = [(ONE, "pending"), (ONE, "success"), (TWO, "failure")];
    await_written(&server, &all).await;
}

async fn what_fails_is_an_event(context: Context) {
    let server = github().await;
    takes(&server, ResponseTemplate::new(403), 1).await;
    takes(&server, created(), 100).await;
    let sync = sync(&context).await;
    let statuses = statuses(&context, &server);
    statuses.tell(&sync, ONE, CommitState::Success, "1 created");
    let message = eventually("an event", || async {
        let events: Api<Event> = context.api();
        let events = events.list(&ListParams::default()).await.unwrap();
        let found = events
            .into_iter()
            .find(|it| it.reason.as_deref() == Some("CommitStatusFailed"));
        found.and_then(|it| it.message)
    })
    .await;
    assert!(message.contains("access refused (403)"), "{message}");
    assert!(!message.contains(TOKEN));
    // The next time it is tried again, though it is the same.
    statuses.tell(&sync, ONE, CommitState::Success, "1 created");
    await_written(&server, &[(ONE, "success"), (ONE, "success")]).await;
}

async fn a_limit_is_waited_for(context: Context) {
    let server = github().await;
    let limited = ResponseTemplate::new(429).insert_header("retry-after", "1");
    takes(&server, limited, 1).await;
    takes(&server, created(), 100).await;
    let sync = sync(&context).await;
    statuses(&context, &server).tell(&sync, ONE, CommitState::Success, "1 created");
    await_written(&server, &[(ONE, "success"), (ONE, "success")]).await;
}
