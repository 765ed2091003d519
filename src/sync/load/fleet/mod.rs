//! Fleets: one entry, expanded once for each combination of values.
//!
//! Only texts are expanded, each for itself; keys and structure stay as they are written. What comes
//! out is an entry like any other, filled up from `defaults` after that.

mod expand;
mod name;
mod tell;

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;

use crate::model::Code;
use crate::model::ObjectName;
use crate::template::fleet;
use crate::template::fleet::Fleets;
use crate::template::fleet::Scalar;
use crate::template::fleet::Text;

use super::MAX_OBJECTS;
use super::config;
use super::node::Entry;
use super::node::Mark;
use super::node::Node;
use super::node::Value;
use super::object::Objects;
use super::report::Report;
use super::words::brief;

use self::tell::tell;

/// Texts of a spawner that are Go templates over work items; no fleet touches them.
const GO_TEMPLATES: [&str; 2] = ["prompt", "branch"];
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Task,
    Spawner,
}

/// The values of one variable.
struct List<'d> {
    name: &'d str,
    mark: Mark,
    values: Vec<Scalar>,
}

/// A fleet whose texts have been read.
struct Fleet<'d> {
    entry: &'d Entry,
    form: Form,
    /// The key `task` or `spawner`, and what stands there.
    body_entry: &'d Entry,
    body: &'d Node,
    /// By variable, so that the order in the file does not matter.
    lists: Vec<List<'d>>,
    texts: HashMap<&'d str, Text>,
    /// Where texts with expressions stand.
    marks: HashSet<Mark>,
}

/// Declares the objects of a fleet.
pub(super) fn declare(
    entry: &Entry,
    fleets: &mut Fleets,
    objects: &mut Objects<'_>,
    report: &mut Report<'_>,
) {
    let Some((form, body_entry)) = form(entry, report) else {
        return;
    };
    let lists = lists(entry, report);
    // Of names that cannot be, the schema tells.
    let is_named = ObjectName::parse(&entry.key).is_ok();
    let Some(lists) = lists.filter(|lists| is_named && !lists.is_empty()) else {
        return;
    };
    let mut fleet = Fleet {
        entry,
        form,
        body_entry,
        body: &body_entry.value,
        lists,
        texts: HashMap::new(),
        marks: HashSet::new(),
    };
    if fleet.is_too_large(report) || !fleet.read(fleets, report) {
        return;
    }
    fleet.expand(fleets, objects, report);
    report.leave();
}

fn form<'d>(entry: &'d Entry, report: &mut Report<'_>) -> Option<(Form, &'d Entry)> {
    let given = |key| {
        let found = entry.value.entry(key)?;
        (!matches!(found.value.value, Value::Null)).then_some(found)
    };
    let is_map = |body: &Entry| matches!(body.value.value, Value::Map(_));
    let (code, message, hint) = match (given("task"), given("spawner")) {
        (Some(task), None) => return is_map(task).then_some((Form::Task, task)),
        (None, Some(spawner)) => return is_map(spawner).then_some((Form::Spawner, spawner)),
        (None, None) => (Code::MissingKey, "needs a \"task\" or a \"spawner\"", None),
        (Some(_), Some(_)) => (
            Code::ExclusiveKeys,
            "has both a \"task\" and a \"spawner\"",
            Some("write one fleet for each".to_owned()),
        ),
    };
    let message = format!("fleet \"{}\" {message}", brief(&entry.key));
    report.error_with(code, entry.mark, message, hint);
    None
}

/// The lists of `forEach`; nothing where one of them has been refused.
fn lists<'d>(entry: &'d Entry, report: &mut Report<'_>) -> Option<Vec<List<'d>>> {
    let mut all = Some(Vec::new());
    for list in entry.value.get("forEach")?.entries() {
        let name = list.key.as_str();
        if !fleet::is_variable(name) {
            let message = format!(
                "\"{}\" cannot be a variable: the word means something in expressions",
                brief(name)
            );
            if !report.is_refused(list.mark) {
                report.error(Code::InvalidValue, list.mark, message);
            }
            all = None;
        }
        let values: Option<Vec<Scalar>> = list.value.items().iter().map(scalar).collect();
        match values.filter(|values| !values.is_empty()) {
            Some(values) => {
                let mark = list.mark;
                if let Some(all) = &mut all {
                    all.push(List { name, mark, values });
                }
            }
            None => all = None,
        }
    }
    if let Some(all) = &mut all {
        all.sort_by_key(|list| list.name);
    }
    all
}

fn scalar(node: &Node) -> Option<Scalar> {
    match &node.value {
        Value::Text(text) => Some(Scalar::Text(text.clone())),
        Value::Bool(value) => Some(Scalar::Bool(*value)),
        Value::Number(number) => number.as_i64().map(Scalar::Number),
        Value::Null | Value::Odd(_) | Value::List(_) | Value::Map(_) | Value::Broken => None,
    }
}

impl<'d> Fleet<'d> {
    fn is_too_large(&self, report: &mut Report<'_>) -> bool {
        let size = self
            .lists
            .iter()
            .fold(1_usize, |size, list| size.saturating_mul(list.values.len()));
        let too_large = size > MAX_OBJECTS;
        if too_large {
            let sizes: Vec<_> = self
                .lists
                .iter()
                .map(|it| it.values.len().to_string())
                .collect();
            let message = format!(
                "fleet \"{}\" makes {} objects; one configuration has at most {MAX_OBJECTS}",
                self.entry.key,
                sizes.join(" × ")
            );
            report.error(Code::TooLarge, self.entry.mark, message);
        }
        too_large
    }

    /// Reads the texts; whether all can be expanded.
    fn read(&mut self, fleets: &mut Fleets, report: &mut Report<'_>) -> bool {
        let variables: BTreeSet<&str> = self.lists.iter().map(|list| list.name).collect();
        let mut used = BTreeSet::new();
        let mut good = true;
        let mut nodes: Vec<&'d Node> = Vec::new();
        for field in self.body.entries() {
            if !self.is_go_template(&field.key) {
                nodes.push(&field.value);
            }
        }
        while let Some(node) = nodes.pop() {
            nodes.extend(node.items());
            nodes.extend(node.entries().iter().map(|entry| &entry.value));
            let Some(text) = node.as_text().filter(|text| fleet::is_template(text)) else {
                continue;
            };
            self.marks.insert(node.mark);
            match fleets.parse(text, &variables) {
                Ok((read, names)) => {
                    used.extend(names);
                    self.texts.insert(text, read);
                }
                Err(error) => {
                    tell(&error, node.mark, text, &variables, report);
                    good = false;
                }
            }
        }
        for list in &self.lists {
            if good && !used.contains(list.name) {
                let message = format!("nothing in this fleet uses \"{}\"", list.name);
                let hint = format!(
                    "its objects differ only in name; write {{{{ {} }}}}",
                    list.name
                );
                report.warning(Code::UnusedVariable, list.mark, message, Some(hint));
            }
        }
        good
    }

    fn is_go_template(&self, key: &str) -> bool {
        self.form == Form::Spawner && GO_TEMPLATES.contains(&key)
    }
}
