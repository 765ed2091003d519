//! Checks on whole objects: their shape, their names, what may not change.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;
use serde_json::json;

use super::builtin;
use super::call::Call;
use super::crd;
use super::error::ApiError;
use super::error::FieldError;
use super::error::Problem;
use super::object;
use super::resource::Resource;
use super::resource::Rules;

/// Brings what was sent into the form of its type: unknown fields go, defaults come.
pub(super) fn shape(call: &Call, mut sent: Value) -> Result<Value, ApiError> {
    let resource = &call.resource;
    match &resource.rules {
        Rules::Builtin(builtin) => {
            let known = (builtin.normalize)(sent.clone()).map_err(|error| {
                ApiError::bad_request(format!(
                    "{} in version \"{}\" cannot be handled as a {}: {error}",
                    resource.kind, resource.version, resource.kind
                ))
            })?;
            let mut unknown = Vec::new();
            lost(&sent, &known, "", &mut unknown);
            call.unknown_fields(&unknown)?;
            let mut object = known;
            (builtin.defaults)(&mut object);
            Ok(object)
        }
        Rules::Custom(custom) => {
            let unknown = custom.schema.prune(&mut sent);
            call.unknown_fields(&unknown)?;
            custom.schema.default(&mut sent);
            sent["metadata"] = typed_metadata(call, &sent["metadata"])?;
            Ok(sent)
        }
    }
}

/// Metadata of custom resources has a type too.
fn typed_metadata(call: &Call, meta: &Value) -> Result<Value, ApiError> {
    let typed = serde_json::from_value::<ObjectMeta>(meta.clone()).and_then(serde_json::to_value);
    let known = typed.map_err(|error| {
        ApiError::bad_request(format!(
            "{} in version \"{}\" cannot be handled as a {}: {error}",
            call.resource.kind, call.resource.version, call.resource.kind
        ))
    })?;
    let mut unknown = Vec::new();
    lost(meta, &known, "metadata", &mut unknown);
    call.unknown_fields(&unknown)?;
    Ok(known)
}

/// Fields that were sent and did not survive typing. Empty values do not count: types drop them.
fn lost(sent: &Value, known: &Value, path: &str, found: &mut Vec<String>) {
    match (sent, known) {
        (Value::Object(sent), Value::Object(known)) => {
            for (name, value) in sent {
                let below = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                match known.get(name) {
                    Some(kept) => lost(value, kept, &below, found),
                    None if is_void(value) => {}
                    None => found.push(below),
                }
            }
        }
        (Value::Array(sent), Value::Array(known)) => {
            for (index, (sent, known)) in sent.iter().zip(known).enumerate() {
                lost(sent, known, &format!("{path}[{index}]"), found);
            }
        }
        _ => {}
    }
}

fn is_void(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.values().all(is_void),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Checks an object that is about to be stored.
pub(super) fn check(call: &Call, old: Option<&Value>, object: &Value) -> Result<(), ApiError> {
    let resource = &call.resource;
    let mut errors = Vec::new();
    name(resource, object, &mut errors);
    if let Some(old) = old {
        new_finalizers(old, object, &mut errors);
    }
    if let Rules::Custom(custom) = &resource.rules {
        errors.extend(custom.schema.check(object, old));
    }
    if resource.storage == builtin::CRDS {
        errors.extend(crd::problems(object));
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(ApiError::invalid(resource, object::name(object), &errors))
    }
}

fn name(resource: &Resource, object: &Value, errors: &mut Vec<FieldError>) {
    let name = object::name(object);
    let path_names = matches!(&resource.rules, Rules::Builtin(builtin) if builtin.path_names);
    let problem = if path_names {
        path_segment(name)
    } else if resource.storage == "namespaces" {
        dns_label(name)
    } else {
        dns_subdomain(name)
    };
    if let Some(problem) = problem {
        errors.push(FieldError::new(
            "metadata.name",
            Problem::Invalid(json!(name)),
            problem,
        ));
    }
}

fn new_finalizers(old: &Value, object: &Value, errors: &mut Vec<FieldError>) {
    if !object::is_deleting(old) {
        return;
    }
    let known = object::finalizers(old);
    let mut added = object::finalizers(object);
    added.retain(|it| !known.contains(it));
    if !added.is_empty() {
        let shown: Vec<_> = added.iter().map(|it| format!("\"{it}\"")).collect();
        let detail = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            shown.join(", ")
        );
        errors.push(FieldError::new(
            "metadata.finalizers",
            Problem::Forbidden,
            detail,
        ));
    }
}

fn is_label(part: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !part.is_empty() && part.chars().all(inner) && !part.starts_with('-') && !part.ends_with('-')
}

/// What is wrong with a name that should be a DNS subdomain.
fn dns_subdomain(name: &str) -> Option<String> {
    if name.len() > 253 {
        return Some("must be no more than 253 bytes".into());
    }
    (!name.split('.').all(is_label)).then(|| {
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')".into()
    })
}

fn dns_label(name: &str) -> Option<String> {
    if name.len() > 63 {
        return Some("must be no more than 63 bytes".into());
    }
    (!is_label(name)).then(|| {
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')".into()
    })
}

fn path_segment(name: &str) -> Option<String> {
    match name {
        "." => Some("may not be '.'".into()),
        ".." => Some("may not be '..'".into()),
        _ => name
            .chars()
            .find(|c| matches!(c, '/' | '%'))
            .map(|c| format!("may not contain '{c}'")),
    }
}
