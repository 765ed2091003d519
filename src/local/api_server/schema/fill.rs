//! Pruning and defaulting: what a schema takes away and what it adds.

use serde_json::Value;

/// Fields that every object has, whatever its schema says.
const META: &[&str] = &["apiVersion", "kind", "metadata"];

/// Removes unknown fields; their paths, sorted.
pub(super) fn prune(object: &mut Value, schema: &Value) -> Vec<String> {
    let mut unknown = Vec::new();
    walk(object, Some(schema), true, "", &mut unknown);
    unknown.sort();
    unknown
}

fn walk(
    value: &mut Value,
    schema: Option<&Value>,
    is_resource: bool,
    path: &str,
    unknown: &mut Vec<String>,
) {
    let keeps = schema.is_some_and(|it| it["x-kubernetes-preserve-unknown-fields"] == true);
    match value {
        Value::Object(fields) => {
            let names: Vec<String> = fields.keys().cloned().collect();
            for name in names {
                if is_resource && META.contains(&name.as_str()) {
                    continue;
                }
                let below = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                let inner = schema.and_then(|schema| {
                    let additional = schema.get("additionalProperties");
                    schema["properties"].get(&name).or(additional)
                });
                match (inner, fields.get_mut(&name)) {
                    (Some(Value::Bool(true)), _) | (_, None) => {}
                    (Some(inner), Some(value)) => {
                        let embedded = inner["x-kubernetes-embedded-resource"] == true;
                        walk(value, Some(inner), embedded, &below, unknown);
                    }
                    (None, Some(_)) if keeps => {}
                    (None, Some(_)) => {
                        fields.remove(&name);
                        unknown.push(below);
                    }
                }
            }
        }
        Value::Array(items) => {
            let inner = schema.and_then(|schema| schema.get("items"));
            if inner.is_none() && keeps {
                return;
            }
            for (index, item) in items.iter_mut().enumerate() {
                walk(item, inner, false, &format!("{path}[{index}]"), unknown);
            }
        }
        _ => {}
    }
}

/// Fills in defaults. `drops`: whether nulls that a field cannot hold go.
pub(super) fn default(value: &mut Value, schema: &Value, drops: bool) {
    match value {
        Value::Object(fields) => {
            if let Some(properties) = schema["properties"].as_object() {
                for (name, inner) in properties {
                    let is_null = fields.get(name).is_some_and(Value::is_null);
                    let is_wrong_null = is_null && inner["nullable"] != true;
                    if let Some(default) = inner.get("default") {
                        if is_wrong_null || !fields.contains_key(name) {
                            fields.insert(name.clone(), default.clone());
                        }
                    } else if is_wrong_null && drops {
                        fields.remove(name);
                    }
                }
            }
            for (name, value) in fields {
                if let Some(inner) = schema["properties"].get(name) {
                    default(value, inner, drops);
                } else if let Some(inner @ Value::Object(_)) = schema.get("additionalProperties") {
                    default(value, inner, drops);
                }
            }
        }
        Value::Array(items) => {
            if let Some(inner) = schema.get("items") {
                for item in items {
                    default(item, inner, drops);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json;

    fn check(schema: &Value, mut object: Value, expected: &Value, pruned: &[&str]) {
        let unknown = super::prune(&mut object, schema);
        super::default(&mut object, schema, true);
        assert_eq!(&object, expected);
        assert_eq!(unknown, pruned);
    }

    #[test]
    fn unknown_fields_go_and_defaults_come() {
        let schema = json!({"properties": {
            "spec": {"properties": {
                "a": {"default": 1},
                "inner": {"default": {}, "properties": {"b": {"default": "x"}}},
                "free": {"x-kubernetes-preserve-unknown-fields": true, "properties": {"k": {"properties": {}}}},
                "map": {"additionalProperties": {"properties": {"c": {}}}},
                "list": {"items": {"properties": {"d": {"default": 2}}}},
                "gone": {"type": "string"},
            }},
        }});
        let object = json!({
            "metadata": {"name": "n"}, "other": 1,
            "spec": {
                "unknown": 1, "free": {"any": {"x": 1}, "k": {"y": 1}},
                "map": {"one": {"c": 1, "z": 1}}, "list": [{}, {"d": 3, "e": 1}], "gone": null,
            },
        });
        let expected = json!({
            "metadata": {"name": "n"},
            "spec": {
                "a": 1, "inner": {"b": "x"}, "free": {"any": {"x": 1}, "k": {}},
                "map": {"one": {"c": 1}}, "list": [{"d": 2}, {"d": 3}],
            },
        });
        let pruned = [
            "other",
            "spec.free.k.y",
            "spec.list[1].e",
            "spec.map.one.z",
            "spec.unknown",
        ];
        check(&schema, object, &expected, &pruned);
    }
}
