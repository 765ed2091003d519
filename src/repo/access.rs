//! How to get into a repository, and how long it may take.

use std::time::Duration;

use axon_helper::credential::TOKEN_USER;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Error;
use crate::model::GitCredentials;
use crate::model::RepoUrl;
use crate::model::Secret;
use crate::model::repo_url::Scheme;

/// Longest silence of a server.
const SILENCE: Duration = Duration::from_secs(30);
/// Longest time that one fetch may take, however lively the server is.
const DEADLINE: Duration = Duration::from_mins(5);
/// Most bytes of one fetch: the newest commit of a large monorepo.
const MAX_BYTES: u64 = 2 << 30;
/// Largest object that is taken: each is held in memory once, while its pack is indexed.
pub(super) const MAX_OBJECT: u64 = 128 << 20;

/// What is needed to read a repository.
#[derive(Clone, Debug)]
pub struct Access {
    pub credentials: Option<Credentials>,
    /// Longest silence of the server.
    pub silence: Duration,
    /// Longest time for one operation.
    pub deadline: Duration,
    /// Most bytes of one fetch.
    pub max_bytes: u64,
    /// Most bytes of one object, as the settings of the repository that is fetched into have it.
    pub max_object: u64,
    /// Whether addresses of this machine and its link are connected to.
    pub local_addresses: bool,
    /// Whether a server may send us to another host.
    pub other_hosts: bool,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            credentials: None,
            silence: SILENCE,
            deadline: DEADLINE,
            max_bytes: MAX_BYTES,
            max_object: MAX_OBJECT,
            local_addresses: true,
            other_hosts: true,
        }
    }
}

/// What a server is shown. Only over https or ssh, or to this very machine.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// Sent with the user name `x-access-token`.
    Token(Secret),
    Basic {
        username: String,
        password: Secret,
    },
    Ssh {
        key: Secret,
        /// The keys that hosts must have, in OpenSSH's form.
        known_hosts: String,
    },
}

impl Credentials {
    /// The same credential, unless it is a GitHub App: that is exchanged for a token first.
    pub fn of(credentials: &GitCredentials) -> Option<Self> {
        match credentials {
            GitCredentials::Token(token) => Some(Self::Token(token.clone())),
            GitCredentials::Basic { username, password } => Some(Self::Basic {
                username: username.clone(),
                password: password.clone(),
            }),
            GitCredentials::Ssh { key, known_hosts } => Some(Self::Ssh {
                key: key.clone(),
                known_hosts: known_hosts.clone(),
            }),
            GitCredentials::App { .. } => None,
        }
    }

    /// The value of the `Authorization` header; nothing for ssh, which has none.
    pub(super) fn authorization(&self) -> Option<Secret> {
        let pair = match self {
            Self::Token(token) => format!("{TOKEN_USER}:{}", token.expose()),
            Self::Basic { username, password } => format!("{username}:{}", password.expose()),
            Self::Ssh { .. } => return None,
        };
        Some(Secret::new(format!("Basic {}", STANDARD.encode(pair))))
    }
}

impl Access {
    /// Refuses a credential that the server cannot take, or that others could read on its way.
    pub(super) fn check(&self, url: &RepoUrl) -> Result<(), Error> {
        let refused = |why| {
            Err(Error::UnfitCredential {
                url: url.to_string(),
                why,
            })
        };
        match (url.scheme(), &self.credentials) {
            (Scheme::Ssh | Scheme::Scp, Some(Credentials::Ssh { .. }))
            | (Scheme::Https, Some(Credentials::Token(_) | Credentials::Basic { .. }) | None)
            // What is on this machine needs none; that of a workspace may be for elsewhere.
            | (Scheme::File, _)
            | (Scheme::Http | Scheme::Git, None) => Ok(()),
            (Scheme::Http, Some(Credentials::Token(_) | Credentials::Basic { .. })) => {
                if url.is_loopback() {
                    Ok(())
                } else {
                    refused("a token or password is sent only over https")
                }
            }
            (Scheme::Ssh | Scheme::Scp, _) => {
                refused("a repository by ssh needs a private key and known hosts")
            }
            (Scheme::Https | Scheme::Http, Some(Credentials::Ssh { .. })) => {
                refused("a private key is for ssh, not for http")
            }
            (Scheme::Git, Some(_)) => refused("\"git://\" takes no credential"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_goes_only_where_it_belongs() {
        let token = || Credentials::Token(Secret::new("hunter2"));
        let basic = || Credentials::Basic {
            username: "bob".into(),
            password: Secret::new("hunter2"),
        };
        let ssh = || Credentials::Ssh {
            key: Secret::new("hunter2"),
            known_hosts: String::new(),
        };
        let check = |url: &str, credentials: Option<Credentials>, good: bool| {
            let access = Access {
                credentials,
                ..Access::default()
            };
            let result = access.check(&RepoUrl::parse(url).unwrap());
            assert_eq!(result.is_ok(), good, "{url}: {result:?}");
            assert!(!format!("{access:?}{result:?}").contains("hunter2"));
        };
        check("https://host/a", Some(token()), true);
        check("https://host/a", Some(basic()), true);
        check("https://host/a", Some(ssh()), false);
        check("http://host/a", Some(token()), false);
        check("http://host/a", Some(basic()), false);
        check("http://host/a", None, true);
        check("http://127.0.0.1/a", Some(token()), true);
        check("git://host/a", None, true);
        check("git://host/a", Some(token()), false);
        check("git@host:a", Some(ssh()), true);
        check("git@host:a", Some(token()), false);
        check("ssh://host/a", None, false);
        check("file:///a", Some(token()), true);
    }
}
