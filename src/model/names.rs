//! Names that travel between modules.

use std::fmt;

use super::digest::Digest;

/// Longest value of a label.
pub const MAX_LABEL: usize = 63;
/// Longest name of an object.
pub const MAX_NAME: usize = 253;

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{text}\" must have 1 to {max} lower-case letters, digits or \"-\"{dots}, and begin and end with a letter or digit"
)]
pub struct InvalidName {
    text: String,
    max: usize,
    dots: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, max: $max:expr, dots: $dots:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            pub fn parse(text: &str) -> Result<Self, InvalidName> {
                if is_name(text, $max, $dots) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidName {
                        text: text.chars().take($max + 1).collect(),
                        max: $max,
                        dots: if $dots { " or \".\"" } else { "" },
                    })
                }
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }
    };
}

name!(
    /// Name of an object in a namespace: a DNS-1123 subdomain.
    ObjectName, max: MAX_NAME, dots: true
);
name!(
    /// Name of a namespace: a DNS-1123 label.
    Namespace, max: MAX_LABEL, dots: false
);
name!(
    /// What ties objects to the configuration that declares them: the value of the label `axon.io/sync`.
    SyncId, max: MAX_LABEL, dots: false
);

fn is_name(text: &str, max: usize, dots: bool) -> bool {
    let good = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && part.ends_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && part
                .bytes()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
    };
    text.len() <= max
        && if dots {
            text.split('.').all(good)
        } else {
            good(text)
        }
}

/// `text` as the value of a label or a name of at most [`MAX_LABEL`] characters: itself where it
/// fits, else cut and ended with a hash of the whole.
pub fn cut(text: &str) -> String {
    if text.len() <= MAX_LABEL {
        return text.to_owned();
    }
    hashed(text, text)
}

/// `text` lower-cased and with all but letters, digits and `-` replaced, as a name of at most
/// [`MAX_LABEL`] characters; ended with a hash of `text` when it had to be changed.
pub fn sanitised(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        let c = c.to_ascii_lowercase();
        clean.push(if c.is_ascii_lowercase() || c.is_ascii_digit() {
            c
        } else {
            '-'
        });
    }
    let clean = clean.trim_matches('-');
    if clean == text && text.len() <= MAX_LABEL {
        return clean.to_owned();
    }
    hashed(clean, text)
}

fn hashed(stem: &str, whole: &str) -> String {
    const HASH: usize = 8;
    let mut end = stem.len().min(MAX_LABEL - HASH - 1);
    while !stem.is_char_boundary(end) {
        end -= 1;
    }
    let stem = stem[..end].trim_end_matches(['-', '.', '_']);
    let hash = Digest::of(whole).short(HASH);
    if stem.is_empty() {
        hash
    } else {
        format!("{stem}-{hash}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "a-b", "a.b", "0", &"x".repeat(253)] {
            assert!(ObjectName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a..b", "a_b", "ü", &"x".repeat(254)] {
            assert!(ObjectName::parse(bad).is_err(), "{bad}");
        }
        assert!(Namespace::parse("a.b").is_err());
    }

    #[test]
    fn a_changed_name_carries_a_hash() {
        assert_eq!(sanitised("fix-42"), "fix-42");
        assert_ne!(sanitised("Fix-42"), sanitised("fix-42"));
        assert!(sanitised("Fix/42").starts_with("fix-42-"));
        let long = sanitised(&"ä".repeat(200));
        assert!(
            ObjectName::parse(&long).is_ok() && long.len() <= MAX_LABEL,
            "{long}"
        );
        assert_eq!(cut(&"x".repeat(70)).len(), MAX_LABEL);
    }
}
