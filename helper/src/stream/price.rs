//! What models cost whose agents do not tell.
//!
//! List prices of 2026-11-23, in US dollars for a million tokens, of the standard tier and short
//! prompts: an estimate, and called one. A model that is not here has no price.

use crate::report::Usage;

/// Model; price of input, of cached input, of output.
const PRICES: [(&str, f64, f64, f64); 27] = [
    // Claude Code tells its cost itself, unless it is cut off.
    ("claude-opus-4-5", 5.0, 0.5, 25.0),
    ("claude-sonnet-4-5", 3.0, 0.3, 15.0),
    ("claude-haiku-4-5", 1.0, 0.1, 5.0),
    ("gpt-6.1-sol", 2.0, 0.1, 10.0),
    ("gpt-6.1-terra", 1.0, 0.05, 5.0),
    ("gpt-6-astra", 10.0, 1.0, 50.0),
    ("gpt-6-sol", 2.0, 0.2, 10.0),
    ("gpt-6-luna", 0.1, 0.01, 0.5),
    ("gpt-5.6-terra", 2.0, 0.2, 12.0),
    ("gpt-5.6-luna", 0.2, 0.02, 1.2),
    ("gpt-5.4", 2.5, 0.25, 15.0),
    ("gpt-5.4-mini", 0.75, 0.075, 4.5),
    ("gpt-5.2", 1.75, 0.175, 14.0),
    ("gpt-5.2-codex", 1.75, 0.175, 14.0),
    ("gpt-5.1", 1.25, 0.125, 10.0),
    ("gpt-5.1-codex", 1.25, 0.125, 10.0),
    ("gpt-5.1-codex-max", 1.25, 0.125, 10.0),
    ("gpt-5.1-codex-mini", 0.25, 0.025, 2.0),
    ("gpt-5-codex", 1.25, 0.125, 10.0),
    ("gemini-3.5-flash", 1.5, 0.15, 9.0),
    ("gemini-3.1-pro", 2.0, 0.2, 12.0),
    ("gemini-3.1-flash-lite", 0.25, 0.025, 1.5),
    ("gemini-3-pro", 2.0, 0.2, 12.0),
    ("gemini-3-flash", 0.5, 0.05, 3.0),
    ("gemini-2.5-pro", 1.25, 0.125, 10.0),
    ("gemini-2.5-flash", 0.3, 0.03, 2.5),
    ("gemini-2.5-flash-lite", 0.1, 0.01, 0.4),
];

/// `usage` with an estimate of its cost, if it has none and the model's price is known.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts are far below 2^53, and it is an estimate"
)]
pub(crate) fn with_estimate(usage: Usage, model: Option<&str>) -> Usage {
    let price = model.and_then(price);
    let (None, Some((input, cached, output))) = (usage.cost_usd, price) else {
        return usage;
    };
    let fresh = usage.input_tokens.saturating_sub(usage.cached_input_tokens) as f64;
    let millionths = fresh * input
        + usage.cached_input_tokens as f64 * cached
        + usage.output_tokens as f64 * output;
    Usage {
        cost_usd: Some(millionths / 1e6),
        estimated: true,
        ..usage
    }
}

fn price(model: &str) -> Option<(f64, f64, f64)> {
    // `provider/model` and `models/model` name the same.
    let model = model.rsplit('/').next()?;
    let found = PRICES
        .iter()
        .find(|(name, ..)| model.strip_prefix(name).is_some_and(is_version));
    found.map(|(_, input, cached, output)| (*input, *cached, *output))
}

/// Whether what follows a model's name only tells which version of it.
fn is_version(rest: &str) -> bool {
    rest.is_empty()
        || rest.strip_prefix('-').is_some_and(|rest| {
            rest.split('-').all(|word| {
                let number = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
                number || matches!(word, "preview" | "latest")
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates() {
        let check = |model: Option<&str>, expected: Option<&str>| {
            let usage = Usage {
                input_tokens: 2300,
                cached_input_tokens: 300,
                output_tokens: 55,
                ..Usage::default()
            };
            let priced = with_estimate(usage, model);
            let cost = priced.cost_usd.map(|cost| format!("{cost:.7}"));
            assert_eq!(cost.as_deref(), expected, "{model:?}");
            assert_eq!(priced.estimated, expected.is_some());
        };
        check(Some("gpt-5.1-codex"), Some("0.0030875"));
        check(Some("openai/gpt-5.1-codex-2025-11-13"), Some("0.0030875"));
        check(Some("gpt-5.1-codex-mini"), Some("0.0006175"));
        check(Some("models/gemini-2.5-flash"), Some("0.0007465"));
        check(Some("gemini-3-pro-preview"), Some("0.0047200"));
        for unknown in [
            "gpt-5.1-codex-ultra",
            "gpt-5.1x",
            "gpt-5.1-",
            "",
            "scripted",
        ] {
            check(Some(unknown), None);
        }
        check(None, None);
        let told = Usage {
            cost_usd: Some(1.0),
            ..Usage::default()
        };
        assert_eq!(with_estimate(told, Some("gpt-6-sol")), told);
    }
}
