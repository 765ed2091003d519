//! Numbers as Go's `fmt` prints them, without their padding.

/// Digits after the point beyond which a float has only zeros.
const MAX_FRACTION: usize = 1_100;

/// `value` in scientific notation with `precision` digits after the point: `1.50e+03`.
pub(super) fn scientific(value: f64, precision: usize) -> String {
    let exact = precision.min(MAX_FRACTION);
    let text = format!("{value:.exact$e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let mut digits = digits.to_owned();
    digits.extend(std::iter::repeat_n('0', precision - exact));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{exponent:0>2}")
}

/// `value` with `precision` digits after the point.
pub(super) fn fixed(value: f64, precision: usize) -> String {
    let exact = precision.min(MAX_FRACTION);
    let mut text = format!("{value:.exact$}");
    text.extend(std::iter::repeat_n('0', precision - exact));
    text
}

/// `value` in the shorter notation: with so many significant digits, or as few as tell it apart.
pub(super) fn shortest(value: f64, precision: Option<usize>) -> String {
    let text = match precision {
        Some(digits) => format!("{value:.*e}", digits.clamp(1, MAX_FRACTION) - 1),
        None => format!("{value:e}"),
    };
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits = digits
        .chars()
        .filter(char::is_ascii_digit)
        .collect::<String>();
    let count = digits.trim_end_matches('0').len().max(1);
    let point = usize::try_from(exponent + 1).unwrap_or(0);
    let large = match precision.map(|it| it.max(1)) {
        None => 6,
        Some(precision) if precision > count && count >= point => count,
        Some(precision) => precision,
    };
    if exponent < -4 || point > large {
        return scientific(value, count - 1);
    }
    let fraction = i64::try_from(count).unwrap_or(i64::MAX) - i64::from(exponent + 1);
    fixed(value, usize::try_from(fraction).unwrap_or(0))
}
