//! Reading fields of events: anything may be missing, of another type, or absurd.

use serde_json::Value;

use crate::plain::cut;
use crate::plain::one_line;
use crate::plain::plain;

/// Highest count that is believed; sums of many stay far from overflowing.
const MAX_COUNT: u64 = 1 << 50;
/// Highest cost that is believed, in US dollars.
const MAX_COST: f64 = 1e6;
/// Names, models and ids are shorter.
const MAX_NAME: usize = 200;
/// The heart of a tool's input.
const MAX_INPUT: usize = 200;
/// The beginning of what a tool gave back.
const MAX_OUTPUT: usize = 2000;
/// A failure in the agent's words, or a warning.
const MAX_REMARK: usize = 1000;
/// What of a tool's input tells most, the best first.
const TELLING: [&str; 12] = [
    "command",
    "cmd",
    "file_path",
    "filePath",
    "path",
    "absolute_path",
    "pattern",
    "query",
    "url",
    "prompt",
    "description",
    "content",
];

/// A text for people.
pub(super) fn text(value: &Value) -> Option<String> {
    let text = plain(value.as_str()?);
    (!text.trim().is_empty()).then_some(text)
}

/// A name, or an empty one.
pub(super) fn name(value: &Value) -> String {
    one_line(&plain(value.as_str().unwrap_or_default()), MAX_NAME)
}

/// A name that is there.
pub(super) fn some_name(value: &Value) -> Option<String> {
    Some(name(value)).filter(|name| !name.is_empty())
}

/// A failure or warning, or an empty one.
pub(super) fn remark(value: &Value) -> String {
    cut(plain(value.as_str().unwrap_or_default()).trim(), MAX_REMARK)
}

/// A number of tokens or turns, 0 if it is none.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float that is too large or negative becomes the limit, which is wanted"
)]
pub(super) fn count(value: &Value) -> u64 {
    let float = || value.as_f64().map_or(0, |number| number as u64);
    value.as_u64().unwrap_or_else(float).min(MAX_COUNT)
}

pub(super) fn small_count(value: &Value) -> Option<u32> {
    u32::try_from(value.as_u64()?).ok()
}

pub(super) fn cost(value: &Value) -> Option<f64> {
    value
        .as_f64()
        .filter(|cost| (0.0..=MAX_COST).contains(cost))
}

/// The heart of a tool's input.
pub(super) fn input(value: &Value) -> String {
    let telling = TELLING.iter().map(|key| &value[*key]);
    let telling = telling.filter(|value| !value.is_null()).find_map(words);
    let text = telling.unwrap_or_else(|| match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Object(map) if map.is_empty() => String::new(),
        other => other.to_string(),
    });
    one_line(&plain(&text), MAX_INPUT)
}

/// A text, or a list of words.
fn words(value: &Value) -> Option<String> {
    if let Some(text) = value.as_str() {
        return Some(text.to_owned());
    }
    let words: Vec<&str> = value.as_array()?.iter().filter_map(Value::as_str).collect();
    Some(words.join(" "))
}

/// What a tool gave back: a text, or a list of blocks of which some are texts.
pub(super) fn output(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Array(blocks) => {
            let texts: Vec<&str> = blocks
                .iter()
                .filter_map(|block| block["text"].as_str())
                .collect();
            texts.join("\n")
        }
        _ => String::new(),
    };
    cut(plain(&text).trim(), MAX_OUTPUT)
}

/// A piece of a text, which may be blank.
pub(super) fn piece(value: &Value) -> Option<String> {
    Some(plain(value.as_str()?))
}
