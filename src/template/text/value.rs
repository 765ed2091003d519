//! Values: what data is to a template.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::Fault;
use super::limits::Limit;
use super::limits::MAX_DATA_DEPTH;

/// A value. Cheap to clone; has no cycles.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Nil,
    Bool(bool),
    /// Holds every whole number that JSON data has, exactly.
    Int(i128),
    Float(f64),
    Str(Arc<str>),
    List(Arc<[Value]>),
    Map(Arc<BTreeMap<String, Value>>),
}

impl Value {
    /// Data of any shape.
    pub(crate) fn from_json(json: &serde_json::Value) -> Result<Self, Fault> {
        Self::nested(json, 0)
    }

    fn nested(json: &serde_json::Value, depth: usize) -> Result<Self, Fault> {
        use serde_json::Value as Json;
        if depth > MAX_DATA_DEPTH {
            return Err(Fault::Limit(Limit::Data));
        }
        Ok(match json {
            Json::Null => Self::Nil,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(value) => value.as_i128().map_or_else(
                || Self::Float(value.as_f64().unwrap_or(f64::NAN)),
                Self::Int,
            ),
            Json::String(value) => Self::Str(value.as_str().into()),
            Json::Array(values) => Self::List(
                values
                    .iter()
                    .map(|value| Self::nested(value, depth + 1))
                    .collect::<Result<_, _>>()?,
            ),
            Json::Object(values) => {
                let pairs = values
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), Self::nested(value, depth + 1)?)));
                Self::Map(Arc::new(pairs.collect::<Result<_, Fault>>()?))
            }
        })
    }

    /// Whether `if` takes it: not empty and not zero.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Str(value) => !value.is_empty(),
            Self::List(values) => !values.is_empty(),
            Self::Map(values) => !values.is_empty(),
        }
    }

    /// What Go calls its type; `printf` shows it.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::Str(_) => "string",
            Self::List(_) => "[]interface {}",
            Self::Map(_) => "map[string]interface {}",
        }
    }

    /// What a person calls its type.
    pub(super) fn noun(&self) -> &'static str {
        match self {
            Self::Nil => "no value",
            Self::Bool(_) => "a truth value",
            Self::Int(_) => "a number",
            Self::Float(_) => "a decimal number",
            Self::Str(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }

    /// The field `name`.
    pub(super) fn field(&self, name: &str) -> Result<Self, Fault> {
        match self {
            Self::Map(values) => values
                .get(name)
                .cloned()
                .ok_or_else(|| Fault::unknown_field(name, values.keys().map(String::as_str))),
            Self::Nil
            | Self::Bool(_)
            | Self::Int(_)
            | Self::Float(_)
            | Self::Str(_)
            | Self::List(_) => Err(Fault::NoFields {
                name: super::error::shown(name),
                of: self.noun(),
            }),
        }
    }
}
