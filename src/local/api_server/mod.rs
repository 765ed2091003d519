//! The API server: a `tower` service that speaks the Kubernetes API over the store.
//!
//! It knows Kubernetes' semantics and nothing of what runs in the cluster.

mod apply;
mod binding;
mod builtin;
mod builtin_rules;
mod call;
mod crd;
mod defaults;
mod delete;
mod discovery;
mod error;
mod gc;
mod job_rules;
pub(super) mod listener;
mod metadata;
mod object;
mod openapi;
mod patch;
mod patience;
mod pod_log;
mod pod_rules;
mod protobuf;
mod read;
mod registry;
mod reply;
mod request;
mod resource;
mod schema;
mod selector;
mod strategic;
mod strict;
mod table;
mod validate;
mod view;
mod watch;
mod write;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::StatusCode;
use http::header;
use http_body_util::BodyExt as _;
use http_body_util::Limited;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::BoxError;
use tower::Service;

use self::call::Call;
use self::error::ApiError;
use self::registry::Registry;
use self::reply::Reply;
use self::request::Query;
use self::request::Verb;
use crate::local::logs::LogDir;
use crate::local::store::Store;

/// The largest body that is read, as in Kubernetes.
const MAX_BODY: usize = 3 << 20;
/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// How many writes are worked on at once; the others wait.
const MAX_WRITERS: usize = 16;
/// How long a write may take until its caller is told that it took too long.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// The API server. Clones share everything.
#[derive(Clone)]
pub(crate) struct Server(Arc<Inner>);

struct Inner {
    store: Arc<Store>,
    registry: Registry,
    logs: LogDir,
    writers: Arc<Semaphore>,
    stop: CancellationToken,
}

impl Server {
    /// A server over `store`. It serves until `stop`: then watches end.
    pub(crate) fn new(store: Arc<Store>, logs: LogDir, stop: CancellationToken) -> Self {
        let registry = Registry::new(&store);
        Self(Arc::new(Inner {
            store,
            registry,
            logs,
            writers: Arc::new(Semaphore::new(MAX_WRITERS)),
            stop,
        }))
    }

    /// Deletes what has lost its owners, and finishes deletions, until `stop`.
    pub(crate) async fn collect_garbage(self) {
        gc::run(self.0).await;
    }

    /// Makes the namespaces that every cluster has.
    pub(crate) async fn prepare(&self) -> Result<(), ApiError> {
        for name in ["default", "kube-system"] {
            let body = serde_json::json!({
                "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name},
            });
            let request = Request::post("/api/v1/namespaces")
                .header(header::USER_AGENT, "kube-apiserver")
                .body(http_body_util::Full::new(Bytes::from(body.to_string())))
                .expect("the request is valid");
            let code = self.answer(request).await.status();
            if code != StatusCode::CREATED && code != StatusCode::CONFLICT {
                return Err(ApiError::internal(format!(
                    "cannot make namespace \"{name}\" ({code})"
                )));
            }
        }
        Ok(())
    }

    /// Answers one request.
    async fn answer<B>(&self, request: Request<B>) -> Reply
    where
        B: http_body::Body + Send,
        B::Error: Into<BoxError>,
        B::Data: Send,
    {
        let (parts, body) = request.into_parts();
        let query = Query::parse(parts.uri.query());
        let path = parts.uri.path();
        tracing::trace!(method = %parts.method, path, "request");
        let Some(target) = request::target(path) else {
            return discovery::answer(&self.0, &parts.method, path, &parts.headers);
        };
        let reading = Limited::new(body, MAX_BODY).collect();
        let body = match tokio::time::timeout(BODY_TIMEOUT, reading).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(_)) => return reply::error(&too_large()),
            Err(_) => return reply::error(&too_slow()),
        };
        let call = Call::new(&self.0, target, &parts, query, body);
        match call {
            Ok((verb, call)) => dispatch(verb, call).await,
            Err(error) => reply::error(&error),
        }
    }
}

impl<B> Service<Request<B>> for Server
where
    B: http_body::Body + Send + 'static,
    B::Error: Into<BoxError>,
    B::Data: Send,
{
    type Response = Reply;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Reply, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let server = self.clone();
        Box::pin(async move { Ok(server.answer(request).await) })
    }
}

fn too_large() -> ApiError {
    ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "RequestEntityTooLarge",
        format!("Request entity too large: limit is {MAX_BODY}"),
    )
}

fn too_slow() -> ApiError {
    let within = BODY_TIMEOUT.as_secs();
    ApiError::new(
        StatusCode::REQUEST_TIMEOUT,
        "Timeout",
        format!("Timeout: the body was not sent within {within} s"),
    )
}

async fn dispatch(verb: Verb, call: Call) -> Reply {
    let answered = match verb {
        Verb::Get => read::get(&call),
        Verb::List => read::list(&call),
        Verb::Watch => watch::watch(call),
        Verb::Create => blocking(call, write::create).await,
        Verb::Update => blocking(call, write::update).await,
        Verb::Patch => blocking(call, patch::patch).await,
        Verb::Delete => blocking(call, delete::delete).await,
        Verb::DeleteCollection => blocking(call, delete::delete_collection).await,
    };
    answered.unwrap_or_else(|error| reply::error(&error))
}

/// Runs a write off the runtime: it may run rules, and it waits for the disk.
async fn blocking(
    call: Call,
    work: fn(&Call) -> Result<Reply, ApiError>,
) -> Result<Reply, ApiError> {
    let writers = Arc::clone(&call.server.writers);
    let permit = writers.acquire_owned().await.map_err(ApiError::internal)?;
    let task = tokio::task::spawn_blocking(move || {
        let mut reply = work(&call).unwrap_or_else(|error| reply::error(&error));
        reply::warn(&mut reply, &call.take_warnings());
        drop(permit);
        Ok(reply)
    });
    match tokio::time::timeout(WRITE_TIMEOUT, task).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(ApiError::internal("the request could not be worked on")),
        Err(_) => Err(ApiError::new(
            StatusCode::GATEWAY_TIMEOUT,
            "Timeout",
            "Timeout: request did not complete within the allotted timeout",
        )),
    }
}
