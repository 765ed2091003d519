//! The published schema of `axon.yaml`, and bounds for borrowed schemas.
//!
//! A CEL rule that compares a value costs as much as the largest value the schema allows, and the
//! API server refuses a definition whose rules may cost too much. Kubernetes' own types have no
//! bounds, so this module adds generous ones.

use k8s_openapi::api::core::v1::Affinity;
use k8s_openapi::api::core::v1::EnvVar;
use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::api::core::v1::Toleration;
use schemars::JsonSchema;
use schemars::Schema;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::transform::Transform;
use schemars::transform::transform_subschemas;
use serde_json::Value;
use serde_json::json;

use super::config::Config;
use super::published;

/// What one process argument or environment value can hold on Linux (`MAX_ARG_STRLEN`).
const MAX_STRING: u64 = 131_072;
/// More entries than any Pod of ours has use for.
const MAX_ENTRIES: u64 = 128;

/// The JSON Schema of a configuration document, for editors and for the loader.
pub fn config_schema() -> Value {
    // Draft 7 is what editors' YAML support knows best.
    let mut settings = SchemaSettings::draft07();
    settings
        .transforms
        .push(Box::new(RecursiveTransform(closed)));
    let mut schema = settings.into_generator().into_root_schema_for::<Config>();
    schema.insert("title".into(), "Configuration of Axon (axon.yaml)".into());
    let mut schema = schema.to_value();
    published::complete(&mut schema);
    schema
}

/// Closes maps with known keys, and drops what only an API server understands.
fn closed(schema: &mut Schema) {
    schema.remove("x-kubernetes-validations");
    schema.remove("x-kubernetes-list-type");
    if schema.get("properties").is_some() && schema.get("additionalProperties").is_none() {
        schema.insert("additionalProperties".into(), false.into());
    }
}

pub(super) fn env(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = bounded::<Vec<EnvVar>>(generator);
    // One manager owns the whole list: the order of variables carries meaning (`$(VAR)`).
    schema.insert("x-kubernetes-list-type".into(), "atomic".into());
    schema
}

pub(super) fn resources(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = bounded::<ResourceRequirements>(generator);
    // Dynamic resource allocation is not offered.
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.remove("claims");
    }
    schema
}

pub(super) fn tolerations(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = bounded::<Vec<Toleration>>(generator);
    schema.insert("x-kubernetes-list-type".into(), "atomic".into());
    // Elsewhere than in the definition of the resource, it is a reference to be completed later.
    if let Some(properties) = schema
        .get_mut("items")
        .and_then(|it| it.get_mut("properties"))
    {
        toleration_words(properties);
    }
    schema
}

/// The words that a toleration can have.
pub(super) fn toleration_words(properties: &mut Value) {
    properties["operator"]["enum"] = json!(["Exists", "Equal"]);
    properties["effect"]["enum"] = json!(["NoSchedule", "PreferNoSchedule", "NoExecute"]);
}

/// Without the descriptions of what is in it: they would be half of the definition, and are those of
/// any Pod.
pub(super) fn affinity(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = bounded::<Affinity>(generator);
    RecursiveTransform(undescribed).transform(&mut schema);
    schema
}

fn undescribed(schema: &mut Schema) {
    // Not a property of that name.
    if schema.get("description").is_some_and(Value::is_string) {
        schema.remove("description");
    }
}

/// The schema of a borrowed type, with bounds.
pub(super) fn bounded<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = T::json_schema(generator);
    Bounds.transform(&mut schema);
    schema
}

struct Bounds;

impl Transform for Bounds {
    fn transform(&mut self, schema: &mut Schema) {
        let kind = schema.get("type").and_then(first_type).map(str::to_owned);
        let is_quantity = schema.get("x-kubernetes-int-or-string").is_some();
        let (key, limit) = match kind.as_deref() {
            Some("string") => ("maxLength", MAX_STRING),
            Some("array") => ("maxItems", MAX_ENTRIES),
            Some("object") if schema.get("additionalProperties").is_some() => {
                ("maxProperties", MAX_ENTRIES)
            }
            _ if is_quantity => ("maxLength", 64),
            _ => return transform_subschemas(self, schema),
        };
        if schema.get(key).is_none() {
            schema.insert(key.into(), limit.into());
        }
        transform_subschemas(self, schema);
    }
}

fn first_type(value: &Value) -> Option<&str> {
    match value {
        Value::String(one) => Some(one),
        Value::Array(several) => several.iter().find_map(Value::as_str),
        _ => None,
    }
}
