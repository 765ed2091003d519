//! A template, read.

use std::ops::Range;

use super::functions::Function;
use super::value::Value;

/// What stands between delimiters, in order.
pub(super) type List = Vec<Node>;

#[derive(Clone, Debug)]
pub(super) enum Node {
    /// Bytes of the source.
    Text(Range<usize>),
    Print(Pipe),
    If(Branches),
    With(Branches),
    Loop {
        pipe: Pipe,
        body: List,
        otherwise: List,
    },
    Call {
        at: usize,
        name: String,
        pipe: Option<Pipe>,
    },
    Break,
    Continue,
}

/// `if … else if … else`, flat: a chain of any length costs no stack.
#[derive(Clone, Debug)]
pub(super) struct Branches {
    pub(super) arms: Vec<(Pipe, List)>,
    pub(super) otherwise: List,
}

/// Commands, each handed the value of the one before.
#[derive(Clone, Debug)]
pub(super) struct Pipe {
    pub(super) at: usize,
    /// Variables, with `$`, that take the value; two only in a loop.
    pub(super) variables: Vec<String>,
    /// `=` rather than `:=`.
    pub(super) assigns: bool,
    pub(super) commands: Vec<Command>,
}

#[derive(Clone, Debug)]
pub(super) struct Command {
    pub(super) head: Operand,
    pub(super) arguments: Vec<Operand>,
}

/// A term and the fields that follow it. `.Title` is the field of a dot.
#[derive(Clone, Debug)]
pub(super) struct Operand {
    pub(super) at: usize,
    pub(super) term: Term,
    pub(super) fields: Vec<FieldName>,
}

#[derive(Clone, Debug)]
pub(super) struct FieldName {
    pub(super) at: usize,
    pub(super) name: String,
}

#[derive(Clone, Debug)]
pub(super) enum Term {
    Dot,
    Nil,
    Literal(Value),
    /// With `$`.
    Variable(String),
    Function(&'static Function),
    Pipe(Box<Pipe>),
}
