//! The bare repository that fetched commits are kept in: a cache, never the truth.

use std::fs;
use std::num::NonZeroU32;
use std::path::Path;
use std::path::PathBuf;

use gix::ObjectId;

use super::Error;
use super::ErrorKind;
use super::access::MAX_OBJECT;
use super::error::Cause;
use super::remote;
use super::remote::Fetch;
use super::remote::Remote;
use super::remote::Stop;
use super::scratch::Scratch;
use crate::model::RepoUrl;

/// Every fetch adds a pack that nothing collects: after so many the repository is made anew.
const MAX_PACKS: usize = 32;
/// And so it is when packs have grown to twice what its first fetch brought, and this on top.
const MAX_GROWTH: u64 = 64 << 20;
/// After so many fetches in a row that failed it may be the repository that is broken.
const MAX_FAILURES: u32 = 3;
/// Where the last fetched commit is kept.
const FETCHED: &str = "refs/axon/fetched";

/// A temporary directory with a bare repository. It may be deleted at any time in between.
#[derive(Debug, Default)]
pub(super) struct Store {
    scratch: Option<Scratch>,
    /// Names the repository: each that is made anew has its own.
    generation: u64,
    /// Bytes of packs after its first fetch.
    first: Option<u64>,
    /// Fetches in a row that failed.
    failures: u32,
}

impl Store {
    /// The repository; made if there is none, or none that can be opened.
    pub(super) fn repository(&mut self) -> Result<gix::Repository, Error> {
        let dir = self.dir()?;
        if let Ok(repo) = open(&dir) {
            return Ok(repo);
        }
        self.first = None;
        remove(&dir)?;
        make(&dir)
    }

    /// The repository with `commit` in it, fetched alone where it is not there yet.
    pub(super) fn with_commit(
        &mut self,
        remote: &Remote,
        commit: ObjectId,
        stop: &Stop,
    ) -> Result<gix::Repository, Error> {
        let repo = self.repository()?;
        if repo.has_object(commit) {
            return Ok(repo);
        }
        let dir = self.dir()?;
        let fetched = if self.is_worn(&dir) {
            drop(repo);
            self.renew(remote, commit, stop)
        } else {
            fetch_into(&repo, remote, commit, stop)
        };
        self.count(&fetched);
        fetched?;
        let dir = self.dir()?;
        self.first.get_or_insert_with(|| packs(&dir).1);
        // Opened again: the objects of the new pack are to be seen.
        let repo = self.repository()?;
        if repo.has_object(commit) {
            Ok(repo)
        } else {
            Err(Error::no_reference(remote.url(), &commit.to_string()))
        }
    }

    /// Fetches into a new repository. Only if that went well does it take the place of the old one.
    fn renew(&mut self, remote: &Remote, commit: ObjectId, stop: &Stop) -> Result<(), Error> {
        let old = self.dir()?;
        let new = old.with_file_name((self.generation + 1).to_string());
        remove(&new)?;
        let fetched = make(&new).and_then(|repo| fetch_into(&repo, remote, commit, stop));
        if let Err(error) = fetched {
            remove(&new)?;
            return Err(error);
        }
        self.generation += 1;
        self.first = None;
        remove(&old)
    }

    fn is_worn(&self, dir: &Path) -> bool {
        let (count, bytes) = packs(dir);
        let grown = self
            .first
            .is_some_and(|first| bytes > first.saturating_mul(2).saturating_add(MAX_GROWTH));
        count >= MAX_PACKS || grown || self.failures >= MAX_FAILURES
    }

    fn count(&mut self, fetched: &Result<(), Error>) {
        let own_fault = |error: &Error| match error.kind() {
            ErrorKind::Transient | ErrorKind::Invalid => true,
            ErrorKind::Authentication
            | ErrorKind::HostKey
            | ErrorKind::NoRepository
            | ErrorKind::NoReference
            | ErrorKind::NoPath
            | ErrorKind::Verification => false,
        };
        match fetched {
            Ok(()) => self.failures = 0,
            Err(error) if own_fault(error) => self.failures = self.failures.saturating_add(1),
            Err(_) => {}
        }
    }

    /// Where the repository is. The directory around it is made anew if somebody deleted it.
    fn dir(&mut self) -> Result<PathBuf, Error> {
        let name = self.generation.to_string();
        if let Some(scratch) = self.scratch.as_ref().filter(|it| it.is_there()) {
            return Ok(scratch.path().join(name));
        }
        let scratch = Scratch::new().map_err(|error| failed(&std::env::temp_dir(), error))?;
        Ok(self.scratch.insert(scratch).path().join(name))
    }
}

fn fetch_into(
    repo: &gix::Repository,
    remote: &Remote,
    commit: ObjectId,
    stop: &Stop,
) -> Result<(), Error> {
    let fetch = Fetch {
        specs: vec![format!("+{commit}:{FETCHED}")],
        depth: Some(NonZeroU32::MIN),
        tags: false,
    };
    remote.fetch(repo, &fetch, stop)
}

/// How many packs there are, and how large they are.
fn packs(dir: &Path) -> (usize, u64) {
    let entries = fs::read_dir(dir.join("objects/pack"));
    let entries = entries.into_iter().flatten().flatten();
    entries.fold((0, 0), |(count, bytes), entry| {
        let is_pack = entry.path().extension().is_some_and(|it| it == "pack");
        let size = entry.metadata().map_or(0, |meta| meta.len());
        (count + usize::from(is_pack), bytes + size)
    })
}

fn options() -> gix::open::Options {
    remote::limited(MAX_OBJECT)
}

fn open(dir: &Path) -> Result<gix::Repository, gix::Error> {
    gix::open_opts(dir, options().open_path_as_is(true))
}

fn make(dir: &Path) -> Result<gix::Repository, Error> {
    remote::init(dir, gix::create::Kind::Bare)
        .and_then(|_| open(dir))
        .map_err(|error| failed(dir, Cause::of(&error)))
}

fn remove(dir: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(dir, error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn failed(dir: &Path, cause: impl std::fmt::Display) -> Error {
    Error::Store {
        path: dir.to_owned(),
        source: Cause::new(cause.to_string()),
    }
}

/// Opens a repository on this machine, to read it where it is.
pub(super) fn open_local(url: &RepoUrl, path: &Path) -> Result<gix::Repository, Error> {
    gix::open_opts(path, remote::options()).map_err(|_| Error::NoRepository {
        url: url.to_string(),
    })
}
