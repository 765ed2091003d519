//! Go's `text/template` with `missingkey=error`, bounded.
//!
//! It is our own because a template comes from a tenant: whatever it says, reading and running
//! it takes bounded time, memory and stack. Left out: complex numbers, floats in base 2 and 16,
//! and redefining a template.

mod check;
mod error;
mod escape;
mod eval;
mod functions;
mod lex;
pub(crate) mod limits;
mod literal;
mod number;
mod parse;
mod pipeline;
mod print;
mod printf;
mod quote;
#[cfg(test)]
mod tests;
mod tree;
mod value;
mod verb;
mod work;

use std::sync::Arc;

use self::parse::Parsed;

pub(crate) use self::check::Data;
pub(crate) use self::check::Uses;
pub use self::error::Error;
pub use self::error::Fault;
pub use self::limits::Limit;
pub(crate) use self::value::Value;

/// A template, read.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    source: Arc<str>,
    parsed: Arc<Parsed>,
}

impl Program {
    pub(crate) fn parse(source: &str) -> Result<Self, Error> {
        if source.len() > limits::MAX_TEMPLATE {
            return Err(Error {
                line: 1,
                column: 1,
                fault: Fault::Limit(Limit::Template),
            });
        }
        let parsed = parse::parse(&lex::tokens(source)).map_err(|it| it.within(source))?;
        Ok(Self {
            source: source.into(),
            parsed: Arc::new(parsed),
        })
    }

    /// Refuses fields that `data` cannot have; tells which it uses.
    pub(crate) fn check(&self, data: Data<'_>) -> Result<Uses, Error> {
        check::check(&self.parsed, data).map_err(|it| it.within(&self.source))
    }

    /// What the template writes for `data`: at most `max` bytes.
    pub(crate) fn render(&self, data: &Value, max: usize) -> Result<String, Error> {
        let max = max.min(limits::MAX_OUTPUT);
        eval::run(self, data, max).map_err(|it| it.within(&self.source))
    }
}
