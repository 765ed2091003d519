//! Why a repository cannot be read. No variant ever holds a credential.

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use crate::model::RepoPath;
use crate::model::RepoUrl;

/// Why a repository cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot reach \"{url}\"")]
    Unreachable { url: String, source: Cause },
    #[error("\"{url}\" wants another credential")]
    Unauthorised { url: String, source: Cause },
    #[error("there is no repository at \"{url}\", or none that the credential may read")]
    NoRepository { url: String },
    #[error("there is no branch, tag or commit \"{reference}\" in \"{url}\"")]
    NoReference { url: String, reference: String },
    #[error("there is no file \"{path}\"")]
    NoPath { path: RepoPath },
    #[error("\"{path}\" cannot be read: it is {what}")]
    RefusedPath { path: String, what: &'static str },
    #[error("\"{path}\" is larger than {limit} bytes")]
    TooLarge { path: RepoPath, limit: u64 },
    #[error("the files that \"{root}\" includes are more than can be read: {limit}")]
    TooMuch { root: RepoPath, limit: &'static str },
    #[error("\"{pattern}\" is not a pattern of paths")]
    InvalidPattern { pattern: String, source: Cause },
    #[error("this credential cannot be used for \"{url}\": {why}")]
    UnfitCredential { url: String, why: &'static str },
    #[error("the host of \"{url}\" is not one of the known hosts")]
    HostKey { url: String, source: Cause },
    #[error("cannot read \"{url}\": only repositories by https, http and file can be read here")]
    Unsupported { url: String },
    #[error("\"{source_name}\" was not read within {} seconds", limit.as_secs())]
    TimedOut {
        source_name: String,
        limit: Duration,
    },
    #[error("cannot read the directory \"{}\"", path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error("cannot keep what was fetched in \"{}\"", path.display())]
    Store { path: PathBuf, source: Cause },
    #[error("\"{what}\" is damaged")]
    Damaged { what: String, source: Cause },
    #[error("reading was interrupted")]
    Interrupted { source: tokio::task::JoinError },
}

/// What a failure calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// It may go better later: the network, the server, this machine.
    Transient,
    /// The credential is refused, or none fits.
    Authentication,
    /// The server is not the one that is expected.
    HostKey,
    /// There is no repository, or none that the credential may read.
    NoRepository,
    /// There is no such branch, tag or commit.
    NoReference,
    /// There is no such file.
    NoPath,
    /// The commit is not signed as it must be.
    Verification,
    /// What the repository holds, or what was asked for, cannot be used.
    Invalid,
}

/// What a library says, as text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Cause(pub(super) String);

impl Cause {
    pub(super) fn of(error: &gix::Error) -> Self {
        Self(error.probable_cause().to_string())
    }
}

impl Error {
    /// What this calls for.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Store { .. }
            | Self::Directory { .. }
            | Self::Interrupted { .. } => ErrorKind::Transient,
            Self::Unauthorised { .. } | Self::UnfitCredential { .. } => ErrorKind::Authentication,
            Self::HostKey { .. } => ErrorKind::HostKey,
            Self::NoRepository { .. } => ErrorKind::NoRepository,
            Self::NoReference { .. } => ErrorKind::NoReference,
            Self::NoPath { .. } => ErrorKind::NoPath,
            Self::RefusedPath { .. }
            | Self::TooLarge { .. }
            | Self::TooMuch { .. }
            | Self::InvalidPattern { .. }
            | Self::Unsupported { .. }
            | Self::Damaged { .. } => ErrorKind::Invalid,
        }
    }

    /// Tells apart what a server's failure means.
    pub(super) fn of_server(of: &RepoUrl, error: &gix::Error) -> Self {
        let url = of.to_string();
        let response = error.downcast_any_ref::<reqwest::Error>();
        if response.is_some_and(reqwest::Error::is_timeout) {
            return Self::Unreachable {
                url,
                source: Cause("it does not answer".into()),
            };
        }
        match response
            .and_then(reqwest::Error::status)
            .map(|status| status.as_u16())
        {
            Some(404 | 410) => Self::NoRepository { url },
            Some(code @ (401 | 403)) => Self::Unauthorised {
                url,
                source: Cause(format!("status {code}")),
            },
            Some(code) => Self::Unreachable {
                url,
                source: Cause(format!("status {code}")),
            },
            None if error.is_unauthenticated() => Self::Unauthorised {
                url,
                source: Cause("status 401".into()),
            },
            None if of.is_file() && lacks_program(error) => Self::Unreachable {
                url,
                source: Cause("the program \"git\" is missing".into()),
            },
            None => Self::Unreachable {
                url,
                source: Cause::of(error),
            },
        }
    }

    pub(super) fn no_reference(url: &RepoUrl, reference: &str) -> Self {
        Self::NoReference {
            url: url.to_string(),
            reference: reference.to_owned(),
        }
    }

    pub(super) fn directory(path: &Path, source: io::Error) -> Self {
        Self::Directory {
            path: path.to_owned(),
            source,
        }
    }

    pub(super) fn refused(path: impl Into<String>, what: &'static str) -> Self {
        Self::RefusedPath {
            path: path.into(),
            what,
        }
    }

    pub(super) fn damaged(what: &dyn std::fmt::Display, error: &gix::Error) -> Self {
        Self::Damaged {
            what: what.to_string(),
            source: Cause::of(error),
        }
    }
}

/// A repository on this machine is fetched from by git's own program. That the repository is there
/// was seen before.
fn lacks_program(error: &gix::Error) -> bool {
    let cause = error.downcast_any_ref::<io::Error>();
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::NotFound)
}
