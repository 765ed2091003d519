//! Numbers, characters and strings as Go writes them in its source.

use super::error::Fault;
use super::error::shown;
use super::value::Value;

/// The value of a number: a whole one of 64 bits, or a float if it is written as one.
pub(super) fn number(text: &str) -> Result<Value, Fault> {
    let refused = || Fault::Literal {
        text: shown(text),
        kind: "number",
    };
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', b'0'..=b'9' | b'_', ..] if !digits.contains(['.', 'e', 'E']) => (8, &digits[1..]),
        _ => (10, digits),
    };
    let prefixed = radix != 10;
    let plain = without_separators(digits, prefixed).ok_or_else(refused)?;
    if radix == 10 && plain.contains(['.', 'e', 'E']) {
        let float: f64 = plain.parse().map_err(|_| refused())?;
        let float = if negative { -float } else { float };
        return float
            .is_finite()
            .then_some(Value::Float(float))
            .ok_or_else(refused);
    }
    if !plain.starts_with(|c: char| c.is_digit(radix)) {
        return Err(refused());
    }
    let size = i128::from_str_radix(&plain, radix).map_err(|_| refused())?;
    let value = if negative { -size } else { size };
    i64::try_from(value).map_err(|_| refused())?;
    Ok(Value::Int(value))
}

/// `digits` without `_`, which may only stand between digits (or after a prefix).
fn without_separators(digits: &str, prefixed: bool) -> Option<String> {
    let bytes = digits.as_bytes();
    let good = |at: usize| {
        let before = at
            .checked_sub(1)
            .map_or(prefixed, |it| bytes[it].is_ascii_alphanumeric());
        before && bytes.get(at + 1).is_some_and(u8::is_ascii_alphanumeric)
    };
    let all = digits
        .bytes()
        .enumerate()
        .all(|(at, c)| c != b'_' || good(at));
    all.then(|| digits.replace('_', ""))
}

/// The value of a character, with its quotes: a number.
pub(super) fn character(text: &str) -> Result<Value, Fault> {
    let refused = || Fault::Literal {
        text: shown(text),
        kind: "character",
    };
    let inner = text.strip_prefix('\'').and_then(|it| it.strip_suffix('\''));
    let mut rest = inner.ok_or_else(refused)?;
    let value = match unescape(&mut rest, '\'') {
        Some(Piece::Char(c)) => u32::from(c),
        Some(Piece::Byte(byte)) => u32::from(byte),
        None => return Err(refused()),
    };
    if rest.is_empty() {
        Ok(Value::Int(value.into()))
    } else {
        Err(refused())
    }
}

/// The value of a string in double quotes, with its quotes.
pub(super) fn quoted(text: &str) -> Result<String, Fault> {
    let refused = || Fault::Literal {
        text: shown(text),
        kind: "string",
    };
    let inner = text.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    let mut rest = inner.ok_or_else(refused)?;
    let mut bytes = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        match unescape(&mut rest, '"').ok_or_else(refused)? {
            Piece::Char(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Piece::Byte(byte) => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| refused())
}

/// The value of a string in backquotes, with its quotes.
pub(super) fn raw(text: &str) -> String {
    let inner = text.strip_prefix('`').and_then(|it| it.strip_suffix('`'));
    inner.unwrap_or(text).replace('\r', "")
}

enum Piece {
    Char(char),
    Byte(u8),
}

/// Takes one character or escape from the front of `rest`.
fn unescape(rest: &mut &str, quote: char) -> Option<Piece> {
    let mut chars = rest.chars();
    let first = chars.next().filter(|&c| c != quote)?;
    if first != '\\' {
        *rest = chars.as_str();
        return Some(Piece::Char(first));
    }
    let escape = chars.next()?;
    *rest = chars.as_str();
    let plain = match escape {
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        '\\' => '\\',
        c if c == quote => c,
        'x' => return Some(Piece::Byte(u8::try_from(digits(rest, 2, 16)?).ok()?)),
        'u' => char::from_u32(digits(rest, 4, 16)?)?,
        'U' => char::from_u32(digits(rest, 8, 16)?)?,
        first @ '0'..='7' => {
            let high = u32::from(first) - u32::from('0');
            let value = high * 64 + digits(rest, 2, 8)?;
            return Some(Piece::Byte(u8::try_from(value).ok()?));
        }
        _ => return None,
    };
    Some(Piece::Char(plain))
}

/// Takes a number of exactly `count` digits from the front of `rest`.
fn digits(rest: &mut &str, count: usize, radix: u32) -> Option<u32> {
    let (text, after) = rest.split_at_checked(count)?;
    if !text.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    *rest = after;
    u32::from_str_radix(text, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let check = |text: &str, expected: Option<Value>| {
            assert_eq!(number(text).ok(), expected, "{text}");
        };
        for (text, value) in [
            ("42", 42),
            ("-7", -7),
            ("+0", 0),
            ("0x1F", 31),
            ("1_000", 1_000),
            ("0x_ff", 255),
            ("0b101", 5),
            ("0o17", 15),
            ("017", 15),
            ("-9223372036854775808", i128::from(i64::MIN)),
        ] {
            check(text, Some(Value::Int(value)));
        }
        for (text, value) in [
            ("1.5", 1.5),
            ("1e3", 1000.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("01.5", 1.5),
        ] {
            check(text, Some(Value::Float(value)));
        }
        for bad in [
            "9223372036854775808",
            "08",
            "1__0",
            "_1",
            "1_",
            "0x",
            "-",
            "+",
            "1i",
            "1a",
            "1e",
            "1.2.3",
            "1e999",
            "--1",
            "0x-1",
            "1e5_",
            "0xg",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn strings() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(quoted(text).ok().as_deref(), expected, "{text}");
        };
        check(
            r#""a\tb\"\\ \x41\101\u00e9\U0001F600""#,
            Some("a\tb\"\\ AA\u{e9}\u{1F600}"),
        );
        check(r#""\xe6\x97\xa5""#, Some("\u{65e5}"));
        for bad in [
            r#""\q""#,
            r#""\x4""#,
            r#""\400""#,
            r#""\ud800""#,
            r#""\'""#,
            r#""\xff""#,
        ] {
            check(bad, None);
        }
        assert_eq!(raw("`a\r\n\\`"), "a\n\\");
    }

    #[test]
    fn characters() {
        assert_eq!(character("'a'"), Ok(Value::Int(97)));
        assert_eq!(character(r"'\''"), Ok(Value::Int(39)));
        for bad in ["''", "'ab'", r"'\\'x'", r#"'\"'"#] {
            assert!(character(bad).is_err(), "{bad}");
        }
    }
}
