//! A git repository, or a directory, at one revision.
//!
//! Reads only, and never makes a worktree. What comes out is plain data: a `model::Snapshot`.
//! Everything here that blocks runs in [`Repository::blocking`].

mod access;
mod directory;
mod error;
mod glob;
mod location;
mod origin;
mod reference;
pub mod remote;
mod scratch;
mod signature;
mod snapshot;
mod store;
mod transport;
mod tree;

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use gix::ObjectId;
use jiff::Timestamp;
use tokio::task;
use tokio::time;

use crate::model::RepoPath;
use crate::model::RepoUrl;
use crate::model::Snapshot;
use crate::model::snapshot::Source;

pub use access::Access;
pub use access::Credentials;
pub use error::Cause;
pub use error::Error;
pub use error::ErrorKind;
pub use location::InvalidLocation;
pub use location::Location;
pub use origin::top_of;
pub use reference::InvalidReference;
pub use reference::Reference;
pub use signature::AllowedSigners;
pub use signature::InvalidSigners;
pub use signature::Signer;
pub use signature::Unverified;

use remote::Remote;
use remote::Stop;
use store::Store;
use tree::Tree;

/// What a reference stands at: cheap to learn, and equal as long as nothing changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tip {
    Commit(ObjectId),
    /// A directory has no tip: only reading it tells whether it changed.
    Directory,
}

/// A repository or a directory that can be read again and again.
#[derive(Debug)]
pub struct Repository {
    source: Source,
    kind: Kind,
    deadline: Duration,
}

#[derive(Clone, Debug)]
enum Kind {
    /// By its canonical path.
    Directory(PathBuf),
    /// A repository on this machine: read where it is.
    Local { url: RepoUrl, path: PathBuf },
    Remote {
        remote: Remote,
        store: Arc<Mutex<Store>>,
    },
}

impl Repository {
    /// Prepares to read `location`; connects to nothing yet. What is fetched is kept in a temporary
    /// directory that only this user can read.
    pub fn open(location: &Location, access: Access) -> Result<Self, Error> {
        let deadline = access.deadline;
        let url = match location {
            Location::Directory(dir) => {
                let dir = directory::canonical(dir)?;
                return Ok(Self {
                    source: origin::of_directory(&dir),
                    kind: Kind::Directory(dir),
                    deadline,
                });
            }
            Location::Git(url) => url.clone(),
        };
        let source = Source {
            canonical: url.canonical(),
            url: Some(url.to_string()),
        };
        let kind = match url.file_path().map(Path::to_owned) {
            Some(path) => Kind::Local { url, path },
            None => Kind::Remote {
                remote: Remote::new(url, access)?,
                store: Arc::default(),
            },
        };
        Ok(Self {
            source,
            kind,
            deadline,
        })
    }

    /// Where this is, without anything secret.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The directory, where this is one.
    pub fn directory(&self) -> Option<&Path> {
        match &self.kind {
            Kind::Directory(dir) => Some(dir),
            Kind::Local { .. } | Kind::Remote { .. } => None,
        }
    }

    /// What `reference` stands at now. Asks a server for its refs of exactly this name.
    pub async fn resolve(&self, reference: &Reference) -> Result<Tip, Error> {
        let reference = reference.clone();
        self.blocking(move |kind, stop| match kind {
            Kind::Directory(_) => Ok(Tip::Directory),
            Kind::Local { url, path } => {
                let repo = store::open_local(&url, &path)?;
                reference.find(&repo, &url).map(Tip::Commit)
            }
            Kind::Remote { remote, store } => {
                if let Reference::Commit(id) = reference {
                    return Ok(Tip::Commit(id));
                }
                let repo = lock(&store).repository()?;
                remote.find(&repo, &reference, stop).map(Tip::Commit)
            }
        })
        .await
    }

    /// The file `root` and the files that it includes, at `tip`. `includes` reads the patterns out of
    /// the root file.
    pub async fn snapshot(
        &self,
        tip: &Tip,
        root: &RepoPath,
        includes: fn(&[u8]) -> Vec<String>,
    ) -> Result<Snapshot, Error> {
        let (tip, root, source) = (tip.clone(), root.clone(), self.source.clone());
        self.blocking(move |kind, stop| match (kind, tip) {
            (Kind::Directory(dir), _) => {
                snapshot::take(&Tree::directory(dir), source, root, includes)
            }
            (Kind::Local { url, path }, Tip::Commit(commit)) => {
                let repo = store::open_local(&url, &path)?;
                snapshot::take(&Tree::commit(&repo, commit)?, source, root, includes)
            }
            (Kind::Remote { remote, store }, Tip::Commit(commit)) => {
                // Held while reading, too: the store must not be renewed under the reader.
                let mut store = lock(&store);
                let repo = store.with_commit(&remote, commit, stop)?;
                snapshot::take(&Tree::commit(&repo, commit)?, source, root, includes)
            }
            (Kind::Local { url, .. }, Tip::Directory) => Err(Error::no_reference(&url, "")),
            (Kind::Remote { remote, .. }, Tip::Directory) => {
                Err(Error::no_reference(remote.url(), ""))
            }
        })
        .await
    }

    /// Who signed the commit at `tip`: one of `signers`, with a key that is valid at `now`.
    pub async fn verify(
        &self,
        tip: &Tip,
        signers: &AllowedSigners,
        now: Timestamp,
    ) -> Result<Signer, Error> {
        let (tip, signers) = (tip.clone(), signers.clone());
        self.blocking(move |kind, stop| match (kind, tip) {
            (Kind::Directory(dir), _) => Err(Error::Unverified {
                commit: dir.display().to_string(),
                source: Unverified::NoCommit,
            }),
            (Kind::Local { url, path }, Tip::Commit(commit)) => {
                let repo = store::open_local(&url, &path)?;
                signature::verify(&repo, commit, &signers, now)
            }
            (Kind::Remote { remote, store }, Tip::Commit(commit)) => {
                let mut store = lock(&store);
                let repo = store.with_commit(&remote, commit, stop)?;
                signature::verify(&repo, commit, &signers, now)
            }
            (Kind::Local { url, .. }, Tip::Directory) => Err(Error::no_reference(&url, "")),
            (Kind::Remote { remote, .. }, Tip::Directory) => {
                Err(Error::no_reference(remote.url(), ""))
            }
        })
        .await
    }

    /// The one place where the runtime is left for blocking work. When the caller goes away or the
    /// deadline has passed, the work is told to stop.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(Kind, &Stop) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let kind = self.kind.clone();
        let stop = StopOnDrop(Stop::default());
        let heard = stop.0.clone();
        let work = task::spawn_blocking(move || work(kind, &heard));
        match time::timeout(self.deadline, work).await {
            Ok(Ok(result)) => result,
            Ok(Err(ended)) => Err(Error::Interrupted { source: ended }),
            Err(_) => Err(Error::TimedOut {
                source_name: self.source.canonical.clone(),
                limit: self.deadline,
            }),
        }
    }
}

/// Tells blocking work to stop.
struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

fn lock(store: &Mutex<Store>) -> MutexGuard<'_, Store> {
    // A fetch that panicked leaves at worst a store that lacks the commit; then it is fetched again.
    store.lock().unwrap_or_else(PoisonError::into_inner)
}
