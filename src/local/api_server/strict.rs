//! JSON as it was sent, with the fields that stand in it twice. The last one counts.

use std::cell::RefCell;
use std::fmt;

use serde::Deserialize as _;
use serde::de::DeserializeSeed;
use serde::de::Deserializer;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;
use serde_json::Map;
use serde_json::Number;
use serde_json::Value;

/// How many repeated fields are told.
const MAX_TOLD: usize = 100;
/// Whole numbers below this one are exact.
const MAX_WHOLE: f64 = 9e15;

/// Reads JSON; the paths of repeated fields.
pub(super) fn read(body: &[u8]) -> Result<(Value, Vec<String>), serde_json::Error> {
    let twice = RefCell::default();
    let mut from = serde_json::Deserializer::from_slice(body);
    let seed = Node {
        path: String::new(),
        twice: &twice,
    };
    let value = seed.deserialize(&mut from)?;
    from.end()?;
    Ok((value, twice.into_inner()))
}

struct Node<'a> {
    path: String,
    twice: &'a RefCell<Vec<String>>,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        // Go writes a whole number as one.
        if value.fract() == 0.0 && value.abs() < MAX_WHOLE {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "it is whole, and not too large"
            )]
            return Ok((value as i64).into());
        }
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        Value::deserialize(from)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let seed = Node {
                path: format!("{}[{}]", self.path, list.len()),
                twice: self.twice,
            };
            match items.next_element_seed(seed)? {
                Some(item) => list.push(item),
                None => return Ok(list.into()),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let dot = if self.path.is_empty() { "" } else { "." };
            let path = format!("{}{dot}{name}", self.path);
            let seed = Node {
                path: path.clone(),
                twice: self.twice,
            };
            let value = entries.next_value_seed(seed)?;
            if fields.insert(name, value).is_some() {
                let mut twice = self.twice.borrow_mut();
                if twice.len() < MAX_TOLD {
                    twice.push(path);
                }
            }
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn the_last_of_two_counts_and_is_told() {
        let (value, twice) = super::read(br#"{"a":1,"b":[{"c":1,"c":null}],"a":2}"#).unwrap();
        assert_eq!(value, json!({"a": 2, "b": [{"c": null}]}));
        assert_eq!(twice, ["b[0].c", "a"]);
        assert!(super::read(b"{} x").is_err());
    }
}
