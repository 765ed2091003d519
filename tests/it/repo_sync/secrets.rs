//! Whatever a server says, no secret is in what a RepoSync tells: conditions, history, events, statuses
//! of commits, logs.

use std::io::Write;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;

use http_body_util::BodyExt as _;
use k8s_openapi::api::core::v1::Event;
use kube::Api;
use kube::Client;
use kube::api::ListParams;
use kube::client::Body;
use serde_json::Value;
use serde_json::json;
use tower::BoxError;
use tower::service_fn;

use super::commit_status::github;
use super::commit_status::token;
use super::stage::Running;
use super::stage::Stage;
use super::stage::message;
use crate::server::Context;
use crate::server::eventually;

crate::on_both_servers!(no_secret_is_told);

/// Part of each value that must appear nowhere.
const CANARY: &str = "CANARY7f3a";
const CONFIG: &str = "\
apiVersion: axon.io/v1alpha1
kind: Config
sync: app
defaults: {type: codex, credentials: {type: none}}
spawners:
  nightly:
    when: {cron: {schedule: '0 3 1 1 *'}}
    prompt: x
    podOverrides: {env: [{name: KEY, value: 'CANARY7f3a-first'}, {name: B, value: \"CANARY7f3a\\nin lines\"}]}
";

/// A server that refuses spawners with all that it was sent, as a policy of others may, and more.
fn talkative(inner: &Client) -> Client {
    let inner = inner.clone();
    let service = service_fn(move |request: http::Request<Body>| {
        let inner = inner.clone();
        async move {
            let is_ours = request.uri().path().contains("/taskspawners/");
            if request.method() != http::Method::PATCH || !is_ours {
                return inner.send(request).await.map_err(BoxError::from);
            }
            let sent = request.into_body().collect().await?.to_bytes();
            let object: Value = serde_json::from_slice(&sent)?;
            let sent = String::from_utf8_lossy(&sent);
            let lines = object["spec"]["taskTemplate"]["podOverrides"]["env"][1]["value"].as_str();
            let message = format!(
                "policy: {sent} and {:?} and {} from https://u:{CANARY}@x/ with Bearer {CANARY}abcdefgh or ghp_{CANARY}abcdefgh, \
                 ?access_token={CANARY}",
                lines.unwrap_or_default(),
                lines.unwrap_or_default(),
            );
            let status =
                json!({"kind": "Status", "code": 422, "reason": "Invalid", "message": message});
            let answer = http::Response::builder().status(422);
            Ok(answer.body(Body::from(status.to_string().into_bytes()))?)
        }
    });
    Client::new(service, "default")
}

/// All that is logged in this process, as long as it is not very much.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

const MAX_LOG: usize = 64 << 20;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut log = self.0.lock().unwrap();
        if log.len() < MAX_LOG {
            log.extend(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Logged by the test itself: the log is the one that the program writes.
const HEARD: &str = "what is logged is heard";

fn log() -> Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    let log = LOG.get_or_init(|| {
        let log = Log::default();
        let writer = log.clone();
        tracing_subscriber::fmt()
            .with_env_filter("axon=debug,kube=debug")
            .with_writer(move || writer.clone())
            .try_init()
            .ok();
        log
    });
    log.clone()
}

async fn no_secret_is_told(context: Context) {
    let log = log();
    tracing::debug!(target: "axon", "{HEARD}");
    let github = github().await;
    token(&context).await;
    let stage = Stage::new(&context);
    stage.repo.commit(&[("axon.yaml", CONFIG)]);
    let client = talkative(&context.client);
    let controller = Running::between(client, &context, github.uri());
    let asks = json!({"commitStatus": {"secretRef": {"name": "token"}}});
    stage.create("app", asks).await;
    let status = stage.reason("app", "InvalidConfig").await;
    assert!(
        message(&status).contains("policy: "),
        "{}",
        message(&status)
    );
    assert!(
        message(&status).contains("(sensitive)"),
        "{}",
        message(&status)
    );
    let posted = eventually("the commit to be told", || async {
        let requests = github.received_requests().await.unwrap();
        let posts: Vec<String> = requests
            .iter()
            .filter(|it| it.method.as_str() == "POST")
            .map(|it| String::from_utf8_lossy(&it.body).into_owned())
            .collect();
        posts
            .iter()
            .any(|it| it.contains("failure"))
            .then_some(posts)
    })
    .await;
    let events: Api<Event> = context.api();
    let events = eventually("an event", || async {
        let all = events.list(&ListParams::default()).await.unwrap().items;
        (!all.is_empty()).then_some(all)
    })
    .await;
    controller.stop().await;

    let logged = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(logged.contains(HEARD), "nothing is logged");
    for (what, told) in [
        ("the status", serde_json::to_string(&status).unwrap()),
        ("a commit's status", posted.concat()),
        ("an event", serde_json::to_string(&events).unwrap()),
        ("a log", logged),
    ] {
        let at = told.find(CANARY);
        let around = at.map(|at| told[at.saturating_sub(200)..at + 20].to_owned());
        assert_eq!(around, None, "in {what}");
    }
}
