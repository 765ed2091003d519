//! A GitHub App's key becomes a token, and the token opens a repository.

use std::fs;

use axon::github::ApiUrl;
use axon::github::app::App;
use axon::model::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::signature::KeyPair as _;
use ring::signature::RSA_PKCS1_2048_8192_SHA256;
use ring::signature::RsaKeyPair;
use ring::signature::UnparsedPublicKey;
use serde_json::Value;
use serde_json::json;
use wiremock::Mock;
use wiremock::MockServer;
use wiremock::ResponseTemplate;
use wiremock::matchers::method;
use wiremock::matchers::path;

use super::Fixture;
use super::ROOT;
use super::open;
use super::read;
use super::with_token;
use crate::ssh_server::key;

const NOW: &str = "2026-06-01T12:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A key in the form that GitHub gives out, or in the other one.
fn pem(dir: &std::path::Path, form: &str) -> String {
    let path = key(dir, form, &["-t", "rsa", "-b", "2048", "-m", form]);
    fs::read_to_string(path).unwrap()
}

async fn github(token: &str, expires_at: &str) -> MockServer {
    let server = MockServer::start().await;
    let answer = json!({"token": token, "expires_at": expires_at});
    Mock::given(method("POST"))
        .and(path("/app/installations/34/access_tokens"))
        .respond_with(ResponseTemplate::new(201).set_body_json(answer))
        .mount(&server)
        .await;
    server
}

#[tokio::test]
async fn a_key_of_either_form_opens_a_repository() {
    let fixture = Fixture::new();
    fixture.repo.commit(&[(ROOT, "# one")]);
    fixture.server.require_token("ghs_hunter2");
    for form in ["PEM", "PKCS8"] {
        let server = github("ghs_hunter2", "2026-06-01T13:00:00Z").await;
        let pem = pem(fixture.dir.path(), form);
        let api = ApiUrl::parse(&server.uri()).unwrap();
        let app = App::new(api, "12", 34, &Secret::new(pem.as_str())).unwrap();
        let (token, expiry) = app.token("app", at(NOW)).await.unwrap();
        assert_eq!(expiry, at("2026-06-01T13:00:00Z"));
        read(&open(&fixture.url(), with_token(token.expose())), "main")
            .await
            .unwrap();
        let requests = server.received_requests().await.unwrap();
        // For this repository, though the installation may have others.
        assert_eq!(
            requests[0].body_json::<Value>().unwrap(),
            json!({"repositories": ["app"]})
        );
        let header = requests[0].headers["authorization"].to_str().unwrap();
        check_proof(header.strip_prefix("Bearer ").unwrap(), &pem);
        assert!(!format!("{app:?}").contains("hunter2"));
    }
}

/// Checks what a JSON Web Token says, and that the key signed it.
fn check_proof(proof: &str, pem: &str) {
    let (signed, signature) = proof.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let decode = |text: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
    };
    assert_eq!(decode(header), json!({"alg": "RS256", "typ": "JWT"}));
    let now = at(NOW).as_second();
    assert_eq!(
        decode(claims),
        json!({"iat": now - 60, "exp": now + 540, "iss": "12"})
    );
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(base64).unwrap();
    let pair = RsaKeyPair::from_der(&der).or_else(|_| RsaKeyPair::from_pkcs8(&der));
    let public = pair.unwrap().public_key().as_ref().to_vec();
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public)
        .verify(
            signed.as_bytes(),
            &URL_SAFE_NO_PAD.decode(signature).unwrap(),
        )
        .unwrap();
}

#[tokio::test]
async fn refusals_name_the_app_and_nothing_secret() {
    super::axon_tls();
    let dir = tempfile::tempdir().unwrap();
    let pem = pem(dir.path(), "PEM");
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(401).set_body_string("hunter2"))
        .mount(&server)
        .await;
    let api = || ApiUrl::parse(&server.uri()).unwrap();
    let app = App::new(api(), "12", 34, &Secret::new(pem)).unwrap();
    let error = app.token("app", at(NOW)).await.unwrap_err();
    assert_eq!(
        super::told(&error),
        "cannot get a token for the installation 34 of the GitHub App 12: authentication refused (401)"
    );
    let not_rsa = fs::read_to_string(key(dir.path(), "ed", &["-t", "ed25519"])).unwrap();
    for bad in ["hunter2", &not_rsa] {
        let error = App::new(api(), "12", 34, &Secret::new(bad)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the private key of the GitHub App 12 is not an RSA key in PEM form"
        );
    }
}
