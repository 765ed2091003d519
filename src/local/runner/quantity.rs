//! Amounts of resources, as Kubernetes writes them: `500m`, `1.5`, `64Mi`, `2e3`.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// A thousandth is the smallest amount that counts.
pub(super) const ONE: i128 = 1000;

/// The amount in thousandths, rounded up; none if it is no amount.
pub(super) fn thousandths(quantity: &Quantity) -> Option<i128> {
    let text = quantity.0.trim();
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || "+-.".contains(c)))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (factor, parts) = factor(unit)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}").parse::<i128>().ok()?;
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let amount = digits.checked_mul(factor)?.checked_mul(ONE)?;
    let parts = scale.checked_mul(parts)?;
    Some(amount.div_euclid(parts) + i128::from(amount.rem_euclid(parts) > 0))
}

/// Whole units, such as bytes.
pub(super) fn units(quantity: &Quantity) -> Option<u64> {
    let amount = thousandths(quantity)?;
    u64::try_from(amount.checked_add(ONE - 1)? / ONE).ok()
}

/// What a unit stands for, as a fraction.
fn factor(unit: &str) -> Option<(i128, i128)> {
    const SUFFIXES: [&str; 6] = ["k", "M", "G", "T", "P", "E"];
    let power = |unit: &str| SUFFIXES.iter().position(|it| *it == unit);
    let exponent = unit.strip_prefix(['e', 'E']);
    if let Some(exponent) = exponent.filter(|it| !it.is_empty() && *it != "i") {
        let exponent: i32 = exponent.parse().ok()?;
        let size = 10_i128.checked_pow(exponent.unsigned_abs())?;
        return Some(if exponent < 0 { (1, size) } else { (size, 1) });
    }
    match unit {
        "" => Some((1, 1)),
        "m" => Some((1, 1000)),
        "u" => Some((1, 1_000_000)),
        "n" => Some((1, 1_000_000_000)),
        "Ki" => Some((1 << 10, 1)),
        _ => match unit.strip_suffix('i') {
            Some("k" | "K") => None,
            Some(binary) => Some((1 << (10 * (power(binary)? + 1)), 1)),
            None => Some((1000_i128.pow(u32::try_from(power(unit)? + 1).ok()?), 1)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<i128>) {
        assert_eq!(thousandths(&Quantity(text.to_owned())), expected, "{text}");
    }

    #[test]
    fn amounts_are_read() {
        check("1", Some(1000));
        check("250m", Some(250));
        check("1.5", Some(1500));
        check("0.0001", Some(1));
        check("64Mi", Some(64 * 1024 * 1024 * 1000));
        check("2k", Some(2_000_000));
        check("2Ki", Some(2048 * 1000));
        check("1e3", Some(1_000_000));
        check("1E", Some(1_000_000_000_000_000_000_000));
        check("1Ei", Some((1 << 60) * 1000));
        for wrong in ["", "x", "1x", "1ki", "1.2.3", "--1", "1e", "1e99"] {
            check(wrong, None);
        }
    }
}
