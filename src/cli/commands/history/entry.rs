//! What happened, from what syncs, records and Tasks tell. Pure.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::api::labels;
use crate::cli::inspect::Health;
use crate::cli::inspect::Item;
use crate::cli::inspect::Kind;
use crate::cli::inspect::Seen;
use crate::cli::inspect::Standing;
use crate::cli::inspect::sync;
use crate::model::run::record_key;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) time: Option<Timestamp>,
    /// `Kind/name`.
    pub(super) what: String,
    pub(super) outcome: String,
    pub(super) health: Health,
    pub(super) revision: Option<String>,
    pub(super) detail: String,
}

/// Whose history is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Only<'a> {
    Nothing,
    Sync(&'a str),
    Task(&'a str),
}

/// All that is on record, newest first; what has no time stands last.
pub(super) fn entries(seen: &Seen, only: Only<'_>) -> Vec<Entry> {
    let id = match only {
        Only::Sync(name) => Some(seen.find(Kind::RepoSync, name).and_then(sync::id)),
        Only::Nothing | Only::Task(_) => None,
    };
    let is_asked = |task: &str, sync: Option<&str>| match only {
        Only::Nothing => true,
        Only::Task(name) => name == task,
        Only::Sync(_) => sync.is_some() && id == Some(sync),
    };
    let mut all: Vec<Entry> = Vec::new();
    for item in seen.of(Kind::RepoSync) {
        let asked = match only {
            Only::Nothing => true,
            Only::Sync(name) => name == item.name(),
            Only::Task(_) => false,
        };
        if asked {
            all.extend(sync::past(item).into_iter().map(|past| synced(item, past)));
        }
    }
    let mut tasks: BTreeMap<&str, &Item> = BTreeMap::new();
    for task in seen.of(Kind::Task) {
        tasks.insert(task.uid(), task);
    }
    for record in seen.of(Kind::Record) {
        let name = datum(record, record_key::TASK).unwrap_or_default();
        let task = datum(record, record_key::TASK_UID).and_then(|uid| tasks.remove(uid));
        if is_asked(name, record.sync()) {
            all.push(recorded(name, record, task));
        }
    }
    // What is left has no record: it may run as often as someone likes, or has not begun.
    for task in tasks.into_values() {
        let asked = is_asked(task.name(), task.sync());
        let began = task.is_finished() || task.time("/status/startTime").is_some();
        if asked && (began || matches!(only, Only::Task(_))) {
            all.push(run(task));
        }
    }
    all.sort_by(|a, b| {
        let key = |it: &Entry| (Reverse(it.time), it.what.clone());
        key(a).cmp(&key(b))
    });
    all
}

fn synced(item: &Item, past: sync::Past) -> Entry {
    let health = if past.reason == "Synced" {
        Health::Well
    } else {
        Health::Bad
    };
    Entry {
        time: past.time,
        what: item.key(),
        outcome: past.reason,
        health,
        revision: Some(past.revision),
        detail: joined([past.counts.unwrap_or_default(), past.message]),
    }
}

/// A run on record; the Task itself may still tell more.
fn recorded(name: &str, record: &Item, task: Option<&Item>) -> Entry {
    let finished = datum(record, record_key::FINISHED).and_then(|it| it.parse().ok());
    let claimed = datum(record, record_key::CLAIMED).and_then(|it| it.parse().ok());
    let standing = match task {
        Some(task) => Standing::of(task),
        None => Standing::of(record),
    };
    let item = datum(record, record_key::ITEM).map(|it| format!("for {it}"));
    let detail = [item.unwrap_or_default(), standing.message];
    Entry {
        time: finished.or(claimed).or_else(|| record.created()),
        what: format!("{}/{name}", Kind::Task),
        outcome: standing.word,
        health: standing.health,
        revision: None,
        detail: joined(detail),
    }
}

fn run(task: &Item) -> Entry {
    let standing = Standing::of(task);
    let item = task.annotation(labels::ITEM).map(|it| format!("for {it}"));
    let detail = [item.unwrap_or_default(), standing.message];
    let time = ["/status/completionTime", "/status/startTime"]
        .iter()
        .find_map(|it| task.time(it));
    Entry {
        time: time.or_else(|| task.created()),
        what: task.key(),
        outcome: standing.word,
        health: standing.health,
        revision: None,
        detail: joined(detail),
    }
}

/// Those that say anything.
fn joined(parts: [String; 2]) -> String {
    let [first, second] = parts;
    match (first.as_str(), second.as_str()) {
        ("", _) => second,
        (_, "") => first,
        _ => format!("{first}; {second}"),
    }
}

fn datum<'a>(record: &'a Item, key: &str) -> Option<&'a str> {
    record.text(&format!("/data/{key}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::inspect::standing::tests::item;

    fn seen() -> Seen {
        let record = |name: &str, task: &str, sync: &str, more: serde_json::Value| {
            let mut fields = json!({"metadata": {"labels": {"axon.io/sync": sync}},
                "data": {"task": task, "taskUID": format!("uid-{task}")}});
            json_patch::merge(&mut fields["data"], &more);
            item(Kind::Record, name, &fields)
        };
        let mut seen = Seen::default();
        seen.add(vec![
            item(Kind::RepoSync, "app", &json!({"status": {"sync": "s1", "history": [
                {"revision": "r2", "time": "2026-11-22T12:00:00Z", "reason": "ApplyFailed", "message": "no quota"},
                {"revision": "r1", "time": "2026-11-22T11:00:00Z", "reason": "Synced", "objects": {"created": 2}},
            ]}})),
            item(Kind::Task, "port", &json!({"status": {"phase": "Running", "startTime": "2026-11-22T11:01:00Z"}})),
            item(Kind::Task, "hand", &json!({"status": {"phase": "Failed", "message": "x", "completionTime": "2026-11-22T09:00:00Z"}})),
            item(Kind::Task, "idle", &json!({})),
            record("r-port", "port", "s1", json!({})),
            record("r-gone", "gone", "s2", json!({"outcome": "Succeeded", "finished": "2026-11-22T11:30:00Z", "item": "cron/1"})),
        ]);
        seen
    }

    fn check(only: Only<'_>, expected: &[&str]) {
        let told: Vec<String> = entries(&seen(), only)
            .iter()
            .map(|it| {
                let time = it.time.map(|it| it.strftime("%H:%M").to_string());
                format!(
                    "{} {} {} {}",
                    time.unwrap_or_default(),
                    it.what,
                    it.outcome,
                    it.detail
                )
            })
            .collect();
        let told: Vec<&str> = told.iter().map(|it| it.trim_end()).collect();
        assert_eq!(told, expected, "{only:?}");
    }

    #[test]
    fn newest_first() {
        check(
            Only::Nothing,
            &[
                "12:00 RepoSync/app ApplyFailed no quota",
                "11:30 Task/gone Succeeded for cron/1",
                "11:00 RepoSync/app Synced 2 created",
                "10:00 Task/port Running",
                "09:00 Task/hand Failed x",
            ],
        );
        check(
            Only::Sync("app"),
            &[
                "12:00 RepoSync/app ApplyFailed no quota",
                "11:00 RepoSync/app Synced 2 created",
                "10:00 Task/port Running",
            ],
        );
        check(
            Only::Task("idle"),
            &["10:00 Task/idle Unseen no controller has looked"],
        );
        check(Only::Task("nobody"), &[]);
    }
}
