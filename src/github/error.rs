//! What can go wrong with a request, told apart by what helps: an edit, or waiting.

use http::HeaderMap;
use http::StatusCode;
use jiff::SignedDuration;
use jiff::Timestamp;

use crate::model::address::Local;

/// Wait after a refusal that names no time, as GitHub asks of its clients.
const DEFAULT_WAIT: SignedDuration = SignedDuration::from_secs(60);
/// Longest wait that a server can impose: GitHub's window is one hour, and clocks differ.
const MAX_WAIT: SignedDuration = SignedDuration::from_hours(2);
/// Shortest, so that a reset time in the past does not make us hammer.
const MIN_WAIT: SignedDuration = SignedDuration::from_secs(1);

/// Why GitHub gave no answer to use. Holds nothing of the token or of a response's body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("\"{0}\" is not the URL of a GitHub API")]
    InvalidUrl(String),
    #[error("the token has characters that a token cannot have")]
    InvalidToken,
    #[error("authentication refused (401)")]
    Unauthorized,
    #[error("access refused (403)")]
    Forbidden,
    #[error("not found (404)")]
    NotFound,
    #[error("rate limit; next try {}", until.strftime("%H:%M UTC"))]
    RateLimited { until: Timestamp },
    #[error("redirected to another host")]
    Redirected,
    #[error("its API is not asked: {0}")]
    Local(Local),
    #[error("unexpected answer ({0})")]
    Status(u16),
    #[error("unreadable answer: {0}")]
    Unreadable(String),
    #[error("not reachable: {0}")]
    Unavailable(String),
}

impl Error {
    /// What an answer other than a success means.
    pub(super) fn of_answer(status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => Self::Unauthorized,
            StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => {
                match (limit(headers, now), status) {
                    (Some(until), _) => Self::RateLimited { until },
                    (None, StatusCode::TOO_MANY_REQUESTS) => Self::RateLimited {
                        until: later(now, DEFAULT_WAIT),
                    },
                    (None, _) => Self::Forbidden,
                }
            }
            StatusCode::NOT_FOUND => Self::NotFound,
            status if status.is_server_error() => {
                Self::Unavailable(format!("the server answered {}", status.as_u16()))
            }
            status => Self::Status(status.as_u16()),
        }
    }

    /// An error of the transport, as the text of its innermost cause.
    pub(super) fn of_transport(error: &(dyn std::error::Error + 'static)) -> Self {
        if let Some(local) = Local::behind(error) {
            return Self::Local(local);
        }
        let mut cause = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        Self::Unavailable(cause.to_string())
    }
}

/// Until when the server wants to be left alone, if the answer says so.
fn limit(headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    let number = |name: &str| -> Option<i64> { headers.get(name)?.to_str().ok()?.parse().ok() };
    let wait = if let Some(seconds) = number("retry-after") {
        SignedDuration::from_secs(seconds)
    } else if number("x-ratelimit-remaining") == Some(0) {
        number("x-ratelimit-reset")
            .and_then(|reset| Timestamp::from_second(reset).ok())
            .map_or(DEFAULT_WAIT, |reset| reset.duration_since(now))
    } else {
        return None;
    };
    Some(later(now, wait))
}

fn later(now: Timestamp, wait: SignedDuration) -> Timestamp {
    now.saturating_add(wait.clamp(MIN_WAIT, MAX_WAIT))
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn check(status: u16, headers: &[(&'static str, &'static str)], expected: &str) {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (
                    http::HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        let now = Timestamp::from_second(1_000_000).unwrap();
        let status = StatusCode::from_u16(status).unwrap();
        let got = match Error::of_answer(status, &headers, now) {
            Error::RateLimited { until } => format!("limited {}", until.duration_since(now)),
            error => format!("{error:?}"),
        };
        assert_eq!(got, expected);
    }

    #[test]
    fn answers() {
        check(401, &[], "Unauthorized");
        check(403, &[], "Forbidden");
        check(403, &[("x-ratelimit-remaining", "12")], "Forbidden");
        check(404, &[], "NotFound");
        check(410, &[], "Status(410)");
        check(502, &[], "Unavailable(\"the server answered 502\")");
    }

    #[test]
    fn limits() {
        let reset = |at| [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", at)];
        check(403, &reset("1000090"), "limited PT1M30S");
        check(429, &reset("1000090"), "limited PT1M30S");
        check(403, &reset("17"), "limited PT1S");
        check(403, &reset("99999999999"), "limited PT2H");
        check(403, &[("retry-after", "30")], "limited PT30S");
        check(429, &[("retry-after", "soon")], "limited PT1M");
        check(429, &[], "limited PT1M");
    }
}
