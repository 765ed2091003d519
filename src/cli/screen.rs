//! How much a terminal shows, and how text is cut to it.

use std::io;
use std::io::IsTerminal as _;

use clap::Command;

use crate::cli::text_diff::visible;

/// Words of one letter that are put before the argument parser to see where it breaks the line.
const WORDS: usize = 1_000;
/// What a terminal of unknown size is taken for.
const USUAL: usize = 80;

/// Columns of the terminal that data goes to; none where it goes to a file or a pipe, which take all.
pub(super) fn width() -> Option<usize> {
    io::stdout().is_terminal().then(|| {
        // The argument parser knows the size, for its help, and is the only one that does without
        // one more dependency. Letters and spaces alternate, so the answer may be one too low.
        let help = Command::new("width")
            .help_template("{about}")
            .max_term_width(0)
            .about("x ".repeat(WORDS))
            .render_help()
            .to_string();
        let line = help.lines().next().map_or(0, |it| it.trim_end().len());
        if line == 0 { USUAL } else { line }
    })
}

/// `text` on one line, without anything that could steer a terminal.
pub(super) fn line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    visible(&words.join(" "))
}

/// The first `columns` columns of `text`; its end shows that there was more.
pub(super) fn cut(text: &str, columns: usize) -> String {
    if columns_of(text) <= columns {
        return text.to_owned();
    }
    let mut cut = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += columns_of_char(c);
        if used + 1 > columns {
            break;
        }
        cut.push(c);
    }
    cut.push('…');
    cut
}

/// Columns that `text` takes.
pub(super) fn columns_of(text: &str) -> usize {
    text.chars().map(columns_of_char).sum()
}

/// East Asian letters and pictures take two columns. Close enough for a layout.
fn columns_of_char(c: char) -> usize {
    match c {
        '\u{300}'..='\u{36f}' => 0,
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_says_so() {
        let check = |text: &str, columns, expected: &str| assert_eq!(cut(text, columns), expected);
        check("abc", 3, "abc");
        check("abcd", 3, "ab…");
        check("日本語", 4, "日…");
        check("日本語", 6, "日本語");
        check("", 0, "");
        check("ab", 1, "…");
    }

    #[test]
    fn a_line_cannot_steer_the_terminal() {
        assert_eq!(line("a\n b\u{1b}[2J\tc"), "a b\\u{1b}[2J c");
    }
}
