use http::Request;
use http::Response;
use kube::Client;
use kube::client::Body;
use serde_json::json;

use super::super::memory::Memory;
use super::*;
use crate::controller::Options;
use crate::github::Clients;

/// An API server that has the Workspace, and lets nobody read Secrets.
fn closed() -> Client {
    let service = tower::service_fn(|request: Request<Body>| async move {
        let (status, body) = if request.uri().path().contains("/workspaces/") {
            let workspace = json!({
                "apiVersion": "axon.io/v1alpha1", "kind": "Workspace",
                "metadata": {"name": "web", "namespace": "team"},
                "spec": {"repo": "https://github.com/acme/web", "secretRef": {"name": "git"}},
            });
            (200, workspace)
        } else {
            let refusal = json!({
                "kind": "Status", "apiVersion": "v1", "status": "Failure",
                "message": "secrets \"git\" is forbidden", "reason": "Forbidden", "code": 403,
            });
            (403, refusal)
        };
        Response::builder()
            .status(status)
            .body(Body::from(body.to_string().into_bytes()))
    });
    Client::new(service, "team")
}

#[tokio::test]
async fn a_secret_that_may_not_be_read_is_told() {
    let object: TaskSpawner = serde_json::from_value(json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "TaskSpawner",
        "metadata": {"name": "triage", "namespace": "team"},
        "spec": {
            "when": {"githubIssues": {}},
            "taskTemplate": {
                "type": "codex", "credentials": {"type": "none"}, "workspaceRef": {"name": "web"},
            },
        },
    }))
    .unwrap();
    let context = Context {
        client: closed(),
        options: Options::default(),
        github: Clients::default(),
        memory: Memory::default(),
    };
    let Err(Stop::Trouble(trouble)) = source(&context, &object, Timestamp::UNIX_EPOCH).await else {
        panic!("it was not told");
    };
    assert_eq!(trouble.reason().as_str(), "SecretForbidden");
    assert!(trouble.to_string().contains("\"git\""), "{trouble}");
}
