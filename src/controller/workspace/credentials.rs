//! What a Workspace's Secret lets in with: the one place that reads it, for the Workspace's own
//! controller and for who asks GitHub on its behalf.

use jiff::Timestamp;
use kube::Client;
use kube::ResourceExt as _;

use super::memory::Token;
use super::need::Way;
use super::token;
use crate::api::Workspace;
use crate::controller::github_api::GitHubApi;
use crate::controller::github_api::Installation;
use crate::controller::secrets;
use crate::controller::secrets::Unread;
use crate::model::GitCredentials;
use crate::model::InvalidCredentials;
use crate::model::Namespace;
use crate::model::RepoUrl;
use crate::model::Secret;
use crate::repo::Credentials;

/// Why a Workspace has no credential to use.
#[derive(Debug, thiserror::Error)]
pub(in crate::controller) enum Error {
    #[error(transparent)]
    Secret(#[from] Unread),
    #[error("Secret \"{name}\" cannot be used: {why}")]
    Unfit {
        name: String,
        why: InvalidCredentials,
    },
    #[error("Secret \"{0}\" holds an ssh key, and GitHub's API takes a token")]
    NoToken(String),
    #[error(transparent)]
    Token(#[from] token::Error),
}

/// What lets git into the repository at `url`, which is the Workspace's; a GitHub App by its token,
/// which is made anew here if its time has come.
pub(super) async fn of(
    client: &Client,
    github: GitHubApi<'_>,
    workspace: &Workspace,
    url: &RepoUrl,
    now: Timestamp,
) -> Result<(Option<Credentials>, Token), Error> {
    along(Way::to(url), client, github, workspace, url, now).await
}

async fn along(
    way: Way,
    client: &Client,
    github: GitHubApi<'_>,
    workspace: &Workspace,
    url: &RepoUrl,
    now: Timestamp,
) -> Result<(Option<Credentials>, Token), Error> {
    let Some(secret) = &workspace.spec.secret_ref else {
        return Ok((None, Token::None));
    };
    let name = &secret.name;
    let missing = |_| Unread::Missing { name: name.clone() };
    let namespace = Namespace::parse(&workspace.namespace().unwrap_or_default());
    let namespace = namespace.map_err(missing)?;
    let mut data = secrets::read(client, &namespace, name).await?.data;
    // As it is for Tasks.
    if let Some(preferred) = way.preferred(|key| data.contains_key(key)) {
        data.retain(|key, _| preferred.names().contains(&key.as_str()));
    }
    let found = GitCredentials::from_secret(&data);
    let found = found.map_err(|why| Error::Unfit {
        name: name.clone(),
        why,
    })?;
    match &found {
        GitCredentials::App {
            app_id,
            installation_id,
            key,
        } => {
            let installation = Installation {
                app_id,
                id: *installation_id,
                key,
            };
            let source = token::Source {
                github,
                url,
                wide: workspace.spec.submodules,
                installation,
            };
            let (token, until) = token::ensure(client, workspace, &source, now).await?;
            Ok((Some(Credentials::Token(token)), Token::Until(until)))
        }
        GitCredentials::Token(_) | GitCredentials::Basic { .. } | GitCredentials::Ssh { .. } => {
            Ok((Credentials::of(&found), Token::None))
        }
    }
}

/// The same for GitHub's API, which takes a token; none for a Workspace without a Secret.
pub(in crate::controller) async fn api_token(
    client: &Client,
    github: GitHubApi<'_>,
    workspace: &Workspace,
    url: &RepoUrl,
    now: Timestamp,
) -> Result<Option<Secret>, Error> {
    let (credentials, _) = along(Way::Token, client, github, workspace, url, now).await?;
    match credentials {
        None => Ok(None),
        Some(Credentials::Token(token)) => Ok(Some(token)),
        // A user's token is a password to git.
        Some(Credentials::Basic { password, .. }) => Ok(Some(password)),
        Some(Credentials::Ssh { .. }) => {
            let secret = workspace.spec.secret_ref.as_ref();
            let name = secret.map(|it| it.name.clone());
            Err(Error::NoToken(name.unwrap_or_default()))
        }
    }
}
