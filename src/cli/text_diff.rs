//! Two texts, by the lines that differ, with the words that differ emphasised.

use std::fmt::Write as _;
use std::time::Duration;

use anstyle::AnsiColor;
use anstyle::Style;
use similar::ChangeTag;
use similar::TextDiff;

/// Unchanged lines around a changed one.
const CONTEXT: usize = 2;
/// Longest line that is shown.
const MAX_LINE: usize = 400;
/// Most lines that are shown of one text.
const MAX_LINES: usize = 60;
/// After this the rest of two texts is taken as different: prompts have up to 128 KiB.
const LIMIT: Duration = Duration::from_millis(200);

const REMOVED: Style = AnsiColor::Red.on_default();
const ADDED: Style = AnsiColor::Green.on_default();
const DIM: Style = Style::new().dimmed();

/// Appends the lines that differ, indented below a field.
pub(super) fn render(text: &mut String, before: &str, after: &str) {
    for line in lines(before, after) {
        writeln!(text, "        {line}").expect("a String takes any text");
    }
}

/// The lines that differ, each with its sign first.
pub(super) fn lines(before: &str, after: &str) -> Vec<String> {
    let diff = TextDiff::configure()
        .timeout(LIMIT)
        .diff_lines(before, after);
    let mut lines = Vec::new();
    for (at, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if at > 0 {
            lines.push(format!("{DIM}…{DIM:#}"));
        }
        for op in group {
            // What is beyond is not shown anyway.
            if lines.len() > MAX_LINES {
                break;
            }
            for change in diff.iter_inline_changes(op) {
                lines.push(line(change.tag(), change.iter_strings_lossy()));
            }
        }
    }
    let beyond = lines.len().saturating_sub(MAX_LINES);
    lines.truncate(MAX_LINES);
    if beyond > 0 {
        lines.push(format!("{DIM}… and further lines{DIM:#}"));
    }
    lines
}

fn line<'a>(
    tag: ChangeTag,
    parts: impl Iterator<Item = (bool, std::borrow::Cow<'a, str>)>,
) -> String {
    let (sign, style) = match tag {
        ChangeTag::Delete => ('-', REMOVED),
        ChangeTag::Insert => ('+', ADDED),
        ChangeTag::Equal => (' ', Style::new()),
    };
    let mut line = format!("{style}{sign} {style:#}");
    let mut room = MAX_LINE;
    for (emphasised, part) in parts {
        let shown: String = visible(part.trim_end_matches(['\n', '\r']))
            .chars()
            .take(room)
            .collect();
        room -= shown.chars().count();
        let style = if emphasised {
            style.bold().underline()
        } else {
            style
        };
        write!(line, "{style}{shown}{style:#}").expect("a String takes any text");
    }
    if room == 0 {
        line.push('…');
    }
    line
}

/// `text` with all that could steer a terminal or hide in it written out.
pub(super) fn visible(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\t' || !steers(c) {
            clean.push(c);
        } else {
            clean.extend(c.escape_unicode());
        }
    }
    clean
}

/// Control characters, and those that reorder or hide text.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: &str, after: &str, expected: &[&str]) {
        let mut text = String::new();
        render(&mut text, before, after);
        let text = anstream::adapter::strip_str(&text).to_string();
        let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn only_what_differs_is_shown_with_its_surroundings() {
        let before = "1\n2\n3\n4\n5\nold word here\n7\n8\n9\n10\n";
        let after = before.replace("old", "new");
        check(
            before,
            &after,
            &["4", "5", "- old word here", "+ new word here", "7", "8"],
        );
    }

    #[test]
    fn words_that_differ_are_emphasised() {
        let mut text = String::new();
        render(&mut text, "fix the old bug\n", "fix the new bug\n");
        let bold = ADDED.bold().underline();
        assert!(text.contains(&format!("{bold}new{bold:#}")), "{text:?}");
    }

    #[test]
    fn a_text_cannot_steer_the_terminal() {
        check(
            "a\n",
            "\u{1b}[2Jb\u{202e}c\n",
            &["- a", "+ \\u{1b}[2Jb\\u{202e}c"],
        );
    }

    #[test]
    fn huge_texts_are_cut() {
        let before = "x y\n".repeat(30_000);
        let after = "y z\n".repeat(30_000);
        let mut text = String::new();
        render(&mut text, &before, &after);
        assert_eq!(text.lines().count(), MAX_LINES + 1);
        let mut text = String::new();
        render(&mut text, "a", &"b".repeat(100_000));
        assert!(text.chars().count() < 2 * MAX_LINE, "{}", text.len());
    }
}
