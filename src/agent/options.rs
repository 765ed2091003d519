//! The checkout's command line. It is written by a program, so there is no help text.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::PathBuf;

use super::git_config::Identity;
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
    /// How many commits of history; all, if absent.
    pub(super) depth: Option<NonZeroU32>,
    pub(super) submodules: bool,
    pub(super) identity: Identity,
    /// The workspace's Secret, mounted; the agent's container has it at the same path.
    pub(super) credentials_dir: Option<PathBuf>,
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
    #[error("\"--depth\" must be a number of commits, or 0 for all")]
    Depth,
    #[error("the name and address for commits must be one line, without \"<\" and \">\"")]
    Identity,
    #[error("cannot use the repository's URL")]
    Url(#[from] crate::model::repo_url::InvalidUrl),
    #[error("cannot use the reference")]
    Reference(#[from] crate::repo::InvalidReference),
}

impl Options {
    pub(super) fn parse(words: &[OsString]) -> Result<Self, Error> {
        let (mut repo_dir, mut home, mut axon_dir) = (None, None, None);
        let mut options = Self::empty();
        let mut words = words.iter();
        while let Some(flag) = words.next() {
            let flag = flag.to_string_lossy();
            if flag == "--submodules" {
                options.submodules = true;
                continue;
            }
            let value = words.next();
            let no_value = || Error::NoValue(flag.to_string());
            let path = || value.map(PathBuf::from).ok_or_else(no_value);
            let text = || value.and_then(|it| it.to_str()).ok_or_else(no_value);
            match flag.as_ref() {
                "--repo-dir" => repo_dir = Some(path()?),
                "--home" => home = Some(path()?),
                "--axon-dir" => axon_dir = Some(path()?),
                "--termination-log" => options.termination_log = Some(path()?),
                "--url" => options.url = Some(RepoUrl::parse(text()?)?),
                "--ref" => options.reference = Reference::parse(text()?)?,
                "--branch" => options.branch = Some(branch_name(text()?)?),
                "--depth" => options.depth = depth(text()?)?,
                "--git-name" => options.identity.name = identity(text()?)?,
                "--git-email" => options.identity.email = identity(text()?)?,
                "--credentials-dir" => options.credentials_dir = Some(path()?),
                _ => return Err(Error::Unknown(flag.into_owned())),
            }
        }
        options.repo_dir = repo_dir.ok_or(Error::Missing("--repo-dir"))?;
        options.home = home.ok_or(Error::Missing("--home"))?;
        options.axon_dir = axon_dir.ok_or(Error::Missing("--axon-dir"))?;
        Ok(options)
    }

    fn empty() -> Self {
        Self {
            repo_dir: PathBuf::new(),
            home: PathBuf::new(),
            axon_dir: PathBuf::new(),
            termination_log: None,
            url: None,
            reference: Reference::default(),
            branch: None,
            depth: Some(NonZeroU32::MIN),
            submodules: false,
            identity: Identity::default(),
            credentials_dir: None,
        }
    }
}

fn depth(text: &str) -> Result<Option<NonZeroU32>, Error> {
    let commits: u32 = text.parse().map_err(|_| Error::Depth)?;
    Ok(NonZeroU32::new(commits))
}

/// A part of `Name <address>`, as a commit holds it.
fn identity(text: &str) -> Result<String, Error> {
    let odd = |c: char| c.is_control() || matches!(c, '<' | '>');
    if text.trim().is_empty() || text.contains(odd) {
        return Err(Error::Identity);
    }
    Ok(text.trim().to_owned())
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
