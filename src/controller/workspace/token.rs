//! The token of a GitHub App's installation, kept in a Secret that its Workspace owns.
//!
//! Tasks use that Secret; the App's private key never leaves the one that the user made. A Secret of
//! that name that is not the Workspace's own is reported, and never touched.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret as ClusterSecret;
use kube::Api;
use kube::Client;
use kube::Resource as _;
use kube::ResourceExt as _;
use kube::api::ObjectMeta;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::api::PostParams;
use serde_json::json;

use super::reason::Reason;
use super::reason::Trouble;
use crate::api::Workspace;
use crate::api::labels;
use crate::controller::FIELD_MANAGER;
use crate::controller::github_api;
use crate::controller::github_api::GitHubApi;
use crate::controller::github_api::Installation;
use crate::model::Digest;
use crate::model::RepoUrl;
use crate::model::Secret;
use crate::model::names;
use crate::model::secret::GITHUB_TOKEN;

/// Ends the name of the Secret.
const SUFFIX: &str = "-axon-token";
/// Digits of the hash in a name that had to be cut.
const HASH: usize = 8;
/// A token is made anew so long before it expires: a third of its hour, so that a kubelet that looks
/// every other minute, and a GitHub that is away for a while, do no harm.
const REFRESH: SignedDuration = SignedDuration::from_mins(20);
/// A token that is good for less is not one to start with: a checkout of a large repository takes its
/// time.
const USABLE: SignedDuration = SignedDuration::from_mins(10);
/// How soon the token is looked at that somebody else kept in the meantime.
const RIVAL: SignedDuration = SignedDuration::from_mins(1);

/// What a token is made of.
pub(super) struct Source<'a> {
    pub(super) github: GitHubApi<'a>,
    /// The repository that it opens.
    pub(super) url: &'a RepoUrl,
    /// Whether it opens the others of the installation too: submodules are among them, and which ones
    /// only the checkout sees.
    pub(super) wide: bool,
    pub(super) installation: Installation<'a>,
}

/// Why there is no token to use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::controller) enum Error {
    #[error("Secret \"{0}\" is not this Workspace's own: it is left as it is; delete or rename it")]
    NameTaken(String),
    #[error("cannot keep the token in Secret \"{name}\": {message}")]
    NotKept { name: String, message: String },
    #[error(transparent)]
    NotMade(#[from] github_api::Error),
}

/// Name of the Secret that holds the token of the Workspace `name`.
pub(super) fn secret_name(name: &str) -> String {
    let whole = format!("{name}{SUFFIX}");
    if whole.len() <= names::MAX_NAME {
        return whole;
    }
    let room = names::MAX_NAME - SUFFIX.len() - HASH - 1;
    let stem = name.get(..room).unwrap_or_default();
    let stem = stem.trim_end_matches(['-', '.']);
    format!("{stem}-{}{SUFFIX}", Digest::of(name).short(HASH))
}

/// Whether a Task may start with what is in `secret`: any that is not a token that the controllers
/// make, and such a one while it is good for some time.
pub(super) fn is_fresh(secret: &ClusterSecret, now: Timestamp) -> bool {
    match secret.annotations().get(labels::TOKEN_EXPIRES) {
        Some(expires) => expires
            .parse::<Timestamp>()
            .is_ok_and(|it| it.duration_since(now) >= USABLE),
        None => true,
    }
}

/// The token of the Workspace, and when it is to be made anew. Makes it anew if that time has come.
pub(super) async fn ensure(
    client: &Client,
    workspace: &Workspace,
    source: &Source<'_>,
    now: Timestamp,
) -> Result<(Secret, Timestamp), Error> {
    let namespace = workspace.namespace().unwrap_or_default();
    let secrets: Api<ClusterSecret> = Api::namespaced(client.clone(), &namespace);
    let name = secret_name(&workspace.name_any());
    let found = secrets.get_opt(&name).await;
    let found = found.map_err(|error| not_kept(&name, &error))?;
    if let Some(secret) = &found {
        if !is_of(secret, workspace) {
            return Err(Error::NameTaken(name));
        }
        if let Some(kept) = kept(secret, source, now) {
            return Ok(kept);
        }
    }
    let (token, expires) = source.mint(now).await?;
    let written = match &found {
        Some(secret) => replace(&secrets, secret, source, &token, expires).await,
        None => create(&secrets, &name, workspace, source, &token, expires).await,
    };
    match written {
        Ok(()) => Ok((token, due(expires))),
        // Somebody else kept one in the meantime. Until that is looked at, this one will do.
        Err(kube::Error::Api(status)) if status.code == 409 => {
            Ok((token, now.checked_add(RIVAL).unwrap_or(expires)))
        }
        Err(error) => Err(not_kept(&name, &error)),
    }
}

fn due(expires: Timestamp) -> Timestamp {
    expires.checked_sub(REFRESH).unwrap_or(expires)
}

/// What the Secret holds, if that is of the same installation and need not be made anew.
fn kept(
    secret: &ClusterSecret,
    source: &Source<'_>,
    now: Timestamp,
) -> Option<(Secret, Timestamp)> {
    let annotations = secret.annotations();
    let expires: Timestamp = annotations.get(labels::TOKEN_EXPIRES)?.parse().ok()?;
    let until = due(expires);
    if annotations.get(labels::TOKEN_OF)? != &source.digest() || until <= now {
        return None;
    }
    let value = secret.data.as_ref()?.get(GITHUB_TOKEN)?;
    let token = std::str::from_utf8(&value.0).ok()?;
    Some((Secret::new(token), until))
}

/// Whether `workspace` owns `secret`.
pub(super) fn is_of(secret: &ClusterSecret, workspace: &Workspace) -> bool {
    let uid = workspace.uid().unwrap_or_default();
    let mut owners = secret.owner_references().iter();
    owners.any(|it| it.controller == Some(true) && it.uid == uid)
}

fn not_kept(name: &str, error: &kube::Error) -> Error {
    let message = match error {
        kube::Error::Api(status) => status.message.clone(),
        other => Trouble::of(Reason::TokenNotKept, other, "").message,
    };
    Error::NotKept {
        name: name.to_owned(),
        message,
    }
}

impl Source<'_> {
    async fn mint(&self, now: Timestamp) -> Result<(Secret, Timestamp), github_api::Error> {
        let Self {
            github,
            url,
            wide,
            installation,
        } = self;
        if *wide {
            installation.wide_token(*github, url, now).await
        } else {
            installation.token(*github, url, now).await
        }
    }

    /// Which installation this is, for which repository, and whether for others: nothing secret in it.
    /// So a token that an edit of the Workspace leaves behind is not used for more or for less.
    fn digest(&self) -> String {
        let (installation, url) = (self.installation.id.to_string(), self.url.to_string());
        let mut fields = vec![self.installation.app_id, &installation, &url];
        fields.extend(self.wide.then_some("wide"));
        Digest::of_fields(fields.into_iter().map(str::as_bytes)).to_string()
    }

    fn annotations(&self, expires: Timestamp) -> BTreeMap<String, String> {
        BTreeMap::from([
            (labels::TOKEN_EXPIRES.to_owned(), expires.to_string()),
            (labels::TOKEN_OF.to_owned(), self.digest()),
        ])
    }
}

async fn create(
    secrets: &Api<ClusterSecret>,
    name: &str,
    workspace: &Workspace,
    source: &Source<'_>,
    token: &Secret,
    expires: Timestamp,
) -> Result<(), kube::Error> {
    let managed = [labels::APP[0], labels::APP[2]];
    let managed = managed.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let secret = ClusterSecret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            annotations: Some(source.annotations(expires)),
            labels: Some(BTreeMap::from(managed)),
            owner_references: workspace.controller_owner_ref(&()).map(|it| vec![it]),
            ..ObjectMeta::default()
        },
        data: Some(data(token)),
        ..ClusterSecret::default()
    };
    let parameters = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    secrets.create(&parameters, &secret).await.map(drop)
}

/// Only the very Secret that was seen: should it have changed hands since, the server answers 409.
async fn replace(
    secrets: &Api<ClusterSecret>,
    seen: &ClusterSecret,
    source: &Source<'_>,
    token: &Secret,
    expires: Timestamp,
) -> Result<(), kube::Error> {
    let patch = json!({
        "metadata": {
            "uid": seen.metadata.uid,
            "resourceVersion": seen.metadata.resource_version,
            "annotations": source.annotations(expires),
        },
        "data": data(token),
    });
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let patched = secrets
        .patch(&seen.name_any(), &parameters, &Patch::Merge(&patch))
        .await;
    patched.map(drop)
}

fn data(token: &Secret) -> BTreeMap<String, ByteString> {
    let value = ByteString(token.expose().as_bytes().to_vec());
    BTreeMap::from([(GITHUB_TOKEN.to_owned(), value)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit() {
        assert_eq!(secret_name("web"), "web-axon-token");
        let long = secret_name(&"w".repeat(253));
        assert_eq!(long.len(), names::MAX_NAME);
        assert!(long.ends_with(SUFFIX));
        assert_ne!(long, secret_name(&"w".repeat(252)));
    }

    #[test]
    fn only_a_token_that_expires_soon_is_waited_for() {
        let now: Timestamp = "2026-06-01T12:00:00Z".parse().unwrap();
        let check = |expires: Option<&str>, expected: bool| {
            let mut secret = ClusterSecret::default();
            if let Some(expires) = expires {
                let note = (labels::TOKEN_EXPIRES.to_owned(), expires.to_owned());
                secret.metadata.annotations = Some(BTreeMap::from([note]));
            }
            assert_eq!(is_fresh(&secret, now), expected, "{expires:?}");
        };
        check(None, true);
        check(Some("2026-06-01T12:30:00Z"), true);
        check(Some("2026-06-01T12:05:00Z"), false);
        check(Some("2026-06-01T11:00:00Z"), false);
        check(Some("soon"), false);
    }
}
