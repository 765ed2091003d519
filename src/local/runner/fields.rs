//! The downward API: facts about a Pod that its containers may ask for.

use std::collections::BTreeMap;
use std::fmt::Write;

use k8s_openapi::api::core::v1::Pod;

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
    fn unknown_fields_have_none() {
        check("spec.containers", None);
        check("metadata.labels['app'", None);
        check("spec.x['y']", None);
    }
}
