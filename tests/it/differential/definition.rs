//! A kind of the test's own: a schema with everything that merges, defaults, prunes and refuses.

use http::Request;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::Client;
use kube::api::ApiResource;
use kube::api::DynamicObject;
use kube::api::ListParams;
use kube::api::PostParams;
use kube::core::GroupVersionKind;
use serde_json::Value;
use serde_json::json;

use super::material::SUBJECTS;
use crate::server::eventually;

/// Defines the kind on every server and awaits that it is served. Its group.
pub(super) async fn serve(clients: &[&Client]) -> String {
    let group = format!("d{}.test.io", std::process::id());
    let kind = GroupVersionKind::gvk(&group, "v1", "Gadget");
    let resource = ApiResource::from_gvk_with_plural(&kind, "gadgets");
    for client in clients {
        let crds: Api<CustomResourceDefinition> = Api::all((*client).clone());
        let definition = serde_json::from_value(definition(&group)).unwrap();
        crds.create(&PostParams::default(), &definition)
            .await
            .unwrap();
        let gadgets: Api<DynamicObject> =
            Api::default_namespaced_with((*client).clone(), &resource);
        let served = async || gadgets.list(&ListParams::default()).await.ok();
        eventually("gadgets to be served", served).await;
    }
    group
}

/// Awaits that the server remembers what happens to every kind: of a kind that was asked for never before it
/// knows no history.
pub(super) async fn warm(client: &Client, group: &str) {
    for subject in SUBJECTS {
        let version = subject.api_version(group);
        let root = if version == "v1" { "api" } else { "apis" };
        let path = format!("/{root}/{version}/namespaces/default/{}", subject.plural());
        let remembers = async || {
            let list: Value = client.request(get(&path)).await.ok()?;
            let from = list["metadata"]["resourceVersion"].as_str()?;
            let watch = format!("{path}?watch=1&timeoutSeconds=1&resourceVersion={from}");
            let seen = client.request_text(get(&watch)).await.ok()?;
            (!seen.contains("ERROR")).then_some(())
        };
        eventually("a kind's history", remembers).await;
    }
}

fn get(path: &str) -> Request<Vec<u8>> {
    Request::get(path).body(Vec::new()).unwrap()
}

fn definition(group: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("gadgets.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"plural": "gadgets", "singular": "gadget", "kind": "Gadget", "listKind": "GadgetList"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}},
                "additionalPrinterColumns": [
                    {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
                ],
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "required": ["spec"],
                    "properties": {"spec": spec(), "status": status()},
                }},
            }],
        },
    })
}

#[expect(clippy::too_many_lines, reason = "one table")]
fn spec() -> Value {
    json!({
        "type": "object",
        "required": ["size"],
        "properties": {
            "size": {
                "type": "integer", "minimum": 1, "maximum": 100,
                "x-kubernetes-validations": [{"rule": "self != 13", "message": "no luck"}],
            },
            "color": {"type": "string", "default": "red", "enum": ["red", "blue"]},
            "name": {"type": "string", "minLength": 2, "maxLength": 5, "pattern": "^[a-z]+$"},
            "fixed": {
                "type": "string",
                "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "never changes"}],
            },
            "tags": {
                "type": "array", "maxItems": 3, "items": {"type": "string", "maxLength": 8},
                "x-kubernetes-list-type": "set",
            },
            "order": {"type": "array", "items": {"type": "integer"}, "x-kubernetes-list-type": "atomic"},
            "parts": {
                "type": "array", "maxItems": 4,
                "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"],
                "items": {
                    "type": "object", "required": ["id"],
                    "properties": {
                        "id": {"type": "string"},
                        "count": {"type": "integer", "default": 1},
                        "note": {"type": "string"},
                        "slots": {
                            "type": "array", "maxItems": 4,
                            "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name", "port"],
                            "items": {
                                "type": "object", "required": ["name"],
                                "properties": {
                                    "name": {"type": "string"},
                                    "port": {"type": "integer", "default": 80},
                                    "on": {"type": "boolean"},
                                },
                            },
                        },
                    },
                },
            },
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "limits": {"type": "object", "maxProperties": 2, "additionalProperties": {"type": "string"}},
            "point": {
                "type": "object", "x-kubernetes-map-type": "atomic",
                "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}},
            },
            "share": {"x-kubernetes-int-or-string": true},
            "when": {"type": "string", "format": "date-time"},
            "maybe": {"type": "string", "nullable": true},
            "deep": {
                "type": "object", "default": {},
                "properties": {"level": {"type": "integer", "default": 3}, "ratio": {"type": "number"}},
            },
        },
        "x-kubernetes-validations": [
            {"rule": "self.size >= oldSelf.size", "message": "a gadget never shrinks"},
            {
                "rule": "!has(self.limits) || self.size < 50", "fieldPath": ".size",
                "messageExpression": "self.size > 60 ? 'far too large' : 'too large'", "reason": "FieldValueForbidden",
            },
        ],
    })
}

fn status() -> Value {
    json!({
        "type": "object",
        "properties": {
            "ready": {"type": "boolean"},
            "level": {"type": "integer", "maximum": 9},
            "conditions": {
                "type": "array",
                "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
                "items": {
                    "type": "object", "required": ["type", "status"],
                    "properties": {"type": {"type": "string"}, "status": {"type": "string"}},
                },
            },
        },
    })
}
