//! Definitions of custom resources: from a stored `CustomResourceDefinition` to a served resource.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use super::error::FieldError;
use super::error::Problem;
use super::object;
use super::resource::Resource;
use super::resource::Rules;
use super::schema::Schema;
use crate::local::clock;

/// What a definition says about its objects.
#[derive(Debug)]
pub(crate) struct Custom {
    /// The structural schema of the served version.
    pub(crate) schema: Schema,
    /// `additionalPrinterColumns`.
    pub(crate) columns: Vec<Value>,
}

/// The resource that a definition adds. None while it is being deleted, or if it serves nothing.
pub(crate) fn resource(definition: &Value) -> Option<Resource> {
    let spec = &definition["spec"];
    let names = &spec["names"];
    let versions = spec["versions"].as_array()?;
    let version = versions.iter().find(|it| it["served"] == true)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let texts = |value: &Value| value.as_array().into_iter().flatten().map(text).collect();
    let schema = version["schema"]["openAPIV3Schema"].clone();
    let columns = version["additionalPrinterColumns"].as_array();
    let plural = names["plural"].as_str()?;
    let group = spec["group"].as_str()?;
    Some(Resource {
        group: group.into(),
        version: version["name"].as_str()?.into(),
        plural: plural.into(),
        singular: text(&names["singular"]),
        kind: names["kind"].as_str()?.into(),
        list_kind: text(&names["listKind"]),
        short_names: texts(&names["shortNames"]),
        categories: texts(&names["categories"]),
        namespaced: spec["scope"] == "Namespaced",
        status: version["subresources"]["status"].is_object(),
        storage: format!("{plural}.{group}"),
        rules: Rules::Custom(Arc::new(Custom {
            schema: Schema::new(schema),
            columns: columns.cloned().unwrap_or_default(),
        })),
    })
}

/// Writes what Kubernetes' controllers would find out: names accepted, definition established.
pub(crate) fn establish(definition: &mut Value, now: Timestamp) {
    let names = definition["spec"]["names"].clone();
    let versions = definition["spec"]["versions"].as_array();
    let stored = versions
        .into_iter()
        .flatten()
        .find(|it| it["storage"] == true);
    let stored = stored.map_or(Value::Null, |it| it["name"].clone());
    let since = |kind: &str| {
        let conditions = definition["status"]["conditions"].as_array();
        let mut known = conditions.into_iter().flatten();
        known
            .find(|it| it["type"] == kind && it["status"] == "True")
            .map_or_else(
                || clock::text(now).into(),
                |it| it["lastTransitionTime"].clone(),
            )
    };
    let condition = |kind: &str, reason: &str, message: &str| {
        json!({
            "type": kind, "status": "True", "reason": reason, "message": message,
            "lastTransitionTime": since(kind),
        })
    };
    let conditions = json!([
        condition("NamesAccepted", "NoConflicts", "no conflicts found"),
        condition(
            "Established",
            "InitialNamesAccepted",
            "the initial names have been accepted"
        ),
    ]);
    definition["status"] = json!({
        "acceptedNames": names,
        "conditions": conditions,
        "storedVersions": [stored],
    });
}

/// What is wrong with a definition.
pub(crate) fn problems(definition: &Value) -> Vec<FieldError> {
    let spec = &definition["spec"];
    let mut errors = Vec::new();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (plural, group) = (text(&spec["names"]["plural"]), text(&spec["group"]));
    for (path, value) in [
        ("spec.group", &group),
        ("spec.names.plural", &plural),
        ("spec.names.kind", &text(&spec["names"]["kind"])),
    ] {
        if value.is_empty() {
            errors.push(FieldError::new(path, Problem::Required, ""));
        }
    }
    let name = object::name(definition);
    if name != format!("{plural}.{group}") {
        errors.push(FieldError::new(
            "metadata.name",
            Problem::Invalid(json!(name)),
            "must be spec.names.plural+\".\"+spec.group",
        ));
    }
    let scope = &spec["scope"];
    if *scope != "Namespaced" && *scope != "Cluster" {
        errors.push(FieldError::new(
            "spec.scope",
            Problem::Unsupported(scope.clone()),
            "supported values: \"Cluster\", \"Namespaced\"",
        ));
    }
    let versions = spec["versions"].as_array().map(Vec::as_slice);
    match versions.unwrap_or_default() {
        [version] => check_version(version, &mut errors),
        several => errors.push(FieldError::new(
            "spec.versions",
            Problem::Invalid(json!(several.len())),
            "this server serves definitions with exactly one version",
        )),
    }
    errors
}

fn check_version(version: &Value, errors: &mut Vec<FieldError>) {
    if version["storage"] != true {
        errors.push(FieldError::new(
            "spec.versions",
            Problem::Invalid(version["name"].clone()),
            "must have exactly one version marked as storage version",
        ));
    }
    let path = "spec.versions[0].schema.openAPIV3Schema";
    match version.pointer("/schema/openAPIV3Schema") {
        None => errors.push(FieldError::new(
            path,
            Problem::Required,
            "schemas are required",
        )),
        Some(schema) => errors.extend(Schema::problems(schema, path)),
    }
}
