//! An object as the API server gave it.

use serde::Deserialize;
use serde_json::Value;

use crate::api::labels;
use crate::model::plan::LiveId;
use crate::model::plan::Marks;

/// An object, as JSON.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Object(Value);

impl Object {
    pub fn new(value: Value) -> Self {
        Self(value)
    }

    pub fn as_value(&self) -> &Value {
        &self.0
    }

    pub fn name(&self) -> &str {
        self.metadata("name")
    }

    pub fn id(&self) -> LiveId {
        LiveId {
            uid: self.metadata("uid").to_owned(),
            generation: self.0["metadata"]["generation"].as_i64().unwrap_or(0),
            resource_version: self.metadata("resourceVersion").to_owned(),
            marks: Marks {
                sync: self.label(labels::SYNC).map(str::to_owned),
                origin: self.annotation(labels::ORIGIN).map(str::to_owned),
                prune: self.annotation(labels::PRUNE).map(str::to_owned),
            },
        }
    }

    pub fn label(&self, name: &str) -> Option<&str> {
        self.0["metadata"]["labels"].get(name)?.as_str()
    }

    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.0["metadata"]["annotations"].get(name)?.as_str()
    }

    /// Whether it is being deleted.
    pub fn is_terminating(&self) -> bool {
        !self.metadata("deletionTimestamp").is_empty()
    }

    /// A string at a JSON pointer.
    pub fn text(&self, pointer: &str) -> Option<&str> {
        self.0.pointer(pointer)?.as_str()
    }

    /// The entries of `metadata.managedFields`.
    pub fn managed_fields(&self) -> &[Value] {
        self.0["metadata"]["managedFields"]
            .as_array()
            .map_or(&[], Vec::as_slice)
    }

    fn metadata(&self, field: &str) -> &str {
        self.0["metadata"][field].as_str().unwrap_or_default()
    }
}

impl std::fmt::Debug for Object {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Values may be sensitive.
        write!(out, "Object({})", self.name())
    }
}
