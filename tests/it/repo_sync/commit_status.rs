//! What came of a sync stands beside its commit on GitHub.

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::PostParams;
use serde_json::Value;
use serde_json::json;
use wiremock::Mock;
use wiremock::MockServer;
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
    let bad = stage.repo.commit(&[("axon.yaml", "apiVersion: x\n")]);
    stage.call("app").await;
    stage.reason("app", "InvalidConfig").await;

    let expected = vec![(good, "success".to_owned()), (bad, "failure".to_owned())];
    eventually("both commits to be told", || async {
        (written(&github, &context).await == expected).then_some(())
    })
    .await;
    controller.stop().await;
}

/// A GitHub where no commit has a status yet, and that takes each.
async fn github() -> MockServer {
    let server = MockServer::start().await;
    let answers = [
        ("GET", ResponseTemplate::new(200).set_body_json(json!([]))),
        ("POST", ResponseTemplate::new(201).set_body_json(json!({}))),
    ];
    for (verb, answer) in answers {
        let mock = Mock::given(method(verb)).respond_with(answer);
        mock.mount(&server).await;
    }
    server
}

async fn token(context: &Context) {
    let secret: Secret = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token"},
        "data": {"GITHUB_TOKEN": "eA=="},
    }))
    .unwrap();
    let secrets: Api<Secret> = context.api();
    let params = PostParams::default();
    secrets.create(&params, &secret).await.unwrap();
}

/// Commit and state of each status that was written.
async fn written(github: &MockServer, context: &Context) -> Vec<(String, String)> {
    let requests = github.received_requests().await.unwrap();
    let posts = requests.iter().filter(|it| it.method.as_str() == "POST");
    posts
        .map(|request| {
            let body: Value = serde_json::from_slice(&request.body).unwrap();
            let expected = format!("axon/{}/app", context.namespace);
            assert_eq!(body["context"], expected.as_str(), "{body}");
            let commit = request.url.path().rsplit('/').next().unwrap();
            let state = body["state"].as_str().unwrap();
            (commit.to_owned(), state.to_owned())
        })
        .collect()
}
