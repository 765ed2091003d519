//! Why a request failed, by the API server's codes and reasons, never by its words.

use std::time::Duration;

use kube::core::Status;
use kube::core::response::StatusCause;
use kube::core::response::reason;

use crate::model::plan::OwnedField;
use crate::model::plan::Refusal;
use crate::model::sensitive;
use crate::model::sensitive::Known;

/// Longest message of a server that is passed on: enough for any of the API server's own.
const MAX_MESSAGE: usize = 2_000;
/// How the API server begins to tell of a field that the schema does not know. It has no code or reason
/// of its own: a plain 500, as for whatever else went wrong.
const TYPED_PATCH: &str = "failed to create typed patch object";
/// Longest wait that an overloaded server may ask for: more is no answer to one request.
const MAX_AFTER: Duration = Duration::from_mins(5);
/// Reason of a cause: another manager owns the field.
const FIELD_MANAGER_CONFLICT: &str = "FieldManagerConflict";

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0} is not there")]
    NotFound(String),
    #[error("the cluster does not know \"{0}.axon.io\"")]
    NotInstalled(&'static str),
    #[error("namespace \"{0}\" does not exist")]
    NoNamespace(String),
    #[error("{}", conflict(.0))]
    FieldConflict(Vec<OwnedField>),
    #[error("it was changed or replaced meanwhile: {0}")]
    Moved(String),
    #[error("the cluster does not accept the credentials: {0}")]
    Unauthorized(String),
    #[error("{0}")]
    Forbidden(String),
    #[error("{0}")]
    Invalid(String),
    /// A field that the schema of the kind does not know.
    #[error("{0}")]
    Schema(String),
    #[error("it is still there {} s after it was told to go; something holds it", .0.as_secs())]
    StillThere(Duration),
    #[error("the list changed while it was read")]
    Expired,
    #[error("the API server is overloaded; it asks to try again after {} s", .after.as_secs())]
    TooMany { after: Duration },
    #[error("the API server answers {code}: {message}")]
    Server { code: u16, message: String },
    #[error("cannot reach the API server")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the API server did not answer within {} s", .0.as_secs())]
    Timeout(Duration),
    #[error("the answer of the API server cannot be read")]
    Garbled(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("there are more than {0} objects")]
    TooMuch(usize),
}

impl Error {
    /// Why the API server, which understood the request, will never grant it as it is; nothing where
    /// it may go better another time.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Invalid(_) | Self::Schema(_) => Some(Refusal::Invalid),
            Self::Forbidden(_) => Some(Refusal::Forbidden),
            Self::NotFound(_)
            | Self::NotInstalled(_)
            | Self::NoNamespace(_)
            | Self::FieldConflict(_)
            | Self::Moved(_)
            | Self::Unauthorized(_)
            | Self::Expired
            | Self::TooMany { .. }
            | Self::Unreachable(_)
            | Self::Timeout(_)
            | Self::Garbled(_)
            | Self::StillThere(_)
            | Self::Server { .. }
            | Self::TooMuch(_) => None,
        }
    }
}

/// What was asked for, as far as an error has to tell it.
pub(super) struct Asked<'a> {
    pub(super) namespace: &'a str,
    /// Plural of the kind.
    pub(super) resource: &'static str,
    /// Absent for a list.
    pub(super) name: Option<&'a str>,
}

/// An answer that is no success.
pub(super) struct Answer<'a> {
    /// What was sent: a server repeats values in its refusals, and so do policies of others.
    pub(super) sent: Option<&'a [u8]>,
    pub(super) code: u16,
    /// The header `Retry-After`, in seconds.
    pub(super) retry_after: Option<u64>,
    pub(super) body: &'a [u8],
}

/// The error that a failed request's answer stands for.
pub(super) fn classify(answer: &Answer<'_>, asked: &Asked<'_>) -> Error {
    let Answer {
        sent,
        code,
        retry_after,
        body,
    } = *answer;
    let sent = sent.and_then(|it| serde_json::from_slice(it).ok());
    let secrets = sent.as_ref().map(Known::of).unwrap_or_default();
    let status = serde_json::from_slice::<Status>(body).ok();
    let known = status.is_some();
    let mut status = status
        .unwrap_or_else(|| Status::failure(&String::from_utf8_lossy(body), "").with_code(code));
    let message = clean(&std::mem::take(&mut status.message), &secrets);
    let details = status.details.as_ref();
    match (code, status.reason.as_str()) {
        (404, _) => match (details, asked.name) {
            (Some(it), _) if it.kind == "namespaces" => Error::NoNamespace(it.name.clone()),
            (Some(it), Some(name)) if known && !it.name.is_empty() => {
                Error::NotFound(format!("\"{}/{name}\"", asked.namespace))
            }
            _ => Error::NotInstalled(asked.resource),
        },
        (409, _) => {
            let fields: Vec<OwnedField> = details
                .map(|it| it.causes.iter().filter_map(owned).collect())
                .unwrap_or_default();
            if fields.is_empty() {
                Error::Moved(message)
            } else {
                Error::FieldConflict(fields)
            }
        }
        (401, _) => Error::Unauthorized(message),
        (403, _) => Error::Forbidden(message),
        (410, _) | (_, reason::EXPIRED) => Error::Expired,
        (429, _) => Error::TooMany {
            after: after(retry_after, details.map(|it| it.retry_after_seconds.into())),
        },
        (500, _) if message.starts_with(TYPED_PATCH) => Error::Schema(message),
        (400..=499, _) => Error::Invalid(message),
        _ => Error::Server { code, message },
    }
}

/// How long an overloaded server wants to be left alone: what turns requests away before they are read
/// says it in the header alone.
fn after(header: Option<u64>, details: Option<u64>) -> Duration {
    let seconds = header.into_iter().chain(details).max().unwrap_or_default();
    Duration::from_secs(seconds.max(1)).min(MAX_AFTER)
}

/// The field and manager of one cause. The manager stands nowhere but in quotes in the message.
fn owned(cause: &StatusCause) -> Option<OwnedField> {
    (cause.reason == FIELD_MANAGER_CONFLICT).then(|| OwnedField {
        path: cause.field.trim_start_matches('.').to_owned(),
        manager: clean(
            cause.message.split('"').nth(1).unwrap_or("another manager"),
            &Known::default(),
        ),
    })
}

fn conflict(fields: &[OwnedField]) -> String {
    let each: Vec<String> = fields
        .iter()
        .map(|it| format!("\"{}\" is managed by \"{}\"", it.path, it.manager))
        .collect();
    each.join(", ")
}

/// Text of a server as one bounded line without control characters and secrets.
fn clean(text: &str, known: &Known) -> String {
    let text = sensitive::line(text.trim(), known);
    match text.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(code: u16, body: &str, expected: &str) {
        let asked = Asked {
            namespace: "agents",
            resource: "tasks",
            name: Some("a"),
        };
        let answer = Answer {
            sent: None,
            code,
            retry_after: None,
            body: body.as_bytes(),
        };
        let error = classify(&answer, &asked);
        assert!(
            format!("{error:?}").starts_with(expected),
            "{error:?} is not {expected}"
        );
    }

    #[test]
    fn an_overloaded_server_says_when_in_its_header_too() {
        let check = |header: Option<u64>, details: Option<u64>, expected: u64| {
            assert_eq!(after(header, details), Duration::from_secs(expected));
        };
        check(None, None, 1);
        check(Some(7), None, 7);
        check(None, Some(3), 3);
        check(Some(2), Some(0), 2);
        check(Some(u64::MAX), None, MAX_AFTER.as_secs());
    }

    #[test]
    fn only_a_field_that_is_unknown_is_a_refusal_among_what_is_plainly_500() {
        let said =
            |message: &str| json!({"kind": "Status", "reason": "", "message": message}).to_string();
        let unknown = "failed to create typed patch object (a/b; axon.io/v1alpha1, Kind=Task): .spec.x: field not declared in schema";
        check(500, &said(unknown), "Schema");
        check(
            500,
            &said("failed calling webhook \"x\""),
            "Server { code: 500",
        );
        check(500, "etcdserver: request timed out", "Server { code: 500");
    }

    fn status(reason: &str, details: &serde_json::Value) -> String {
        json!({"kind": "Status", "status": "Failure", "reason": reason, "message": "words", "details": details})
            .to_string()
    }

    #[test]
    fn errors_are_told_apart_by_code_reason_and_details() {
        let object = json!({"name": "a", "kind": "tasks"});
        check(404, &status("NotFound", &object), "NotFound");
        let namespace = json!({"name": "agents", "kind": "namespaces"});
        check(404, &status("NotFound", &namespace), "NoNamespace");
        check(404, &status("NotFound", &json!({})), "NotInstalled");
        check(404, "404 page not found\n", "NotInstalled");
        check(409, &status("Conflict", &object), "Moved(\"words\")");
        check(401, &status("Unauthorized", &json!({})), "Unauthorized");
        check(403, &status("Forbidden", &object), "Forbidden(\"words\")");
        check(422, &status("Invalid", &object), "Invalid(\"words\")");
        check(400, &status("BadRequest", &object), "Invalid");
        check(410, &status("Expired", &json!({})), "Expired");
        let wait = json!({"retryAfterSeconds": 7});
        check(
            429,
            &status("TooManyRequests", &wait),
            "TooMany { after: 7s",
        );
        check(
            500,
            &status("InternalError", &json!({})),
            "Server { code: 500",
        );
        check(502, "<html>bad gateway</html>", "Server { code: 502");
        check(418, "", "Invalid");
    }

    #[test]
    fn a_field_conflict_names_field_and_manager() {
        let causes = json!({"causes": [{
            "reason": "FieldManagerConflict",
            "message": "conflict with \"kubectl-edit\" using axon.io/v1alpha1",
            "field": ".spec.ref",
        }]});
        check(
            409,
            &status("Conflict", &causes),
            "FieldConflict([OwnedField { path: \"spec.ref\", manager: \"kubectl-edit\" }])",
        );
    }

    #[test]
    fn a_refusal_does_not_repeat_what_is_secret() {
        let asked = Asked {
            namespace: "a",
            resource: "tasks",
            name: Some("a"),
        };
        let sent = json!({"spec": {"podOverrides": {"env": [{"name": "A", "value": "hunter2"}]}}})
            .to_string();
        let said = json!({"kind": "Status", "reason": "Invalid", "message": "env[0].value: Invalid value: \"hunter2\" (https://bob:pw@x)"})
            .to_string();
        let answer = Answer {
            sent: Some(sent.as_bytes()),
            code: 422,
            retry_after: None,
            body: said.as_bytes(),
        };
        let told = format!("{0:?} {0}", classify(&answer, &asked));
        assert!(!told.contains("hunter2") && !told.contains("pw"), "{told}");
        assert!(told.contains("env[0].value: Invalid value: "), "{told}");
    }

    #[test]
    fn a_hostile_message_is_cut_and_cleaned() {
        let asked = Asked {
            namespace: "a",
            resource: "tasks",
            name: None,
        };
        let answer = Answer {
            sent: None,
            code: 422,
            retry_after: None,
            body: "\u{1b}[31m\n".repeat(9_000).into_bytes().leak(),
        };
        let Error::Invalid(message) = classify(&answer, &asked) else {
            panic!("not invalid");
        };
        assert!(message.chars().count() <= MAX_MESSAGE + 1 && !message.contains('\u{1b}'));
    }
}
