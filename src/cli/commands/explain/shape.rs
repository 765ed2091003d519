//! A schema as something with fields: references followed, "or nothing" left out.

use serde_json::Value;

use crate::api::pattern;

/// What a schema says of one value.
#[derive(Clone)]
pub(super) struct Shape<'s> {
    root: &'s Value,
    /// The schemas that hold at once, the outermost first.
    layers: Vec<&'s Value>,
}

impl<'s> Shape<'s> {
    pub(super) fn of(root: &'s Value, schema: &'s Value) -> Self {
        let mut shape = Self {
            root,
            layers: Vec::new(),
        };
        shape.add(schema);
        shape
    }

    fn add(&mut self, schema: &'s Value) {
        self.layers.push(schema);
        let reference = schema["$ref"].as_str().and_then(|it| it.strip_prefix('#'));
        if let Some(target) = reference.and_then(|pointer| self.root.pointer(pointer)) {
            self.add(target);
        }
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.add(part);
        }
        if !schema["properties"].is_object() {
            let branches = schema["anyOf"].as_array().into_iter().flatten();
            let says_more = |branch: &&Value| {
                branch["type"] != "null" && branch["pattern"] != pattern::TEMPLATE
            };
            for branch in branches.filter(says_more) {
                self.add(branch);
            }
        }
    }

    /// The first that any layer says under `key`.
    pub(super) fn get(&self, key: &str) -> Option<&'s Value> {
        self.layers.iter().find_map(|layer| layer.get(key))
    }

    pub(super) fn description(&self) -> &'s str {
        self.get("description")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// The fields: name, shape, whether it is required.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&'s str, Shape<'s>, bool)> {
        let required = self.get("required").and_then(Value::as_array);
        let properties = self.get("properties").and_then(Value::as_object);
        let root = self.root;
        properties.into_iter().flatten().map(move |(name, schema)| {
            let is_required = required.is_some_and(|all| all.iter().any(|it| it == name));
            (name.as_str(), Shape::of(root, schema), is_required)
        })
    }

    pub(super) fn field(&self, name: &str) -> Option<Shape<'s>> {
        let mut fields = self.fields();
        fields
            .find(|(other, ..)| *other == name)
            .map(|(_, shape, _)| shape)
    }

    /// What the entries of a map, or the items of a list, look like.
    pub(super) fn inner(&self) -> Option<(&'static str, Shape<'s>)> {
        if self.get("properties").is_some() {
            return None;
        }
        if let Some(entry) = self.get("additionalProperties").filter(|it| it.is_object()) {
            return Some(("<name>", Shape::of(self.root, entry)));
        }
        let item = self.get("items")?;
        Some(("[]", Shape::of(self.root, item)))
    }

    /// What is reached through maps and lists, which have no fields of their own.
    pub(super) fn through_names(mut self, passed: &mut dyn FnMut(&str)) -> Self {
        while let Some((sign, inner)) = self.inner() {
            passed(sign);
            self = inner;
        }
        self
    }

    /// The type in plain words.
    pub(super) fn kind(&self) -> String {
        if self.get("properties").is_some() && self.names_text() {
            return "text or a map".to_owned();
        }
        if self.get("properties").is_some() {
            return "a map".to_owned();
        }
        match self.inner() {
            Some(("[]", inner)) => return format!("a list of {}", inner.plural()),
            Some((_, inner)) => return format!("a map of {}", inner.plural()),
            None => {}
        }
        if self.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
            return "text or a whole number".to_owned();
        }
        let words = self.types().into_iter().map(|kind| match kind {
            "string" => "text",
            "integer" => "a whole number",
            "number" => "a number",
            "boolean" => "true or false",
            "array" => "a list",
            _ => "a map",
        });
        let words: Vec<_> = words.collect();
        match words.as_slice() {
            [] => "any value".to_owned(),
            words => words.join(" or "),
        }
    }

    fn plural(&self) -> &'static str {
        match self.kind().as_str() {
            "text" => "texts",
            "a whole number" => "whole numbers",
            kind if kind.starts_with("a map") => "maps",
            kind if kind.starts_with("a list") => "lists",
            kind if kind.starts_with("text or a map") => "texts or maps",
            _ => "values",
        }
    }

    fn names_text(&self) -> bool {
        self.layers.iter().any(|layer| layer["type"] == "string")
    }

    fn types(&self) -> Vec<&'s str> {
        let mut types = Vec::new();
        for layer in &self.layers {
            match &layer["type"] {
                Value::String(one) => types.push(one.as_str()),
                Value::Array(several) => types.extend(several.iter().filter_map(Value::as_str)),
                _ => {}
            }
        }
        types.retain(|kind| *kind != "null");
        let mut once: Vec<&str> = Vec::new();
        for kind in types {
            if !once.contains(&kind) {
                once.push(kind);
            }
        }
        once
    }

    /// What it must be, besides its type: one sentence each.
    pub(super) fn constraints(&self) -> Vec<String> {
        let mut all = Vec::new();
        let number = |key: &str| self.get(key).and_then(Value::as_i64);
        if let Some(choices) = self.get("enum").and_then(Value::as_array) {
            let choices: Vec<_> = choices.iter().filter_map(Value::as_str).collect();
            all.push(format!("one of: {}", choices.join(", ")));
        }
        if let Some(only) = self.get("const").and_then(Value::as_str) {
            all.push(format!("always: {only}"));
        }
        let is_whole_range = |bound: i64| {
            [i32::MIN, i32::MAX].map(i64::from).contains(&bound)
                || [i64::MIN, i64::MAX, i64::from(u32::MAX)].contains(&bound)
        };
        let bounds = [
            ("minimum", "at least", ""),
            ("maximum", "at most", ""),
            ("minLength", "at least", " characters"),
            ("maxLength", "at most", " characters"),
            ("minItems", "at least", " items"),
            ("maxItems", "at most", " items"),
            ("minProperties", "at least", " entries"),
            ("maxProperties", "at most", " entries"),
        ];
        for (key, word, of) in bounds {
            if let Some(bound) = number(key).filter(|bound| !is_whole_range(*bound)) {
                let of = match (bound, of) {
                    (1, " entries") => " entry",
                    (1, several) => several.trim_end_matches('s'),
                    (_, several) => several,
                };
                all.push(format!("{word} {bound}{of}"));
            }
        }
        if let Some(pattern) = self.get("pattern").and_then(Value::as_str) {
            all.push(format!("matches {pattern}"));
        }
        let rules = self
            .get("x-kubernetes-validations")
            .and_then(Value::as_array);
        let rules = rules.into_iter().flatten();
        all.extend(
            rules
                .filter_map(|rule| rule["message"].as_str())
                .map(str::to_owned),
        );
        all
    }

    pub(super) fn default(&self) -> Option<String> {
        match self.get("default")? {
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }
}
