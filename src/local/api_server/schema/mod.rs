//! Structural schemas of custom resources: pruning, defaulting, validation, rules.
//!
//! The order is Kubernetes': unknown fields go, defaults come, the schema is checked, then the rules.

mod fill;
mod rules;
pub(crate) mod typed;
mod validate;

use std::collections::HashMap;
use std::sync::Arc;

use kube_cel::CompiledSchema;
use regex::Regex;
use regex::RegexBuilder;
use serde_json::Value;

use super::error::FieldError;
use super::error::Problem;

/// How large a compiled pattern may get.
const MAX_PATTERN: usize = 1 << 20;

/// A schema that is ready for use.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) value: Value,
    patterns: HashMap<String, Regex>,
    rules: Option<Arc<CompiledSchema>>,
}

impl Schema {
    pub(crate) fn new(value: Value) -> Self {
        let mut patterns = HashMap::new();
        gather_patterns(&value, &mut patterns);
        let has_rules = value.to_string().contains("x-kubernetes-validations");
        let rules = has_rules.then(|| Arc::new(kube_cel::compile_schema(&value)));
        Self {
            value,
            patterns,
            rules,
        }
    }

    /// What is wrong with a schema itself.
    pub(crate) fn problems(schema: &Value, path: &str) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if schema["type"] != "object" {
            errors.push(FieldError::new(
                format!("{path}.type"),
                Problem::Invalid(schema["type"].clone()),
                "must be object at the root",
            ));
        }
        for (path, why) in rules::broken(&kube_cel::compile_schema(schema), path) {
            errors.push(FieldError::new(
                format!("{path}.x-kubernetes-validations"),
                Problem::Invalid(Value::Null),
                format!("compilation failed: {why}"),
            ));
        }
        errors
    }

    /// Removes fields that the schema does not know. The paths of those removed.
    pub(crate) fn prune(&self, object: &mut Value) -> Vec<String> {
        fill::prune(object, &self.value)
    }

    /// Fills in defaults. `drops_nulls`: whether nulls that a field cannot hold go; those of an apply stay, and
    /// are refused.
    pub(crate) fn default(&self, object: &mut Value, drops_nulls: bool) {
        fill::default(object, &self.value, drops_nulls);
    }

    /// Everything that is wrong with `object`; what was wrong before and did not change is let be.
    /// `status_only`: nothing else can have changed, so nothing else is looked at.
    pub(crate) fn check(
        &self,
        object: &Value,
        old: Option<&Value>,
        status_only: bool,
    ) -> Vec<FieldError> {
        let mut errors = validate::validate(object, old, &self.value, &self.patterns);
        if status_only {
            // Kubernetes' words leave the status out of the path there.
            for error in &mut errors {
                if let Some(rest) = error.detail.strip_prefix("status.") {
                    error.detail = rest.to_owned();
                }
            }
        }
        if let Some(rules) = &self.rules {
            if errors.iter().any(FieldError::blocks_rules) {
                errors.push(rules::unchecked());
            } else {
                errors.extend(rules::check(rules, object, old));
            }
        }
        errors
    }
}

/// Every pattern of a schema, compiled. One that does not compile matches nothing.
fn gather_patterns(schema: &Value, found: &mut HashMap<String, Regex>) {
    match schema {
        Value::Object(fields) => {
            for (name, inner) in fields {
                match inner.as_str() {
                    Some(pattern) if name == "pattern" => {
                        let regex = RegexBuilder::new(pattern).size_limit(MAX_PATTERN).build();
                        if let Ok(regex) = regex {
                            found.insert(pattern.into(), regex);
                        }
                    }
                    _ => gather_patterns(inner, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| gather_patterns(item, found)),
        _ => {}
    }
}
