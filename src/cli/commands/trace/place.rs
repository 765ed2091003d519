//! Finds the line that declares an object, by loading the repository at the applied revision.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use super::gather::Gathered;
use super::gather::Synced;
use super::origin;
use super::origin::Declared;
use super::origin::Origin;
use crate::cli::screen;
use crate::cli::source;
use crate::cli::source::Source;
use crate::cli::ui;
use crate::cli::ui::Failure;
use crate::model::Key;
use crate::model::ObjectName;
use crate::model::RepoPath;
use crate::model::RepoUrl;
use crate::model::Snapshot;
use crate::model::problem::Place;
use crate::repo::Access;
use crate::repo::Location;
use crate::repo::Reference;
use crate::repo::Repository;
use crate::sync::load::load;

/// Longest time for a repository to be read: someone is looking at an empty line.
const LIMIT: Duration = Duration::from_mins(1);

/// Where an object is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    At {
        place: Place,
        /// Whether it is that of the applied revision, and not of files that may be others.
        is_applied: bool,
    },
    /// Why it is not known.
    Unknown(String),
}

/// Where the first object of the chain is declared; none where it was not.
pub(super) async fn find(
    gathered: &Gathered,
    git: &source::Git,
    hosts: &[String],
    no_fetch: bool,
) -> Option<Found> {
    let item = gathered.declared()?;
    let Origin::Declared(declared) = origin::of(item) else {
        return None;
    };
    let key = Key {
        kind: item.kind.declared()?,
        name: ObjectName::parse(item.name()).ok()?,
    };
    let sync = match &gathered.sync {
        Synced::By(sync) => Some(sync),
        Synced::None | Synced::Unknown { .. } | Synced::Unread { .. } => None,
    };
    let revision = sync.and_then(|it| it.text("/status/lastAppliedRevision"));
    let url = sync.and_then(|it| it.text("/spec/repo"));
    let wanted = Wanted {
        declared: &declared,
        revision,
        url,
    };
    Some(match wanted.read(git, hosts, no_fetch).await {
        Ok((snapshot, is_applied)) => in_snapshot(&snapshot, &key, is_applied),
        Err(failure) => Found::Unknown(told(&failure)),
    })
}

/// What is to be read.
struct Wanted<'a> {
    declared: &'a Declared,
    /// The applied one, where a RepoSync tells.
    revision: Option<&'a str>,
    /// As the RepoSync names the repository.
    url: Option<&'a str>,
}

impl Wanted<'_> {
    /// The files, and whether they are those that were applied.
    async fn read(
        &self,
        git: &source::Git,
        hosts: &[String],
        no_fetch: bool,
    ) -> Result<(Snapshot, bool), Failure> {
        let root = RepoPath::parse(&self.declared.path)
            .map_err(|error| Failure::new("cannot use the path of its origin", &error))?;
        let commit = self
            .revision
            .map(Reference::parse)
            .transpose()
            .ok()
            .flatten();
        // What is on this machine needs no credentials.
        let access = Access {
            deadline: LIMIT,
            ..Access::default()
        };
        if let Some(top) = self.own_directory() {
            let Some(reference) = commit.clone() else {
                // Applied by hand: these files are the best guess that there is.
                let source = open(&Location::Directory(top), Reference::Head, root, access)?;
                return Ok((source.read().await?, false));
            };
            let url = format!("file://{}", top.display());
            if let Ok(location) = Location::parse(&url)
                && let Ok(source) = open(&location, reference, root.clone(), access.clone())
                && let Ok(snapshot) = source.read().await
            {
                return Ok((snapshot, true));
            }
        }
        if no_fetch {
            return Err(Failure::plain(
                "the directory's repository does not have it",
            ));
        }
        let url = match self.url {
            Some(url) => url.to_owned(),
            None if self.is_remote() => format!("https://{}", self.declared.source),
            None => {
                let message = format!(
                    "it was applied from a directory \"{}\"",
                    self.declared.source
                );
                return Err(Failure::plain(message));
            }
        };
        let location = Location::parse(&url)
            .map_err(|error| Failure::new("cannot use the URL of its repository", &error))?;
        let is_applied = commit.is_some();
        let reference = commit.unwrap_or_default();
        ui::note(format_args!(
            "reading {} …",
            screen::line(&self.declared.source)
        ));
        let access = Access {
            deadline: LIMIT,
            ..access_for(&location, git, hosts)?
        };
        let source = open(&location, reference, root, access)?;
        Ok((source.read().await?, is_applied))
    }

    /// The clone that this process stands in, if it is one of the wanted repository.
    fn own_directory(&self) -> Option<PathBuf> {
        let here = Path::new(".").canonicalize().ok()?;
        let tops = here.ancestors().filter(|it| it.join(".git").exists());
        // A directory that is no repository has its name for a source.
        let mut candidates = tops.chain([here.as_path()]);
        candidates
            .find(|it| {
                let location = Location::Directory(it.to_path_buf());
                let repository = Repository::open(&location, Access::default());
                repository.is_ok_and(|it| it.source().canonical == self.declared.source)
            })
            .map(Path::to_path_buf)
    }

    /// Whether the source is one of a server: `host/path`.
    fn is_remote(&self) -> bool {
        let host = self.declared.source.split_once('/').map(|(host, _)| host);
        host.is_some_and(|it| it.contains(['.', ':']) || it == "localhost")
    }
}

/// What the server is shown. An object in the cluster names it, and whoever writes objects must not
/// learn this user's token: so only hosts that the user named, or has a clone of.
fn access_for(location: &Location, git: &source::Git, hosts: &[String]) -> Result<Access, Failure> {
    let access = git.access(location)?;
    let Location::Git(url) = location else {
        return Ok(access);
    };
    let host = host_of(&url.canonical());
    let own = own_hosts();
    if access.credentials.is_none() || hosts.iter().chain(&own).any(|it| *it == host) {
        return Ok(access);
    }
    ui::note(format_args!(
        "the credential is not shown to {}; --git-host allows it",
        screen::line(&host)
    ));
    Ok(Access::default())
}

/// `host` or `host:port` of `host/path`.
fn host_of(canonical: &str) -> String {
    let host = canonical.split('/').next().unwrap_or_default();
    host.to_owned()
}

/// Hosts of the clones that this process stands in.
fn own_hosts() -> Vec<String> {
    let Ok(here) = Path::new(".").canonicalize() else {
        return Vec::new();
    };
    let tops = here.ancestors().filter(|it| it.join(".git").exists());
    let hosts = tops.filter_map(|top| {
        let location = Location::Directory(top.to_path_buf());
        let repository = Repository::open(&location, Access::default()).ok()?;
        let url = RepoUrl::parse(repository.source().url.as_deref()?).ok()?;
        Some(host_of(&url.canonical()))
    });
    hosts.collect()
}

fn open(
    location: &Location,
    reference: Reference,
    root: RepoPath,
    access: Access,
) -> Result<Source, Failure> {
    let repository = Repository::open(location, access)
        .map_err(|error| Failure::new("cannot use its repository", &error))?;
    Ok(Source {
        repository,
        reference,
        base: None,
        folder: None,
        root,
    })
}

fn in_snapshot(snapshot: &Snapshot, key: &Key, is_applied: bool) -> Found {
    let loaded = match load(snapshot) {
        Ok(loaded) => loaded,
        Err(problems) => {
            let message = format!("\"{}\" has {} problems", snapshot.root, problems.len());
            return Found::Unknown(message);
        }
    };
    let mut objects = loaded.set.objects.into_iter();
    match objects.find(|it| it.key == *key) {
        Some(desired) => Found::At {
            place: desired.place,
            is_applied,
        },
        None => Found::Unknown(format!("\"{}\" does not declare it", snapshot.root)),
    }
}

/// A failure in one line.
fn told(failure: &Failure) -> String {
    let parts = std::iter::once(&failure.what).chain(&failure.causes);
    let parts: Vec<&str> = parts.map(String::as_str).collect();
    screen::line(&parts.join(": "))
}
