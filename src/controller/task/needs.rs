//! What must be there before a Task can start: its Workspace, and keys in Secrets.

use std::collections::BTreeSet;

use super::branch;
use super::build;
use super::dependencies;
use super::named;
use super::reason::Waiting;
use crate::api::Task;
use crate::api::Workspace;
use crate::api::task::AgentType;
use crate::api::task::CredentialType;
use crate::api::task::Credentials;
use crate::api::workspace::GitIdentity;
use crate::api::workspace::WorkspaceSpec;
use crate::controller::workspace;
use crate::controller::workspace::GitKey;
use crate::model::GitKeys;
use crate::model::repo_url::RepoUrl;
use crate::model::secret::GITHUB_TOKEN;

/// Commits of history that agents see unless the Workspace says otherwise: most need no more.
pub(super) const DEFAULT_DEPTH: u32 = 1;
/// Names that a message lists at most.
const MAX_LISTED: usize = 10;

/// What was found of what a Task needs.
#[derive(Clone, Debug)]
pub(super) struct Needs {
    pub(super) dependencies: Vec<dependencies::Found>,
    /// The way from the Task over its dependencies back to itself.
    pub(super) cycle: Option<Vec<String>>,
    pub(super) workspace: FoundWorkspace,
    pub(super) secrets: Vec<FoundSecret>,
    /// What `podOverrides` names.
    pub(super) named: named::Found,
    /// The branch, if it asks for one that is shared.
    pub(super) branch: Option<branch::Found>,
}

#[derive(Clone, Debug)]
pub(super) enum FoundWorkspace {
    NotAsked,
    Missing {
        others: Vec<String>,
    },
    /// It is there and not as the schema says; this is why.
    Unreadable(String),
    Found(Box<Workspace>),
}

/// A key that must be in a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) secret: String,
    pub(super) key: &'static str,
}

/// A Secret that was asked for.
#[derive(Clone, Debug)]
pub(super) struct FoundSecret {
    pub(super) wanted: Key,
    pub(super) state: SecretState,
}

/// What of a Secret was seen; its values are never kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SecretState {
    Missing,
    /// The controller may not read it.
    Forbidden,
    /// It is there, with keys of these names.
    Keys(BTreeSet<String>),
}

impl From<Option<BTreeSet<String>>> for SecretState {
    fn from(keys: Option<BTreeSet<String>>) -> Self {
        keys.map_or(Self::Missing, Self::Keys)
    }
}

/// A Workspace that agents can work in.
#[derive(Clone, Debug)]
pub(super) struct Checkout {
    pub(super) url: RepoUrl,
    pub(super) reference: Option<String>,
    /// Commits of history; 0: all.
    pub(super) depth: u32,
    pub(super) submodules: bool,
    /// Whom the agent commits as.
    pub(super) identity: Option<GitIdentity>,
    pub(super) credentials: Option<GitSecret>,
}

/// A Secret that lets git in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GitSecret {
    pub(super) secret: String,
    /// Which of its keys do.
    pub(super) kind: GitKeys,
    /// Whether it has a token, for git or only for an API.
    pub(super) token: bool,
}

/// The environment variable, and the Secret's key of the same name, that an agent signs in with.
pub(super) fn credential_variable(agent: AgentType, kind: CredentialType) -> &'static str {
    match agent {
        AgentType::ClaudeCode => match kind {
            CredentialType::Oauth => "CLAUDE_CODE_OAUTH_TOKEN",
            CredentialType::ApiKey | CredentialType::None => "ANTHROPIC_API_KEY",
        },
        AgentType::Codex => "CODEX_API_KEY",
        AgentType::Gemini => "GEMINI_API_KEY",
        AgentType::OpenCode => "OPENCODE_API_KEY",
        AgentType::Cursor => "CURSOR_API_KEY",
        // An agent of the user's own: no vendor's name fits.
        AgentType::Custom => "AXON_API_KEY",
    }
}

/// The key that holds the agent's credential; none if it needs no credential.
pub(super) fn credential(agent: AgentType, credentials: &Credentials) -> Option<Key> {
    match credentials.kind {
        CredentialType::None => None,
        CredentialType::ApiKey | CredentialType::Oauth => Some(Key {
            secret: credentials.secret_ref.as_ref()?.name.clone(),
            key: credential_variable(agent, credentials.kind),
        }),
    }
}

/// What of a Workspace's Secret was found.
pub(super) fn of_workspace(found: GitKey) -> FoundSecret {
    let GitKey { secret, key, keys } = found;
    FoundSecret {
        wanted: Key { secret, key },
        state: keys.into(),
    }
}

/// A Secret of a Workspace that may not be read: it is not known which key is wanted of it.
pub(super) fn forbidden_to_git(secret: String) -> FoundSecret {
    FoundSecret {
        wanted: Key {
            secret,
            key: GITHUB_TOKEN,
        },
        state: SecretState::Forbidden,
    }
}

/// The Secret that lets git into the Workspace's repository, and which of its keys do.
fn git_secret(workspace: &Workspace, secrets: &[FoundSecret]) -> Option<GitSecret> {
    let wanted = secrets.iter().map(|it| &it.wanted);
    let wanted: Vec<(&str, &str)> = wanted.map(|it| (it.secret.as_str(), it.key)).collect();
    let (secret, kind) = workspace::git_secret(workspace, &wanted)?;
    let token = wanted.contains(&(secret.as_str(), GITHUB_TOKEN));
    Some(GitSecret {
        secret,
        kind,
        token,
    })
}

/// The checkout that the Task asks for, or what it has to wait for.
pub(super) fn check(
    task: &Task,
    needs: &Needs,
    allow_file_urls: bool,
) -> Result<Option<Checkout>, (Waiting, String)> {
    let namespace = task.metadata.namespace.as_deref().unwrap_or_default();
    let workspace = task.spec.workspace_ref.as_ref().map(|it| it.name.as_str());
    let checkout = match &needs.workspace {
        FoundWorkspace::NotAsked => None,
        FoundWorkspace::Missing { others } => {
            let name = workspace.unwrap_or_default();
            let hint = listed("Workspaces there", others);
            let message =
                format!("Workspace \"{name}\" is not in namespace \"{namespace}\"; {hint}");
            return Err((Waiting::WorkspaceNotFound, message));
        }
        FoundWorkspace::Unreadable(why) => {
            let name = workspace.unwrap_or_default();
            return Err(unusable(name, why));
        }
        FoundWorkspace::Found(workspace) => {
            Some(checkout(workspace, &needs.secrets, allow_file_urls)?)
        }
    };
    for secret in &needs.secrets {
        secret.check(namespace)?;
    }
    if let Some(overrides) = &task.spec.pod_overrides {
        let wanted = named::of(overrides, &build::ignored(task, checkout.as_ref()));
        named::check(&wanted, &needs.named, namespace)?;
    }
    Ok(checkout)
}

impl FoundSecret {
    /// Whether the key is there that is wanted.
    fn check(&self, namespace: &str) -> Result<(), (Waiting, String)> {
        let Key { secret, key } = &self.wanted;
        match &self.state {
            SecretState::Missing => {
                let message = format!(
                    "Secret \"{secret}\" is not in namespace \"{namespace}\"; it must have the key \"{key}\""
                );
                Err((Waiting::SecretNotFound, message))
            }
            SecretState::Forbidden => {
                let message = format!(
                    "the controller may not read Secret \"{secret}\" in namespace \"{namespace}\"; let a Role grant it \"get\""
                );
                Err((Waiting::SecretForbidden, message))
            }
            SecretState::Keys(keys) if keys.contains(*key) => Ok(()),
            SecretState::Keys(keys) => {
                let keys: Vec<String> = keys.iter().cloned().collect();
                let hint = listed("its keys", &keys);
                let message = format!("Secret \"{secret}\" has no key \"{key}\"; {hint}");
                Err((Waiting::SecretKeyMissing, message))
            }
        }
    }
}

fn unusable(workspace: &str, why: &str) -> (Waiting, String) {
    let message = format!("Workspace \"{workspace}\" cannot be used: {why}");
    (Waiting::WorkspaceInvalid, message)
}

fn checkout(
    workspace: &Workspace,
    secrets: &[FoundSecret],
    allow_file_urls: bool,
) -> Result<Checkout, (Waiting, String)> {
    let name = workspace.metadata.name.as_deref().unwrap_or_default();
    let invalid = |why: &str| unusable(name, why);
    let url = RepoUrl::parse(&workspace.spec.repo).map_err(|error| invalid(&error.to_string()))?;
    if url.is_file() && !allow_file_urls {
        return Err(invalid(
            "this controller does not allow file:// repositories",
        ));
    }
    let reference = workspace.spec.reference.clone().filter(|it| !it.is_empty());
    if reference
        .as_deref()
        .is_some_and(|it| it.contains('\0') || it.starts_with('-'))
    {
        return Err(invalid("\"ref\" must be a branch, a tag or a commit"));
    }
    let WorkspaceSpec {
        repo: _,
        reference: _,
        secret_ref: _,
        depth,
        submodules,
        git_identity,
    } = &workspace.spec;
    Ok(Checkout {
        url,
        reference,
        // The schema refuses what is below 0.
        depth: depth.map_or(DEFAULT_DEPTH, i32::unsigned_abs),
        submodules: *submodules,
        identity: git_identity.clone(),
        credentials: git_secret(workspace, secrets),
    })
}

/// `what: "a", "b"`, or that there is none.
pub(super) fn listed(what: &str, names: &[String]) -> String {
    if names.is_empty() {
        return format!("{what}: none");
    }
    let shown: Vec<String> = names
        .iter()
        .take(MAX_LISTED)
        .map(|it| format!("\"{it}\""))
        .collect();
    let more = if names.len() > MAX_LISTED {
        ", …"
    } else {
        ""
    };
    format!("{what}: {}{more}", shown.join(", "))
}
