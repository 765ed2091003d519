//! What a Secret offers to get into a git repository with.

use std::collections::BTreeMap;

use crate::model::Secret;
use crate::model::secret::GITHUB_TOKEN;

/// Keys of such a Secret. Those of user name and ssh key are Kubernetes' own, of the types
/// `kubernetes.io/basic-auth` and `kubernetes.io/ssh-auth`.
const USERNAME: &str = "username";
const PASSWORD: &str = "password";
const SSH_KEY: &str = "ssh-privatekey";
const KNOWN_HOSTS: &str = "known_hosts";
const APP_ID: &str = "appID";
const INSTALLATION_ID: &str = "installationID";
const APP_KEY: &str = "privateKey";

/// Longest identifier of a GitHub App: its number, or its client ID.
const MAX_APP_ID: usize = 64;

/// Which keys of a Secret let git in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GitKeys {
    Token,
    Basic,
    Ssh,
}

impl GitKeys {
    /// Of all their names, those whose values are secret.
    pub const SECRET: [&str; 3] = [GITHUB_TOKEN, PASSWORD, SSH_KEY];

    /// Their names.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Token => &[GITHUB_TOKEN],
            Self::Basic => &[USERNAME, PASSWORD],
            Self::Ssh => &[SSH_KEY, KNOWN_HOSTS],
        }
    }

    /// The one whose value is a secret. Masked, the others would blot out ordinary text.
    pub fn secret(self) -> &'static str {
        match self {
            Self::Token => GITHUB_TOKEN,
            Self::Basic => PASSWORD,
            Self::Ssh => SSH_KEY,
        }
    }
}

/// What kind of credential a Secret holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GitForm {
    /// One that git takes as it is.
    Keys(GitKeys),
    /// A GitHub App, which is exchanged for a token.
    App,
}

impl GitForm {
    const ALL: [Self; 4] = [
        Self::Keys(GitKeys::Token),
        Self::Keys(GitKeys::Basic),
        Self::Keys(GitKeys::Ssh),
        Self::App,
    ];

    /// The one form whose keys are all there.
    pub fn of(has: impl Fn(&str) -> bool) -> Result<Self, InvalidCredentials> {
        let is_whole = |it: &Self| it.names().iter().all(|key| has(key));
        let mut whole = Self::ALL.into_iter().filter(is_whole);
        match (whole.next(), whole.next()) {
            (Some(form), None) => Ok(form),
            (Some(form), Some(other)) => Err(InvalidCredentials::Ambiguous(
                form.names()[0],
                other.names()[0],
            )),
            (None, _) => Err(incomplete(has)),
        }
    }

    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Keys(keys) => keys.names(),
            Self::App => &[APP_ID, INSTALLATION_ID, APP_KEY],
        }
    }
}

/// A credential for git repositories.
#[derive(Clone, Debug)]
pub enum GitCredentials {
    /// A token of GitHub, or of a server that takes one with the user name `x-access-token`.
    Token(Secret),
    Basic {
        username: String,
        password: Secret,
    },
    /// A private key in OpenSSH's or PEM form, and the keys that hosts must have.
    Ssh {
        key: Secret,
        known_hosts: String,
    },
    /// A GitHub App. Of itself it opens nothing: it is exchanged for a token first.
    App {
        /// Number or client ID.
        app_id: String,
        installation_id: u64,
        /// RSA, in PEM form.
        key: Secret,
    },
}

/// Why a Secret is no credential. Never holds a value of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCredentials {
    #[error(
        "it has none of these keys: \"GITHUB_TOKEN\"; \"username\" and \"password\"; \"ssh-privatekey\" and \"known_hosts\"; \"appID\", \"installationID\" and \"privateKey\""
    )]
    Nothing,
    #[error("it has the key \"{has}\" but not \"{lacks}\"")]
    Incomplete {
        has: &'static str,
        lacks: &'static str,
    },
    #[error("it holds more than one credential: by \"{0}\" and by \"{1}\"")]
    Ambiguous(&'static str, &'static str),
    #[error("its key \"{0}\" is empty")]
    Empty(&'static str),
    #[error("its key \"{key}\" is not {expected}")]
    Malformed {
        key: &'static str,
        expected: &'static str,
    },
}

impl GitCredentials {
    /// Reads the data of a Secret. Keys that belong to no credential, or to half of one beside a whole
    /// one, are somebody else's.
    pub fn from_secret(data: &BTreeMap<String, Secret>) -> Result<Self, InvalidCredentials> {
        let form = GitForm::of(|key| data.contains_key(key))?;
        let value = |key: &'static str| match data.get(key).map(|it| it.expose().trim()) {
            None | Some("") => Err(InvalidCredentials::Empty(key)),
            Some(value) => Ok(value),
        };
        match form {
            GitForm::Keys(GitKeys::Token) => Ok(Self::Token(Secret::new(value(GITHUB_TOKEN)?))),
            GitForm::Keys(GitKeys::Basic) => Ok(Self::Basic {
                username: username(value(USERNAME)?)?,
                password: Secret::new(value(PASSWORD)?),
            }),
            GitForm::Keys(GitKeys::Ssh) => Ok(Self::Ssh {
                key: pem(SSH_KEY, value(SSH_KEY)?)?,
                known_hosts: format!("{}\n", value(KNOWN_HOSTS)?),
            }),
            GitForm::App => Ok(Self::App {
                app_id: app_id(value(APP_ID)?)?,
                installation_id: number(value(INSTALLATION_ID)?)?,
                key: pem(APP_KEY, value(APP_KEY)?)?,
            }),
        }
    }
}

/// What is missing where no form is whole.
fn incomplete(has: impl Fn(&str) -> bool) -> InvalidCredentials {
    let half = GitForm::ALL.into_iter().find_map(|form| {
        let keys = form.names();
        let lacks = keys.iter().find(|key| !has(key))?;
        let has = keys.iter().find(|key| has(key))?;
        Some(InvalidCredentials::Incomplete { has, lacks })
    });
    half.unwrap_or(InvalidCredentials::Nothing)
}

/// The header that a user name goes into ends it at the first colon.
fn username(text: &str) -> Result<String, InvalidCredentials> {
    if text.contains(':') || text.chars().any(char::is_control) {
        return Err(InvalidCredentials::Malformed {
            key: USERNAME,
            expected: "a user name: it has a colon or a control character",
        });
    }
    Ok(text.to_owned())
}

/// A private key, with the end of line that ssh insists on.
fn pem(key: &'static str, text: &str) -> Result<Secret, InvalidCredentials> {
    let armoured = text.starts_with("-----BEGIN ") && text.ends_with("-----");
    if !armoured || !text.contains("PRIVATE KEY-----") {
        return Err(InvalidCredentials::Malformed {
            key,
            expected: "a private key: it should begin with \"-----BEGIN\"",
        });
    }
    Ok(Secret::new(format!("{text}\n")))
}

fn app_id(text: &str) -> Result<String, InvalidCredentials> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if text.len() > MAX_APP_ID || !text.bytes().all(plain) {
        return Err(InvalidCredentials::Malformed {
            key: APP_ID,
            expected: "the number or client ID of a GitHub App",
        });
    }
    Ok(text.to_owned())
}

fn number(text: &str) -> Result<u64, InvalidCredentials> {
    text.parse().map_err(|_| InvalidCredentials::Malformed {
        key: INSTALLATION_ID,
        expected: "a number",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str =
        "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n-----END OPENSSH PRIVATE KEY-----";

    fn read(data: &[(&str, &str)]) -> Result<GitCredentials, InvalidCredentials> {
        let data = data
            .iter()
            .map(|(key, value)| ((*key).to_owned(), Secret::new(*value)));
        GitCredentials::from_secret(&data.collect())
    }

    #[test]
    fn forms() {
        let check = |data: &[(&str, &str)], expected: &str| {
            assert_eq!(format!("{:?}", read(data).unwrap()), expected);
        };
        check(&[("GITHUB_TOKEN", "hunter2\n")], "Token((sensitive))");
        check(
            &[
                ("GITHUB_TOKEN", "hunter2"),
                ("username", "bob"),
                ("other", "x"),
            ],
            "Token((sensitive))",
        );
        check(
            &[("username", "bob"), ("password", "hunter2")],
            r#"Basic { username: "bob", password: (sensitive) }"#,
        );
        check(
            &[
                ("ssh-privatekey", PEM),
                ("known_hosts", "host ssh-ed25519 AAAA"),
            ],
            r#"Ssh { key: (sensitive), known_hosts: "host ssh-ed25519 AAAA\n" }"#,
        );
        check(
            &[
                ("appID", "12"),
                ("installationID", "34"),
                ("privateKey", PEM),
            ],
            r#"App { app_id: "12", installation_id: 34, key: (sensitive) }"#,
        );
    }

    #[test]
    fn values_lose_the_white_space_around_them() {
        let Ok(GitCredentials::Token(token)) = read(&[("GITHUB_TOKEN", " abc\n")]) else {
            panic!("not a token");
        };
        assert_eq!(token.expose(), "abc");
    }

    #[test]
    fn refused_without_a_value_in_the_message() {
        let check = |data: &[(&str, &str)], expected: &str| {
            let error = read(data).unwrap_err();
            assert_eq!(error.to_string(), expected);
            assert!(!format!("{error:?}").contains("hunter2"));
        };
        check(
            &[("GITHUB_TOKEN", " ")],
            "its key \"GITHUB_TOKEN\" is empty",
        );
        check(
            &[("password", "hunter2")],
            "it has the key \"password\" but not \"username\"",
        );
        check(
            &[("ssh-privatekey", PEM)],
            "it has the key \"ssh-privatekey\" but not \"known_hosts\"",
        );
        check(
            &[
                ("GITHUB_TOKEN", "hunter2"),
                ("username", "a"),
                ("password", "hunter2"),
            ],
            "it holds more than one credential: by \"GITHUB_TOKEN\" and by \"username\"",
        );
        check(
            &[("ssh-privatekey", "hunter2"), ("known_hosts", "x")],
            "its key \"ssh-privatekey\" is not a private key: it should begin with \"-----BEGIN\"",
        );
        check(
            &[
                ("appID", "1"),
                ("installationID", "hunter2"),
                ("privateKey", PEM),
            ],
            "its key \"installationID\" is not a number",
        );
        check(
            &[("username", "hunter2:x"), ("password", "x")],
            "its key \"username\" is not a user name: it has a colon or a control character",
        );
        assert_eq!(
            read(&[("x", "y")]).unwrap_err(),
            InvalidCredentials::Nothing
        );
    }
}
