//! The answers there are. No other leaves this module, so none can say too much.

use bytes::Bytes;
use http::HeaderValue;
use http::Response;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http_body_util::Full;

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Alive, or ready.
    Fine,
    NotReady,
    /// The delivery is authentic and its repository is looked at, by this or by an earlier one's doing.
    Accepted,
    /// The delivery is authentic and says nothing that matters to its RepoSync.
    Ignored,
    /// A path that is none, a RepoSync that is none or takes no deliveries, a signature that is
    /// missing or wrong: one answer, so that nobody learns which.
    NotFound,
    TooLarge,
    TooSlow,
    /// The delivery is authentic and could not be passed on.
    Unavailable,
}

impl Answer {
    pub(super) fn response(self) -> Response<Full<Bytes>> {
        let (status, text) = match self {
            Self::Fine => (StatusCode::OK, "ok\n"),
            Self::NotReady => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
            Self::Accepted => (StatusCode::ACCEPTED, "accepted\n"),
            Self::Ignored => (StatusCode::OK, "nothing to do\n"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not found\n"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too large\n"),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "too slow\n"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "try again\n"),
        };
        let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
        *response.status_mut() = status;
        response.headers_mut().insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        response
    }
}
