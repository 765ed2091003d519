//! Answers without what no two servers have in common, and where two of them differ.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Captures;
use regex::Regex;
use serde_json::Value;
use serde_json::json;

use super::known;

static UID: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}").unwrap()
});
static TIME: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"20[2-9]\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z").unwrap());
static GENERATED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("(zz-gen|other)-[a-z0-9]{5}").unwrap());
/// Not the end of a name: namespaces are numbered. Nor an example in a message.
static NUMBER: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(^|[^-\w'])(\d{2,})\b").unwrap());

static RECORD: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"in record \((\d+)\)").unwrap());

/// What was asked, and what came back.
pub(super) struct Exchange {
    pub(super) asked: String,
    pub(super) answer: Value,
}

/// Names that stand for what one server has made up, in the order in which it came up.
#[derive(Default)]
pub(super) struct Normal {
    uids: BTreeMap<String, usize>,
    versions: BTreeMap<String, usize>,
}

impl Normal {
    pub(super) fn of(&mut self, mut answer: Value) -> Value {
        self.walk(&mut answer, false);
        answer
    }

    fn walk(&mut self, value: &mut Value, is_list: bool) {
        match value {
            Value::Object(fields) => {
                if fields
                    .get("metadata")
                    .is_some_and(|it| it["name"] == "kube-root-ca.crt")
                {
                    *value = json!({"metadata": {"name": "kube-root-ca.crt"}});
                    return;
                }
                if fields.get("causes").is_some() || fields.get("reason") == Some(&json!("Invalid"))
                {
                    unordered(fields);
                }
                let holds_items = fields.contains_key("items");
                for (name, inner) in fields.iter_mut() {
                    match (name.as_str(), &*inner) {
                        ("resourceVersion", Value::String(text)) => {
                            *inner = self.version(text, is_list).into();
                        }
                        ("continue", Value::String(text)) if !text.is_empty() => {
                            *inner = "*".into();
                        }
                        ("managedFields", Value::Array(_)) => {
                            sort_managers(inner);
                            self.walk(inner, false);
                        }
                        _ => self.walk(inner, holds_items),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.walk(item, is_list)),
            Value::String(text) => *text = self.text(text),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Which write of this sequence a resourceVersion stands for: one that comes back is the same one.
    fn version(&mut self, text: &str, is_list: bool) -> String {
        if is_list {
            return "*".into();
        }
        let next = self.versions.len();
        let number = self.versions.entry(text.to_owned()).or_insert(next);
        format!("version {number}")
    }

    fn text(&mut self, text: &str) -> String {
        let text = UID.replace_all(text, |found: &Captures<'_>| {
            let next = self.uids.len();
            let number = self.uids.entry(found[0].to_owned()).or_insert(next);
            format!("uid {number}")
        });
        let text = match text.split_once("errors:\n") {
            Some((head, lines)) => {
                let mut lines: Vec<_> = lines.lines().collect();
                lines.sort_unstable();
                format!("{head}errors:\n{}", lines.join("\n")).into()
            }
            None => text,
        };
        let text = TIME.replace_all(&text, "T");
        let text = GENERATED.replace_all(&text, "zz-gen-*");
        if !text.contains("ersion") {
            return text.into_owned();
        }
        // What the server itself has written last, nobody was told.
        let text = RECORD.replace_all(&text, |found: &Captures<'_>| {
            if self.versions.contains_key(&found[1]) {
                found[0].to_owned()
            } else {
                "in record (*)".into()
            }
        });
        let text = NUMBER.replace_all(&text, |found: &Captures<'_>| {
            match self.versions.get(&found[2]) {
                Some(number) => format!("{}version {number}", &found[1]),
                None => found[0].to_owned(),
            }
        });
        text.into_owned()
    }
}

/// Go's maps have no order, and so problems found in them have none.
fn unordered(fields: &mut serde_json::Map<String, Value>) {
    if let Some(causes) = fields.get_mut("causes").and_then(Value::as_array_mut) {
        causes.sort_by_key(Value::to_string);
        // Some checks run more than once there.
        causes.dedup();
    }
    // The message puts the causes together.
    if let Some(Value::String(message)) = fields.get_mut("message")
        && let Some((head, _)) = message.split_once(" is invalid: [")
    {
        *message = format!("{head} is invalid: [*]");
    }
}

/// The order follows times, which a second's turn may fall between.
fn sort_managers(list: &mut Value) {
    if let Some(entries) = list.as_array_mut() {
        entries.sort_by_key(|it| {
            ["operation", "manager", "subresource", "apiVersion"].map(|key| it[key].to_string())
        });
    }
}

/// The first thing that differs.
pub(super) struct Difference {
    pub(super) asked: String,
    pub(super) text: String,
    /// The same for failures that are alike.
    pub(super) signature: String,
}

pub(super) fn first_difference(ours: &[Exchange], theirs: &[Exchange]) -> Option<Difference> {
    for (our, their) in ours.iter().zip(theirs) {
        let (mut one, mut other) = (our.answer.clone(), their.answer.clone());
        known::forgive(&mut one);
        known::forgive(&mut other);
        let mut found = Vec::new();
        differences(&one, &other, "", &mut found);
        if let Some(first) = found.first() {
            let verb = our.asked.split(' ').next().unwrap_or_default();
            let shape = NUMBER.replace_all(&first.0, "#");
            return Some(Difference {
                asked: our.asked.clone(),
                text: told(&found),
                signature: format!("{verb} {shape} {} {}", cut(&first.1), cut(&first.2)),
            });
        }
    }
    (ours.len() != theirs.len()).then(|| Difference {
        asked: String::new(),
        text: format!(
            "    {} answers here, {} from Kubernetes\n",
            ours.len(),
            theirs.len()
        ),
        signature: "count".into(),
    })
}

fn told(found: &Found) -> String {
    let lines = found.iter().map(|(path, ours, theirs)| {
        format!("    {path}\n      here       {ours}\n      Kubernetes {theirs}\n")
    });
    lines.collect::<Vec<_>>().concat()
}

fn cut(text: &str) -> String {
    text.chars()
        .filter(|it| !it.is_ascii_digit())
        .take(70)
        .collect()
}

type Found = Vec<(String, String, String)>;

fn differences(one: &Value, other: &Value, path: &str, found: &mut Found) {
    match (one, other) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let names: std::collections::BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
            for name in names {
                let below = format!("{path}/{name}");
                match (ours.get(name), theirs.get(name)) {
                    (Some(our), Some(their)) => differences(our, their, &below, found),
                    (our, their) => {
                        let shown = |it: Option<&Value>| it.map_or("-".into(), ToString::to_string);
                        found.push((below, shown(our), shown(their)));
                    }
                }
            }
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            for (index, (our, their)) in ours.iter().zip(theirs).enumerate() {
                differences(our, their, &format!("{path}/{index}"), found);
            }
        }
        _ if one != other => found.push((path.to_owned(), one.to_string(), other.to_string())),
        _ => {}
    }
}
