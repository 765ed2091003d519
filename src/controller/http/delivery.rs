//! What an authentic delivery means for a RepoSync: a look at the repository, or nothing.
//!
//! A delivery never says what to apply, only that there may be something. When in doubt it is a look:
//! one too many costs two requests to the git server.

use http::HeaderMap;
use serde::Deserialize;

use crate::model::Digest;

/// The header that names the event.
const EVENT: &str = "x-github-event";
/// What a body in GitHub's form encoding begins with.
const FORM: &[u8] = b"payload=";
const BRANCHES: &str = "refs/heads/";
const TAGS: &str = "refs/tags/";
/// Digits of a commit's id.
const COMMIT: usize = 40;

/// What is to be done about a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Look at the repository. Two deliveries with the same mark tell the same.
    Look(Digest),
    Nothing,
}

/// A push, as far as it matters here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Push {
    #[serde(rename = "ref")]
    reference: Option<String>,
    before: Option<String>,
    after: Option<String>,
    repository: Repository,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Repository {
    default_branch: Option<String>,
}

/// What a delivery means for a RepoSync that follows `followed`; none is the default branch.
pub(super) fn meaning(headers: &HeaderMap, body: &[u8], followed: Option<&str>) -> Meaning {
    let event = headers.get(EVENT).and_then(|event| event.to_str().ok());
    let whole = Meaning::Look(Digest::of(body));
    match event {
        Some("push") => {
            let Some(push) = read(body) else {
                return whole;
            };
            match (concerns(&push, followed), mark(&push)) {
                (false, _) => Meaning::Nothing,
                (true, Some(mark)) => Meaning::Look(mark),
                (true, None) => whole,
            }
        }
        // The other events in which a ref, or the default branch, changes; and senders of no event.
        Some("create" | "delete" | "repository") | None => whole,
        // `ping`, and what people subscribe to beside pushes: no ref changes by it.
        Some(_) => Meaning::Nothing,
    }
}

fn read(body: &[u8]) -> Option<Push> {
    if body.starts_with(FORM) {
        let (_, payload) = form_urlencoded::parse(body).find(|(key, _)| key == "payload")?;
        return serde_json::from_str(&payload).ok();
    }
    serde_json::from_slice(body).ok()
}

/// Whether a push may have moved what is followed.
fn concerns(push: &Push, followed: Option<&str>) -> bool {
    let Some(pushed) = push.reference.as_deref() else {
        return true;
    };
    let is_ref = |prefix: &str, name: &str| pushed.strip_prefix(prefix) == Some(name);
    match followed {
        None | Some("HEAD") => {
            let default = push.repository.default_branch.as_deref();
            default.is_none_or(|branch| is_ref(BRANCHES, branch))
        }
        Some(full) if full.starts_with("refs/") => pushed == full,
        // A commit never moves, but any push may bring it.
        Some(id) if id.len() == COMMIT && id.bytes().all(|it| it.is_ascii_hexdigit()) => true,
        Some(name) => is_ref(BRANCHES, name) || is_ref(TAGS, name),
    }
}

/// What happened, whichever hook of the repository tells it: a repository, its organisation and a
/// second hook may all do so.
fn mark(push: &Push) -> Option<Digest> {
    let parts = [&push.reference, &push.before, &push.after];
    let parts: Option<Vec<&[u8]>> = parts
        .iter()
        .map(|part| part.as_deref().map(str::as_bytes))
        .collect();
    parts.map(Digest::of_fields)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::json;

    use super::*;

    fn of(event: Option<&'static str>, body: &[u8], followed: Option<&str>) -> Meaning {
        let mut headers = HeaderMap::new();
        if let Some(event) = event {
            headers.insert(EVENT, HeaderValue::from_static(event));
        }
        meaning(&headers, body, followed)
    }

    fn push(reference: &str) -> Vec<u8> {
        let push = json!({
            "ref": reference, "before": "a", "after": "b", "deleted": false,
            "repository": {"default_branch": "main", "owner": {"name": "acme"}},
        });
        push.to_string().into_bytes()
    }

    #[test]
    fn a_push_concerns_those_that_follow_its_ref() {
        let check = |pushed: &str, followed: Option<&str>, expected: bool| {
            let looks = of(Some("push"), &push(pushed), followed) != Meaning::Nothing;
            assert_eq!(looks, expected, "{pushed} {followed:?}");
        };
        check("refs/heads/main", None, true);
        check("refs/heads/main", Some("HEAD"), true);
        check("refs/heads/main", Some("main"), true);
        check("refs/heads/main", Some("refs/heads/main"), true);
        check("refs/tags/v1", Some("v1"), true);
        check("refs/heads/feature", Some(&"0a".repeat(20)), true);
        check("refs/heads/feature", None, false);
        check("refs/heads/feature", Some("main"), false);
        check("refs/heads/main-2", Some("main"), false);
        check("refs/heads/main", Some("refs/tags/main"), false);
        check("refs/tags/main", None, false);
    }

    #[test]
    fn doubt_is_a_look() {
        let look = |event, body: &str| of(event, body.as_bytes(), Some("main")) != Meaning::Nothing;
        for body in [
            "",
            "{",
            "[]",
            "{}",
            "\u{0}",
            "{\"ref\": 7}",
            "payload=%",
            "payload={}",
        ] {
            assert!(look(Some("push"), body), "{body}");
            assert!(look(None, body), "{body}");
        }
        assert!(look(Some("create"), "{}"));
        assert!(!look(Some("ping"), "{}"));
        assert!(!look(Some("issues"), "{}"));
        assert!(look(Some("push"), &"[".repeat(100_000)));
    }

    #[test]
    fn one_push_has_one_mark_whoever_tells_it() {
        let plain = of(Some("push"), &push("refs/heads/main"), None);
        let mut other: serde_json::Value =
            serde_json::from_slice(&push("refs/heads/main")).unwrap();
        other["organization"] = json!({"login": "acme"});
        assert_eq!(of(Some("push"), other.to_string().as_bytes(), None), plain);
        let form: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("payload", &other.to_string())
            .finish();
        assert_eq!(of(Some("push"), form.as_bytes(), None), plain);
        other["after"] = json!("c");
        assert_ne!(of(Some("push"), other.to_string().as_bytes(), None), plain);
    }
}
