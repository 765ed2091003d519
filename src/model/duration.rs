//! Durations as people write them: Go's notation (`90s`, `1h30m`) or plain seconds.

use std::fmt;
use std::time::Duration;

/// No duration in Go's notation needs more; what is longer is refused before it is read.
const MAX_TEXT: usize = 64;

/// Units and their nanoseconds. Both signs for "micro" are Go's; a longer name stands before
/// the shorter one that it begins with.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", SECOND),
    ("m", 60 * SECOND),
    ("h", 3_600 * SECOND),
];
const SECOND: u64 = 1_000_000_000;

/// A duration of at most what Go's `time.Duration` holds (some 292 years), never negative.
/// Prints in Go's canonical form: `5m0s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoDuration(Duration);

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("expected a duration such as \"5m\", got {text:?}")]
    Syntax { text: String },
    #[error("duration {text:?} is too long: the longest is about 292 years")]
    TooLong { text: String },
}

impl GoDuration {
    /// Reads `90s`, `1h30m`, `1.5h`, `300` (seconds).
    pub fn parse(text: &str) -> Result<Self, Error> {
        let shown = || text.chars().take(MAX_TEXT).collect::<String>();
        let nanos = read(text).ok_or_else(|| Error::Syntax { text: shown() })?;
        match u64::try_from(nanos) {
            Ok(nanos) if i64::try_from(nanos).is_ok() => Ok(Self(Duration::from_nanos(nanos))),
            _ => Err(Error::TooLong { text: shown() }),
        }
    }

    pub fn get(self) -> Duration {
        self.0
    }
}

/// The nanoseconds that `text` says. `None`: it is not a duration.
///
/// No overflow: within [`MAX_TEXT`] characters, saturating arithmetic on `u128` keeps what is
/// too long too long.
fn read(text: &str) -> Option<u128> {
    if text.is_empty() || text.len() > MAX_TEXT {
        return None;
    }
    if text.bytes().all(|c| c.is_ascii_digit()) {
        return Some(whole(text).saturating_mul(u128::from(SECOND)));
    }
    let mut total = 0_u128;
    let mut rest = text;
    while !rest.is_empty() {
        let digits;
        (digits, rest) = split_digits(rest);
        let mut fraction = "";
        if let Some(after) = rest.strip_prefix('.') {
            (fraction, rest) = split_digits(after);
        }
        if digits.is_empty() && fraction.is_empty() {
            return None;
        }
        let (name, unit) = UNITS.iter().find(|(name, _)| rest.starts_with(name))?;
        rest = &rest[name.len()..];
        total = total
            .saturating_add(whole(digits).saturating_mul(u128::from(*unit)))
            .saturating_add(part(fraction, *unit));
    }
    Some(total)
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

fn whole(digits: &str) -> u128 {
    digits.bytes().fold(0_u128, |sum, digit| {
        sum.saturating_mul(10)
            .saturating_add(u128::from(digit - b'0'))
    })
}

/// `0.digits` of a unit, cut to nanoseconds.
fn part(digits: &str, unit: u64) -> u128 {
    // An hour has 3.6 · 10¹² ns: digits after the 18th cannot matter but by rounding, which Go
    // does not do either.
    let digits = &digits[..digits.len().min(18)];
    let scale = 10_u128.saturating_pow(u32::try_from(digits.len()).unwrap_or(u32::MAX));
    whole(digits) * u128::from(unit) / scale
}

impl fmt::Display for GoDuration {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        let second = u128::from(SECOND);
        if nanos == 0 {
            return out.write_str("0s");
        }
        if nanos < second {
            let (unit, name) = match nanos {
                0..1_000 => (1, "ns"),
                1_000..1_000_000 => (1_000, "µs"),
                _ => (1_000_000, "ms"),
            };
            return write!(out, "{}{name}", decimal(nanos, unit));
        }
        let (hours, minutes) = (nanos / second / 3_600, nanos / second / 60 % 60);
        if hours > 0 {
            write!(out, "{hours}h")?;
        }
        if hours > 0 || minutes > 0 {
            write!(out, "{minutes}m")?;
        }
        write!(out, "{}s", decimal(nanos % (60 * second), second))
    }
}

/// `value / unit` as a decimal without trailing zeros. `unit` is a power of ten.
fn decimal(value: u128, unit: u128) -> String {
    let (whole, rest) = (value / unit, value % unit);
    if rest == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    let fraction = format!("{rest:0width$}");
    format!("{whole}.{}", fraction.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let got = match GoDuration::parse(text) {
            Ok(duration) => duration.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(got, expected, "{text:?}");
    }

    #[test]
    fn prints_as_go_does() {
        check("300", "5m0s");
        check("90s", "1m30s");
        check("1h30m", "1h30m0s");
        check("1.5h", "1h30m0s");
        check("5m", "5m0s");
        check("3600000ms", "1h0m0s");
        check("0", "0s");
        check("0h", "0s");
        check("1ns", "1ns");
        check("1500ns", "1.5µs");
        check("1.5us", "1.5µs");
        check("2μs3µs", "5µs");
        check("100ms", "100ms");
        check("1.050s", "1.05s");
        check("61.5s", "1m1.5s");
        check(".5m", "30s");
        check("1.s", "1s");
        check("1m1m", "2m0s");
        check("0.0000000001s", "0s");
        check("2562047h47m16.854775807s", "2562047h47m16.854775807s");
    }

    #[test]
    fn nonsense_is_named() {
        check("", r#"expected a duration such as "5m", got """#);
        check("x", r#"expected a duration such as "5m", got "x""#);
        for bad in [
            "-5m", "+5m", "5 m", "5d", "m", ".s", "5m3", "1e3s", "5M", "٣s", "5m\n", "1..5s",
        ] {
            assert!(
                matches!(GoDuration::parse(bad), Err(Error::Syntax { .. })),
                "{bad}"
            );
        }
        assert!(matches!(
            GoDuration::parse(&"1".repeat(65)),
            Err(Error::Syntax { .. })
        ));
    }

    #[test]
    fn what_go_cannot_hold_is_too_long() {
        for long in [
            "9223372037",
            "2562047h47m16.854775808s",
            "99999999999999999999999999999999999999999999999999999999999h",
        ] {
            assert!(
                matches!(GoDuration::parse(long), Err(Error::TooLong { .. })),
                "{long}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_printed_reads_as_the_same(nanos in 0..=i64::MAX.unsigned_abs()) {
            let duration = GoDuration(Duration::from_nanos(nanos));
            assert_eq!(GoDuration::parse(&duration.to_string()), Ok(duration));
        }

        #[test]
        fn any_text_is_answered(text in ".{0,80}") {
            let _ = GoDuration::parse(&text);
        }
    }
}
