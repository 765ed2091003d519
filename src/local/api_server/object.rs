//! Reading and writing the metadata that every object has.

use jiff::Timestamp;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::local::clock;

/// One field of `metadata` as text; empty if it is absent.
pub(crate) fn meta<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

pub(crate) fn name(object: &Value) -> &str {
    meta(object, "name")
}

/// `metadata`, made if it is missing.
pub(crate) fn meta_mut(object: &mut Value) -> &mut Map<String, Value> {
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    object["metadata"]
        .as_object_mut()
        .expect("it was made an object above")
}

/// Takes a field of `metadata` from `source`, absence included.
pub(crate) fn copy_meta(object: &mut Value, source: &Value, field: &str) {
    let value = source["metadata"].get(field).cloned();
    set_or_remove(meta_mut(object), field, value);
}

/// Takes a top-level field from `source`, absence included.
pub(crate) fn copy_field(object: &mut Value, source: &Value, field: &str) {
    if let Some(fields) = object.as_object_mut() {
        set_or_remove(fields, field, source.get(field).cloned());
    }
}

fn set_or_remove(fields: &mut Map<String, Value>, field: &str, value: Option<Value>) {
    match value {
        Some(value) => fields.insert(field.into(), value),
        None => fields.remove(field),
    };
}

/// Whether lists and objects in `value` are nested more than `most` deep.
pub(super) fn is_deeper(value: &Value, most: usize) -> bool {
    let deeper = |inner: &Value| is_deeper(inner, most - 1);
    match value {
        Value::Array(_) | Value::Object(_) if most == 0 => true,
        Value::Array(items) => items.iter().any(deeper),
        Value::Object(fields) => fields.values().any(deeper),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

pub(crate) fn is_deleting(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

pub(crate) fn finalizers(object: &Value) -> Vec<&str> {
    let list = object["metadata"]["finalizers"].as_array();
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

pub(crate) fn has_finalizer(object: &Value, finalizer: &str) -> bool {
    finalizers(object).contains(&finalizer)
}

pub(crate) fn add_finalizer(object: &mut Value, finalizer: &str) {
    if !has_finalizer(object, finalizer) {
        let list = meta_mut(object).entry("finalizers").or_insert(json!([]));
        if let Some(list) = list.as_array_mut() {
            list.push(finalizer.into());
        }
    }
}

pub(crate) fn remove_finalizer(object: &mut Value, finalizer: &str) {
    let meta = meta_mut(object);
    if let Some(list) = meta.get_mut("finalizers").and_then(Value::as_array_mut) {
        list.retain(|it| it != finalizer);
        if list.is_empty() {
            meta.remove("finalizers");
        }
    }
}

/// Takes away what a new object cannot bring along.
pub(crate) fn wipe(object: &mut Value) {
    let meta = meta_mut(object);
    for field in [
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
    ] {
        meta.remove(field);
    }
}

/// Gives a new object what only the server may set.
pub(crate) fn birth(object: &mut Value, namespace: &str, now: Timestamp) {
    let meta = meta_mut(object);
    for field in [
        "resourceVersion",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "selfLink",
    ] {
        meta.remove(field);
    }
    meta.insert("uid".into(), uuid::Uuid::new_v4().to_string().into());
    meta.insert("creationTimestamp".into(), clock::text(now).into());
    if !namespace.is_empty() {
        meta.insert("namespace".into(), namespace.into());
    }
}

/// Where a generated name is cut, so that the suffix fits into 63 characters.
const MAX_GENERATED_BASE: usize = 58;

/// A name made of `base` and five random characters.
pub(crate) fn generate_name(base: &str) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let random = uuid::Uuid::new_v4();
    let base: String = base.chars().take(MAX_GENERATED_BASE).collect();
    let suffix = random.as_bytes().iter().take(5);
    suffix.fold(base, |mut name, byte| {
        name.push(char::from(LETTERS[usize::from(*byte) % LETTERS.len()]));
        name
    })
}

/// Whether two states differ in nothing that a write could have meant to change.
pub(crate) fn same(one: &Value, other: &Value) -> bool {
    without_times(one) == without_times(other)
}

/// The times in managedFields change with every write and do not count.
fn without_times(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(entries) = object["metadata"]["managedFields"].as_array_mut() {
        for entry in entries {
            entry["time"] = Value::Null;
        }
    }
    if let Some(meta) = object["metadata"].as_object_mut() {
        meta.remove("resourceVersion");
    }
    object
}
