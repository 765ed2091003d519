//! Opens a repository with what its Secret holds.

use std::sync::Arc;

use jiff::SignedDuration;
use jiff::Timestamp;

use super::credentials;
use super::memory::Source;
use super::read::Reader;
use super::reason::Reason;
use super::reason::Trouble;
use crate::controller::github_api;
use crate::controller::github_api::Installation;
use crate::controller::repositories;
use crate::controller::repositories::Shared;
use crate::model::GitCredentials;
use crate::repo::Access;
use crate::repo::Credentials;

/// What a Secret must hold, for who has none.
const KEYS: &str = "a key \"GITHUB_TOKEN\", or the keys \"username\" and \"password\"";
/// A token is no longer used so long before it expires: no fetch takes longer.
const MARGIN: SignedDuration = SignedDuration::from_mins(6);

/// Opens the repository with what its Secret, if it has one, holds now.
pub(super) async fn open(reader: &Reader<'_>, source: &mut Source) -> Result<Arc<Shared>, Trouble> {
    let Some(secret) = &reader.spec.secret_ref else {
        return shared(reader, source, None, None);
    };
    let reason = Reason::AuthenticationFailed;
    let namespace = &reader.settings.namespace;
    let read = credentials::read(reader.client, namespace, &secret.name, reason, KEYS).await?;
    let is_same = source.secret_version.as_ref() == Some(&read.version);
    if let Some(shared) = &source.shared
        && is_same
        && !source.is_stale(reader.now)
    {
        return Ok(Arc::clone(shared));
    }
    let hint = format!("correct Secret \"{}\"", secret.name);
    let found = GitCredentials::from_secret(&read.data)
        .map_err(|error| Trouble::of(reason, &error, &hint))?;
    let (usable, expires) = usable(reader, found).await?;
    source.expires = expires;
    shared(reader, source, Some(usable), Some(read.version))
}

fn shared(
    reader: &Reader<'_>,
    source: &mut Source,
    credentials: Option<Credentials>,
    version: Option<String>,
) -> Result<Arc<Shared>, Trouble> {
    let digest = credentials.as_ref().map(repositories::digest_of);
    let access = Access {
        credentials,
        local_addresses: reader.local_addresses,
        other_hosts: reader.local_addresses,
        ..Access::default()
    };
    let url = &reader.settings.url;
    let opened = reader.repositories.open(url, access, digest);
    let opened = opened.map_err(|error| reader.trouble(&error))?;
    source.shared = Some(Arc::clone(&opened));
    source.secret_version = version;
    Ok(opened)
}

/// A credential that git takes, and until when it is to be used.
async fn usable(
    reader: &Reader<'_>,
    found: GitCredentials,
) -> Result<(Credentials, Option<Timestamp>), Trouble> {
    Ok(match found {
        GitCredentials::Token(token) => (Credentials::Token(token), None),
        GitCredentials::Basic { username, password } => {
            (Credentials::Basic { username, password }, None)
        }
        GitCredentials::Ssh { key, known_hosts } => (Credentials::Ssh { key, known_hosts }, None),
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
            let url = &reader.settings.url;
            let token = installation.token(reader.github, url, reader.now);
            let (token, expiry) = token.await.map_err(|error| refused(&error))?;
            let until = expiry.checked_sub(MARGIN).unwrap_or(expiry);
            (Credentials::Token(token), Some(until))
        }
    })
}

fn refused(error: &github_api::Error) -> Trouble {
    let reason = if error.may_pass() {
        Reason::FetchFailed
    } else {
        Reason::AuthenticationFailed
    };
    Trouble::of(reason, error, "")
}
