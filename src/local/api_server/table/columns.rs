//! The columns of built-in resources.

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use super::age;
use super::definition;
use super::human;
use super::since;
use crate::local::api_server::object;

/// Columns after the name: (name, type, priority).
type Columns = &'static [(&'static str, &'static str, u8)];

fn columns(storage: &str) -> Columns {
    match storage {
        "pods" => &[
            ("Ready", "string", 0),
            ("Status", "string", 0),
            ("Restarts", "string", 0),
            ("Age", "string", 0),
            ("IP", "string", 1),
            ("Node", "string", 1),
            ("Nominated Node", "string", 1),
            ("Readiness Gates", "string", 1),
        ],
        "jobs.batch" => &[
            ("Status", "string", 0),
            ("Completions", "string", 0),
            ("Duration", "string", 0),
            ("Age", "string", 0),
            ("Containers", "string", 1),
            ("Images", "string", 1),
            ("Selector", "string", 1),
        ],
        "namespaces" => &[("Status", "string", 0), ("Age", "string", 0)],
        "secrets" => &[
            ("Type", "string", 0),
            ("Data", "string", 0),
            ("Age", "string", 0),
        ],
        "configmaps" => &[("Data", "string", 0), ("Age", "string", 0)],
        "serviceaccounts" => &[("Secrets", "string", 0), ("Age", "string", 0)],
        "events" => &[
            ("Type", "string", 0),
            ("Reason", "string", 0),
            ("Object", "string", 0),
            ("Message", "string", 0),
        ],
        "deployments.apps" => &[
            ("Ready", "string", 0),
            ("Up-to-date", "string", 0),
            ("Available", "string", 0),
            ("Age", "string", 0),
        ],
        "leases.coordination.k8s.io" => &[("Holder", "string", 0), ("Age", "string", 0)],
        "roles.rbac.authorization.k8s.io"
        | "clusterroles.rbac.authorization.k8s.io"
        | "customresourcedefinitions.apiextensions.k8s.io" => &[("Created At", "date", 0)],
        _ => &[("Age", "string", 0)],
    }
}

pub(super) fn definitions(storage: &str) -> Vec<Value> {
    // Events are told by when they were seen, and their names say nothing.
    let (first, format) = match storage {
        "events" => ("Last Seen", ""),
        _ => ("Name", "name"),
    };
    let mut definitions = vec![definition(first, "string", format, "", &json!(0))];
    definitions.extend(
        columns(storage)
            .iter()
            .map(|(name, kind, priority)| definition(name, kind, "", "", &json!(priority))),
    );
    definitions
}

pub(super) fn cells(storage: &str, object: &Value, now: Timestamp) -> Vec<Value> {
    let name = json!(object::name(object));
    let age = age(object, now);
    let count = |field: &str| match &object[field] {
        Value::Object(fields) => fields.len(),
        Value::Array(items) => items.len(),
        _ => 0,
    };
    let number = |value: &Value| value.as_i64().unwrap_or(0);
    let status = &object["status"];
    match storage {
        "pods" => pod(object, name, age),
        "jobs.batch" => job(object, name, age, now),
        "namespaces" => vec![name, status["phase"].clone(), age],
        "secrets" => vec![name, object["type"].clone(), json!(count("data")), age],
        "configmaps" => vec![name, json!(count("data") + count("binaryData")), age],
        "serviceaccounts" => vec![name, json!(count("secrets")), age],
        "events" => event(object, now),
        "deployments.apps" => {
            let ready = number(&status["readyReplicas"]);
            let wanted = number(&object["spec"]["replicas"]);
            vec![
                name,
                json!(format!("{ready}/{wanted}")),
                json!(number(&status["updatedReplicas"])),
                json!(number(&status["availableReplicas"])),
                age,
            ]
        }
        "leases.coordination.k8s.io" => vec![name, object["spec"]["holderIdentity"].clone(), age],
        "roles.rbac.authorization.k8s.io"
        | "clusterroles.rbac.authorization.k8s.io"
        | "customresourcedefinitions.apiextensions.k8s.io" => {
            vec![name, object["metadata"]["creationTimestamp"].clone()]
        }
        _ => vec![name, age],
    }
}

fn pod(pod: &Value, name: Value, age: Value) -> Vec<Value> {
    let list = |field: &str| pod["status"][field].as_array().into_iter().flatten();
    let total = pod["spec"]["containers"].as_array().map_or(0, Vec::len);
    let ready = list("containerStatuses")
        .filter(|it| it["ready"] == true && it["state"]["running"].is_object())
        .count();
    let restarts: i64 = list("containerStatuses")
        .filter_map(|it| it["restartCount"].as_i64())
        .sum();
    let or_none = |value: &Value| match value.as_str() {
        Some(text) if !text.is_empty() => json!(text),
        _ => json!("<none>"),
    };
    vec![
        name,
        json!(format!("{ready}/{total}")),
        json!(pod_status(pod)),
        json!(restarts.to_string()),
        age,
        or_none(&pod["status"]["podIP"]),
        or_none(&pod["spec"]["nodeName"]),
        json!("<none>"),
        json!("<none>"),
    ]
}

/// The phase, or what says more: why a container waits or how it ended.
fn pod_status(pod: &Value) -> String {
    let statuses = |field: &str| -> Vec<&Value> {
        let list = pod["status"][field].as_array();
        list.into_iter().flatten().collect()
    };
    let reason_of = |state: &Value| -> Option<String> {
        let waiting = state["waiting"]["reason"].as_str();
        if let Some(reason) = waiting.filter(|it| !it.is_empty()) {
            return Some(reason.into());
        }
        let ended = state.get("terminated")?;
        let signal = ended["signal"].as_i64().unwrap_or(0);
        match ended["reason"].as_str() {
            Some(reason) if !reason.is_empty() => Some(reason.into()),
            _ if signal != 0 => Some(format!("Signal:{signal}")),
            _ => Some(format!("ExitCode:{}", ended["exitCode"])),
        }
    };
    let phase = pod["status"]["reason"].as_str();
    let phase = phase.or_else(|| pod["status"]["phase"].as_str());
    let mut shown = phase.unwrap_or("Unknown").to_owned();
    let init = statuses("initContainerStatuses");
    let unfinished = init
        .iter()
        .position(|it| it["state"]["terminated"]["exitCode"] != 0);
    if let Some(at) = unfinished {
        let state = &init[at]["state"];
        let total = pod["spec"]["initContainers"].as_array().map_or(0, Vec::len);
        shown = match reason_of(state) {
            Some(reason) if reason != "PodInitializing" => format!("Init:{reason}"),
            _ => format!("Init:{at}/{total}"),
        };
    } else {
        let last = statuses("containerStatuses");
        let reason = last.iter().rev().find_map(|it| reason_of(&it["state"]));
        shown = reason.unwrap_or(shown);
    }
    if object::is_deleting(pod) && !matches!(phase, Some("Succeeded" | "Failed")) {
        shown = "Terminating".into();
    }
    shown
}

fn job(job: &Value, name: Value, age: Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&job["spec"], &job["status"]);
    let has = |kind: &str| {
        let conditions = status["conditions"].as_array().into_iter().flatten();
        let mut conditions = conditions;
        conditions.any(|it| it["type"] == kind && it["status"] == "True")
    };
    let shown = if has("Complete") {
        "Complete"
    } else if has("Failed") {
        "Failed"
    } else if object::is_deleting(job) {
        "Terminating"
    } else if has("Suspended") {
        "Suspended"
    } else {
        "Running"
    };
    let done = status["succeeded"].as_i64().unwrap_or(0);
    let wanted = spec["completions"].as_i64().unwrap_or(1);
    let start = status["startTime"].as_str();
    let duration = match (start, status["completionTime"].as_str()) {
        (None, _) => json!(""),
        (Some(start), None) => since(Some(start), now),
        (Some(start), Some(end)) => match (start.parse::<Timestamp>(), end.parse::<Timestamp>()) {
            (Ok(start), Ok(end)) => json!(human(end.as_second() - start.as_second())),
            _ => json!(""),
        },
    };
    let containers = spec["template"]["spec"]["containers"].as_array();
    let each = |field: &str| {
        let values = containers.into_iter().flatten();
        let values: Vec<_> = values.filter_map(|it| it[field].as_str()).collect();
        json!(values.join(","))
    };
    let labels = spec["selector"]["matchLabels"].as_object();
    let labels = labels
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()));
    let selector: Vec<_> = labels.collect();
    vec![
        name,
        json!(shown),
        json!(format!("{done}/{wanted}")),
        duration,
        age,
        each("name"),
        each("image"),
        json!(selector.join(",")),
    ]
}

fn event(event: &Value, now: Timestamp) -> Vec<Value> {
    let about = &event["involvedObject"];
    let kind = about["kind"].as_str().unwrap_or_default().to_lowercase();
    let name = about["name"].as_str().unwrap_or_default();
    let seen = [
        "/series/lastObservedTime",
        "/lastTimestamp",
        "/eventTime",
        "/metadata/creationTimestamp",
    ]
    .iter()
    .find_map(|path| event.pointer(path).and_then(Value::as_str));
    vec![
        since(seen, now),
        event["type"].clone(),
        event["reason"].clone(),
        json!(format!("{kind}/{name}")),
        json!(event["message"].as_str().unwrap_or_default().trim()),
    ]
}
