//! Declared objects as YAML that kubectl, Argo CD and Flux apply.

use std::fmt::Write as _;

use serde_json::Value;
use serde_json::json;

use crate::model::Namespace;
use crate::model::object::DesiredSet;

/// Spaces of one level.
const INDENT: usize = 2;

/// The objects as YAML documents, in the order in which they are to be applied. `namespace` wins
/// over that of the configuration; with neither the manifests name none.
pub fn yaml(set: &DesiredSet, namespace: Option<&Namespace>) -> String {
    let namespace = namespace.or(set.namespace.as_ref());
    let mut out = String::new();
    for desired in &set.objects {
        let mut manifest = desired.manifest.clone();
        if let Some(namespace) = namespace {
            manifest["metadata"]["namespace"] = json!(namespace.as_str());
        }
        out.push_str("---\n");
        out.push_str(&document(&manifest));
    }
    out
}

/// A value as the text of a YAML document.
pub fn document(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(fields) if !fields.is_empty() => entries(&mut out, value, 0),
        Value::Array(list) if !list.is_empty() => items(&mut out, value, 0),
        scalar => {
            inline(&mut out, scalar, INDENT);
            out.push('\n');
        }
    }
    out
}

/// The entries of a map, the ones that people look for first.
fn entries(out: &mut String, map: &Value, indent: usize) {
    let fields = map.as_object().into_iter().flatten();
    let mut fields: Vec<_> = fields.collect();
    let first = ["apiVersion", "kind", "metadata", "name"];
    let rank = |key: &str| {
        first
            .iter()
            .position(|it| *it == key)
            .unwrap_or(first.len())
    };
    fields.sort_by_key(|(key, _)| rank(key));
    for (at, (key, value)) in fields.into_iter().enumerate() {
        // A map in a list begins on the line of its dash.
        if at > 0 || !out.ends_with("- ") {
            pad(out, indent);
        }
        text(out, key);
        out.push(':');
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                out.push('\n');
                entries(out, value, indent + INDENT);
            }
            Value::Array(inner) if !inner.is_empty() => {
                out.push('\n');
                items(out, value, indent);
            }
            scalar => {
                out.push(' ');
                inline(out, scalar, indent + INDENT);
                out.push('\n');
            }
        }
    }
}

fn items(out: &mut String, list: &Value, indent: usize) {
    for item in list.as_array().into_iter().flatten() {
        pad(out, indent);
        out.push_str("- ");
        match item {
            Value::Object(inner) if !inner.is_empty() => entries(out, item, indent + INDENT),
            Value::Array(inner) if !inner.is_empty() => {
                // Lists in lists are rare; flow style, which is JSON, needs no care.
                flow(out, item);
                out.push('\n');
            }
            scalar => {
                inline(out, scalar, indent + INDENT);
                out.push('\n');
            }
        }
    }
}

/// A scalar or an empty collection; further lines of a text stand at `indent`.
fn inline(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::String(string) if is_block(string) => block(out, string, indent),
        Value::String(string) => text(out, string),
        other => flow(out, other),
    }
}

fn flow(out: &mut String, value: &Value) {
    match value {
        Value::Array(list) => {
            out.push('[');
            for (at, item) in list.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                flow(out, item);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push('{');
            for (at, (key, item)) in fields.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                quoted(out, key);
                out.push_str(": ");
                flow(out, item);
            }
            out.push('}');
        }
        Value::String(string) => quoted(out, string),
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            // Writing to a String cannot fail.
            write!(out, "{value}").ok();
        }
    }
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// Text on one line, without quotes where every YAML reader sees the same text.
fn text(out: &mut String, text: &str) {
    if is_plain(text) {
        out.push_str(text);
    } else {
        quoted(out, text);
    }
}

/// Whether no version of YAML sees anything but text: no number, date, boolean or indicator.
fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 10] = [
        "true", "false", "yes", "no", "on", "off", "y", "n", "null", "nan",
    ];
    let inner = |c: char| c.is_ascii_alphanumeric() || " _./@+-=,;()".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '_')
        && !text.ends_with(' ')
        && text.chars().all(inner_or_colon(inner))
        && !text.contains(": ")
        && !text.ends_with(':')
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

fn inner_or_colon(inner: impl Fn(char) -> bool) -> impl Fn(char) -> bool {
    move |c| c == ':' || inner(c)
}

/// Text in double quotes, with everything escaped that some reader folds or refuses.
fn quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_printable(c) => out.push(c),
            c if u32::from(c) < 0x1_0000 => {
                write!(out, "\\u{:04X}", u32::from(c)).ok();
            }
            c => {
                write!(out, "\\U{:08X}", u32::from(c)).ok();
            }
        }
    }
    out.push('"');
}

/// Whether a reader takes the character as it is. Besides controls: what YAML 1.1 takes for a line
/// break, byte order marks, and code points that are no characters.
fn is_printable(c: char) -> bool {
    let odd = matches!(
        c,
        '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
    );
    !c.is_control() && !odd
}

/// Whether a text reads best, and safely, as a literal block.
fn is_block(text: &str) -> bool {
    let body = text.trim_end_matches('\n');
    let first = body.trim_start_matches('\n');
    text.contains('\n')
        && !first.is_empty()
        // Readers disagree on a tab where indentation is found out.
        && !first.starts_with('\t')
        && !body.lines().any(|line| !line.is_empty() && line.trim().is_empty())
        && text.chars().all(|c| matches!(c, '\n' | '\t') || is_printable(c))
}

fn block(out: &mut String, text: &str, indent: usize) {
    let body = text.trim_end_matches('\n');
    out.push('|');
    if text.starts_with([' ', '\n']) {
        // Where the first line does not show the indentation, it is told.
        write!(out, "{INDENT}").ok();
    }
    match text.len() - body.len() {
        0 => out.push('-'),
        1 => {}
        _ => out.push('+'),
    }
    for line in body.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            pad(out, indent);
            out.push_str(line);
        }
    }
    out.extend(std::iter::repeat_n(
        '\n',
        (text.len() - body.len()).saturating_sub(1),
    ));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(value: &Value, expected: &str) {
        let out = document(value);
        assert_eq!(out, expected);
        assert_eq!(read(&out), *value, "{out}");
    }

    fn read(yaml: &str) -> Value {
        serde_saphyr::from_str(yaml).unwrap_or_else(|error| panic!("{error}:\n{yaml}"))
    }

    #[test]
    fn prompts_are_blocks() {
        check(
            &json!({"prompt": "Fix:\n  - a\n\n# b\n"}),
            "prompt: |\n  Fix:\n    - a\n\n  # b\n",
        );
        check(&json!({"a": "x\ny"}), "a: |-\n  x\n  y\n");
        check(&json!({"a": "x\n\n", "b": 1}), "a: |+\n  x\n\nb: 1\n");
        check(&json!({"a": "  x\ny"}), "a: |2-\n    x\n  y\n");
        check(
            &json!({"a": [{"b": "x\ny\n"}]}),
            "a:\n- b: |\n    x\n    y\n",
        );
    }

    #[test]
    fn what_could_be_read_otherwise_is_quoted() {
        for odd in [
            "yes", "5", "1e3", "", "a: b", "a #b", "- a", "null", "~", "0x1f", "1:20",
        ] {
            check(&json!({"a": odd}), &format!("a: \"{odd}\"\n"));
        }
        check(&json!({"a": "x\r\n\u{85}"}), "a: \"x\\r\\n\\u0085\"\n");
        check(
            &json!({"a": "https://github.com/a/b.git"}),
            "a: https://github.com/a/b.git\n",
        );
    }

    #[test]
    fn order() {
        check(
            &json!({"spec": {"b": [], "a": [1, {"c": {}, "name": "x"}]}, "kind": "K", "apiVersion": "v1"}),
            "apiVersion: v1\nkind: K\nspec:\n  a:\n  - 1\n  - name: x\n    c: {}\n  b: []\n",
        );
    }

    fn any_text() -> impl Strategy<Value = String> {
        prop_oneof![
            any::<String>(),
            "[ \t\n#:a|>\\-]{0,12}",
            "(yes|No|null|~|0[0-9]{2}|[0-9.e+_x-]{1,6}|true)",
        ]
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            any_text().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(any_text(), inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_rendered_reads_back(value in any_value()) {
            let out = document(&value);
            prop_assert_eq!(read(&out), value, "{}", out);
        }
    }
}
