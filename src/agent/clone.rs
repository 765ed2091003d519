//! Clones a repository for an agent: the history it does not need is left out, but it can fetch,
//! commit and push as in any clone.

use std::fs;
use std::io;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::Duration;

use gix::ObjectId;
use gix::progress::Discard;
use gix::refs::Target;
use gix::refs::transaction::PreviousValue;
use gix::refs::transaction::RefEdit;
use gix::worktree::stack::state::attributes::Source;
use gix::worktree::state::checkout;

use super::git_config;
use crate::model::RepoUrl;
use crate::model::Secret;
use crate::repo;
use crate::repo::Access;
use crate::repo::Credentials;
use crate::repo::Reference;
use crate::repo::remote;
use crate::repo::remote::Fetch;
use crate::repo::remote::Remote;
use crate::repo::remote::Stop;

/// Shortest abbreviation of a commit that is looked for.
const MIN_ABBREVIATION: usize = 7;

/// Longest time for a clone: much for a large repository, and yet an end where a server only drips.
pub(super) const TIME_LIMIT: Duration = Duration::from_mins(30);

/// Most bytes of a clone: far beyond what a Pod's disk holds.
const MAX_BYTES: u64 = 1 << 40;

/// What to clone.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) url: RepoUrl,
    pub(super) reference: Reference,
    pub(super) branch: Option<String>,
    pub(super) token: Option<Secret>,
}

/// Why a repository cannot be cloned.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("\"{0}\" is not empty")]
    NotEmpty(String),
    #[error("cannot write to \"{path}\"")]
    Io { path: String, source: io::Error },
    #[error(transparent)]
    Repo(#[from] repo::Error),
    #[error("cannot {what}")]
    Git {
        what: &'static str,
        source: gix::Error,
    },
    #[error("it was not cloned within {} seconds", limit.as_secs())]
    TimedOut { limit: Duration },
    #[error("cloning was broken off")]
    BrokenOff,
    #[error("cannot write the file \"{path}\" of the repository")]
    File { path: String },
}

/// Where HEAD is to stand.
#[derive(Debug, PartialEq, Eq)]
struct Start {
    commit: ObjectId,
    /// The branch to be on, and whether the server has it.
    branch: Option<(String, bool)>,
}

/// Clones into `dir`; gives the commit that is checked out. A clone that is not done within `limit`
/// is left behind: the process is to end then, and that with it.
pub(super) fn clone(wanted: Wanted, dir: &Path, limit: Duration) -> Result<ObjectId, Error> {
    let (done, result) = mpsc::channel();
    let own_dir = dir.to_owned();
    thread::spawn(move || {
        // Nobody listens any more when the limit was reached.
        let _ = done.send(clone_now(&wanted, &own_dir));
    });
    match result.recv_timeout(limit) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => Err(Error::TimedOut { limit }),
        Err(RecvTimeoutError::Disconnected) => Err(Error::BrokenOff),
    }
}

fn clone_now(wanted: &Wanted, dir: &Path) -> Result<ObjectId, Error> {
    let io = |source| Error::Io {
        path: dir.display().to_string(),
        source,
    };
    if fs::read_dir(dir).map_err(io)?.next().is_some() {
        return Err(Error::NotEmpty(dir.display().to_string()));
    }
    let access = Access {
        credentials: wanted.token.clone().map(Credentials::Token),
        deadline: TIME_LIMIT,
        max_bytes: MAX_BYTES,
        ..Access::default()
    };
    let remote = Remote::new(wanted.url.clone(), access)?;
    let repo =
        remote::init(dir, gix::create::Kind::WithWorktree).map_err(git("make a repository"))?;
    let start = fetch(&remote, &repo, wanted)?;
    git_config::write(
        &repo.git_dir().join("config"),
        wanted,
        start.branch.as_ref().map(|(name, _)| name.as_str()),
    )
    .map_err(git("write the repository's settings"))?;
    // Opened again, to see the objects that were fetched.
    let repo = gix::open_opts(dir, remote::options()).map_err(git("open the repository"))?;
    set_head(&repo, &start)?;
    write_files(&repo, dir, start.commit)?;
    Ok(start.commit)
}

/// Fetches what is wanted, and nothing beside it.
fn fetch(remote: &Remote, repo: &gix::Repository, wanted: &Wanted) -> Result<Start, Error> {
    if let Some(branch) = &wanted.branch {
        let full = format!("refs/heads/{branch}");
        // Asked by its full name, so it is never taken for a commit.
        if let Ok(reference) = Reference::parse(&full) {
            match remote.find(repo, &reference, &Stop::default()) {
                Ok(commit) => {
                    get(remote, repo, &spec(&full, commit), true)?;
                    return Ok(Start {
                        commit,
                        branch: Some((branch.clone(), true)),
                    });
                }
                Err(repo::Error::NoReference { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    let mut start = fetch_reference(remote, repo, &wanted.reference)?;
    if let Some(branch) = &wanted.branch {
        start.branch = Some((branch.clone(), false));
    }
    Ok(start)
}

fn fetch_reference(
    remote: &Remote,
    repo: &gix::Repository,
    reference: &Reference,
) -> Result<Start, Error> {
    if let Reference::Commit(commit) = reference {
        get(remote, repo, &commit.to_string(), true)?;
        return commit_of(remote, repo, *commit, reference);
    }
    match remote.find_ref(repo, reference, &Stop::default()) {
        Ok((name, commit)) => {
            get(remote, repo, &spec(&name, commit), true)?;
            let branch = name
                .strip_prefix("refs/heads/")
                .map(|name| (name.to_owned(), true));
            Ok(Start { commit, branch })
        }
        Err(error @ repo::Error::NoReference { .. }) => {
            abbreviated(remote, repo, reference)?.ok_or_else(|| error.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// A name that no ref has may be the beginning of a commit's: only the whole history tells.
fn abbreviated(
    remote: &Remote,
    repo: &gix::Repository,
    reference: &Reference,
) -> Result<Option<Start>, Error> {
    let Reference::Name(name) = reference else {
        return Ok(None);
    };
    if name.len() < MIN_ABBREVIATION || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(None);
    }
    get(remote, repo, "+refs/heads/*:refs/remotes/origin/*", false)?;
    let repo =
        gix::open_opts(repo.git_dir(), remote::options()).map_err(git("open the repository"))?;
    let found = repo
        .rev_parse_single(format!("{name}^{{commit}}").as_str())
        .ok();
    Ok(found.map(|commit| Start {
        commit: commit.detach(),
        branch: None,
    }))
}

/// Checks that an id is that of a commit.
fn commit_of(
    remote: &Remote,
    repo: &gix::Repository,
    id: ObjectId,
    reference: &Reference,
) -> Result<Start, Error> {
    let repo =
        gix::open_opts(repo.git_dir(), remote::options()).map_err(git("open the repository"))?;
    let commit = repo
        .find_object(id)
        .ok()
        .and_then(|object| object.peel_to_commit().ok());
    match commit {
        Some(commit) => Ok(Start {
            commit: commit.id,
            branch: None,
        }),
        None => Err(remote.no_reference(reference).into()),
    }
}

/// Where a fetched ref is kept: as in any clone. What is neither branch nor tag is fetched by its
/// commit.
fn spec(name: &str, commit: ObjectId) -> String {
    match name.strip_prefix("refs/heads/") {
        Some(branch) => format!("+{name}:refs/remotes/origin/{branch}"),
        None if name.starts_with("refs/tags/") => format!("+{name}:{name}"),
        None => commit.to_string(),
    }
}

fn get(remote: &Remote, repo: &gix::Repository, spec: &str, shallow: bool) -> Result<(), Error> {
    let fetch = Fetch {
        specs: vec![spec.to_owned()],
        depth: shallow.then_some(NonZeroU32::MIN),
        tags: false,
    };
    // The end of the process is the only interruption, see `clone`.
    Ok(remote.fetch(repo, &fetch, &Stop::default())?)
}

fn set_head(repo: &gix::Repository, start: &Start) -> Result<(), Error> {
    let failed = git("set HEAD");
    let name = |text: &str| {
        gix::refs::FullName::try_from(text).map_err(|error| gix::Error::from_error(error))
    };
    let edit = |at: &str, to: Target| -> Result<RefEdit, gix::Error> {
        let mut edit = RefEdit::update(name(at)?, to, PreviousValue::Any, "checkout");
        // HEAD itself is meant, not the branch it names.
        edit.deref = false;
        Ok(edit)
    };
    let edits = || -> Result<Vec<RefEdit>, gix::Error> {
        Ok(match &start.branch {
            Some((branch, _)) => {
                let full = format!("refs/heads/{branch}");
                vec![
                    edit(&full, Target::Object(start.commit))?,
                    edit("HEAD", Target::Symbolic(name(&full)?))?,
                ]
            }
            None => vec![edit("HEAD", Target::Object(start.commit))?],
        })
    };
    edits()
        .and_then(|edits| repo.edit_references(edits))
        .map(drop)
        .map_err(failed)
}

fn write_files(repo: &gix::Repository, dir: &Path, commit: ObjectId) -> Result<(), Error> {
    let failed = git("write the files of the repository");
    let work = || -> Result<checkout::Outcome, gix::Error> {
        let tree = repo.find_object(commit)?.peel_to_tree()?.id;
        let mut index = repo.index_from_tree(&tree)?;
        let mut options = repo.checkout_options(Source::IdMapping)?;
        options.destination_is_initially_empty = true;
        let objects = repo
            .objects
            .clone()
            .into_arc()
            .map_err(gix::Error::from_error)?;
        let stop = AtomicBool::new(false);
        let outcome = gix::worktree::state::checkout(
            &mut index, dir, objects, &Discard, &Discard, &stop, options,
        )?;
        index.write(gix::index::write::Options::default())?;
        Ok(outcome)
    };
    let outcome = work().map_err(failed)?;
    let bad = outcome
        .errors
        .iter()
        .map(|error| &error.path)
        .chain(outcome.collisions.iter().map(|it| &it.path));
    match bad.into_iter().next() {
        None => Ok(()),
        Some(path) => Err(Error::File {
            path: path.to_string(),
        }),
    }
}

fn git(what: &'static str) -> impl Fn(gix::Error) -> Error {
    move |source| Error::Git { what, source }
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
            token: None,
        };
        let dir = tempfile::tempdir().unwrap();
        let error = clone(wanted, dir.path(), Duration::from_secs(1)).unwrap_err();
        assert_eq!(error.to_string(), "it was not cloned within 1 seconds");
    }
}
