//! What may not be in built-in objects, and what may not change in them.

use serde_json::Value;
use serde_json::json;

use super::call::Part;
use super::error::FieldError;
use super::error::Problem;
use super::metadata;
use super::resource::Resource;

/// Fields that keep what they were created with: (storage, path).
const FIXED: &[(&str, &str)] = &[
    ("secrets", "type"),
    ("jobs.batch", "spec.completions"),
    ("jobs.batch", "spec.selector"),
    ("jobs.batch", "spec.template"),
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

/// Fields of a Pod's spec that may change.
const PLIABLE: &[&str] = &[
    "activeDeadlineSeconds",
    "tolerations",
    "terminationGracePeriodSeconds",
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
        "pods" => pod_spec(&object["spec"], "spec", errors),
        "jobs.batch" => job(object, errors),
        _ => {}
    }
    let Some(old) = old else {
        return;
    };
    for (storage, path) in FIXED {
        let before = path.split('.').fold(old, |value, part| &value[part]);
        let is_pliable = *path == "spec.template" && old["spec"]["suspend"] == true;
        if *storage == resource.storage && !is_pliable && *before != *at(path) {
            errors.push(immutable(path, at(path)));
        }
    }
    if resource.storage == "pods" {
        pod_change(&old["spec"], &object["spec"], errors);
    }
}

fn immutable(path: &str, value: &Value) -> FieldError {
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

fn job(object: &Value, errors: &mut Vec<FieldError>) {
    let template = &object["spec"]["template"];
    pod_spec(&template["spec"], "spec.template.spec", errors);
    let policy = &template["spec"]["restartPolicy"];
    if *policy == "Always" {
        errors.push(FieldError::new(
            "spec.template.spec.restartPolicy",
            Problem::Required,
            "valid values: \"OnFailure\", \"Never\"",
        ));
    }
}

fn pod_spec(spec: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let containers = spec["containers"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    if containers.is_empty() {
        errors.push(FieldError::new(
            format!("{path}.containers"),
            Problem::Required,
            "",
        ));
    }
    let mut names = Vec::new();
    for (index, container) in containers.iter().enumerate() {
        let at = format!("{path}.containers[{index}]");
        let name = container["name"].as_str().unwrap_or_default();
        if name.is_empty() {
            errors.push(FieldError::new(format!("{at}.name"), Problem::Required, ""));
        } else if let Some(why) = metadata::dns_label(name) {
            errors.push(FieldError::new(
                format!("{at}.name"),
                Problem::Invalid(json!(name)),
                why,
            ));
        } else if names.contains(&name) {
            errors.push(FieldError::new(
                format!("{at}.name"),
                Problem::Duplicate(json!(name)),
                "",
            ));
        }
        names.push(name);
        if container["image"].as_str().is_none_or(str::is_empty) {
            errors.push(FieldError::new(
                format!("{at}.image"),
                Problem::Required,
                "",
            ));
        }
    }
    let deadline = &spec["activeDeadlineSeconds"];
    if deadline.as_i64().is_some_and(|it| it < 1) {
        errors.push(FieldError::new(
            format!("{path}.activeDeadlineSeconds"),
            Problem::Invalid(deadline.clone()),
            "must be between 1 and 2147483647, inclusive",
        ));
    }
    let policy = &spec["restartPolicy"];
    if !["Always", "OnFailure", "Never"]
        .iter()
        .any(|it| policy == it)
    {
        errors.push(FieldError::new(
            format!("{path}.restartPolicy"),
            Problem::Unsupported(policy.clone()),
            "supported values: \"Always\", \"Never\", \"OnFailure\"",
        ));
    }
}

fn pod_change(old: &Value, new: &Value, errors: &mut Vec<FieldError>) {
    let fixed = |spec: &Value| {
        let mut spec = spec.clone();
        for field in PLIABLE {
            spec[field] = Value::Null;
        }
        for list in ["containers", "initContainers"] {
            for container in spec[list].as_array_mut().into_iter().flatten() {
                container["image"] = Value::Null;
            }
        }
        spec
    };
    let count = |spec: &Value| spec["containers"].as_array().map_or(0, Vec::len);
    if count(old) != count(new) {
        let why = "pod updates may not add or remove containers";
        errors.push(FieldError::new("spec.containers", Problem::Forbidden, why));
        return;
    }
    let deadline = |spec: &Value| spec["activeDeadlineSeconds"].as_i64();
    match (deadline(old), deadline(new)) {
        (Some(_), None) => errors.push(FieldError::new(
            "spec.activeDeadlineSeconds",
            Problem::Invalid(Value::Null),
            "must not update from a positive integer to nil value",
        )),
        (Some(before), Some(after)) if after > before => errors.push(FieldError::new(
            "spec.activeDeadlineSeconds",
            Problem::Invalid(json!(after)),
            "must be less than or equal to previous value",
        )),
        _ => {}
    }
    if fixed(old) != fixed(new) {
        let why = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n";
        errors.push(FieldError::new("spec", Problem::Forbidden, why));
    }
}
