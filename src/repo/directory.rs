//! Files of a directory, none of them by way of a symbolic link.

use std::fs;
use std::fs::FileType;
use std::fs::OpenOptions;
use std::io;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use nix::fcntl::OFlag;

use super::Error;
use super::tree::Entry;
use super::tree::EntryKind;
use crate::model::RepoPath;

/// The directory itself may be a link: the user named it.
pub(super) fn canonical(dir: &Path) -> Result<PathBuf, Error> {
    let canonical = fs::canonicalize(dir).map_err(|error| Error::directory(dir, error))?;
    if canonical.is_dir() {
        Ok(canonical)
    } else {
        Err(Error::directory(
            dir,
            io::Error::from(io::ErrorKind::NotADirectory),
        ))
    }
}

/// The entries of a directory whose parents were listed before; nothing if it is not there.
pub(super) fn list(root: &Path, dir: Option<&RepoPath>) -> Result<Option<Vec<Entry>>, Error> {
    let path = dir.map_or_else(|| root.to_owned(), |dir| root.join(dir.as_str()));
    let failed = |error| Error::directory(&path, error);
    let entries = match fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
    };
    let mut listed = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        // Such a name cannot be written in axon.yaml, and so not be meant by it.
        if let Ok(name) = entry.file_name().into_string() {
            listed.push(Entry {
                name,
                kind: kind_of(entry.file_type().map_err(failed)?),
            });
        }
    }
    listed.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Some(listed))
}

/// The bytes of a file, if there are at most `limit`.
pub(super) fn read(root: &Path, path: &RepoPath, limit: u64) -> Result<Vec<u8>, Error> {
    let full = root.join(path.as_str());
    let failed = |error| Error::directory(&full, error);
    // Should it have become a link or a pipe meanwhile, it is neither followed nor waited for.
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(&full)
        .map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(Error::TooLarge {
            path: path.clone(),
            limit,
        });
    }
    Ok(bytes)
}

fn kind_of(kind: FileType) -> EntryKind {
    if kind.is_file() {
        EntryKind::File
    } else if kind.is_dir() {
        EntryKind::Directory
    } else if kind.is_symlink() {
        EntryKind::Link
    } else {
        EntryKind::Special
    }
}
