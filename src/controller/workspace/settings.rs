//! A Workspace's spec, validated once.

use super::reason::Reason;
use super::reason::Trouble;
use crate::api::Workspace;
use crate::controller::Options;
use crate::model::RepoUrl;
use crate::repo::Reference;

/// A beginning of a commit's name is at least so long, as in git.
const MIN_ABBREVIATION: usize = 4;

/// What a Workspace asks for, known to be usable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) url: RepoUrl,
    pub(super) reference: Reference,
}

impl Settings {
    pub(super) fn accept(workspace: &Workspace, options: &Options) -> Result<Self, Trouble> {
        let spec = &workspace.spec;
        let url = RepoUrl::parse(&spec.repo);
        let url = url.map_err(|error| Trouble::new(Reason::InvalidURL, error.to_string()))?;
        if url.is_file() && !options.allow_file_urls {
            let why = "this controller does not allow file:// repositories";
            return Err(Trouble::new(Reason::InvalidURL, why));
        }
        let text = spec.reference.as_deref().filter(|it| !it.is_empty());
        let reference = text.map(Reference::parse).transpose();
        let reference =
            reference.map_err(|error| Trouble::new(Reason::InvalidRef, error.to_string()))?;
        Ok(Self {
            url,
            reference: reference.unwrap_or_default(),
        })
    }

    /// What is asked for: of a commit a server tells nothing by its list of refs, so the default
    /// branch stands for the access.
    pub(super) fn asked(&self) -> Reference {
        match &self.reference {
            Reference::Commit(_) if !self.url.is_file() => Reference::Head,
            Reference::Commit(_) | Reference::Head | Reference::Name(_) | Reference::Full(_) => {
                self.reference.clone()
            }
        }
    }

    /// Whether it may be a commit that no ref names: then an answer proves access, and no more.
    pub(super) fn may_be_a_commit(&self) -> bool {
        match &self.reference {
            Reference::Commit(_) => true,
            Reference::Name(name) => {
                name.len() >= MIN_ABBREVIATION && name.bytes().all(|it| it.is_ascii_hexdigit())
            }
            Reference::Head | Reference::Full(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn accept(repo: &str, reference: &str) -> Result<Settings, Trouble> {
        let workspace = serde_json::from_value(json!({
            "apiVersion": "axon.io/v1alpha1",
            "kind": "Workspace",
            "metadata": {"name": "web"},
            "spec": {"repo": repo, "ref": reference},
        }));
        Settings::accept(&workspace.unwrap(), &Options::default())
    }

    #[test]
    fn what_is_asked_for() {
        let check = |reference: &str, asked: &str, may_be_a_commit: bool| {
            let settings = accept("https://h/a", reference).unwrap();
            assert_eq!(settings.asked(), Reference::parse(asked).unwrap());
            assert_eq!(settings.may_be_a_commit(), may_be_a_commit, "{reference}");
        };
        check("", "HEAD", false);
        check("main", "main", false);
        check("dead", "dead", true);
        check("abc", "abc", false);
        check("refs/heads/dead", "refs/heads/dead", false);
        check(&"a".repeat(40), "HEAD", true);
    }

    #[test]
    fn refused() {
        let check = |repo: &str, reference: &str, expected: Reason| {
            assert_eq!(accept(repo, reference).unwrap_err().reason, expected);
        };
        check("https://bob:hunter2@h/a", "", Reason::InvalidURL);
        check("file:///srv/a", "", Reason::InvalidURL);
        check("https://h/a", "a..b", Reason::InvalidRef);
    }
}
