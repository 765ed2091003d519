//! Metadata of an object without its field managers, which are the greater part of a list: they are skipped
//! as they are read.

use std::fmt;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::IgnoredAny;
use serde::de::MapAccess;
use serde::de::Visitor;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::Object;

/// An object of which only the metadata is read.
#[derive(Deserialize)]
pub(super) struct Bare {
    #[serde(deserialize_with = "metadata")]
    metadata: Map<String, Value>,
}

impl From<Bare> for Object {
    fn from(bare: Bare) -> Self {
        Self::new(json!({"metadata": bare.metadata}))
    }
}

fn metadata<'de, D: Deserializer<'de>>(from: D) -> Result<Map<String, Value>, D::Error> {
    from.deserialize_map(Fields)
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Map<String, Value>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the metadata of an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == "managedFields" {
                map.next_value::<IgnoredAny>()?;
            } else {
                fields.insert(name, map.next_value()?);
            }
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_the_field_managers_is_read() {
        let text = r#"{"apiVersion": "v1", "metadata": {"name": "a", "managedFields": [{"manager": "x"}],
            "labels": {"l": "1"}}, "spec": {"s": 2}}"#;
        let object = Object::from(serde_json::from_str::<Bare>(text).unwrap());
        let expected = json!({"metadata": {"name": "a", "labels": {"l": "1"}}});
        assert_eq!(*object.as_value(), expected);
    }
}
