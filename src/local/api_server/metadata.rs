//! What names, labels, annotations and the rest of the metadata may be, in Kubernetes' words.

use serde_json::Value;
use serde_json::json;

use super::error::FieldError;
use super::error::Problem;
use super::object;
use super::resource::Resource;
use super::resource::Rules;

/// How large the annotations of an object may be together.
const MAX_ANNOTATIONS: usize = 256 << 10;
/// The longest label, and the longest name within a label's key.
const MAX_LABEL: usize = 63;
const MAX_SUBDOMAIN: usize = 253;
/// Finalizers without a domain.
const STANDARD: [&str; 3] = ["orphan", "foregroundDeletion", "kubernetes"];
/// What a reference to an owner must have.
const OWNER: [&str; 4] = ["apiVersion", "kind", "name", "uid"];

/// Checks the metadata of an object that is about to be stored. Kubernetes looks at what is updated three times,
/// and its answers show it.
pub(super) fn check(
    resource: &Resource,
    old: Option<&Value>,
    object: &Value,
    errors: &mut Vec<FieldError>,
) {
    let Some(old) = old else {
        names(resource, object, errors);
        labels_and_owners(object, errors);
        finalizers(object, errors);
        if !resource.is_custom() {
            bare_finalizers(object, errors);
        }
        return;
    };
    labels_and_owners(object, errors);
    finalizers(object, errors);
    for _ in 0..2 {
        new_finalizers(old, object, errors);
        for field in ["name", "namespace", "uid", "deletionTimestamp"] {
            let now = &object["metadata"][field];
            if old["metadata"][field] != *now {
                errors.push(wrong(field, now, "field is immutable".into()));
            }
        }
        labels_and_owners(object, errors);
    }
}

fn wrong(field: &str, value: &Value, why: String) -> FieldError {
    FieldError::new(
        format!("metadata.{field}"),
        Problem::Invalid(value.clone()),
        why,
    )
}

fn names(resource: &Resource, object: &Value, errors: &mut Vec<FieldError>) {
    let base = object::meta(object, "generateName");
    if !base.is_empty()
        && let Some(why) = name_problem(resource, &format!("{base}a"))
    {
        errors.push(wrong("generateName", &json!(base), why));
    }
    if let Some(why) = name_problem(resource, object::name(object)) {
        errors.push(wrong("name", &object["metadata"]["name"], why));
    }
}

fn labels_and_owners(object: &Value, errors: &mut Vec<FieldError>) {
    let meta = &object["metadata"];
    labels("metadata.labels", meta, errors);
    let mut size = 0;
    for (key, value) in meta["annotations"].as_object().into_iter().flatten() {
        size += key.len() + value.as_str().map_or(0, str::len);
        if let Some(why) = qualified_name_problem(&key.to_lowercase()) {
            errors.push(wrong("annotations", &json!(key), why));
        }
    }
    if size > MAX_ANNOTATIONS {
        let why = format!("may not be more than {MAX_ANNOTATIONS} bytes");
        errors.push(FieldError::new(
            "metadata.annotations",
            Problem::TooLong,
            why,
        ));
    }
    let owners = meta["ownerReferences"].as_array().into_iter().flatten();
    for (owner, field) in owners.flat_map(|it| OWNER.map(|field| (it, field))) {
        if owner[field].as_str().is_none_or(str::is_empty) {
            let version = if field == "apiVersion" {
                "version "
            } else {
                ""
            };
            let why = format!("{version}must not be empty");
            errors.push(wrong(&format!("ownerReferences.{field}"), &json!(""), why));
        }
    }
}

/// Checks the labels of `meta`, which stand at `at`.
pub(super) fn labels(at: &str, meta: &Value, errors: &mut Vec<FieldError>) {
    for (key, value) in meta["labels"].as_object().into_iter().flatten() {
        let mut wrong = |value: &Value, why: String| {
            errors.push(FieldError::new(at, Problem::Invalid(value.clone()), why));
        };
        if let Some(why) = qualified_name_problem(key) {
            wrong(&json!(key), why);
        }
        if let Some(why) = label_problem(value.as_str().unwrap_or_default()) {
            wrong(value, why);
        }
    }
}

fn finalizers(object: &Value, errors: &mut Vec<FieldError>) {
    for finalizer in object::finalizers(object) {
        if let Some(why) = qualified_name_problem(finalizer) {
            errors.push(wrong("finalizers", &json!(finalizer), why));
        }
    }
}

/// Of built-in kinds names without a domain are refused.
fn bare_finalizers(object: &Value, errors: &mut Vec<FieldError>) {
    for (index, finalizer) in object::finalizers(object).into_iter().enumerate() {
        if !finalizer.contains('/') && !STANDARD.contains(&finalizer) {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(wrong(
                &format!("finalizers[{index}]"),
                &json!(finalizer),
                why.into(),
            ));
        }
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

fn name_problem(resource: &Resource, name: &str) -> Option<String> {
    let path_names = matches!(&resource.rules, Rules::Builtin(builtin) if builtin.path_names);
    if path_names {
        path_segment(name)
    } else if resource.storage == "namespaces" {
        dns_label(name)
    } else {
        dns_subdomain(name)
    }
}

/// What finalizers should rather be called.
pub(super) fn finalizer_warnings(old: Option<&Value>, object: &Value) -> Vec<String> {
    let known = old.map(object::finalizers).unwrap_or_default();
    let bare = object::finalizers(object)
        .into_iter()
        .filter(|it| !it.contains('/') && !STANDARD.contains(it))
        .filter(|it| !known.contains(it));
    bare.map(|it| {
        let including = if it.contains('.') { "including a path (/) " } else { "" };
        format!(
            "metadata.finalizers: \"{it}\": prefer a domain-qualified finalizer name {including}to avoid accidental conflicts with other finalizer writers"
        )
    })
    .collect()
}

fn is_label(part: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !part.is_empty() && part.chars().all(inner) && !part.starts_with('-') && !part.ends_with('-')
}

/// What is wrong with a name that should be a DNS subdomain.
pub(super) fn dns_subdomain(name: &str) -> Option<String> {
    if name.len() > MAX_SUBDOMAIN {
        return Some(format!("must be no more than {MAX_SUBDOMAIN} bytes"));
    }
    (!name.split('.').all(is_label)).then(|| {
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')".into()
    })
}

pub(super) fn dns_label(name: &str) -> Option<String> {
    if name.len() > MAX_LABEL {
        return Some(format!("must be no more than {MAX_LABEL} bytes"));
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

fn is_word(text: &str) -> bool {
    let end = |c: Option<char>| c.is_some_and(|it| it.is_ascii_alphanumeric());
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    end(text.chars().next()) && end(text.chars().last()) && text.chars().all(inner)
}

/// What is wrong with `prefix/name`, or `name`.
pub(super) fn qualified_name_problem(key: &str) -> Option<String> {
    const WORD: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
    let parts: Vec<_> = key.split('/').collect();
    let name = match parts.as_slice() {
        [name] => name,
        ["", _] => return Some("prefix part must be non-empty".into()),
        [prefix, name] => {
            if let Some(why) = dns_subdomain(prefix) {
                return Some(format!("prefix part {why}"));
            }
            name
        }
        _ => {
            return Some(format!(
                "a qualified name {WORD} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            ));
        }
    };
    if name.is_empty() {
        return Some("name part must be non-empty".into());
    }
    if name.len() > MAX_LABEL {
        return Some(format!("name part must be no more than {MAX_LABEL} bytes"));
    }
    (!is_word(name)).then(|| format!("name part {WORD}"))
}

pub(super) fn label_problem(value: &str) -> Option<String> {
    if value.len() > MAX_LABEL {
        return Some(format!("must be no more than {MAX_LABEL} bytes"));
    }
    (!value.is_empty() && !is_word(value)).then(|| {
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')".into()
    })
}
