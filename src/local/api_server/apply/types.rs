//! How the parts of an object merge: by field, by key, or only as a whole.

use std::collections::BTreeMap;

use serde_json::Value;

use super::set::Element;
use crate::local::api_server::schema::typed;

/// The type of one part of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Type<'a> {
    /// A custom resource; its metadata is that of every object.
    Custom(&'a Value),
    /// A part of an object, or a whole built-in one.
    Schema(&'a Value),
    /// Nothing is known: objects merge by field, lists are replaced.
    Deduced,
}

/// How a list merges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ListType<'a> {
    Atomic,
    Set,
    Keyed(Vec<&'a str>),
}

impl<'a> Type<'a> {
    /// The type of a built-in kind.
    pub(crate) fn builtin(name: &str) -> Self {
        Self::Schema(typed::named(name))
    }

    /// The type of a field, and whether the type names that field. None: there is no such field.
    pub(super) fn field(self, name: &str) -> Option<(Self, bool)> {
        match self {
            Self::Custom(schema) => match name {
                "metadata" => Some((Self::builtin(typed::OBJECT_META), true)),
                "apiVersion" | "kind" => Some((Type::Deduced, true)),
                _ => schema_field(schema, name),
            },
            Self::Schema(schema) => schema_field(typed::resolved(schema), name),
            Self::Deduced => Some((Type::Deduced, false)),
        }
    }

    fn schema(self) -> &'a Value {
        match self {
            Self::Custom(schema) => schema,
            Self::Schema(schema) => typed::resolved(schema),
            Self::Deduced => &Value::Null,
        }
    }

    /// What a value should be, if it is something else. Null is anything.
    pub(super) fn misfit(self, value: &Value) -> Option<&'static str> {
        let schema = self.schema();
        let fits = |wanted, fits: bool| (!fits && !value.is_null()).then_some(wanted);
        match schema["type"].as_str() {
            Some("string") => fits("string", value.is_string()),
            Some("boolean") => fits("boolean", value.is_boolean()),
            Some("integer" | "number") => fits("numeric (int or float)", value.is_number()),
            Some("array") => fits("list", value.is_array()),
            Some("object") => fits("map", value.is_object()),
            _ if schema["x-kubernetes-int-or-string"] == true => {
                fits("scalar", !value.is_object() && !value.is_array())
            }
            _ => None,
        }
    }

    /// The type of the items of a list.
    pub(super) fn item(self) -> Self {
        match self.schema().get("items") {
            Some(items) => Self::Schema(items),
            None => Self::Deduced,
        }
    }

    /// Whether an object of this type is replaced as a whole.
    pub(super) fn is_atomic_map(self) -> bool {
        self.schema()["x-kubernetes-map-type"] == "atomic"
    }

    pub(super) fn list(self) -> ListType<'a> {
        let schema = self.schema();
        match schema["x-kubernetes-list-type"].as_str() {
            Some("set") => ListType::Set,
            Some("map") => {
                let keys = schema["x-kubernetes-list-map-keys"].as_array();
                let keys = keys.into_iter().flatten().filter_map(Value::as_str);
                ListType::Keyed(keys.collect())
            }
            _ => ListType::Atomic,
        }
    }

    /// What tells an item from the others of its list. None: it cannot be told.
    pub(super) fn element(self, list: &ListType<'_>, item: &Value) -> Option<Element> {
        match list {
            ListType::Atomic => None,
            ListType::Set if item.is_object() || item.is_array() || item.is_null() => None,
            ListType::Set => Some(Element::Item(item.to_string())),
            ListType::Keyed(names) => {
                let object = item.as_object()?;
                let mut keys = BTreeMap::new();
                for name in names {
                    let value = object.get(*name).map(ToString::to_string);
                    if let Some(value) = value.or_else(|| self.key_default(name)) {
                        keys.insert((*name).to_owned(), value);
                    }
                }
                (!keys.is_empty()).then_some(Element::Key(keys))
            }
        }
    }

    fn key_default(self, name: &str) -> Option<String> {
        let items = typed::resolved(&self.schema()["items"]);
        let default = items["properties"][name].get("default");
        default.map(ToString::to_string)
    }

    /// The type of what lies under an element.
    pub(super) fn under(self, element: &Element) -> Option<(Self, bool)> {
        match element {
            Element::Field(name) => self.field(name),
            Element::Key(_) | Element::Item(_) | Element::Index(_) => Some((self.item(), false)),
        }
    }
}

fn schema_field<'b>(schema: &'b Value, name: &str) -> Option<(Type<'b>, bool)> {
    if let Some(found) = schema["properties"].get(name) {
        return Some((Type::Schema(found), true));
    }
    match schema.get("additionalProperties") {
        Some(element @ Value::Object(_)) => return Some((Type::Schema(element), false)),
        Some(Value::Bool(true)) => return Some((Type::Deduced, false)),
        _ => {}
    }
    let is_free = schema["x-kubernetes-preserve-unknown-fields"] == true
        || schema["x-kubernetes-embedded-resource"] == true
        || schema.get("properties").is_none();
    is_free.then_some((Type::Deduced, false))
}
