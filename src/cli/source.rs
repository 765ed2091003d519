//! Where a configuration comes from, as flags; and what it says, or what is wrong with it.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;

use crate::cli::diagnostics;
use crate::cli::ui::Failure;
use crate::model::RepoPath;
use crate::model::Secret;
use crate::model::Snapshot;
use crate::repo;
use crate::repo::Access;
use crate::repo::Credentials;
use crate::repo::Location;
use crate::repo::Reference;
use crate::repo::Repository;
use crate::sync::load::Loaded;
use crate::sync::load::includes;
use crate::sync::load::load;

/// Name of the configuration file where none is named.
const FILE: &str = "axon.yaml";
/// Longest token: many times that of any known one.
const MAX_TOKEN: u64 = 16 << 10;

/// The source of a configuration.
#[derive(Clone, Debug, Args)]
#[group(skip)]
pub struct Options {
    /// Directory with an axon.yaml, that file, or the URL of a git repository
    #[arg(default_value = ".", value_name = "PATH|GIT-URL")]
    pub source: String,
    /// Branch, tag or commit of the repository; default: its default branch
    #[arg(long = "ref", value_name = "REF")]
    pub reference: Option<String>,
    /// Path of axon.yaml in the repository or directory
    #[arg(long, value_name = "FILE")]
    pub path: Option<String>,
    /// File with a token for the repository
    #[arg(long, value_name = "FILE", env = "AXON_GIT_TOKEN_FILE")]
    pub git_token_file: Option<PathBuf>,
    /// The token itself: for the environment, because arguments can be read by others
    #[arg(long, hide = true, env = "AXON_GIT_TOKEN", hide_env_values = true, value_parser = secret)]
    pub git_token: Option<Secret>,
}

/// A source that is ready to be read.
#[derive(Debug)]
pub struct Source {
    pub repository: Repository,
    pub reference: Reference,
    /// The directory as it was named, where it is one.
    pub base: Option<PathBuf>,
    /// Path of the root file.
    pub root: RepoPath,
}

impl Options {
    /// Prepares to read; connects to nothing yet.
    pub fn open(&self) -> Result<Source, Failure> {
        let tried = || format!("cannot use \"{}\"", without_user(&self.source));
        let location =
            Location::parse(&self.source).map_err(|error| Failure::new(tried(), &error))?;
        let (location, file) = match location {
            Location::Directory(path) if path.is_file() => split(&path),
            other => (other, FILE.to_owned()),
        };
        if let (Location::Directory(_), Some(reference)) = (&location, &self.reference) {
            return Err(no_reference_in(&self.source, reference));
        }
        let reference = self.reference.as_deref().map(Reference::parse).transpose();
        let root = self.path.as_deref().unwrap_or(&file);
        let access = Access {
            credentials: match &self.git_token_file {
                Some(file) => Some(token(file)?),
                None => self.git_token.clone(),
            }
            .map(Credentials::Token),
            ..Access::default()
        };
        Ok(Source {
            base: named(&location),
            reference: reference
                .map_err(|error| Failure::new("cannot use --ref", &error))?
                .unwrap_or_default(),
            root: RepoPath::parse(root)
                .map_err(|error| Failure::new(format!("cannot use \"{root}\""), &error))?,
            repository: Repository::open(&location, access)
                .map_err(|error| Failure::new(tried(), &error))?,
        })
    }
}

impl Source {
    /// The files at the revision that is meant.
    pub async fn read(&self) -> Result<Snapshot, Failure> {
        let tried = |error: &repo::Error| {
            let what = format!("cannot read \"{}\"", self.repository.source().canonical);
            with_hint(Failure::new(what, error), error)
        };
        let tip = self.repository.resolve(&self.reference).await;
        let tip = tip.map_err(|error| tried(&error))?;
        let snapshot = self.repository.snapshot(&tip, &self.root, includes).await;
        snapshot.map_err(|error| tried(&error))
    }
}

/// What a person can do about a repository that cannot be read.
pub fn with_hint(failure: Failure, error: &repo::Error) -> Failure {
    match error {
        repo::Error::Unauthorised { .. }
        | repo::Error::UnfitCredential { .. }
        | repo::Error::HostKey { .. }
        | repo::Error::NoRepository { .. } => {
            failure.hint("give a token that may read it: --git-token-file")
        }
        repo::Error::Unreachable { .. } | repo::Error::TimedOut { .. } => {
            failure.hint("check the URL and the network")
        }
        repo::Error::NoReference { .. } => failure.hint("check --ref"),
        repo::Error::NoPath { .. } => failure.hint("name another file with --path"),
        repo::Error::RefusedPath { .. }
        | repo::Error::TooLarge { .. }
        | repo::Error::TooMuch { .. }
        | repo::Error::InvalidPattern { .. }
        | repo::Error::Unsupported { .. }
        | repo::Error::Directory { .. }
        | repo::Error::Store { .. }
        | repo::Error::Damaged { .. }
        | repo::Error::Interrupted { .. } => failure,
    }
}

/// A directory is read as it is now: it has no branches.
fn no_reference_in(directory: &str, reference: &str) -> Failure {
    Failure::usage(format!(
        "--ref {reference:?} needs a repository, and \"{directory}\" is a directory"
    ))
    .hint("read the directory's own repository with \"file://\" and its absolute path")
}

/// What a snapshot declares. Prints its warnings, or all that is wrong with it. `base` is the
/// directory that its paths begin at.
pub fn loaded(snapshot: &Snapshot, base: Option<&Path>) -> Result<Loaded, Failure> {
    match load(snapshot) {
        Ok(loaded) => {
            diagnostics::print(&loaded.warnings, base);
            Ok(loaded)
        }
        Err(problems) => {
            diagnostics::print(&problems, base);
            let message = format!(
                "cannot load \"{}\": {}",
                snapshot.root,
                diagnostics::count(&problems)
            );
            Err(Failure::plain(message))
        }
    }
}

/// The directory of a location, as it was named.
fn named(location: &Location) -> Option<PathBuf> {
    match location {
        Location::Directory(path) => Some(path.clone()),
        Location::Git(_) => None,
    }
}

/// A file as the directory that holds it, and its name there.
fn split(path: &Path) -> (Location, String) {
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    (Location::Directory(folder.to_path_buf()), name.into_owned())
}

#[expect(clippy::unnecessary_wraps, reason = "the shape that the parser wants")]
fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}

fn token(file: &Path) -> Result<Secret, Failure> {
    let mut text = String::new();
    File::open(file)
        .and_then(|open| open.take(MAX_TOKEN).read_to_string(&mut text))
        .map_err(|error| {
            Failure::new(
                format!("cannot read the token in \"{}\"", file.display()),
                &error,
            )
        })?;
    Ok(Secret::new(text.trim()))
}

/// What a person typed, without what may be a credential.
fn without_user(text: &str) -> &str {
    text.rsplit_once('@').map_or(text, |(_, rest)| rest)
}
