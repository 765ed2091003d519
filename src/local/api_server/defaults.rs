//! What Kubernetes fills in on built-in objects when they are created or replaced.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::object;

pub(super) fn none(_: &mut Value) {}

/// Sets `field` of a JSON object unless it is there.
fn default(object: &mut Value, field: &str, value: impl Into<Value>) {
    if let Some(fields) = object.as_object_mut() {
        fields.entry(field).or_insert_with(|| value.into());
    }
}

/// The JSON object under `field`, made if it is missing.
fn inner<'a>(object: &'a mut Value, field: &str) -> &'a mut Value {
    default(object, field, json!({}));
    &mut object[field]
}

fn each(object: &mut Value, list: &str, change: impl Fn(&mut Value)) {
    let items = object.get_mut(list).and_then(Value::as_array_mut);
    items.into_iter().flatten().for_each(change);
}

pub(super) fn namespace(object: &mut Value) {
    let name = object::name(object).to_owned();
    let meta = object::meta_mut(object);
    let labels = meta.entry("labels").or_insert_with(|| json!({}));
    labels["kubernetes.io/metadata.name"] = name.into();
}

pub(super) fn prepare_namespace(object: &mut Value, _: bool) {
    default(inner(object, "spec"), "finalizers", json!(["kubernetes"]));
    default(inner(object, "status"), "phase", "Active");
}

/// `stringData` becomes part of `data`.
pub(super) fn secret(object: &mut Value) {
    default(object, "type", "Opaque");
    let Some(Value::Object(plain)) = object
        .as_object_mut()
        .and_then(|it| it.remove("stringData"))
    else {
        return;
    };
    let data = inner(object, "data");
    for (key, value) in plain {
        data[key] = STANDARD.encode(value.as_str().unwrap_or_default()).into();
    }
}

pub(super) fn binding(object: &mut Value) {
    const GROUP: &str = "rbac.authorization.k8s.io";
    default(inner(object, "roleRef"), "apiGroup", GROUP);
    each(object, "subjects", |subject| {
        let is_account = subject["kind"] == "ServiceAccount";
        if !is_account {
            default(subject, "apiGroup", GROUP);
        }
    });
}

pub(super) fn pod(object: &mut Value) {
    if let Some(spec) = object.get_mut("spec") {
        pod_spec(spec);
        default(spec, "enableServiceLinks", true);
        for list in ["initContainers", "containers"] {
            each(spec, list, ask_for_limits);
        }
    }
}

/// What is limited, and of which no less is asked for, is asked for as a whole.
fn ask_for_limits(container: &mut Value) {
    let limits = container["resources"]["limits"].as_object().cloned();
    for (name, limit) in limits.into_iter().flatten() {
        default(inner(&mut container["resources"], "requests"), &name, limit);
    }
}

pub(super) fn prepare_pod(object: &mut Value, is_new: bool) {
    let spec = inner(object, "spec");
    default(spec, "preemptionPolicy", "PreemptLowerPriority");
    default(spec, "priority", 0);
    let class = qos_class(spec);
    let status = inner(object, "status");
    if is_new {
        default(status, "phase", "Pending");
    }
    default(status, "qosClass", class);
}

/// How surely a Pod gets what it asks for.
fn qos_class(spec: &Value) -> &'static str {
    let lists = ["initContainers", "containers"];
    let containers = || {
        lists
            .iter()
            .flat_map(|list| spec[*list].as_array().into_iter().flatten())
    };
    let amount = |container: &Value, of: &str, what: &str| {
        let found = &container["resources"][of][what];
        (!found.is_null()).then(|| found.clone())
    };
    let kinds = ["cpu", "memory"];
    let asks = |container: &Value| {
        let of = ["limits", "requests"];
        of.iter()
            .any(|of| kinds.iter().any(|it| amount(container, of, it).is_some()))
    };
    let is_sure = |container: &Value| {
        kinds.iter().all(|it| {
            let limit = amount(container, "limits", it);
            limit.is_some() && amount(container, "requests", it).is_none_or(|it| Some(it) == limit)
        })
    };
    if !containers().any(asks) {
        "BestEffort"
    } else if containers().all(is_sure) {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

pub(super) fn prepare_status(object: &mut Value, _: bool) {
    default(object, "status", json!({}));
}

fn pod_spec(spec: &mut Value) {
    for (field, value) in [
        ("restartPolicy", json!("Always")),
        ("dnsPolicy", json!("ClusterFirst")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("schedulerName", json!("default-scheduler")),
        ("securityContext", json!({})),
    ] {
        default(spec, field, value);
    }
    if let Some(account) = spec.get("serviceAccountName").cloned() {
        default(spec, "serviceAccount", account);
    }
    for list in ["initContainers", "containers"] {
        each(spec, list, container);
    }
    each(spec, "volumes", |volume| {
        if volume.as_object().is_some_and(|it| it.len() == 1) {
            default(volume, "emptyDir", json!({}));
        }
        for (source, field) in [
            ("secret", "defaultMode"),
            ("configMap", "defaultMode"),
            ("downwardAPI", "defaultMode"),
            ("projected", "defaultMode"),
        ] {
            if let Some(source) = volume.get_mut(source) {
                default(source, field, 0o644);
            }
        }
    });
}

fn container(container: &mut Value) {
    let image = container["image"].as_str().unwrap_or_default();
    let tag = image.rsplit('/').next().unwrap_or_default();
    let is_latest = !tag.contains(':') || tag.ends_with(":latest");
    let floats = !tag.is_empty() && !tag.contains('@') && is_latest;
    let pull = if floats { "Always" } else { "IfNotPresent" };
    for (field, value) in [
        ("imagePullPolicy", json!(pull)),
        ("terminationMessagePath", json!("/dev/termination-log")),
        ("terminationMessagePolicy", json!("File")),
        ("resources", json!({})),
    ] {
        default(container, field, value);
    }
    each(container, "ports", |port| default(port, "protocol", "TCP"));
    each(container, "env", |env| {
        if let Some(field) = env.pointer_mut("/valueFrom/fieldRef") {
            default(field, "apiVersion", "v1");
        }
        if let Some(field) = env.pointer_mut("/valueFrom/resourceFieldRef") {
            default(field, "divisor", "0");
        }
    });
}

pub(super) fn job(object: &mut Value) {
    label_as_template(object);
    let spec = inner(object, "spec");
    for (field, value) in [
        ("backoffLimit", json!(6)),
        ("completionMode", json!("NonIndexed")),
        ("suspend", json!(false)),
        ("manualSelector", json!(false)),
    ] {
        default(spec, field, value);
    }
    if spec.get("completions").is_none() && spec.get("parallelism").is_none() {
        spec["completions"] = json!(1);
    }
    default(spec, "parallelism", 1);
    let failed_only = spec.get("podFailurePolicy").is_some();
    let replacement = if failed_only {
        "Failed"
    } else {
        "TerminatingOrFailed"
    };
    default(spec, "podReplacementPolicy", replacement);
    pod_spec(inner(inner(spec, "template"), "spec"));
}

/// A Job without labels has those of its Pods.
fn label_as_template(object: &mut Value) {
    let labels = object.pointer("/spec/template/metadata/labels").cloned();
    let own = object["metadata"]["labels"].as_object();
    if let Some(labels) = labels
        && own.is_none_or(Map::is_empty)
    {
        object::meta_mut(object).insert("labels".into(), labels);
    }
}

/// The Pods of a Job are found by its UID.
pub(super) fn prepare_job(object: &mut Value, is_new: bool) {
    let uid = object::meta(object, "uid").to_owned();
    let name = object::name(object).to_owned();
    let spec = inner(object, "spec");
    if is_new && spec["manualSelector"] != true {
        let labels = inner(inner(inner(spec, "template"), "metadata"), "labels");
        for (label, value) in [
            ("batch.kubernetes.io/controller-uid", &uid),
            ("batch.kubernetes.io/job-name", &name),
            ("controller-uid", &uid),
            ("job-name", &name),
        ] {
            default(labels, label, value.as_str());
        }
        let own = inner(inner(spec, "selector"), "matchLabels");
        default(own, "batch.kubernetes.io/controller-uid", uid);
    }
    default(object, "status", json!({}));
    label_as_template(object);
}

pub(super) fn deployment(object: &mut Value) {
    let spec = inner(object, "spec");
    for (field, value) in [
        ("replicas", json!(1)),
        ("revisionHistoryLimit", json!(10)),
        ("progressDeadlineSeconds", json!(600)),
    ] {
        default(spec, field, value);
    }
    let strategy = inner(spec, "strategy");
    default(strategy, "type", "RollingUpdate");
    if strategy["type"] == "RollingUpdate" {
        let rolling = inner(strategy, "rollingUpdate");
        default(rolling, "maxUnavailable", "25%");
        default(rolling, "maxSurge", "25%");
    }
    pod_spec(inner(inner(spec, "template"), "spec"));
}

pub(super) fn crd(object: &mut Value) {
    let spec = inner(object, "spec");
    default(inner(spec, "conversion"), "strategy", "None");
    let names = inner(spec, "names");
    if let Some(kind) = names["kind"].as_str().map(str::to_owned) {
        default(names, "singular", kind.to_lowercase());
        default(names, "listKind", format!("{kind}List"));
    }
}
