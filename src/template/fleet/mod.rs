//! Texts of a fleet: Tera expressions over a few scalars. Pure, bounded.
//!
//! A fleet comes from a tenant. So Tera never reads a text as it was written: it is cut into
//! literals and expressions here, and only expressions, rewritten from tokens that are known to be
//! harmless, reach Tera. There are no statements, loops, functions or includes, filters are those of
//! [`FILTERS`], and every text, expression and filter is counted against a budget.

mod filter;
mod lex;

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use tera::Context;
use tera::ErrorKind;
use tera::Tera;

pub use self::filter::FILTERS;
use self::lex::Piece;
pub use self::lex::TESTS;
pub use self::lex::is_variable;

/// Longest text that a template may write: twice what a prompt can hold.
pub const MAX_OUTPUT: usize = 256 << 10;
/// Most different expressions of one configuration: each is kept compiled.
const MAX_EXPRESSIONS: usize = 1_000;
/// What all fleets of one configuration may cost, about in bytes written.
const BUDGET: usize = 64 << 20;
/// What evaluating an expression costs besides what it writes.
const EVALUATION: usize = 256;
/// The name of the only template in each compiled expression.
const NAME: &str = "expression";

/// A value of a fleet's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scalar {
    Text(String),
    Number(i64),
    Bool(bool),
}

impl fmt::Display for Scalar {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => out.write_str(text),
            Self::Number(number) => number.fmt(out),
            Self::Bool(value) => value.fmt(out),
        }
    }
}

/// Why a text cannot be expanded, and where in it. Line and column count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub line: usize,
    pub column: usize,
    pub fault: Fault,
}

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("unknown variable \"{0}\"")]
    Undefined(String),
    #[error("unknown filter \"{0}\"")]
    UnknownFilter(String),
    #[error("unknown test \"{0}\"")]
    UnknownTest(String),
    #[error("there are no functions here, such as \"{0}\"")]
    Function(String),
    #[error("there are no loops here")]
    Loop,
    #[error("there are no statements here, only expressions \"{{{{ … }}}}\"")]
    Statement,
    #[error("the values of a fleet have no fields")]
    Fields,
    #[error("\"{0}\" is not closed")]
    Unclosed(&'static str),
    #[error("\"{0}\" cannot stand in an expression")]
    Unexpected(char),
    #[error("an expression is missing between \"{{{{\" and \"}}}}\"")]
    Empty,
    #[error("an expression has at most {} words and signs", lex::MAX_TOKENS)]
    TooLong,
    #[error("the fleets have more than {MAX_EXPRESSIONS} different expressions")]
    TooMany,
    #[error("what it writes is longer than {} KiB", MAX_OUTPUT >> 10)]
    TooLarge,
    #[error("the fleets of this configuration take too long to expand")]
    TooMuch,
    /// What Tera says.
    #[error("{0}")]
    Invalid(String),
}

/// Reads and writes the texts of the fleets of one configuration.
pub struct Fleets {
    base: Tera,
    compiled: HashMap<String, Arc<Tera>>,
    spent: Arc<AtomicUsize>,
}

/// A text with expressions in it.
pub struct Text {
    parts: Vec<Part>,
}

enum Part {
    Literal(String),
    Expression {
        line: usize,
        column: usize,
        tera: Arc<Tera>,
    },
}

impl Default for Fleets {
    fn default() -> Self {
        let spent = Arc::new(AtomicUsize::new(0));
        let mut base = Tera::default();
        filter::register(&mut base, &spent);
        Self {
            base,
            compiled: HashMap::new(),
            spent,
        }
    }
}

impl Fleets {
    /// Reads a text whose expressions name only `variables`. Gives those that it names, too.
    pub fn parse<'t>(
        &mut self,
        text: &'t str,
        variables: &BTreeSet<&str>,
    ) -> Result<(Text, BTreeSet<&'t str>), Error> {
        let mut parts = Vec::new();
        let mut used = BTreeSet::new();
        for piece in lex::pieces(text)? {
            match piece {
                Piece::Literal(text) => parts.push(Part::Literal(text)),
                Piece::Expression(expression) => {
                    for (name, line, column) in &expression.variables {
                        if !variables.contains(name) {
                            return Err(Error {
                                line: *line,
                                column: *column,
                                fault: Fault::Undefined((*name).to_owned()),
                            });
                        }
                    }
                    used.extend(expression.variables.iter().map(|(name, ..)| *name));
                    let (line, column) = (expression.line, expression.column);
                    let failed = |fault| Error {
                        line,
                        column,
                        fault,
                    };
                    let tera = self.compile(expression.source).map_err(failed)?;
                    parts.push(Part::Expression { line, column, tera });
                }
            }
        }
        Ok((Text { parts }, used))
    }

    fn compile(&mut self, source: String) -> Result<Arc<Tera>, Fault> {
        if let Some(tera) = self.compiled.get(&source) {
            return Ok(Arc::clone(tera));
        }
        if self.compiled.len() == MAX_EXPRESSIONS {
            return Err(Fault::TooMany);
        }
        let mut tera = self.base.clone();
        tera.add_raw_template(NAME, &source)
            .map_err(|error| Fault::of(&error))?;
        let tera = Arc::new(tera);
        self.compiled.insert(source, Arc::clone(&tera));
        Ok(tera)
    }

    /// What a text says where the variables have these values.
    pub fn write(&self, text: &Text, values: &[(&str, &Scalar)]) -> Result<String, Error> {
        let mut context = Context::new();
        for (name, value) in values {
            let value = match value {
                Scalar::Text(text) => tera::Value::from(text.as_str()),
                Scalar::Number(number) => tera::Value::from(*number),
                Scalar::Bool(value) => tera::Value::from(*value),
            };
            context.insert_value((*name).to_owned(), value);
        }
        let mut out = Out(Vec::new());
        for part in &text.parts {
            match part {
                Part::Literal(text) => {
                    let written = io::Write::write_all(&mut out, text.as_bytes());
                    written.map_err(|_| Error::at(1, 1, Fault::TooLarge))?;
                }
                Part::Expression { line, column, tera } => {
                    let failed = |fault| Error::at(*line, *column, fault);
                    let before = out.0.len();
                    filter::spend(&self.spent, EVALUATION).map_err(failed)?;
                    let rendered = tera.render_to(NAME, &context, &mut out);
                    let spent = filter::spend(&self.spent, out.0.len() - before);
                    rendered.map_err(|error| failed(self.fault(&error)))?;
                    spent.map_err(failed)?;
                }
            }
        }
        String::from_utf8(out.0)
            .map_err(|_| Error::at(1, 1, Fault::Invalid("not UTF-8 text".to_owned())))
    }

    fn fault(&self, error: &tera::Error) -> Fault {
        match error.kind() {
            ErrorKind::Io(_) => Fault::TooLarge,
            _ if self.spent.load(Ordering::Relaxed) > BUDGET => Fault::TooMuch,
            _ => Fault::of(error),
        }
    }
}

impl Error {
    fn at(line: usize, column: usize, fault: Fault) -> Self {
        Self {
            line,
            column,
            fault,
        }
    }
}

impl Fault {
    /// Tera's words without its picture of the source, which is not what was written.
    fn of(error: &tera::Error) -> Self {
        let message = match error.kind() {
            ErrorKind::SyntaxError(report) | ErrorKind::RenderingError(report) => {
                report.message().to_owned()
            }
            other => other.to_string(),
        };
        let line = message.lines().next().unwrap_or_default();
        let line = line.strip_prefix("error: ").unwrap_or(line);
        let mut line: String = line.replace('`', "\"").chars().take(160).collect();
        if let Some(first) = line.get_mut(..1) {
            first.make_ascii_lowercase();
        }
        Self::Invalid(line)
    }
}

/// Whether a text has anything to expand.
pub fn is_template(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|sign| text.contains(sign))
}

/// Holds at most [`MAX_OUTPUT`].
struct Out(Vec<u8>);

impl io::Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_OUTPUT {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
