//! Objects as rows. Pure.

use jiff::Timestamp;
use serde_json::Value;

use crate::cli::inspect::Item;
use crate::cli::inspect::Kind;
use crate::cli::inspect::Standing;
use crate::cli::inspect::age;
use crate::cli::inspect::sync;
use crate::cli::table::Cell;
use crate::cli::table::Table;

/// How much of them is shown.
pub(super) struct View {
    pub(super) everywhere: bool,
    pub(super) wide: bool,
    pub(super) width: Option<usize>,
    pub(super) now: Timestamp,
}

impl View {
    pub(super) fn table(&self, kind: Kind, items: &[Item]) -> Table {
        let (narrow, wide): (&[&'static str], &[&'static str]) = match kind {
            Kind::TaskSpawner => (
                &[
                    "NAME",
                    "STATE",
                    "SOURCE",
                    "WORKSPACE",
                    "ACTIVE",
                    "TASKS",
                    "NEXT",
                    "AGE",
                ],
                &["FOUND", "SYNC", "MESSAGE"],
            ),
            Kind::Workspace => (
                &["NAME", "REPO", "REF", "STATE", "AGE"],
                &["COMMIT", "SYNC", "MESSAGE"],
            ),
            Kind::RepoSync => (
                &["NAME", "STATE", "REVISION", "REPO", "REF", "AGE"],
                &["OBJECTS", "MESSAGE"],
            ),
            Kind::Task | Kind::Record | Kind::Job | Kind::Pod => (
                &["NAME", "TYPE", "PHASE", "DURATION", "COST", "BRANCH", "AGE"],
                &["MODEL", "WORKSPACE", "TURNS", "TRIES", "FROM", "MESSAGE"],
            ),
        };
        let first: &[&'static str] = if self.everywhere { &["NAMESPACE"] } else { &[] };
        let more = if self.wide { wide } else { &[] };
        let mut table = Table::new(&[first, narrow, more].concat());
        for item in items {
            table.row(self.row(item));
        }
        table
    }

    pub(super) fn row(&self, item: &Item) -> Vec<Cell> {
        let mut row = Vec::new();
        if self.everywhere {
            row.push(Cell::new(item.namespace()));
        }
        row.push(Cell::new(item.name()));
        match item.kind {
            Kind::TaskSpawner => self.spawner(item, &mut row),
            Kind::Workspace => self.workspace(item, &mut row),
            Kind::RepoSync => self.sync(item, &mut row),
            Kind::Task | Kind::Record | Kind::Job | Kind::Pod => self.task(item, &mut row),
        }
        row
    }

    fn spawner(&self, item: &Item, row: &mut Vec<Cell>) {
        let next = item.time("/status/nextScheduleTime");
        let next = next.map(|it| format!("in {}", age::span(it.duration_since(self.now))));
        row.extend([
            state(item),
            Cell::new(source(item)),
            text(item, "/spec/taskTemplate/workspaceRef/name"),
            number(item, "/status/activeTasks"),
            number(item, "/status/totalTasksCreated"),
            Cell::maybe(next),
            self.born(item),
        ]);
        let found = number(item, "/status/totalDiscovered");
        self.widen(row, [found, Cell::maybe(item.sync()), message(item)]);
    }

    fn workspace(&self, item: &Item, row: &mut Vec<Cell>) {
        row.extend([
            text(item, "/spec/repo"),
            text(item, "/spec/ref"),
            state(item),
            self.born(item),
        ]);
        let commit = item.text("/status/commit").map(sync::short);
        let sync = Cell::maybe(item.sync());
        self.widen(row, [Cell::maybe(commit), sync, message(item)]);
    }

    fn sync(&self, item: &Item, row: &mut Vec<Cell>) {
        let revision = item.text("/status/lastAppliedRevision").map(sync::short);
        row.extend([
            state(item),
            Cell::maybe(revision),
            text(item, "/spec/repo"),
            text(item, "/spec/ref"),
            self.born(item),
        ]);
        let counts = item.value("/status/objects").and_then(sync::counts);
        self.widen(row, [Cell::maybe(counts), message(item)]);
    }

    fn task(&self, item: &Item, row: &mut Vec<Cell>) {
        row.extend([
            text(item, "/spec/type"),
            state(item),
            Cell::maybe(duration(item, self.now)),
            Cell::maybe(cost(item)),
            Cell::maybe(branch(item)),
            self.born(item),
        ]);
        let more = [
            text(item, "/spec/model"),
            text(item, "/spec/workspaceRef/name"),
            number(item, "/status/usage/turns"),
            number(item, "/status/attempts"),
            Cell::maybe(from(item)),
            message(item),
        ];
        self.widen(row, more);
    }

    fn born(&self, item: &Item) -> Cell {
        Cell::maybe(item.created().map(|it| age::ago(it, self.now)))
    }

    fn widen(&self, row: &mut Vec<Cell>, more: impl IntoIterator<Item = Cell>) {
        if self.wide {
            row.extend(more);
        }
    }
}

fn state(item: &Item) -> Cell {
    let standing = Standing::of(item);
    Cell::styled(&standing.word, standing.health.style())
}

fn message(item: &Item) -> Cell {
    Cell::new(Standing::of(item).message)
}

fn text(item: &Item, pointer: &str) -> Cell {
    Cell::maybe(item.text(pointer))
}

fn number(item: &Item, pointer: &str) -> Cell {
    Cell::maybe(item.number(pointer).map(|it| it.to_string()))
}

/// How long a Task has run.
pub(super) fn duration(task: &Item, now: Timestamp) -> Option<String> {
    let begun = task.time("/status/startTime")?;
    let end = task.time("/status/completionTime").unwrap_or(now);
    Some(age::span(end.duration_since(begun)))
}

/// What a Task's last run cost, by the agent or about.
pub(super) fn cost(task: &Item) -> Option<String> {
    let cost = task.value("/status/usage/costUSD")?.as_f64()?;
    let estimated = task
        .value("/status/usage/estimated")
        .and_then(Value::as_bool);
    let about = if estimated == Some(true) { "~" } else { "" };
    Some(format!("{about}${cost:.4}"))
}

/// The branch that a Task left, or is to work on.
pub(super) fn branch(task: &Item) -> Option<String> {
    let mut outputs = task
        .list("/status/outputs")
        .iter()
        .filter_map(|it| it.as_str());
    let left = outputs.find_map(|it| it.strip_prefix("branch: "));
    left.or_else(|| task.text("/spec/branch"))
        .map(str::to_owned)
}

/// Who made it.
pub(super) fn from(item: &Item) -> Option<String> {
    let spawner = item.spawner().map(|it| format!("spawner {it}"));
    spawner.or_else(|| item.sync().map(|it| format!("sync {it}")))
}

fn source(spawner: &Item) -> String {
    match spawner.text("/spec/when/cron/schedule") {
        Some(schedule) => format!("cron {schedule}"),
        None if spawner.value("/spec/when/githubIssues").is_some() => "GitHub".to_owned(),
        None => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::inspect::standing::tests::item;

    #[test]
    fn tasks_with_what_they_cost() {
        let tasks = [
            item(
                Kind::Task,
                "done",
                &json!({
                    "spec": {"type": "codex", "model": "m", "workspaceRef": {"name": "web"}},
                    "status": {"phase": "Succeeded", "startTime": "2026-11-22T10:00:00Z",
                        "completionTime": "2026-11-22T10:05:00Z", "outputs": ["branch: axon/x"], "attempts": 2,
                        "usage": {"costUSD": 0.012_345, "estimated": true, "turns": 4}},
                    "metadata": {"labels": {"axon.io/taskspawner": "triage"}},
                }),
            ),
            item(
                Kind::Task,
                "new",
                &json!({"spec": {"type": "custom", "branch": "b"}}),
            ),
        ];
        let now = "2026-11-22T11:00:00Z".parse().unwrap();
        let view = |wide| View {
            everywhere: false,
            wide,
            width: None,
            now,
        };
        let text = |wide| {
            let text = view(wide).table(Kind::Task, &tasks).render(None);
            anstream::adapter::strip_str(&text).to_string()
        };
        insta::assert_snapshot!(text(false), @r"
        NAME   TYPE     PHASE       DURATION   COST       BRANCH   AGE
        done   codex    Succeeded   5m         ~$0.0123   axon/x   60m
        new    custom   Unseen      -          -          b        60m
        ");
        let wide = text(true);
        assert!(
            wide.contains("spawner triage") && wide.contains("web"),
            "{wide}"
        );
    }
}
