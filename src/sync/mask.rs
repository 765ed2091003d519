//! What of a value may be shown.

use serde_json::Value;

use crate::model::leak;
use crate::model::plan::SENSITIVE;
use crate::model::plan::Shown;
use crate::model::sensitive::Place;
use crate::sync::path::FieldPath;
use crate::sync::path::Part;

/// `value` as far as it may be shown at `path`.
pub(super) fn shown(path: &FieldPath, value: Option<&Value>) -> Shown {
    let Some(value) = value else {
        return Shown::Absent;
    };
    let mut place = Place::default();
    for part in path.parts() {
        if let Part::Key(key) = part {
            place = place.below(key);
        }
    }
    match masked(place, value) {
        Value::String(text) if text == SENSITIVE => Shown::Sensitive,
        shown => Shown::Value(shown),
    }
}

fn masked(place: Place, value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (key.clone(), masked(place.below(key), value)))
            .collect(),
        Value::Array(items) => items.iter().map(|item| masked(place, item)).collect(),
        Value::Null => Value::Null,
        Value::String(_) | Value::Bool(_) | Value::Number(_) if place == Place::Sensitive => {
            SENSITIVE.into()
        }
        Value::String(text) => without_credentials(text).into(),
        Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// A text of one word that holds a credential is not shown at all, and of others not the credential.
fn without_credentials(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut at = 0;
    for found in leak::find(text) {
        if !text.contains(char::is_whitespace) {
            return SENSITIVE.into();
        }
        let start = found.start.max(at);
        shown.push_str(&text[at..start]);
        shown.push_str(SENSITIVE);
        at = found.end.max(start);
    }
    shown.push_str(&text[at..]);
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn check(path: &[&str], value: &Value, expected: &Shown) {
        assert_eq!(
            shown(&FieldPath::of(path), Some(value)),
            *expected,
            "{path:?}"
        );
    }

    #[test]
    fn sensitive_values_are_not_shown() {
        let plain = |value: Value| Shown::Value(value);
        check(&["spec", "ref"], &json!("main"), &plain(json!("main")));
        check(&["spec", "env", "value"], &json!("x"), &Shown::Sensitive);
        check(
            &["metadata", "annotations", "api-key"],
            &json!("x"),
            &Shown::Sensitive,
        );
        check(&["spec", "githubToken"], &json!(5), &Shown::Sensitive);
        check(
            &["spec", "secretRef"],
            &json!({"name": "git"}),
            &plain(json!({"name": "git"})),
        );
        check(
            &["spec", "podOverrides"],
            &json!({"env": [
                {"name": "A", "value": "x"},
                {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "token"}}},
            ]}),
            &plain(json!({"env": [
                {"name": "A", "value": SENSITIVE},
                {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "token"}}},
            ]})),
        );
        check(
            &["spec", "repo"],
            &json!("https://bob:pw@git.io/x"),
            &Shown::Sensitive,
        );
        check(
            &["spec", "repo"],
            &json!("https://git.io/x?access_token=pw"),
            &Shown::Sensitive,
        );
        check(
            &["spec", "repo"],
            &json!("ssh://git@git.io/x"),
            &plain(json!("ssh://git@git.io/x")),
        );
        check(
            &["spec", "prompt"],
            &json!("log in with ghp_0123456789abcdef0 first"),
            &plain(json!("log in with (sensitive) first")),
        );
        check(
            &["spec", "prompt"],
            &json!("ask bob@x.io at https://x.io/@bob"),
            &plain(json!("ask bob@x.io at https://x.io/@bob")),
        );
        check(
            &["spec", "prompt"],
            &json!("use glpat-0123456789abcdef there"),
            &plain(json!("use (sensitive) there")),
        );
        assert_eq!(shown(&FieldPath::of(&["spec"]), None), Shown::Absent);
    }

    proptest! {
        #[test]
        fn no_value_of_a_variable_survives(canary in "CANARY[a-z0-9]{4,20}", index in 0..5usize) {
            let mut env = vec![json!({"name": "A", "value": canary.clone()}); 5];
            env[index]["value"] = canary.clone().into();
            for (path, value) in [
                (vec!["spec"], json!({"podOverrides": {"env": env}})),
                (vec!["spec", "taskTemplate", "podOverrides", "env"], json!(env)),
                (vec!["spec", "podOverrides", "env", "value"], json!(canary)),
                (vec!["spec", "repo"], json!(format!("https://u:{canary}@x/y"))),
            ] {
                let text = format!("{:?}", shown(&FieldPath::of(&path), Some(&value)));
                prop_assert!(!text.contains(&canary), "{}", text);
            }
        }
    }
}
