//! Issues and pull requests of one repository as work items.

use jiff::Timestamp;

use super::Found;
use crate::github::Client;
use crate::github::End;
use crate::github::Error;
use crate::github::Issue;
use crate::github::Repository;
use crate::model::item::ItemKey;
use crate::model::item::ItemKind;
use crate::model::item::WorkItem;
use crate::model::spawner::Filter;

/// Longest address that is kept: it stands in an annotation.
const MAX_URL: usize = 2048;

/// A repository on a GitHub, seen with one credential.
#[derive(Clone, Debug)]
pub struct GitHub {
    client: Client,
    repo: Repository,
    prefix: String,
}

/// What a poll found.
#[derive(Clone, Debug)]
pub struct Discovery {
    /// What matches, oldest first.
    pub found: Vec<Found>,
    /// Whether that is everything.
    pub end: End,
}

impl GitHub {
    pub fn new(client: Client, host: &str, owner: &str, name: &str) -> Self {
        Self {
            client,
            repo: Repository {
                owner: owner.to_owned(),
                name: name.to_owned(),
            },
            // GitHub does not tell `Acme/Web` from `acme/web`, so neither may the identity of a run.
            prefix: format!("{host}/{owner}/{name}#").to_lowercase(),
        }
    }

    /// What the keys of all items of this repository begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Everything that matches now.
    pub async fn discover(&self, filter: &Filter, now: Timestamp) -> Discovery {
        let listing = self.client.issues(&self.repo, filter, now).await;
        Discovery {
            found: listing
                .issues
                .into_iter()
                .map(|issue| self.found(issue))
                .collect(),
            end: listing.end,
        }
    }

    /// The comments of an item, oldest first.
    pub async fn comments(&self, found: &Found, now: Timestamp) -> Result<Vec<String>, Error> {
        if found.comments == 0 {
            return Ok(Vec::new());
        }
        let comments = self
            .client
            .comments(&self.repo, found.item.number, found.comments, now)
            .await?;
        Ok(comments.into_iter().map(|comment| comment.body).collect())
    }

    /// Whether an item that a listing did not show has really stopped matching.
    ///
    /// A listing alone cannot tell: while its pages are read, an item that leaves moves the later
    /// ones up, and one of them slips from a page not yet read to one already read. "Not found"
    /// does not tell either: it is also what a token without access is answered.
    pub async fn has_left(
        &self,
        key: &ItemKey,
        filter: &Filter,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let number = key
            .as_str()
            .strip_prefix(&self.prefix)
            .and_then(|number| number.parse().ok());
        let Some(number) = number else {
            return Ok(false);
        };
        let issue = self.client.issue(&self.repo, number, now).await?;
        // A number of its own: the item was moved to another repository.
        Ok(issue.is_none_or(|it| it.number != number || !it.matches(filter)))
    }

    fn found(&self, issue: Issue) -> Found {
        let Issue {
            number,
            title,
            body,
            url,
            open: _,
            pull,
            labels,
            comments,
        } = issue;
        Found {
            item: WorkItem {
                key: ItemKey::new(format!("{}{number}", self.prefix)),
                id: number.to_string(),
                number,
                title,
                body,
                url: url.chars().take(MAX_URL).collect(),
                labels,
                comments: Vec::new(),
                kind: if pull {
                    ItemKind::PullRequest
                } else {
                    ItemKind::Issue
                },
                time: String::new(),
                schedule: String::new(),
            },
            comments,
        }
    }
}
