//! Types, values and the parser's complaints, in the words of people.

use granit_parser::ErrorKind;
use serde_json::Value as Json;

use super::node::Node;
use super::node::Value;

pub(super) use crate::model::problem::brief;

const TEXT: &str = "text";
pub(super) const NOTHING: &str = "left out";

/// What the schema expects, where the value is something else.
pub(super) fn mismatch(schema: &Json, node: &Node) -> Option<String> {
    if schema["x-kubernetes-int-or-string"] == true {
        let fits = match &node.value {
            Value::Text(_) => true,
            Value::Number(number) => number.is_i64() || number.is_u64(),
            _ => false,
        };
        return (!fits).then(|| "a whole number or text".to_owned());
    }
    let types: Vec<&str> = match &schema["type"] {
        Json::String(one) => vec![one],
        Json::Array(several) => several.iter().filter_map(Json::as_str).collect(),
        _ => return None,
    };
    let nullable = types.contains(&"null") || schema["nullable"] == true;
    let fits = |kind: &&str| match (*kind, &node.value) {
        ("object", Value::Map(_))
        | ("array", Value::List(_))
        | ("string", Value::Text(_))
        | ("boolean", Value::Bool(_))
        | ("number", Value::Number(_)) => true,
        ("integer", Value::Number(number)) => number.is_i64() || number.is_u64(),
        _ => false,
    };
    if types.iter().any(fits) || (nullable && matches!(node.value, Value::Null)) {
        return None;
    }
    let words = types.iter().map(|kind| match *kind {
        "object" => "a map",
        "array" => "a list",
        "string" => TEXT,
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        _ => NOTHING,
    });
    let mut words: Vec<&str> = words.collect();
    if words.len() > 1 {
        words.retain(|word| *word != NOTHING);
    }
    Some(words.join(" or "))
}

/// The value, as it is told beside what was expected.
pub(super) fn got(node: &Node) -> String {
    match &node.value {
        Value::Null | Value::Broken => "nothing".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Odd(text) => brief(text),
        Value::Text(text) => format!("the text \"{}\"", brief(text)),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a map".to_owned(),
    }
}

/// How to write what was expected.
pub(super) fn type_hint(expected: &str, node: &Node) -> Option<String> {
    let text = expected.contains(TEXT);
    match &node.value {
        Value::Number(_) | Value::Bool(_) | Value::Odd(_) if text => {
            Some("put it in quotes".to_owned())
        }
        Value::Odd(_) => Some("write it as a decimal number".to_owned()),
        Value::Text(word) if expected == "true or false" => {
            match word.to_ascii_lowercase().as_str() {
                "yes" | "y" | "on" | "true" => Some("write true".to_owned()),
                "no" | "n" | "off" | "false" => Some("write false".to_owned()),
                _ => None,
            }
        }
        Value::Text(word) if expected.contains("number") && word.parse::<f64>().is_ok() => {
            Some("remove the quotes".to_owned())
        }
        Value::Text(_) | Value::Number(_) if expected == "a list" => {
            Some("write a list of one as [value]".to_owned())
        }
        Value::Null if expected == "a map" || expected == "a list" => {
            Some("remove the key, or give it a value".to_owned())
        }
        _ => None,
    }
}

/// What the parser's commonest complaints mean to someone who does not know YAML's grammar.
pub(super) fn complaint(kind: &ErrorKind) -> (String, Option<&'static str>) {
    let (message, hint) = match kind {
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => (
            "a \": \" cannot stand here",
            Some("put text that holds \": \" in quotes, or check the indentation"),
        ),
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => (
            "expected \"key: value\", found no \":\"",
            Some("check the indentation of this line and the one before"),
        ),
        ErrorKind::ExpectedBlockMappingKey | ErrorKind::InvalidIndentation => (
            "this line fits neither the lines before it nor their indentation",
            Some("align it with the keys that it belongs to"),
        ),
        ErrorKind::ExpectedBlockSequenceEntry | ErrorKind::BlockSequenceEntryNotAllowed => (
            "a list item (\"- \") was expected elsewhere",
            Some("align the items of a list with each other"),
        ),
        ErrorKind::UnclosedQuotedScalar | ErrorKind::DocumentIndicatorInQuotedScalar => {
            ("a quote is not closed", None)
        }
        ErrorKind::UnexpectedCharacter {
            character: '`' | '@' | '%',
        } => (
            "text cannot begin with this character",
            Some("put the text in quotes"),
        ),
        ErrorKind::DirectiveDisallowed => (
            "YAML directives (\"%…\") are not supported",
            Some("remove the line"),
        ),
        ErrorKind::UnknownQuotedScalarEscape => (
            "this \"\\\" escape is not known",
            Some("write \"\\\\\" for a backslash, or use single quotes"),
        ),
        other => return (format!("broken YAML: {other}"), None),
    };
    (message.to_owned(), hint)
}
