//! The shape of single requests, against a server of a few lines.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use axon::cluster::Cluster;
use axon::cluster::Error;
use axon::cluster::Object;
use axon::cluster::Resource;
use axon::model::Kind;
use axon::model::Namespace;
use http::Request;
use http::Response;
use http_body_util::BodyExt as _;
use http_body_util::Full;
use kube::Client;
use kube::client::Body;
use serde_json::Value;
use serde_json::json;
use tower::service_fn;

const TASKS: Resource = Resource::Declared(Kind::Task);

/// Gives `answers` one after the other, and remembers what was asked.
struct Script {
    cluster: Cluster,
    asked: Arc<Mutex<Vec<String>>>,
    /// The header `Retry-After` of all answers.
    retry_after: Arc<Mutex<Option<&'static str>>>,
}

impl Script {
    fn new(answers: Vec<(u16, Value)>) -> Self {
        let answers = Arc::new(Mutex::new(VecDeque::from(answers)));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let retry_after: Arc<Mutex<Option<&'static str>>> = Arc::default();
        let header = Arc::clone(&retry_after);
        let service = service_fn(move |request: Request<Body>| {
            let (answers, seen) = (Arc::clone(&answers), Arc::clone(&seen));
            let header = Arc::clone(&header);
            async move {
                let uri = request.uri().to_string();
                let body = request.into_body().collect().await?.to_bytes();
                let body = String::from_utf8_lossy(&body).into_owned();
                seen.lock()
                    .unwrap()
                    .push(format!("{uri} {body}").trim().to_owned());
                let (code, answer) = answers.lock().unwrap().pop_front().unwrap();
                let body = match answer {
                    Value::String(text) => text,
                    json => json.to_string(),
                };
                let mut answer = Response::builder().status(code);
                if let Some(seconds) = *header.lock().unwrap() {
                    answer = answer.header("Retry-After", seconds);
                }
                Ok::<_, tower::BoxError>(answer.body(Full::from(body)).unwrap())
            }
        });
        let namespace = Namespace::parse("agents").unwrap();
        Self {
            cluster: Cluster::new(Client::new(service, "default"), namespace),
            asked,
            retry_after,
        }
    }

    fn retry_after(self, seconds: &'static str) -> Self {
        *self.retry_after.lock().unwrap() = Some(seconds);
        self
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn page(names: &[&str], next: &str) -> (u16, Value) {
    let items: Vec<Value> = names
        .iter()
        .map(|name| json!({"metadata": {"name": name}}))
        .collect();
    (200, json!({"metadata": {"continue": next}, "items": items}))
}

fn status(code: u16, reason: &str, details: &Value) -> (u16, Value) {
    let body = json!({"kind": "Status", "code": code, "reason": reason, "message": "m", "details": details});
    (code, body)
}

#[tokio::test]
async fn a_list_is_read_page_by_page_and_anew_when_it_expired() {
    let script = Script::new(vec![
        page(&["a"], "next/1"),
        status(410, "Expired", &json!({})),
        page(&["a"], "next/2"),
        page(&["b"], ""),
    ]);
    let objects = script
        .cluster
        .list(TASKS, "axon.io/sync=app")
        .await
        .unwrap();
    let names: Vec<&str> = objects.iter().map(Object::name).collect();
    assert_eq!(names, ["a", "b"]);
    let base = "/apis/axon.io/v1alpha1/namespaces/agents/tasks?limit=5000&labelSelector=axon.io%2Fsync%3Dapp";
    assert_eq!(
        script.asked(),
        [
            base.to_owned(),
            format!("{base}&continue=next%2F1"),
            base.to_owned(),
            format!("{base}&continue=next%2F2"),
        ]
    );
}

#[tokio::test]
async fn a_list_that_expires_again_and_again_is_given_up() {
    let expired = || status(410, "Expired", &json!({}));
    let script = Script::new(vec![expired(), expired(), expired()]);
    let answer = script.cluster.list(TASKS, "").await;
    assert!(matches!(answer, Err(Error::Expired)), "{answer:?}");
}

#[tokio::test]
async fn an_overloaded_server_is_asked_again() {
    let wait = json!({"retryAfterSeconds": 1});
    let script = Script::new(vec![
        status(429, "TooManyRequests", &wait),
        page(&["a"], ""),
    ]);
    assert_eq!(script.cluster.list(TASKS, "").await.unwrap().len(), 1);
    assert_eq!(script.asked().len(), 2);
}

/// What turns a request away before it is read says in the header alone when to come back.
#[tokio::test]
async fn an_overloaded_server_is_left_alone_as_long_as_it_asks() {
    let turned_away = || {
        (
            429,
            Value::from("Too many requests, please try again later.\n"),
        )
    };
    let script = Script::new(vec![turned_away(), page(&["a"], "")]).retry_after("2");
    let before = Instant::now();
    assert_eq!(script.cluster.list(TASKS, "").await.unwrap().len(), 1);
    assert!(before.elapsed() >= Duration::from_secs(2));
    assert_eq!(script.asked().len(), 2);
    // Longer than one request may take: whoever asked comes back later.
    let script = Script::new(vec![turned_away()]).retry_after("3600");
    let answer = script.cluster.list(TASKS, "").await;
    assert!(matches!(answer, Err(Error::TooMany { .. })), "{answer:?}");
    assert_eq!(script.asked().len(), 1);
}

#[tokio::test]
async fn a_cluster_without_our_kinds_is_told_apart() {
    let script = Script::new(vec![(404, "404 page not found\n".into())]);
    let answer = script.cluster.list(TASKS, "").await;
    assert!(
        matches!(answer, Err(Error::NotInstalled("tasks"))),
        "{answer:?}"
    );
}

#[tokio::test]
async fn what_is_no_answer_is_an_error() {
    for nonsense in ["", "{", "[]", "<html>"] {
        let script = Script::new(vec![(200, nonsense.into())]);
        let answer = script.cluster.list(TASKS, "").await;
        assert!(
            matches!(answer, Err(Error::Garbled(_))),
            "{nonsense}: {answer:?}"
        );
    }
}
