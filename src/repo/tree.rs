//! The files of a commit or of a directory, read one by one.

use std::path::PathBuf;

use gix::ObjectId;
use gix::objs::tree::EntryKind as GitKind;

use super::Error;
use super::directory;
use crate::model::RepoPath;

/// Files below a root.
#[derive(Debug)]
pub(super) enum Tree<'r> {
    Directory(PathBuf),
    Commit {
        commit: ObjectId,
        tree: gix::Tree<'r>,
    },
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) kind: EntryKind,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryKind {
    File,
    Directory,
    Link,
    Submodule,
    /// A socket, a pipe, a device.
    Special,
}

impl EntryKind {
    /// Why this cannot be read as a file.
    pub(super) fn refusal(self) -> Option<&'static str> {
        match self {
            Self::File => None,
            Self::Directory => Some("a directory"),
            Self::Link => Some("a symbolic link"),
            Self::Submodule => Some("a submodule"),
            Self::Special => Some("not a regular file"),
        }
    }
}

impl<'r> Tree<'r> {
    pub(super) fn directory(root: PathBuf) -> Tree<'static> {
        Tree::Directory(root)
    }

    pub(super) fn commit(repo: &'r gix::Repository, commit: ObjectId) -> Result<Self, Error> {
        let damaged = |error: gix::Error| Error::damaged(&commit, &error);
        let object = repo.find_object(commit).map_err(damaged)?;
        // A tag of a tag ends here, too.
        let tree = object.peel_to_tree().map_err(damaged)?;
        Ok(Self::Commit { commit, tree })
    }

    /// The entries of a directory; nothing if it is not there.
    pub(super) fn list(&self, dir: Option<&RepoPath>) -> Result<Option<Vec<Entry>>, Error> {
        match self {
            Self::Directory(root) => directory::list(root, dir),
            Self::Commit { .. } => {
                let Some(tree) = self.tree_at(dir)? else {
                    return Ok(None);
                };
                let entries = tree.iter().map(|entry| {
                    let entry = entry.map_err(|error| Error::damaged(&tree.id, &error))?;
                    let name = entry.filename().to_string();
                    Ok(Entry {
                        name,
                        kind: kind_of(entry.mode().kind()),
                    })
                });
                entries.collect::<Result<_, _>>().map(Some)
            }
        }
    }

    /// The bytes of a file that was found by [`Self::list`], if there are at most `limit`.
    pub(super) fn read(&self, path: &RepoPath, limit: u64) -> Result<Vec<u8>, Error> {
        let (commit, tree) = match self {
            Self::Directory(root) => return directory::read(root, path, limit),
            Self::Commit { commit, tree } => (commit, tree),
        };
        let damaged = |error: gix::Error| Error::damaged(&commit, &error);
        let missing = || Error::NoPath { path: path.clone() };
        let entry = tree
            .lookup_entry(path.as_str().split('/'))
            .map_err(damaged)?
            .ok_or_else(missing)?;
        // The size first: the object may be anything.
        let header = tree.repo.find_header(entry.object_id()).map_err(damaged)?;
        if !entry.mode().is_blob() {
            return Err(missing());
        }
        if header.size() > limit {
            return Err(Error::TooLarge {
                path: path.clone(),
                limit,
            });
        }
        let mut object = entry.object().map_err(damaged)?;
        Ok(std::mem::take(&mut object.data))
    }

    fn tree_at(&self, dir: Option<&RepoPath>) -> Result<Option<gix::Tree<'r>>, Error> {
        let Self::Commit { commit, tree } = self else {
            return Ok(None);
        };
        let Some(dir) = dir else {
            return Ok(Some(tree.clone()));
        };
        let damaged = |error: gix::Error| Error::damaged(&commit, &error);
        let entry = tree
            .lookup_entry(dir.as_str().split('/'))
            .map_err(damaged)?;
        let Some(entry) = entry.filter(|entry| entry.mode().is_tree()) else {
            return Ok(None);
        };
        entry
            .object()
            .map_err(damaged)?
            .try_into_tree()
            .map(Some)
            .map_err(damaged)
    }
}

fn kind_of(kind: GitKind) -> EntryKind {
    match kind {
        GitKind::Tree => EntryKind::Directory,
        GitKind::Blob | GitKind::BlobExecutable => EntryKind::File,
        GitKind::Link => EntryKind::Link,
        GitKind::Commit => EntryKind::Submodule,
    }
}
