//! What an unquoted YAML scalar means.
//!
//! YAML's versions and readers differ here. What all of them read alike has its meaning; a number
//! that they read differently is kept as written, so that the check of its type can refuse it.

use serde_json::Number;

use super::node::Value;

pub(super) fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if is_decimal(unsigned) {
        let digits = text.strip_prefix('+').unwrap_or(text);
        return match number(digits) {
            Some(number) => Value::Number(number),
            None => Value::Odd(text.to_owned()),
        };
    }
    if is_odd(unsigned) {
        Value::Odd(text.to_owned())
    } else {
        Value::Text(text.to_owned())
    }
}

/// Digits, at most one `.` and at most one exponent. No zero stands before other digits.
fn is_decimal(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (
            mantissa,
            exponent.strip_prefix(['+', '-']).unwrap_or(exponent),
        ),
        None => (text, "0"),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |part: &str| part.bytes().all(|c| c.is_ascii_digit());
    digits(whole)
        && digits(fraction)
        && digits(exponent)
        && !exponent.is_empty()
        && !(whole.is_empty() && fraction.is_empty())
        && !(whole.len() > 1 && whole.starts_with('0'))
}

fn number(text: &str) -> Option<Number> {
    if let Ok(whole) = text.parse::<i64>() {
        return Some(whole.into());
    }
    if let Ok(whole) = text.parse::<u64>() {
        return Some(whole.into());
    }
    // Whole numbers beyond 64 bits would silently lose digits.
    if !text.contains(['.', 'e', 'E']) {
        return None;
    }
    Number::from_f64(text.parse().ok()?)
}

/// Octal, hexadecimal, digit groups, infinity: numbers to some readers, text to others.
fn is_odd(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    if matches!(lower.as_str(), ".inf" | ".nan") {
        return true;
    }
    let based = |prefix: &str, digit: fn(&char) -> bool| {
        lower
            .strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| digit(&c) || c == '_'))
    };
    based("0x", char::is_ascii_hexdigit)
        || based("0o", char::is_ascii_digit)
        || based("0b", char::is_ascii_digit)
        || (text.starts_with(|c: char| c.is_ascii_digit())
            && text
                .bytes()
                .all(|c| c.is_ascii_digit() || matches!(c, b'_' | b'.')))
            && text.bytes().filter(|c| *c == b'.').count() <= 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars() {
        let check = |text: &str, expected: &str| {
            assert_eq!(format!("{:?}", plain(text)), expected, "{text}");
        };
        check("", "Null");
        check("~", "Null");
        check("True", "Bool(true)");
        check("yes", "Text(\"yes\")");
        check("12", "Number(Number(12))");
        check("-12", "Number(Number(-12))");
        check("+12", "Number(Number(12))");
        check("1.50", "Number(Number(1.5))");
        check(".5", "Number(Number(0.5))");
        check("1e3", "Number(Number(1000.0))");
        check(
            "18446744073709551615",
            "Number(Number(18446744073709551615))",
        );
        check("18446744073709551616", "Odd(\"18446744073709551616\")");
        check("1e999", "Odd(\"1e999\")");
        check("017", "Odd(\"017\")");
        check("0x1F", "Odd(\"0x1F\")");
        check("1_000", "Odd(\"1_000\")");
        check("-.INF", "Odd(\"-.INF\")");
        check("1.2.3", "Text(\"1.2.3\")");
        check("5m", "Text(\"5m\")");
        check("2026-11-22", "Text(\"2026-11-22\")");
        check(".", "Text(\".\")");
        check("-", "Text(\"-\")");
        check("e5", "Text(\"e5\")");
        check("0 3 * * *", "Text(\"0 3 * * *\")");
    }
}
