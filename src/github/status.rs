//! Commit statuses: what a commit's page and its pull requests show beside it.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;

use super::client::Client;
use super::error::Error;
use super::issues::Repository;

/// Longest description that GitHub takes, in characters.
const MAX_DESCRIPTION: usize = 140;
/// Statuses of one commit that are looked through for ours, the newest first: one page.
const PER_PAGE: u64 = 100;

/// A commit status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitStatus {
    /// Tells the statuses of one commit apart.
    pub context: String,
    pub state: CommitState,
    description: String,
}

/// What a status says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitState {
    Pending,
    Success,
    Failure,
}

/// A status as GitHub lists it. States that are never ours are read as well.
#[derive(Deserialize)]
struct Listed {
    context: String,
    state: String,
    #[serde(default)]
    description: Option<String>,
}

impl CommitStatus {
    /// A status whose description is the beginning of `text`, in one line.
    pub fn new(context: String, state: CommitState, text: &str) -> Self {
        Self {
            context,
            state,
            description: line(text),
        }
    }

    fn wire(&self) -> Value {
        json!({
            "context": self.context,
            "state": self.state.as_str(),
            "description": self.description,
        })
    }

    /// Whether who has read `self` learns nothing from `other`. What a success did is told once: that
    /// there is nothing left to do is no news.
    pub fn covers(&self, other: &Self) -> bool {
        self.context == other.context
            && self.state == other.state
            && (self.state == CommitState::Success || self.description == other.description)
    }

    fn is(&self, listed: &Listed) -> bool {
        listed.state == self.state.as_str()
            && (self.state == CommitState::Success
                || listed.description.as_deref().unwrap_or_default() == self.description)
    }
}

impl CommitState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }
}

impl Client {
    /// Gives a commit this status, unless it has it already. Whether it was written.
    pub async fn set_commit_status(
        &self,
        repo: &Repository,
        commit: &str,
        status: &CommitStatus,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let list = repo.path(&format!("commits/{commit}/statuses?per_page={PER_PAGE}"));
        let answer = self.get(&list, now).await?;
        let listed: Vec<Listed> = serde_json::from_slice(&answer.body)
            .map_err(|error| Error::Unreadable(error.to_string()))?;
        // The newest of a context is the one that counts.
        let ours = listed.iter().find(|it| it.context == status.context);
        if ours.is_some_and(|it| status.is(it)) {
            return Ok(false);
        }
        let path = repo.path(&format!("statuses/{commit}"));
        self.post(&path, Some(&status.wire()), now).await?;
        Ok(true)
    }
}

fn line(text: &str) -> String {
    let clean = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if clean.chars().count() <= MAX_DESCRIPTION {
        return clean;
    }
    let mut cut: String = clean.chars().take(MAX_DESCRIPTION - 1).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use wiremock::Mock;
    use wiremock::MockServer;
    use wiremock::ResponseTemplate;
    use wiremock::matchers::body_json;
    use wiremock::matchers::method;
    use wiremock::matchers::path;

    use super::super::client::ApiUrl;
    use super::*;

    const COMMIT: &str = "0123456789012345678901234567890123456789";

    fn status(text: &str) -> CommitStatus {
        CommitStatus::new("axon/agents/app".into(), CommitState::Success, text)
    }

    /// Sets a status on a commit that has these, and says how often it was written.
    async fn set(listed: Value, status: &CommitStatus) -> (Result<bool, Error>, usize) {
        let server = MockServer::start().await;
        Mock::given(method("GET"))
            .and(path(format!("/repos/acme/web/commits/{COMMIT}/statuses")))
            .respond_with(ResponseTemplate::new(200).set_body_json(listed))
            .mount(&server)
            .await;
        Mock::given(method("POST"))
            .and(path(format!("/repos/acme/web/statuses/{COMMIT}")))
            .and(body_json(status.wire()))
            .respond_with(ResponseTemplate::new(201).set_body_json(json!({})))
            .mount(&server)
            .await;
        let api = ApiUrl::parse(&server.uri()).unwrap();
        let client = Client::new(&api, None).unwrap();
        let repo = Repository {
            owner: "acme".into(),
            name: "web".into(),
        };
        let done = client
            .set_commit_status(&repo, COMMIT, status, Timestamp::UNIX_EPOCH)
            .await;
        let requests = server.received_requests().await.unwrap();
        (
            done,
            requests.iter().filter(|it| it.method == "POST").count(),
        )
    }

    fn listed(context: &str, state: &str, description: &str) -> Value {
        json!({"context": context, "state": state, "description": description, "id": 1})
    }

    #[tokio::test]
    async fn only_what_is_new_is_written() {
        let check = async |before: Value, expected: bool| {
            let (done, posts) = set(before.clone(), &status("1 created")).await;
            assert_eq!(
                (done, posts),
                (Ok(expected), usize::from(expected)),
                "{before}"
            );
        };
        let ours = |state, text| listed("axon/agents/app", state, text);
        check(json!([]), true).await;
        check(json!([listed("ci", "success", "1 created")]), true).await;
        check(json!([ours("success", "1 created")]), false).await;
        // What the first success did stays: that nothing was left to do is no news.
        check(json!([ours("success", "3 created")]), false).await;
        check(json!([ours("pending", "1 created")]), true).await;
        check(
            json!([ours("error", "x"), ours("success", "1 created")]),
            true,
        )
        .await;
        check(
            json!([{"context": "ci", "state": "new", "description": null}]),
            true,
        )
        .await;
    }

    #[test]
    fn a_description_is_one_short_line() {
        assert_eq!(status(" a\n\n b\t").description, "a b");
        let long = status(&"ü".repeat(500)).description;
        assert!(long.chars().count() == MAX_DESCRIPTION && long.ends_with('…'));
    }
}
