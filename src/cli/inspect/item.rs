//! An object as it was read, whatever its shape: what is missing or odd is simply not there.

use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::Value;
use serde_json::json;

use super::kind::Kind;
use crate::api::labels;

/// An object of a cluster.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Item {
    pub(in crate::cli) kind: Kind,
    object: DynamicObject,
}

/// A condition of an object's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Condition<'a> {
    pub(in crate::cli) status: &'a str,
    pub(in crate::cli) reason: &'a str,
    pub(in crate::cli) message: &'a str,
}

impl Condition<'_> {
    pub(in crate::cli) fn is_true(self) -> bool {
        self.status == "True"
    }
}

impl Item {
    pub(in crate::cli) fn new(kind: Kind, object: DynamicObject) -> Self {
        Self { kind, object }
    }

    pub(in crate::cli) fn name(&self) -> &str {
        self.object.metadata.name.as_deref().unwrap_or_default()
    }

    pub(in crate::cli) fn namespace(&self) -> &str {
        let namespace = self.object.metadata.namespace.as_deref();
        namespace.unwrap_or_default()
    }

    pub(in crate::cli) fn uid(&self) -> &str {
        self.object.metadata.uid.as_deref().unwrap_or_default()
    }

    pub(in crate::cli) fn resource_version(&self) -> Option<&str> {
        self.object.metadata.resource_version.as_deref()
    }

    /// `Kind/name`.
    pub(in crate::cli) fn key(&self) -> String {
        format!("{}/{}", self.kind, self.name())
    }

    pub(in crate::cli) fn label(&self, key: &str) -> Option<&str> {
        self.object.labels().get(key).map(String::as_str)
    }

    pub(in crate::cli) fn annotation(&self, key: &str) -> Option<&str> {
        self.object.annotations().get(key).map(String::as_str)
    }

    pub(in crate::cli) fn created(&self) -> Option<Timestamp> {
        let time = self.object.metadata.creation_timestamp.as_ref();
        time.map(|it| it.0)
    }

    pub(in crate::cli) fn is_terminating(&self) -> bool {
        self.object.metadata.deletion_timestamp.is_some()
    }

    /// Whether a Task has come to its end.
    pub(in crate::cli) fn is_finished(&self) -> bool {
        matches!(self.text("/status/phase"), Some("Succeeded" | "Failed"))
    }

    /// Whether the status speaks of the spec as it is now.
    pub(in crate::cli) fn is_observed(&self) -> bool {
        let observed = self.value("/status/observedGeneration");
        observed.and_then(Value::as_i64) == self.object.metadata.generation
    }

    /// UIDs of the objects that it goes with.
    pub(in crate::cli) fn owners(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let owners = self.object.metadata.owner_references.iter().flatten();
        owners.map(|it| (it.kind.as_str(), it.name.as_str(), it.uid.as_str()))
    }

    pub(in crate::cli) fn value(&self, pointer: &str) -> Option<&Value> {
        self.object.data.pointer(pointer)
    }

    /// A string at a JSON pointer, empty ones left out.
    pub(in crate::cli) fn text(&self, pointer: &str) -> Option<&str> {
        self.value(pointer)?.as_str().filter(|it| !it.is_empty())
    }

    pub(in crate::cli) fn number(&self, pointer: &str) -> Option<i64> {
        self.value(pointer)?.as_i64()
    }

    pub(in crate::cli) fn time(&self, pointer: &str) -> Option<Timestamp> {
        self.text(pointer)?.parse().ok()
    }

    pub(in crate::cli) fn list(&self, pointer: &str) -> &[Value] {
        let list = self.value(pointer).and_then(Value::as_array);
        list.map_or(&[], Vec::as_slice)
    }

    pub(in crate::cli) fn conditions(&self) -> &[Value] {
        self.list("/status/conditions")
    }

    pub(in crate::cli) fn condition(&self, kind: &str) -> Option<Condition<'_>> {
        let found = self.conditions().iter().find(|it| it["type"] == kind)?;
        Some(condition(found))
    }

    /// The condition that changed last stands last.
    pub(in crate::cli) fn last_condition(&self) -> Option<Condition<'_>> {
        self.conditions().last().map(condition)
    }

    /// The managers of a field of the spec, each with whether it applies its whole intent again and
    /// again (server-side apply).
    pub(in crate::cli) fn managers_of(&self, field: &str) -> Vec<(&str, bool)> {
        let pointer = format!("/f:spec/f:{field}");
        let entries = self.object.metadata.managed_fields.iter().flatten();
        entries
            .filter(|it| {
                let fields = it.fields_v1.as_ref();
                fields.is_some_and(|fields| fields.0.pointer(&pointer).is_some())
            })
            .map(|it| {
                let manager = it.manager.as_deref().unwrap_or_default();
                (manager, it.operation.as_deref() == Some("Apply"))
            })
            .collect()
    }

    /// The id of the sync that it is declared by.
    pub(in crate::cli) fn sync(&self) -> Option<&str> {
        self.label(labels::SYNC)
    }

    /// The spawner that made it.
    pub(in crate::cli) fn spawner(&self) -> Option<&str> {
        self.annotation(labels::TASK_SPAWNER)
            .or_else(|| self.label(labels::TASK_SPAWNER))
    }

    /// The object as JSON, as `kubectl` shows it: without the bookkeeping of field managers.
    pub(in crate::cli) fn json(&self) -> Value {
        let mut value = serde_json::to_value(&self.object).unwrap_or_default();
        let resource = self.kind.api_resource();
        // The items of a list may come without.
        value["apiVersion"] = json!(resource.api_version);
        value["kind"] = json!(resource.kind);
        if let Value::Object(metadata) = &mut value["metadata"] {
            metadata.remove("managedFields");
        }
        value
    }
}

fn condition(value: &Value) -> Condition<'_> {
    let text = |field: &str| value[field].as_str().unwrap_or_default();
    Condition {
        status: text("status"),
        reason: text("reason"),
        message: text("message"),
    }
}
