//! SHA-256 digests of bytes and of JSON values.

use std::fmt;

use serde_json::Value;
use sha2::Digest as _;
use sha2::Sha256;

/// A SHA-256 digest; shown as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Digest of several fields; no two different lists of fields share an encoding.
    pub fn of_fields<'a>(fields: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hash = Sha256::new();
        for field in fields {
            hash.update((field.len() as u64).to_be_bytes());
            hash.update(field);
        }
        Self(hash.finalize().into())
    }

    /// Digest of a JSON value, whatever the order of its keys.
    pub fn of_json(value: &Value) -> Self {
        // `serde_json::Map` is ordered by key (the `preserve_order` feature is off), so its text is canonical.
        Self::of(value.to_string())
    }

    /// The first `digits` hexadecimal digits.
    pub fn short(&self, digits: usize) -> String {
        let mut text = self.to_string();
        text.truncate(digits);
        text
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Digest;

    #[test]
    fn the_order_of_keys_does_not_matter() {
        let mut other = serde_json::Map::new();
        other.insert("b".into(), json!(1));
        other.insert("a".into(), json!(2));
        assert_eq!(
            Digest::of_json(&json!({"a": 2, "b": 1})),
            Digest::of_json(&other.into())
        );
    }

    #[test]
    fn fields_do_not_run_into_each_other() {
        let split = |a: &str, b: &str| Digest::of_fields([a.as_bytes(), b.as_bytes()]);
        assert_ne!(split("ab", "c"), split("a", "bc"));
    }
}
