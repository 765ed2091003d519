//! Patches: JSON, merge, and server-side apply.

use std::collections::BTreeMap;

use http::HeaderMap;
use http::StatusCode;
use http::header;
use json_patch::PatchOperation;
use serde_json::Value;
use serde_json::json;

use super::apply::Refusal;
use super::call::Call;
use super::call::Part;
use super::error::ApiError;
use super::object;
use super::reply::Reply;
use super::resource::Resource;
use super::schema::typed;
use super::strategic;
use super::validate;
use super::write;
use super::write::Source;

/// How many operations a JSON patch may have, as in Kubernetes.
const MAX_OPERATIONS: usize = 10_000;
/// How many operations may copy: each can double the object.
const MAX_COPIES: usize = 8;
/// How large an object may be in which copies are copied.
const MAX_COPIED: usize = 64 << 10;

/// The kinds of patch, by media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Json,
    Merge,
    Strategic,
    Apply,
}

pub(super) fn patch(call: &Call) -> Result<Reply, ApiError> {
    let kind = kind(&call.resource, &call.headers)?;
    if kind == Kind::Apply {
        return apply(call);
    }
    let sent = call.decode_patch()?;
    for _ in 0..write::MAX_RETRIES {
        let stored = call.stored()?;
        let patched = patched(call, kind, &stored.object(), &sent)?;
        let patched = validate::shape(call, patched, Source::Patch)?;
        write::check_sent(call, &patched)?;
        write::check_name(call, &patched)?;
        if let Some(reply) = write::replace(call, &stored, patched, Source::Body)? {
            return Ok(reply);
        }
    }
    Err(ApiError::modified(&call.resource, &call.name))
}

fn apply(call: &Call) -> Result<Reply, ApiError> {
    let sent = call.decode()?;
    let resource = &call.resource;
    let version = sent["apiVersion"].as_str().unwrap_or_default();
    let kind = sent["kind"].as_str().unwrap_or_default();
    if version != resource.api_version() || kind != resource.kind {
        let kind = typed_kind(version, kind);
        return Err(ApiError::bad_request(format!(
            "invalid object type: {kind}"
        )));
    }
    for _ in 0..write::MAX_RETRIES {
        let key = call.key(&call.name);
        let Some(stored) = call.server.store.get(&key) else {
            match apply_new(call, &sent) {
                Err(error) if error.reason == "AlreadyExists" => continue,
                other => return other,
            }
        };
        let object = applied(call, Some(&stored.object()), &sent)?;
        if let Some(reply) = write::replace(call, &stored, object, Source::Apply)? {
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
    write::make(call, object, Source::Apply)
}

fn applied(call: &Call, old: Option<&Value>, sent: &Value) -> Result<Value, ApiError> {
    let result = call.with_writer(|writer| writer.apply(old, sent, call.options.force));
    let mut object = result.map_err(|refusal| match refusal {
        Refusal::Conflicts(conflicts) => in_conflict(&conflicts),
        Refusal::Malformed(why) => {
            let (namespace, name) = (object::meta(sent, "namespace"), object::name(sent));
            let kind = typed_kind(&call.resource.api_version(), &call.resource.kind);
            ApiError::unexplained(format!(
                "failed to create typed patch object ({namespace}/{name}; {kind}): {why}"
            ))
        }
        Refusal::ManagedFieldsGiven => ApiError::bad_request("metadata.managedFields must be nil"),
    })?;
    if old.is_some() && sent["metadata"]["name"] != "" && object::name(&object).is_empty() {
        object::meta_mut(&mut object).insert("name".into(), call.name.as_str().into());
    }
    write::check_sent(call, &object)?;
    write::check_name(call, &object)?;
    Ok(object)
}

/// `batch/v1, Kind=Job`, as Go prints it.
fn typed_kind(version: &str, kind: &str) -> String {
    let core = if version.contains('/') { "" } else { "/" };
    format!("{core}{version}, Kind={kind}")
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

/// The kind of a patch, by its media type.
pub(super) fn kind(resource: &Resource, headers: &HeaderMap) -> Result<Kind, ApiError> {
    let media = headers.get(header::CONTENT_TYPE);
    let media = media.and_then(|it| it.to_str().ok()).unwrap_or_default();
    match media.split(';').next().unwrap_or_default().trim() {
        "application/json-patch+json" => Ok(Kind::Json),
        "application/merge-patch+json" => Ok(Kind::Merge),
        "application/apply-patch+yaml" => Ok(Kind::Apply),
        "application/strategic-merge-patch+json" if !resource.is_custom() => Ok(Kind::Strategic),
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
            bounded(&operations, old)?;
            for operation in operations.0 {
                let operation = match operation {
                    // As Kubernetes' library takes it.
                    PatchOperation::Replace(it) if is_absent(&object, it.path.as_str()) => {
                        PatchOperation::Add(json_patch::AddOperation {
                            path: it.path,
                            value: it.value,
                        })
                    }
                    other => other,
                };
                // Where nothing is, there is null.
                let is_void = matches!(&operation, PatchOperation::Test(test)
                    if test.value.is_null() && is_absent(&object, test.path.as_str()));
                if !is_void {
                    json_patch::patch(&mut object, &[operation])
                        .map_err(|_| ApiError::rejected())?;
                }
            }
        }
        Kind::Strategic => {
            let of = call.resource.type_name();
            object =
                strategic::merge(object, sent, typed::named(&of)).map_err(
                    |refusal| match refusal {
                        strategic::Refusal::Format(why) => ApiError::bad_request(why),
                        strategic::Refusal::Misfit(why) => ApiError::unexplained(why),
                    },
                )?;
        }
        Kind::Merge | Kind::Apply => json_patch::merge(&mut object, sent),
    }
    Ok(object)
}

/// An operation may copy what an earlier one has copied: so few of them would fill the memory.
fn bounded(operations: &json_patch::Patch, old: &Value) -> Result<(), ApiError> {
    let mut copies = operations
        .0
        .iter()
        .filter(|it| matches!(it, PatchOperation::Copy(_)));
    let many = copies.nth(MAX_COPIES).is_some();
    let size = old.to_string().len();
    if many || copies_itself(operations) && size > MAX_COPIED {
        return Err(ApiError::rejected());
    }
    Ok(())
}

/// Whether a field is not in an object that is there.
fn is_absent(object: &Value, path: &str) -> bool {
    let outer = path.rsplit_once('/').map_or("", |(outer, _)| outer);
    object.pointer(path).is_none() && object.pointer(outer).is_some_and(Value::is_object)
}

/// Whether a copy could hold another copy.
fn copies_itself(operations: &json_patch::Patch) -> bool {
    let mut copies = operations
        .0
        .iter()
        .filter(|it| matches!(it, PatchOperation::Copy(_)));
    copies.nth(1).is_some()
}
