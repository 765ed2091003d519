//! Answers: bytes with a status code, or a stream of lines.

use bytes::Bytes;
use futures::Stream;
use futures::StreamExt as _;
use http::Response;
use http::StatusCode;
use http::header;
use http_body::Frame;
use http_body_util::BodyExt as _;
use http_body_util::Full;
use http_body_util::StreamBody;
use http_body_util::combinators::UnsyncBoxBody;
use serde_json::Value;
use tower::BoxError;

use super::error::ApiError;

/// The body of every answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, BoxError>;
/// Every answer.
pub(crate) type Reply = Response<Body>;

pub(crate) fn bytes(code: StatusCode, media: &str, body: Bytes) -> Reply {
    let body = Full::new(body)
        .map_err(|never| match never {})
        .boxed_unsync();
    let response = Response::builder()
        .status(code)
        .header(header::CONTENT_TYPE, media);
    response.body(body).expect("code and media type are valid")
}

pub(crate) fn json(code: StatusCode, body: Bytes) -> Reply {
    bytes(code, "application/json", body)
}

pub(crate) fn value(code: StatusCode, value: &Value) -> Reply {
    json(code, value.to_string().into())
}

pub(crate) fn text(code: StatusCode, text: &str) -> Reply {
    bytes(code, "text/plain; charset=utf-8", text.to_owned().into())
}

pub(crate) fn error(error: &ApiError) -> Reply {
    value(error.code, &error.status())
}

/// Tells the client something besides the answer.
pub(crate) fn warn(reply: &mut Reply, warnings: &[String]) {
    for warning in warnings {
        let quoted = Value::from(warning.as_str());
        if let Ok(header) = header::HeaderValue::from_str(&format!("299 - {quoted}")) {
            reply.headers_mut().append(header::WARNING, header);
        }
    }
}

/// An answer that goes on until `chunks` ends.
pub(crate) fn stream(
    media: &str,
    chunks: impl Stream<Item = Result<Bytes, BoxError>> + Send + 'static,
) -> Reply {
    let body = StreamBody::new(chunks.map(|chunk| chunk.map(Frame::data))).boxed_unsync();
    let response = Response::builder().header(header::CONTENT_TYPE, media);
    response.body(body).expect("the media type is valid")
}
