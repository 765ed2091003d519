//! What is known to differ: each row stands in the table of `docs/local-mode.md` too.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

/// One known difference: its row in the documentation, and how answers are made alike.
struct Row {
    what: &'static str,
    /// Fields of a list's items that are not looked at.
    item_fields: &'static [&'static str],
    /// Texts that say the same in other words: what is found, and what is put in its place.
    words: &'static [(&'static str, &'static str)],
}

const ROWS: &[Row] = &[
    Row {
        what: "lists of built-in kinds",
        item_fields: &["apiVersion", "kind"],
        words: &[],
    },
    Row {
        what: "the words of some errors",
        item_fields: &[],
        words: &[
            // Values of a wrong type, as one or the other reader says it.
            (r"error decoding from json: ", ""),
            (
                r"cannot (convert|restore) .*|unrecognized type: .*|json: cannot unmarshal .*",
                "wrong type",
            ),
            // What a patch has made, as Go prints it.
            (
                r#"(?s)(patch: )?Invalid value: "(\{|map\[).*[}\]]": (strict decoding error|wrong type|json|illegal)"#,
                "${1}patched: ${3}",
            ),
            // Values of a wrong type, as one or the other reader says it.
            (r"error decoding from json: ", ""),
            (
                r"cannot (convert|restore) .*|json: cannot unmarshal .*",
                "wrong type",
            ),
            (r"(failed to convert new object) \(\S*;", "$1 (;"),
            // Fields that no schema knows are found in no order, and end the search.
            (
                r"(?s)(failed to create typed patch object \([^)]*\)): .*field not declared in schema.*",
                "$1: field not declared in schema",
            ),
            // Of several wrong values the first that was found.
            (
                r"patched: (wrong type|illegal base64 .*)",
                "patched: a wrong value",
            ),
            // Where a selector cannot be read.
            (
                r"(?s)(unable to parse requirement|unable to parse field selector|couldn't parse the selector string).*",
                "$1",
            ),
            (
                r#"(?s)(field label .* not supported.*|"\S+" is not a known field selector.*|field label not supported.*)"#,
                "field label",
            ),
            // Where Kubernetes' code or its store stands.
            (r#" in scheme "[^"]*""#, ""),
            (
                r"StorageError: invalid object, Code: 4, Key: \S+, ResourceVersion: \d+, AdditionalErrorMsg: ",
                "",
            ),
            (r"(?m)(expected [a-z (]+\)?, got) .*$", "$1"),
            // The value of a field that may not change.
            (
                r"Invalid value: \{.*\}: field is immutable",
                "Invalid value: *: field is immutable",
            ),
            // How a Pod's specification would change.
            (
                r"(?s)(pod updates may not change fields other than).*",
                "$1",
            ),
        ],
    },
];

static WORDS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let all = ROWS.iter().flat_map(|row| row.words);
    all.map(|(from, to)| (Regex::new(from).unwrap(), *to))
        .collect()
});

/// Makes alike what is known to differ.
pub(super) fn forgive(answer: &mut Value) {
    match answer {
        Value::Object(fields) => {
            for item in fields
                .get_mut("items")
                .and_then(Value::as_array_mut)
                .into_iter()
                .flatten()
            {
                for field in ROWS.iter().flat_map(|row| row.item_fields) {
                    item.as_object_mut().and_then(|it| it.remove(*field));
                }
            }
            fields.values_mut().for_each(forgive);
        }
        Value::Array(items) => items.iter_mut().for_each(forgive),
        Value::String(text) => {
            for (from, to) in &*WORDS {
                if from.is_match(text) {
                    *text = from.replace_all(text, *to).into_owned();
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[test]
fn what_is_forgiven_is_documented() {
    let told = include_str!("../../../docs/local-mode.md");
    for row in ROWS {
        assert!(
            told.contains(&format!("\n| {} |", row.what)),
            "{}",
            row.what
        );
    }
}
