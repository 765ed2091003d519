//! The functions that Go's templates have.

use std::cmp::Ordering;
use std::sync::Arc;

use super::error::Fault;
use super::escape;
use super::limits::STEP;
use super::print;
use super::printf;
use super::value::Value;
use super::work::Work;

/// A function and how many arguments it takes.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    min: usize,
    max: usize,
    pub(super) code: Code,
}

#[derive(Debug)]
pub(super) enum Code {
    /// Give back the first argument that is false; the rest is not evaluated.
    And,
    Or,
    Plain(fn(&mut Work, &[Value]) -> Result<Value, Fault>),
    Text(fn(&mut Work, &[Value]) -> Result<String, Fault>),
}

const ANY: usize = usize::MAX;

static FUNCTIONS: &[Function] = &[
    plain("call", 1, ANY, |_, _| {
        Err(Fault::Value("there is no value that is a function".into()))
    }),
    Function {
        name: "and",
        min: 1,
        max: ANY,
        code: Code::And,
    },
    Function {
        name: "or",
        min: 1,
        max: ANY,
        code: Code::Or,
    },
    plain("not", 1, 1, |_, it| Ok(Value::Bool(!it[0].is_true()))),
    plain("len", 1, 1, |_, it| len(&it[0])),
    plain("index", 1, ANY, |_, it| index(it)),
    plain("slice", 1, 4, slice),
    plain("eq", 2, ANY, |work, it| eq(work, it).map(Value::Bool)),
    plain("ne", 2, 2, |work, it| Ok(Value::Bool(!eq(work, it)?))),
    plain("lt", 2, 2, |work, it| ordered(work, it, Ordering::is_lt)),
    plain("le", 2, 2, |work, it| ordered(work, it, Ordering::is_le)),
    plain("gt", 2, 2, |work, it| ordered(work, it, Ordering::is_gt)),
    plain("ge", 2, 2, |work, it| ordered(work, it, Ordering::is_ge)),
    text("print", 0, print::print),
    text("println", 0, print::println),
    text("printf", 1, printf::printf),
    text("html", 0, escape::html),
    text("js", 0, escape::js),
    text("urlquery", 0, escape::urlquery),
];

const fn plain(
    name: &'static str,
    min: usize,
    max: usize,
    code: fn(&mut Work, &[Value]) -> Result<Value, Fault>,
) -> Function {
    let code = Code::Plain(code);
    Function {
        name,
        min,
        max,
        code,
    }
}

const fn text(
    name: &'static str,
    min: usize,
    code: fn(&mut Work, &[Value]) -> Result<String, Fault>,
) -> Function {
    let code = Code::Text(code);
    Function {
        name,
        min,
        max: ANY,
        code,
    }
}

pub(super) fn function(name: &str) -> Result<&'static Function, Fault> {
    FUNCTIONS
        .iter()
        .find(|it| it.name == name)
        .ok_or_else(|| Fault::unknown_function(name, FUNCTIONS.iter().map(|it| it.name)))
}

impl Function {
    /// Whether it takes `got` arguments.
    pub(super) fn accepts(&self, got: usize) -> Result<(), Fault> {
        if (self.min..=self.max).contains(&got) {
            return Ok(());
        }
        let takes = match (self.min, self.max) {
            (min, ANY) => format!("at least {min}"),
            (min, max) if min == max => min.to_string(),
            (min, max) => format!("{min} to {max}"),
        };
        let plural = if takes.ends_with('1') { "" } else { "s" };
        Err(Fault::Arguments {
            name: self.name,
            takes: format!("{takes} argument{plural}"),
            got,
        })
    }
}

fn len(of: &Value) -> Result<Value, Fault> {
    let len = match of {
        Value::Str(text) => text.len(),
        Value::List(values) => values.len(),
        Value::Map(values) => values.len(),
        Value::Nil | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
            return Err(Fault::Value(format!("{} has no length", of.noun())));
        }
    };
    Ok(Value::Int(len as i128))
}

/// `index x 1 "a"` is `x[1]["a"]`. A byte of a text is a number; a missing key no value.
fn index(arguments: &[Value]) -> Result<Value, Fault> {
    let mut item = arguments[0].clone();
    if item == Value::Nil {
        return Err(Fault::Value("there is no value to index".into()));
    }
    for index in &arguments[1..] {
        item = match &item {
            Value::List(values) => values[position(index, values.len(), false)?].clone(),
            Value::Str(text) => {
                let at = position(index, text.len(), false)?;
                Value::Int(text.as_bytes()[at].into())
            }
            Value::Map(values) => match index {
                Value::Str(key) => values.get(&**key).cloned().unwrap_or(Value::Nil),
                _ => {
                    return Err(Fault::Value(format!(
                        "a map has texts for keys, not {}",
                        index.noun()
                    )));
                }
            },
            Value::Nil | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
                return Err(Fault::Value(format!("cannot index {}", item.noun())));
            }
        };
    }
    Ok(item)
}

/// `slice x 1 2` is `x[1:2]`. Counts bytes; half a character becomes U+FFFD, as it does on its
/// way to the API server in Go.
fn slice(work: &mut Work, arguments: &[Value]) -> Result<Value, Fault> {
    let len = match &arguments[0] {
        Value::Str(_) if arguments.len() == 4 => {
            return Err(Fault::Value("a text has no capacity to slice".into()));
        }
        Value::Str(text) => text.len(),
        Value::List(values) => values.len(),
        item => return Err(Fault::Value(format!("cannot slice {}", item.noun()))),
    };
    let mut bounds = [0, len, len];
    for (bound, index) in bounds.iter_mut().zip(&arguments[1..]) {
        *bound = position(index, len, true)?;
    }
    let [start, end, capacity] = bounds;
    if start > end || end > capacity {
        return Err(Fault::Value(format!(
            "cannot slice from {start} to {}",
            end.min(capacity)
        )));
    }
    let item_cost = if matches!(arguments[0], Value::List(_)) {
        STEP
    } else {
        1
    };
    work.spend((end - start).saturating_mul(item_cost))?;
    Ok(match &arguments[0] {
        Value::Str(text) => {
            Value::Str(String::from_utf8_lossy(&text.as_bytes()[start..end]).into())
        }
        Value::List(values) => Value::List(Arc::from(&values[start..end])),
        other => other.clone(),
    })
}

fn position(index: &Value, len: usize, end: bool) -> Result<usize, Fault> {
    let Value::Int(at) = index else {
        return Err(Fault::Value(format!(
            "an index must be a number, not {}",
            index.noun()
        )));
    };
    usize::try_from(*at)
        .ok()
        .filter(|&at| at < len || end && at == len)
        .ok_or_else(|| Fault::Value(format!("index {at} is out of range: length is {len}")))
}

/// Whether the first argument equals one of the others.
fn eq(work: &mut Work, arguments: &[Value]) -> Result<bool, Fault> {
    let first = &arguments[0];
    for other in &arguments[1..] {
        let equal = match (first, other) {
            (Value::Nil, Value::Nil) => true,
            (Value::Nil, _) | (_, Value::Nil) => false,
            _ => compare(work, first, other)? == Some(Ordering::Equal),
        };
        if equal {
            return Ok(true);
        }
    }
    Ok(false)
}

fn ordered(
    work: &mut Work,
    arguments: &[Value],
    test: fn(Ordering) -> bool,
) -> Result<Value, Fault> {
    if matches!(arguments[0], Value::Bool(_)) {
        return Err(Fault::Value("truth values have no order".into()));
    }
    let order = compare(work, &arguments[0], &arguments[1])?;
    Ok(Value::Bool(order.is_some_and(test)))
}

/// The order of two values of the same kind.
fn compare(work: &mut Work, a: &Value, b: &Value) -> Result<Option<Ordering>, Fault> {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Ok(Some(a.cmp(b))),
        (Value::Int(a), Value::Int(b)) => Ok(Some(a.cmp(b))),
        (Value::Float(a), Value::Float(b)) => Ok(a.partial_cmp(b)),
        (Value::Str(a), Value::Str(b)) => {
            work.spend(a.len().min(b.len()))?;
            Ok(Some(a.cmp(b)))
        }
        _ => Err(Fault::Value(format!(
            "cannot compare {} with {}",
            a.noun(),
            b.noun()
        ))),
    }
}
