//! A value that must not be shown.

use std::fmt;

use secrecy::ExposeSecret;
use secrecy::SecretString;

/// Key of a Workspace's Secret that holds the token, and the variable that it becomes.
pub const GITHUB_TOKEN: &str = "GITHUB_TOKEN";

/// A secret value. Its `Debug` and `Display` are `(sensitive)`, and it is wiped when dropped.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Self(SecretString::from(value.into()))
    }

    /// The value itself, for the one call that needs it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("(sensitive)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("(sensitive)")
    }
}
