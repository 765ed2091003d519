//! `html`, `js` and `urlquery`: texts made fit for another language.

use super::error::Fault;
use super::print;
use super::quote::is_printable;
use super::value::Value;
use super::work::Text;
use super::work::Work;

pub(super) fn html(work: &mut Work, arguments: &[Value]) -> Result<String, Fault> {
    each(work, arguments, |c, out| match c {
        '\0' => out.push('\u{fffd}'),
        '"' => out.push_str("&#34;"),
        '\'' => out.push_str("&#39;"),
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        c => out.push(c),
    })
}

pub(super) fn js(work: &mut Work, arguments: &[Value]) -> Result<String, Fault> {
    each(work, arguments, |c, out| match c {
        '\\' | '\'' | '"' => {
            out.push('\\')?;
            out.push(c)
        }
        '<' | '>' | '&' | '=' | '\0'..' ' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
        '\u{80}'.. if !is_printable(c) => out.push_str(&format!("\\u{:04X}", u32::from(c))),
        c => out.push(c),
    })
}

pub(super) fn urlquery(work: &mut Work, arguments: &[Value]) -> Result<String, Fault> {
    each(work, arguments, |c, out| match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' | '~' => out.push(c),
        ' ' => out.push('+'),
        c => c
            .encode_utf8(&mut [0; 4])
            .bytes()
            .try_for_each(|byte| out.push_str(&format!("%{byte:02X}"))),
    })
}

/// The arguments as `print` writes them, character by character.
fn each(
    work: &mut Work,
    arguments: &[Value],
    write: impl Fn(char, &mut Text<'_>) -> Result<(), Fault>,
) -> Result<String, Fault> {
    let no_value = |value: &Value| match value {
        Value::Nil => Value::Str(print::NO_VALUE.into()),
        other => other.clone(),
    };
    let arguments: Vec<Value> = arguments.iter().map(no_value).collect();
    let text = print::print(work, &arguments)?;
    let mut out = Text::new(work);
    text.chars().try_for_each(|c| write(c, &mut out))?;
    Ok(out.done())
}
