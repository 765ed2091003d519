//! Snapshots of real repositories and directories.

mod access;
mod app;
mod odd;
mod reading;
mod references;
mod servers;
mod signatures;
mod ssh;
mod store;

use std::path::Path;

use axon::model::RepoPath;
use axon::model::Secret;
use axon::model::Snapshot;
use axon::repo::Access;
use axon::repo::Credentials;
use axon::repo::Error;
use axon::repo::Location;
use axon::repo::Reference;
use axon::repo::Repository;
use tempfile::TempDir;

use crate::git_server::GitRepo;
use crate::git_server::GitServer;
use crate::git_server::Served;

pub(super) const ROOT: &str = "axon.yaml";

/// Each line of the root file is a pattern.
pub(super) fn lines(root: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(root)
        .lines()
        .map(str::to_owned)
        .collect()
}

pub(super) fn open(location: &str, access: Access) -> Repository {
    Repository::open(&Location::parse(location).unwrap(), access).unwrap()
}

pub(super) fn with_token(token: &str) -> Access {
    Access {
        credentials: Some(Credentials::Token(Secret::new(token))),
        ..Access::default()
    }
}

pub(super) async fn read(repository: &Repository, reference: &str) -> Result<Snapshot, Error> {
    read_root(repository, reference, ROOT).await
}

pub(super) async fn read_root(
    repository: &Repository,
    reference: &str,
    root: &str,
) -> Result<Snapshot, Error> {
    let tip = repository
        .resolve(&Reference::parse(reference).unwrap())
        .await?;
    repository
        .snapshot(&tip, &RepoPath::parse(root).unwrap(), lines)
        .await
}

pub(super) fn files(snapshot: &Snapshot) -> Vec<(&str, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    snapshot
        .files
        .iter()
        .map(|file| (file.path.as_str(), text(&file.bytes)))
        .collect()
}

/// A message with all its causes.
pub(super) fn told(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", told(cause)),
        None => error.to_string(),
    }
}

pub(super) struct Fixture {
    pub(super) dir: TempDir,
    pub(super) repo: GitRepo,
    pub(super) server: GitServer,
}

impl Fixture {
    pub(super) fn new() -> Self {
        axon_tls();
        let dir = tempfile::tempdir().unwrap();
        let repo = GitRepo::new(dir.path(), "acme/app.git");
        let server = GitServer::start(dir.path());
        Self { dir, repo, server }
    }

    pub(super) fn url(&self) -> String {
        format!("{}/acme/app.git", self.server.url())
    }

    pub(super) fn open(&self) -> Repository {
        open(&self.url(), Access::default())
    }
}

pub(super) fn axon_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

pub(super) fn git(dir: &Path, args: &[&str]) {
    assert!(
        crate::git_server::command()
            .current_dir(dir)
            .args(args)
            .status()
            .unwrap()
            .success()
    );
}

pub(super) fn answered(served: &[Served]) -> usize {
    served.iter().map(|served| served.response.len()).sum()
}
