//! Patches: JSON, merge, and server-side apply.

use http::StatusCode;
use http::header;
use serde_json::Value;

use super::call::Call;
use super::call::decode;
use super::error::ApiError;
use super::object;
use super::reply::Reply;
use super::write;

/// How many operations a JSON patch may have, as in Kubernetes.
const MAX_OPERATIONS: usize = 10_000;

/// The kinds of patch, by media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Json,
    Merge,
    Strategic,
    Apply,
}

pub(super) fn patch(call: &Call) -> Result<Reply, ApiError> {
    let kind = kind(call)?;
    let sent = decode("application/json", &call.body)?;
    for _ in 0..write::MAX_RETRIES {
        let stored = match call.stored() {
            Ok(stored) => stored,
            Err(error) if kind != Kind::Apply => return Err(error),
            Err(_) => {
                let mut sent = sent.clone();
                object::meta_mut(&mut sent).insert("name".into(), call.name.as_str().into());
                return write::make(call, sent);
            }
        };
        let patched = patched(call, kind, &stored.object(), &sent)?;
        if let Some(reply) = write::replace(call, &stored, patched)? {
            return Ok(reply);
        }
    }
    Err(ApiError::modified(&call.resource, &call.name))
}

fn kind(call: &Call) -> Result<Kind, ApiError> {
    let media = call.headers.get(header::CONTENT_TYPE);
    let media = media.and_then(|it| it.to_str().ok()).unwrap_or_default();
    match media.split(';').next().unwrap_or_default().trim() {
        "application/json-patch+json" => Ok(Kind::Json),
        "application/merge-patch+json" => Ok(Kind::Merge),
        "application/apply-patch+yaml" => Ok(Kind::Apply),
        "application/strategic-merge-patch+json" if !call.resource.is_custom() => {
            Ok(Kind::Strategic)
        }
        _ => Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
        )),
    }
}

fn patched(call: &Call, kind: Kind, old: &Value, sent: &Value) -> Result<Value, ApiError> {
    let mut object = old.clone();
    match kind {
        Kind::Json => {
            let operations: json_patch::Patch = serde_json::from_value(sent.clone())
                .map_err(|error| ApiError::bad_request(error.to_string()))?;
            if operations.0.len() > MAX_OPERATIONS {
                return Err(ApiError::bad_request(format!(
                    "The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
                    operations.0.len()
                )));
            }
            json_patch::patch(&mut object, &operations).map_err(|error| {
                ApiError::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "Invalid",
                    format!(
                        "the server rejected our request due to an error in our request: {error}"
                    ),
                )
            })?;
        }
        Kind::Merge | Kind::Strategic | Kind::Apply => json_patch::merge(&mut object, sent),
    }
    if object::name(&object) != call.name {
        object::meta_mut(&mut object).insert("name".into(), call.name.as_str().into());
    }
    Ok(object)
}
