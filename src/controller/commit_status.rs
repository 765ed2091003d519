//! Tells on a commit what came of its sync: the status that GitHub shows beside it.
//!
//! Beside the sync, never in its way: nothing waits for GitHub, and what cannot be told becomes an
//! event. Each RepoSync's statuses are written one after another, in the order of what happened.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::core::v1::Secret as ClusterSecret;
use kube::Api;
use kube::Client;
use kube::Resource as _;
use kube::ResourceExt as _;
use tokio_util::sync::CancellationToken;

use super::clock;
use super::events;
use super::events::Level;
use super::events::Notice;
use super::github_api;
use super::github_api::Installation;
use super::options::Options;
use crate::api::RepoSync;
use crate::github;
use crate::github::Clients;
use crate::github::CommitState;
use crate::github::CommitStatus;
use crate::github::Repository;
use crate::model::RepoUrl;
use crate::model::Secret;
use crate::model::git_credentials::GitCredentials;
use crate::model::git_credentials::InvalidCredentials;

/// Digits of a commit's id: a directory has no commit to tell anything on.
const COMMIT: usize = 40;
/// Statuses of one RepoSync that wait to be written. The oldest go first when GitHub keeps them long.
const WAITING: usize = 8;
/// RepoSyncs that are remembered before those are forgotten that have nothing waiting.
const REMEMBERED: usize = 1024;
/// How often one status is tried, and the first pause after a failure that may pass.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_secs(2);

/// What tells.
pub struct CommitStatuses {
    client: Client,
    options: Options,
    github: Clients,
    desks: Mutex<HashMap<String, Desk>>,
    stop: CancellationToken,
}

/// What is to be told on behalf of one RepoSync.
#[derive(Default)]
struct Desk {
    /// What was told last: the same again is not told.
    last: Option<(String, CommitStatus)>,
    waiting: VecDeque<Job>,
    is_busy: bool,
}

/// One status to be written.
#[derive(Clone)]
struct Job {
    object: ObjectReference,
    namespace: String,
    secret: String,
    repo: String,
    commit: String,
    status: CommitStatus,
}

/// Why a status was not written.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("Secret \"{0}\" is not there")]
    NoSecret(String),
    #[error("Secret \"{name}\" cannot be used: {source}")]
    Credentials {
        name: String,
        source: InvalidCredentials,
    },
    #[error("Secret \"{0}\" holds an ssh key, and GitHub's API takes a token")]
    Ssh(String),
    #[error("the repository's URL does not name an owner and a repository")]
    NotGitHub,
    #[error("cannot read the Secret: {0}")]
    Cluster(#[source] kube::Error),
    #[error("{0}")]
    App(#[source] github_api::Error),
    #[error("{0}")]
    GitHub(#[source] github::Error),
}

impl CommitStatuses {
    /// Writes through the API that the options name, or else that of each repository's host, until `stop`.
    pub fn new(client: Client, options: Options, stop: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            client,
            options,
            github: Clients::default(),
            desks: Mutex::default(),
            stop,
        })
    }

    /// Tells that the sync of `sync` at `revision` is in this state, if it wants that told and it was
    /// not told last. `summary` must not hold values of fields: anybody may read it.
    pub fn tell(
        self: &Arc<Self>,
        sync: &RepoSync,
        revision: &str,
        state: CommitState,
        summary: &str,
    ) {
        let Some(job) = job(sync, revision, state, summary) else {
            return;
        };
        let uid = sync.uid().unwrap_or_default();
        if self.put(&uid, job) {
            let this = Arc::clone(self);
            tokio::spawn(async move {
                let stop = this.stop.clone();
                stop.run_until_cancelled(this.work(&uid)).await;
            });
        }
    }

    /// Puts a job on the desk of its RepoSync. Whether somebody must be called to work there.
    fn put(&self, uid: &str, job: Job) -> bool {
        let mut desks = self.desks();
        if desks.len() >= REMEMBERED && !desks.contains_key(uid) {
            desks.retain(|_, desk| desk.is_busy);
        }
        let desk = desks.entry(uid.to_owned()).or_default();
        let told = desk.last.as_ref();
        if told.is_some_and(|(commit, status)| *commit == job.commit && status.covers(&job.status))
        {
            return false;
        }
        desk.last = Some((job.commit.clone(), job.status.clone()));
        // Of one commit, the last word counts.
        desk.waiting.retain(|it| it.commit != job.commit);
        if desk.waiting.len() >= WAITING {
            desk.waiting.pop_front();
        }
        desk.waiting.push_back(job);
        !std::mem::replace(&mut desk.is_busy, true)
    }

    async fn work(&self, uid: &str) {
        while let Some(job) = self.next(uid) {
            if let Err(error) = self.write_patiently(&job).await {
                // So that the next sync tries again.
                if let Some(desk) = self.desks().get_mut(uid) {
                    desk.last = None;
                }
                self.complain(&job, &error).await;
            }
        }
    }

    fn next(&self, uid: &str) -> Option<Job> {
        let mut desks = self.desks();
        let desk = desks.get_mut(uid)?;
        let job = desk.waiting.pop_front();
        desk.is_busy = job.is_some();
        job
    }

    async fn write_patiently(&self, job: &Job) -> Result<(), Error> {
        let mut failures = 0;
        loop {
            let now = clock::now();
            let Err(error) = self.write(job, now).await else {
                return Ok(());
            };
            failures += 1;
            match error.pause(failures, now) {
                Some(pause) if failures < ATTEMPTS => tokio::time::sleep(pause).await,
                Some(_) | None => return Err(error),
            }
        }
    }

    async fn write(&self, job: &Job, now: Timestamp) -> Result<(), Error> {
        let url = RepoUrl::parse(&job.repo).map_err(|_| Error::NotGitHub)?;
        let (owner, name) = url.github_repo().ok_or(Error::NotGitHub)?;
        let repository = Repository {
            owner: owner.to_owned(),
            name: name.to_owned(),
        };
        let api = self.options.github().of(&url).map_err(Error::GitHub)?;
        let token = self.token(job, &url, now).await?;
        let client = self.github.get(&api, Some(&token));
        client
            .map_err(Error::GitHub)?
            .set_commit_status(&repository, &job.commit, &job.status, now)
            .await
            .map_err(Error::GitHub)?;
        Ok(())
    }

    async fn token(&self, job: &Job, url: &RepoUrl, now: Timestamp) -> Result<Secret, Error> {
        let secrets: Api<ClusterSecret> = Api::namespaced(self.client.clone(), &job.namespace);
        let secret = secrets.get_opt(&job.secret).await.map_err(Error::Cluster)?;
        let secret = secret.ok_or_else(|| Error::NoSecret(job.secret.clone()))?;
        let data: BTreeMap<String, Secret> = secret
            .data
            .unwrap_or_default()
            .into_iter()
            .filter_map(|(key, value)| Some((key, Secret::new(String::from_utf8(value.0).ok()?))))
            .collect();
        let credentials = GitCredentials::from_secret(&data).map_err(|source| {
            let name = job.secret.clone();
            Error::Credentials { name, source }
        })?;
        match credentials {
            GitCredentials::Token(token) => Ok(token),
            // A user's token is a password to git.
            GitCredentials::Basic { password, .. } => Ok(password),
            GitCredentials::Ssh { .. } => Err(Error::Ssh(job.secret.clone())),
            GitCredentials::App {
                app_id,
                installation_id,
                key,
            } => {
                let installation = Installation {
                    app_id: &app_id,
                    id: installation_id,
                    key: &key,
                };
                let token = installation.token(self.options.github(), url, now);
                token.await.map(|(token, _)| token).map_err(Error::App)
            }
        }
    }

    async fn complain(&self, job: &Job, error: &Error) {
        let commit = &job.commit;
        tracing::warn!(%error, namespace = job.namespace, name = job.object.name, commit, "cannot write a commit status");
        let notice = Notice {
            level: Level::Warning,
            reason: "CommitStatusFailed".into(),
            message: format!("cannot write the status of commit {commit}: {error}"),
        };
        events::publish(&self.client, &job.object, &notice, commit, clock::now()).await;
    }

    fn desks(&self) -> MutexGuard<'_, HashMap<String, Desk>> {
        self.desks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Error {
    /// When to try again; none if only an edit helps.
    fn pause(&self, failures: u32, now: Timestamp) -> Option<Duration> {
        let backoff = PAUSE.saturating_mul(3_u32.saturating_pow(failures - 1));
        let answer = match self {
            Self::GitHub(error) => error,
            Self::App(error) => error.answer()?,
            Self::Cluster(_) => return Some(backoff),
            Self::NoSecret(_) | Self::Credentials { .. } | Self::Ssh(_) | Self::NotGitHub => {
                return None;
            }
        };
        match answer {
            github::Error::RateLimited { until } => {
                Some(Duration::try_from(until.duration_since(now)).unwrap_or(PAUSE))
            }
            github::Error::Unavailable(_) => Some(backoff),
            github::Error::InvalidUrl(_)
            | github::Error::InvalidToken
            | github::Error::Unauthorized
            | github::Error::Forbidden
            | github::Error::NotFound
            | github::Error::Redirected
            | github::Error::Local(_)
            | github::Error::Status(_)
            | github::Error::Unreadable(_) => None,
        }
    }
}

fn job(sync: &RepoSync, revision: &str, state: CommitState, summary: &str) -> Option<Job> {
    let wanted = sync.spec.commit_status.as_ref()?;
    let is_commit = revision.len() == COMMIT && revision.bytes().all(|it| it.is_ascii_hexdigit());
    if !is_commit {
        return None;
    }
    let namespace = sync.namespace().unwrap_or_default();
    let context = format!("axon/{namespace}/{}", sync.name_any());
    Some(Job {
        object: sync.object_ref(&()),
        namespace,
        secret: wanted.secret_ref.name.clone(),
        repo: sync.spec.repo.clone(),
        commit: revision.to_owned(),
        status: CommitStatus::new(context, state, summary),
    })
}
