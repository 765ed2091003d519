//! Text that a terminal shows and does not obey.

/// `text` without terminal control sequences and other control characters; line breaks stay, what
/// turns or hides text is marked.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' if chars.next_if_eq(&'[').is_some() => {
                // Parameters, up to and with the letter that ends them.
                let _ = chars.by_ref().find(|c| ('@'..='~').contains(c));
            }
            '\n' => out.push(c),
            '\t' => out.push(' '),
            c if c.is_control() => {}
            c if is_invisible(c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// Characters that change the direction of text or take no room.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The beginning of `text`, at most `max` bytes of it; a mark says that there was more.
pub(crate) fn cut(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let end = (0..=max).rev().find(|at| text.is_char_boundary(*at));
    format!("{}…", &text[..end.unwrap_or(0)])
}

/// `text` on one line, at most `max` bytes of it.
pub(crate) fn one_line(text: &str, max: usize) -> String {
    // Twice as much is enough to fill it, unless most of it is blank.
    let words: Vec<&str> = head(text, 2 * max).split_whitespace().collect();
    let line = words.join(" ");
    let cut_line = cut(&line, max);
    if text.len() > 2 * max && line.len() <= max {
        return cut_line + "…";
    }
    cut_line
}

fn head(text: &str, max: usize) -> &str {
    let end = (0..=max.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_terminals_obey_is_gone() {
        let check = |text: &str, expected: &str| assert_eq!(plain(text), expected);
        check("\u{1b}[31mred\u{1b}[0m\r\n\tx", "red\n x");
        check("a\u{202e}b\u{7}\u{1b}]0;title", "a\u{fffd}b]0;title");
        check("\u{1b}[", "");
    }

    #[test]
    fn what_is_cut_says_so() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("aüb", 2), "a…");
        assert_eq!(one_line(" a\n  b ", 10), "a b");
        assert_eq!(one_line("one two three", 7), "one two…");
        assert_eq!(one_line(&format!("a{}b", " ".repeat(100)), 4), "a…");
    }
}
