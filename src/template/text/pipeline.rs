//! From tokens to a tree: pipelines, commands and what they are made of.

use super::error::At;
use super::error::Fault;
use super::error::Place;
use super::error::shown;
use super::functions::function;
use super::lex::Kind;
use super::lex::Token;
use super::literal;
use super::parse::KEYWORDS;
use super::parse::Parser;
use super::parse::unexpected;
use super::tree::Command;
use super::tree::FieldName;
use super::tree::Operand;
use super::tree::Pipe;
use super::tree::Term;
use super::value::Value;

impl<'a> Parser<'a> {
    /// A pipeline and the `end` after it.
    pub(super) fn pipe(&mut self, place: &'static str, end: &Kind) -> Result<Pipe, At> {
        self.space();
        let at = self.peek().at;
        let (variables, assigns) = self.declarations(place)?;
        let mut commands = Vec::new();
        loop {
            self.space();
            if self.peek().kind == *end {
                break;
            }
            let piped = !commands.is_empty();
            commands.push(self.command(place, piped)?);
            if self.peek().kind == Kind::Pipe {
                let pipe = self.take()?.at;
                self.space();
                if self.peek().kind == *end {
                    return Err(Fault::MissingValue("\"|\"")).at(pipe);
                }
            }
        }
        self.take()?;
        if commands.is_empty() {
            return Err(Fault::MissingValue(place)).at(at);
        }
        Ok(Pipe {
            at,
            variables,
            assigns,
            commands,
        })
    }

    /// `$x := `, `$x = `, and in a loop `$i, $x := `.
    fn declarations(&mut self, place: &'static str) -> Result<(Vec<String>, bool), At> {
        let start = self.next;
        let mut names = Vec::new();
        while self.peek().kind == Kind::Variable {
            let name = self.take()?;
            self.space();
            let sign = self.peek();
            match sign.kind {
                Kind::Assign | Kind::Declare => {
                    self.take()?;
                    names.push(name.text.to_owned());
                    let assigns = sign.kind == Kind::Assign;
                    self.declare(&names, assigns, name.at)?;
                    return Ok((names, assigns));
                }
                Kind::Other if sign.text == "," && place == "range" && names.is_empty() => {
                    self.take()?;
                    self.space();
                    names.push(name.text.to_owned());
                    if self.peek().kind != Kind::Variable {
                        return unexpected(self.peek().text, place).at(self.peek().at);
                    }
                }
                _ if names.is_empty() => break,
                _ => return unexpected(sign.text, place).at(sign.at),
            }
        }
        self.next = start;
        Ok((Vec::new(), false))
    }

    fn declare(&mut self, names: &[String], assigns: bool, at: usize) -> Result<(), At> {
        if !assigns {
            self.variables.extend_from_slice(names);
            return Ok(());
        }
        self.assigned.extend(names.iter().cloned());
        names.iter().try_for_each(|name| self.defined(name).at(at))
    }

    fn defined(&self, name: &str) -> Result<(), Fault> {
        if self.variables.iter().any(|it| it == name) {
            return Ok(());
        }
        Err(Fault::UndefinedVariable { name: shown(name) })
    }

    /// A command up to `|`, `)` or `}}`. `piped`: it is handed a value.
    fn command(&mut self, place: &'static str, piped: bool) -> Result<Command, At> {
        let head = self.operand(place)?;
        let mut arguments = Vec::new();
        while self.peek().kind == Kind::Space {
            self.space();
            match self.peek().kind {
                Kind::Pipe | Kind::CloseParen | Kind::Close => break,
                _ => arguments.push(self.operand(place)?),
            }
        }
        let after = self.peek();
        match after.kind {
            Kind::Pipe | Kind::CloseParen | Kind::Close => {}
            Kind::Error(_) => {
                self.take()?;
            }
            _ => return unexpected(after.text, place).at(after.at),
        }
        let given = arguments.len() + usize::from(piped);
        match head.term {
            Term::Function(function) if head.fields.is_empty() => {
                function.accepts(given).at(head.at)?;
            }
            _ if given > 0 => {
                let text = shown(self.text_from(head.at));
                return Err(Fault::NotExecutable { text }).at(head.at);
            }
            Term::Nil => return unexpected("nil", place).at(head.at),
            _ => {}
        }
        for argument in &arguments {
            accepts_none(argument)?;
        }
        Ok(Command { head, arguments })
    }

    /// The source from `at` to the end of the token that begins there.
    fn text_from(&self, at: usize) -> &'a str {
        self.tokens
            .iter()
            .find(|token| token.at == at)
            .map_or("", |token| token.text)
    }

    fn operand(&mut self, place: &'static str) -> Result<Operand, At> {
        let token = self.take()?;
        let mut fields = Vec::new();
        let term = self.term(&token, place, &mut fields)?;
        let simple = matches!(term, Term::Literal(_) | Term::Nil)
            || matches!(term, Term::Dot) && fields.is_empty();
        while self.peek().kind == Kind::Field {
            let field = self.take()?;
            if simple {
                return unexpected(field.text, place).at(field.at);
            }
            fields.push(field_name(&field));
        }
        let operand = Operand {
            at: token.at,
            term,
            fields,
        };
        if !operand.fields.is_empty() {
            accepts_none(&operand)?;
        }
        Ok(operand)
    }

    fn term(
        &mut self,
        token: &Token<'a>,
        place: &'static str,
        fields: &mut Vec<FieldName>,
    ) -> Result<Term, At> {
        let text = |text: String| Term::Literal(Value::Str(text.into()));
        Ok(match token.kind {
            Kind::Dot => Term::Dot,
            Kind::Field => {
                fields.push(field_name(token));
                Term::Dot
            }
            Kind::Variable => {
                self.defined(token.text).at(token.at)?;
                Term::Variable(token.text.to_owned())
            }
            Kind::Name => match token.text {
                "nil" => Term::Nil,
                "true" => Term::Literal(Value::Bool(true)),
                "false" => Term::Literal(Value::Bool(false)),
                name if KEYWORDS.contains(&name) => return unexpected(name, place).at(token.at),
                name => Term::Function(function(name).at(token.at)?),
            },
            Kind::Number => Term::Literal(literal::number(token.text).at(token.at)?),
            Kind::Char => Term::Literal(literal::character(token.text).at(token.at)?),
            Kind::Quoted => text(literal::quoted(token.text).at(token.at)?),
            Kind::Raw => text(literal::raw(token.text)),
            Kind::OpenParen => {
                let pipe = self.nested(token.at, |it| it.pipe("parentheses", &Kind::CloseParen))?;
                Term::Pipe(Box::new(pipe))
            }
            _ => return unexpected(token.text, place).at(token.at),
        })
    }
}

fn field_name(token: &Token<'_>) -> FieldName {
    FieldName {
        at: token.at,
        name: token.text.trim_start_matches('.').to_owned(),
    }
}

/// A function that stands where it can be given no argument.
fn accepts_none(operand: &Operand) -> Result<(), At> {
    match operand.term {
        Term::Function(function) => function.accepts(0).at(operand.at),
        _ => Ok(()),
    }
}
