//! Keys and values of labels: what Kubernetes takes, and what is not for users.

use super::names::MAX_LABEL;
use super::names::ObjectName;
use super::problem::brief;

/// Prefixes of keys that Axon and Kubernetes set.
const RESERVED: [&str; 3] = ["axon.io/", "app.kubernetes.io/", "batch.kubernetes.io/"];

/// Whether Axon or Kubernetes sets the labels and annotations of this key.
pub fn is_reserved(key: &str) -> bool {
    RESERVED.iter().any(|prefix| key.starts_with(prefix))
}

/// Whether a text can be the key of a label or annotation.
pub fn is_key(key: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    prefix.is_none_or(|it| ObjectName::parse(it).is_ok()) && is_word(name)
}

/// Whether a text can be the value of a label.
pub fn is_value(value: &str) -> bool {
    value.is_empty() || is_word(value)
}

/// What is told of a key that is none.
pub fn wrong_key(key: &str) -> String {
    format!(
        "\"{}\" cannot be a key here: expected \"name\" or \"domain/name\"",
        brief(key)
    )
}

/// What is told of a value that no label can have.
pub fn wrong_value(value: &str) -> String {
    format!(
        "a label's value must have at most {MAX_LABEL} letters, digits, \"-\", \"_\" or \".\", and \
         begin and end with a letter or digit; got \"{}\"",
        brief(value)
    )
}

fn is_word(text: &str) -> bool {
    let is_inner = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    let is_edge = |c: Option<&u8>| c.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    text.len() <= MAX_LABEL
        && bytes.iter().copied().all(is_inner)
        && is_edge(bytes.first())
        && is_edge(bytes.last())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        let long = "x".repeat(64);
        for good in ["a", "A.b_c-d", "example.com/a", "a/b", "9"] {
            assert!(is_key(good), "{good}");
        }
        for bad in [
            "", "/a", "a/", "a/b/c", "A.com/b", "-a", "a-", "ä", "a b", &long,
        ] {
            assert!(!is_key(bad), "{bad}");
        }
    }

    #[test]
    fn values() {
        for good in ["", "a", "A_b.c-1"] {
            assert!(is_value(good), "{good}");
        }
        for bad in ["-a", "a.", "a b", "a/b", &"x".repeat(64)] {
            assert!(!is_value(bad), "{bad}");
        }
    }
}
