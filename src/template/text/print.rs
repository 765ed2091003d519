//! Values as Go's `fmt` prints them by default.

use super::error::Fault;
use super::value::Value;
use super::verb::Spec;
use super::verb::argument;
use super::work::Text;
use super::work::Work;

/// What an action prints for no value.
pub(super) const NO_VALUE: &str = "<no value>";

/// What an action prints.
pub(super) fn action(work: &mut Work, value: &Value) -> Result<String, Fault> {
    match value {
        Value::Nil => Ok(NO_VALUE.to_owned()),
        value => print(work, std::slice::from_ref(value)),
    }
}

/// One after the other, with a space between two that are no texts.
pub(super) fn print(work: &mut Work, values: &[Value]) -> Result<String, Fault> {
    let mut out = Text::new(work);
    let mut spaced = false;
    for value in values {
        let text = matches!(value, Value::Str(_));
        if spaced && !text {
            out.push(' ')?;
        }
        spaced = !text;
        argument(&mut out, value, &mut Spec::default(), 'v')?;
    }
    Ok(out.done())
}

/// One after the other, with a space between and a newline at the end.
pub(super) fn println(work: &mut Work, values: &[Value]) -> Result<String, Fault> {
    let mut out = Text::new(work);
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            out.push(' ')?;
        }
        argument(&mut out, value, &mut Spec::default(), 'v')?;
    }
    out.push('\n')?;
    Ok(out.done())
}
