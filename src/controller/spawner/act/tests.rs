use http::Request;
use http::Response;
use kube::Client;
use kube::client::Body;

use super::super::memory::Memory;
use super::*;
use crate::controller::Options;
use crate::github::Clients;

/// An API server that never answers.
fn silent() -> Client {
    let service = tower::service_fn(|_: Request<Body>| {
        std::future::pending::<Result<Response<Body>, std::convert::Infallible>>()
    });
    Client::new(service, "team")
}

#[tokio::test]
async fn a_creation_is_given_up_when_the_decision_is_old() {
    let object: TaskSpawner = serde_json::from_value(json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "TaskSpawner",
        "metadata": {"name": "nightly", "namespace": "team"},
        "spec": {
            "when": {"cron": {"schedule": "0 9 * * *"}},
            "taskTemplate": {"type": "codex", "credentials": {"type": "none"}},
        },
    }))
    .unwrap();
    let templates = Templates::parse(&object.spec.task_template).unwrap();
    let context = Context {
        client: silent(),
        options: Options::default(),
        github: Clients::default(),
        memory: Memory::default(),
    };
    let now: Timestamp = "2026-03-01T09:00:00Z".parse().unwrap();
    let before = "2026-03-01T08:00:00Z".parse().unwrap();
    let schedule = crate::model::schedule::Schedule::parse("0 9 * * *", None).unwrap();
    let (_, item) = crate::sources::cron::due(&schedule, before, now).unwrap();
    let actor = |age: Duration| Actor {
        context: &context,
        object: &object,
        templates: &templates,
        now,
        since: Instant::now().checked_sub(age).unwrap(),
    };
    let young = actor(MAX_AGE.saturating_sub(Duration::from_millis(50)));
    let task = build::task(&object, &templates, &item, "nightly-1").unwrap();
    let left = young.left().unwrap();
    let given_up = young.create(&task, &item, left).await.unwrap();
    assert!(matches!(
        given_up,
        Start::Later(Some(Trouble::ApiServer(_)))
    ));
    assert_eq!(actor(MAX_AGE).left(), None);
}

#[test]
fn what_is_not_the_items_fault() {
    for code in [400, 403, 404, 413, 422] {
        assert!(is_final(code), "{code}");
    }
    for code in [401, 408, 409, 429, 500, 503] {
        assert!(!is_final(code), "{code}");
    }
}
