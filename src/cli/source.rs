//! Where a configuration comes from, as flags; and what it says, or what is wrong with it.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;

use crate::cli::diagnostics;
use crate::cli::ui;
use crate::cli::ui::Failure;
use crate::model::RepoPath;
use crate::model::Secret;
use crate::model::Snapshot;
use crate::model::repo_url::Scheme;
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
/// Longest private key, and largest file of known hosts.
const MAX_KEY: u64 = 64 << 10;
const MAX_KNOWN_HOSTS: u64 = 1 << 20;
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
    #[command(flatten)]
    pub git: Git,
}

/// How to get into a git repository.
#[derive(Clone, Debug, Args)]
#[group(skip)]
pub struct Git {
    /// File with a token for the repository
    #[arg(long, value_name = "FILE", env = "AXON_GIT_TOKEN_FILE")]
    pub git_token_file: Option<PathBuf>,
    /// User name that goes with the token, for servers that want one
    #[arg(long, value_name = "NAME")]
    pub git_username: Option<String>,
    /// File with the private key for a repository by ssh; needs --known-hosts
    #[arg(
        long,
        value_name = "FILE",
        env = "AXON_GIT_SSH_KEY_FILE",
        requires = "known_hosts"
    )]
    pub git_ssh_key: Option<PathBuf>,
    /// File with the keys that ssh hosts must have, in the form of OpenSSH's file `known_hosts`
    #[arg(long, value_name = "FILE", env = "AXON_KNOWN_HOSTS")]
    pub known_hosts: Option<PathBuf>,
    /// The token itself: for the environment, because arguments can be read by others
    #[arg(long, hide = true, env = "AXON_GIT_TOKEN", hide_env_values = true, value_parser = secret)]
    pub git_token: Option<Secret>,
}

/// A source that is ready to be read.
#[derive(Debug)]
pub struct Source {
    pub repository: Repository,
    pub reference: Reference,
    /// Where paths of the files begin, where they are on this machine: the top of the clone.
    pub base: Option<PathBuf>,
    /// The directory that was named, or that of the file that was.
    pub folder: Option<PathBuf>,
    /// Path of the root file.
    pub root: RepoPath,
}

impl Options {
    /// Prepares to read; connects to nothing yet.
    pub fn open(&self) -> Result<Source, Failure> {
        let tried = || format!("cannot use \"{}\"", without_user(&self.source));
        let location =
            Location::parse(&self.source).map_err(|error| Failure::new(tried(), &error))?;
        if let (Location::Directory(_), Some(reference)) = (&location, &self.reference) {
            return Err(no_reference_in(&self.source, reference));
        }
        let reference = self.reference.as_deref().map(Reference::parse).transpose();
        let found = match &location {
            Location::Directory(path) => Some(Found::at(path, self.path.as_deref())?),
            Location::Git(_) => None,
        };
        let access = self.git.access(&location)?;
        let location = found.as_ref().map_or(location, Found::location);
        let root = match &found {
            Some(found) => &found.root,
            None => self.path.as_deref().unwrap_or(FILE),
        };
        Ok(Source {
            base: found.as_ref().map(|it| it.top.clone()),
            folder: found.as_ref().map(|it| it.folder.clone()),
            reference: reference
                .map_err(|error| Failure::new("cannot use --ref", &error))?
                .unwrap_or_default(),
            root: RepoPath::parse(root)
                .map_err(|error| Failure::new(format!("cannot use \"{root}\""), &error))?,
            repository: Repository::open(&location, access)
                .map_err(|error| with_hint(Failure::new(tried(), &error), &error))?,
        })
    }
}

impl Git {
    /// What a server at `location` is shown.
    pub fn access(&self, location: &Location) -> Result<Access, Failure> {
        Ok(Access {
            credentials: self.credentials(location)?,
            ..Access::default()
        })
    }

    /// What the flags offer for a place. Of a token and a key, the one that the URL can use.
    fn credentials(&self, location: &Location) -> Result<Option<Credentials>, Failure> {
        let Location::Git(url) = location else {
            return Ok(None);
        };
        if let (Some(key), Some(known_hosts), Scheme::Ssh | Scheme::Scp) =
            (&self.git_ssh_key, &self.known_hosts, url.scheme())
        {
            let key = read(key, "private key", MAX_KEY)?;
            return Ok(Some(Credentials::Ssh {
                key: Secret::new(format!("{}\n", key.trim())),
                known_hosts: read(known_hosts, "known hosts", MAX_KNOWN_HOSTS)?,
            }));
        }
        let token = match &self.git_token_file {
            Some(file) => Some(Secret::new(read(file, "token", MAX_TOKEN)?.trim())),
            None => self.git_token.clone(),
        };
        Ok(token.map(|token| match &self.git_username {
            Some(username) => Credentials::Basic {
                username: username.clone(),
                password: token,
            },
            None => Credentials::Token(token),
        }))
    }
}

impl Source {
    /// The files at the revision that is meant.
    pub async fn read(&self) -> Result<Snapshot, Failure> {
        self.try_read().await.map_err(|error| self.unread(&error))
    }

    /// As [`Self::read`], for who knows better what its error means.
    pub async fn try_read(&self) -> Result<Snapshot, repo::Error> {
        let tip = self.repository.resolve(&self.reference).await?;
        self.repository.snapshot(&tip, &self.root, includes).await
    }

    /// What is said of an error of reading it.
    pub fn unread(&self, error: &repo::Error) -> Failure {
        let what = format!("cannot read \"{}\"", self.repository.source().canonical);
        with_hint(Failure::new(what, error), error)
    }
}

/// What a person can do about a repository that cannot be read.
pub fn with_hint(failure: Failure, error: &repo::Error) -> Failure {
    match error {
        repo::Error::Unauthorised { .. } | repo::Error::NoRepository { .. } => failure
            .hint("give a token that may read it by --git-token-file, or a key by --git-ssh-key"),
        repo::Error::UnfitCredential { .. } => failure.hint(
            "https takes --git-token-file; ssh takes --git-ssh-key and --known-hosts",
        ),
        repo::Error::HostKey { .. } => failure.hint(
            "compare the host's key with the one its owner publishes, and put that into --known-hosts",
        ),
        repo::Error::Unreachable { .. } | repo::Error::TimedOut { .. } => {
            failure.hint("check the URL and the network")
        }
        repo::Error::NoReference { .. } | repo::Error::Empty { .. } => failure.hint("check --ref"),
        repo::Error::NoPath { .. } => failure.hint("write one, or name another file with --path"),
        repo::Error::RefusedPath { .. }
        | repo::Error::TooLarge { .. }
        | repo::Error::TooMuch { .. }
        | repo::Error::InvalidPattern { .. }
        | repo::Error::Excess { .. }
        | repo::Error::Unverified { .. }
        | repo::Error::Directory { .. }
        | repo::Error::Store { .. }
        | repo::Error::Damaged { .. }
        | repo::Error::LocalAddress { .. }
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
            if loaded.set.objects.is_empty() && !loaded.set.has_config {
                let root = snapshot.root.as_str();
                ui::note(format!(
                    "\"{root}\" declares nothing and has no \"kind: Config\": nothing is applied, and nothing deleted"
                ));
            }
            Ok(loaded)
        }
        Err(problems) => {
            diagnostics::print(&problems, base);
            let message = format!(
                "cannot load \"{}\": {}",
                diagnostics::path(&snapshot.root, base),
                diagnostics::count(&problems)
            );
            Err(Failure::plain(message))
        }
    }
}

/// A configuration on this machine.
#[derive(Debug)]
pub struct Found {
    /// The top of the clone that holds it; without a clone, the directory itself.
    pub top: PathBuf,
    /// The directory that was named, or that of the file that was.
    pub folder: PathBuf,
    /// Path of the root file below `top`.
    pub root: String,
}

impl Found {
    /// Finds what `path` names: a directory, in which the root file is `file`, or a root file.
    pub fn at(path: &Path, file: Option<&str>) -> Result<Self, Failure> {
        if !path.exists() {
            let mut failure = Failure::plain(format!("cannot read \"{}\"", path.display()));
            failure.causes = vec!["there is no such file or directory".to_owned()];
            return Err(failure);
        }
        let name = path.file_name().filter(|_| !path.is_dir());
        let (folder, own) = match name {
            Some(name) => (path.parent().unwrap_or(path), name.to_string_lossy()),
            None => (path, FILE.into()),
        };
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        let (top, below) = repo::top_of(folder)
            .map_err(|error| Failure::new(format!("cannot read \"{}\"", path.display()), &error))?;
        let root = below.join(file.unwrap_or(&own));
        Ok(Self {
            folder: top.join(&below),
            root: root.to_string_lossy().into_owned(),
            top,
        })
    }

    pub fn location(&self) -> Location {
        Location::Directory(self.top.clone())
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the shape that the parser wants")]
fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}

/// The text of a file that holds something secret, of at most `limit` bytes.
fn read(file: &Path, what: &str, limit: u64) -> Result<String, Failure> {
    let failed = |error: &dyn std::error::Error| {
        Failure::new(
            format!("cannot read the {what} in \"{}\"", file.display()),
            error,
        )
    };
    let mut text = String::new();
    File::open(file)
        .and_then(|open| open.take(limit).read_to_string(&mut text))
        .map_err(|error| failed(&error))?;
    Ok(text)
}

/// What a person typed, without what may be a credential.
fn without_user(text: &str) -> &str {
    text.rsplit_once('@').map_or(text, |(_, rest)| rest)
}
