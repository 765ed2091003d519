//! Looks at a Workspace's repository: its Secret, its token, and one list of refs.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::credentials;
use super::memory::Token;
use super::reason::Trouble;
use super::reconcile::Context;
use super::settings::Settings;
use crate::api::Workspace;
use crate::controller::repositories;
use crate::controller::repositories::Shared;
use crate::repo;
use crate::repo::Access;
use crate::repo::Credentials;
use crate::repo::ErrorKind;
use crate::repo::Tip;

/// How old an answer may be that another Workspace of the repository got.
const MOMENT: Duration = Duration::from_secs(10);
/// Longest silence of a server, and longest time for an answer: a list of refs is small.
const SILENCE: Duration = Duration::from_secs(15);
const DEADLINE: Duration = Duration::from_secs(45);
/// Repositories that are held open for the next Workspace that asks.
const MAX_RECENT: usize = 256;

/// What a look gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// What the ref stands at.
    pub(super) commit: Option<String>,
    pub(super) token: Token,
}

impl Seen {
    #[cfg(test)]
    pub(super) fn at(commit: Option<String>) -> Self {
        Self {
            commit,
            token: Token::None,
        }
    }

    /// What a person is told.
    pub(super) fn message(&self) -> &'static str {
        match self.commit {
            Some(_) => "the repository can be read",
            None => "the repository can be read; the commit is looked for at checkout",
        }
    }
}

/// Repositories that were asked a moment ago: who asks next shares the answer.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<VecDeque<(Instant, Arc<Shared>)>>);

impl Recent {
    fn hold(&self, shared: &Arc<Shared>) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        held.retain(|(since, it)| now.duration_since(*since) < MOMENT && !Arc::ptr_eq(it, shared));
        if held.len() >= MAX_RECENT {
            held.pop_front();
        }
        held.push_back((now, Arc::clone(shared)));
    }
}

/// Sees to the token and asks the repository.
pub(super) async fn check(
    context: &Context,
    workspace: &Workspace,
    now: Timestamp,
) -> Result<Seen, Trouble> {
    let settings = Settings::accept(workspace, &context.options)?;
    let (credentials, token) = way_in(context, workspace, &settings, now).await?;
    let secret = workspace
        .spec
        .secret_ref
        .as_ref()
        .map(|it| it.name.as_str());
    let failed = |error: &repo::Error| Trouble::of_repo(error, secret);
    let digest = credentials.as_ref().map(repositories::digest_of);
    let access = Access {
        credentials,
        silence: SILENCE,
        deadline: DEADLINE,
        local_addresses: context.options.local_addresses,
        other_hosts: false,
        ..Access::default()
    };
    let shared = context.repositories.open(&settings.url, access, digest);
    let shared = shared.map_err(|error| failed(&error))?;
    context.recent.hold(&shared);
    let now = Instant::now();
    let since = now.checked_sub(MOMENT).unwrap_or(now);
    let answer = shared.resolve(&settings.asked(), since).await;
    let commit = match answer {
        Ok(_) if settings.asked() != settings.reference => asked_commit(&settings),
        Ok(Tip::Commit(commit)) => Some(commit.to_string()),
        Ok(Tip::Directory) => None,
        Err(error) if proves_access(&error, &settings) => asked_commit(&settings),
        Err(error) => return Err(failed(&error)),
    };
    Ok(Seen { commit, token })
}

/// Only sees to the token.
pub(super) async fn refresh(
    context: &Context,
    workspace: &Workspace,
    now: Timestamp,
) -> Result<Token, Trouble> {
    let settings = Settings::accept(workspace, &context.options)?;
    let (_, token) = way_in(context, workspace, &settings, now).await?;
    Ok(token)
}

/// The commit that the spec itself names in full.
fn asked_commit(settings: &Settings) -> Option<String> {
    match &settings.reference {
        repo::Reference::Commit(commit) => Some(commit.to_string()),
        repo::Reference::Head | repo::Reference::Name(_) | repo::Reference::Full(_) => None,
    }
}

/// Whether a server that has no such ref has let us in, and no more was asked of it.
fn proves_access(error: &repo::Error, settings: &Settings) -> bool {
    settings.may_be_a_commit() && error.kind() == ErrorKind::NoReference
}

/// What lets in, in the words of the condition where nothing does.
async fn way_in(
    context: &Context,
    workspace: &Workspace,
    settings: &Settings,
    now: Timestamp,
) -> Result<(Option<Credentials>, Token), Trouble> {
    let github = context.options.github();
    credentials::of(&context.client, github, workspace, &settings.url, now)
        .await
        .map_err(|error| Trouble::of_credentials(&error))
}
