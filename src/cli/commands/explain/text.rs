//! A field's page, as people read it.

use std::fmt::Write as _;

use anstyle::Style;

use super::shape::Shape;

/// Widest line.
const WIDTH: usize = 90;
/// Headings and names.
const BOLD: Style = Style::new().bold();

/// The description, what the value must be, and its fields.
pub(super) fn page(title: &str, path: &str, shape: &Shape<'_>) -> String {
    let mut page = String::new();
    let subject = match path {
        "" => title.to_owned(),
        path => format!("{title}: {path}"),
    };
    // Writing to a String cannot fail.
    writeln!(page, "{BOLD}{subject}{BOLD:#}  {}\n", shape.kind()).ok();
    // The fields of an entry are more use than the word "map".
    let mut names = Vec::new();
    let inner = shape
        .clone()
        .through_names(&mut |sign| names.push(sign.to_owned()));
    let mut described = false;
    let has_fields = !names.is_empty() && inner.fields().next().is_some();
    for part in [Some(shape), has_fields.then_some(&inner)]
        .into_iter()
        .flatten()
    {
        let description = part.description();
        if !description.is_empty() {
            paragraph(&mut page, "", description);
            described = true;
        }
    }
    if described {
        page.push('\n');
    }
    let facts = facts(shape, false);
    for fact in &facts {
        paragraph(&mut page, "  ", fact);
    }
    if !facts.is_empty() {
        page.push('\n');
    }
    fields(&mut page, &names.concat(), &inner);
    page
}

fn fields(page: &mut String, through: &str, shape: &Shape<'_>) {
    let mut all: Vec<_> = shape.fields().collect();
    if all.is_empty() {
        return;
    }
    // What must be there first.
    all.sort_by_key(|(name, _, required)| (!*required, *name));
    let of = match through {
        "" => String::new(),
        through => format!(" of {through}"),
    };
    writeln!(page, "{BOLD}Fields{of}{BOLD:#}").ok();
    for (name, field, required) in all {
        let required = if required { ", required" } else { "" };
        writeln!(page, "  {BOLD}{name}{BOLD:#}  {}{required}", field.kind()).ok();
        let first = field.description().split("\n\n").next().unwrap_or_default();
        if !first.is_empty() {
            paragraph(page, "      ", first);
        }
        for fact in facts(&field, true) {
            paragraph(page, "      ", &fact);
        }
    }
    page.push('\n');
}

/// What a value must be; on a page of several only what is short.
fn facts(shape: &Shape<'_>, is_brief: bool) -> Vec<String> {
    let mut facts = shape.constraints();
    if is_brief {
        facts.retain(|fact| fact.starts_with("one of") || fact.starts_with("always"));
    }
    facts.extend(shape.default().map(|value| format!("default: {value}")));
    facts
}

/// Text in lines that are not too long.
fn paragraph(page: &mut String, indent: &str, text: &str) {
    let mut line = indent.to_owned();
    for word in text.split_whitespace() {
        let is_first = line.len() == indent.len();
        if !is_first && line.chars().count() + 1 + word.chars().count() > WIDTH {
            writeln!(page, "{line}").ok();
            indent.clone_into(&mut line);
        }
        if line.len() > indent.len() {
            line.push(' ');
        }
        line.push_str(word);
    }
    writeln!(page, "{line}").ok();
}
