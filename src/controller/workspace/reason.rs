//! The reasons of the condition `Ready`, and the words that go with them.

use super::credentials;
use super::token;
use crate::controller::secrets::Unread;
use crate::repo;
use crate::repo::Cause;

/// Reason of the condition `Ready`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The repository can be read.
    Reachable,
    InvalidURL,
    InvalidRef,
    SecretNotFound,
    /// The Secret is there, and is no credential.
    SecretKeyMissing,
    /// The controller may not read the Secret.
    SecretForbidden,
    AuthenticationFailed,
    HostKeyMismatch,
    RefNotFound,
    AddressRefused,
    Unreachable,
    /// A Secret of the name for the token is somebody else's.
    NameTaken,
    /// The token of a GitHub App cannot be kept.
    TokenNotKept,
}

impl Reason {
    #[cfg(test)]
    pub(super) const ALL: [Self; 13] = [
        Self::Reachable,
        Self::InvalidURL,
        Self::InvalidRef,
        Self::SecretNotFound,
        Self::SecretKeyMissing,
        Self::SecretForbidden,
        Self::AuthenticationFailed,
        Self::HostKeyMismatch,
        Self::RefNotFound,
        Self::AddressRefused,
        Self::Unreachable,
        Self::NameTaken,
        Self::TokenNotKept,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Reachable => "Reachable",
            Self::InvalidURL => "InvalidURL",
            Self::InvalidRef => "InvalidRef",
            Self::SecretNotFound => "SecretNotFound",
            Self::SecretKeyMissing => "SecretKeyMissing",
            Self::SecretForbidden => "SecretForbidden",
            Self::AuthenticationFailed => "AuthenticationFailed",
            Self::HostKeyMismatch => "HostKeyMismatch",
            Self::RefNotFound => "RefNotFound",
            Self::AddressRefused => "AddressRefused",
            Self::Unreachable => "Unreachable",
            Self::NameTaken => "NameTaken",
            Self::TokenNotKept => "TokenNotKept",
        }
    }

    /// Whether it may go better though nobody edits the Workspace.
    pub(super) fn may_pass(self) -> bool {
        match self {
            Self::Reachable | Self::InvalidURL | Self::InvalidRef => false,
            Self::SecretNotFound
            | Self::SecretKeyMissing
            | Self::SecretForbidden
            | Self::AuthenticationFailed
            | Self::HostKeyMismatch
            | Self::RefNotFound
            | Self::AddressRefused
            | Self::Unreachable
            | Self::NameTaken
            | Self::TokenNotKept => true,
        }
    }
}

/// What keeps a repository from being reached, in the words of the condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) reason: Reason,
    pub(super) message: String,
}

impl Trouble {
    pub(super) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }

    /// An error with its causes, and what a person can do about it. What a server answered is left
    /// out: whoever may edit a Workspace must not read with it what only the controller reaches.
    pub(super) fn of(reason: Reason, error: &dyn std::error::Error, hint: &str) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            if cause.downcast_ref().is_some_and(Cause::is_quoted) {
                message.push_str(": it does not answer as a git server does");
                break;
            }
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        if !hint.is_empty() {
            message = format!("{message}; {hint}");
        }
        Self { reason, message }
    }

    /// What it means that there is no credential.
    pub(super) fn of_credentials(error: &credentials::Error) -> Self {
        use credentials::Error as E;
        let (reason, hint) = match error {
            E::Secret(Unread::Missing { .. }) => (Reason::SecretNotFound, "create it"),
            E::Secret(Unread::Forbidden { .. }) => {
                (Reason::SecretForbidden, "let a Role grant it \"get\"")
            }
            E::Secret(Unread::Failed { .. }) => (Reason::Unreachable, ""),
            E::Unfit { .. } | E::NoToken(_) => (Reason::SecretKeyMissing, ""),
            E::Token(token::Error::NameTaken(_)) => (Reason::NameTaken, ""),
            E::Token(token::Error::NotKept { .. }) => (Reason::TokenNotKept, ""),
            E::Token(token::Error::NotMade(error)) if error.may_pass() => (Reason::Unreachable, ""),
            E::Token(token::Error::NotMade(_)) => (Reason::AuthenticationFailed, ""),
        };
        Self::of(reason, error, hint)
    }

    /// What an error of the repository means. `secret` is the name of the Workspace's Secret.
    pub(super) fn of_repo(error: &repo::Error, secret: Option<&str>) -> Self {
        use repo::Error as E;
        let check = match secret {
            Some(secret) => format!("check Secret \"{secret}\""),
            None => "name a Secret in \"spec.secretRef\"".to_owned(),
        };
        let (reason, hint) = match error {
            E::Unauthorised { .. } | E::UnfitCredential { .. } => {
                (Reason::AuthenticationFailed, check)
            }
            // No credential opens what is on this machine.
            E::NoRepository { url } if url.starts_with("file:") => {
                (Reason::Unreachable, "check \"spec.repo\"".to_owned())
            }
            E::NoRepository { .. } => (
                Reason::AuthenticationFailed,
                format!("check \"spec.repo\", or {check}"),
            ),
            E::HostKey { .. } => (
                Reason::HostKeyMismatch,
                format!("{check}: its key \"known_hosts\" must hold the host's key"),
            ),
            E::NoReference { .. } | E::Empty { .. } => {
                (Reason::RefNotFound, "check \"spec.ref\"".to_owned())
            }
            E::LocalAddress { .. } => (Reason::AddressRefused, "check \"spec.repo\"".to_owned()),
            E::Unreachable { .. }
            | E::TimedOut { .. }
            | E::Excess { .. }
            | E::Store { .. }
            | E::Damaged { .. }
            | E::Directory { .. }
            | E::NoPath { .. }
            | E::RefusedPath { .. }
            | E::TooLarge { .. }
            | E::TooMuch { .. }
            | E::InvalidPattern { .. }
            | E::Unverified { .. }
            | E::Interrupted { .. } => (Reason::Unreachable, String::new()),
        };
        Self::of(reason, error, &hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The schema of conditions asks for a word.
    #[test]
    fn reasons_are_words() {
        for reason in Reason::ALL {
            let word = reason.as_str();
            assert!(word.chars().all(char::is_alphanumeric), "{word}");
            assert_eq!(format!("{reason:?}"), word);
        }
    }
}
