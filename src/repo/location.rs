//! Where configuration is: what a person types.

use std::path::PathBuf;

use crate::model::RepoUrl;
use crate::model::repo_url::InvalidUrl;

/// A directory or a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    Directory(PathBuf),
    Git(RepoUrl),
}

/// Why a text is neither. The text itself is not shown: it may hold a credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot use this as a directory or the URL of a repository")]
pub struct InvalidLocation(#[from] InvalidUrl);

impl Location {
    /// `text` is a URL if it looks like one, else a directory.
    pub fn parse(text: &str) -> Result<Self, InvalidLocation> {
        if looks_like_url(text) {
            return Ok(Self::Git(RepoUrl::parse(text)?));
        }
        if text.is_empty() {
            return Err(InvalidLocation(InvalidUrl::Characters));
        }
        Ok(Self::Directory(PathBuf::from(text)))
    }
}

fn looks_like_url(text: &str) -> bool {
    let scp = text
        .split_once(':')
        .is_some_and(|(host, _)| host.contains('@') && !host.contains('/'));
    text.contains("://") || scp
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_and_urls() {
        for text in [".", "a/b", "/srv/x", "./a@b:c", "a:b"] {
            assert_eq!(Location::parse(text), Ok(Location::Directory(text.into())));
        }
        for text in ["https://host/a", "git@host:a/b", "file:///srv/x"] {
            assert!(
                matches!(Location::parse(text), Ok(Location::Git(_))),
                "{text}"
            );
        }
        for text in ["", "https://user:secret@host/a", "bob:secret@host:x"] {
            assert!(
                !matches!(Location::parse(text), Ok(Location::Git(_))),
                "{text}"
            );
        }
    }
}
