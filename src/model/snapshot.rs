//! A repository's configuration at one revision, as plain data.

use std::fmt;

use super::digest::Digest;

/// Path inside a repository: relative, `/` between parts, none of them empty, `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoPath(String);

/// Why a text is not a [`RepoPath`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a path inside the repository")]
pub struct InvalidPath(String);

impl RepoPath {
    pub fn parse(text: &str) -> Result<Self, InvalidPath> {
        let good = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0']);
        if text.split('/').all(good) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidPath(text.to_owned()))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The directory that the path leads through: empty at the top of the repository.
    pub fn folder(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(folder, _)| folder)
    }
}

impl fmt::Display for RepoPath {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// What identifies the content of a repository at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Revision {
    /// A commit, as 40 hexadecimal digits.
    Commit(String),
    /// A directory: a digest of the input files.
    Directory(Digest),
}

impl fmt::Display for Revision {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commit(id) => out.write_str(id),
            Self::Directory(digest) => write!(out, "dir:{}", digest.short(12)),
        }
    }
}

/// Where configuration comes from, without anything secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Canonical form, the same for every way to reach the repository: `host/path` without scheme,
    /// user and `.git`; for a directory that of its `origin`, else its name.
    pub canonical: String,
    /// URL that a Workspace without `repo` stands for, if there is one.
    pub url: Option<String>,
}

/// `axon.yaml` and the files that it includes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub source: Source,
    pub revision: Revision,
    /// Path of the root file.
    pub root: RepoPath,
    /// The root file first, then the included ones in the order of their paths.
    pub files: Vec<InputFile>,
    /// `include` patterns that matched no file.
    pub unmatched: Vec<Unmatched>,
}

/// A pattern that matched no file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmatched {
    /// As it is written.
    pub pattern: String,
    /// A file that it would match if upper and lower case were one, by its path from where patterns begin.
    pub near: Option<String>,
}

impl Snapshot {
    /// Digest of the input files: equal digests mean equal configuration.
    pub fn digest(&self) -> Digest {
        Digest::of_fields(
            self.files
                .iter()
                .flat_map(|file| [file.path.as_str().as_bytes(), &file.bytes]),
        )
    }
}

/// One file of a [`Snapshot`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputFile {
    pub path: RepoPath,
    pub bytes: Vec<u8>,
}
