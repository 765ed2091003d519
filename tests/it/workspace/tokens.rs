//! Tokens of a GitHub App: kept in a Secret of the Workspace's own, and fresh while Tasks use it.

use std::fs;
use std::time::Duration;

use axon::api::Task;
use axon::controller::Options;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::ResourceExt as _;
use serde_json::json;
use wiremock::Mock;
use wiremock::MockServer;
use wiremock::ResponseTemplate;
use wiremock::matchers::body_json;
use wiremock::matchers::method;
use wiremock::matchers::path;

use super::Running;
use super::Stage;
use crate::server::Context;
use crate::server::eventually;
use crate::ssh_server::key;

crate::on_both_servers!(
    a_task_gets_the_token_and_never_the_key,
    a_token_is_made_anew_before_a_task_starts_and_while_it_runs,
    a_secret_of_somebody_else_is_left_alone,
    a_github_that_refuses,
    a_workspace_with_submodules_reaches_the_whole_installation,
);

/// The App's key, in the Secret `app`; gives a line of it.
async fn app(stage: &Stage) -> String {
    let pem = key(
        stage.dir.path(),
        "app",
        &["-t", "rsa", "-b", "2048", "-m", "PEM"],
    );
    let pem = fs::read_to_string(pem).unwrap();
    let data = [
        ("appID", "12"),
        ("installationID", "34"),
        ("privateKey", &pem),
    ];
    stage.secret("app", &data).await;
    pem.lines().nth(3).unwrap().to_owned()
}

/// Answers the next request for a token.
async fn gives(github: &MockServer, token: &str, good_for: Duration) {
    let expires = now() + good_for;
    let answer = json!({"token": token, "expires_at": expires.to_string()});
    Mock::given(method("POST"))
        .and(path("/app/installations/34/access_tokens"))
        .and(body_json(json!({"repositories": ["app"]})))
        .respond_with(ResponseTemplate::new(201).set_body_json(answer))
        .up_to_n_times(1)
        .mount(github)
        .await;
}

#[expect(
    clippy::disallowed_methods,
    reason = "the controllers of a test go by the real clock"
)]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

fn start(stage: &Stage, github: &MockServer) -> Running {
    stage.start_with(Options {
        github_api: Some(github.uri()),
        ..stage.options()
    })
}

async fn token(stage: &Stage) -> Option<String> {
    let secrets: Api<Secret> = stage.context.api();
    let secret = secrets.get_opt("web-axon-token").await.unwrap()?;
    let value = secret.data.unwrap_or_default().remove("GITHUB_TOKEN")?;
    Some(String::from_utf8(value.0).unwrap())
}

async fn job(stage: &Stage, name: &str) -> Job {
    let jobs: Api<Job> = stage.context.api();
    eventually("a Job", || async { jobs.get_opt(name).await.unwrap() }).await
}

const HOUR: Duration = Duration::from_hours(1);

async fn a_task_gets_the_token_and_never_the_key(context: Context) {
    let stage = Stage::new(context);
    stage.repo.commit(&[("file", "x")]);
    stage.server.require_token("ghs_one");
    let line = app(&stage).await;
    let github = MockServer::start().await;
    gives(&github, "ghs_one", HOUR).await;
    stage
        .create("web", json!({"secretRef": {"name": "app"}}))
        .await;
    stage.task("fix", "web").await;
    let controller = start(&stage, &github);
    let (message, _) = stage.reason("web", "Reachable").await;
    assert!(!message.contains("ghs_one"));
    assert_eq!(token(&stage).await.as_deref(), Some("ghs_one"));

    let secrets: Api<Secret> = stage.context.api();
    let secret = secrets.get("web-axon-token").await.unwrap();
    let owner = &secret.owner_references()[0];
    assert_eq!(
        Some(&owner.uid),
        stage.get("web").await.metadata.uid.as_ref()
    );
    assert_eq!(
        (owner.kind.as_str(), owner.controller),
        ("Workspace", Some(true))
    );

    let job = serde_json::to_string(&job(&stage, "fix").await).unwrap();
    assert!(job.contains(r#""secretName":"web-axon-token""#), "{job}");
    assert!(
        !job.contains(r#""app""#),
        "the App's own Secret is in no Pod"
    );
    assert!(!job.contains("ghs_one") && !job.contains(&line));
    assert_eq!(github.received_requests().await.unwrap().len(), 1);
    controller.stop().await;
}

async fn a_token_is_made_anew_before_a_task_starts_and_while_it_runs(context: Context) {
    let stage = Stage::new(context);
    stage.repo.commit(&[("file", "x")]);
    app(&stage).await;
    let github = MockServer::start().await;
    // Too short a time to start a Task with.
    gives(&github, "ghs_one", Duration::from_mins(5)).await;
    stage
        .create("web", json!({"secretRef": {"name": "app"}}))
        .await;
    let controller = start(&stage, &github);
    stage.reason("web", "Reachable").await;
    assert_eq!(token(&stage).await.as_deref(), Some("ghs_one"));

    // Due within seconds: while the Task uses it, it is made anew.
    gives(&github, "ghs_two", Duration::from_secs(20 * 60 + 4)).await;
    gives(&github, "ghs_three", HOUR).await;
    stage.task("fix", "web").await;
    job(&stage, "fix").await;
    assert_ne!(token(&stage).await.as_deref(), Some("ghs_one"));
    eventually("the third token", || async {
        (token(&stage).await.as_deref() == Some("ghs_three")).then_some(())
    })
    .await;
    assert_eq!(github.received_requests().await.unwrap().len(), 3);
    assert_eq!(stage.events("web").await, ["Normal Reachable"]);
    controller.stop().await;
}

async fn a_secret_of_somebody_else_is_left_alone(context: Context) {
    let stage = Stage::new(context);
    stage.repo.commit(&[("file", "x")]);
    app(&stage).await;
    stage
        .secret("web-axon-token", &[("GITHUB_TOKEN", "mine")])
        .await;
    let github = MockServer::start().await;
    gives(&github, "ghs_one", HOUR).await;
    stage
        .create("web", json!({"secretRef": {"name": "app"}}))
        .await;
    stage.task("fix", "web").await;
    let controller = start(&stage, &github);
    let (message, _) = stage.reason("web", "NameTaken").await;
    assert!(message.starts_with("Secret \"web-axon-token\" is not this Workspace's own"));
    assert_eq!(token(&stage).await.as_deref(), Some("mine"));
    assert!(github.received_requests().await.unwrap().is_empty());
    // A Task does not take it either.
    let tasks: Api<Task> = stage.context.api();
    eventually("the Task to wait", || async {
        let status = tasks.get("fix").await.unwrap().status?;
        let started = status.conditions.iter().find(|it| it.type_ == "Started")?;
        (started.reason == "SecretNotFound").then_some(())
    })
    .await;
    // What stood in the way goes; nobody tells of it.
    let secrets: Api<Secret> = stage.context.api();
    let params = kube::api::DeleteParams::default();
    secrets.delete("web-axon-token", &params).await.unwrap();
    stage.reason("web", "Reachable").await;
    assert_eq!(token(&stage).await.as_deref(), Some("ghs_one"));
    controller.stop().await;
}

async fn a_github_that_refuses(context: Context) {
    let stage = Stage::new(context);
    stage.repo.commit(&[("file", "x")]);
    app(&stage).await;
    let github = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(401).set_body_string("hunter2"))
        .mount(&github)
        .await;
    stage
        .create("web", json!({"secretRef": {"name": "app"}}))
        .await;
    let controller = start(&stage, &github);
    let (message, _) = stage.reason("web", "AuthenticationFailed").await;
    assert!(
        message.contains("GitHub App 12") && !message.contains("hunter2"),
        "{message}"
    );
    assert_eq!(token(&stage).await, None);
    controller.stop().await;
}

/// The repository is one thing, its submodules are others: which ones only the checkout sees.
async fn a_workspace_with_submodules_reaches_the_whole_installation(context: Context) {
    let stage = Stage::new(context);
    stage.repo.commit(&[("file", "x")]);
    app(&stage).await;
    let github = MockServer::start().await;
    let answer = json!({"token": "ghs_wide", "expires_at": (now() + HOUR).to_string()});
    Mock::given(method("POST"))
        .and(path("/app/installations/34/access_tokens"))
        .and(|request: &wiremock::Request| request.body.is_empty())
        .respond_with(ResponseTemplate::new(201).set_body_json(answer))
        .mount(&github)
        .await;
    gives(&github, "ghs_narrow", HOUR).await;
    stage
        .create(
            "web",
            json!({"secretRef": {"name": "app"}, "submodules": true}),
        )
        .await;
    let controller = start(&stage, &github);
    let holds = async |expected: &str| {
        eventually(expected, || async {
            (token(&stage).await.as_deref() == Some(expected)).then_some(())
        })
        .await;
    };
    holds("ghs_wide").await;
    // Taken back at once, though it is good for another hour.
    stage.edit("web", json!({"submodules": false})).await;
    holds("ghs_narrow").await;
    controller.stop().await;
}
