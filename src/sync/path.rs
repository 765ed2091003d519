//! A field's path, as a person writes it.

use std::fmt;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Key(String),
    Index(usize),
}

/// Where a field stands in an object: `spec.podOverrides.env[0].value`,
/// `metadata.labels["axon.io/sync"]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FieldPath(Vec<Part>);

impl FieldPath {
    pub(super) fn of(keys: &[&str]) -> Self {
        Self(keys.iter().map(|key| Part::Key((*key).into())).collect())
    }

    #[must_use]
    pub(super) fn key(&self, key: &str) -> Self {
        self.with(Part::Key(key.to_owned()))
    }

    #[must_use]
    pub(super) fn index(&self, index: usize) -> Self {
        self.with(Part::Index(index))
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.0
    }

    fn with(&self, part: Part) -> Self {
        let mut parts = self.0.clone();
        parts.push(part);
        Self(parts)
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |key: &str| {
            !key.is_empty()
                && key
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
        };
        for (at, part) in self.0.iter().enumerate() {
            match part {
                Part::Index(index) => write!(out, "[{index}]")?,
                Part::Key(key) if plain(key) && at == 0 => out.write_str(key)?,
                Part::Key(key) if plain(key) => write!(out, ".{key}")?,
                Part::Key(key) => write!(out, "[{key:?}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_unambiguous() {
        let env = FieldPath::of(&["spec", "podOverrides", "env"]).index(0);
        assert_eq!(
            env.key("value").to_string(),
            "spec.podOverrides.env[0].value"
        );
        assert_eq!(
            FieldPath::of(&["metadata", "labels"])
                .key("a.b/c")
                .to_string(),
            "metadata.labels[\"a.b/c\"]"
        );
    }
}
