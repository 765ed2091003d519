//! Patches: JSON, merge, and server-side apply.

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
/// How many bytes its operations may copy, as in Kubernetes: each could double the object.
const MAX_COPIED: usize = 3 << 20;

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
        write::check_sent(call, &object)?;
        write::check_name(call, &object)?;
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
    let mut object = applied(call, None, sent)?;
    let uid = object::meta(sent, "uid");
    if !uid.is_empty() {
        let why = format!(
            "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
        );
        return Err(ApiError::conflict(&call.resource, &call.name, &why));
    }
    write::check_sent(call, &object)?;
    write::check_name(call, &object)?;
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
    validate::shape(call, object, Source::Apply)
}

/// What an apply has made has a value that its type cannot hold.
pub(super) fn unconvertible(call: &Call, why: &str) -> ApiError {
    let kind = typed_kind(&call.resource.api_version(), &call.resource.kind);
    let namespace = call.namespace.as_deref().unwrap_or_default();
    ApiError::unexplained(format!(
        "failed to convert new object ({namespace}/{}; {kind}) to proper version: unable to convert unstructured object to {kind}: error decoding from json: {why}",
        call.name
    ))
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
            let parts = several.chunk_by(|one, next| one.0 == next.0).map(|of_one| {
                let paths = of_one.iter().map(|(_, path)| format!("\n- {path}"));
                let paths: String = paths.collect();
                format!("conflicts with {}:{paths}", of_one[0].0)
            });
            let parts: Vec<_> = parts.collect();
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
            operate(&mut object, operations)?;
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

/// Carries out a JSON patch, as long as it makes nothing too large or too deep.
fn operate(object: &mut Value, operations: json_patch::Patch) -> Result<(), ApiError> {
    let mut copied = 0;
    for operation in operations.0 {
        let operation = match operation {
            // As Kubernetes' library takes it.
            PatchOperation::Replace(it) if is_absent(object, it.path.as_str()) => {
                PatchOperation::Add(json_patch::AddOperation {
                    path: it.path,
                    value: it.value,
                })
            }
            other => other,
        };
        let (path, value) = match &operation {
            // Where nothing is, there is null.
            PatchOperation::Test(it)
                if it.value.is_null() && is_absent(object, it.path.as_str()) =>
            {
                continue;
            }
            PatchOperation::Test(_) | PatchOperation::Remove(_) => (None, None),
            PatchOperation::Add(it) => (Some(&it.path), Some(&it.value)),
            PatchOperation::Replace(it) => (Some(&it.path), Some(&it.value)),
            PatchOperation::Move(it) => (Some(&it.path), object.pointer(it.from.as_str())),
            PatchOperation::Copy(it) => {
                let value = object.pointer(it.from.as_str());
                copied += value.map_or(0, |it| it.to_string().len());
                (Some(&it.path), value)
            }
        };
        let depth = path.map_or(0, |it| it.as_str().matches('/').count());
        let room = write::MAX_DEPTH.checked_sub(depth);
        let fits = room.is_some_and(|room| value.is_none_or(|it| !object::is_deeper(it, room)));
        if !fits || copied > MAX_COPIED {
            return Err(ApiError::rejected());
        }
        json_patch::patch(object, &[operation]).map_err(|_| ApiError::rejected())?;
    }
    Ok(())
}

/// Whether a field is not in an object that is there.
fn is_absent(object: &Value, path: &str) -> bool {
    let outer = path.rsplit_once('/').map_or("", |(outer, _)| outer);
    object.pointer(path).is_none() && object.pointer(outer).is_some_and(Value::is_object)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operated(object: &Value, operations: Value) -> Option<Value> {
        let mut object = object.clone();
        let operations = serde_json::from_value(operations).unwrap();
        operate(&mut object, operations).ok().map(|()| object)
    }

    #[test]
    fn nothing_grows_without_end() {
        let copies = |many: usize| {
            let copy = json!({"op": "copy", "from": "/a", "path": "/a/again"});
            Value::Array(vec![copy; many])
        };
        let small = json!({"a": {}});
        assert!(operated(&small, copies(5)).is_some());
        assert!(operated(&small, copies(10_000)).is_none(), "too deep");
        let large = json!({"a": {"text": "x".repeat(1 << 20)}});
        assert!(operated(&large, copies(1)).is_some());
        assert!(operated(&large, copies(2)).is_none(), "too large");
        let below = |depth: usize| json!([{"op": "add", "path": "/a/".repeat(depth), "value": {}}]);
        assert!(operated(&small, below(100)).is_none(), "nowhere");
        let mut nested = json!({});
        for _ in 0..100 {
            nested = json!({"a": nested});
        }
        let add = |path: &str| json!([{"op": "add", "path": path, "value": nested}]);
        assert!(operated(&small, add("/a/b")).is_some());
        let path = format!("{}/b", "/a".repeat(50));
        assert!(operated(&nested, add(&path)).is_none(), "too deep");
        let moved = json!([{"op": "add", "path": "/b", "value": nested}, {"op": "move", "from": "/b", "path": path}]);
        assert!(operated(&nested, moved).is_none(), "too deep");
    }

    #[test]
    fn as_kubernetes_library_takes_them() {
        let object = json!({"a": {}});
        let done = operated(
            &object,
            json!([{"op": "replace", "path": "/a/new", "value": 1}]),
        );
        assert_eq!(done, Some(json!({"a": {"new": 1}})));
        let done = operated(
            &object,
            json!([{"op": "test", "path": "/a/none", "value": null}]),
        );
        assert_eq!(done, Some(object));
    }
}
