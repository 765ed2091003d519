//! Where `axon dev` takes its configuration from.

use std::path::Path;
use std::path::PathBuf;

use kube::Client;

use crate::cli::args::Global;
use crate::cli::commands::dev::Options;
use crate::cli::ui::Failure;
use crate::controller::sync::Sync;
use crate::controller::sync::Trigger;
use crate::model::Namespace;
use crate::model::RepoPath;
use crate::model::Secret;
use crate::repo::Access;
use crate::repo::Location;
use crate::repo::Reference;
use crate::repo::Repository;
use crate::sync;

/// Name of the configuration file where none is named.
const FILE: &str = "axon.yaml";
/// Where state is kept, below the directory of the source.
const STATE: &str = ".axon";
/// Where objects go that name no namespace.
const NAMESPACE: &str = "default";

/// A directory or a repository, and the file in it.
pub(super) struct Source {
    repository: Repository,
    reference: Reference,
    root: RepoPath,
}

impl Source {
    pub(super) fn find(options: &Options) -> Result<Self, Failure> {
        let wrong = |error: &dyn std::error::Error| {
            Failure::new(format!("cannot use \"{}\"", shown(&options.source)), error)
        };
        let location = Location::parse(&options.source).map_err(|error| wrong(&error))?;
        let (location, file) = match location {
            Location::Directory(path) if path.is_file() => split(&path),
            other => (other, FILE.to_owned()),
        };
        let root = RepoPath::parse(options.path.as_deref().unwrap_or(&file))
            .map_err(|error| Failure::new("cannot use --path", &error))?;
        let reference = options
            .reference
            .as_deref()
            .map_or(Ok(Reference::Head), Reference::parse);
        let access = Access {
            token: token(options.git_token_file.as_deref())?,
            ..Access::default()
        };
        Ok(Self {
            reference: reference.map_err(|error| Failure::new("cannot use --ref", &error))?,
            repository: Repository::open(&location, access, None).map_err(|error| wrong(&error))?,
            root,
        })
    }

    /// The directory, where the source is one.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.repository.directory()
    }

    /// Where the embedded cluster keeps its state: absolute, because containers have directories of
    /// their own.
    pub(super) fn state_dir(&self) -> Result<PathBuf, Failure> {
        let state = self.folder().unwrap_or(Path::new(".")).join(STATE);
        std::path::absolute(&state)
            .map_err(|error| Failure::new(format!("cannot use \"{}\"", state.display()), &error))
    }

    /// What makes the loop look again; nothing with `--once`.
    pub(super) fn trigger(&self, options: &Options) -> Option<Trigger> {
        match self.folder() {
            _ if options.once => None,
            Some(folder) => Some(Trigger::Changes(folder.to_path_buf())),
            None => Some(Trigger::Every(options.interval.get())),
        }
    }

    pub(super) fn into_sync(
        self,
        global: &Global,
        options: &Options,
        client: Client,
    ) -> Result<Sync, Failure> {
        let name = |text: &str| {
            Namespace::parse(text)
                .map_err(|error| Failure::new(format!("cannot use namespace \"{text}\""), &error))
        };
        Ok(Sync {
            client,
            namespace: global.namespace.as_deref().map(name).transpose()?,
            default_namespace: name(NAMESPACE)?,
            workspace_url: self.folder().and_then(git_repository),
            reference: self.reference,
            root: self.root,
            repository: self.repository,
            options: sync::Options::default(),
            allow: sync::Allow {
                deletes: options.allow_delete,
                runs: options.allow_runs,
            },
        })
    }
}

/// A file as the directory that holds it, and its name there.
fn split(path: &Path) -> (Location, String) {
    let folder = path
        .parent()
        .filter(|it| !it.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let name = path
        .file_name()
        .map_or_else(|| FILE.to_owned(), |it| it.to_string_lossy().into_owned());
    (Location::Directory(folder.to_path_buf()), name)
}

/// URL of the git repository that holds `folder`.
fn git_repository(folder: &Path) -> Option<String> {
    let folder = folder.canonicalize().ok()?;
    let top = folder.ancestors().find(|it| it.join(".git").exists())?;
    Some(format!("file://{}", top.display()))
}

fn token(file: Option<&Path>) -> Result<Option<Secret>, Failure> {
    let Some(file) = file else { return Ok(None) };
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::new(
            format!("cannot read the token in \"{}\"", file.display()),
            &error,
        )
    })?;
    Ok(Some(Secret::new(text.trim())))
}

/// What a person typed, without what may be a credential.
fn shown(text: &str) -> &str {
    text.rsplit_once('@').map_or(text, |(_, rest)| rest)
}
