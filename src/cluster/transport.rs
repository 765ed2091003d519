//! One request and its answer, both bounded.

use std::time::Duration;

use bytes::Bytes;
use form_urlencoded::Serializer;
use http::Method;
use http::Request;
use http::header::ACCEPT;
use http::header::CONTENT_TYPE;
use http::header::RETRY_AFTER;
use http_body_util::BodyExt;
use http_body_util::Limited;
use kube::Client;
use kube::client::Body;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::timeout_at;

use super::error::Answer;
use super::error::Asked;
use super::error::Error;
use super::error::classify;

/// Longest time for one request, its whole answer and the waits that the server asks for included. The API
/// server itself gives up after 60 s.
const LIMIT: Duration = Duration::from_secs(65);
/// Largest answer: a full page of the largest Tasks stays below it in all but contrived cases.
const MAX_ANSWER: usize = 1 << 30;
/// Asks for metadata alone; a server that cannot do that gives whole objects.
const METADATA_ONLY: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// Names the user on whose behalf a request is made.
const IMPERSONATE: &str = "Impersonate-User";

/// How often a request is sent that an overloaded server turns away unheard.
const ATTEMPTS: usize = 5;

/// A request that is being put together.
pub(super) struct Call<'a> {
    method: Method,
    path: String,
    query: String,
    accept: &'static str,
    user: Option<&'a str>,
    body: Option<(&'static str, Bytes)>,
    asked: Asked<'a>,
}

impl<'a> Call<'a> {
    pub(super) fn new(method: Method, path: String, asked: Asked<'a>) -> Self {
        Self {
            method,
            path,
            query: String::new(),
            accept: "application/json",
            user: None,
            body: None,
            asked,
        }
    }

    pub(super) fn query(mut self, name: &str, value: &str) -> Self {
        self.query = Serializer::new(self.query)
            .append_pair(name, value)
            .finish();
        self
    }

    pub(super) fn json(mut self, content_type: &'static str, body: &Value) -> Self {
        self.body = Some((content_type, body.to_string().into()));
        self
    }

    pub(super) fn impersonating(mut self, user: &'a str) -> Self {
        self.user = Some(user);
        self
    }

    pub(super) fn metadata_only(mut self) -> Self {
        self.accept = METADATA_ONLY;
        self
    }

    /// Sends it, and reads the answer.
    pub(super) async fn send<T: DeserializeOwned>(mut self, client: &Client) -> Result<T, Error> {
        if !self.query.is_empty() {
            self.path = format!("{}?{}", self.path, self.query);
        }
        self.send_heard(client).await
    }

    /// Sends it again where an overloaded server asks for that, as long as there is time.
    async fn send_heard<T: DeserializeOwned>(&self, client: &Client) -> Result<T, Error> {
        let deadline = Instant::now() + LIMIT;
        let mut attempts = 0;
        loop {
            let answer = timeout_at(deadline, self.send_once(client)).await;
            let answer = answer.unwrap_or(Err(Error::Timeout(LIMIT)));
            attempts += 1;
            match answer {
                Err(Error::TooMany { after })
                    if attempts < ATTEMPTS && Instant::now() + after < deadline =>
                {
                    sleep(after).await;
                }
                done => return done,
            }
        }
    }

    async fn send_once<T: DeserializeOwned>(&self, client: &Client) -> Result<T, Error> {
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(&self.path)
            .header(ACCEPT, self.accept);
        if let Some(user) = self.user {
            request = request.header(IMPERSONATE, user);
        }
        let mut bytes = Bytes::new();
        if let Some((content_type, body)) = &self.body {
            request = request.header(CONTENT_TYPE, *content_type);
            bytes = body.clone();
        }
        let request = request
            .body(Body::from(bytes))
            .map_err(|error| Error::Unreachable(error.into()))?;
        let answer = client
            .send(request)
            .await
            .map_err(|error| Error::Unreachable(innermost(error)))?;
        let code = answer.status();
        let retry_after = answer.headers().get(RETRY_AFTER);
        let retry_after = retry_after.and_then(|it| it.to_str().ok()?.trim().parse().ok());
        let body = Limited::new(answer.into_body(), MAX_ANSWER)
            .collect()
            .await
            .map_err(Error::Unreachable)?
            .to_bytes();
        if !code.is_success() {
            let answer = Answer {
                sent: self.body.as_ref().map(|(_, it)| &it[..]),
                code: code.as_u16(),
                retry_after,
                body: &body,
            };
            return Err(classify(&answer, &self.asked));
        }
        serde_json::from_slice(&body).map_err(|error| Error::Garbled(error.into()))
    }
}

/// The client library wraps the transport's error in one that repeats its text.
fn innermost(error: kube::Error) -> Box<dyn std::error::Error + Send + Sync> {
    match error {
        kube::Error::Service(source) => source,
        kube::Error::HyperError(source) => source.into(),
        other => other.into(),
    }
}
