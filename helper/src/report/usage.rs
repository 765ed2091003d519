//! What a run used, as a report tells it.

use serde_json::Value;
use serde_json::json;

/// Highest count of tokens or turns and highest cost that is believed: no run comes near.
const MAX_COUNT: u64 = 1 << 50;
const MAX_COST_USD: f64 = 1e6;

/// What a run used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// In US dollars; absent if nobody knows.
    pub cost_usd: Option<f64>,
    /// Whether the cost is by our price table, and not by the agent.
    pub estimated: bool,
    /// Cached ones included.
    pub input_tokens: u64,
    pub cached_input_tokens: u64,
    pub output_tokens: u64,
    /// Answers of the model.
    pub turns: u32,
}

impl Usage {
    pub(super) fn encoded(&self) -> Value {
        let mut value = json!({
            "inputTokens": self.input_tokens.min(MAX_COUNT),
            "cachedInputTokens": self.cached_input_tokens.min(MAX_COUNT),
            "outputTokens": self.output_tokens.min(MAX_COUNT),
            "turns": self.turns,
        });
        if let Some(cost) = self.cost_usd.and_then(believable) {
            value["costUSD"] = json!(cost);
            value["estimated"] = json!(self.estimated);
        }
        value
    }

    /// Nothing if `value` is no object; what is malformed in it counts as nothing.
    pub(super) fn decoded(value: &Value) -> Option<Self> {
        value.as_object()?;
        let count = |key: &str| value[key].as_u64().unwrap_or(0).min(MAX_COUNT);
        let cost_usd = value["costUSD"].as_f64().and_then(believable);
        Some(Self {
            cost_usd,
            estimated: cost_usd.is_some() && value["estimated"].as_bool().unwrap_or(false),
            input_tokens: count("inputTokens"),
            cached_input_tokens: count("cachedInputTokens"),
            output_tokens: count("outputTokens"),
            turns: u32::try_from(count("turns")).unwrap_or(u32::MAX),
        })
    }
}

/// A cost to the millionth of a dollar, if it can be one.
fn believable(cost: f64) -> Option<f64> {
    (0.0..=MAX_COST_USD)
        .contains(&cost)
        .then(|| (cost * 1e6).round() / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::MAX_BYTES;
    use crate::report::Report;

    #[test]
    fn hostile_usage() {
        let check = |usage: &str, expected: Option<Usage>| {
            let text = format!("{{\"version\":1,\"usage\":{usage}}}");
            let read = Report::parse(text.as_bytes()).unwrap();
            assert_eq!(read.usage, expected, "{usage}");
        };
        check("[1]", None);
        check("null", None);
        check("\"much\"", None);
        for none in [
            "{\"costUSD\":-1,\"estimated\":true,\"inputTokens\":-5,\"turns\":1.5}",
            "{\"costUSD\":1e300,\"outputTokens\":\"many\"}",
            "{\"costUSD\":null,\"cachedInputTokens\":1e99}",
        ] {
            check(none, Some(Usage::default()));
        }
        let most = Usage {
            input_tokens: MAX_COUNT,
            turns: u32::MAX,
            ..Usage::default()
        };
        check(
            "{\"inputTokens\":18446744073709551615,\"turns\":18446744073709551615}",
            Some(most),
        );
        let odd = Usage {
            cost_usd: Some(f64::NAN),
            input_tokens: u64::MAX,
            cached_input_tokens: u64::MAX,
            output_tokens: u64::MAX,
            turns: u32::MAX,
            estimated: true,
        };
        let full = Report {
            usage: Some(odd),
            outputs: vec!["x".repeat(100); 100],
            ..Report::failed("m".repeat(5000))
        };
        let bytes = full.to_bytes();
        assert!(bytes.len() <= MAX_BYTES);
        let read = Report::parse(&bytes).unwrap().usage.unwrap();
        assert_eq!((read.cost_usd, read.output_tokens), (None, MAX_COUNT));
    }
}
