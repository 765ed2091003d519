//! What came of a sync stands beside its commit on GitHub.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::PostParams;
use serde_json::Value;
use serde_json::json;
use wiremock::Mock;
use wiremock::MockServer;
use wiremock::Request;
use wiremock::ResponseTemplate;
use wiremock::matchers::method;

use super::stage::Running;
use super::stage::Stage;
use crate::server::Context;
use crate::server::eventually;

crate::on_both_servers!(a_sync_is_told_on_its_commit);

async fn a_sync_is_told_on_its_commit(context: Context) {
    let github = github().await;
    token(&context).await;
    let stage = Stage::new(&context);
    let good = stage.commit(&[("a", "main")]);
    let controller = Running::on_github(&context, github.uri());
    let asks = json!({"commitStatus": {"secretRef": {"name": "token"}}});
    stage.create("app", asks).await;
    stage.applied("app", &good).await;
    // Looking again, and taking drift back, is no news of the commit.
    stage.drift("a", "mine").await;
    stage.holds(&[("a", "main")]).await;
    // A commit that leaves axon.yaml alone has a status of its own.
    let same = stage.repo.commit(&[("README.md", "x")]);
    stage.call("app").await;
    stage.applied("app", &same).await;
    let bad = stage.repo.commit(&[("axon.yaml", "apiVersion: x\n")]);
    stage.call("app").await;
    stage.reason("app", "InvalidConfig").await;
    let mut expected = vec![
        (good, "pending", "applying: 1 to create"),
        (same, "success", "nothing to do"),
        (bad.clone(), "failure", "axon.yaml"),
    ];
    let good = expected[0].0.clone();
    expected.insert(
        1,
        (
            good,
            "success",
            "created 1, updated 0, deleted 0, unchanged 0",
        ),
    );
    told(&github, &context, &expected).await;
    controller.stop().await;

    // A restart tells nothing again.
    let controller = Running::on_github(&context, github.uri());
    stage.call("app").await;
    let again = stage.commit(&[("a", "main"), ("b", "main")]);
    stage.call("app").await;
    stage.applied("app", &again).await;
    expected.push((again.clone(), "pending", "applying: 1 to create"));
    expected.push((
        again,
        "success",
        "created 1, updated 0, deleted 0, unchanged 1",
    ));
    told(&github, &context, &expected).await;
    controller.stop().await;
}

/// Awaits the last of these statuses, and sees that there are no others.
async fn told(github: &MockServer, context: &Context, expected: &[(String, &str, &str)]) {
    let (commit, state, _) = expected.last().unwrap();
    let all = eventually("the last commit to be told", || async {
        let all = written(github, context).await;
        let last = all.last()?;
        (last.0 == *commit && last.1 == *state).then_some(all)
    })
    .await;
    assert_eq!(all.len(), expected.len(), "{all:#?}");
    for (found, (commit, state, words)) in all.iter().zip(expected) {
        assert_eq!((&found.0, found.1.as_str()), (commit, *state), "{all:#?}");
        assert!(found.2.starts_with(words), "{all:#?}");
    }
}

/// A GitHub that remembers the statuses of commits.
pub(super) async fn github() -> MockServer {
    let server = MockServer::start().await;
    let statuses: Arc<Mutex<HashMap<String, Vec<Value>>>> = Arc::default();
    let read = Arc::clone(&statuses);
    let list = move |request: &Request| {
        let commit = request.url.path().rsplit('/').nth(1).unwrap();
        let all = read.lock().unwrap();
        let newest_first: Vec<&Value> = all.get(commit).into_iter().flatten().rev().collect();
        ResponseTemplate::new(200).set_body_json(newest_first)
    };
    let take = move |request: &Request| {
        let commit = request.url.path().rsplit('/').next().unwrap().to_owned();
        let status = serde_json::from_slice(&request.body).unwrap();
        let mut all = statuses.lock().unwrap();
        all.entry(commit).or_default().push(status);
        ResponseTemplate::new(201).set_body_json(json!({}))
    };
    Mock::given(method("GET"))
        .respond_with(list)
        .mount(&server)
        .await;
    Mock::given(method("POST"))
        .respond_with(take)
        .mount(&server)
        .await;
    server
}

pub(super) async fn token(context: &Context) {
    let secret: Secret = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token"},
        "data": {"GITHUB_TOKEN": "eA=="},
    }))
    .unwrap();
    let secrets: Api<Secret> = context.api();
    let params = PostParams::default();
    secrets.create(&params, &secret).await.unwrap();
}

/// Commit, state and description of each status that was written.
async fn written(github: &MockServer, context: &Context) -> Vec<(String, String, String)> {
    let requests = github.received_requests().await.unwrap();
    let posts = requests.iter().filter(|it| it.method.as_str() == "POST");
    posts
        .map(|request| {
            let body: Value = serde_json::from_slice(&request.body).unwrap();
            let expected = format!("axon/{}/app", context.namespace);
            assert_eq!(body["context"], expected.as_str(), "{body}");
            let commit = request.url.path().rsplit('/').next().unwrap();
            let text = |field: &str| body[field].as_str().unwrap().to_owned();
            (commit.to_owned(), text("state"), text("description"))
        })
        .collect()
}
