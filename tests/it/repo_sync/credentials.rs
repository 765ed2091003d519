//! RepoSyncs with other ways in than a token, and commits that must be signed.

use std::fs;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::PostParams;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use wiremock::Mock;
use wiremock::MockServer;
use wiremock::ResponseTemplate;
use wiremock::matchers::body_json;
use wiremock::matchers::method;
use wiremock::matchers::path;

use super::stage::Running;
use super::stage::Stage;
use super::stage::config;
use super::stage::message;
use crate::server::Context;
use crate::ssh_server::Sshd;
use crate::ssh_server::key;
use crate::ssh_server::public;

crate::on_both_servers!(
    only_what_is_signed_comes_into_force,
    by_a_github_app,
    by_ssh,
);

async fn secret(context: &Context, name: &str, data: &[(&str, &str)]) {
    let data: Map<String, Value> = data
        .iter()
        .map(|(key, value)| ((*key).to_owned(), json!(value)))
        .collect();
    let secret: Secret = serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": name}, "stringData": data,
    }))
    .unwrap();
    let secrets: Api<Secret> = context.api();
    secrets
        .create(&PostParams::default(), &secret)
        .await
        .unwrap();
}

async fn only_what_is_signed_comes_into_force(context: Context) {
    let stage = Stage::new(&context);
    let dir = tempfile::tempdir().unwrap();
    let ours = key(dir.path(), "ours", &["-t", "ed25519"]);
    let signers = format!("ann@example.com {}", public(&ours));
    secret(&context, "signers", &[("allowed_signers", &signers)]).await;
    let signed = |workspaces: &[(&str, &str)]| {
        fs::write(stage.repo.work().join("axon.yaml"), config(workspaces)).unwrap();
        stage.repo.git(&["add", "--all"]);
        let key = format!("user.signingkey={}", ours.display());
        let sign = ["-c", "gpg.format=ssh", "-c", &key, "commit", "--quiet"];
        stage
            .repo
            .git(&[&sign[..], &["--gpg-sign", "--message=signed"]].concat());
        stage.repo.git(&["rev-parse", "HEAD"])
    };
    let first = signed(&[("a", "main")]);
    let controller = Running::start(&context);
    let verify = json!({"verify": {"secretRef": {"name": "signers"}}});
    stage.create("app", verify).await;
    stage.applied("app", &first).await;

    let unsigned = stage.commit(&[("b", "main")]);
    stage.call("app").await;
    let status = stage.reason("app", "VerificationFailed").await;
    assert!(message(&status).contains(&unsigned), "{}", message(&status));
    assert_eq!(
        status.last_applied_revision.as_deref(),
        Some(first.as_str())
    );
    stage.holds(&[("a", "main")]).await;

    let third = signed(&[("c", "main")]);
    stage.call("app").await;
    stage.applied("app", &third).await;
    stage.holds(&[("c", "main")]).await;
    controller.stop().await;
}

async fn by_a_github_app(context: Context) {
    let stage = Stage::new(&context);
    let commit = stage.commit(&[("a", "main")]);
    stage.server.require_token("ghs_hunter2");
    let dir = tempfile::tempdir().unwrap();
    let pem = key(dir.path(), "app", &["-t", "rsa", "-b", "2048", "-m", "PEM"]);
    let pem = fs::read_to_string(pem).unwrap();
    let data = [
        ("appID", "12"),
        ("installationID", "34"),
        ("privateKey", pem.as_str()),
    ];
    secret(&context, "git", &data).await;
    let github = MockServer::start().await;
    let answer = json!({"token": "ghs_hunter2", "expires_at": "2099-01-01T00:00:00Z"});
    Mock::given(method("POST"))
        .and(path("/app/installations/34/access_tokens"))
        .and(body_json(json!({"repositories": ["app"]})))
        .respond_with(ResponseTemplate::new(201).set_body_json(answer))
        .expect(1)
        .mount(&github)
        .await;
    let controller = Running::on_github(&context, github.uri());
    stage
        .create("app", json!({"secretRef": {"name": "git"}}))
        .await;
    stage.applied("app", &commit).await;
    let second = stage.commit(&[("b", "main")]);
    let status = stage.call("app").await;
    assert!(!format!("{status:?}").contains("hunter2"));
    stage.applied("app", &second).await;
    controller.stop().await;
}

async fn by_ssh(context: Context) {
    let stage = Stage::new(&context);
    let commit = stage.commit(&[("a", "main")]);
    let dir = tempfile::tempdir().unwrap();
    let Some(sshd) = Sshd::start(dir.path()) else {
        return;
    };
    let (own, host) = (sshd.key("client"), sshd.known("host"));
    let data = [("ssh-privatekey", own.as_str()), ("known_hosts", &host)];
    secret(&context, "git", &data).await;
    secret(
        &context,
        "impostor",
        &[data[0], ("known_hosts", &sshd.known("client"))],
    )
    .await;
    let controller = Running::start(&context);
    let repo = sshd.url(stage.repo.path());
    let spec = |secret: &str| json!({"repo": repo, "secretRef": {"name": secret}});
    stage.create("app", spec("git")).await;
    stage.applied("app", &commit).await;
    stage.edit("app", json!({"spec": spec("impostor")})).await;
    let status = stage.reason("app", "HostKeyMismatch").await;
    assert!(
        message(&status).contains("known_hosts"),
        "{}",
        message(&status)
    );
    stage.holds(&[("a", "main")]).await;
    controller.stop().await;
}
