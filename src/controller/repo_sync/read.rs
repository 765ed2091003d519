//! From the repository to a configuration: credential, poll, signature, files.

use std::sync::Arc;

use jiff::Timestamp;
use kube::Client;
use tokio::time::Instant;

use super::credentials;
use super::memory::Config;
use super::memory::Memory;
use super::memory::Source;
use super::open;
use super::reason::Reason;
use super::reason::Trouble;
use super::settings::Settings;
use crate::api::repo_sync::RepoSyncSpec;
use crate::api::repo_sync::Verify;
use crate::controller::github_api::GitHubApi;
use crate::controller::repositories::Repositories;
use crate::controller::repositories::Shared;
use crate::repo;
use crate::repo::AllowedSigners;
use crate::repo::ErrorKind;
use crate::repo::Tip;
use crate::sync::load;

/// Key of the Secret that holds whose signatures count.
const ALLOWED_SIGNERS: &str = "allowed_signers";

/// What reading needs.
pub(super) struct Reader<'a> {
    pub(super) client: &'a Client,
    pub(super) repositories: &'a Repositories,
    pub(super) spec: &'a RepoSyncSpec,
    pub(super) settings: &'a Settings,
    pub(super) github: GitHubApi<'a>,
    /// Whether repositories may be on this machine or its link.
    pub(super) local_addresses: bool,
    pub(super) now: Timestamp,
}

/// What a look at the repository gave.
pub(super) enum Read {
    /// The commit is the one that is known.
    Same,
    /// Another commit.
    New(Config),
}

/// Why there is no configuration.
pub(super) struct Unread {
    pub(super) trouble: Trouble,
    /// The commit that cannot be read, where it came so far.
    pub(super) tip: Option<Tip>,
}

impl From<Trouble> for Unread {
    fn from(trouble: Trouble) -> Self {
        Self { trouble, tip: None }
    }
}

impl Reader<'_> {
    /// Asks what the reference stands at, by an answer no older than `since`, and reads the files
    /// where that is new. An unreadable commit is left at that until its time.
    pub(super) async fn read(&self, memory: &mut Memory, since: Instant) -> Result<Read, Unread> {
        let secret = self.spec.secret_ref.as_ref().map(|it| it.name.as_str());
        memory.source.is_to_be(&self.settings.url, secret);
        let tip = self.tip(&mut memory.source, since).await?;
        if memory.config.as_ref().is_some_and(|it| it.tip == tip) {
            return Ok(Read::Same);
        }
        if let Some((unreadable, until)) = &memory.poll.unreadable
            && *unreadable == tip
            && self.now < *until
            && let Some(trouble) = &memory.poll.trouble
        {
            let trouble = trouble.clone();
            return Err(Unread {
                trouble,
                tip: Some(tip),
            });
        }
        // Whoever took a Secret away means it: nothing new is read with what it held.
        let shared = self.open_again(&mut memory.source).await?;
        let read = async {
            self.verify(&shared, &tip).await?;
            self.files(&shared, &tip).await
        };
        match read.await {
            Ok(config) => Ok(Read::New(config)),
            Err(trouble) => Err(Unread {
                trouble,
                tip: Some(tip),
            }),
        }
    }

    async fn tip(&self, source: &mut Source, since: Instant) -> Result<Tip, Trouble> {
        let is_stale = source.is_stale(self.now);
        let shared = match source.shared.clone().filter(|_| !is_stale) {
            Some(shared) => shared,
            None => self.open_again(source).await?,
        };
        let error = match shared.resolve(&self.settings.reference, since).await {
            Ok(tip) => return Ok(tip),
            Err(error) => error,
        };
        if !matches!(
            error.kind(),
            ErrorKind::Authentication | ErrorKind::NoRepository | ErrorKind::HostKey
        ) {
            return Err(self.trouble(&error));
        }
        // The Secret may have changed: then it is worth another try at once.
        let before = source.secret_version.clone();
        let shared = self.open_again(source).await?;
        if source.secret_version == before {
            return Err(self.trouble(&error));
        }
        let tip = shared.resolve(&self.settings.reference, since).await;
        tip.map_err(|error| self.trouble(&error))
    }

    /// Opens the repository with what its Secret holds now.
    async fn open_again(&self, source: &mut Source) -> Result<Arc<Shared>, Trouble> {
        if let (None, Some(shared)) = (&self.spec.secret_ref, &source.shared) {
            return Ok(Arc::clone(shared));
        }
        let opened = open::open(self, source).await;
        if opened.is_err() {
            *source = Source::default();
        }
        opened
    }

    async fn verify(&self, shared: &Shared, tip: &Tip) -> Result<(), Trouble> {
        let Some(Verify { secret_ref }) = &self.spec.verify else {
            return Ok(());
        };
        let reason = Reason::VerificationFailed;
        let name = &secret_ref.name;
        let wanted = format!("a key \"{ALLOWED_SIGNERS}\"");
        let namespace = &self.settings.namespace;
        let secret = credentials::read(self.client, namespace, name, reason, &wanted).await?;
        let text = secret.data.get(ALLOWED_SIGNERS).ok_or_else(|| {
            Trouble::new(
                reason,
                format!("Secret \"{name}\" has no key \"{ALLOWED_SIGNERS}\""),
            )
        })?;
        let signers = AllowedSigners::parse(text.expose()).map_err(|error| {
            let hint = format!("correct \"{ALLOWED_SIGNERS}\" in Secret \"{name}\"");
            Trouble::of(reason, &error, &hint)
        })?;
        let verified = shared.repository().verify(tip, &signers, self.now).await;
        verified.map(drop).map_err(|error| self.trouble(&error))
    }

    async fn files(&self, shared: &Shared, tip: &Tip) -> Result<Config, Trouble> {
        let root = &self.settings.root;
        let snapshot = shared
            .repository()
            .snapshot(tip, root, load::includes)
            .await;
        let snapshot = snapshot.map_err(|error| self.trouble(&error))?;
        Ok(Config {
            tip: tip.clone(),
            input: snapshot.digest(),
            snapshot: Arc::new(snapshot),
        })
    }

    /// What an error of the repository means, and what a person can do.
    pub(super) fn trouble(&self, error: &repo::Error) -> Trouble {
        let secret = match &self.spec.secret_ref {
            Some(secret) => format!("check Secret \"{}\"", secret.name),
            None => "name a Secret in \"spec.secretRef\"".to_owned(),
        };
        let (reason, hint) = match error.kind() {
            ErrorKind::Transient => (Reason::FetchFailed, String::new()),
            ErrorKind::NoReference => (Reason::FetchFailed, "check \"spec.ref\"".to_owned()),
            ErrorKind::Authentication => (Reason::AuthenticationFailed, secret),
            ErrorKind::NoRepository => (
                Reason::AuthenticationFailed,
                format!("check \"spec.repo\", or {secret}"),
            ),
            ErrorKind::HostKey => (
                Reason::HostKeyMismatch,
                format!("{secret}: its key \"known_hosts\" must hold the host's key"),
            ),
            ErrorKind::NoPath => (Reason::PathNotFound, "check \"spec.path\"".to_owned()),
            ErrorKind::Verification => (
                Reason::VerificationFailed,
                "sign the commit with a key of the allowed signers".to_owned(),
            ),
            ErrorKind::Invalid => (Reason::InvalidConfig, String::new()),
        };
        Trouble::of(reason, error, &hint)
    }
}
