//! A proxy between the program and the API server that cuts the line at one writing request.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::extract::State;
use axum::response::Response;
use http::Method;
use http::StatusCode;
use http::header;
use kube::Client;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// More than any request of ours.
const MAX_BODY: usize = 16 << 20;

/// Where the line is cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    /// Which writing request, counted from 0.
    pub(super) at: usize,
    /// Whether the server still carries it out.
    pub(super) relayed: bool,
}

/// A proxy that listens on a port of its own until it is dropped.
pub(super) struct Proxy {
    pub(super) port: u16,
    line: Arc<Line>,
    serving: JoinHandle<()>,
}

struct Line {
    client: Client,
    fault: Option<Fault>,
    writes: AtomicUsize,
    cut: Notify,
}

impl Proxy {
    pub(super) async fn start(client: &Client, fault: Option<Fault>) -> Self {
        let line = Arc::new(Line {
            client: client.clone(),
            fault,
            writes: AtomicUsize::new(0),
            cut: Notify::new(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new().fallback(pass).with_state(Arc::clone(&line));
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        Self {
            port,
            line,
            serving,
        }
    }

    /// Waits until the line is cut.
    pub(super) async fn is_cut(&self) {
        self.line.cut.notified().await;
    }

    /// Writing requests so far.
    pub(super) fn writes(&self) -> usize {
        self.line.writes.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn pass(State(line): State<Arc<Line>>, request: Request) -> Response {
    let is_dry = request
        .uri()
        .query()
        .is_some_and(|it| it.contains("dryRun="));
    if request.method() != Method::GET && !is_dry {
        let turn = line.writes.fetch_add(1, Ordering::SeqCst);
        if let Some(fault) = line.fault.filter(|it| turn >= it.at) {
            if turn == fault.at {
                if fault.relayed {
                    line.forward(request).await;
                }
                line.cut.notify_one();
            }
            // Nobody is there any more to hear an answer.
            return std::future::pending().await;
        }
    }
    line.forward(request).await
}

impl Line {
    async fn forward(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, MAX_BODY).await.unwrap();
        let mut passed = http::Request::builder().method(parts.method);
        if let Some(path) = parts.uri.path_and_query() {
            passed = passed.uri(path.as_str());
        }
        for name in [header::CONTENT_TYPE, header::ACCEPT] {
            if let Some(value) = parts.headers.get(&name) {
                passed = passed.header(name, value);
            }
        }
        let passed = passed.body(kube::client::Body::from(body)).unwrap();
        match self.client.send(passed).await {
            Ok(answer) => {
                let (mut parts, body) = answer.into_parts();
                for name in [header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
                    parts.headers.remove(name);
                }
                Response::from_parts(parts, Body::new(body))
            }
            Err(error) => {
                let mut answer = Response::new(Body::from(error.to_string()));
                *answer.status_mut() = StatusCode::BAD_GATEWAY;
                answer
            }
        }
    }
}
