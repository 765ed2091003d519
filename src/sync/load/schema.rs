//! Checks trees against the schemas that are generated from the wire types, in plain words.
//!
//! The same schemas are published for editors and given to the API server. Only what a schema can
//! say about one value is checked here; what a pattern stands for is told by `shape`.

mod bounds;

use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value as Json;

use crate::api;
use crate::api::pattern;
use crate::model::Code;
use crate::model::Kind;
use crate::template::fleet::is_template;

use super::node::Entry;
use super::node::Mark;
use super::node::Node;
use super::node::Value;
use super::report::Report;
use super::report::quoted;
use super::report::suggest;
use super::shape;
use super::words::NOTHING;
use super::words::brief;
use super::words::got;
use super::words::mismatch;
use super::words::type_hint;

/// The schema of a configuration document.
static CONFIG: LazyLock<Json> = LazyLock::new(api::config_schema);
/// The schemas of the kinds' specs.
static SPECS: LazyLock<[(Kind, Json); 3]> = LazyLock::new(|| {
    // Making them is most of what loading a small configuration takes.
    let crds = api::crds();
    Kind::ALL.map(|kind| (kind, spec_schema(kind, &crds)))
});

/// Checks a configuration document.
pub(super) fn check_config(document: &Node, report: &mut Report<'_>) {
    let walk = Walk {
        root: &CONFIG,
        holder: None,
    };
    walk.check(&CONFIG, document, &Name::root(document.mark), report);
}

/// Checks the spec of an object.
pub(super) fn check_spec(kind: Kind, spec: &Node, holder: &Holder<'_>, report: &mut Report<'_>) {
    let schema = SPECS.iter().find(|(of, _)| *of == kind);
    if let Some((_, schema)) = schema {
        let walk = Walk {
            root: schema,
            holder: Some(holder),
        };
        walk.check(schema, spec, &Name::root(holder.mark), report);
    }
}

/// What a person wrote a spec as.
pub(super) struct Holder<'h> {
    /// The name of the entry; `spec` in a manifest.
    pub(super) name: &'h str,
    /// Where what is missing is told.
    pub(super) mark: Mark,
    /// Whether `defaults` fill it, and the template of a spawner is flat in it.
    pub(super) is_entry: bool,
}

fn spec_schema(kind: Kind, crds: &[CustomResourceDefinition]) -> Json {
    let mut of_kind = crds.iter().filter(|it| it.spec.names.kind == kind.as_str());
    let version = of_kind.next().and_then(|it| it.spec.versions.first());
    let schema = version.and_then(|it| it.schema.as_ref()?.open_api_v3_schema.as_ref());
    let spec = schema.and_then(|it| it.properties.as_ref()?.get("spec"));
    serde_json::to_value(spec).unwrap_or_default()
}

/// Required fields that `defaults` may set.
const DEFAULTABLE: [&str; 2] = ["type", "credentials"];
/// What is told of one.
const OR_DEFAULTS: &str = "set it here, or for all entries under \"defaults\"";

/// What a value is called in messages, and where something missing in it is told.
struct Name<'n> {
    key: &'n str,
    is_item: bool,
    at: Mark,
}

impl Name<'_> {
    fn root(at: Mark) -> Self {
        Self {
            key: "",
            is_item: false,
            at,
        }
    }

    fn subject(&self) -> String {
        match (self.key, self.is_item) {
            ("", _) => "this".to_owned(),
            (key, true) => format!("each item of \"{key}\""),
            (key, false) => format!("\"{}\"", brief(key)),
        }
    }
}

struct Walk<'s> {
    root: &'s Json,
    holder: Option<&'s Holder<'s>>,
}

impl Walk<'_> {
    fn check(&self, schema: &Json, node: &Node, name: &Name<'_>, report: &mut Report<'_>) {
        let schema = self.resolved(schema);
        // What was refused as written is not refused again as what it became.
        if matches!(node.value, Value::Broken) || self.is_told(node, report) {
            return;
        }
        if let Some(plain) = of_template(schema) {
            // What it becomes is checked when it is expanded.
            if !node.as_text().is_some_and(is_template) {
                self.check(plain, node, name, report);
            }
            return;
        }
        // Of a map they say which keys need each other, which is told elsewhere.
        let either = ["anyOf", "oneOf"]
            .iter()
            .filter(|_| !schema["properties"].is_object())
            .find_map(|key| schema[*key].as_array());
        if let Some(branches) = either {
            return self.check_either(branches, schema, node, name, report);
        }
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.check(part, node, name, report);
        }
        if let Some(expected) = mismatch(schema, node) {
            let message = format!("{} must be {expected}, got {}", name.subject(), got(node));
            return report.error_with(
                Code::WrongType,
                node.mark,
                message,
                type_hint(&expected, node),
            );
        }
        if let Some(allowed) = choices(schema)
            && !matches!(node.value, Value::Null)
        {
            return check_choice(&allowed, node, name, report);
        }
        self.check_inside(schema, node, name, report);
    }

    /// Checks a value that has the right type.
    fn check_inside(&self, schema: &Json, node: &Node, name: &Name<'_>, report: &mut Report<'_>) {
        match &node.value {
            Value::Map(entries) => {
                if entries.is_empty() && schema["minProperties"].as_u64() > Some(0) {
                    bounds::must_not_be_empty(node.mark, name, report);
                }
                let size = entries.len();
                bounds::check_size(schema, "maxProperties", size, "entries", node, name, report);
                self.check_map(schema, entries, name, report);
            }
            Value::List(items) => {
                let item = Name {
                    is_item: true,
                    ..*name
                };
                if items.is_empty() && schema["minItems"].as_u64() > Some(0) {
                    bounds::must_not_be_empty(node.mark, name, report);
                }
                bounds::check_size(schema, "maxItems", items.len(), "items", node, name, report);
                for one in items {
                    self.check(&schema["items"], one, &item, report);
                }
            }
            Value::Text(text) => {
                bounds::check_length(schema, text, node, name, report);
                shape::check(schema, text, node.mark, &name.subject(), report);
            }
            Value::Number(number) => {
                bounds::check_range(schema, number.as_f64(), node, name, report);
            }
            Value::Null | Value::Bool(_) | Value::Odd(_) | Value::Broken => {}
        }
    }

    /// Whether an entry of the configuration sets a key to nothing, which leaves it out.
    fn is_left_out(&self, entry: &Entry) -> bool {
        self.holder.is_some_and(|holder| holder.is_entry)
            && matches!(entry.value.value, Value::Null)
    }

    /// Whether an entry's scalar was refused when the entry was checked.
    fn is_told(&self, node: &Node, report: &Report<'_>) -> bool {
        let is_scalar = !matches!(node.value, Value::Map(_) | Value::List(_));
        is_scalar && self.holder.is_some() && report.is_refused(node.mark)
    }

    fn resolved<'v>(&'v self, schema: &'v Json) -> &'v Json {
        let reference = schema["$ref"].as_str().and_then(|it| it.strip_prefix('#'));
        reference
            .and_then(|pointer| self.root.pointer(pointer))
            .unwrap_or(schema)
    }

    /// One of several schemas: the one of the value's type decides.
    fn check_either(
        &self,
        branches: &[Json],
        whole: &Json,
        node: &Node,
        name: &Name<'_>,
        report: &mut Report<'_>,
    ) {
        if let Some(allowed) = choices(whole) {
            return check_choice(&allowed, node, name, report);
        }
        let mut expected = Vec::new();
        for branch in self.leaves(branches) {
            match mismatch(of_template(branch).unwrap_or(branch), node) {
                None => return self.check(branch, node, name, report),
                Some(other) if other != NOTHING => expected.push(other),
                Some(_) => {}
            }
        }
        let expected = expected.join(" or ");
        let message = format!("{} must be {expected}, got {}", name.subject(), got(node));
        report.error_with(
            Code::WrongType,
            node.mark,
            message,
            type_hint(&expected, node),
        );
    }

    /// The schemas among several, with those among them that are several themselves spread out.
    fn leaves<'v>(&'v self, branches: &'v [Json]) -> Vec<&'v Json> {
        let mut leaves = Vec::new();
        for branch in branches {
            let branch = self.resolved(branch);
            let is_one = branch["properties"].is_object() || of_template(branch).is_some();
            match branch["anyOf"].as_array().filter(|_| !is_one) {
                Some(inner) => leaves.extend(self.leaves(inner)),
                None => leaves.push(branch),
            }
        }
        leaves
    }

    fn check_map(
        &self,
        schema: &Json,
        entries: &[Entry],
        name: &Name<'_>,
        report: &mut Report<'_>,
    ) {
        let known = schema["properties"].as_object();
        let others = &schema["additionalProperties"];
        for entry in entries {
            shape::check_key(&schema["propertyNames"], entry, report);
            if self.is_left_out(entry) {
                continue;
            }
            let of_key = known.and_then(|known| known.get(&entry.key));
            let inner = Name {
                key: &entry.key,
                is_item: false,
                at: entry.mark,
            };
            match (of_key, known) {
                (Some(schema), _) => self.check(schema, &entry.value, &inner, report),
                (None, _) if others.is_object() => {
                    self.check(others, &entry.value, &inner, report);
                }
                (None, Some(known)) => unknown_key(entry, known.keys(), report),
                (None, None) => {}
            }
        }
        for required in schema["required"].as_array().into_iter().flatten() {
            let required = required.as_str().unwrap_or_default();
            let present = entries.iter().find(|entry| entry.key == required);
            if present.is_some_and(|it| !self.is_left_out(it) || report.is_refused(it.value.mark)) {
                continue;
            }
            let is_entry = self.holder.is_some_and(|holder| holder.is_entry);
            let holder = match (name.key, self.holder) {
                ("", Some(holder)) => holder.name,
                ("taskTemplate", Some(holder)) if is_entry => holder.name,
                (key, _) => key,
            };
            let message = match holder {
                "" => format!("\"{required}\" is missing"),
                _ => format!("\"{required}\" is missing in \"{}\"", brief(holder)),
            };
            let or_else = is_entry && DEFAULTABLE.contains(&required);
            let hint = or_else.then(|| OR_DEFAULTS.to_owned());
            let code = if or_else {
                Code::Incomplete
            } else {
                Code::MissingKey
            };
            report.error_with(code, name.at, message, hint);
        }
    }
}

fn unknown_key<'k>(
    entry: &Entry,
    known: impl Iterator<Item = &'k String>,
    report: &mut Report<'_>,
) {
    let message = format!("unknown key \"{}\"", brief(&entry.key));
    let hint = report
        .has_room()
        .then(|| suggest(&entry.key, known.map(String::as_str)));
    report.error_with(Code::UnknownKey, entry.mark, message, hint.flatten());
}

/// What a text of a fleet must be, where it may also be a template that becomes it.
fn of_template(schema: &Json) -> Option<&Json> {
    match schema["anyOf"].as_array()?.as_slice() {
        [plain, other] if other["pattern"] == pattern::TEMPLATE => Some(plain),
        _ => None,
    }
}

/// The values that a schema allows, where it lists them.
fn choices(schema: &Json) -> Option<Vec<&str>> {
    if let Some(one) = schema["const"].as_str() {
        return Some(vec![one]);
    }
    if let Some(listed) = schema["enum"].as_array() {
        return Some(listed.iter().filter_map(Json::as_str).collect());
    }
    let described = schema["oneOf"].as_array()?;
    described.iter().map(|one| one["const"].as_str()).collect()
}

fn check_choice(allowed: &[&str], node: &Node, name: &Name<'_>, report: &mut Report<'_>) {
    let text = node.as_text();
    if text.is_some_and(|text| allowed.contains(&text)) {
        return;
    }
    let listed = quoted(allowed.iter().copied());
    let listed = match allowed {
        [_] => listed,
        _ => format!("one of {listed}"),
    };
    let message = format!("{} must be {listed}, got {}", name.subject(), got(node));
    let hint = text.and_then(|text| suggest(text, allowed.iter().copied()));
    // The message lists the known words already.
    let hint = hint.filter(|hint| hint.starts_with("did"));
    report.error_with(Code::UnknownValue, node.mark, message, hint);
}
