//! What a Task needs of its Workspace's Secret before it can start.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::Client;
use kube::ResourceExt as _;

use super::token;
use crate::api::Workspace;
use crate::controller::clock;
use crate::model::GitForm;
use crate::model::GitKeys;
use crate::model::InvalidCredentials;
use crate::model::ObjectName;
use crate::model::RepoUrl;
use crate::model::repo_url::Scheme;
use crate::model::secret::GITHUB_TOKEN;

/// A key that a Task needs of a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::controller) struct GitKey {
    pub(in crate::controller) secret: String,
    pub(in crate::controller) key: &'static str,
    /// The keys that the Secret has; nothing if there is no such Secret, or not yet.
    pub(in crate::controller) keys: Option<BTreeSet<String>>,
}

/// The keys that git needs to get into the Workspace's repository, and those that are there.
pub(in crate::controller) async fn git_keys(
    client: &Client,
    workspace: &Workspace,
) -> Result<Vec<GitKey>, kube::Error> {
    let Some(reference) = &workspace.spec.secret_ref else {
        return Ok(Vec::new());
    };
    let namespace = workspace.namespace().unwrap_or_default();
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    let Some(found) = get(&secrets, &reference.name).await? else {
        return Ok(vec![key(&reference.name, GITHUB_TOKEN, None)]);
    };
    let keys = names(&found);
    let way = RepoUrl::parse(&workspace.spec.repo).map_or(Way::Token, |url| Way::to(&url));
    match form(&keys, way) {
        Ok(GitForm::Keys(form)) => {
            // A token beside ssh keys is the agent's, for the API.
            let token = keys.contains(GITHUB_TOKEN) && form != GitKeys::Token;
            let names = form.names().iter().copied();
            Ok(names
                .chain(token.then_some(GITHUB_TOKEN))
                .map(|name| key(&reference.name, name, Some(&keys)))
                .collect())
        }
        Ok(GitForm::App) => {
            let name = token::secret_name(&workspace.name_any());
            let minted = get(&secrets, &name).await?;
            // Somebody else's is not used; one that is about to expire is waited for.
            let minted = minted
                .filter(|it| token::is_of(it, workspace) && token::is_fresh(it, clock::now()));
            let minted = minted.map(|it| names(&it));
            Ok(vec![key(&name, GITHUB_TOKEN, minted.as_ref())])
        }
        Err(InvalidCredentials::Incomplete { lacks, .. }) => {
            Ok(vec![key(&reference.name, lacks, Some(&keys))])
        }
        Err(_) => Ok(vec![key(&reference.name, GITHUB_TOKEN, Some(&keys))]),
    }
}

/// Which Secret lets git in, and by which of its keys, given the keys that were needed.
pub(in crate::controller) fn git_secret(
    workspace: &Workspace,
    wanted: &[(&str, &str)],
) -> Option<(String, GitKeys)> {
    let own = &workspace.spec.secret_ref.as_ref()?.name;
    let minted = token::secret_name(&workspace.name_any());
    [GitKeys::Basic, GitKeys::Ssh, GitKeys::Token]
        .into_iter()
        .flat_map(|kind| [(own, kind), (&minted, kind)])
        .find(|(secret, kind)| {
            let is_wanted = |name: &&str| wanted.contains(&(secret.as_str(), *name));
            kind.names().iter().all(is_wanted)
        })
        .map(|(secret, kind)| (secret.clone(), kind))
}

/// Which of several credentials in one Secret is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Over HTTP, where a token wins, as ever.
    Token,
    /// Over ssh, which takes no token.
    Ssh,
}

impl Way {
    /// The way to the repository at `url`.
    pub(super) fn to(url: &RepoUrl) -> Self {
        match url.scheme() {
            Scheme::Ssh | Scheme::Scp => Self::Ssh,
            Scheme::Https | Scheme::Http | Scheme::Git | Scheme::File => Self::Token,
        }
    }

    /// The keys that are used whatever else there is, if they are there.
    pub(super) fn preferred(self, has: impl Fn(&str) -> bool) -> Option<GitKeys> {
        let ways = match self {
            Self::Token => &[GitKeys::Token][..],
            Self::Ssh => &[GitKeys::Ssh, GitKeys::Token],
        };
        let is_whole = |it: &GitKeys| it.names().iter().all(|key| has(key));
        ways.iter().copied().find(is_whole)
    }
}

/// The form of the credential that Tasks use.
fn form(keys: &BTreeSet<String>, way: Way) -> Result<GitForm, InvalidCredentials> {
    match way.preferred(|key| keys.contains(key)) {
        Some(preferred) => Ok(GitForm::Keys(preferred)),
        None => GitForm::of(|key| keys.contains(key)),
    }
}

fn names(secret: &Secret) -> BTreeSet<String> {
    secret
        .data
        .iter()
        .flat_map(|it| it.keys().cloned())
        .collect()
}

fn key(secret: &str, key: &'static str, keys: Option<&BTreeSet<String>>) -> GitKey {
    GitKey {
        secret: secret.to_owned(),
        key,
        keys: keys.cloned(),
    }
}

/// A Secret by name. A name that cannot be asked for is a name of nothing.
async fn get(secrets: &Api<Secret>, name: &str) -> Result<Option<Secret>, kube::Error> {
    if ObjectName::parse(name).is_err() {
        return Ok(None);
    }
    secrets.get_opt(name).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(wanted: &[(&str, &str)], expected: Option<(&str, GitKeys)>) {
        let workspace: Workspace = serde_json::from_value(json!({
            "apiVersion": "axon.io/v1alpha1",
            "kind": "Workspace",
            "metadata": {"name": "web"},
            "spec": {"repo": "https://h/a", "secretRef": {"name": "git"}},
        }))
        .unwrap();
        let found = git_secret(&workspace, wanted);
        let found = found
            .as_ref()
            .map(|(secret, kind)| (secret.as_str(), *kind));
        assert_eq!(found, expected, "{wanted:?}");
    }

    #[test]
    fn which_secret_lets_git_in() {
        check(&[], None);
        check(&[("git", "GITHUB_TOKEN")], Some(("git", GitKeys::Token)));
        check(
            &[("agent", "x"), ("git", "username"), ("git", "password")],
            Some(("git", GitKeys::Basic)),
        );
        check(
            &[("git", "ssh-privatekey"), ("git", "known_hosts")],
            Some(("git", GitKeys::Ssh)),
        );
        check(
            &[("web-axon-token", "GITHUB_TOKEN")],
            Some(("web-axon-token", GitKeys::Token)),
        );
        check(&[("other", "GITHUB_TOKEN")], None);
        check(&[("git", "username")], None);
    }

    #[test]
    fn a_token_wins_over_http_and_a_key_over_ssh() {
        let form = |keys: &[&str], way| form(&keys.iter().map(ToString::to_string).collect(), way);
        let token = Ok(GitForm::Keys(GitKeys::Token));
        let basic = ["GITHUB_TOKEN", "username", "password"];
        assert_eq!(form(&basic, Way::Token), token);
        assert_eq!(
            form(&["appID", "installationID", "privateKey"], Way::Token),
            Ok(GitForm::App)
        );
        assert!(form(&["username"], Way::Token).is_err());
        let key = ["GITHUB_TOKEN", "ssh-privatekey", "known_hosts"];
        assert_eq!(form(&key, Way::Token), token);
        assert_eq!(form(&key, Way::Ssh), Ok(GitForm::Keys(GitKeys::Ssh)));
        // Half a key is no way in.
        assert_eq!(form(&key[..2], Way::Ssh), token);
    }
}
