//! From a fleet whose texts have been read to its objects.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::model::Code;
use crate::template::fleet;
use crate::template::fleet::Fleets;
use crate::template::fleet::Scalar;

use super::Fleet;
use super::Form;
use super::List;
use super::config;
use super::name;
use super::tell::tell;
use super::tell::with;
use crate::sync::load::node::Entry;
use crate::sync::load::node::Mark;
use crate::sync::load::node::Node;
use crate::sync::load::node::Value;
use crate::sync::load::object::Objects;
use crate::sync::load::report::Report;

/// A text that cannot be expanded, and where it stands.
type Failed<'d> = (fleet::Error, Mark, &'d str);

impl<'d> Fleet<'d> {
    /// Declares an object for each combination of values.
    pub(super) fn expand(
        &self,
        fleets: &Fleets,
        objects: &mut Objects<'_>,
        report: &mut Report<'_>,
    ) {
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        let mut at = vec![0; self.lists.len()];
        loop {
            let values: Vec<(&str, &Scalar)> = self
                .lists
                .iter()
                .zip(&at)
                .map(|(list, at)| (list.name, &list.values[*at]))
                .collect();
            let name = self.name(&values, &mut names, report);
            report.enter(&self.marks, with(&values));
            match name.map(|name| (name, self.body(fleets, &values))) {
                None => {}
                Some((name, Ok(body))) => self.declare_one(name, body, objects, report),
                Some((_, Err((error, mark, text)))) => {
                    return tell(&error, mark, text, &BTreeSet::new(), report);
                }
            }
            if objects.is_full() || !next(&mut at, &self.lists) {
                return;
            }
        }
    }

    /// The name of the object with these values, unless another has it.
    fn name(
        &self,
        values: &[(&str, &Scalar)],
        names: &mut BTreeMap<String, String>,
        report: &mut Report<'_>,
    ) -> Option<String> {
        let texts: Vec<String> = values.iter().map(|(_, value)| value.to_string()).collect();
        let name = name::of(&self.entry.key, &texts);
        let values = with(values);
        if let Some(other) = names.get(&name) {
            let message = if *other == values {
                format!("fleet \"{}\" has {values} twice", self.entry.key)
            } else {
                format!("both {other} and {values} give the name \"{name}\"")
            };
            let hint = "put one of them into a fleet of its own".to_owned();
            let hint = (*other != values).then_some(hint);
            report.error_with(Code::NameCollision, self.entry.mark, message, hint);
            return None;
        }
        names.insert(name.clone(), values);
        Some(name)
    }

    /// The task or spawner with these values.
    fn body(&self, fleets: &Fleets, values: &[(&str, &Scalar)]) -> Result<Node, Failed<'d>> {
        let mut fields = Vec::new();
        for field in self.body.entries() {
            let mut field_now = field.clone();
            if !self.is_go_template(&field.key) {
                field_now.value = self.expanded(&field.value, fleets, values)?;
            }
            fields.push(field_now);
        }
        let (mark, value) = (self.body.mark, Value::Map(fields));
        Ok(Node { mark, value })
    }

    fn expanded(
        &self,
        node: &'d Node,
        fleets: &Fleets,
        values: &[(&str, &Scalar)],
    ) -> Result<Node, Failed<'d>> {
        let value = match &node.value {
            Value::Text(text) => match self.texts.get(text.as_str()) {
                Some(read) => {
                    let written = fleets.write(read, values);
                    Value::Text(written.map_err(|error| (error, node.mark, text.as_str()))?)
                }
                None => Value::Text(text.clone()),
            },
            Value::List(items) => {
                let items = items.iter().map(|item| self.expanded(item, fleets, values));
                Value::List(items.collect::<Result<_, _>>()?)
            }
            Value::Map(entries) => {
                let mut expanded = Vec::with_capacity(entries.len());
                for entry in entries {
                    expanded.push(Entry {
                        key: entry.key.clone(),
                        mark: entry.mark,
                        value: self.expanded(&entry.value, fleets, values)?,
                    });
                }
                Value::Map(expanded)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Odd(_) | Value::Broken => {
                node.value.clone()
            }
        };
        let mark = node.mark;
        Ok(Node { mark, value })
    }

    fn declare_one(
        &self,
        name: String,
        value: Node,
        objects: &mut Objects<'_>,
        report: &mut Report<'_>,
    ) {
        let named = Entry {
            key: name,
            mark: self.entry.mark,
            value,
        };
        let holder = config::holder(self.body_entry);
        let Some(filled) = objects.filled(&named, report) else {
            return;
        };
        match self.form {
            Form::Task => config::task(&named, &filled, holder, objects, report),
            Form::Spawner => config::spawner(&named, &filled, holder, objects, report),
        }
    }
}

/// The next combination, like the digits of a number; whether there is one.
fn next(at: &mut [usize], lists: &[List<'_>]) -> bool {
    for (digit, list) in at.iter_mut().zip(lists).rev() {
        *digit += 1;
        if *digit < list.values.len() {
            return true;
        }
        *digit = 0;
    }
    false
}
