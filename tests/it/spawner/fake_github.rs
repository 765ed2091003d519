//! A GitHub to test against: issues of one repository, in pages, with its refusals.

use std::sync::Arc;
use std::sync::Mutex;

use serde_json::Value;
use serde_json::json;
use wiremock::Mock;
use wiremock::MockServer;
use wiremock::Request;
use wiremock::Respond;
use wiremock::ResponseTemplate;
use wiremock::matchers::any;

/// What the fake demands in `Authorization`.
pub(super) const TOKEN: &str = "ghp-canary-7c1d";

/// Issues on a page: few, so that a handful has several pages.
const PER_PAGE: usize = 2;

#[derive(Clone, Default)]
pub(super) struct Issue {
    pub(super) number: u64,
    pub(super) labels: Vec<&'static str>,
    pub(super) comments: Vec<&'static str>,
    pub(super) pull: bool,
    pub(super) closed: bool,
}

pub(super) fn issue(number: u64) -> Issue {
    Issue {
        number,
        labels: vec!["agent"],
        ..Issue::default()
    }
}

/// What the fake answers.
#[derive(Clone, Default)]
pub(super) struct State {
    pub(super) issues: Vec<Issue>,
    /// Answer of every request, in place of the right one.
    pub(super) refusal: Option<ResponseTemplate>,
    /// A page of the list that answers 502.
    pub(super) broken_page: Option<usize>,
}

pub(super) struct FakeGithub {
    server: MockServer,
    state: Arc<Mutex<State>>,
}

impl FakeGithub {
    pub(super) async fn start(issues: &[Issue]) -> Self {
        let state = Arc::new(Mutex::new(State {
            issues: issues.to_vec(),
            ..State::default()
        }));
        let server = MockServer::start().await;
        Mock::given(any())
            .respond_with(Answer(state.clone()))
            .mount(&server)
            .await;
        Self { server, state }
    }

    pub(super) fn url(&self) -> String {
        self.server.uri()
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    /// The requests so far, as path and query.
    pub(super) async fn requests(&self) -> Vec<String> {
        let requests = self.server.received_requests().await.unwrap();
        requests
            .iter()
            .map(|it| format!("{}?{}", it.url.path(), it.url.query().unwrap_or_default()))
            .collect()
    }

    /// How often the list's first page was asked for.
    pub(super) async fn polls(&self) -> usize {
        let requests = self.requests().await;
        let first = |it: &&String| it.contains("/issues?") && !it.contains("page=2");
        requests
            .iter()
            .filter(|it| !it.contains("&page=") && !it.contains("?page="))
            .filter(first)
            .count()
    }
}

struct Answer(Arc<Mutex<State>>);

impl Respond for Answer {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let state = self.0.lock().unwrap().clone();
        if let Some(refusal) = state.refusal {
            return refusal;
        }
        let header = |name: &str| {
            request
                .headers
                .get(name)
                .map(|it| it.to_str().unwrap().to_owned())
                .unwrap_or_default()
        };
        assert!(header("user-agent").starts_with("axon/"));
        if request.url.path() == "/app/installations/34/access_tokens" {
            return minted(request);
        }
        if header("authorization") != format!("Bearer {TOKEN}") {
            return ResponseTemplate::new(401);
        }
        // GitHub does not care about the case of a repository's name.
        let path = request.url.path().to_lowercase();
        let Some(path) = path.strip_prefix("/repos/acme/web/issues") else {
            return ResponseTemplate::new(404);
        };
        let parts: Vec<_> = path.split('/').skip(1).collect();
        let find = |number: &str| {
            let wanted = number.parse::<u64>().unwrap();
            state.issues.iter().find(move |it| it.number == wanted)
        };
        match parts[..] {
            [] => list(&state, request),
            [number] => find(number).map_or(ResponseTemplate::new(404), |issue| {
                ResponseTemplate::new(200).set_body_json(wire(issue))
            }),
            [number, "comments"] => {
                let comments = &find(number).unwrap().comments;
                let wire: Vec<_> = comments.iter().map(|it| json!({"body": it})).collect();
                ResponseTemplate::new(200).set_body_json(wire)
            }
            _ => ResponseTemplate::new(404),
        }
    }
}

/// A token of the App, for the repository that its Workspace names and no other.
fn minted(request: &Request) -> ResponseTemplate {
    if request.body_json::<Value>().unwrap() != json!({"repositories": ["web"]}) {
        return ResponseTemplate::new(422);
    }
    ResponseTemplate::new(201)
        .set_body_json(json!({"token": TOKEN, "expires_at": "2099-01-01T00:00:00Z"}))
}

fn list(state: &State, request: &Request) -> ResponseTemplate {
    let query = |name: &str| {
        let mut pairs = request.url.query_pairs();
        pairs
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    };
    let page: usize = query("page").map_or(1, |page| page.parse().unwrap());
    if state.broken_page == Some(page) {
        return ResponseTemplate::new(502);
    }
    let labels = query("labels").unwrap_or_default();
    let wanted = |issue: &&Issue| {
        let state = query("state").unwrap_or_default();
        let labelled = labels
            .split(',')
            .all(|it| it.is_empty() || issue.labels.contains(&it));
        labelled && (state == "all" || (state == "closed") == issue.closed)
    };
    let all: Vec<_> = state.issues.iter().filter(wanted).map(wire).collect();
    let answer = ResponseTemplate::new(200);
    let answer = if page * PER_PAGE < all.len() {
        // To another host: only its query may be believed.
        let next = format!(
            "<https://evil.invalid/x?page={}&labels={labels}&state={}>; rel=\"next\"",
            page + 1,
            query("state").unwrap_or_default()
        );
        answer.insert_header("link", next.as_str())
    } else {
        answer
    };
    let items: Vec<_> = all
        .into_iter()
        .skip((page - 1) * PER_PAGE)
        .take(PER_PAGE)
        .collect();
    answer.set_body_json(items)
}

fn wire(issue: &Issue) -> Value {
    let number = issue.number;
    let labels: Vec<_> = issue
        .labels
        .iter()
        .map(|name| json!({"name": name}))
        .collect();
    let mut wire = json!({
        "number": number,
        "title": format!("Title {number}"),
        "body": null,
        "html_url": format!("https://github.com/acme/web/issues/{number}"),
        "state": if issue.closed { "closed" } else { "open" },
        "labels": labels,
        "comments": issue.comments.len(),
    });
    if issue.pull {
        wire["pull_request"] = json!({"url": "x"});
    }
    wire
}
