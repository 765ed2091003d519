//! What runs, as people read it. Pure.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use anstyle::AnsiColor;
use anstyle::Style;
use jiff::Timestamp;

use crate::cli::inspect::Health;
use crate::cli::inspect::Item;
use crate::cli::inspect::Kind;
use crate::cli::inspect::Seen;
use crate::cli::inspect::Standing;
use crate::cli::inspect::age;
use crate::cli::inspect::sync;
use crate::cli::screen;
use crate::cli::table::Cell;
use crate::cli::table::Table;

/// Most problems, and most Tasks, that are shown one by one where nobody asked for more.
const MAX_PROBLEMS: usize = 10;
const MAX_TASKS: usize = 20;
/// Longest message of a problem: it says enough, and does not bury the others.
const MAX_MESSAGE: usize = 300;
/// Headings.
const HEADING: Style = AnsiColor::Blue.on_default().bold();

/// How much of it is shown.
pub(super) struct View {
    pub(super) everywhere: bool,
    pub(super) wide: bool,
    pub(super) width: Option<usize>,
    pub(super) now: Timestamp,
}

impl View {
    /// The whole text; empty where there is nothing.
    pub(super) fn text(&self, seen: &Seen) -> String {
        let sections = [
            self.syncs(seen.of(Kind::RepoSync)),
            self.spawners(seen.of(Kind::TaskSpawner)),
            self.tasks(seen.of(Kind::Task)),
        ];
        let sections: Vec<String> = sections.into_iter().flatten().collect();
        if sections.is_empty() && seen.of(Kind::Workspace).is_empty() {
            return String::new();
        }
        let mut text = self.problems(seen);
        for section in sections {
            text.push('\n');
            text.push_str(&section);
        }
        text
    }

    fn problems(&self, seen: &Seen) -> String {
        let kinds = [
            Kind::RepoSync,
            Kind::Workspace,
            Kind::TaskSpawner,
            Kind::Task,
        ];
        let mut found: Vec<(&Item, Standing)> = kinds
            .iter()
            .flat_map(|kind| seen.of(*kind))
            .map(|item| (item, Standing::of(item)))
            .filter(|(_, standing)| standing.health == Health::Bad)
            .collect();
        // What has ended is over; what is stuck can be helped. Among those that ended the latest first.
        found.sort_by_key(|(item, _)| {
            let ended = item.time("/status/completionTime");
            (ended.is_some(), ended.map(Reverse))
        });
        let good = Health::Well.style();
        let bad = Health::Bad.style();
        let unseen = kinds
            .iter()
            .flat_map(|kind| seen.of(*kind))
            .filter(|item| Standing::of(item).health == Health::Unknown)
            .count();
        if found.is_empty() && unseen > 0 {
            let style = Health::Unknown.style();
            return format!("{style}{unseen} unseen{style:#}: does a controller run?\n");
        }
        if found.is_empty() {
            return format!("{good}Nothing is wrong.{good:#}\n");
        }
        let mut text = String::new();
        let limit = if self.wide { usize::MAX } else { MAX_PROBLEMS };
        for (item, Standing { word, message, .. }) in found.iter().take(limit) {
            let place = if self.everywhere {
                format!("{}/", item.namespace())
            } else {
                String::new()
            };
            let message = screen::cut(&screen::line(message), MAX_MESSAGE);
            let colon = if message.is_empty() { "" } else { ": " };
            let word = screen::line(word);
            let key = item.key();
            // Writing to a String cannot fail.
            writeln!(
                text,
                "{bad}!{bad:#} {place}{key}  {bad}{word}{bad:#}{colon}{message}"
            )
            .ok();
        }
        if found.len() > limit {
            writeln!(text, "  … and {} more (all: -o wide)", found.len() - limit).ok();
        }
        text
    }

    fn syncs(&self, syncs: &[Item]) -> Option<String> {
        let mut table = self.table(
            &["SYNC", "STATE", "REVISION", "SYNCED"],
            &["REPO", "REF", "LAST CHANGE", "MESSAGE"],
        );
        for item in syncs {
            let standing = Standing::of(item);
            let past = sync::past(item);
            let last = past.first().and_then(|it| it.time);
            let revision = item.text("/status/lastAppliedRevision");
            let mut row = vec![
                Cell::new(item.name()),
                Cell::styled(&standing.word, standing.health.style()),
                Cell::maybe(revision.map(sync::short)),
                Cell::maybe(last.map(|it| age::ago(it, self.now))),
            ];
            if self.wide {
                let counts = item.value("/status/objects").and_then(sync::counts);
                row.extend([
                    Cell::maybe(item.text("/spec/repo")),
                    Cell::maybe(item.text("/spec/ref")),
                    Cell::maybe(counts),
                    Cell::new(&standing.message),
                ]);
            }
            self.add(&mut table, item, row);
        }
        self.section(&table, syncs)
    }

    fn spawners(&self, spawners: &[Item]) -> Option<String> {
        let mut table = self.table(
            &["SPAWNER", "STATE", "SOURCE", "ACTIVE", "TASKS", "NEXT"],
            &["FOUND", "SYNC", "MESSAGE"],
        );
        for item in spawners {
            let standing = Standing::of(item);
            let count = |field: &str| {
                let number = item.number(&format!("/status/{field}"));
                Cell::maybe(number.map(|it| it.to_string()))
            };
            let next = item.time("/status/nextScheduleTime");
            let next = next.map(|it| format!("in {}", age::span(it.duration_since(self.now))));
            let mut row = vec![
                Cell::new(item.name()),
                Cell::styled(&standing.word, standing.health.style()),
                Cell::new(source(item)),
                count("activeTasks"),
                count("totalTasksCreated"),
                Cell::maybe(next),
            ];
            if self.wide {
                row.extend([
                    count("totalDiscovered"),
                    Cell::maybe(item.sync()),
                    Cell::new(&standing.message),
                ]);
            }
            self.add(&mut table, item, row);
        }
        self.section(&table, spawners)
    }

    fn tasks(&self, tasks: &[Item]) -> Option<String> {
        if tasks.is_empty() {
            return None;
        }
        let mut phases: BTreeMap<&str, (usize, Health)> = BTreeMap::new();
        let standings: Vec<Standing> = tasks.iter().map(Standing::of).collect();
        for standing in &standings {
            let entry = phases.entry(&standing.word);
            entry.or_insert((0, standing.health)).0 += 1;
        }
        let told = phases
            .iter()
            .map(|(word, (count, _))| format!("{count} {}", screen::line(word)));
        let told: Vec<String> = told.collect();
        let mut text = format!("{HEADING}Tasks{HEADING:#}: {}\n", told.join(", "));
        let unfinished = tasks.iter().zip(&standings);
        let unfinished: Vec<_> = unfinished
            .filter(|(item, _)| self.wide || !item.is_finished())
            .collect();
        let limit = if self.wide { usize::MAX } else { MAX_TASKS };
        let mut table = self.table(&["TASK", "STATE", "AGE", "FROM"], &["AGENT", "MESSAGE"]);
        for (item, standing) in unfinished.iter().take(limit) {
            let from = item.spawner().map(|it| format!("spawner {it}"));
            let from = from.or_else(|| item.sync().map(|it| format!("sync {it}")));
            let mut row = vec![
                Cell::new(item.name()),
                Cell::styled(&standing.word, standing.health.style()),
                Cell::maybe(item.created().map(|it| age::ago(it, self.now))),
                Cell::maybe(from),
            ];
            if self.wide {
                row.extend([
                    Cell::maybe(item.text("/spec/type")),
                    Cell::new(&standing.message),
                ]);
            }
            self.add(&mut table, item, row);
        }
        if !unfinished.is_empty() {
            text.push_str(&table.render(self.width));
        }
        if unfinished.len() > limit {
            let more = unfinished.len() - limit;
            writeln!(text, "… and {more} more (all: -o wide)").ok();
        }
        Some(text)
    }

    fn table(&self, narrow: &[&'static str], wide: &[&'static str]) -> Table {
        let mut headings = Vec::new();
        if self.everywhere {
            headings.push("NAMESPACE");
        }
        headings.extend(narrow);
        if self.wide {
            headings.extend(wide);
        }
        Table::new(&headings)
    }

    fn add(&self, table: &mut Table, item: &Item, mut row: Vec<Cell>) {
        if self.everywhere {
            row.insert(0, Cell::new(item.namespace()));
        }
        table.row(row);
    }

    fn section(&self, table: &Table, items: &[Item]) -> Option<String> {
        (!items.is_empty()).then(|| table.render(self.width))
    }
}

/// Where a spawner finds its work.
fn source(spawner: &Item) -> String {
    if let Some(schedule) = spawner.text("/spec/when/cron/schedule") {
        return format!("cron {schedule}");
    }
    if spawner.value("/spec/when/githubIssues").is_some() {
        return "GitHub".to_owned();
    }
    "-".to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json;

    use super::*;
    use crate::cli::inspect::standing::tests::item;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn task(name: &str, phase: &str, more: &Value) -> Item {
        let mut fields = json!({"spec": {"type": "codex"}, "status": {"phase": phase}});
        json_patch::merge(&mut fields, more);
        item(Kind::Task, name, &fields)
    }

    fn seen() -> Seen {
        let mut seen = Seen::default();
        let ready = |status: &str, reason: &str| json!([{"type": "Ready", "status": status, "reason": reason, "message": "9 of 10 objects\nwould go\u{1b}"}]);
        seen.add(vec![
            item(Kind::RepoSync, "app", &json!({
                "spec": {"repo": "https://example.com/a.git"},
                "status": {"observedGeneration": 1, "lastAppliedRevision": COMMIT,
                    "conditions": ready("False", "PruneGuard"),
                    "history": [{"revision": COMMIT, "time": "2026-11-22T10:55:00Z", "reason": "Synced"}]},
            })),
            item(Kind::TaskSpawner, "nightly", &json!({
                "spec": {"when": {"cron": {"schedule": "0 3 * * *"}}},
                "status": {"conditions": ready("True", "Ready"), "activeTasks": 1, "totalTasksCreated": 7,
                    "nextScheduleTime": "2026-11-23T03:00:00Z"},
            })),
            task("port", "Running", &json!({"metadata": {"labels": {"axon.io/sync": "app"}}})),
            task("old", "Failed", &json!({"status": {"completionTime": "2026-11-22T10:00:00Z", "message": "out of memory"}})),
            task("done", "Succeeded", &json!({})),
        ]);
        seen
    }

    fn text(seen: &Seen, wide: bool, width: Option<usize>) -> String {
        let now = "2026-11-22T11:00:00Z".parse().unwrap();
        let view = View {
            everywhere: false,
            wide,
            width,
            now,
        };
        anstream::adapter::strip_str(&view.text(seen)).to_string()
    }

    #[test]
    fn what_is_wrong_stands_first() {
        insta::assert_snapshot!(text(&seen(), false, None), @r"
        ! RepoSync/app  PruneGuard: 9 of 10 objects would go\u{1b}
        ! Task/old  Failed: out of memory

        SYNC   STATE        REVISION       SYNCED
        app    PruneGuard   0123456789ab   5m

        SPAWNER   STATE   SOURCE           ACTIVE   TASKS   NEXT
        nightly   Ready   cron 0 3 * * *   1        7       in 16h

        Tasks: 1 Failed, 1 Running, 1 Succeeded
        TASK   STATE     AGE   FROM
        port   Running   60m   sync app
        ");
    }

    #[test]
    fn wide_shows_all() {
        insta::assert_snapshot!(text(&seen(), true, None), @r"
        ! RepoSync/app  PruneGuard: 9 of 10 objects would go\u{1b}
        ! Task/old  Failed: out of memory

        SYNC   STATE        REVISION       SYNCED   REPO                        REF   LAST CHANGE   MESSAGE
        app    PruneGuard   0123456789ab   5m       https://example.com/a.git   -     -             9 of 10 objects would go\u{1b}

        SPAWNER   STATE   SOURCE           ACTIVE   TASKS   NEXT     FOUND   SYNC   MESSAGE
        nightly   Ready   cron 0 3 * * *   1        7       in 16h   -       -

        Tasks: 1 Failed, 1 Running, 1 Succeeded
        TASK   STATE       AGE   FROM       AGENT   MESSAGE
        port   Running     60m   sync app   codex
        old    Failed      60m   -          codex   out of memory
        done   Succeeded   60m   -          codex
        ");
    }

    #[test]
    fn many_tasks_are_counted_and_some_shown() {
        let mut seen = Seen::default();
        let name = |at: usize| format!("task-{at:04}-{}", "x".repeat(240));
        seen.add(
            (0..1_000)
                .map(|at| task(&name(at), "Running", &json!({})))
                .collect(),
        );
        let narrow = text(&seen, false, Some(80));
        assert!(narrow.contains("Tasks: 1000 Running\n"), "{narrow}");
        assert!(
            narrow.ends_with("… and 980 more (all: -o wide)\n"),
            "{narrow}"
        );
        assert!(
            narrow.lines().all(|it| screen::columns_of(it) <= 80),
            "{narrow}"
        );
        assert_eq!(text(&seen, true, None).lines().count(), 1_004);
    }

    #[test]
    fn nothing_is_nothing() {
        assert_eq!(text(&Seen::default(), false, None), "");
    }
}
