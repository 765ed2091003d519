//! Why a Job has no Pod, and why a Pod's volumes cannot be mounted: Job controllers and kubelets say so in events,
//! and nowhere else.
//!
//! Best effort: what cannot be read is told in the log, and the Task goes on to wait. One list serves
//! all Tasks of a namespace for a while: a quota that is full holds up many.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::Api;
use kube::Client;
use kube::api::ListParams;
use tokio::time::Instant;

/// How long a list is good for.
const FRESH: Duration = Duration::from_secs(10);
/// Longest time that a look at a Task waits for a list.
const PATIENCE: Duration = Duration::from_secs(10);
/// Events that one answer may hold, and answers that are read.
const PAGE: u32 = 500;
const PAGES: usize = 8;
/// How Job controllers begin.
const SAID: &str = "Error creating: ";

/// What was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum About {
    /// A Job's Pod.
    Pods,
    /// A Pod's volumes.
    Mounts,
}

impl About {
    /// The events that say so.
    fn selector(self) -> &'static str {
        match self {
            Self::Pods => "reason=FailedCreate,involvedObject.kind=Job",
            Self::Mounts => "reason=FailedMount,involvedObject.kind=Pod",
        }
    }

    /// What is not known while they cannot be read.
    fn question(self) -> &'static str {
        match self {
            Self::Pods => "why Jobs have no Pod",
            Self::Mounts => "why Pods do not start",
        }
    }
}

type Lists = HashMap<(String, About), Arc<tokio::sync::Mutex<Listed>>>;

/// What was said of Jobs that have no Pod, and of Pods that do not start.
pub(super) struct Refusals {
    client: Client,
    lists: Mutex<Lists>,
}

#[derive(Debug, Default)]
struct Listed {
    at: Option<Instant>,
    /// By the UID of the Job or the Pod.
    words: HashMap<String, String>,
    /// Whether the last try failed: that is told once.
    failed: bool,
}

impl Refusals {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            lists: Mutex::default(),
        }
    }

    /// Why the Job of this UID has no Pod, if somebody said so.
    pub(super) async fn of_job(&self, namespace: &str, job: &str) -> Option<String> {
        self.of(namespace, About::Pods, job).await
    }

    /// Why the Pod of this UID does not start, if somebody said so.
    pub(super) async fn of_pod(&self, namespace: &str, pod: &str) -> Option<String> {
        self.of(namespace, About::Mounts, pod).await
    }

    async fn of(&self, namespace: &str, about: About, uid: &str) -> Option<String> {
        let listed = {
            // Entries are whole at any time.
            let mut all = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
            let key = (namespace.to_owned(), about);
            all.entry(key).or_default().clone()
        };
        // Who waits here finds it done.
        let mut listed = listed.lock().await;
        if listed.at.is_none_or(|at| at.elapsed() >= FRESH) {
            self.list(namespace, about, &mut listed).await;
            listed.at = Some(Instant::now());
        }
        listed.words.get(uid).cloned()
    }

    async fn list(&self, namespace: &str, about: About, listed: &mut Listed) {
        let events: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let failure = match tokio::time::timeout(PATIENCE, read(&events, about)).await {
            Ok(Ok(found)) => {
                listed.words = latest(found);
                None
            }
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("no answer in time".to_owned()),
        };
        let failed_before = std::mem::replace(&mut listed.failed, failure.is_some());
        if let Some(error) = failure.filter(|_| !failed_before) {
            tracing::warn!(namespace, error, "cannot read {}", about.question());
        }
    }
}

async fn read(events: &Api<Event>, about: About) -> Result<Vec<Event>, kube::Error> {
    let mut found = Vec::new();
    let mut page = ListParams::default().fields(about.selector()).limit(PAGE);
    for _ in 0..PAGES {
        let answer = events.list(&page).await?;
        found.extend(answer.items);
        match answer.metadata.continue_.filter(|it| !it.is_empty()) {
            Some(next) => page = page.continue_token(&next),
            None => break,
        }
    }
    Ok(found)
}

/// What was said last of each.
fn latest(events: Vec<Event>) -> HashMap<String, String> {
    let mut newest: HashMap<String, (Option<Timestamp>, String)> = HashMap::new();
    for event in events {
        let at = time(&event);
        let (Some(job), Some(message)) = (event.involved_object.uid, event.message) else {
            continue;
        };
        let name = event.involved_object.name.unwrap_or_default();
        let words = without_suffix(message.strip_prefix(SAID).unwrap_or(&message), &name);
        let known = newest.entry(job).or_default();
        if known.1.is_empty() || known.0 <= at {
            *known = (at, words);
        }
    }
    let words = newest.into_iter().map(|(job, (_, words))| (job, words));
    words.collect()
}

fn time(event: &Event) -> Option<Timestamp> {
    let series = event
        .series
        .as_ref()
        .and_then(|it| it.last_observed_time.as_ref());
    let times = [
        series.map(|it| it.0),
        event.last_timestamp.as_ref().map(|it| it.0),
        event.event_time.as_ref().map(|it| it.0),
    ];
    times.into_iter().flatten().max()
}

/// The words without the end of the Pod's name: each try makes up another, and says the same.
fn without_suffix(words: &str, job: &str) -> String {
    let start = format!("\"{job}-");
    let Some((before, after)) = words.split_once(&start) else {
        return words.to_owned();
    };
    match after.split_once('"') {
        Some((_, rest)) => format!("{before}{start}…\"{rest}"),
        None => words.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(job: &str, at: &str, message: &str) -> Event {
        serde_json::from_value(json!({
            "metadata": {"name": format!("e{at}")},
            "involvedObject": {"uid": job, "name": "fix"},
            "lastTimestamp": at, "message": message,
        }))
        .unwrap()
    }

    #[test]
    fn what_was_said_last_of_each_job_counts() {
        let (early, late) = ("2026-03-01T12:00:00Z", "2026-03-01T12:00:09Z");
        let quota = r#"Error creating: pods "fix-x7k2p" is forbidden: exceeded quota: few"#;
        let found = latest(vec![
            event("a", late, quota),
            event("a", early, "Error creating: no such ServiceAccount"),
            event("b", early, "something else"),
        ]);
        assert_eq!(
            found["a"],
            "pods \"fix-…\" is forbidden: exceeded quota: few"
        );
        assert_eq!(found["b"], "something else");
        assert_eq!(found.len(), 2);
    }
}
