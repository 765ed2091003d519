//! The downward API: facts about a Pod that its containers may ask for.

use std::collections::BTreeMap;
use std::fmt::Write;

use k8s_openapi::api::core::v1::Container;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::core::v1::ResourceFieldSelector;

use super::quantity;

/// The address of everything here: containers share the machine's network.
pub(super) const ADDRESS: &str = "127.0.0.1";

/// The value at `path`, such as `metadata.name` or `metadata.labels['app']`.
pub(super) fn field(pod: &Pod, path: &str) -> Option<String> {
    let meta = &pod.metadata;
    let spec = pod.spec.as_ref();
    if let Some((map, key)) = subscript(path) {
        let values = match map {
            "metadata.labels" => meta.labels.as_ref(),
            "metadata.annotations" => meta.annotations.as_ref(),
            _ => return None,
        };
        return Some(
            values
                .and_then(|all| all.get(key))
                .cloned()
                .unwrap_or_default(),
        );
    }
    Some(match path {
        "metadata.name" => meta.name.clone().unwrap_or_default(),
        "metadata.namespace" => meta.namespace.clone().unwrap_or_default(),
        "metadata.uid" => meta.uid.clone().unwrap_or_default(),
        "metadata.labels" => lines(meta.labels.as_ref()),
        "metadata.annotations" => lines(meta.annotations.as_ref()),
        "spec.nodeName" => spec.and_then(|it| it.node_name.clone()).unwrap_or_default(),
        "spec.serviceAccountName" => spec
            .and_then(|it| it.service_account_name.clone())
            .unwrap_or_default(),
        "status.hostIP" | "status.hostIPs" | "status.podIP" | "status.podIPs" => ADDRESS.to_owned(),
        _ => return None,
    })
}

/// What a container may have or asks for, in units of the divisor: `limits.memory`. None if nothing limits it:
/// Kubernetes would tell what the whole node has.
pub(super) fn resource(
    pod: &Pod,
    own: Option<&Container>,
    from: &ResourceFieldSelector,
) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let mut all = spec
        .containers
        .iter()
        .chain(spec.init_containers.iter().flatten());
    let named = from
        .container_name
        .as_ref()
        .and_then(|name| all.find(|it| it.name == *name));
    let resources = named.or(own)?.resources.as_ref();
    let limits = resources.and_then(|it| it.limits.as_ref());
    let (amounts, name) = match from.resource.split_once('.')? {
        ("limits", name) => (limits, name),
        // What is limited and asks for nothing asks for its limit: the API server has said so.
        ("requests", name) => (resources.and_then(|it| it.requests.as_ref()), name),
        _ => return None,
    };
    let amount = match amounts.and_then(|it| it.get(name)) {
        Some(it) => quantity::thousandths(it)?,
        None if from.resource.starts_with("requests.") => 0,
        None => return None,
    };
    let divisor = match &from.divisor {
        Some(it) => quantity::thousandths(it)
            .filter(|it| *it > 0)
            .unwrap_or(quantity::ONE),
        None => quantity::ONE,
    };
    let whole = amount.div_euclid(divisor) + i128::from(amount.rem_euclid(divisor) > 0);
    Some(whole.to_string())
}

/// `map['key']` → `map`, `key`.
fn subscript(path: &str) -> Option<(&str, &str)> {
    path.strip_suffix("']")?.split_once("['")
}

/// A map as the kubelet writes it into a file: `key="escaped value"`, sorted.
fn lines(map: Option<&BTreeMap<String, String>>) -> String {
    let mut out = String::new();
    for (key, value) in map.into_iter().flatten() {
        if !out.is_empty() {
            out.push('\n');
        }
        // Writing to a string cannot fail.
        let _ = write!(out, "{key}={value:?}");
    }
    out
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
    use serde_json::json;

    use super::*;

    fn check(path: &str, expected: Option<&str>) {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u",
                "labels": {"app": "a", "b": "say \"x\""}},
            "spec": {"containers": [], "nodeName": "local"},
        }))
        .unwrap();
        assert_eq!(field(&pod, path).as_deref(), expected, "{path}");
    }

    #[test]
    fn known_fields_have_values() {
        check("metadata.name", Some("p"));
        check("metadata.labels['app']", Some("a"));
        check("metadata.labels['none']", Some(""));
        check("metadata.labels", Some("app=\"a\"\nb=\"say \\\"x\\\"\""));
        check("spec.nodeName", Some("local"));
        check("status.podIP", Some(ADDRESS));
    }

    #[test]
    fn resources_are_told_in_units_of_the_divisor() {
        let pod: Pod = serde_json::from_value(json!({"metadata": {}, "spec": {"containers": [
            {"name": "a", "resources": {"limits": {"memory": "64Mi", "cpu": "1500m"}}}, {"name": "b"}]}}))
        .unwrap();
        let own = pod.spec.as_ref().and_then(|it| it.containers.last());
        let check =
            |container: Option<&str>, name: &str, divisor: Option<&str>, expected: Option<&str>| {
                let from = ResourceFieldSelector {
                    container_name: container.map(str::to_owned),
                    divisor: divisor.map(|it| Quantity(it.to_owned())),
                    resource: name.to_owned(),
                };
                assert_eq!(resource(&pod, own, &from).as_deref(), expected, "{name}");
            };
        check(Some("a"), "limits.memory", None, Some("67108864"));
        check(Some("a"), "limits.memory", Some("1Mi"), Some("64"));
        check(Some("a"), "limits.cpu", Some("0"), Some("2"));
        check(Some("a"), "limits.cpu", Some("1m"), Some("1500"));
        check(None, "requests.memory", None, Some("0"));
        check(None, "limits.memory", None, None);
        check(None, "memory", None, None);
    }

    #[test]
    fn unknown_fields_have_none() {
        check("spec.containers", None);
        check("metadata.labels['app'", None);
        check("spec.x['y']", None);
    }
}
