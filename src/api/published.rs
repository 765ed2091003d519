//! What the published schema of `axon.yaml` says beyond the types: shapes of names, keys that need
//! each other, and texts of fleets that are expanded before they are read.
//!
//! The loader checks the same: `tests/it/schema_agrees.rs` compares the two.

use std::collections::BTreeSet;

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::pattern;
use super::schema;

/// Prefix of the definitions whose texts may be templates.
const FLEET: &str = "Fleet";
/// The name of an environment variable, among the definitions.
const ENV_NAME: &str = "/io.k8s.api.core.v1.EnvVar/properties/name";
/// What a toleration has, among the definitions.
const TOLERATION: &str = "/io.k8s.api.core.v1.Toleration/properties";
/// Texts of a spawner that are Go templates over work items.
const GO_TEMPLATES: [&str; 2] = ["prompt", "branch"];

/// Completes a generated schema.
pub(super) fn complete(root: &mut Value) {
    for (key, longest) in [
        ("workspaces", 253),
        ("spawners", 63),
        ("tasks", 253),
        ("fleets", 253),
    ] {
        root["properties"][key]["propertyNames"] =
            json!({"pattern": pattern::NAME, "maxLength": longest});
    }
    let definitions = &mut root["definitions"];
    let name = json!({"type": "string", "pattern": pattern::NAME, "maxLength": 253});
    for pointer in [
        "/LocalRef/properties/name",
        "/WorkspaceUse/anyOf/0",
        "/SpawnerEntry/properties/workspace",
        "/Defaults/properties/workspace",
    ] {
        if let Some(schema) = definitions.pointer_mut(pointer) {
            schema["pattern"] = pattern::NAME.into();
            schema["maxLength"] = name["maxLength"].clone();
        }
    }
    metadata(&mut definitions["EntryMetadata"]["properties"]);
    metadata(&mut definitions["PodOverrides"]["properties"]);
    definitions["Credentials"]["anyOf"] = json!([
        {"properties": {"type": {"const": "none"}}},
        {"properties": {"secretRef": {"type": "object"}}, "required": ["secretRef"]},
    ]);
    one_of(&mut definitions["When"], ["githubIssues", "cron"]);
    one_of(&mut definitions["FleetEntry"], ["task", "spawner"]);
    definitions["FleetEntry"]["properties"]["forEach"]["propertyNames"] =
        json!({"pattern": pattern::FLEET_VARIABLE});
    amounts(definitions);
    if let Some(name) = definitions.pointer_mut(ENV_NAME) {
        name["pattern"] = pattern::VARIABLE.into();
    }
    if let Some(properties) = definitions.pointer_mut(TOLERATION) {
        schema::toleration_words(properties);
    }
    fleets(definitions);
}

fn metadata(properties: &mut Value) {
    properties["labels"]["additionalProperties"] =
        json!({"type": "string", "pattern": pattern::LABEL_VALUE, "maxLength": 63});
    for map in ["labels", "annotations"] {
        properties[map]["propertyNames"] = json!({"pattern": pattern::LABEL_KEY});
    }
}

fn one_of(schema: &mut Value, keys: [&str; 2]) {
    let branches =
        keys.map(|key| json!({"properties": {key: {"type": "object"}}, "required": [key]}));
    schema["oneOf"] = branches.to_vec().into();
}

/// Amounts of resources, and the sizes of whole numbers.
fn amounts(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
                fields.insert("type".into(), json!(["string", "integer"]));
                fields.insert("pattern".into(), pattern::QUANTITY.into());
            }
            let bounds = match fields.get("format").and_then(Value::as_str) {
                Some("int32") => Some((i64::from(i32::MIN), i64::from(i32::MAX))),
                Some("uint32") => Some((0, i64::from(u32::MAX))),
                Some("int64") => Some((i64::MIN, i64::MAX)),
                Some(_) | None => None,
            };
            if let Some((least, most)) = bounds {
                fields.entry("minimum").or_insert(least.into());
                fields.entry("maximum").or_insert(most.into());
            }
            fields.values_mut().for_each(amounts);
        }
        Value::Array(items) => items.iter_mut().for_each(amounts),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Gives fleets definitions of their own, in which a text may be a template instead of what it
/// becomes.
fn fleets(definitions: &mut Value) {
    let mut open = vec!["TaskEntry".to_owned(), "SpawnerEntry".to_owned()];
    let mut done = BTreeSet::new();
    while let Some(name) = open.pop() {
        if !done.insert(name.clone()) {
            continue;
        }
        let mut copy = definitions[&name].clone();
        relax(&mut copy, &mut open);
        if name == "SpawnerEntry" {
            for key in GO_TEMPLATES {
                copy["properties"][key] = definitions[&name]["properties"][key].clone();
            }
        }
        definitions[format!("{FLEET}{name}")] = copy;
    }
    for (key, name) in [("task", "TaskEntry"), ("spawner", "SpawnerEntry")] {
        let pointer = format!("/FleetEntry/properties/{key}/anyOf/0/$ref");
        if let Some(reference) = definitions.pointer_mut(&pointer) {
            *reference = format!("#/definitions/{FLEET}{name}").into();
        }
    }
}

/// Lets texts of a schema be templates; collects the definitions that it names.
fn relax(schema: &mut Value, named: &mut Vec<String>) {
    let Some(fields) = schema.as_object_mut() else {
        return;
    };
    if let Some(Value::String(reference)) = fields.get_mut("$ref")
        && let Some(name) = reference.strip_prefix("#/definitions/")
    {
        named.push(name.to_owned());
        *reference = format!("#/definitions/{FLEET}{name}");
    }
    for key in ["properties", "patternProperties"] {
        let inner = fields.get_mut(key).and_then(Value::as_object_mut);
        inner
            .into_iter()
            .flat_map(Map::values_mut)
            .for_each(|inner| relax(inner, named));
    }
    for key in ["additionalProperties", "items"] {
        if let Some(inner) = fields.get_mut(key) {
            relax(inner, named);
        }
    }
    if !fields.contains_key("properties") {
        for key in ["anyOf", "allOf", "oneOf"] {
            let inner = fields.get_mut(key).and_then(Value::as_array_mut);
            inner
                .into_iter()
                .flatten()
                .for_each(|inner| relax(inner, named));
        }
    }
    let is_text = match fields.get("type") {
        Some(Value::String(one)) => one == "string",
        Some(Value::Array(several)) => several.iter().any(|one| one == "string"),
        _ => false,
    };
    let is_bound = ["pattern", "enum", "const", "minLength", "maxLength"]
        .iter()
        .any(|key| fields.contains_key(*key));
    if is_text && is_bound {
        let description = fields.remove("description");
        let plain = Value::Object(std::mem::take(fields));
        if let Some(description) = description {
            fields.insert("description".into(), description);
        }
        let template = json!({"type": "string", "pattern": pattern::TEMPLATE});
        fields.insert("anyOf".into(), json!([plain, template]));
    }
}
