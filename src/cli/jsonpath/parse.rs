//! From text to parts.

use super::Error;
use super::Part;
use super::path;

/// Most ranges within each other.
const MAX_DEPTH: usize = 8;

pub(super) fn template(text: &str) -> Result<Vec<Part>, Error> {
    let mut rest = text;
    // The parts of each open range, outermost first, below those of the whole.
    let mut open: Vec<(Option<path::Path>, Vec<Part>)> = vec![(None, Vec::new())];
    let mut has_expression = false;
    while !rest.is_empty() {
        let Some(begin) = rest.find('{') else {
            push(&mut open, Part::Text(rest.to_owned()));
            break;
        };
        if begin > 0 {
            push(&mut open, Part::Text(rest[..begin].to_owned()));
        }
        let length = closing(&rest[begin..]).ok_or(Error::Unclosed)?;
        let inner = rest[begin + 1..begin + length].trim();
        rest = &rest[begin + length + 1..];
        has_expression = true;
        match inner.split_once(char::is_whitespace) {
            Some(("range", over)) => {
                if open.len() > MAX_DEPTH {
                    return Err(Error::TooDeep(MAX_DEPTH));
                }
                open.push((Some(path::parse(over.trim())?), Vec::new()));
            }
            _ if inner == "end" => {
                let closed = open.pop().filter(|_| !open.is_empty());
                let Some((Some(over), parts)) = closed else {
                    return Err(Error::EndWithoutRange);
                };
                push(&mut open, Part::Range(over, parts));
            }
            _ => {
                let part = expression(inner)?;
                push(&mut open, part);
            }
        }
    }
    if !has_expression {
        return Err(Error::NoBraces);
    }
    match (open.pop(), open.is_empty()) {
        (Some((None, parts)), true) => Ok(parts),
        _ => Err(Error::RangeWithoutEnd),
    }
}

fn push(open: &mut [(Option<path::Path>, Vec<Part>)], part: Part) {
    if let Some((_, parts)) = open.last_mut() {
        parts.push(part);
    }
}

fn expression(inner: &str) -> Result<Part, Error> {
    let mut chars = inner.chars();
    match chars.next() {
        Some(quote @ ('"' | '\'')) => {
            let text = inner[1..].strip_suffix(quote);
            let text =
                text.ok_or_else(|| Error::Expression(inner.to_owned(), "no closing quote"))?;
            Ok(Part::Text(unescaped(text)))
        }
        _ => path::parse(inner).map(Part::Path),
    }
}

fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
            c => out.push(c),
        }
    }
    out
}

/// Where the brace that `text` begins with is closed; braces in quotes do not count.
fn closing(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (_, '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '}') => return Some(at),
            (Some(_) | None, _) => {}
        }
    }
    // A quote that is not closed is told of where the expression is read.
    quote.and_then(|_| text.find('}'))
}
