//! Finds fields that the data cannot have, before there is data.
//!
//! Follows what dot and variables are through the template: the item, one of its fields, or
//! something that is only known when it runs. Only what is wrong for sure is refused.

use std::collections::BTreeSet;

use super::error::At;
use super::error::Fault;
use super::error::Place;
use super::error::shown;
use super::parse::Parsed;
use super::tree::Command;
use super::tree::List;
use super::tree::Node;
use super::tree::Operand;
use super::tree::Pipe;
use super::tree::Term;
use super::value::Value;

/// What the data of a template is known to have.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Data<'d> {
    /// The fields of an item. None of them has fields itself.
    Item(&'static [&'static str]),
    /// What the Tasks of these names left, under `.Deps`.
    Dependencies(&'d [&'d str]),
}

/// The one field of [`Data::Dependencies`].
const DEPS: &str = "Deps";
const RESULTS: &str = "Results";
const OUTPUTS: &str = "Outputs";

/// Which fields of the item a template may look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Uses {
    names: BTreeSet<String>,
    /// The item as a whole: printed, looped over or handed to a function.
    whole: bool,
}

impl Uses {
    pub(crate) fn field(&self, name: &str) -> bool {
        self.whole || self.names.contains(name)
    }
}

/// What a value is known to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Shape {
    /// The data as a whole.
    Item,
    /// What all Tasks left, by their names.
    Deps,
    /// What one Task left.
    Dep,
    Results,
    Outputs,
    /// A text or number.
    Plain,
    Unknown,
}

impl Shape {
    /// What a loop finds in it.
    fn element(self, data: Data<'_>) -> Self {
        match (self, data) {
            (Self::Item, Data::Dependencies(_)) => Self::Deps,
            (Self::Deps, _) => Self::Dep,
            (Self::Item, Data::Item(_)) | (Self::Results | Self::Outputs | Self::Plain, _) => {
                Self::Plain
            }
            (Self::Dep | Self::Unknown, _) => Self::Unknown,
        }
    }
}

pub(super) fn check<'a>(parsed: &'a Parsed, data: Data<'a>) -> Result<Uses, At> {
    let mut check = Check {
        parsed,
        data,
        variables: Vec::new(),
        uses: Uses::default(),
        calls: Vec::new(),
    };
    check.template(&parsed.main, Shape::Item)?;
    // Not by recursion: a chain of calls may be as long as the template.
    let mut seen = BTreeSet::new();
    while let Some((name, shape)) = check.calls.pop() {
        if seen.insert((name, shape))
            && let Some(list) = parsed.named.get(name)
        {
            check.template(list, shape)?;
        }
    }
    Ok(check.uses)
}

struct Check<'a> {
    parsed: &'a Parsed,
    data: Data<'a>,
    variables: Vec<(&'a str, Shape)>,
    uses: Uses,
    /// Templates that are called, and with what; not looked at yet.
    calls: Vec<(&'a str, Shape)>,
}

impl<'a> Check<'a> {
    fn template(&mut self, list: &'a List, dot: Shape) -> Result<(), At> {
        self.variables = vec![("$", dot)];
        self.list(list, dot)
    }

    fn list(&mut self, list: &'a List, dot: Shape) -> Result<(), At> {
        list.iter().try_for_each(|node| self.node(node, dot))
    }

    fn node(&mut self, node: &'a Node, dot: Shape) -> Result<(), At> {
        let scope = self.variables.len();
        match node {
            Node::Text(_) | Node::Break | Node::Continue => return Ok(()),
            Node::Print(pipe) => {
                let shape = self.pipe(pipe, dot)?;
                self.uses.whole |= shape == Shape::Item && pipe.variables.is_empty();
                return Ok(());
            }
            Node::Call { name, pipe, .. } => {
                let shape = match pipe {
                    Some(pipe) => self.pipe(pipe, dot)?,
                    None => Shape::Unknown,
                };
                self.calls.push((name, shape));
                return Ok(());
            }
            Node::If(branches) | Node::With(branches) => {
                let with = matches!(node, Node::With(_));
                for (pipe, list) in &branches.arms {
                    let shape = self.pipe(pipe, dot)?;
                    self.list(list, if with { shape } else { dot })?;
                }
                self.list(&branches.otherwise, dot)?;
            }
            Node::Loop {
                pipe,
                body,
                otherwise,
            } => {
                let over = self.pipe(pipe, dot)?;
                self.uses.whole |= over == Shape::Item;
                let element = over.element(self.data);
                let declared = pipe.variables.len();
                for (_, shape) in self.variables.iter_mut().rev().take(declared) {
                    *shape = Shape::Unknown;
                }
                self.list(body, element)?;
                self.list(otherwise, dot)?;
            }
        }
        self.variables.truncate(scope);
        Ok(())
    }

    fn pipe(&mut self, pipe: &'a Pipe, dot: Shape) -> Result<Shape, At> {
        let mut shape = None;
        for command in &pipe.commands {
            shape = Some(self.command(command, dot, shape)?);
        }
        let shape = shape.unwrap_or(Shape::Unknown);
        if !pipe.assigns {
            for name in &pipe.variables {
                self.variables.push((name, shape));
            }
        }
        Ok(shape)
    }

    fn command(
        &mut self,
        command: &'a Command,
        dot: Shape,
        piped: Option<Shape>,
    ) -> Result<Shape, At> {
        let head = self.operand(&command.head, dot)?;
        self.uses.whole |= piped == Some(Shape::Item);
        let mut shapes = Vec::with_capacity(command.arguments.len());
        for argument in &command.arguments {
            let shape = self.operand(argument, dot)?;
            self.uses.whole |= shape == Shape::Item;
            shapes.push(shape);
        }
        let is_index = matches!(&command.head.term, Term::Function(it) if it.name == "index");
        match (shapes.first(), is_index && piped.is_none()) {
            (Some(of), true) => self.index(*of, &command.arguments[1..]),
            (_, _) => Ok(head),
        }
    }

    /// `index of "key" …`: a key that is written out is as good as a field.
    fn index(&mut self, of: Shape, keys: &'a [Operand]) -> Result<Shape, At> {
        let mut shape = of;
        for key in keys {
            let text = match &key.term {
                Term::Literal(Value::Str(text)) if key.fields.is_empty() => Some(text),
                _ => None,
            };
            shape = match (shape, text) {
                (Shape::Deps | Shape::Dep | Shape::Results, Some(text)) => {
                    self.field(shape, text).at(key.at)?
                }
                (Shape::Deps | Shape::Results | Shape::Outputs, _) => shape.element(self.data),
                (Shape::Item | Shape::Dep | Shape::Plain | Shape::Unknown, _) => Shape::Unknown,
            };
        }
        Ok(shape)
    }

    fn operand(&mut self, operand: &'a Operand, dot: Shape) -> Result<Shape, At> {
        let mut shape = match &operand.term {
            Term::Dot => dot,
            Term::Literal(_) => Shape::Plain,
            Term::Nil | Term::Function(_) => Shape::Unknown,
            Term::Variable(name) => self.variable(name),
            Term::Pipe(pipe) => self.pipe(pipe, dot)?,
        };
        for field in &operand.fields {
            shape = self.field(shape, &field.name).at(field.at)?;
        }
        Ok(shape)
    }

    /// A variable that is ever assigned to may be anything.
    fn variable(&self, name: &str) -> Shape {
        if self.parsed.assigned.contains(name) {
            return Shape::Unknown;
        }
        let found = self.variables.iter().rev().find(|(it, _)| *it == name);
        found.map_or(Shape::Unknown, |(_, shape)| *shape)
    }

    fn field(&mut self, of: Shape, name: &str) -> Result<Shape, Fault> {
        let one_of = |known: &[&str], shape: Shape| {
            if known.contains(&name) {
                Ok(shape)
            } else {
                Err(Fault::unknown_field(name, known.iter().copied()))
            }
        };
        match (of, self.data) {
            (Shape::Item, Data::Item(fields)) => {
                let shape = one_of(fields, Shape::Plain)?;
                self.uses.names.insert(name.to_owned());
                Ok(shape)
            }
            (Shape::Item, Data::Dependencies(_)) => one_of(&[DEPS], Shape::Deps),
            (Shape::Deps, Data::Dependencies(tasks)) => one_of(tasks, Shape::Dep),
            (Shape::Dep, _) if name == OUTPUTS => Ok(Shape::Outputs),
            (Shape::Dep, _) => one_of(&[RESULTS, OUTPUTS], Shape::Results),
            (Shape::Results, _) => Ok(Shape::Plain),
            (Shape::Outputs, _) => Err(Fault::NoFields {
                name: shown(name),
                of: "a list",
            }),
            (Shape::Plain, _) => Err(Fault::NoFields {
                name: shown(name),
                of: "a text or number",
            }),
            (Shape::Deps, Data::Item(_)) | (Shape::Unknown, _) => {
                self.uses.names.insert(name.to_owned());
                Ok(Shape::Unknown)
            }
        }
    }
}
