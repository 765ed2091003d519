//! Validation against a structural schema, in Kubernetes' words.

use std::collections::HashMap;

use regex::Regex;
use serde_json::Value;
use serde_json::json;

use crate::local::api_server::error::FieldError;
use crate::local::api_server::error::Problem;

/// Everything that is wrong. What is as it was in `old` is not looked at.
pub(super) fn validate(
    object: &Value,
    old: Option<&Value>,
    schema: &Value,
    patterns: &HashMap<String, Regex>,
) -> Vec<FieldError> {
    let mut checker = Checker {
        patterns,
        errors: Vec::new(),
    };
    checker.value(object, old, schema, "");
    checker.errors
}

struct Checker<'a> {
    patterns: &'a HashMap<String, Regex>,
    errors: Vec<FieldError>,
}

impl Checker<'_> {
    fn error(&mut self, path: &str, problem: Problem, detail: impl Into<String>) {
        self.errors.push(FieldError::new(path, problem, detail));
    }

    fn value(&mut self, value: &Value, old: Option<&Value>, schema: &Value, path: &str) {
        if old == Some(value) {
            return;
        }
        let fits = self.has_type(value, schema, path);
        self.choice(value, schema, path);
        if !fits {
            return;
        }
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::Number(number) => self.number(number, schema, path),
            Value::String(text) => self.text(text, schema, path),
            Value::Array(items) => self.array(items, old, schema, path),
            Value::Object(fields) => self.object(fields, old, schema, path),
        }
        self.combined(value, schema, path);
    }

    /// Without the right type nothing else is worth saying.
    fn has_type(&mut self, value: &Value, schema: &Value, path: &str) -> bool {
        let is_quantity = schema["x-kubernetes-int-or-string"] == true;
        let (wanted, fits) = match schema["type"].as_str() {
            _ if is_quantity => ("integer,string", is_integer(value) || value.is_string()),
            None => return true,
            Some(wanted) => (wanted, is_a(value, wanted)),
        };
        if fits || value.is_null() && schema["nullable"] == true {
            return true;
        }
        let found = type_of(value);
        let detail = format!("{path} in body must be of type {wanted}: \"{found}\"");
        self.error(path, Problem::TypeInvalid(json!(found)), detail);
        if wanted == "integer" && value.is_number() {
            let detail =
                format!("Checked value must be of type integer (default format) in {path}");
            self.error("<nil>", Problem::Invalid(json!("")), detail);
        }
        false
    }

    fn choice(&mut self, value: &Value, schema: &Value, path: &str) {
        let Some(allowed) = schema["enum"].as_array() else {
            return;
        };
        if !allowed.contains(value) {
            let texts: Vec<_> = allowed
                .iter()
                .map(|it| match it {
                    Value::String(text) => json!(text).to_string(),
                    other => format!("\"{other}\""),
                })
                .collect();
            let detail = format!("supported values: {}", texts.join(", "));
            self.error(path, Problem::Unsupported(value.clone()), detail);
        }
    }

    fn number(&mut self, number: &serde_json::Number, schema: &Value, path: &str) {
        let value = number.as_f64().unwrap_or_default();
        let mut wrong = |text: String| {
            let detail = format!("{path} in body should be {text}");
            self.error(path, Problem::Invalid(json!(number)), detail);
        };
        if let Some(limit) = schema["minimum"].as_f64() {
            let is_open = schema["exclusiveMinimum"] == true;
            if value < limit || is_open && value <= limit {
                let or = if is_open { "" } else { " or equal to" };
                wrong(format!("greater than{or} {limit}"));
            }
        }
        if let Some(limit) = schema["maximum"].as_f64() {
            let is_open = schema["exclusiveMaximum"] == true;
            if value > limit || is_open && value >= limit {
                let or = if is_open { "" } else { " or equal to" };
                wrong(format!("less than{or} {limit}"));
            }
        }
        if let Some(factor) = schema["multipleOf"].as_f64()
            && (value / factor).fract() != 0.0
        {
            wrong(format!("a multiple of {factor}"));
        }
    }

    fn text(&mut self, text: &str, schema: &Value, path: &str) {
        let length = text.chars().count() as u64;
        if let Some(limit) = schema["maxLength"].as_u64()
            && length > limit
        {
            let unit = if limit == 1 { "byte" } else { "bytes" };
            self.error(
                path,
                Problem::TooLong,
                format!("may not be more than {limit} {unit}"),
            );
        }
        if let Some(limit) = schema["minLength"].as_u64()
            && length < limit
        {
            let detail = format!("{path} in body should be at least {limit} chars long");
            self.error(path, Problem::Invalid(json!(text)), detail);
        }
        if let Some(pattern) = schema["pattern"].as_str() {
            let regex = self.patterns.get(pattern);
            if !regex.is_some_and(|regex| regex.is_match(text)) {
                let detail = format!("{path} in body should match '{pattern}'");
                self.error(path, Problem::Invalid(json!(text)), detail);
            }
        }
        if schema["format"] == "date-time" && text.parse::<jiff::Timestamp>().is_err() {
            let detail = format!("{path} in body must be of type date-time: \"{text}\"");
            self.error(path, Problem::TypeInvalid(json!(text)), detail);
        }
    }

    fn array(&mut self, items: &[Value], old: Option<&Value>, schema: &Value, path: &str) {
        self.count(items.len(), schema, path, "Items", "items", &json!(items));
        let keys: Vec<&str> = schema["x-kubernetes-list-map-keys"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let old_items = old.and_then(Value::as_array);
        if let Some(inner) = schema.get("items") {
            for (index, item) in items.iter().enumerate() {
                let before = old_items.filter(|_| !keys.is_empty()).and_then(|old| {
                    old.iter()
                        .find(|it| keys.iter().all(|key| it[*key] == item[*key]))
                });
                self.value(item, before, inner, &format!("{path}[{index}]"));
            }
        }
        match schema["x-kubernetes-list-type"].as_str() {
            Some("set") => self.distinct(items.iter().cloned(), path),
            Some("map") => {
                let identities = items.iter().map(|item| {
                    let pairs = keys.iter().filter_map(|key| {
                        let value = item.get(*key)?;
                        Some(((*key).to_owned(), value.clone()))
                    });
                    Value::Object(pairs.collect())
                });
                self.distinct(identities, path);
            }
            _ => {}
        }
    }

    /// The first repetition of each item is told.
    fn distinct(&mut self, items: impl Iterator<Item = Value>, path: &str) {
        let mut seen: Vec<(Value, u32)> = Vec::new();
        for (index, item) in items.enumerate() {
            match seen.iter_mut().find(|(it, _)| *it == item) {
                None => seen.push((item, 1)),
                Some((_, times)) => {
                    *times += 1;
                    if *times == 2 {
                        self.error(&format!("{path}[{index}]"), Problem::Duplicate(item), "");
                    }
                }
            }
        }
    }

    fn object(
        &mut self,
        fields: &serde_json::Map<String, Value>,
        old: Option<&Value>,
        schema: &Value,
        path: &str,
    ) {
        let whole = json!(fields);
        self.count(
            fields.len(),
            schema,
            path,
            "Properties",
            "properties",
            &whole,
        );
        let join = |name: &str| {
            if path.is_empty() {
                name.to_owned()
            } else {
                format!("{path}.{name}")
            }
        };
        for name in schema["required"].as_array().into_iter().flatten() {
            let name = name.as_str().unwrap_or_default();
            if !fields.contains_key(name) {
                self.error(&join(name), Problem::Required, "");
            }
        }
        for (name, value) in fields {
            let additional = schema.get("additionalProperties");
            let additional = additional.filter(|it| it.is_object());
            let inner = schema["properties"].get(name).or(additional);
            if let Some(inner) = inner {
                let before = old.and_then(|old| old.get(name));
                self.value(value, before, inner, &join(name));
            }
        }
    }

    fn count(
        &mut self,
        count: usize,
        schema: &Value,
        path: &str,
        keyword: &str,
        noun: &str,
        whole: &Value,
    ) {
        let count = count as u64;
        if let Some(limit) = schema[format!("max{keyword}")].as_u64()
            && count > limit
        {
            let unit = if limit == 1 { "item" } else { "items" };
            let detail = format!("must have at most {limit} {unit}");
            self.error(path, Problem::TooMany(count), detail);
        }
        if let Some(limit) = schema[format!("min{keyword}")].as_u64()
            && count < limit
        {
            let detail = format!("{path} in body should have at least {limit} {noun}");
            self.error(path, Problem::Invalid(whole.clone()), detail);
        }
    }

    fn combined(&mut self, value: &Value, schema: &Value, path: &str) {
        let branches = |keyword: &str| schema[keyword].as_array().map(Vec::as_slice);
        for inner in branches("allOf").into_iter().flatten() {
            self.value(value, None, inner, path);
        }
        let fits = |inner: &Value| {
            let mut checker = Checker {
                patterns: self.patterns,
                errors: Vec::new(),
            };
            checker.value(value, None, inner, path);
            checker.errors.is_empty()
        };
        let is_quantity = schema["x-kubernetes-int-or-string"] == true;
        let mut complaints = Vec::new();
        if let Some(any) = branches("anyOf").filter(|_| !is_quantity)
            && !any.iter().any(fits)
        {
            complaints.push(format!(
                "\"{path}\" must validate at least one schema (anyOf)"
            ));
        }
        if let Some(one) = branches("oneOf") {
            let count = one.iter().filter(|inner| fits(inner)).count();
            if count != 1 {
                let found = if count == 0 {
                    "Found none valid".to_owned()
                } else {
                    format!("Found {count} valid alternatives")
                };
                complaints.push(format!(
                    "\"{path}\" must validate one and only one schema (oneOf). {found}"
                ));
            }
        }
        if let Some(not) = schema.get("not")
            && fits(not)
        {
            complaints.push(format!("\"{path}\" must not validate the schema (not)"));
        }
        for complaint in complaints {
            self.error("<nil>", Problem::Invalid(json!("")), complaint);
        }
    }
}

fn is_integer(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|it| it.fract() == 0.0)
}

fn is_a(value: &Value, wanted: &str) -> bool {
    match wanted {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => is_integer(value),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json;

    use crate::local::api_server::schema::Schema;

    #[expect(clippy::needless_pass_by_value, reason = "literals read better")]
    fn check(schema: Value, value: Value, expected: &[&str]) {
        let schema = Schema::new(json!({"type": "object", "properties": {"f": schema}}));
        let errors = schema.check(&json!({"f": value}), None, false);
        let texts: Vec<_> = errors.iter().map(super::FieldError::text).collect();
        assert_eq!(texts, expected);
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one table")]
    fn problems_are_told_in_kubernetes_words() {
        let text = |extra: Value| {
            let mut schema = json!({"type": "string"});
            schema
                .as_object_mut()
                .unwrap()
                .extend(extra.as_object().unwrap().clone());
            schema
        };
        check(text(json!({})), json!("x"), &[]);
        check(
            text(json!({})),
            json!(1),
            &["f: Invalid value: \"integer\": f in body must be of type string: \"integer\""],
        );
        check(
            text(json!({"enum": ["a", "b"]})),
            json!("c"),
            &["f: Unsupported value: \"c\": supported values: \"a\", \"b\""],
        );
        check(
            text(json!({"maxLength": 2})),
            json!("äöü"),
            &["f: Too long: may not be more than 2 bytes"],
        );
        check(
            text(json!({"minLength": 1})),
            json!(""),
            &["f: Invalid value: \"\": f in body should be at least 1 chars long"],
        );
        check(
            text(json!({"pattern": "^a$"})),
            json!("b"),
            &["f: Invalid value: \"b\": f in body should match '^a$'"],
        );
        check(
            json!({"type": "integer", "minimum": 1}),
            json!(0),
            &["f: Invalid value: 0: f in body should be greater than or equal to 1"],
        );
        check(
            json!({"type": "integer", "maximum": 3}),
            json!(4),
            &["f: Invalid value: 4: f in body should be less than or equal to 3"],
        );
        check(
            json!({"type": "object", "required": ["g"]}),
            json!({}),
            &["f.g: Required value"],
        );
        check(
            json!({"type": "array", "maxItems": 1}),
            json!([1, 2]),
            &["f: Too many: 2: must have at most 1 item"],
        );
        check(
            json!({"x-kubernetes-int-or-string": true}),
            json!(true),
            &[
                "f: Invalid value: \"boolean\": f in body must be of type integer,string: \"boolean\"",
            ],
        );
        check(
            json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"], "items": {"type": "object"}}),
            json!([{"n": "a"}, {"n": "a"}]),
            &["f[1]: Duplicate value: {\"n\":\"a\"}"],
        );
    }

    #[test]
    fn what_was_wrong_before_may_stay() {
        let schema = Schema::new(
            json!({"type": "object", "properties": {"a": {"type": "string", "maxLength": 1}, "b": {"type": "integer"}}}),
        );
        let old = json!({"a": "long", "b": 1});
        assert_eq!(
            schema.check(&json!({"a": "long", "b": 2}), Some(&old), false),
            []
        );
        assert_eq!(
            schema
                .check(&json!({"a": "other", "b": 2}), Some(&old), false)
                .len(),
            1
        );
    }
}
