//! What may not be in built-in objects, and what may not change in them.

use serde_json::Value;
use serde_json::json;

use super::call::Part;
use super::error::FieldError;
use super::error::Problem;
use super::job_rules;
use super::pod_rules;
use super::resource::Resource;

/// Fields that keep what they were created with: (storage, path).
const FIXED: &[(&str, &str)] = &[
    ("secrets", "type"),
    ("jobs.batch", "spec.selector"),
    ("jobs.batch", "spec.completionMode"),
    ("jobs.batch", "spec.podFailurePolicy"),
    ("jobs.batch", "spec.backoffLimitPerIndex"),
    ("jobs.batch", "spec.managedBy"),
    ("deployments.apps", "spec.selector"),
    ("rolebindings.rbac.authorization.k8s.io", "roleRef"),
    ("clusterrolebindings.rbac.authorization.k8s.io", "roleRef"),
];

/// Numbers that cannot be below zero.
const NOT_NEGATIVE: &[(&str, &str)] = &[
    ("jobs.batch", "spec.parallelism"),
    ("jobs.batch", "spec.completions"),
    ("jobs.batch", "spec.activeDeadlineSeconds"),
    ("jobs.batch", "spec.backoffLimit"),
    ("jobs.batch", "spec.ttlSecondsAfterFinished"),
];

pub(super) fn check(
    resource: &Resource,
    old: Option<&Value>,
    object: &Value,
    part: Part,
    errors: &mut Vec<FieldError>,
) {
    if part != Part::Whole {
        return;
    }
    let at = |path: &str| path.split('.').fold(object, |value, part| &value[part]);
    for (storage, path) in NOT_NEGATIVE {
        let value = at(path);
        if *storage == resource.storage && value.as_i64().is_some_and(|it| it < 0) {
            let problem = Problem::Invalid(value.clone());
            errors.push(FieldError::new(
                *path,
                problem,
                "must be greater than or equal to 0",
            ));
        }
    }
    match resource.storage.as_str() {
        "configmaps" | "secrets" => keys(old, object, errors),
        "pods" => pod_rules::spec(&object["spec"], "spec", errors),
        "jobs.batch" => job_rules::check(object, errors),
        _ => {}
    }
    let Some(old) = old else {
        return;
    };
    for (storage, path) in FIXED {
        let before = path.split('.').fold(old, |value, part| &value[part]);
        if *storage == resource.storage && *before != *at(path) {
            errors.push(immutable(path, at(path)));
        }
    }
    if resource.storage == "jobs.batch" {
        job_rules::change(old, object, errors);
    }
    if resource.storage == "pods" {
        pod_rules::change(&old["spec"], &object["spec"], errors);
    }
}

pub(super) fn immutable(path: &str, value: &Value) -> FieldError {
    FieldError::new(path, Problem::Invalid(value.clone()), "field is immutable")
}

/// `data` of `ConfigMap`s and Secrets.
fn keys(old: Option<&Value>, object: &Value, errors: &mut Vec<FieldError>) {
    for field in ["data", "binaryData"] {
        for (key, _) in object[field].as_object().into_iter().flatten() {
            let path = format!("{field}[{key}]");
            let fits = key
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
            let why = match key.as_str() {
                "." => "must not be '.'",
                ".." => "must not be '..'",
                _ if key.starts_with("..") => "must not start with '..'",
                _ if !fits || key.is_empty() => {
                    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
                }
                _ => "",
            };
            if !why.is_empty() {
                errors.push(FieldError::new(&*path, Problem::Invalid(json!(key)), why));
            }
            if field == "binaryData" && !object["data"][key].is_null() {
                let problem = Problem::Invalid(json!(key));
                errors.push(FieldError::new(
                    format!("data[{key}]"),
                    problem,
                    "duplicate of key present in binaryData",
                ));
            }
        }
    }
    let Some(old) = old.filter(|old| old["immutable"] == true) else {
        return;
    };
    let told = "field is immutable when `immutable` is set";
    for field in ["immutable", "data", "binaryData"] {
        if old[field] != object[field] {
            errors.push(FieldError::new(field, Problem::Forbidden, told));
        }
    }
}
