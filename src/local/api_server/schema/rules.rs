//! `x-kubernetes-validations`: CEL rules of a schema.

use kube_cel::CompiledSchema;
use kube_cel::ValidationError;
use kube_cel::Validator;
use serde_json::Value;

use crate::local::api_server::error::FieldError;
use crate::local::api_server::error::Problem;

/// Runs all rules. It takes as long as the rules take: not for the runtime's own threads.
pub(super) fn check(
    rules: &CompiledSchema,
    object: &Value,
    old: Option<&Value>,
) -> Vec<FieldError> {
    let validator = Validator::new();
    let Err(errors) = validator.validate_compiled(rules, object, old) else {
        return Vec::new();
    };
    let errors = errors.into_vec();
    errors
        .iter()
        .map(|error| explained(error, object))
        .collect()
}

fn explained(error: &ValidationError, object: &Value) -> FieldError {
    let found = error.field_path.split('.').try_fold(object, step);
    // Objects and lists are not repeated in what is said of them.
    let scalar = found.filter(|it| !it.is_object() && !it.is_array());
    let problem = match error.reason.as_deref() {
        Some("FieldValueForbidden") => Problem::Forbidden,
        Some("FieldValueRequired") => Problem::Required,
        Some("FieldValueDuplicate") => Problem::Duplicate(found.cloned().unwrap_or_default()),
        _ => scalar.map_or(Problem::InvalidWhole, |it| Problem::Invalid(it.clone())),
    };
    let field = if error.field_path.is_empty() {
        "<nil>"
    } else {
        &error.field_path
    };
    FieldError::new(field, problem, error.message.as_str())
}

/// One step along a path: `parts[0]` is two.
fn step<'a>(value: &'a Value, part: &str) -> Option<&'a Value> {
    let mut pieces = part.split(['[', ']']).filter(|piece| !piece.is_empty());
    let value = value.get(pieces.next()?)?;
    pieces.try_fold(value, |value, piece| match piece.parse::<usize>() {
        Ok(index) => value.get(index),
        Err(_) => value.get(piece),
    })
}

/// Said when rules could not run because the object is not even of the right form.
pub(super) fn unchecked() -> FieldError {
    FieldError::new(
        "<nil>",
        Problem::Invalid(Value::Null),
        "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation",
    )
}

/// What is wrong with the rules themselves: (path in the schema, why).
pub(crate) fn broken(rules: &CompiledSchema, path: &str) -> Vec<(String, String)> {
    let own = rules.compilation_errors().into_iter();
    let mut found: Vec<_> = own
        .map(|error| (path.to_owned(), error.to_string()))
        .collect();
    for (name, inner) in &rules.properties {
        found.extend(broken(inner, &format!("{path}.properties[{name}]")));
    }
    for (inner, name) in [
        (&rules.items, "items"),
        (&rules.additional_properties, "additionalProperties"),
    ] {
        if let Some(inner) = inner {
            found.extend(broken(inner, &format!("{path}.{name}")));
        }
    }
    found.sort();
    found
}
