//! What all controllers need of GitHub's API: where it is, and a token of a GitHub App.

use jiff::Timestamp;

use crate::github;
use crate::github::ApiUrl;
use crate::github::app;
use crate::github::app::App;
use crate::model::RepoUrl;
use crate::model::Secret;
use crate::model::repo_url::Scheme;

/// Why there is no token of a GitHub App.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error(
        "a GitHub App's token is for one repository, and \"{0}\" does not name an owner and a repository"
    )]
    NoRepository(String),
    #[error(transparent)]
    Api(#[from] github::Error),
    #[error(transparent)]
    App(#[from] app::Error),
}

impl Error {
    /// What GitHub answered, if it was asked.
    pub(super) fn answer(&self) -> Option<&github::Error> {
        match self {
            Self::Api(error) | Self::App(app::Error::Refused { source: error, .. }) => Some(error),
            Self::NoRepository(_) | Self::App(app::Error::Key { .. }) => None,
        }
    }

    /// Whether it may go better though nobody changes anything.
    pub(super) fn may_pass(&self) -> bool {
        use github::Error as E;
        match self.answer() {
            Some(E::RateLimited { .. } | E::Status(_) | E::Unavailable(_)) => true,
            Some(
                E::InvalidUrl(_)
                | E::Unauthorized
                | E::InvalidToken
                | E::Forbidden
                | E::NotFound
                | E::Redirected
                | E::Local(_)
                | E::Unreadable(_),
            )
            | None => false,
        }
    }
}

/// An installation of a GitHub App, and the key that proves it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Installation<'a> {
    pub(super) app_id: &'a str,
    pub(super) id: u64,
    pub(super) key: &'a Secret,
}

impl Installation<'_> {
    /// A token for the repository at `url` and no other, and when it expires.
    pub(super) async fn token(
        self,
        github: GitHubApi<'_>,
        url: &RepoUrl,
        now: Timestamp,
    ) -> Result<(Secret, Timestamp), Error> {
        let named = url.github_repo();
        let (_, name) = named.ok_or_else(|| Error::NoRepository(url.to_string()))?;
        Ok(self.app(github, url)?.token(name, now).await?)
    }

    /// A token for all repositories that the installation was given at the host of `url`, and when it
    /// expires.
    pub(super) async fn wide_token(
        self,
        github: GitHubApi<'_>,
        url: &RepoUrl,
        now: Timestamp,
    ) -> Result<(Secret, Timestamp), Error> {
        Ok(self.app(github, url)?.wide_token(now).await?)
    }

    fn app(self, github: GitHubApi<'_>, url: &RepoUrl) -> Result<App, Error> {
        Ok(App::new(github.of(url)?, self.app_id, self.id, self.key)?)
    }
}

/// Where GitHub's API is.
#[derive(Clone, Copy, Debug)]
pub(super) struct GitHubApi<'a> {
    /// Its base URL in place of the one that a repository's host implies.
    pub(super) root: Option<&'a str>,
    /// Whether a repository's host may be this machine.
    pub(super) local_addresses: bool,
}

impl GitHubApi<'_> {
    /// The API that knows the repository at `url`.
    pub(super) fn of(self, url: &RepoUrl) -> Result<ApiUrl, github::Error> {
        match self.root {
            Some(root) => ApiUrl::parse(root),
            None => Ok(ApiUrl::of_host(&host(url), self.local_addresses)),
        }
    }
}

/// The host of a repository as people see it on the web.
pub(super) fn host(url: &RepoUrl) -> String {
    match url.scheme() {
        Scheme::Https | Scheme::Http => url.authority(),
        // The port of another protocol says nothing about that of the API.
        Scheme::Git | Scheme::Ssh | Scheme::Scp | Scheme::File => url.host().to_owned(),
    }
}
