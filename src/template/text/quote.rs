//! Texts as literals of Go: what `%q` prints.

/// `text` in double quotes. `ascii`: with nothing else in it.
pub(super) fn text(text: &str, ascii: bool) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        push(&mut out, c, '"', ascii);
    }
    out.push('"');
    out
}

/// `c` in single quotes.
pub(super) fn character(c: char, ascii: bool) -> String {
    let mut out = String::from('\'');
    push(&mut out, c, '\'', ascii);
    out.push('\'');
    out
}

/// Whether `text` can stand between backquotes.
pub(super) fn can_be_raw(text: &str) -> bool {
    text.chars()
        .all(|c| c != '`' && c != '\u{feff}' && c != '\u{7f}' && (c == '\t' || c >= ' '))
}

fn push(out: &mut String, c: char, quote: char, ascii: bool) {
    match c {
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        c if c == quote || c == '\\' => {
            out.push('\\');
            out.push(c);
        }
        c if is_printable(c) && (c.is_ascii() || !ascii) => out.push(c),
        c => out.push_str(&code(c)),
    }
}

/// `c` by its number.
fn code(c: char) -> String {
    match c {
        '\0'..' ' | '\x7f' => format!("\\x{:02x}", u32::from(c)),
        '\0'..'\u{10000}' => format!("\\u{:04x}", u32::from(c)),
        c => format!("\\U{:08x}", u32::from(c)),
    }
}

/// Whether Go prints `c` as it is: a letter, mark, number, punctuation, symbol or plain space.
pub(super) fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return (' '..='~').contains(&c);
    }
    // The standard library knows, but shows it only in how it escapes; behind a letter it
    // lets marks stand.
    let pair: String = ['a', c].iter().collect();
    pair.escape_debug().nth(1) == Some(c)
}
