//! Issues and pull requests. GitHub lists both at one place.

use jiff::Timestamp;
use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;
use serde::Deserialize;
use serde_json::Value;

use super::client::Client;
use super::error::Error;
use super::link;
use crate::model::spawner::Filter;
use crate::model::spawner::StateFilter;

/// Items on a page: GitHub's most.
const PER_PAGE: u64 = 100;
/// Pages that one listing reads: 5,000 items. What lies beyond is found when earlier ones are done.
const MAX_PAGES: usize = 50;
/// Bytes that one listing reads, so that one repository cannot fill the controller's memory.
const MAX_LISTING: usize = 64 << 20;
/// Pages of comments that are read, the newest: far more than a prompt can hold.
const MAX_COMMENT_PAGES: u64 = 10;
/// All but what a part of a path may hold as it is.
const PART: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// A repository of one GitHub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    pub owner: String,
    pub name: String,
}

impl Repository {
    pub(super) fn path(&self, rest: &str) -> String {
        let part = |text| utf8_percent_encode(text, PART);
        format!("/repos/{}/{}/{rest}", part(&self.owner), part(&self.name))
    }
}

/// An issue or pull request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "WireIssue")]
pub struct Issue {
    pub number: u64,
    pub title: String,
    pub body: String,
    pub url: String,
    pub open: bool,
    pub pull: bool,
    pub labels: Vec<String>,
    /// How many comments it has.
    pub comments: u64,
}

/// A comment on an issue or pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    pub body: String,
}

/// What a listing found.
#[derive(Clone, Debug)]
pub struct Listing {
    /// What matches, oldest first.
    pub issues: Vec<Issue>,
    pub end: End,
}

/// How far a listing went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything was seen: what is not listed did not match.
    Complete,
    /// Items that could not be read were left out.
    Skipped(usize),
    /// There is more than one listing reads.
    Cut,
    /// A page could not be had.
    Broken(Error),
}

impl Client {
    /// All items of a repository that match. What was read before an error is kept.
    pub async fn issues(&self, repo: &Repository, filter: &Filter, now: Timestamp) -> Listing {
        let mut issues = Vec::new();
        let mut query = query(filter);
        let (mut skipped, mut bytes) = (0, 0);
        for _ in 0..MAX_PAGES {
            let path = repo.path(&format!("issues?{query}"));
            let page = match self.page(&path, now).await {
                Ok(page) => page,
                Err(error) => {
                    return Listing {
                        issues,
                        end: End::Broken(error),
                    };
                }
            };
            bytes += page.bytes;
            for value in page.values {
                match serde_json::from_value::<Issue>(value) {
                    Ok(issue) if issue.matches(filter) => issues.push(issue),
                    Ok(_) => {}
                    Err(_) => skipped += 1,
                }
            }
            match page.next {
                None if skipped == 0 => {
                    return Listing {
                        issues,
                        end: End::Complete,
                    };
                }
                None => {
                    return Listing {
                        issues,
                        end: End::Skipped(skipped),
                    };
                }
                Some(_) if bytes > MAX_LISTING => break,
                Some(next) => query = next,
            }
        }
        Listing {
            issues,
            end: End::Cut,
        }
    }

    /// One item. `None`: it was deleted.
    pub async fn issue(
        &self,
        repo: &Repository,
        number: u64,
        now: Timestamp,
    ) -> Result<Option<Issue>, Error> {
        const GONE: u16 = 410;
        match self.get(&repo.path(&format!("issues/{number}")), now).await {
            Ok(answer) => serde_json::from_slice(&answer.body)
                .map(Some)
                .map_err(|error| unreadable(&error)),
            Err(Error::Status(GONE)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The newest comments of an item that has about `count` of them, oldest first.
    pub async fn comments(
        &self,
        repo: &Repository,
        number: u64,
        count: u64,
        now: Timestamp,
    ) -> Result<Vec<Comment>, Error> {
        let last = count.div_ceil(PER_PAGE).max(1);
        let first = last.saturating_sub(MAX_COMMENT_PAGES - 1).max(1);
        let mut query = format!("per_page={PER_PAGE}&page={first}");
        let mut comments = Vec::new();
        // One page more than were counted: comments may have been added since.
        for _ in 0..=MAX_COMMENT_PAGES {
            let path = repo.path(&format!("issues/{number}/comments?{query}"));
            let page = self.page(&path, now).await?;
            comments.extend(page.values.into_iter().filter_map(comment));
            match page.next {
                Some(next) => query = next,
                None => break,
            }
        }
        Ok(comments)
    }

    async fn page(&self, path: &str, now: Timestamp) -> Result<Page, Error> {
        let answer = self.get(path, now).await?;
        let values = serde_json::from_slice(&answer.body).map_err(|error| unreadable(&error))?;
        let next = answer
            .headers
            .get(http::header::LINK)
            .and_then(|header| header.to_str().ok())
            .and_then(link::next);
        Ok(Page {
            values,
            next,
            bytes: answer.body.len(),
        })
    }
}

impl Issue {
    /// Whether it matches, whatever the server thinks: its own filter knows no exclusion, and
    /// a label with a comma cannot be asked for.
    pub fn matches(&self, filter: &Filter) -> bool {
        let has = |wanted: &String| self.labels.iter().any(|label| same_label(label, wanted));
        let state = match filter.state {
            StateFilter::Open => self.open,
            StateFilter::Closed => !self.open,
            StateFilter::All => true,
        };
        let kind = if self.pull {
            filter.pulls
        } else {
            filter.issues
        };
        state && kind && filter.labels.iter().all(has) && !filter.exclude_labels.iter().any(has)
    }
}

/// GitHub's labels differ by more than case.
fn same_label(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

/// Oldest first: what arrives while pages are read stands at the end and moves nothing.
fn query(filter: &Filter) -> String {
    let state = match filter.state {
        StateFilter::Open => "open",
        StateFilter::Closed => "closed",
        StateFilter::All => "all",
    };
    let mut query = form_urlencoded::Serializer::new(String::new());
    query
        .append_pair("state", state)
        .append_pair("sort", "created")
        .append_pair("direction", "asc")
        .append_pair("per_page", &PER_PAGE.to_string());
    let labels: Vec<_> = filter
        .labels
        .iter()
        .filter(|label| !label.contains(','))
        .map(String::as_str)
        .collect();
    if !labels.is_empty() {
        query.append_pair("labels", &labels.join(","));
    }
    query.finish()
}

struct Page {
    values: Vec<Value>,
    next: Option<String>,
    bytes: usize,
}

/// Place and sort of the mistake; never the text itself, which may hold anything.
fn unreadable(error: &serde_json::Error) -> Error {
    Error::Unreadable(format!(
        "{:?} error at line {} column {}",
        error.classify(),
        error.line(),
        error.column()
    ))
}

fn comment(value: Value) -> Option<Comment> {
    #[derive(Deserialize)]
    struct Wire {
        body: Option<String>,
    }
    let wire: Wire = serde_json::from_value(value).ok()?;
    Some(Comment { body: wire.body? })
}

/// What we read of GitHub's answer. Its other fields come and go.
#[derive(Deserialize)]
struct WireIssue {
    number: u64,
    title: String,
    body: Option<String>,
    html_url: String,
    state: WireState,
    #[serde(default)]
    pull_request: Option<Value>,
    labels: Vec<WireLabel>,
    #[serde(default)]
    comments: u64,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum WireState {
    Open,
    Closed,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum WireLabel {
    Name(String),
    Object { name: String },
}

impl From<WireIssue> for Issue {
    fn from(wire: WireIssue) -> Self {
        Self {
            number: wire.number,
            title: wire.title,
            body: wire.body.unwrap_or_default(),
            url: wire.html_url,
            open: wire.state == WireState::Open,
            pull: wire.pull_request.is_some(),
            labels: wire
                .labels
                .into_iter()
                .map(|label| match label {
                    WireLabel::Name(name) | WireLabel::Object { name } => name,
                })
                .collect(),
            comments: wire.comments,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filter() -> Filter {
        Filter {
            issues: true,
            pulls: false,
            labels: vec![],
            exclude_labels: vec![],
            state: StateFilter::Open,
        }
    }

    fn issue(labels: &[&str]) -> Issue {
        serde_json::from_value(json!({
            "number": 7, "title": "t", "body": null, "html_url": "https://x/7", "state": "open",
            "labels": labels.iter().map(|name| json!({"name": name})).collect::<Vec<_>>(),
        }))
        .unwrap()
    }

    #[test]
    fn all_labels_and_none_of_the_excluded() {
        let check = |labels: &[&str], wanted: &[&str], excluded: &[&str], expected: bool| {
            let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
            let filter = Filter {
                labels: own(wanted),
                exclude_labels: own(excluded),
                ..filter()
            };
            assert_eq!(issue(labels).matches(&filter), expected, "{filter:?}");
        };
        check(&[], &[], &[], true);
        check(&["bug", "ready"], &["bug", "ready"], &[], true);
        check(&["bug"], &["bug", "ready"], &[], false);
        check(&["Bug"], &["bug"], &[], true);
        check(&["bug", "wip"], &["bug"], &["other", "WIP"], false);
        check(&["a,b"], &["a,b"], &[], true);
    }

    #[test]
    fn kind_and_state() {
        let pull = Issue {
            pull: true,
            ..issue(&[])
        };
        assert!(!pull.matches(&filter()));
        let pulls = Filter {
            pulls: true,
            issues: false,
            ..filter()
        };
        assert!(pull.matches(&pulls) && !issue(&[]).matches(&pulls));
        let closed = Issue {
            open: false,
            ..issue(&[])
        };
        assert!(!closed.matches(&filter()));
    }

    #[test]
    fn a_label_with_a_comma_is_not_asked_for() {
        let filter = Filter {
            labels: vec!["good first issue".into(), "a,b".into()],
            ..filter()
        };
        assert_eq!(
            query(&filter),
            "state=open&sort=created&direction=asc&per_page=100&labels=good+first+issue"
        );
    }

    #[test]
    fn a_repository_is_one_part_of_a_path() {
        let repo = Repository {
            owner: "acme".into(),
            name: "my.app%2f..".into(),
        };
        assert_eq!(repo.path("issues"), "/repos/acme/my.app%252f../issues");
    }
}
