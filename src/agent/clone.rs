//! Clones a repository for an agent: the history it does not need is left out, but it can fetch,
//! commit and push as in any clone.

use std::fs;
use std::io;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::Duration;

use gix::ObjectId;

use super::credentials;
use super::fetch;
use super::git_config;
use super::git_config::Helper;
use super::git_config::Identity;
use super::git_config::Settings;
use super::submodules;
use super::submodules::Skipped;
use super::worktree;
use crate::model::RepoUrl;
use crate::repo;
use crate::repo::Access;
use crate::repo::Reference;
use crate::repo::remote;
use crate::repo::remote::Remote;

/// Longest time for a clone: much for a large repository, and yet an end where a server only drips.
pub(super) const TIME_LIMIT: Duration = Duration::from_mins(30);

/// Most bytes of a clone: far beyond what a Pod's disk holds.
const MAX_BYTES: u64 = 1 << 40;
/// Largest object of a clone. Each is held in memory once, so it must fit into a Pod's; hosting
/// services take less.
const MAX_OBJECT: u64 = 512 << 20;

/// What to clone.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) url: RepoUrl,
    pub(super) reference: Reference,
    pub(super) branch: Option<String>,
}

/// How to clone it and all that belongs to it.
#[derive(Clone, Debug)]
pub(super) struct Manner {
    /// How many commits of history; all, if absent.
    pub(super) depth: Option<NonZeroU32>,
    pub(super) submodules: bool,
    pub(super) identity: Identity,
    pub(super) helper: Option<Helper>,
}

/// What was cloned.
#[derive(Debug)]
pub(super) struct Cloned {
    pub(super) commit: ObjectId,
    /// Submodules that were left empty.
    pub(super) skipped: Vec<Skipped>,
}

/// Why a repository cannot be cloned.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("\"{0}\" is not empty")]
    NotEmpty(String),
    #[error("cannot write to \"{path}\"")]
    Io { path: String, source: io::Error },
    #[error(transparent)]
    Credentials(#[from] credentials::Error),
    #[error(transparent)]
    Repo(#[from] repo::Error),
    #[error("\"{reference}\" is the beginning of several commits: {commits}; write more of it")]
    Ambiguous { reference: String, commits: String },
    #[error("cannot {what}")]
    Git {
        what: &'static str,
        source: gix::Error,
    },
    #[error("cannot write the repository's settings")]
    Settings(#[from] git_config::Error),
    #[error("it was not cloned within {} seconds", limit.as_secs())]
    TimedOut { limit: Duration },
    #[error("cloning was broken off")]
    BrokenOff,
    #[error("cannot write the file \"{path}\" of the repository")]
    File { path: String },
    #[error("cannot check out the submodule \"{path}\"")]
    Submodule { path: String, source: Box<Error> },
}

impl Error {
    pub(super) fn io(path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io {
            path: path.display().to_string(),
            source,
        }
    }

    pub(super) fn git(what: &'static str) -> impl Fn(gix::Error) -> Self {
        move |source| Self::Git { what, source }
    }
}

/// Clones into `dir`. A clone that is not done within `limit` is left behind: the process is to end
/// then, and that with it.
pub(super) fn clone(
    wanted: Wanted,
    manner: Manner,
    dir: &Path,
    limit: Duration,
) -> Result<Cloned, Error> {
    let (done, result) = mpsc::channel();
    let own_dir = dir.to_owned();
    thread::spawn(move || {
        // Nobody listens any more when the limit was reached.
        let _ = done.send(clone_now(&wanted, &manner, &own_dir));
    });
    match result.recv_timeout(limit) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => Err(Error::TimedOut { limit }),
        Err(RecvTimeoutError::Disconnected) => Err(Error::BrokenOff),
    }
}

fn clone_now(wanted: &Wanted, manner: &Manner, dir: &Path) -> Result<Cloned, Error> {
    let (repo, commit) = clone_one(wanted, manner, dir)?;
    let skipped = if manner.submodules {
        submodules::clone(&repo, &wanted.url, manner, dir)?
    } else {
        Vec::new()
    };
    Ok(Cloned { commit, skipped })
}

/// Clones one repository, with a directory in place of each submodule.
pub(super) fn clone_one(
    wanted: &Wanted,
    manner: &Manner,
    dir: &Path,
) -> Result<(gix::Repository, ObjectId), Error> {
    if fs::read_dir(dir).map_err(Error::io(dir))?.next().is_some() {
        return Err(Error::NotEmpty(dir.display().to_string()));
    }
    let remote = Remote::new(wanted.url.clone(), access(wanted, manner)?)?;
    remote::init(dir, gix::create::Kind::WithWorktree).map_err(Error::git("make a repository"))?;
    let start = fetch::fetch(&remote, &open(dir)?, wanted, manner.depth)?;
    let settings = Settings {
        origin: &wanted.url,
        branch: start.branch.as_deref(),
        identity: &manner.identity,
        helper: manner.helper.as_ref(),
    };
    let repo = open(dir)?;
    settings.write(&repo.git_dir().join("config"))?;
    worktree::set_head(&repo, &start)?;
    worktree::write_files(&repo, dir, start.commit)?;
    Ok((repo, start.commit))
}

/// Opens a clone, to see the objects that were fetched.
pub(super) fn open(dir: &Path) -> Result<gix::Repository, Error> {
    gix::open_opts(dir, remote::limited(MAX_OBJECT)).map_err(Error::git("open the repository"))
}

/// The way in, by the credential as it is now. It goes to its own host and by its own scheme only.
fn access(wanted: &Wanted, manner: &Manner) -> Result<Access, Error> {
    let helper = manner.helper.as_ref();
    let fitting = helper.filter(|helper| helper.url.same_server(&wanted.url));
    let credentials = match fitting {
        Some(helper) => credentials::read(&helper.credentials_dir)?,
        None => None,
    };
    Ok(Access {
        credentials,
        deadline: TIME_LIMIT,
        max_bytes: MAX_BYTES,
        max_object: MAX_OBJECT,
        ..Access::default()
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::io::Write as _;
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_server_that_only_drips_is_left() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/a/b", server.local_addr().unwrap());
        thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            // An answer before the question would be an error of its own.
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                asked.extend(byte);
            }
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\
                Content-Type: application/x-git-upload-pack-advertisement\r\n\r\n";
            // The beginning of a long line.
            let mut written = stream.write_all(format!("{head}fff0").as_bytes());
            while written.is_ok() {
                thread::sleep(Duration::from_millis(10));
                written = stream.write_all(b" ");
            }
        });
        let wanted = Wanted {
            url: RepoUrl::parse(&url).unwrap(),
            reference: Reference::default(),
            branch: None,
        };
        let manner = Manner {
            depth: None,
            submodules: false,
            identity: Identity::default(),
            helper: None,
        };
        let dir = tempfile::tempdir().unwrap();
        let error = clone(wanted, manner, dir.path(), Duration::from_secs(1)).unwrap_err();
        assert_eq!(error.to_string(), "it was not cloned within 1 seconds");
    }
}
