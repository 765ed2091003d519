//! How the parts of an object merge: by field, by key, or only as a whole.

use std::collections::BTreeMap;

use serde_json::Value;

use super::set::Element;

/// The type of one part of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Type<'a> {
    /// A custom resource; its metadata is that of every object.
    Custom(&'a Value),
    /// A part of a custom resource.
    Schema(&'a Value),
    /// A part of a built-in object: the field that holds it, and the one that holds that.
    Builtin { parent: &'a str, field: &'a str },
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

/// Lists of built-in types that merge by key: the field, the field around it if that matters, the
/// keys. All other lists are replaced as a whole.
const KEYED: &[(&str, Option<&str>, &[&str])] = &[
    ("conditions", None, &["type"]),
    ("containers", None, &["name"]),
    ("initContainers", None, &["name"]),
    ("ephemeralContainers", None, &["name"]),
    ("env", None, &["name"]),
    ("volumes", None, &["name"]),
    ("volumeMounts", None, &["mountPath"]),
    ("volumeDevices", None, &["devicePath"]),
    ("imagePullSecrets", Some("spec"), &["name"]),
    ("ports", Some("containers"), &["containerPort", "protocol"]),
    (
        "ports",
        Some("initContainers"),
        &["containerPort", "protocol"],
    ),
    ("ports", Some("spec"), &["port", "protocol"]),
    ("hostAliases", None, &["ip"]),
    (
        "topologySpreadConstraints",
        None,
        &["topologyKey", "whenUnsatisfiable"],
    ),
    ("resourceClaims", None, &["name"]),
    ("podIPs", None, &["ip"]),
    ("secrets", None, &["name"]),
    ("ownerReferences", None, &["uid"]),
];

/// Lists of built-in types that are sets.
const SETS: &[&str] = &["finalizers"];

/// Fields of built-in types whose keys are free.
const MAPS: &[&str] = &[
    "labels",
    "annotations",
    "data",
    "binaryData",
    "stringData",
    "matchLabels",
    "limits",
    "requests",
    "hard",
    "used",
    "capacity",
    "allocatable",
];

/// Objects of built-in types that are replaced as a whole.
const ATOMIC: &[&str] = &[
    "nodeSelector",
    "selector",
    "labelSelector",
    "namespaceSelector",
    "podSelector",
    "secretKeyRef",
    "configMapKeyRef",
    "fieldRef",
    "resourceFieldRef",
    "secretRef",
    "involvedObject",
    "roleRef",
    "claimRef",
    "targetRef",
];

/// Values that stand for keys which an item leaves out.
const KEY_DEFAULTS: &[(&str, &str)] = &[("protocol", "\"TCP\"")];

impl<'a> Type<'a> {
    /// The type of a whole built-in object.
    pub(crate) fn builtin() -> Self {
        Self::Builtin {
            parent: "",
            field: "",
        }
    }

    /// The type of a field, and whether the type names that field. None: there is no such field.
    pub(super) fn field<'b>(self, name: &'b str) -> Option<(Type<'b>, bool)>
    where
        'a: 'b,
    {
        match self {
            Self::Custom(schema) => match name {
                "metadata" => Some((
                    Type::Builtin {
                        parent: "",
                        field: "metadata",
                    },
                    true,
                )),
                "apiVersion" | "kind" => Some((Type::Deduced, true)),
                _ => schema_field(schema, name),
            },
            Self::Schema(schema) => schema_field(schema, name),
            Self::Builtin { field, .. } if MAPS.contains(&field) => Some((Type::Deduced, false)),
            Self::Builtin { field, .. } => Some((
                Type::Builtin {
                    parent: field,
                    field: name,
                },
                true,
            )),
            Self::Deduced => Some((Type::Deduced, false)),
        }
    }

    /// The type of the items of a list.
    pub(super) fn item(self) -> Self {
        match self {
            Self::Custom(schema) | Self::Schema(schema) => match schema.get("items") {
                Some(items) => Self::Schema(items),
                None => Self::Deduced,
            },
            Self::Builtin { .. } | Self::Deduced => self,
        }
    }

    /// Whether an object of this type is replaced as a whole.
    pub(super) fn is_atomic_map(self) -> bool {
        match self {
            Self::Custom(schema) | Self::Schema(schema) => {
                schema["x-kubernetes-map-type"] == "atomic"
            }
            Self::Builtin { parent, field } => {
                ATOMIC.contains(&field) && !(field == "selector" && parent.is_empty())
            }
            Self::Deduced => false,
        }
    }

    pub(super) fn list(self) -> ListType<'a> {
        match self {
            Self::Custom(schema) | Self::Schema(schema) => {
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
            Self::Builtin { field, .. } if SETS.contains(&field) => ListType::Set,
            Self::Builtin { parent, field } => {
                let row = KEYED.iter().find(|(name, around, _)| {
                    *name == field && around.is_none_or(|around| around == parent)
                });
                match row {
                    Some((_, _, keys)) => ListType::Keyed(keys.to_vec()),
                    None => ListType::Atomic,
                }
            }
            Self::Deduced => ListType::Atomic,
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
        match self {
            Self::Custom(schema) | Self::Schema(schema) => schema["items"]["properties"][name]
                .get("default")
                .map(ToString::to_string),
            Self::Builtin { .. } | Self::Deduced => KEY_DEFAULTS
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned()),
        }
    }

    /// The type of what lies under an element.
    pub(super) fn under<'b>(self, element: &'b Element) -> Option<(Type<'b>, bool)>
    where
        'a: 'b,
    {
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
