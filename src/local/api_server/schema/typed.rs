//! Built-in types, as Kubernetes' own documents describe them: what was sent becomes what Go would
//! make of it. The description is `types.json`; `make schema` makes it.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

static TYPES: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("types.json")).expect("the generated file is JSON")
});

/// The metadata of every object.
pub(crate) const OBJECT_META: &str = "meta.v1.ObjectMeta";
/// A struct that Go writes as null when it is empty.
const TIME: &str = "meta.v1.Time";

/// The schema of a built-in type. What it refers to is found by [`resolved`].
pub(crate) fn named(name: &str) -> &'static Value {
    TYPES.get(name).unwrap_or(&Value::Null)
}

/// The schema itself, or the one that it refers to. Schemas of definitions never refer.
pub(crate) fn resolved(schema: &Value) -> &Value {
    match schema.get("$ref").and_then(Value::as_str) {
        Some(name) => named(name),
        None => schema,
    }
}

/// The name of the type of a built-in kind.
pub(crate) fn type_name(group: &str, version: &str, kind: &str) -> String {
    let group = group.split('.').next().filter(|it| !it.is_empty());
    format!("{}.{version}.{kind}", group.unwrap_or("core"))
}

/// Brings an object into the form of its type. Unknown fields go into `unknown`; the error is a value of a
/// wrong type.
pub(crate) fn typed(
    object: Value,
    name: &str,
    at: &str,
    unknown: &mut Vec<String>,
) -> Result<Value, String> {
    let mut reader = Reader {
        unknown,
        path: at.to_owned(),
        owner: name.rsplit('.').next().unwrap_or_default().to_owned(),
    };
    let typed = reader.value(object, named(name))?;
    Ok(typed.unwrap_or_else(|| json!({})))
}

/// What a type has when nothing is said.
pub(crate) fn blank(name: &str) -> Value {
    typed(json!({}), name, "", &mut Vec::new()).unwrap_or_default()
}

struct Reader<'a> {
    unknown: &'a mut Vec<String>,
    path: String,
    /// The struct that holds the field.
    owner: String,
}

impl Reader<'_> {
    /// None: the value is as good as absent.
    fn value(&mut self, value: Value, schema: &Value) -> Result<Option<Value>, String> {
        if value.is_null() {
            return Ok(None);
        }
        let of = resolved(schema);
        let fits = match of["type"].as_str() {
            Some("string") => value.is_string(),
            Some("boolean") => value.is_boolean(),
            Some("integer") => value.is_i64() || value.is_u64(),
            Some("number") => value.is_number(),
            Some("array") => value.is_array(),
            Some("object") => value.is_object(),
            _ => {
                of["x-kubernetes-int-or-string"] != true || !value.is_object() && !value.is_array()
            }
        };
        if !fits {
            return Err(self.wrong(&value, schema));
        }
        if of["format"] == "byte" {
            return bytes(value).map(Some);
        }
        match value {
            Value::Array(items) => self.array(items, of).map(Some),
            Value::Object(fields) if of.get("properties").is_some() => {
                let owner = schema["$ref"].as_str().and_then(|it| it.rsplit('.').next());
                let owner = owner.map_or_else(|| self.owner.clone(), str::to_owned);
                let outer = std::mem::replace(&mut self.owner, owner);
                let made = self.fields(fields, of).map(Some);
                self.owner = outer;
                made
            }
            Value::Object(fields) => self.map(fields, of).map(Some),
            other => Ok(Some(other)),
        }
    }

    fn array(&mut self, items: Vec<Value>, of: &Value) -> Result<Value, String> {
        let mut made = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let length = self.path.len();
            self.path = format!("{}[{index}]", self.path);
            let item = self.value(item, &of["items"])?;
            self.path.truncate(length);
            made.push(item.unwrap_or_else(|| zero(&of["items"])));
        }
        Ok(made.into())
    }

    fn map(&mut self, fields: Map<String, Value>, of: &Value) -> Result<Value, String> {
        let Some(inner) = of.get("additionalProperties") else {
            // A type of its own form, such as the fields that somebody owns.
            return Ok(Value::Object(fields));
        };
        let mut made = Map::new();
        for (name, value) in fields {
            let value = self.value(value, inner)?;
            made.insert(name, value.unwrap_or_else(|| zero(inner)));
        }
        Ok(Value::Object(made))
    }

    /// What is unknown or wrong is told in the order in which it was sent.
    fn fields(&mut self, fields: Map<String, Value>, of: &Value) -> Result<Value, String> {
        let properties = &of["properties"];
        let mut made = Map::new();
        let length = self.path.len();
        for (name, value) in fields {
            let dot = if length == 0 { "" } else { "." };
            self.path = format!("{}{dot}{name}", self.path);
            match properties.get(&name) {
                None => self.unknown.push(self.path.clone()),
                Some(schema) => {
                    let value = self.value(value, schema)?;
                    if let Some(value) = value.filter(|value| !is_omitted(value, schema)) {
                        made.insert(name, value);
                    }
                }
            }
            self.path.truncate(length);
        }
        for (name, schema) in properties.as_object().into_iter().flatten() {
            if !made.contains_key(name)
                && let Some(value) = absent(schema, of, name)
            {
                made.insert(name.clone(), value);
            }
        }
        Ok(Value::Object(made))
    }

    fn wrong(&self, value: &Value, schema: &Value) -> String {
        let found = match value {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let path: Vec<_> = self
            .path
            .split('.')
            .map(|it| it.split('[').next().unwrap_or(it))
            .collect();
        format!(
            "json: cannot unmarshal {found} into Go struct field {}.{} of type {}",
            self.owner,
            path.join("."),
            go_type(schema)
        )
    }
}

/// What Go writes for a field that nobody has set.
fn absent(schema: &Value, of: &Value, name: &str) -> Option<Value> {
    let omits = schema["x-omitempty"] == true;
    if let Some(default) = schema.get("default") {
        let mut none = Vec::new();
        let mut inner = Reader {
            unknown: &mut none,
            path: String::new(),
            owner: String::new(),
        };
        return inner.value(default.clone(), schema).ok().flatten();
    }
    let required = || {
        let mut names = of["required"].as_array().into_iter().flatten();
        names.any(|it| it == name)
    };
    let is_null = match schema["$ref"].as_str() {
        Some(TIME) => omits || required(),
        Some(_) => false,
        None => {
            let is_list = schema["type"] == "array" || schema["type"] == "object";
            is_list && !omits && required()
        }
    };
    is_null.then_some(Value::Null)
}

/// Whether Go leaves the value out.
fn is_omitted(value: &Value, schema: &Value) -> bool {
    schema["x-omitempty"] == true
        && schema.get("$ref").is_none()
        && match value {
            Value::Null => true,
            Value::Bool(value) => !value,
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
        }
}

/// What stands for null where there has to be a value.
fn zero(schema: &Value) -> Value {
    match resolved(schema)["type"].as_str() {
        Some("string") => "".into(),
        Some("integer" | "number") => 0.into(),
        Some("boolean") => false.into(),
        // A value of any form may be null.
        None if resolved(schema).get("properties").is_none() => Value::Null,
        _ => schema["$ref"].as_str().map_or(Value::Null, blank),
    }
}

fn go_type(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str() {
        let parts: Vec<_> = name.rsplit('.').take(2).collect();
        return parts.into_iter().rev().collect::<Vec<_>>().join(".");
    }
    match (schema["type"].as_str(), schema["format"].as_str()) {
        (Some("array"), _) => format!("[]{}", go_type(&schema["items"])),
        (Some("object"), _) => format!("map[string]{}", go_type(&schema["additionalProperties"])),
        (Some("integer"), Some(format)) => format.into(),
        (Some("boolean"), _) => "bool".into(),
        (Some("string"), Some("byte")) => "[]uint8".into(),
        (Some(other), _) => other.into(),
        (None, _) => "interface {}".into(),
    }
}

/// Bytes are written in base64.
fn bytes(value: Value) -> Result<Value, String> {
    let text = value.as_str().unwrap_or_default();
    match STANDARD.decode(text) {
        Ok(_) => Ok(value),
        Err(error) => {
            let at = match error {
                base64::DecodeError::InvalidByte(at, _)
                | base64::DecodeError::InvalidLastSymbol { offset: at, .. } => at,
                _ => text.len() / 4 * 4,
            };
            Err(format!("illegal base64 data at input byte {at}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json;

    fn check(name: &str, sent: Value, expected: Result<Value, &str>, unknown: &[&str]) {
        let mut found = Vec::new();
        let made = super::typed(sent, name, "", &mut found);
        assert_eq!(made, expected.map_err(str::to_owned));
        assert_eq!(found, unknown);
    }

    #[test]
    fn objects_get_the_form_that_go_gives_them() {
        check(
            "core.v1.ConfigMap",
            json!({"data": {"a": null}, "binaryData": {}, "immutable": false, "nope": 1, "metadata": {"labels": {}, "nope": 2}}),
            Ok(json!({"data": {"a": ""}, "immutable": false, "metadata": {}})),
            &["metadata.nope", "nope"],
        );
        check(
            "core.v1.ConfigMap",
            json!({"data": {"a": 5}}),
            Err("json: cannot unmarshal number into Go struct field ConfigMap.data of type string"),
            &[],
        );
        check(
            "core.v1.Container",
            json!({"name": "c", "ports": [], "env": [{"name": "A", "value": ""}], "stdin": false}),
            Ok(json!({"name": "c", "env": [{"name": "A"}], "resources": {}})),
            &[],
        );
        check(
            "core.v1.Secret",
            json!({"data": {"a": "!"}}),
            Err("illegal base64 data at input byte 0"),
            &[],
        );
    }

    #[test]
    fn a_blank_object_has_its_structs() {
        let blank = super::blank("core.v1.Pod");
        assert_eq!(
            blank,
            json!({"metadata": {}, "spec": {"containers": null}, "status": {}})
        );
    }
}
