//! The checkout's command line. It is written by a program, so there is no help text.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::model::RepoUrl;
use crate::repo::Reference;

/// What to check out, and where to put what.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Options {
    /// Where the agent works: the clone, or an empty directory.
    pub(super) repo_dir: PathBuf,
    /// A home directory for agents that have none.
    pub(super) home: PathBuf,
    /// What the agent's container mounts read-only.
    pub(super) axon_dir: PathBuf,
    pub(super) termination_log: Option<PathBuf>,
    /// The workspace's repository, if the Task has a workspace.
    pub(super) url: Option<RepoUrl>,
    pub(super) reference: Reference,
    /// Branch to work on; made where it does not exist.
    pub(super) branch: Option<String>,
}

/// Why the words are wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("unknown flag \"{0}\"")]
    Unknown(String),
    #[error("\"{0}\" is missing")]
    Missing(&'static str),
    #[error("\"{0}\" needs a value that is text")]
    NoValue(String),
    #[error("cannot use the repository's URL")]
    Url(#[from] crate::model::repo_url::InvalidUrl),
    #[error("cannot use the reference")]
    Reference(#[from] crate::repo::InvalidReference),
}

impl Options {
    pub(super) fn parse(words: &[OsString]) -> Result<Self, Error> {
        let (mut repo_dir, mut home, mut axon_dir, mut termination_log) = (None, None, None, None);
        let (mut url, mut reference, mut branch) = (None, Reference::default(), None);
        let mut words = words.iter();
        while let Some(flag) = words.next() {
            let flag = flag.to_string_lossy();
            let value = words.next();
            let path = || {
                value
                    .map(PathBuf::from)
                    .ok_or_else(|| Error::NoValue(flag.to_string()))
            };
            let text = || {
                value
                    .and_then(|it| it.to_str())
                    .ok_or_else(|| Error::NoValue(flag.to_string()))
            };
            match flag.as_ref() {
                "--repo-dir" => repo_dir = Some(path()?),
                "--home" => home = Some(path()?),
                "--axon-dir" => axon_dir = Some(path()?),
                "--termination-log" => termination_log = Some(path()?),
                "--url" => url = Some(RepoUrl::parse(text()?)?),
                "--ref" => reference = Reference::parse(text()?)?,
                "--branch" => branch = Some(branch_name(text()?)?),
                _ => return Err(Error::Unknown(flag.into_owned())),
            }
        }
        Ok(Self {
            repo_dir: repo_dir.ok_or(Error::Missing("--repo-dir"))?,
            home: home.ok_or(Error::Missing("--home"))?,
            axon_dir: axon_dir.ok_or(Error::Missing("--axon-dir"))?,
            termination_log,
            url,
            reference,
            branch,
        })
    }
}

/// A branch by its short name, also one that looks like a commit.
fn branch_name(text: &str) -> Result<String, Error> {
    Reference::parse(&format!("refs/heads/{text}"))?;
    Ok(text.to_owned())
}

/// Where to report a failure to understand the rest.
pub(super) fn termination_log(words: &[OsString]) -> Option<PathBuf> {
    let at = words.iter().position(|word| word == "--termination-log")?;
    words.get(at + 1).map(PathBuf::from)
}
