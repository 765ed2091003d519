//! What must not be shown to everybody: values at certain places of an object, and what looks like a
//! credential wherever it stands. The one place that knows; pure.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::leak;
use super::plan::SENSITIVE;

/// Parts of a key that make its value sensitive.
const TELLING: [&str; 7] = [
    "token",
    "password",
    "passwd",
    "secret",
    "apikey",
    "privatekey",
    // kubectl's annotation: a whole manifest.
    "lastappliedconfiguration",
];
/// Keys that hold references to Secrets: names, not values.
const REFERENCES: [&str; 2] = ["secretref", "secretkeyref"];
/// Credentials by the word before them: in headers, and as values of variables.
static AFTER_WORDS: LazyLock<Regex> = LazyLock::new(|| {
    let header = r"(?i:\b(?:bearer|basic))\s+([A-Za-z0-9._~+/=-]{16,})";
    let keys = "token|password|passwd|secret|api[_-]?key|private[_-]?key";
    let variable = format!(r#"(?i:{keys})=([^\s&"'`,;]+)"#);
    Regex::new(&format!("{header}|{variable}")).expect("a pattern that the tests try")
});
/// Values shorter than this stand in many a word: they are looked for in quotes only.
const TINY: usize = 4;
/// Most text that is looked through: far more than anybody is shown.
const MAX_TEXT: usize = 1 << 16;

/// What is known of a place from the keys that lead to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    #[default]
    Plain,
    /// In an entry of a list of environment variables.
    Env,
    /// What is here names a Secret.
    Reference,
    Sensitive,
}

impl Place {
    #[must_use]
    pub fn below(self, key: &str) -> Self {
        let lower: String = key
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|c| c.to_ascii_lowercase())
            .collect();
        match self {
            Self::Sensitive | Self::Reference => self,
            Self::Env if lower == "value" => Self::Sensitive,
            Self::Plain | Self::Env => {
                if REFERENCES.contains(&lower.as_str()) {
                    Self::Reference
                } else if lower == "env" {
                    Self::Env
                } else if TELLING.iter().any(|it| lower.contains(it)) {
                    Self::Sensitive
                } else {
                    self
                }
            }
        }
    }
}

/// Values that must not be shown, whoever repeats them. Shows none of them itself.
#[derive(Default)]
pub struct Known(Vec<String>);

impl Known {
    /// Those of an object as it is sent.
    pub fn of(object: &Value) -> Self {
        let mut known = Self::default();
        known.gather(Place::default(), object);
        // What is part of another is looked for after it.
        known.0.sort_by_key(|it| std::cmp::Reverse(it.len()));
        known.0.dedup();
        known
    }

    fn gather(&mut self, place: Place, value: &Value) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    self.gather(place.below(key), value);
                }
            }
            Value::Array(items) => items.iter().for_each(|it| self.gather(place, it)),
            Value::String(text) if place == Place::Sensitive => self.add(text),
            Value::Number(_) if place == Place::Sensitive => self.add(&value.to_string()),
            Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => {}
        }
    }

    /// A value in the forms in which servers repeat one: as it is, quoted, and line by line.
    fn add(&mut self, value: &str) {
        let quoted = Value::from(value).to_string();
        let inside = quoted[1..quoted.len() - 1].to_owned();
        if value.trim().len() < TINY {
            self.0.push(quoted);
            return;
        }
        let lines = value.lines().map(str::trim).filter(|it| it.len() >= TINY);
        self.0.extend(lines.map(str::to_owned));
        self.0.push(inside);
        self.0.push(value.to_owned());
    }
}

/// `text` without what is known, and without what looks like a credential.
pub fn hidden(text: &str, known: &Known) -> String {
    let mut text: String = text.chars().take(MAX_TEXT).collect();
    for value in &known.0 {
        if text.contains(value.as_str()) {
            text = text.replace(value.as_str(), SENSITIVE);
        }
    }
    without_credentials(&text)
}

/// The same as one line without control characters: what a program of others said, as it stands in a
/// condition, an event or a log.
pub fn line(text: &str, known: &Known) -> String {
    let one_line = |c: char| if c.is_control() { ' ' } else { c };
    hidden(text, known).chars().map(one_line).collect()
}

fn without_credentials(text: &str) -> String {
    let after_words = AFTER_WORDS.captures_iter(text);
    let after_words =
        after_words.filter_map(|it| Some(it.iter().skip(1).flatten().next()?.range()));
    let mut found: Vec<_> = leak::find(text).into_iter().chain(after_words).collect();
    found.sort_by_key(|it| it.start);
    let mut shown = String::with_capacity(text.len());
    let mut at = 0;
    for range in found {
        if range.end <= at {
            continue;
        }
        if range.start >= at {
            shown.push_str(&text[at..range.start]);
            shown.push_str(SENSITIVE);
        }
        at = range.end;
    }
    shown.push_str(&text[at..]);
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(hidden(text, &Known::default()), expected);
    }

    #[test]
    fn credentials_are_known_by_their_looks() {
        check(
            "https://bob:pw@git.io/x 401",
            "https://(sensitive)@git.io/x 401",
        );
        check(
            "at \"https://tok@git.io/x\"",
            "at \"https://(sensitive)@git.io/x\"",
        );
        check(
            "https://x/?a=1&access_token=abc&b=2",
            "https://x/?a=1&access_token=(sensitive)&b=2",
        );
        check("GITHUB_TOKEN=abc; x", "GITHUB_TOKEN=(sensitive); x");
        check(
            "Authorization: Bearer abcdefghijklmnop/q==",
            "Authorization: Bearer (sensitive)",
        );
        check("bad ghp_0123456789abcdefghij!", "bad (sensitive)!");
        check(
            "a eyJhbGciOi9x.eyJzdWIiOi9x.c2lnbmF0dXJl b",
            "a (sensitive) b",
        );
        check(
            "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY----- after",
            "(sensitive) after",
        );
        check("-----BEGIN RSA PRIVATE KEY-----\nabc", "(sensitive)");
    }

    #[test]
    fn plain_words_stay() {
        for text in [
            "ssh://git@host/a",
            "git@host:a/b",
            "ask bob@x.io at https://x.io/@bob",
            "Basic auth is refused",
            "the Bearer of news",
            "a task-sk-1 and disk-0123456789abcdefghij",
            "spec.secretRef: Invalid value: \"x\"",
            "a=b, ü=é, key=",
            "-----BEGIN CERTIFICATE-----",
        ] {
            check(text, text);
        }
    }

    #[test]
    fn what_was_sent_is_not_repeated() {
        let sent = json!({"spec": {"podOverrides": {"env": [
            {"name": "A", "value": "hunter2"},
            {"name": "B", "value": "x"},
            {"name": "C", "value": "first line\nsecond \"line\""},
        ]}, "secretRef": {"name": "git-token"}}});
        let known = Known::of(&sent);
        let check = |text: &str, expected: &str| assert_eq!(line(text, &known), expected);
        check(
            "Invalid value: \"hunter2\": no",
            "Invalid value: \"(sensitive)\": no",
        );
        check(
            "Invalid value: \"x\" in box",
            "Invalid value: (sensitive) in box",
        );
        check("policy: first line\nno", "policy: (sensitive) no");
        check(
            "got \"first line\\nsecond \\\"line\\\"\"",
            "got \"(sensitive)\"",
        );
        check(
            "Secret \"git-token\" is not there\u{1b}[31m",
            "Secret \"git-token\" is not there [31m",
        );
    }

    proptest! {
        #[test]
        fn no_canary_survives(
            canary in "CANARY[A-Za-z0-9]{10,20}",
            before in "[ -~\n]{0,40}",
            after in "[ -~\n]{0,40}",
            how in 0..6usize,
        ) {
            let known = Known::of(&json!({"env": [{"name": "A", "value": canary.clone()}]}));
            let none = Known::default();
            let (text, known) = match how {
                0 => (format!("{before}{canary}{after}"), &known),
                1 => (format!("{before} https://u:{canary}@host/{after}"), &none),
                2 => (format!("{before} ?token={canary} {after}"), &none),
                3 => (format!("{before} Bearer {canary} {after}"), &none),
                4 => (format!("{before} ghp_{canary} {after}"), &none),
                _ => (format!("{before} -----BEGIN PRIVATE KEY-----\n{canary}\n-----END PRIVATE KEY-----"), &none),
            };
            let shown = line(&text, known);
            prop_assert!(!shown.contains(&canary), "{shown}");
            prop_assert!(!shown.chars().any(char::is_control));
        }

        #[test]
        fn any_text_ends(text in "\\PC{0,200}") {
            hidden(&text, &Known::default());
        }
    }
}
