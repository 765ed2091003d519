//! Patches: JSON, merge, and server-side apply.

use std::collections::BTreeMap;

use http::StatusCode;
use http::header;
use serde_json::Value;
use serde_json::json;

use super::apply::Refusal;
use super::call::Call;
use super::call::Part;
use super::call::decode;
use super::error::ApiError;
use super::error::FieldError;
use super::error::Problem;
use super::object;
use super::reply::Reply;
use super::write;
use super::write::Ownership;

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
    if kind == Kind::Apply {
        return apply(call);
    }
    if call.options.force {
        let refused = FieldError::new(
            "force",
            Problem::Forbidden,
            "may not be specified for non-apply patch",
        );
        return Err(invalid_options(&refused));
    }
    let sent = decode("application/json", &call.body)?;
    for _ in 0..write::MAX_RETRIES {
        let stored = call.stored()?;
        let patched = patched(call, kind, &stored.object(), &sent)?;
        if let Some(reply) = write::replace(call, &stored, patched, Ownership::Open)? {
            return Ok(reply);
        }
    }
    Err(ApiError::modified(&call.resource, &call.name))
}

fn invalid_options(error: &FieldError) -> ApiError {
    ApiError::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "Invalid",
        format!("PatchOptions.meta.k8s.io \"\" is invalid: {}", error.text()),
    )
}

fn apply(call: &Call) -> Result<Reply, ApiError> {
    if !call.options.manager_named {
        let missing = FieldError::new(
            "fieldManager",
            Problem::Required,
            "is required for apply patch",
        );
        return Err(invalid_options(&missing));
    }
    let mut sent = call.decode()?;
    write::check_address(call, &mut sent)?;
    let name = object::name(&sent);
    if !name.is_empty() && name != call.name {
        return Err(ApiError::bad_request(format!(
            "metadata.name: Invalid value: \"{name}\": must match the name on the URL ({})",
            call.name
        )));
    }
    object::meta_mut(&mut sent).insert("name".into(), call.name.as_str().into());
    for _ in 0..write::MAX_RETRIES {
        let key = call.key(&call.name);
        let Some(stored) = call.server.store.get(&key) else {
            match apply_new(call, &sent) {
                Err(error) if error.reason == "AlreadyExists" => continue,
                other => return other,
            }
        };
        let object = applied(call, Some(&stored.object()), &sent)?;
        if let Some(reply) = write::replace(call, &stored, object, Ownership::Settled)? {
            return Ok(reply);
        }
    }
    Err(ApiError::modified(&call.resource, &call.name))
}

/// An apply to an object that is not there creates it.
fn apply_new(call: &Call, sent: &Value) -> Result<Reply, ApiError> {
    if call.part != Part::Whole {
        return Err(ApiError::not_found(&call.resource, &call.name));
    }
    let uid = object::meta(sent, "uid");
    if !uid.is_empty() {
        let why = format!(
            "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        );
        return Err(ApiError::conflict(&call.resource, &call.name, &why));
    }
    let mut object = applied(call, None, sent)?;
    // A version only says which object is not meant: there is none.
    object::meta_mut(&mut object).remove("resourceVersion");
    write::make(call, object, Ownership::Settled)
}

fn applied(call: &Call, old: Option<&Value>, sent: &Value) -> Result<Value, ApiError> {
    let result = call.with_writer(|writer| writer.apply(old, sent, call.options.force));
    result.map_err(|refusal| match refusal {
        Refusal::Conflicts(conflicts) => in_conflict(&conflicts),
        Refusal::Malformed(why) => {
            let namespace = call.namespace.as_deref().unwrap_or_default();
            let kind = format!(
                "{}, Kind={}",
                call.resource.api_version(),
                call.resource.kind
            );
            ApiError::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalError",
                format!(
                    "failed to create typed patch object ({namespace}/{}; {kind}): {why}",
                    call.name
                ),
            )
        }
        Refusal::ManagedFieldsGiven => ApiError::bad_request("metadata.managedFields must be nil"),
    })
}

fn in_conflict(conflicts: &[(String, String)]) -> ApiError {
    let causes: Vec<_> = conflicts
        .iter()
        .map(|(manager, path)| {
            let message = format!("conflict with {manager}");
            json!({"reason": "FieldManagerConflict", "message": message, "field": path})
        })
        .collect();
    let text = match conflicts {
        [(manager, path)] => format!("1 conflict: conflict with {manager}: {path}"),
        several => {
            let mut by_manager: BTreeMap<&str, Vec<String>> = BTreeMap::new();
            for (manager, path) in several {
                let paths = by_manager.entry(manager).or_default();
                paths.push(format!("- {path}"));
            }
            let parts: Vec<_> = by_manager
                .iter()
                .map(|(manager, paths)| format!("conflicts with {manager}:\n{}", paths.join("\n")))
                .collect();
            format!("{} conflicts: {}", several.len(), parts.join("\n"))
        }
    };
    let mut error = ApiError::new(
        StatusCode::CONFLICT,
        "Conflict",
        format!("Apply failed with {text}"),
    );
    error.details = Some(json!({"causes": causes}));
    error
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
