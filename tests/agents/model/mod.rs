//! A model that plays a script, in the four languages that the agents speak.
//!
//! It keeps no state of a conversation: a request that holds the result of a tool is the second turn, and one
//! that offers no tools is for something beside the task (a title, a choice of a model).

mod anthropic;
mod chat;
mod gemini;
mod responses;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::Method;
use axum::http::Response;
use axum::http::Uri;
use serde_json::Value;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// Largest request that is read.
const MAX_BODY: usize = 16 * 1024 * 1024;
/// How long a tool goes on that is to be stopped. Spelt out, for one agent refuses `$(…)`, another a long sleep.
const SECONDS: usize = 150;

pub(crate) const WORK: &str = "I will write the file.";
pub(crate) const DONE: &str = "Done.";

/// What the model does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    /// Asks for one edit and its commit, then is done.
    Edit,
    /// Refuses the key.
    Refuse,
    /// Has no room for this caller.
    Limit,
    /// Asks for a tool that pushes the branch `began/TASK` and then goes on for long.
    Linger,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Tool,
    Final,
    Aside,
}

/// Tokens of a turn. `input` includes what was cached.
struct Tokens {
    input: u32,
    cached: u32,
    output: u32,
}

impl Turn {
    fn of(offers_tools: bool, has_result: bool) -> Self {
        match (offers_tools, has_result) {
            (false, _) => Self::Aside,
            (true, false) => Self::Tool,
            (true, true) => Self::Final,
        }
    }

    /// Both turns together: 2300 of input, 300 of them cached, and 55 of output.
    fn tokens(self) -> Tokens {
        let (input, cached, output) = match self {
            Self::Tool => (1100, 100, 21),
            Self::Final => (1200, 200, 34),
            Self::Aside => (7, 0, 3),
        };
        Tokens {
            input,
            cached,
            output,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Tool => WORK,
            Self::Final => DONE,
            Self::Aside => "A title",
        }
    }
}

/// A request that was made.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) path: String,
    /// The key, whatever header it came in.
    pub(crate) key: String,
    pub(crate) body: Value,
}

impl Seen {
    /// Whether some string of the request holds this text as it is.
    pub(crate) fn says(&self, text: &str) -> bool {
        says(&self.body, text)
    }
}

fn says(value: &Value, text: &str) -> bool {
    match value {
        Value::String(it) => it.contains(text),
        Value::Array(all) => all.iter().any(|it| says(it, text)),
        Value::Object(all) => all.values().any(|it| says(it, text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The model while it serves. It ends when this is dropped.
pub(crate) struct Model {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    _runtime: Runtime,
}

impl Model {
    /// Serves at an address of this machine.
    pub(crate) fn start(host: &str, script: Script) -> Self {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind((host, 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::default();
        let stage = Stage {
            script,
            seen: Arc::clone(&seen),
        };
        let router = Router::new()
            .fallback(answer)
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .with_state(stage);
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self {
            address,
            seen,
            _runtime: runtime,
        }
    }

    /// `http://HOST:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests for the model whose path holds this.
    pub(crate) fn seen(&self, path: &str) -> Vec<Seen> {
        let all = self.seen.lock().unwrap();
        all.iter()
            .filter(|it| it.path.contains(path))
            .cloned()
            .collect()
    }
}

#[derive(Clone)]
struct Stage {
    script: Script,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// The language of a request.
#[derive(Clone, Copy)]
enum Wire {
    Anthropic,
    Responses,
    Chat,
    Gemini,
}

impl Wire {
    fn of(path: &str) -> Option<Self> {
        let path = path.trim_end_matches('/');
        [
            ("/messages", Self::Anthropic),
            ("/responses", Self::Responses),
            ("/chat/completions", Self::Chat),
            (":streamGenerateContent", Self::Gemini),
            (":generateContent", Self::Gemini),
        ]
        .into_iter()
        .find_map(|(end, wire)| path.ends_with(end).then_some(wire))
    }

    fn play(self, path: &str, body: &Value, script: Script) -> Response<Body> {
        match self {
            Self::Anthropic => anthropic::play(body, script),
            Self::Responses => responses::play(body, script),
            Self::Chat => chat::play(body, script),
            Self::Gemini => gemini::play(path, body, script),
        }
    }

    fn has_result(self, body: &Value) -> bool {
        match self {
            Self::Anthropic => anthropic::has_result(body),
            Self::Responses => responses::has_result(body),
            Self::Chat => chat::has_result(body),
            Self::Gemini => gemini::has_result(body),
        }
    }

    fn refusal(self, status: u16) -> Value {
        let text = match status {
            401 => "this key is refused",
            _ => "too many requests",
        };
        match self {
            Self::Anthropic => anthropic::refusal(status, text),
            Self::Gemini => gemini::refusal(status, text),
            Self::Responses | Self::Chat => openai_refusal(status, text),
        }
    }
}

async fn answer(
    State(stage): State<Stage>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let path = uri.path();
    let wire = Wire::of(path).filter(|_| method == Method::POST);
    let Some(wire) = wire else {
        let status = if method == Method::HEAD { 200 } else { 404 };
        return json_answer(
            status,
            &json!({"error": {"type": "not_found_error", "message": "nothing here"}}),
        );
    };
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let seen = Seen {
        at: Instant::now(),
        path: path.to_owned(),
        key: key(&headers),
        body: body.clone(),
    };
    stage.seen.lock().unwrap().push(seen);
    match stage.script {
        // One agent lets its tool go on beside the conversation after some time.
        Script::Linger if wire.has_result(&body) => std::future::pending().await,
        Script::Edit | Script::Linger => wire.play(path, &body, stage.script),
        Script::Refuse => json_answer(401, &wire.refusal(401)),
        Script::Limit => json_answer(429, &wire.refusal(429)),
    }
}

fn key(headers: &HeaderMap) -> String {
    let names = ["x-api-key", "x-goog-api-key", "authorization"];
    let value = names.iter().find_map(|it| headers.get(*it));
    let text = value.and_then(|it| it.to_str().ok()).unwrap_or_default();
    text.strip_prefix("Bearer ").unwrap_or(text).to_owned()
}

fn openai_refusal(status: u16, text: &str) -> Value {
    let (kind, code) = match status {
        401 => ("invalid_request_error", "invalid_api_key"),
        _ => ("rate_limit_error", "rate_limit_exceeded"),
    };
    json!({"error": {"message": text, "type": kind, "code": code, "param": null}})
}

fn json_answer(status: u16, value: &Value) -> Response<Body> {
    let mut answer = Response::builder()
        .status(status)
        .header("content-type", "application/json");
    if status == 429 {
        // Who heeds this does not wait long.
        answer = answer.header("retry-after", "1");
    }
    answer.body(Body::from(value.to_string())).unwrap()
}

/// Server-sent events, each with its name if it has one.
fn events<'n>(all: impl IntoIterator<Item = (Option<&'n str>, Value)>) -> Response<Body> {
    let event = |(name, value): (Option<&str>, Value)| match name {
        Some(name) => format!("event: {name}\ndata: {value}\n\n"),
        None => format!("data: {value}\n\n"),
    };
    stream(all.into_iter().map(event).collect())
}

fn stream(text: String) -> Response<Body> {
    Response::builder()
        .header("content-type", "text/event-stream")
        .body(Body::from(text))
        .unwrap()
}

/// What the model wants to be run in a shell.
fn command(script: Script) -> String {
    if script == Script::Linger {
        let seconds: Vec<String> = (1..=SECONDS).map(|it| it.to_string()).collect();
        return format!(
            "git push --quiet origin HEAD:refs/heads/began/$AXON_TASK; \
             for i in {}; do echo tick $i; sleep 1; done",
            seconds.join(" ")
        );
    }
    "echo hello > hello.txt && git add hello.txt && git commit --quiet --message hello && git log --oneline".to_owned()
}

/// The tool that runs a command, among those that are offered with the schema of their arguments.
fn shell<'t>(
    tools: impl IntoIterator<Item = (&'t str, &'t Value)>,
) -> Option<(&'t str, &'t Value)> {
    let names = ["bash", "exec_command", "shell", "run_shell_command"];
    tools
        .into_iter()
        .find(|(name, _)| names.contains(&name.to_ascii_lowercase().as_str()))
}

/// Arguments for such a tool.
fn arguments(schema: &Value, script: Script) -> Value {
    let takes = |name: &str| schema["properties"].get(name).is_some();
    let name = if takes("cmd") { "cmd" } else { "command" };
    let mut arguments = json!({name: command(script)});
    if takes("description") {
        arguments["description"] = json!("Writes a file and commits it");
    }
    if takes("yield_time_ms") {
        // How long the call may take before it goes on beside the conversation.
        arguments["yield_time_ms"] = json!(30_000);
    }
    arguments
}
