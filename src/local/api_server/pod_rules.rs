//! What may not be in the specification of a Pod, and what may not change in it, in Kubernetes' words.

use serde_json::Value;
use serde_json::json;

use super::error::FieldError;
use super::error::Problem;
use super::metadata;

/// What of a container only says how its end is told.
const MESSAGE_POLICIES: [&str; 2] = ["File", "FallbackToLogsOnError"];
const RESTART_POLICIES: [&str; 3] = ["Always", "OnFailure", "Never"];

/// What a volume can be made of, in the order in which Kubernetes looks.
const SOURCES: [&str; 7] = [
    "emptyDir",
    "hostPath",
    "secret",
    "persistentVolumeClaim",
    "downwardAPI",
    "configMap",
    "projected",
];

fn list<'a>(spec: &'a Value, name: &str) -> &'a [Value] {
    spec[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// `"a", "b"`
pub(super) fn supported(values: &[&str]) -> String {
    let values: Vec<_> = values.iter().map(|it| format!("\"{it}\"")).collect();
    format!("supported values: {}", values.join(", "))
}

/// Checks `spec`, which stands at `path`.
pub(super) fn spec(spec: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if list(spec, "containers").is_empty() {
        errors.push(FieldError::new(
            format!("{path}.containers"),
            Problem::Required,
            "",
        ));
    }
    let mut names = Vec::new();
    for kind in ["containers", "initContainers"] {
        for (index, container) in list(spec, kind).iter().enumerate() {
            let at = format!("{path}.{kind}[{index}]");
            container_problems(container, &at, errors);
            let name = container["name"].as_str().unwrap_or_default();
            if !name.is_empty() && names.contains(&name) {
                let problem = Problem::Duplicate(json!(name));
                errors.push(FieldError::new(format!("{at}.name"), problem, ""));
            }
            names.push(name);
        }
    }
    volumes(spec, path, errors);
    let deadline = &spec["activeDeadlineSeconds"];
    if deadline.as_i64().is_some_and(|it| it < 1) {
        errors.push(FieldError::new(
            format!("{path}.activeDeadlineSeconds"),
            Problem::Invalid(deadline.clone()),
            "must be between 1 and 2147483647, inclusive",
        ));
    }
    for field in ["hostname", "subdomain"] {
        let value = spec[field].as_str().filter(|it| !it.is_empty());
        if let Some(why) = value.and_then(metadata::dns_label) {
            let problem = Problem::Invalid(spec[field].clone());
            errors.push(FieldError::new(format!("{path}.{field}"), problem, why));
        }
    }
    let policy = &spec["restartPolicy"];
    if !RESTART_POLICIES.iter().any(|it| policy == it) {
        errors.push(FieldError::new(
            format!("{path}.restartPolicy"),
            Problem::Unsupported(policy.clone()),
            supported(&RESTART_POLICIES),
        ));
    }
}

fn volumes(spec: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let mut names = Vec::new();
    for (index, volume) in list(spec, "volumes").iter().enumerate() {
        let at = format!("{path}.volumes[{index}]");
        let name = volume["name"].as_str().unwrap_or_default();
        let problem = if name.is_empty() {
            Some((Problem::Required, String::new()))
        } else if let Some(why) = metadata::dns_label(name) {
            Some((Problem::Invalid(json!(name)), why))
        } else if names.contains(&name) {
            Some((Problem::Duplicate(json!(name)), String::new()))
        } else {
            None
        };
        if let Some((problem, why)) = problem {
            errors.push(FieldError::new(format!("{at}.name"), problem, why));
        } else {
            names.push(name);
        }
        let sources = SOURCES.iter().filter(|it| !volume[**it].is_null());
        for source in sources.skip(1) {
            let why = "may not specify more than 1 volume type";
            errors.push(FieldError::new(
                format!("{at}.{source}"),
                Problem::Forbidden,
                why,
            ));
        }
    }
    for kind in ["containers", "initContainers"] {
        for (index, container) in list(spec, kind).iter().enumerate() {
            mounts(
                container,
                &format!("{path}.{kind}[{index}]"),
                &names,
                errors,
            );
        }
    }
}

fn mounts(container: &Value, at: &str, volumes: &[&str], errors: &mut Vec<FieldError>) {
    let mut paths = Vec::new();
    for (index, mount) in list(container, "volumeMounts").iter().enumerate() {
        let at = format!("{at}.volumeMounts[{index}]");
        let name = mount["name"].as_str().unwrap_or_default();
        if name.is_empty() {
            errors.push(FieldError::new(format!("{at}.name"), Problem::Required, ""));
        }
        if !volumes.contains(&name) {
            let problem = Problem::NotFound(json!(name));
            errors.push(FieldError::new(format!("{at}.name"), problem, ""));
        }
        let path = mount["mountPath"].as_str().unwrap_or_default();
        let at = format!("{at}.mountPath");
        if path.is_empty() {
            errors.push(FieldError::new(&*at, Problem::Required, ""));
        }
        if paths.contains(&path) {
            let problem = Problem::Invalid(json!(path));
            errors.push(FieldError::new(&*at, problem, "must be unique"));
        }
        paths.push(path);
    }
}

fn container_problems(container: &Value, at: &str, errors: &mut Vec<FieldError>) {
    let name = container["name"].as_str().unwrap_or_default();
    if name.is_empty() {
        errors.push(FieldError::new(format!("{at}.name"), Problem::Required, ""));
    } else if let Some(why) = metadata::dns_label(name) {
        let problem = Problem::Invalid(json!(name));
        errors.push(FieldError::new(format!("{at}.name"), problem, why));
    }
    if container["image"].as_str().is_none_or(str::is_empty) {
        errors.push(FieldError::new(
            format!("{at}.image"),
            Problem::Required,
            "",
        ));
    }
    let policy = &container["terminationMessagePolicy"];
    if !MESSAGE_POLICIES.iter().any(|it| policy == it) {
        errors.push(FieldError::new(
            format!("{at}.terminationMessagePolicy"),
            Problem::Unsupported(policy.clone()),
            supported(&MESSAGE_POLICIES),
        ));
    }
}

/// Checks what changed from `old` to `new`: images, a deadline that comes nearer, tolerations that are added.
pub(super) fn change(old: &Value, new: &Value, errors: &mut Vec<FieldError>) {
    for kind in ["containers", "initContainers"] {
        if list(old, kind).len() != list(new, kind).len() {
            let why = "pod updates may not add or remove containers";
            let field = format!("spec.{kind}");
            errors.push(FieldError::new(field, Problem::Forbidden, why));
            return;
        }
    }
    let deadline = |spec: &Value| spec["activeDeadlineSeconds"].as_i64();
    let late = |value: Value, why: &str| {
        FieldError::new("spec.activeDeadlineSeconds", Problem::Invalid(value), why)
    };
    match (deadline(old), deadline(new)) {
        (Some(_), None) => errors.push(late(
            Value::Null,
            "must not update from a positive integer to nil value",
        )),
        (_, Some(after)) if after < 0 => {
            let why = "must be between 0 and 2147483647, inclusive";
            errors.push(late(json!(after), why));
            return;
        }
        (Some(before), Some(after)) if after > before => {
            let why = "must be less than or equal to previous value";
            errors.push(late(json!(after), why));
            return;
        }
        _ => {}
    }
    if !keeps_tolerations(old, new) {
        let why = "existing toleration can not be modified except its tolerationSeconds";
        errors.push(FieldError::new("spec.tolerations", Problem::Forbidden, why));
    }
    if fixed(old) != fixed(new) {
        let why = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n";
        errors.push(FieldError::new("spec", Problem::Forbidden, why));
    }
}

fn keeps_tolerations(old: &Value, new: &Value) -> bool {
    let bare = |toleration: &Value| {
        let mut toleration = toleration.clone();
        toleration["tolerationSeconds"] = Value::Null;
        toleration
    };
    let new: Vec<_> = list(new, "tolerations").iter().map(bare).collect();
    list(old, "tolerations")
        .iter()
        .all(|it| new.contains(&bare(it)))
}

/// What of a specification may not change.
fn fixed(spec: &Value) -> Value {
    let mut spec = spec.clone();
    for field in ["activeDeadlineSeconds", "tolerations"] {
        spec[field] = Value::Null;
    }
    for kind in ["containers", "initContainers"] {
        for container in spec[kind].as_array_mut().into_iter().flatten() {
            container["image"] = Value::Null;
        }
    }
    spec
}
