//! Reads the root file and what it includes.

use std::collections::BTreeSet;

use super::Error;
use super::glob::Pattern;
use super::glob::is_git_dir;
use super::tree::Entry;
use super::tree::EntryKind;
use super::tree::Tree;
use crate::model::RepoPath;
use crate::model::Revision;
use crate::model::Snapshot;
use crate::model::snapshot::InputFile;
use crate::model::snapshot::Source;
use crate::model::snapshot::Unmatched;

/// Largest file.
const MAX_FILE: u64 = 1 << 20;
/// Most that all files hold together.
const MAX_ALL: u64 = 8 << 20;
/// Most patterns.
const MAX_PATTERNS: usize = 256;
/// Most entries that are looked at for all patterns: a monorepo, but not one made to be endless.
const MAX_ENTRIES: usize = 200_000;
/// How a file begins that stands for another one.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";
/// Deepest directory.
const MAX_DEPTH: usize = 64;

/// Takes the snapshot of a tree.
pub(super) fn take(
    tree: &Tree<'_>,
    source: Source,
    root: RepoPath,
    includes: fn(&[u8]) -> Vec<String>,
) -> Result<Snapshot, Error> {
    let mut walk = Walk {
        tree,
        root: &root,
        entries: 0,
        found: BTreeSet::new(),
    };
    walk.check_file(&root)?;
    let mut files = vec![InputFile {
        bytes: read(tree, &root)?,
        path: root.clone(),
    }];
    let patterns = includes(&files[0].bytes);
    if patterns.len() > MAX_PATTERNS {
        return Err(Error::TooMuch {
            root,
            limit: "256 patterns",
        });
    }
    let mut unmatched = Vec::new();
    for pattern in patterns {
        let pattern = Pattern::parse(&pattern, &root)?;
        if !walk.find(&pattern)? {
            unmatched.push(Unmatched {
                near: walk.near(&pattern),
                pattern: pattern.text,
            });
        }
    }
    let found = walk.found;
    let mut size = files[0].bytes.len() as u64;
    for path in found.into_iter().filter(|path| *path != root) {
        let bytes = read(tree, &path)?;
        size += bytes.len() as u64;
        if size > MAX_ALL {
            return Err(Error::TooMuch {
                root,
                limit: "8 MiB",
            });
        }
        files.push(InputFile { path, bytes });
    }
    let revision = match tree {
        Tree::Commit { commit, .. } => Revision::Commit(commit.to_string()),
        Tree::Directory(_) => Revision::Directory(crate::model::Digest::of_fields(
            files
                .iter()
                .flat_map(|file| [file.path.as_str().as_bytes(), &file.bytes]),
        )),
    };
    Ok(Snapshot {
        source,
        revision,
        root,
        files,
        unmatched,
    })
}

/// The bytes of a file, unless they only stand for others.
fn read(tree: &Tree<'_>, path: &RepoPath) -> Result<Vec<u8>, Error> {
    let bytes = tree.read(path, MAX_FILE)?;
    if bytes.starts_with(LFS_POINTER) {
        let what = "a pointer of git LFS: what it stands for is not in the repository";
        return Err(Error::refused(path.as_str(), what));
    }
    Ok(bytes)
}

/// Looks for files.
struct Walk<'t> {
    tree: &'t Tree<'t>,
    root: &'t RepoPath,
    /// How many were looked at.
    entries: usize,
    found: BTreeSet<RepoPath>,
}

impl Walk<'_> {
    /// Checks that a path leads to a file, through directories only.
    fn check_file(&mut self, path: &RepoPath) -> Result<(), Error> {
        let parts: Vec<&str> = path.as_str().split('/').collect();
        if parts.iter().any(|part| is_git_dir(part)) {
            return Err(Error::refused(path.as_str(), "inside \".git\""));
        }
        let (name, dirs) = parts.split_last().unwrap_or((&"", &[]));
        let missing = || Error::NoPath { path: path.clone() };
        let dir = self.enter(dirs)?.ok_or_else(missing)?;
        let entries = self.list(dir.as_ref())?.ok_or_else(missing)?;
        let entry = entries
            .into_iter()
            .find(|entry| entry.name == *name)
            .ok_or_else(missing)?;
        match entry.kind.refusal() {
            None => Ok(()),
            Some(what) => Err(Error::refused(path.as_str(), what)),
        }
    }

    /// Adds the files that match; whether there were any.
    fn find(&mut self, pattern: &Pattern) -> Result<bool, Error> {
        match self.enter(pattern.base())? {
            Some(dir) => self.descend(dir.as_ref(), pattern.base().len(), pattern),
            None => Ok(false),
        }
    }

    /// A file that matches in another case. One that is not found in time is not told.
    fn near(&mut self, pattern: &Pattern) -> Option<String> {
        let in_any_case = pattern.in_any_case()?;
        let found = std::mem::take(&mut self.found);
        let entries = self.entries;
        let any = self.find(&in_any_case);
        self.entries = entries;
        let near = std::mem::replace(&mut self.found, found);
        any.ok()?;
        near.first().map(|path| pattern.written(path))
    }

    fn descend(
        &mut self,
        dir: Option<&RepoPath>,
        depth: usize,
        pattern: &Pattern,
    ) -> Result<bool, Error> {
        let mut any = false;
        for entry in self.list(dir)?.unwrap_or_default() {
            if is_git_dir(&entry.name) {
                continue;
            }
            let path = match child(dir, &entry.name) {
                Ok(path) => path,
                Err(_) if !means(pattern, dir, &entry) => continue,
                Err(error) => return Err(error),
            };
            let deeper = pattern.depth().is_none_or(|deepest| depth + 1 < deepest);
            if entry.kind == EntryKind::Directory {
                if depth >= MAX_DEPTH {
                    return Err(Error::TooMuch {
                        root: self.root.clone(),
                        limit: "64 directories deep",
                    });
                }
                any |= deeper && self.descend(Some(&path), depth + 1, pattern)?;
            } else if pattern.matches(&path) {
                if let Some(what) = entry.kind.refusal() {
                    return Err(Error::refused(path.as_str(), what));
                }
                self.found.insert(path);
                any = true;
            }
        }
        Ok(any)
    }

    /// Goes through directories from the root; nothing if one is missing, `None` inside for the root.
    #[expect(clippy::option_option, reason = "the root directory has no path")]
    fn enter(&mut self, dirs: &[impl AsRef<str>]) -> Result<Option<Option<RepoPath>>, Error> {
        let mut at: Option<RepoPath> = None;
        for name in dirs {
            let entries = self.list(at.as_ref())?.unwrap_or_default();
            let Some(entry) = entries.iter().find(|entry| entry.name == name.as_ref()) else {
                return Ok(None);
            };
            let path = child(at.as_ref(), &entry.name)?;
            match entry.kind {
                EntryKind::Directory => at = Some(path),
                EntryKind::Link | EntryKind::Submodule => {
                    return Err(Error::refused(
                        path.as_str(),
                        entry.kind.refusal().unwrap_or_default(),
                    ));
                }
                EntryKind::File | EntryKind::Special => return Ok(None),
            }
        }
        Ok(Some(at))
    }

    fn list(&mut self, dir: Option<&RepoPath>) -> Result<Option<Vec<Entry>>, Error> {
        let entries = self.tree.list(dir)?;
        self.entries += entries.as_ref().map_or(0, Vec::len);
        if self.entries > MAX_ENTRIES {
            return Err(Error::TooMuch {
                root: self.root.clone(),
                limit: "200000 files",
            });
        }
        Ok(entries)
    }
}

/// Whether a pattern may mean an entry whose name no path can have: what it does not mean is nobody's
/// business. A directory is not gone into, whatever it is called.
fn means(pattern: &Pattern, dir: Option<&RepoPath>, entry: &Entry) -> bool {
    let is_hostile = matches!(entry.name.as_str(), "" | "." | "..") || entry.name.contains('/');
    let harmless = entry.name.replace(['\\', '\0'], "_");
    is_hostile
        || (entry.kind != EntryKind::Directory
            && child(dir, &harmless).is_ok_and(|path| pattern.matches(&path)))
}

/// The path of an entry. A tree can hold any name.
fn child(dir: Option<&RepoPath>, name: &str) -> Result<RepoPath, Error> {
    let path = dir.map_or_else(|| name.to_owned(), |dir| format!("{dir}/{name}"));
    match RepoPath::parse(&path) {
        Ok(parsed) if !name.contains('/') => Ok(parsed),
        Ok(_) | Err(_) => Err(Error::refused(
            path.escape_debug().to_string(),
            "a name that no file may have",
        )),
    }
}
