//! The reasons of the condition `Ready`, and what each means for trying again.

use crate::model::sensitive;
use crate::model::sensitive::Known;

/// Reason of the condition `Ready`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The namespace is as the repository says.
    Synced,
    FetchFailed,
    AuthenticationFailed,
    HostKeyMismatch,
    VerificationFailed,
    PathNotFound,
    InvalidConfig,
    /// Fields of objects that are to be adopted belong to others.
    Conflict,
    /// The id, or an object, belongs to somebody else.
    NotOwned,
    PruneGuard,
    EmptyGuard,
    RerunGuard,
    ApprovalRequired,
    ApplyFailed,
    Suspended,
}

/// What a reason means for trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// There is nothing to do.
    Done,
    /// It goes on when somebody says so.
    Waiting,
    /// Only an edit helps: of the commit, of the spec, of a Secret, of what stands in the way.
    Stalled,
    /// It may go better later.
    Transient,
}

impl Reason {
    #[cfg(test)]
    pub(super) const ALL: [Self; 15] = [
        Self::Synced,
        Self::FetchFailed,
        Self::AuthenticationFailed,
        Self::HostKeyMismatch,
        Self::VerificationFailed,
        Self::PathNotFound,
        Self::InvalidConfig,
        Self::Conflict,
        Self::NotOwned,
        Self::PruneGuard,
        Self::EmptyGuard,
        Self::RerunGuard,
        Self::ApprovalRequired,
        Self::ApplyFailed,
        Self::Suspended,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Synced => "Synced",
            Self::FetchFailed => "FetchFailed",
            Self::AuthenticationFailed => "AuthenticationFailed",
            Self::HostKeyMismatch => "HostKeyMismatch",
            Self::VerificationFailed => "VerificationFailed",
            Self::PathNotFound => "PathNotFound",
            Self::InvalidConfig => "InvalidConfig",
            Self::Conflict => "Conflict",
            Self::NotOwned => "NotOwned",
            Self::PruneGuard => "PruneGuard",
            Self::EmptyGuard => "EmptyGuard",
            Self::RerunGuard => "RerunGuard",
            Self::ApprovalRequired => "ApprovalRequired",
            Self::ApplyFailed => "ApplyFailed",
            Self::Suspended => "Suspended",
        }
    }

    pub(super) fn class(self) -> Class {
        match self {
            Self::Synced => Class::Done,
            Self::ApprovalRequired | Self::Suspended => Class::Waiting,
            Self::FetchFailed | Self::ApplyFailed => Class::Transient,
            Self::AuthenticationFailed
            | Self::HostKeyMismatch
            | Self::VerificationFailed
            | Self::PathNotFound
            | Self::InvalidConfig
            | Self::Conflict
            | Self::NotOwned
            | Self::PruneGuard
            | Self::EmptyGuard
            | Self::RerunGuard => Class::Stalled,
        }
    }
}

/// Something that keeps a RepoSync from being synced, in the words of its condition. Servers have their
/// say in it; anybody may read it, on the commit too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) reason: Reason,
    pub(super) message: String,
    /// Nothing but an edit helps, though other troubles of this reason may pass.
    is_final: bool,
}

impl Trouble {
    pub(super) fn new(reason: Reason, message: impl Into<String>) -> Self {
        let message = sensitive::line(&message.into(), &Known::default());
        Self {
            reason,
            message,
            is_final: false,
        }
    }

    /// The same, as something that no second try mends.
    #[must_use]
    pub(super) fn for_good(self) -> Self {
        Self {
            is_final: true,
            ..self
        }
    }

    /// What it means for trying again.
    pub(super) fn class(&self) -> Class {
        match self.reason.class() {
            Class::Transient if self.is_final => Class::Stalled,
            class => class,
        }
    }

    /// An error with its causes, and what a person can do about it.
    pub(super) fn of(reason: Reason, error: &dyn std::error::Error, hint: &str) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        if !hint.is_empty() {
            message = format!("{message}; {hint}");
        }
        Self::new(reason, message)
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

    #[test]
    fn causes_and_hints_are_one_line() {
        let cause = std::io::Error::other("refused");
        let told = Trouble::of(Reason::FetchFailed, &cause, "check the URL");
        assert_eq!(told.message, "refused; check the URL");
    }
}
