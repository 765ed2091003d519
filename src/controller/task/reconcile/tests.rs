use std::sync::Mutex;

use bytes::Bytes;
use http::Method;
use http::Request;
use http::Response;
use http_body_util::BodyExt as _;
use http_body_util::Full;
use kube::client::Body;
use kube::runtime::reflector;
use serde_json::Value;
use serde_json::json;

use super::super::fixture::*;
use super::*;

/// An API server that holds one Task and takes whatever is written.
struct Server {
    task: Mutex<Value>,
    /// Writes in order: the Job, and what each status said of `Started`.
    writes: Mutex<Vec<String>>,
    /// Whether somebody deletes the Task once its Job is there.
    deletes: bool,
}

impl Server {
    fn of(task: &Task) -> Arc<Self> {
        Arc::new(Self {
            task: Mutex::new(serde_json::to_value(task).unwrap()),
            writes: Mutex::default(),
            deletes: false,
        })
    }

    fn is_gone(&self) -> bool {
        let made = |it: &String| it == "Job held back";
        self.deletes && self.writes.lock().unwrap().iter().any(made)
    }

    fn client(self: &Arc<Self>) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request| {
            let server = server.clone();
            async move { Ok::<_, std::convert::Infallible>(server.answer(request).await) }
        });
        Client::new(service, "team")
    }

    async fn answer(&self, request: Request<Body>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let sent = body.collect().await.unwrap().to_bytes();
        let sent: Value = serde_json::from_slice(&sent).unwrap_or_default();
        let path = parts.uri.path();
        if path.contains("/tasks/a") && self.is_gone() {
            let gone = json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "reason": "NotFound", "message": "gone", "code": 404,
            });
            let answer = Response::builder().status(404);
            return answer.body(Full::from(gone.to_string())).unwrap();
        }
        let answer = if path.ends_with("/tasks/a/status") {
            let mut task = self.task.lock().unwrap();
            json_patch::merge(&mut task, &sent);
            let reason = &task["status"]["conditions"][0]["reason"];
            let reason = reason.as_str().unwrap().to_owned();
            self.writes.lock().unwrap().push(reason);
            task.clone()
        } else if path.ends_with("/tasks/a") {
            self.task.lock().unwrap().clone()
        } else if path.ends_with("/secrets/key") {
            json!({"metadata": {"name": "key"}, "data": {"ANTHROPIC_API_KEY": "eA=="}})
        } else {
            if parts.method == Method::POST && path.ends_with("/jobs") {
                let held = if sent["spec"]["suspend"] == true {
                    "held back"
                } else {
                    "let go"
                };
                self.writes.lock().unwrap().push(format!("Job {held}"));
            } else if parts.method == Method::PATCH && path.ends_with("/jobs/a") {
                self.writes.lock().unwrap().push("Job released".into());
                return Response::new(Full::from(json!({"metadata": {}}).to_string()));
            }
            if path.ends_with("/events") && sent["reason"] == "EnvIgnored" {
                self.writes.lock().unwrap().push("EnvIgnored".into());
            }
            sent
        };
        Response::new(Full::from(answer.to_string()))
    }
}

fn context(client: Client) -> Context {
    let (tasks, _) = reflector::store();
    let (jobs, _) = reflector::store();
    let (pods, _) = reflector::store();
    let mut options = Options::default();
    options.images = options
        .images
        .with(crate::api::task::AgentType::ClaudeCode, "claude:1");
    Context {
        policies: Policies::new(client.clone()),
        refusals: Refusals::new(client.clone()),
        client,
        caches: Caches {
            tasks,
            jobs,
            pods: crate::controller::task::pods::Pods {
                store: pods,
                names: Arc::default(),
            },
            index: Arc::default(),
        },
        options,
        backoff: Backoff::default(),
    }
}

#[tokio::test]
async fn a_job_is_released_when_it_is_written_that_it_was_made() {
    let new = task("a");
    let server = Server::of(&new);
    let context = Arc::new(context(server.client()));
    Box::pin(reconcile(Arc::new(DeserializeGuard(Ok(new))), context))
        .await
        .unwrap();
    assert_eq!(
        *server.writes.lock().unwrap(),
        ["Starting", "Job held back", "PodPending", "Job released"]
    );
    let status = &server.task.lock().unwrap()["status"];
    assert_eq!(
        (&status["attempts"], &status["jobName"]),
        (&json!(1), &json!("a"))
    );
}

/// A kill after the Job's POST must not lose it.
#[tokio::test]
async fn ignored_variables_are_told_before_the_job_is_made() {
    let mut new = task("a");
    let overrides = json!({"env": [{"name": "AXON_TASK", "value": "mine"}]});
    new.spec.pod_overrides = Some(serde_json::from_value(overrides).unwrap());
    let server = Server::of(&new);
    let context = Arc::new(context(server.client()));
    Box::pin(reconcile(Arc::new(DeserializeGuard(Ok(new))), context))
        .await
        .unwrap();
    assert_eq!(
        server.writes.lock().unwrap()[..3],
        ["Starting", "EnvIgnored", "Job held back"]
    );
}

#[tokio::test]
async fn the_job_of_a_task_that_is_deleted_meanwhile_is_not_released() {
    let new = task("a");
    let mut server = Server::of(&new);
    Arc::get_mut(&mut server).unwrap().deletes = true;
    let context = Arc::new(context(server.client()));
    Box::pin(reconcile(Arc::new(DeserializeGuard(Ok(new))), context))
        .await
        .unwrap();
    assert_eq!(
        *server.writes.lock().unwrap(),
        ["Starting", "Job held back"]
    );
}
