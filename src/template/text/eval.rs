//! Runs a template over data. Every step is paid for, every depth and length is bounded.

use super::Program;
use super::error::At;
use super::error::Fault;
use super::error::Place;
use super::error::shown;
use super::functions::Code;
use super::functions::Function;
use super::limits::Limit;
use super::limits::MAX_DEPTH;
use super::limits::STEP;
use super::print;
use super::tree::Branches;
use super::tree::Command;
use super::tree::List;
use super::tree::Node;
use super::tree::Operand;
use super::tree::Pipe;
use super::tree::Term;
use super::value::Value;
use super::work::Work;
use super::work::append;

/// What the program writes for `data`, of at most `max` bytes.
pub(super) fn run(program: &Program, data: &Value, max: usize) -> Result<String, At> {
    let mut run = Run {
        program,
        out: String::new(),
        max,
        work: Work::new(),
        variables: vec![("$", data.clone())],
        frame: 0,
        depth: 0,
    };
    run.list(&program.parsed.main, data)?;
    Ok(run.out)
}

struct Run<'a> {
    program: &'a Program,
    out: String,
    max: usize,
    work: Work,
    /// Those in scope, innermost last; those before `frame` belong to the callers.
    variables: Vec<(&'a str, Value)>,
    frame: usize,
    depth: usize,
}

/// How a list ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

impl<'a> Run<'a> {
    fn list(&mut self, list: &'a List, dot: &Value) -> Result<Flow, At> {
        for node in list {
            let flow = self.node(node, dot)?;
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    fn node(&mut self, node: &'a Node, dot: &Value) -> Result<Flow, At> {
        match node {
            Node::Text(range) => {
                self.work.spend(STEP).at(range.start)?;
                let text = &self.program.source[range.clone()];
                self.write(text).at(range.start)?;
            }
            Node::Print(pipe) => {
                let value = self.pipe(pipe, dot)?;
                if pipe.variables.is_empty() {
                    self.print(&value).at(pipe.at)?;
                }
            }
            Node::If(branches) => return self.branches(branches, dot, false),
            Node::With(branches) => return self.branches(branches, dot, true),
            Node::Loop {
                pipe,
                body,
                otherwise,
            } => return self.scoped(|it| it.over(pipe, body, otherwise, dot)),
            Node::Call { at, name, pipe } => self.call_template(*at, name, pipe.as_ref(), dot)?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    fn branches(&mut self, branches: &'a Branches, dot: &Value, with: bool) -> Result<Flow, At> {
        self.scoped(|it| {
            for (pipe, list) in &branches.arms {
                let value = it.pipe(pipe, dot)?;
                if value.is_true() {
                    return it.deeper(pipe.at, |it| it.list(list, if with { &value } else { dot }));
                }
            }
            match branches.arms.first() {
                Some((pipe, _)) => it.deeper(pipe.at, |it| it.list(&branches.otherwise, dot)),
                None => Ok(Flow::On),
            }
        })
    }

    fn over(
        &mut self,
        pipe: &'a Pipe,
        body: &'a List,
        otherwise: &'a List,
        dot: &Value,
    ) -> Result<Flow, At> {
        let over = self.pipe(pipe, dot)?;
        let scope = self.variables.len();
        let turn = |it: &mut Self, key: Value, value: Value| {
            it.work.spend(STEP).at(pipe.at)?;
            it.bind(pipe, scope, key, value.clone()).at(pipe.at)?;
            let flow = it.deeper(pipe.at, |it| it.list(body, &value));
            it.variables.truncate(scope);
            flow
        };
        let mut empty = true;
        let mut step = |it: &mut Self, key: Value, value: Value| {
            empty = false;
            Ok(turn(it, key, value)? != Flow::Break)
        };
        match &over {
            Value::Nil => {}
            Value::Int(_) if pipe.variables.len() > 1 => {
                return Err(Fault::Loop("a number with two variables")).at(pipe.at);
            }
            Value::Int(count) => {
                let mut number = 0;
                while number < *count && step(self, Value::Nil, Value::Int(number))? {
                    number += 1;
                }
            }
            Value::List(values) => {
                for (at, value) in values.iter().enumerate() {
                    if !step(self, Value::Int(at as i128), value.clone())? {
                        break;
                    }
                }
            }
            Value::Map(values) => {
                for (key, value) in values.iter() {
                    if !step(self, Value::Str(key.as_str().into()), value.clone())? {
                        break;
                    }
                }
            }
            Value::Bool(_) | Value::Float(_) | Value::Str(_) => {
                return Err(Fault::Loop(over.noun())).at(pipe.at);
            }
        }
        if empty {
            return self.deeper(pipe.at, |it| it.list(otherwise, dot));
        }
        Ok(Flow::On)
    }

    /// Gives the variables of a loop, which lie below `scope`, the values of one turn.
    fn bind(
        &mut self,
        pipe: &'a Pipe,
        scope: usize,
        key: Value,
        value: Value,
    ) -> Result<(), Fault> {
        let values = match pipe.variables.len() {
            0 => return Ok(()),
            1 => vec![value],
            _ => vec![key, value],
        };
        if pipe.assigns {
            return pipe
                .variables
                .iter()
                .zip(values)
                .try_for_each(|(name, value)| self.assign(name, value));
        }
        let first = scope - values.len();
        for (at, value) in values.into_iter().enumerate() {
            self.variables[first + at].1 = value;
        }
        Ok(())
    }

    /// Runs a template of its own, which sees no variable of this one.
    fn call_template(
        &mut self,
        at: usize,
        name: &str,
        pipe: Option<&'a Pipe>,
        dot: &Value,
    ) -> Result<(), At> {
        let dot = pipe.map_or(Ok(Value::Nil), |pipe| self.pipe(pipe, dot))?;
        let Some(list) = self.program.parsed.named.get(name) else {
            return Err(Fault::UndefinedTemplate { name: shown(name) }).at(at);
        };
        self.work.spend(STEP).at(at)?;
        let (scope, frame) = (self.variables.len(), self.frame);
        self.frame = scope;
        self.variables.push(("$", dot.clone()));
        self.deeper(at, |it| it.list(list, &dot))?;
        self.variables.truncate(scope);
        self.frame = frame;
        Ok(())
    }

    /// The value of a pipeline, given to its variables too.
    fn pipe(&mut self, pipe: &'a Pipe, dot: &Value) -> Result<Value, At> {
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(command, dot, value)?);
        }
        let value = value.unwrap_or(Value::Nil);
        for name in &pipe.variables {
            if pipe.assigns {
                self.assign(name, value.clone()).at(pipe.at)?;
            } else {
                self.variables.push((name, value.clone()));
            }
        }
        Ok(value)
    }

    fn command(
        &mut self,
        command: &'a Command,
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Value, At> {
        self.work.spend(STEP).at(command.head.at)?;
        match command.head.term {
            Term::Function(function) if command.head.fields.is_empty() => {
                self.function(function, command, dot, piped)
            }
            _ => self.operand(&command.head, dot),
        }
    }

    fn function(
        &mut self,
        function: &'static Function,
        command: &'a Command,
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Value, At> {
        let stop_at = match function.code {
            Code::And => Some(false),
            Code::Or => Some(true),
            Code::Plain(_) | Code::Text(_) => None,
        };
        let mut values = Vec::with_capacity(command.arguments.len() + 1);
        for argument in &command.arguments {
            let value = self.operand(argument, dot)?;
            if stop_at == Some(value.is_true()) {
                return Ok(value);
            }
            values.push(value);
        }
        values.extend(piped);
        self.apply(function, values).at(command.head.at)
    }

    fn apply(&mut self, function: &Function, mut values: Vec<Value>) -> Result<Value, Fault> {
        self.work.spend(STEP)?;
        match function.code {
            Code::And | Code::Or => Ok(values.pop().unwrap_or(Value::Nil)),
            Code::Plain(code) => code(&mut self.work, &values),
            Code::Text(code) => Ok(Value::Str(code(&mut self.work, &values)?.into())),
        }
    }

    fn operand(&mut self, operand: &'a Operand, dot: &Value) -> Result<Value, At> {
        let at = operand.at;
        self.work.spend(STEP).at(at)?;
        let mut value = match &operand.term {
            Term::Dot => dot.clone(),
            Term::Nil => Value::Nil,
            Term::Literal(value) => value.clone(),
            Term::Variable(name) => self.variable(name).at(at)?.1.clone(),
            Term::Function(function) => self.apply(function, Vec::new()).at(at)?,
            Term::Pipe(pipe) => self.deeper(at, |it| it.pipe(pipe, dot))?,
        };
        for field in &operand.fields {
            value = value.field(&field.name).at(field.at)?;
        }
        Ok(value)
    }

    fn variable(&mut self, name: &str) -> Result<&mut (&'a str, Value), Fault> {
        self.work.spend(self.variables.len() - self.frame)?;
        self.variables[self.frame..]
            .iter_mut()
            .rev()
            .find(|(it, _)| *it == name)
            .ok_or_else(|| Fault::UndefinedVariable { name: shown(name) })
    }

    fn assign(&mut self, name: &str, value: Value) -> Result<(), Fault> {
        self.variable(name)?.1 = value;
        Ok(())
    }

    /// Forgets the variables that `inner` declares.
    fn scoped(&mut self, inner: impl FnOnce(&mut Self) -> Result<Flow, At>) -> Result<Flow, At> {
        let scope = self.variables.len();
        let flow = inner(self);
        self.variables.truncate(scope);
        flow
    }

    fn deeper<T>(
        &mut self,
        at: usize,
        inner: impl FnOnce(&mut Self) -> Result<T, At>,
    ) -> Result<T, At> {
        if self.depth == MAX_DEPTH {
            return Err(Fault::Limit(Limit::Depth)).at(at);
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn print(&mut self, value: &Value) -> Result<(), Fault> {
        match value {
            Value::Str(text) => self.write(text),
            value => {
                let text = print::action(&mut self.work, value)?;
                self.write(&text)
            }
        }
    }

    fn write(&mut self, text: &str) -> Result<(), Fault> {
        append(&mut self.out, text, self.max, &mut self.work)
    }
}
