//! Two controllers at once, without an election, one of them far behind.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::extract::State;
use axum::response::Response;
use futures::StreamExt as _;
use http::Method;
use http::StatusCode;
use http::header;
use tokio::net::TcpListener;

use super::*;

crate::on_both_servers!(two_controllers_have_no_effect_twice);

/// More than any request of ours.
const MAX_BODY: usize = 16 << 20;
/// How far behind the second controller's caches are.
const BEHIND: Duration = Duration::from_millis(700);

/// The server's words for a write that it refuses.
pub(crate) const REFUSAL: &str = "spec.template: Invalid value: field is immutable";

/// A way to the server that is slow to tell what has changed, and keeps count of what is written.
pub(crate) struct Line {
    port: u16,
    wire: Arc<Wire>,
    serving: JoinHandle<()>,
}

struct Wire {
    client: Client,
    delay: Duration,
    /// `METHOD path` of each write that the server took.
    writes: Mutex<Vec<String>>,
    /// What is answered in place of the server, by the end of the path that is read.
    answers: Mutex<BTreeMap<String, (StatusCode, Value)>>,
    refused: Mutex<Refused>,
}

/// Writes that are answered 422 without the server's having seen them.
#[derive(Default)]
struct Refused {
    /// `METHOD` and the end of the path.
    what: Option<(Method, String)>,
    /// How many of them pass first.
    pass: usize,
    at: Vec<Instant>,
}

impl Line {
    pub(crate) async fn start(context: &Context, delay: Duration) -> Self {
        let wire = Arc::new(Wire {
            client: context.client.clone(),
            delay,
            writes: Mutex::default(),
            answers: Mutex::default(),
            refused: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new().fallback(pass).with_state(wire.clone());
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        Self {
            port,
            wire,
            serving,
        }
    }

    pub(crate) fn client(&self) -> Client {
        let url = format!("http://127.0.0.1:{}", self.port);
        Client::try_from(kube::Config::new(url.parse().unwrap())).unwrap()
    }

    /// Answers this to reads of the path that ends so; nothing: what the server says.
    pub(super) fn answer(&self, path: &str, answer: Option<(StatusCode, Value)>) {
        let mut answers = self.wire.answers.lock().unwrap();
        match answer {
            Some(answer) => drop(answers.insert(path.to_owned(), answer)),
            None => drop(answers.remove(path)),
        }
    }

    /// Refuses, with [`REFUSAL`], the writes of this method to paths that end so, but the first `pass` of them.
    pub(crate) fn refuse(&self, method: Method, path: &str, pass: usize) {
        *self.wire.refused.lock().unwrap() = Refused {
            what: Some((method, path.to_owned())),
            pass,
            at: Vec::new(),
        };
    }

    /// When a write was refused. From now on none is.
    pub(crate) fn relent(&self) -> Vec<Instant> {
        std::mem::take(&mut *self.wire.refused.lock().unwrap()).at
    }

    /// When a write was refused until now.
    pub(crate) fn refused(&self) -> Vec<Instant> {
        self.wire.refused.lock().unwrap().at.clone()
    }

    pub(super) fn writes(&self) -> Vec<String> {
        self.wire.writes.lock().unwrap().clone()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Wire {
    fn given(&self, path: &str) -> Option<Response> {
        let answers = self.answers.lock().unwrap();
        let (_, (status, body)) = answers.iter().find(|(end, _)| path.ends_with(*end))?;
        Some(answer_of(*status, body))
    }
}

fn answer_of(status: StatusCode, body: &Value) -> Response {
    let mut answer = Response::new(Body::from(body.to_string()));
    *answer.status_mut() = status;
    let json = header::HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    answer
}

impl Refused {
    /// What is answered in place of the server.
    fn answer(&mut self, method: &Method, path: &str) -> Option<Response> {
        let (what, end) = self.what.as_ref()?;
        if method != what || !path.ends_with(end) {
            return None;
        }
        if self.pass > 0 {
            self.pass -= 1;
            return None;
        }
        self.at.push(Instant::now());
        let body = json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 422,
            "reason": "Invalid", "message": REFUSAL,
        });
        Some(answer_of(StatusCode::UNPROCESSABLE_ENTITY, &body))
    }
}

async fn pass(State(wire): State<Arc<Wire>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, MAX_BODY).await.unwrap();
    let path = parts.uri.path_and_query().unwrap().as_str();
    let is_watch = path.contains("watch=");
    if parts.method == Method::GET
        && let Some(answer) = wire.given(parts.uri.path())
    {
        return answer;
    }
    let refused = wire
        .refused
        .lock()
        .unwrap()
        .answer(&parts.method, parts.uri.path());
    if let Some(refused) = refused {
        return refused;
    }
    let mut passed = http::Request::builder().method(&parts.method).uri(path);
    for name in [header::CONTENT_TYPE, header::ACCEPT] {
        if let Some(value) = parts.headers.get(&name) {
            passed = passed.header(name, value);
        }
    }
    let passed = passed.body(kube::client::Body::from(body)).unwrap();
    let Ok(answer) = wire.client.send(passed).await else {
        let mut lost = Response::new(Body::empty());
        *lost.status_mut() = StatusCode::BAD_GATEWAY;
        return lost;
    };
    if parts.method != Method::GET && answer.status().is_success() {
        let write = format!("{} {}", parts.method, parts.uri.path());
        wire.writes.lock().unwrap().push(write);
    }
    let (mut parts, body) = answer.into_parts();
    for name in [header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
        parts.headers.remove(name);
    }
    let body = Body::new(body);
    if !is_watch || wire.delay.is_zero() {
        return Response::from_parts(parts, body);
    }
    let delay = wire.delay;
    // Each piece is as late as any other; none waits for another.
    let late = body
        .into_data_stream()
        .map(move |piece| async move {
            tokio::time::sleep(delay).await;
            piece
        })
        .buffered(10_000);
    Response::from_parts(parts, Body::from_stream(late))
}

const TASKS: usize = 50;
/// How long all of them may take, on a machine that does much else.
const LONGEST: Duration = Duration::from_mins(3);

/// Every fifth fails once and is run again, every third depends on the one before it, every fourth
/// shares a branch.
fn spec(n: usize) -> Value {
    let mut spec = json!({"retry": {"limit": 1, "backoff": "0"}});
    if n % 3 == 2 {
        spec["dependsOn"] = json!([format!("t{}", n - 1)]);
    }
    if n.is_multiple_of(4) {
        spec["workspaceRef"] = json!({"name": "web"});
        spec["branch"] = json!(if n.is_multiple_of(8) { "one" } else { "two" });
    }
    json!({
        "metadata": {
            "annotations": {"axon.io/run": format!("v1-{n}")},
            "labels": {"axon.io/sync": "team"},
        },
        "spec": spec,
    })
}

fn fails_first(task: &str) -> bool {
    let n: usize = task.trim_start_matches('t').parse().unwrap();
    n.is_multiple_of(5)
}

/// Ends every Pod that appears, as its Task is meant to end. What it found working at one time on
/// one branch is checked.
async fn play_the_kubelet(context: Context) {
    let pods: Api<Pod> = context.api();
    loop {
        let all = pods.list(&ListParams::default()).await.unwrap().items;
        let open: Vec<&Pod> = all
            .iter()
            .filter(|it| {
                let phase = it.status.as_ref().and_then(|it| it.phase.as_deref());
                !matches!(phase, Some("Succeeded" | "Failed"))
            })
            .collect();
        let mut branches = BTreeSet::new();
        for pod in &open {
            let n: usize = pod.labels()["axon.io/task"]
                .trim_start_matches('t')
                .parse()
                .unwrap();
            if n.is_multiple_of(4) {
                assert!(branches.insert(n % 8), "two Tasks on one branch: {open:?}");
            }
        }
        for pod in open {
            let task = &pod.labels()["axon.io/task"];
            let fails = fails_first(task) && pod.annotations()["axon.io/attempt"] == "1";
            if fails {
                kubelet::ends(&context, pod, 3, "").await;
            } else {
                kubelet::ends(&context, pod, 0, DONE).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn two_controllers_have_no_effect_twice(context: Context) {
    create_secret(&context).await;
    branch::create_workspace(&context).await;
    let seen: Arc<Mutex<BTreeMap<String, BTreeSet<String>>>> = Arc::default();
    let witness = tokio::spawn(watch_jobs(context.api(), seen.clone()));
    let lines = [
        Line::start(&context, Duration::ZERO).await,
        Line::start(&context, BEHIND).await,
    ];
    let pair = lines
        .each_ref()
        .map(|it| Controller::through(&context, it.client()));
    let kubelet = tokio::spawn(play_the_kubelet(context.alias()));
    for n in 0..TASKS {
        create(&context, &format!("t{n}"), spec(n)).await;
    }
    all_have_ended(&context).await;
    for n in 0..TASKS {
        let name = format!("t{n}");
        let done = ended(&context, &name).await;
        let status = status_of(&done);
        assert_eq!(status.phase, Some(TaskPhase::Succeeded), "{done:?}");
        let attempts = if fails_first(&name) { 2 } else { 1 };
        assert_eq!(status.attempts, Some(attempts), "{name}");
    }
    assert!(!kubelet.is_finished(), "the kubelet found something");
    kubelet.abort();
    for controller in pair {
        controller.stop().await;
    }
    witness.abort();
    let expected = TASKS + (0..TASKS).filter(|n| n.is_multiple_of(5)).count();
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen.len(), expected, "{seen:?}");
    for (job, uids) in &seen {
        assert_eq!(uids.len(), 1, "Job {job} was made more than once");
    }
    assert_eq!(jobs_and_pods(&context).await, (expected, expected));
    for n in 0..TASKS {
        let name = format!("t{n}");
        let reasons = events(&context, &name).await;
        let ends = reasons.iter().filter(|it| *it == "Succeeded").count();
        assert_eq!(ends, 1, "{name}: {reasons:?}");
    }
    let shares = lines.map(|it| it.writes().len());
    eprintln!("writes of the two controllers: {shares:?}");
}

/// They need longer together than one condition may take.
async fn all_have_ended(context: &Context) {
    let tasks: Api<Task> = context.api();
    let ended = async || {
        let all = tasks.list(&ListParams::default()).await.unwrap().items;
        let is_over = |it: &Task| status_of(it).completion_time.is_some();
        all.iter().all(is_over)
    };
    let waiting = async {
        while !ended().await {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let waited = tokio::time::timeout(LONGEST, waiting).await;
    waited.expect("all Tasks end");
}

/// All UIDs that Jobs ever had, by name.
async fn watch_jobs(jobs: Api<Job>, seen: Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>) {
    use kube::runtime::watcher;
    use kube::runtime::watcher::Event;
    let mut events = std::pin::pin!(watcher(jobs, watcher::Config::default()));
    while let Some(event) = events.next().await {
        if let Ok(Event::Apply(job) | Event::InitApply(job) | Event::Delete(job)) = event {
            let mut seen = seen.lock().unwrap();
            seen.entry(job.name_any())
                .or_default()
                .insert(job.uid().unwrap());
        }
    }
}
