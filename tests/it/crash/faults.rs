//! An API server that fails in every way it can, under all controllers: what git says comes true all the
//! same, each run once, and nobody storms the server.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use axon::controller;
use axon::controller::Options;
use axon::model::Namespace;
use futures::StreamExt as _;
use futures::stream;
use http::Method;
use http::Request;
use http::Response;
use http_body_util::BodyExt as _;
use http_body_util::Full;
use http_body_util::StreamBody;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Bytes;
use hyper::body::Frame;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::client::Body;
use serde_json::Value;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::BoxError;
use tower::service_fn;

use super::controller::Seen;
use super::controller::end_pods;
use super::controller::witness;
use super::repo_sync::Source;
use super::repo_sync::ran_once;
use super::tell;
use crate::on_both_servers;
use crate::server::Context;

on_both_servers!(a_server_that_fails_in_every_way_is_outlived);

/// More requests than this are a storm: two commits of four objects ask some 300 times undisturbed.
const MAX_REQUESTS: usize = 1500;

/// What may come instead of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// 429, and the header that says when to come back.
    Overloaded,
    Internal,
    Unavailable,
    /// Somebody else was first: for writes.
    Conflict,
    /// The line breaks before the server has the request, or after.
    Lost,
    Unheard,
    /// The answer comes in small pieces.
    Slow,
    /// A watch whose version is too old, told by status or in the stream.
    Gone,
    GoneInside,
    /// A watch that breaks off.
    Cut,
}

const ANSWERS: [Fault; 7] = [
    Fault::Overloaded,
    Fault::Internal,
    Fault::Unavailable,
    Fault::Conflict,
    Fault::Lost,
    Fault::Unheard,
    Fault::Slow,
];
const WATCHES: [Fault; 3] = [Fault::Gone, Fault::GoneInside, Fault::Cut];

/// Decides which requests fail: the first of each method and path in one way, by turns, and the first
/// few watches of each path in every way.
#[derive(Default)]
struct Plan {
    seen: HashMap<String, usize>,
    turn: usize,
    requests: usize,
    injected: BTreeMap<Fault, usize>,
}

impl Plan {
    fn next(&mut self, request: &Request<Body>) -> Option<Fault> {
        let query = request.uri().query().unwrap_or_default();
        let is_watch = query.contains("watch=true");
        self.requests += 1;
        let line = format!("{} {} {is_watch}", request.method(), request.uri().path());
        let count = self.seen.entry(line).or_default();
        *count += 1;
        let fault = if is_watch {
            WATCHES.get(*count - 1).copied()
        } else if *count > 1 {
            None
        } else {
            self.turn += 1;
            Some(match ANSWERS[self.turn % ANSWERS.len()] {
                Fault::Conflict if request.method() == Method::GET => Fault::Internal,
                other => other,
            })
        };
        if let Some(fault) = fault {
            *self.injected.entry(fault).or_default() += 1;
        }
        fault
    }
}

/// A body of any sort.
type Whole = UnsyncBoxBody<Bytes, BoxError>;

fn failing(inner: &Client, plan: &Arc<Mutex<Plan>>) -> Client {
    let (inner, plan) = (inner.clone(), Arc::clone(plan));
    let service = service_fn(move |request: Request<Body>| {
        let fault = plan.lock().unwrap().next(&request);
        answer(inner.clone(), request, fault)
    });
    Client::new(service, "default")
}

async fn answer(
    inner: Client,
    request: Request<Body>,
    fault: Option<Fault>,
) -> Result<Response<Whole>, BoxError> {
    match fault {
        None => Ok(inner.send(request).await?.map(whole)),
        Some(Fault::Overloaded) => {
            let mut answer = refusal(429, "TooManyRequests");
            answer.headers_mut().insert("Retry-After", "1".parse()?);
            Ok(answer)
        }
        Some(Fault::Internal) => Ok(refusal(500, "InternalError")),
        Some(Fault::Unavailable) => Ok(refusal(503, "ServiceUnavailable")),
        Some(Fault::Conflict) => Ok(refusal(409, "Conflict")),
        Some(Fault::Lost) => Err("connection reset".into()),
        Some(Fault::Unheard) => {
            inner.send(request).await?;
            Err("connection reset".into())
        }
        Some(Fault::Slow) => {
            let (parts, body) = inner.send(request).await?.into_parts();
            Ok(Response::from_parts(
                parts,
                in_pieces(&body.collect().await?.to_bytes()),
            ))
        }
        Some(Fault::Gone) => Ok(refusal(410, "Expired")),
        Some(Fault::GoneInside) => {
            let event = json!({"type": "ERROR", "object": status(410, "Expired")});
            Ok(Response::new(text(format!("{event}\n"))))
        }
        Some(Fault::Cut) => {
            let (parts, body) = inner.send(request).await?.into_parts();
            Ok(Response::from_parts(parts, cut(body)))
        }
    }
}

fn status(code: u16, reason: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "code": code, "reason": reason, "message": "injected",
    })
}

fn refusal(code: u16, reason: &str) -> Response<Whole> {
    let answer = Response::builder().status(code);
    answer.body(text(status(code, reason).to_string())).unwrap()
}

fn text(text: String) -> Whole {
    Full::from(text)
        .map_err(|never| match never {})
        .boxed_unsync()
}

fn whole(body: Body) -> Whole {
    body.map_err(BoxError::from).boxed_unsync()
}

/// Twenty pieces, with a pause before each.
fn in_pieces(bytes: &Bytes) -> Whole {
    let size = bytes.len().div_ceil(20).max(1);
    let pieces: Vec<Bytes> = bytes.chunks(size).map(Bytes::copy_from_slice).collect();
    let pieces = stream::iter(pieces).then(|piece| async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        Ok::<_, BoxError>(Frame::data(piece))
    });
    StreamBody::new(pieces).boxed_unsync()
}

/// What comes within a second, and then an error.
fn cut(body: Body) -> Whole {
    let until = Box::pin(tokio::time::sleep(Duration::from_secs(1)));
    let pieces = body.into_data_stream().map(|it| {
        let piece = it.map_err(BoxError::from)?;
        Ok::<_, BoxError>(Frame::data(piece))
    });
    let broken = stream::once(async { Err(BoxError::from("connection reset")) });
    StreamBody::new(pieces.take_until(until).chain(broken)).boxed_unsync()
}

async fn a_server_that_fails_in_every_way_is_outlived(context: Context) {
    let source = Source::new();
    let (jobs, pods) = (Seen::default(), Seen::default());
    let mut around = JoinSet::new();
    around.spawn(witness::<Job>(context.api(), &jobs));
    around.spawn(witness::<Pod>(context.api(), &pods));
    around.spawn(end_pods(context.alias()));
    source.follow(&context).await;
    let plan: Arc<Mutex<Plan>> = Arc::default();
    let stop = CancellationToken::new();
    let options = Options {
        namespace: Some(Namespace::parse(&context.namespace).unwrap()),
        local_addresses: true,
        ..Options::default()
    };
    let client = failing(&context.client, &plan);
    let until = stop.clone();
    let controller = tokio::spawn(async move {
        // One that cannot begin ends, and is started again.
        while let Err(error) = controller::run(client.clone(), options.clone(), until.clone()).await
        {
            assert!(matches!(error, controller::Error::Reach(_)), "{error}");
        }
    });
    source.way(&context).await;
    stop.cancel();
    controller.await.unwrap();
    around.shutdown().await;
    ran_once(&[("Job", &jobs), ("Pod", &pods)], None);

    let plan = plan.lock().unwrap();
    let (requests, injected) = (plan.requests, &plan.injected);
    for fault in ANSWERS.iter().chain(&WATCHES) {
        assert!(
            injected.contains_key(fault),
            "{fault:?} never came: {injected:?}"
        );
    }
    assert!(requests < MAX_REQUESTS, "{requests} requests, {injected:?}");
    let all: usize = injected.values().sum();
    let told = format!("{all} faults in {requests} requests, each run once: {injected:?}");
    tell("API faults", &context, &told);
}
