//! What in a repository is meant: a branch, a tag, a full ref, a commit, or the default branch.

use gix::ObjectId;

use super::Error;
use crate::model::RepoUrl;

/// Longest name, as in the Workspace's schema.
const MAX: usize = 244;

/// Names one commit of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reference {
    /// The default branch.
    #[default]
    Head,
    /// A branch or, where there is none of that name, a tag.
    Name(String),
    /// `refs/…`.
    Full(String),
    Commit(ObjectId),
}

/// Why a text is not a reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not the name of a branch or tag, nor a commit")]
pub struct InvalidReference(String);

impl Reference {
    /// `HEAD`, a full ref, a commit of 40 hexadecimal digits, or a name.
    pub fn parse(text: &str) -> Result<Self, InvalidReference> {
        let invalid = || InvalidReference(text.chars().take(MAX).collect());
        if text == "HEAD" {
            return Ok(Self::Head);
        }
        if let Ok(id) = ObjectId::from_hex(text.to_ascii_lowercase().as_bytes()) {
            return Ok(Self::Commit(id));
        }
        let full = if text.starts_with("refs/") {
            text.to_owned()
        } else {
            format!("refs/heads/{text}")
        };
        let valid = text.len() <= MAX
            && !text.starts_with('-')
            && gix::validate::reference::name(full.as_str().into()).is_ok();
        match text.starts_with("refs/") {
            _ if !valid => Err(invalid()),
            true => Ok(Self::Full(full)),
            false => Ok(Self::Name(text.to_owned())),
        }
    }

    /// The refs that may be meant, the first that exists wins.
    pub(super) fn candidates(&self) -> Vec<String> {
        match self {
            Self::Head => vec!["HEAD".into()],
            Self::Name(name) => vec![format!("refs/heads/{name}"), format!("refs/tags/{name}")],
            Self::Full(name) => vec![name.clone()],
            Self::Commit(_) => Vec::new(),
        }
    }

    /// As it was written.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Head => "HEAD".into(),
            Self::Name(name) | Self::Full(name) => name.clone(),
            Self::Commit(id) => id.to_string(),
        }
    }

    /// Says that a repository does not have it.
    pub(super) fn missing(&self, url: &RepoUrl) -> Error {
        match self {
            Self::Head => Error::Empty {
                url: url.to_string(),
            },
            Self::Name(_) | Self::Full(_) | Self::Commit(_) => {
                Error::no_reference(url, &self.text())
            }
        }
    }

    /// The commit in a repository on this machine.
    pub(super) fn find(&self, repo: &gix::Repository, url: &RepoUrl) -> Result<ObjectId, Error> {
        let missing = || self.missing(url);
        if let Self::Commit(id) = self {
            return if repo.has_object(id) {
                Ok(*id)
            } else {
                Err(missing())
            };
        }
        for name in self.candidates() {
            let found = repo
                .try_find_reference(name.as_str())
                .map_err(|error| Error::damaged(&url, &error))?;
            if let Some(mut found) = found {
                let id = found.peel_to_id().map_err(|_| missing())?;
                return Ok(id.detach());
            }
        }
        Err(missing())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references() {
        let check = |text: &str, candidates: &[&str]| {
            assert_eq!(
                Reference::parse(text).unwrap().candidates(),
                candidates,
                "{text}"
            );
        };
        check("HEAD", &["HEAD"]);
        check("main", &["refs/heads/main", "refs/tags/main"]);
        check("fix/a", &["refs/heads/fix/a", "refs/tags/fix/a"]);
        check("refs/pull/1/head", &["refs/pull/1/head"]);
        check(&"Ab".repeat(20), &[]);
        for text in [
            "",
            "-x",
            "a..b",
            "a b",
            "a\nb",
            "refs/",
            "a:b",
            "a*",
            "x.lock",
            &"x".repeat(245),
        ] {
            assert!(Reference::parse(text).is_err(), "{text:?}");
        }
    }
}
