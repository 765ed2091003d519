//! What is served under which path: versions, groups, resources, health.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderMap;
use http::Method;
use http::StatusCode;
use http::header;
use serde_json::Value;
use serde_json::json;

use super::Inner;
use super::error::ApiError;
use super::openapi;
use super::reply;
use super::reply::Reply;
use super::resource::Resource;
use super::resource::api_version;

/// Answers a request that names no resource.
pub(super) fn answer(server: &Inner, method: &Method, path: &str, headers: &HeaderMap) -> Reply {
    if method != Method::GET && method != Method::HEAD {
        return reply::error(&ApiError::method_not_allowed());
    }
    let aggregated = headers
        .get(header::ACCEPT)
        .and_then(|it| it.to_str().ok())
        .is_some_and(|it| it.contains("as=APIGroupDiscoveryList"));
    let parts: Vec<_> = path.trim_matches('/').split('/').collect();
    let found = match parts.as_slice() {
        ["healthz" | "livez" | "readyz", ..] => return reply::text(StatusCode::OK, "ok"),
        ["version"] => Some(version()),
        ["api"] if aggregated => return self::aggregated(server, true),
        ["apis"] if aggregated => return self::aggregated(server, false),
        ["api"] => Some(json!({"kind": "APIVersions", "versions": ["v1"]})),
        ["apis"] => Some(groups(server)),
        ["apis", name] => group(server, name),
        ["openapi", "v2"] => return openapi::nothing(),
        ["openapi", "v3"] => Some(openapi::index(server)),
        ["openapi", "v3", place @ ..] => openapi::document(server, &place.join("/")),
        ["api", "v1"] => resources(server, "", "v1"),
        ["apis", group, version] => resources(server, group, version),
        _ => None,
    };
    match found {
        Some(value) => reply::value(StatusCode::OK, &value),
        None => reply::text(StatusCode::NOT_FOUND, "404 page not found\n"),
    }
}

/// The version of Kubernetes whose API this is.
fn version() -> Value {
    json!({
        "major": "1", "minor": "36", "gitVersion": "v1.36.0+axon", "gitCommit": "",
        "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z", "goVersion": "",
        "compiler": "rustc", "platform": format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    })
}

/// Served resources by group and version.
fn by_group(server: &Inner) -> BTreeMap<String, BTreeMap<String, Vec<Arc<Resource>>>> {
    let mut groups: BTreeMap<String, BTreeMap<String, Vec<_>>> = BTreeMap::new();
    for resource in server.registry.all() {
        let versions = groups.entry(resource.group.clone()).or_default();
        let resources = versions.entry(resource.version.clone()).or_default();
        resources.push(resource);
    }
    groups
}

fn group_value<'a>(name: &str, versions: impl Iterator<Item = &'a String>) -> Value {
    let versions: Vec<_> = versions
        .map(|version| json!({"groupVersion": api_version(name, version), "version": version}))
        .collect();
    let preferred = versions.first().cloned().unwrap_or_default();
    json!({"name": name, "versions": versions, "preferredVersion": preferred})
}

fn groups(server: &Inner) -> Value {
    let groups: Vec<_> = by_group(server)
        .iter()
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, versions)| group_value(name, versions.keys()))
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

fn group(server: &Inner, name: &str) -> Option<Value> {
    let groups = by_group(server);
    let mut value = group_value(name, groups.get(name)?.keys());
    value["kind"] = "APIGroup".into();
    value["apiVersion"] = "v1".into();
    Some(value)
}

const VERBS: &[&str] = &[
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

/// Subresources of a resource and their verbs.
fn subresources(resource: &Resource) -> Vec<(&'static str, &'static [&'static str])> {
    let mut found: Vec<(&str, &[&str])> = Vec::new();
    if resource.status {
        found.push(("status", &["get", "patch", "update"]));
    }
    match resource.storage.as_str() {
        "pods" => found.extend([("binding", &["create"][..]), ("log", &["get"])]),
        "namespaces" => found.push(("finalize", &["update"])),
        _ => {}
    }
    found
}

fn resources(server: &Inner, group: &str, version: &str) -> Option<Value> {
    let groups = by_group(server);
    let resources = groups.get(group)?.get(version)?;
    let mut list = Vec::new();
    for resource in resources {
        let mut row = json!({
            "name": resource.plural, "singularName": resource.singular,
            "namespaced": resource.namespaced, "kind": resource.kind, "verbs": VERBS,
        });
        if !resource.short_names.is_empty() {
            row["shortNames"] = json!(resource.short_names);
        }
        if !resource.categories.is_empty() {
            row["categories"] = json!(resource.categories);
        }
        list.push(row);
        for (name, verbs) in subresources(resource) {
            list.push(json!({
                "name": format!("{}/{name}", resource.plural), "singularName": "",
                "namespaced": resource.namespaced, "kind": resource.kind, "verbs": verbs,
            }));
        }
    }
    Some(json!({
        "kind": "APIResourceList", "apiVersion": "v1",
        "groupVersion": api_version(group, version), "resources": list,
    }))
}

/// All of it in one answer, as newer clients ask for it.
fn aggregated(server: &Inner, core: bool) -> Reply {
    let groups = by_group(server);
    let items: Vec<_> = groups
        .iter()
        .filter(|(name, _)| name.is_empty() == core)
        .map(|(name, versions)| {
            let versions: Vec<_> = versions
                .iter()
                .map(|(version, resources)| {
                    let resources: Vec<_> = resources.iter().map(|it| aggregated_row(it)).collect();
                    json!({"version": version, "freshness": "Current", "resources": resources})
                })
                .collect();
            let meta = if core {
                json!({"creationTimestamp": null})
            } else {
                json!({"name": name, "creationTimestamp": null})
            };
            json!({"metadata": meta, "versions": versions})
        })
        .collect();
    let list = json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {}, "items": items,
    });
    reply::bytes(
        StatusCode::OK,
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        list.to_string().into(),
    )
}

fn aggregated_row(resource: &Resource) -> Value {
    let kind =
        |name: &str| json!({"group": resource.group, "version": resource.version, "kind": name});
    let scope = if resource.namespaced {
        "Namespaced"
    } else {
        "Cluster"
    };
    let mut row = json!({
        "resource": resource.plural, "responseKind": kind(&resource.kind), "scope": scope,
        "singularResource": resource.singular, "verbs": VERBS,
    });
    if !resource.short_names.is_empty() {
        row["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        row["categories"] = json!(resource.categories);
    }
    let subresources: Vec<_> = subresources(resource)
        .into_iter()
        .map(|(name, verbs)| {
            json!({"subresource": name, "responseKind": kind(&resource.kind), "verbs": verbs})
        })
        .collect();
    if !subresources.is_empty() {
        row["subresources"] = subresources.into();
    }
    row
}
