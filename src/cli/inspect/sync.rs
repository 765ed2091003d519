//! What a RepoSync's status tells. Pure.

use jiff::Timestamp;
use serde_json::Value;

use super::item::Item;
use crate::model::names::MAX_LABEL;

/// Digits of a commit that people read.
const SHORT: usize = 12;

/// A plan that waits for someone's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Pending {
    pub(in crate::cli) digest: String,
    pub(in crate::cli) summary: String,
}

/// A sync that came to an end.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli) struct Past {
    pub(in crate::cli) revision: String,
    pub(in crate::cli) time: Option<Timestamp>,
    pub(in crate::cli) reason: String,
    pub(in crate::cli) counts: Option<String>,
    pub(in crate::cli) message: String,
}

/// The id that its objects carry.
pub(in crate::cli) fn id(sync: &Item) -> Option<&str> {
    sync.text("/status/sync").filter(|it| it.len() <= MAX_LABEL)
}

pub(in crate::cli) fn pending(sync: &Item) -> Option<Pending> {
    let text = |field: &str| sync.text(&format!("/status/plan/{field}"));
    Some(Pending {
        digest: text("digest")?.to_owned(),
        summary: text("summary").unwrap_or_default().to_owned(),
    })
}

/// The latest syncs, newest first.
pub(in crate::cli) fn past(sync: &Item) -> Vec<Past> {
    let records = sync.list("/status/history").iter();
    records
        .map(|record| {
            let text = |field: &str| record[field].as_str().unwrap_or_default().to_owned();
            Past {
                revision: text("revision"),
                time: text("time").parse().ok(),
                reason: text("reason"),
                counts: counts(&record["objects"]),
                message: text("message"),
            }
        })
        .collect()
}

/// `2 created, 1 updated, 41 unchanged`; none where nothing was counted.
pub(in crate::cli) fn counts(objects: &Value) -> Option<String> {
    let fields = objects.as_object()?;
    let told = ["created", "updated", "deleted", "unchanged"].map(|word| {
        let count = fields.get(word).and_then(Value::as_u64).unwrap_or(0);
        (count > 0).then(|| format!("{count} {word}"))
    });
    let told: Vec<String> = told.into_iter().flatten().collect();
    Some(if told.is_empty() {
        "nothing declared".to_owned()
    } else {
        told.join(", ")
    })
}

/// A commit as people read it.
pub(in crate::cli) fn short(revision: &str) -> &str {
    let is_commit = revision.len() == 40 && revision.bytes().all(|it| it.is_ascii_hexdigit());
    if is_commit {
        &revision[..SHORT]
    } else {
        revision
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::inspect::Kind;
    use crate::cli::inspect::standing::tests::item;

    #[test]
    fn what_is_missing_or_odd_is_left_out() {
        let odd = json!({"status": {"sync": "", "plan": {"digest": 7}, "history": [{}, 3]}});
        let odd = item(Kind::RepoSync, "app", &odd);
        assert_eq!((id(&odd), pending(&odd)), (None, None));
        assert_eq!(past(&odd).len(), 2);
        assert_eq!(counts(&json!(null)), None);
    }

    #[test]
    fn counts_and_revisions() {
        let objects = json!({"created": 2, "updated": 0, "deleted": 0, "unchanged": 41});
        assert_eq!(counts(&objects).unwrap(), "2 created, 41 unchanged");
        assert_eq!(counts(&json!({})).unwrap(), "nothing declared");
        assert_eq!(short(&"0123456789".repeat(4)), "012345678901");
        assert_eq!(short("main"), "main");
    }
}
