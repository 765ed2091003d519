//! `OpenAPI` v3: what `kubectl` asks before it writes, and explains from.
//!
//! Custom resources are described by their schemas. Built-in kinds are named, and their fields left
//! open: clients have these types built in, and every write is checked here anyway.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::Inner;
use super::reply;
use super::reply::Reply;
use super::resource::Resource;
use super::resource::Rules;

/// The name of the schema of everyone's metadata.
const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// Which documents there are.
pub(super) fn index(server: &Inner) -> Value {
    let mut paths = Map::new();
    for resource in server.registry.all() {
        let place = place(&resource);
        let url = format!("/openapi/v3/{place}");
        paths.insert(place, json!({"serverRelativeURL": url}));
    }
    json!({"paths": paths})
}

/// The document of one group and version, `apis/batch/v1`.
pub(super) fn document(server: &Inner, wanted: &str) -> Option<Value> {
    let resources = server.registry.all().into_iter();
    let resources: Vec<_> = resources.filter(|it| place(it) == wanted).collect();
    if resources.is_empty() {
        return None;
    }
    let mut schemas = Map::new();
    schemas.insert(
        META.into(),
        json!({"type": "object", "description": "Metadata of an object."}),
    );
    let mut paths = Map::new();
    for resource in &resources {
        schemas.insert(schema_name(resource), schema(resource));
        paths.insert(path(resource), operations(resource));
    }
    Some(json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.36.0"},
        "paths": paths,
        "components": {"schemas": schemas},
    }))
}

/// `OpenAPI` v2, as a document that describes nothing. `kubectl` asks for it, in protobuf, before it writes what a
/// `List` holds, and leaves the judgement of what it finds no schema of to the server.
pub(super) fn nothing() -> Reply {
    let media = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
    reply::bytes(StatusCode::OK, media, Bytes::new())
}

fn place(resource: &Arc<Resource>) -> String {
    let root = if resource.group.is_empty() {
        "api"
    } else {
        "apis"
    };
    format!("{root}/{}", resource.api_version())
}

fn path(resource: &Arc<Resource>) -> String {
    let namespaces = if resource.namespaced {
        "namespaces/{namespace}/"
    } else {
        ""
    };
    format!(
        "/{}/{namespaces}{}/{{name}}",
        place(resource),
        resource.plural
    )
}

fn kind(resource: &Resource) -> Value {
    json!({"group": resource.group, "version": resource.version, "kind": resource.kind})
}

/// `io.axon.v1alpha1.Task`.
fn schema_name(resource: &Resource) -> String {
    let mut parts: Vec<_> = resource
        .group
        .split('.')
        .filter(|it| !it.is_empty())
        .collect();
    parts.reverse();
    parts.extend([resource.version.as_str(), resource.kind.as_str()]);
    parts.join(".")
}

fn schema(resource: &Resource) -> Value {
    let mut schema = match &resource.rules {
        Rules::Custom(custom) => custom.schema.value.clone(),
        Rules::Builtin(_) => {
            json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
        }
    };
    let text = |description: &str| json!({"type": "string", "description": description});
    schema["properties"]["apiVersion"] = text("Group and version of this object.");
    schema["properties"]["kind"] = text("Kind of this object.");
    schema["properties"]["metadata"] = json!({
        "description": "Metadata of this object.",
        "allOf": [{"$ref": format!("#/components/schemas/{META}")}],
    });
    schema["x-kubernetes-group-version-kind"] = json!([kind(resource)]);
    schema
}

/// The operations by whose parameters a client learns what the server can do.
fn operations(resource: &Resource) -> Value {
    let parameters: Vec<_> = ["dryRun", "fieldManager", "fieldValidation", "force"]
        .iter()
        .map(|name| json!({"name": name, "in": "query", "schema": {"type": "string"}}))
        .collect();
    let reference = format!("#/components/schemas/{}", schema_name(resource));
    let ok = json!({"200": {
        "description": "OK",
        "content": {"application/json": {"schema": {"$ref": reference}}},
    }});
    let operation = |action: &str| {
        json!({
            "x-kubernetes-action": action, "x-kubernetes-group-version-kind": kind(resource),
            "parameters": parameters, "responses": ok,
        })
    };
    json!({"get": operation("get"), "put": operation("put"), "patch": operation("patch")})
}
