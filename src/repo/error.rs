//! Why a repository cannot be read. No variant ever holds a credential.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use gix::protocol::transport::packetline::read::Error as Refusal;

use super::signature::Unverified;
use super::transport::Failure;
use super::transport::Line;
use crate::model::RepoPath;
use crate::model::RepoUrl;

/// How servers of git say, in words only, that they have no such repository.
const NO_REPOSITORY: [&str; 4] = [
    "not appear to be a git repository",
    "no such repository",
    "repository not exported",
    "epository not found",
];

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
    #[error("there is no commit in \"{url}\" yet, or it has no default branch")]
    Empty { url: String },
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
    #[error("there is no fitting credential for \"{url}\": {why}")]
    UnfitCredential { url: String, why: &'static str },
    #[error("\"{url}\" is not connected to: {address} is an address of this machine or its link")]
    LocalAddress { url: String, address: IpAddr },
    #[error("the host of \"{url}\" cannot be trusted")]
    HostKey { url: String, source: Cause },
    #[error("\"{url}\" holds more than can be taken: {limit}")]
    Excess { url: String, limit: String },
    #[error("{commit} is not verified")]
    Unverified { commit: String, source: Unverified },
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

/// What a library or a program says, as text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Cause {
    pub(super) text: String,
    is_quoted: bool,
    is_refusal: bool,
}

impl Cause {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            is_quoted: false,
            is_refusal: false,
        }
    }

    pub(super) fn of(error: &gix::Error) -> Self {
        Self {
            text: error.probable_cause().to_string(),
            is_quoted: true,
            is_refusal: error.downcast_any_ref::<Refusal>().is_some(),
        }
    }

    /// Whether it may repeat what a server answered.
    pub fn is_quoted(&self) -> bool {
        self.is_quoted
    }
}

impl Error {
    /// Whether the server itself said no, in the line that the protocol has for that: nothing broke.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Unreachable { source, .. } if source.is_refusal)
    }

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
            Self::NoReference { .. } | Self::Empty { .. } => ErrorKind::NoReference,
            Self::NoPath { .. } => ErrorKind::NoPath,
            Self::Unverified { .. } => ErrorKind::Verification,
            Self::RefusedPath { .. }
            | Self::LocalAddress { .. }
            | Self::TooLarge { .. }
            | Self::TooMuch { .. }
            | Self::InvalidPattern { .. }
            | Self::Excess { .. }
            | Self::Damaged { .. } => ErrorKind::Invalid,
        }
    }

    /// What ended an exchange with a server: what the line noted, else what the library says.
    pub(super) fn of_server(of: &RepoUrl, line: &Line, error: &gix::Error) -> Self {
        if let Some(failure) = line.failure() {
            return Self::of_failure(of, &failure);
        }
        let url = of.to_string();
        let source = Cause::of(error);
        if error.is_resource_exhausted() {
            return Self::Excess {
                url,
                limit: format!("an object of {} bytes", line.max_object()),
            };
        }
        if NO_REPOSITORY
            .iter()
            .any(|words| source.text.contains(words))
        {
            return Self::NoRepository { url };
        }
        if of.is_file() && lacks_program(error) {
            let source = Cause::new("the program \"git\" is missing");
            return Self::Unreachable { url, source };
        }
        Self::Unreachable { url, source }
    }

    /// What kept an exchange from beginning.
    pub(super) fn of_line(of: &RepoUrl, line: &Line, error: &io::Error) -> Self {
        let failure = line.failure();
        Self::of_failure(
            of,
            &failure.unwrap_or_else(|| Failure::Unreachable(error.to_string())),
        )
    }

    fn of_failure(of: &RepoUrl, failure: &Failure) -> Self {
        let url = of.to_string();
        let source = Cause::new(failure.to_string());
        match failure {
            Failure::Status(401 | 403) | Failure::Refused(_) => Self::Unauthorised { url, source },
            Failure::Status(404 | 410) | Failure::NoRepository(_) => Self::NoRepository { url },
            Failure::HostKey(_) => Self::HostKey { url, source },
            Failure::Unfit(why) => Self::UnfitCredential { url, why },
            Failure::Local(address) => Self::LocalAddress {
                url,
                address: *address,
            },
            Failure::TooMuch(limit) => Self::Excess {
                url,
                limit: format!("{limit} bytes in one fetch"),
            },
            Failure::Silent
            | Failure::Slow
            | Failure::Stopped
            | Failure::Status(_)
            | Failure::Redirected(_)
            | Failure::Unreachable(_) => Self::Unreachable { url, source },
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
