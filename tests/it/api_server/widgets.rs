//! A kind of a test's own, in a group of its own: two tests on one server do not meet.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::ApiResource;
use kube::api::DynamicObject;
use kube::api::ListParams;
use kube::api::Patch;
use kube::api::PostParams;
use kube::core::GroupVersionKind;
use serde_json::Value;
use serde_json::json;

use super::from;
use crate::server::Context;
use crate::server::eventually;

pub(super) struct Widgets {
    pub(super) api: Api<DynamicObject>,
    pub(super) group: String,
}

impl Widgets {
    /// Defines the kind and awaits that it is served.
    pub(super) async fn serve(it: &Context) -> Self {
        let group = format!("{}.test.io", it.namespace);
        let kind = GroupVersionKind::gvk(&group, "v1", "Widget");
        let resource = ApiResource::from_gvk_with_plural(&kind, "widgets");
        let api = Api::namespaced_with(it.client.clone(), &it.namespace, &resource);
        let widgets = Self { api, group };
        widgets.define(it).await;
        widgets
    }

    pub(super) async fn define(&self, it: &Context) {
        let crds: Api<CustomResourceDefinition> = Api::all(it.client.clone());
        crds.create(&PostParams::default(), &definition(&self.group))
            .await
            .unwrap();
        let served = async || self.api.list(&ListParams::default()).await.ok();
        eventually("widgets to be served", served).await;
    }

    /// The name of the definition.
    pub(super) fn name(&self) -> String {
        format!("widgets.{}", self.group)
    }

    pub(super) fn api_version(&self) -> String {
        format!("{}/v1", self.group)
    }

    pub(super) fn object(&self, name: &str, spec: Value) -> DynamicObject {
        from(json!({
            "apiVersion": self.api_version(), "kind": "Widget", "metadata": {"name": name}, "spec": spec,
        }))
    }

    pub(super) fn applied(&self, name: &str, spec: Value) -> Patch<Value> {
        Patch::Apply(json!({
            "apiVersion": self.api_version(), "kind": "Widget", "metadata": {"name": name}, "spec": spec,
        }))
    }
}

/// A schema that defaults, prunes and refuses.
fn definition(group: &str) -> CustomResourceDefinition {
    from(json!({
        "metadata": {"name": format!("widgets.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wd"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "properties": {
                        "spec": {
                            "type": "object",
                            "required": ["size"],
                            "properties": {
                                "size": {"type": "integer", "minimum": 1, "x-kubernetes-validations": [
                                    {"rule": "self != 13", "message": "no luck"},
                                ]},
                                "color": {"type": "string", "default": "red", "enum": ["red", "blue"]},
                                "name": {"type": "string", "maxLength": 5, "pattern": "^[a-z]+$"},
                                "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
                                "parts": {
                                    "type": "array",
                                    "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"],
                                    "items": {"type": "object", "required": ["id"], "properties": {
                                        "id": {"type": "string"}, "count": {"type": "integer", "default": 1},
                                    }},
                                },
                                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                                "limits": {"type": "object", "additionalProperties": {"type": "string"}},
                            },
                            "x-kubernetes-validations": [
                                {"rule": "!has(self.name) || self.name != 'bad'", "message": "bad is bad"},
                                {"rule": "self.size >= oldSelf.size", "message": "a widget never shrinks"},
                            ],
                        },
                        "status": {"type": "object", "properties": {"ready": {"type": "boolean"}}},
                    },
                }},
            }],
        },
    }))
}
