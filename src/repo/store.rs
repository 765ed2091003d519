//! The bare repository that fetched commits are kept in: a cache, never the truth.

use std::fs;
use std::fs::DirBuilder;
use std::num::NonZeroU32;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use gix::ObjectId;
use uuid::Uuid;

use super::Error;
use super::error::Cause;
use super::remote;
use super::remote::Fetch;
use super::remote::Remote;
use crate::model::RepoUrl;

/// Every fetch adds a pack that nothing collects: after so many the store is made anew.
const MAX_PACKS: usize = 32;
/// Permissions of the store.
const OWNER_ONLY: u32 = 0o700;
/// Where the last fetched commit is kept.
const FETCHED: &str = "refs/axon/fetched";

/// A temporary directory with a bare repository. It may be deleted at any time in between.
#[derive(Debug)]
pub(super) struct Store {
    dir: PathBuf,
}

impl Store {
    pub(super) fn new() -> Self {
        Self {
            dir: std::env::temp_dir().join(format!("axon-store-{}", Uuid::new_v4())),
        }
    }

    /// The repository; made if there is none, or none that can be opened.
    pub(super) fn repository(&self) -> Result<gix::Repository, Error> {
        if let Ok(repo) = gix::open_opts(&self.dir, remote::options().open_path_as_is(true)) {
            return Ok(repo);
        }
        self.remove()?;
        // What is fetched may be private, and temporary directories are everybody's.
        DirBuilder::new()
            .mode(OWNER_ONLY)
            .create(&self.dir)
            .map_err(|error| self.failed(error.to_string()))?;
        remote::init(&self.dir, gix::create::Kind::Bare)
            .map_err(|error| self.failed(Cause::of(&error).0))
    }

    /// The repository with `commit` in it, fetched alone where it is not there yet.
    pub(super) fn with_commit(
        &mut self,
        remote: &Remote,
        commit: ObjectId,
        stop: &AtomicBool,
    ) -> Result<gix::Repository, Error> {
        let repo = self.repository()?;
        if repo.has_object(commit) {
            return Ok(repo);
        }
        if self.packs() >= MAX_PACKS {
            drop(repo);
            self.remove()?;
        }
        let repo = self.repository()?;
        let fetch = Fetch {
            specs: vec![format!("+{commit}:{FETCHED}")],
            depth: Some(NonZeroU32::MIN),
            tags: false,
        };
        remote.fetch(&repo, &fetch, stop)?;
        // Opened again: the objects of the new pack are to be seen.
        let repo = self.repository()?;
        if repo.has_object(commit) {
            Ok(repo)
        } else {
            Err(Error::no_reference(remote.url(), &commit.to_string()))
        }
    }

    fn packs(&self) -> usize {
        let entries = fs::read_dir(self.dir.join("objects/pack"));
        entries.map_or(0, |entries| {
            entries
                .flatten()
                .filter(|entry| entry.path().extension().is_some_and(|it| it == "pack"))
                .count()
        })
    }

    fn remove(&self) -> Result<(), Error> {
        match fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(self.failed(error.to_string()))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn failed(&self, cause: String) -> Error {
        Error::Store {
            path: self.dir.clone(),
            source: Cause(cause),
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // What cannot be deleted is left to whoever cleans temporary directories.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Opens a repository on this machine, to read it where it is.
pub(super) fn open_local(url: &RepoUrl, path: &Path) -> Result<gix::Repository, Error> {
    gix::open_opts(path, remote::options()).map_err(|_| Error::NoRepository {
        url: url.to_string(),
    })
}
