//! A plan as a comment of a pull request. Pure.
//!
//! What a configuration or a server says stands in code blocks and code spans alone, so that it can
//! neither mention people nor add markup of its own.

use std::fmt::Write as _;

use anstream::adapter::strip_str;

use crate::cli::plan_text;
use crate::cli::plan_text::Line;
use crate::cli::text_diff;
use crate::cli::text_diff::visible;
use crate::model::Plan;
use crate::model::plan::FieldChange;
use crate::model::plan::SENSITIVE;
use crate::model::plan::Shown;
use crate::sync::Refusal;
use crate::sync::way_out::WayOut;
use crate::sync::way_out::ways_out;

/// GitHub refuses longer comments; the rest is room for a line of whoever posts it.
const MAX: usize = 65_536 - 512;
/// Kept for the line that says what was left out.
const ROOM: usize = 256;
/// Longest part of one object: one huge prompt must not push out all others.
const MAX_PART: usize = 16 << 10;

/// The plan, its summary first, in at most [`MAX`] bytes. `asked`: whether the API server was asked for
/// dry runs.
pub(super) fn render(plan: &Plan, refusals: &[Refusal], asked: bool) -> String {
    let mut text = head(plan, refusals, asked);
    let parts = plan.steps.iter().filter_map(|step| {
        let line = plan_text::line(step)?;
        let changes = plan_text::changes(step);
        Some(part(&line, &step.key.to_string(), changes))
    });
    let mut left_out = 0;
    for part in parts {
        // In order, and nothing after the first that has no room: a gap would look like a whole.
        if left_out > 0 || text.len() + part.len() + ROOM > MAX {
            left_out += 1;
        } else {
            text.push_str(&part);
        }
    }
    if left_out > 0 {
        let objects = if left_out == 1 {
            "object has"
        } else {
            "objects have"
        };
        put(
            &mut text,
            format_args!(
                "\n**{left_out} further {objects} no room here.** `axon plan` shows all.\n"
            ),
        );
    }
    text
}

fn head(plan: &Plan, refusals: &[Refusal], asked: bool) -> String {
    let sum = plan.summary();
    let told = plan_text::counts(sum);
    let mut text = String::new();
    let told = if told.is_empty() {
        "no changes".to_owned()
    } else {
        told
    };
    put(&mut text, format_args!("### Axon plan: {told}\n\n"));
    put(
        &mut text,
        format_args!(
            "Sync {}, namespace {}, revision {}.\n",
            span(plan.sync.as_str()),
            span(plan.namespace.as_str()),
            span(&plan.revision.to_string()),
        ),
    );
    if sum.has_changes() {
        put(
            &mut text,
            format_args!("Agent runs this plan starts: **{}**.\n", sum.runs),
        );
    }
    for refusal in refusals {
        put(&mut text, format_args!("\n> **Refused:** {refusal}.\n"));
    }
    for WayOut { when, flags, or } in ways_out(plan) {
        let (when, flags, or) = (html(&when), html(&flags), html(&or));
        put(
            &mut text,
            format_args!("\n**Conflict:** {when}: <code>axon apply {flags}</code>; {or}.\n"),
        );
    }
    if !asked {
        put(&mut text, format_args!("\n{}\n", plan_text::NOT_ASKED));
    }
    text.push('\n');
    text
}

/// One object: a line, or a line that unfolds to what changes.
fn part(line: &Line, key: &str, changes: &[FieldChange]) -> String {
    let Line { symbol, word, .. } = line;
    let said = html(&format!("{symbol} {key}"));
    let word = html(word);
    let diff = diff(changes);
    if diff.is_empty() {
        return format!("- <code>{said}</code> <code>{word}</code>\n");
    }
    let fence = fence(&diff);
    format!(
        "<details><summary><code>{said}</code> <code>{word}</code></summary>\n\n\
         {fence}diff\n{diff}{fence}\n\n</details>\n\n"
    )
}

/// The changes as lines that are coloured by their first character.
fn diff(changes: &[FieldChange]) -> String {
    let mut text = String::new();
    for change in changes.iter().filter(|it| plan_text::is_telling(it)) {
        let by = change.changed_by.as_ref();
        let by = by.map_or(String::new(), |by| format!("  (changed by {by:?})"));
        let place = silent(&visible(&format!("{}{by}", change.path)));
        put(&mut text, format_args!("@@ {place} @@\n"));
        if let Some((before, after)) = plan_text::long(change) {
            for line in text_diff::lines(before, after) {
                let line = silent(&strip_str(&line).to_string());
                put(&mut text, format_args!("{line}\n"));
            }
            continue;
        }
        for (sign, shown) in [('-', &change.before), ('+', &change.after)] {
            match shown {
                Shown::Absent => {}
                Shown::Sensitive => put(&mut text, format_args!("{sign} {SENSITIVE}\n")),
                Shown::Value(value) => {
                    let value = silent(&plan_text::inline(value));
                    put(&mut text, format_args!("{sign} {value}\n"));
                }
            }
        }
    }
    cut(text)
}

/// At most [`MAX_PART`] bytes, by whole lines.
fn cut(mut text: String) -> String {
    if text.len() <= MAX_PART {
        return text;
    }
    let mut end = MAX_PART;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let end = text[..end].rfind('\n').map_or(end, |at| at + 1);
    text.truncate(end);
    text.push_str("… and further lines\n");
    text
}

/// A fence that nothing in the text can close.
fn fence(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}

/// Text of ours that is known to hold no backtick, as code.
fn span(text: &str) -> String {
    format!("`{text}`")
}

/// Text inside an HTML element.
fn html(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '&' => clean.push_str("&amp;"),
            '<' => clean.push_str("&lt;"),
            '>' => clean.push_str("&gt;"),
            // Markdown goes on inside inline elements.
            '`' | '*' | '_' | '[' | ']' | '\\' | '~' | '|' | '!' | '#' => {
                put(&mut clean, format_args!("&#{};", u32::from(c)));
            }
            '\n' | '\r' => clean.push(' '),
            other => clean.push(other),
        }
    }
    silent(&clean)
}

/// The text without mentions, for hosts that look for them in code too.
fn silent(text: &str) -> String {
    text.replace('@', "@\u{200b}")
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("a String takes any text");
}

#[cfg(test)]
mod tests;
