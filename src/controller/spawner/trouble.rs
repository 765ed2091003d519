//! What keeps a spawner, or one of its items, from working: the one place that says how each is
//! called, what it means for the phase, and when it is worth looking again.

use std::time::Duration;

use jiff::Timestamp;

use crate::controller::secrets::Unread;
use crate::controller::workspace::NoCredentials;
use crate::controller::workspace::NoToken;
use crate::github;
use crate::model::Problem;
use crate::model::item::ItemKey;

/// How soon something that only a person can put right is looked at again: nothing tells us when
/// a Secret appears.
const RECHECK: Duration = Duration::from_secs(30);

/// Something that is wrong, in the words of its condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    #[error("the spec is not valid: {}", listed(.0))]
    InvalidSpec(Vec<Problem>),
    #[error("the schedule is not valid: {}", listed(.0))]
    InvalidSchedule(Vec<Problem>),
    #[error("\"spec.taskTemplate.{field}\" is not a valid template: {message}")]
    InvalidTemplate {
        field: &'static str,
        message: String,
    },
    #[error(
        "Workspace \"{0}\" is not in this namespace; create it, or change \"spec.taskTemplate.workspaceRef\""
    )]
    WorkspaceNotFound(String),
    #[error("repository \"{0}\" of the Workspace is not one on a GitHub")]
    NotGitHub(String),
    #[error("Secret \"{0}\" is not in this namespace; create it with a key \"GITHUB_TOKEN\"")]
    SecretNotFound(String),
    #[error("{0}")]
    SecretKeyMissing(String),
    #[error("{0}; let a Role grant it \"get\"")]
    SecretForbidden(String),
    #[error("{why}{}", github_said(why))]
    Token { why: NoToken },
    #[error("cannot read issues of \"{repo}\": {error}{}", hint(error))]
    GitHub { repo: String, error: github::Error },
    #[error("\"spec.suspend\" is set: no work is looked for")]
    Suspended,
    #[error("all {0} Tasks of \"spec.maxTotalTasks\" were made: raise it for more")]
    TotalReached(usize),
    #[error("more items match than one poll reads; the newest wait until earlier ones are done")]
    TooManyItems,
    #[error("{0} items could not be read and were left out")]
    UnreadableItems(usize),
    #[error(
        "item \"{item}\" cannot start: Task \"{task}\" exists and is not of this spawner; rename or delete it"
    )]
    NameTaken { item: ItemKey, task: String },
    #[error("item \"{item}\" cannot start: {message}")]
    Item { item: ItemKey, message: String },
    #[error("the API server did not take a Task: {0}")]
    ApiServer(String),
}

/// Why a step could not be done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stop {
    /// Something to put into the condition.
    #[error(transparent)]
    Trouble(#[from] Trouble),
    /// The API server did not answer as it should: nothing can be written there either.
    #[error(transparent)]
    Cluster(#[from] kube::Error),
}

impl From<NoCredentials> for Stop {
    fn from(error: NoCredentials) -> Self {
        let told = error.to_string();
        Self::Trouble(match error {
            NoCredentials::Secret(Unread::Missing { name }) => Trouble::SecretNotFound(name),
            NoCredentials::Secret(Unread::Forbidden { .. }) => Trouble::SecretForbidden(told),
            NoCredentials::Secret(Unread::Failed { source, .. }) => return Self::Cluster(source),
            NoCredentials::Unfit { .. } | NoCredentials::NoToken(_) => {
                Trouble::SecretKeyMissing(told)
            }
            NoCredentials::Token(why) => Trouble::Token { why },
        })
    }
}

/// Reason of the condition `Ready`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// All is well.
    Working,
    InvalidSpec,
    InvalidSchedule,
    InvalidTemplate,
    Suspended,
    TotalReached,
    WorkspaceNotFound,
    NotGitHub,
    SecretNotFound,
    SecretKeyMissing,
    SecretForbidden,
    /// The token of a GitHub App cannot be kept.
    TokenNotKept,
    GitHubUnauthorized,
    GitHubForbidden,
    GitHubNotFound,
    GitHubLimited,
    GitHubUnavailable,
    GitHubUnexpected,
    TooManyItems,
    UnreadableItems,
    NameTaken,
    ItemFailed,
    ApiServer,
}

/// Whom a trouble stops, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// The spawner, until someone changes something.
    Stalled,
    /// The spawner, until it passes.
    Passing,
    /// Some items. The others go on.
    Partial,
    /// The spawner, because somebody wants it so.
    Wanted,
}

impl Trouble {
    pub(super) fn reason(&self) -> Reason {
        match self {
            Self::InvalidSpec(_) => Reason::InvalidSpec,
            Self::InvalidSchedule(_) => Reason::InvalidSchedule,
            Self::InvalidTemplate { .. } => Reason::InvalidTemplate,
            Self::Suspended => Reason::Suspended,
            Self::TotalReached(_) => Reason::TotalReached,
            Self::WorkspaceNotFound(_) => Reason::WorkspaceNotFound,
            Self::NotGitHub(_) => Reason::NotGitHub,
            Self::SecretNotFound(_) => Reason::SecretNotFound,
            Self::SecretKeyMissing(_) => Reason::SecretKeyMissing,
            Self::SecretForbidden(_) => Reason::SecretForbidden,
            Self::Token { why } => token_reason(why),
            Self::GitHub { error, .. } => github_reason(error),
            Self::TooManyItems => Reason::TooManyItems,
            Self::UnreadableItems(_) => Reason::UnreadableItems,
            Self::NameTaken { .. } => Reason::NameTaken,
            Self::Item { .. } => Reason::ItemFailed,
            Self::ApiServer(_) => Reason::ApiServer,
        }
    }

    pub(super) fn effect(&self) -> Effect {
        match self.reason() {
            Reason::InvalidSpec
            | Reason::InvalidSchedule
            | Reason::InvalidTemplate
            | Reason::WorkspaceNotFound
            | Reason::NotGitHub
            | Reason::SecretNotFound
            | Reason::SecretKeyMissing
            | Reason::SecretForbidden
            | Reason::TokenNotKept
            | Reason::GitHubUnauthorized
            | Reason::GitHubForbidden
            | Reason::GitHubNotFound
            | Reason::GitHubUnexpected => Effect::Stalled,
            Reason::GitHubLimited | Reason::GitHubUnavailable | Reason::ApiServer => {
                Effect::Passing
            }
            Reason::Suspended | Reason::TotalReached => Effect::Wanted,
            Reason::Working
            | Reason::TooManyItems
            | Reason::UnreadableItems
            | Reason::NameTaken
            | Reason::ItemFailed => Effect::Partial,
        }
    }

    /// How long to leave the source alone, given its usual interval and how often in a row it has
    /// failed.
    pub(super) fn wait(&self, poll: Duration, failures: u32, now: Timestamp) -> Duration {
        if let Self::GitHub {
            error: github::Error::RateLimited { until },
            ..
        } = self
        {
            return until.duration_since(now).try_into().unwrap_or(poll);
        }
        match self.effect() {
            Effect::Partial | Effect::Wanted => poll,
            // A refusal of GitHub's counts against the budget of whoever is asking.
            Effect::Stalled if matches!(self, Self::GitHub { .. }) => poll,
            Effect::Stalled => RECHECK.min(poll),
            Effect::Passing => backoff(failures).min(poll),
        }
    }
}

impl Reason {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Working => "Working",
            Self::InvalidSpec => "InvalidSpec",
            Self::InvalidSchedule => "InvalidSchedule",
            Self::InvalidTemplate => "InvalidTemplate",
            Self::Suspended => "Suspended",
            Self::TotalReached => "MaxTotalTasksReached",
            Self::WorkspaceNotFound => "WorkspaceNotFound",
            Self::NotGitHub => "NotGitHub",
            Self::SecretNotFound => "SecretNotFound",
            Self::SecretKeyMissing => "SecretKeyMissing",
            Self::SecretForbidden => "SecretForbidden",
            Self::TokenNotKept => "TokenNotKept",
            Self::GitHubUnauthorized => "GitHubUnauthorized",
            Self::GitHubForbidden => "GitHubForbidden",
            Self::GitHubNotFound => "GitHubNotFound",
            Self::GitHubLimited => "GitHubLimited",
            Self::GitHubUnavailable => "GitHubUnavailable",
            Self::GitHubUnexpected => "GitHubUnexpected",
            Self::TooManyItems => "TooManyItems",
            Self::UnreadableItems => "UnreadableItems",
            Self::NameTaken => "NameTaken",
            Self::ItemFailed => "ItemFailed",
            Self::ApiServer => "ApiServer",
        }
    }
}

/// Seconds that double with every failure in a row, up to a few minutes.
pub(super) fn backoff(failures: u32) -> Duration {
    const FIRST: Duration = Duration::from_secs(2);
    const MAX_DOUBLINGS: u32 = 7;
    FIRST * 2_u32.pow(failures.min(MAX_DOUBLINGS))
}

fn github_reason(error: &github::Error) -> Reason {
    use github::Error;
    match error {
        Error::Unauthorized | Error::InvalidToken => Reason::GitHubUnauthorized,
        Error::Forbidden => Reason::GitHubForbidden,
        Error::NotFound => Reason::GitHubNotFound,
        Error::RateLimited { .. } => Reason::GitHubLimited,
        Error::Unavailable(_) => Reason::GitHubUnavailable,
        Error::InvalidUrl(_)
        | Error::Redirected
        | Error::Local(_)
        | Error::Status(_)
        | Error::Unreadable(_) => Reason::GitHubUnexpected,
    }
}

fn token_reason(why: &NoToken) -> Reason {
    match why {
        NoToken::NameTaken(_) | NoToken::NotKept { .. } => Reason::TokenNotKept,
        NoToken::NotMade(error) => {
            let reason = error.answer().map(github_reason);
            reason.unwrap_or(Reason::GitHubUnauthorized)
        }
    }
}

/// What GitHub answered to who asked for a token.
fn github_said(error: &NoToken) -> String {
    match error {
        NoToken::NotMade(error) => error.answer().map(|it| format!(": {it}")),
        NoToken::NameTaken(_) | NoToken::NotKept { .. } => None,
    }
    .unwrap_or_default()
}

fn hint(error: &github::Error) -> &'static str {
    use github::Error;
    match error {
        Error::Unauthorized | Error::InvalidToken => {
            "; check GITHUB_TOKEN in the Workspace's Secret"
        }
        Error::Forbidden => "; the token may not read this repository's issues",
        Error::NotFound => "; check the Workspace's repository, and that the token may read it",
        Error::InvalidUrl(_)
        | Error::RateLimited { .. }
        | Error::Redirected
        | Error::Local(_)
        | Error::Status(_)
        | Error::Unreadable(_)
        | Error::Unavailable(_) => "",
    }
}

fn listed(problems: &[Problem]) -> String {
    let told: Vec<_> = problems
        .iter()
        .map(|it| format!("\"spec{}\": {}", it.pointer.replace('/', "."), it.message))
        .collect();
    told.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(trouble: &Trouble, expected: Duration) {
        let poll = Duration::from_mins(5);
        assert_eq!(trouble.wait(poll, 1, Timestamp::UNIX_EPOCH), expected);
    }

    fn github(error: github::Error) -> Trouble {
        Trouble::GitHub {
            repo: "acme/web".into(),
            error,
        }
    }

    #[test]
    fn when_to_look_again() {
        let until = Timestamp::from_second(1234).unwrap();
        check(
            &github(github::Error::RateLimited { until }),
            Duration::from_secs(1234),
        );
        check(&github(github::Error::Unauthorized), Duration::from_mins(5));
        check(
            &github(github::Error::Unavailable("x".into())),
            Duration::from_secs(4),
        );
        check(
            &Trouble::SecretNotFound("token".into()),
            Duration::from_secs(30),
        );
        assert_eq!(backoff(u32::MAX), Duration::from_secs(256));
    }

    #[test]
    fn words() {
        let until = "2026-11-22T14:05:00Z".parse().unwrap();
        assert_eq!(
            github(github::Error::RateLimited { until }).to_string(),
            "cannot read issues of \"acme/web\": rate limit; next try 14:05 UTC"
        );
        assert_eq!(
            Trouble::InvalidSpec(vec![Problem::error("/when", "expected a source")]).to_string(),
            "the spec is not valid: \"spec.when\": expected a source"
        );
    }
}
