//! What `axon dev` shows of the Tasks and spawners: each change once, and the outcome.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use kube::ResourceExt;

use crate::api::Task;
use crate::api::TaskSpawner;
use crate::api::task::TaskPhase;
use crate::api::task::TaskStatus;
use crate::controller;
use crate::model::ObjectName;

/// What is worth knowing of the Tasks and spawners of a cluster.
pub(super) struct Board {
    tasks: BTreeMap<Id, TaskView>,
    spawners: BTreeMap<Id, SpawnerView>,
    /// Whether what finished Tasks came to is kept when they are gone.
    keeps_gone: bool,
}

/// Namespace and name.
type Id = (String, String);

/// A Task, as far as it is shown.
struct TaskView {
    headline: String,
    phase: TaskPhase,
    waits_for_a_person: bool,
    outputs: Vec<String>,
    results: BTreeMap<String, String>,
}

/// A spawner, as far as it is shown.
struct SpawnerView {
    line: String,
    has_failed: bool,
    /// Whether it has looked for work and none of its Tasks is left to run.
    is_done: bool,
}

impl Board {
    pub(super) fn new(keeps_gone: bool) -> Self {
        Self {
            tasks: BTreeMap::new(),
            spawners: BTreeMap::new(),
            keeps_gone,
        }
    }

    /// Takes a Task's new state; the line to show if something worth telling changed.
    pub(super) fn task(&mut self, task: &Task) -> Option<String> {
        let view = TaskView::of(task);
        let line = format!("Task/{}  {}", task.name_any(), view.headline);
        let before = self.tasks.get(&id(task)).map(|it| &it.headline);
        let is_news = before != Some(&view.headline);
        self.tasks.insert(id(task), view);
        is_news.then_some(line)
    }

    pub(super) fn task_gone(&mut self, task: &Task) {
        let id = id(task);
        let stays = self.keeps_gone && self.tasks.get(&id).is_some_and(TaskView::is_finished);
        if !stays {
            self.tasks.remove(&id);
        }
    }

    /// Takes a spawner's new state; the line to show if something worth telling changed.
    pub(super) fn spawner(&mut self, spawner: &TaskSpawner) -> Option<String> {
        let view = SpawnerView::of(spawner);
        let line = format!("TaskSpawner/{}  {}", spawner.name_any(), view.line);
        let before = self.spawners.get(&id(spawner)).map(|it| &it.line);
        let is_news = before != Some(&view.line) && !view.line.is_empty();
        self.spawners.insert(id(spawner), view);
        is_news.then_some(line)
    }

    pub(super) fn spawner_gone(&mut self, spawner: &TaskSpawner) {
        self.spawners.remove(&id(spawner));
    }

    /// Whether nothing more will happen in `namespace`: the declared Tasks are there, every Task has
    /// finished, and every spawner has looked and has nothing waiting.
    pub(super) fn is_settled(&self, namespace: &str, declared: &BTreeSet<ObjectName>) -> bool {
        let is_there = |name: &ObjectName| {
            let id = (namespace.to_owned(), name.to_string());
            self.tasks.contains_key(&id)
        };
        declared.iter().all(is_there)
            && self.tasks_in(namespace).all(|(_, task)| task.is_finished())
            && self
                .spawners_in(namespace)
                .all(|(_, spawner)| spawner.is_done)
    }

    /// Whether nothing goes on until a person does something.
    pub(super) fn is_stuck(&self, namespace: &str) -> bool {
        let tasks = self.tasks_in(namespace).map(|(_, task)| task);
        let mut open = tasks.filter(|task| !task.is_finished()).peekable();
        open.peek().is_some() && open.all(|task| task.waits_for_a_person)
    }

    /// Whether all Tasks succeeded and all spawners work.
    pub(super) fn is_success(&self, namespace: &str) -> bool {
        self.tasks_in(namespace)
            .all(|(_, task)| task.phase == TaskPhase::Succeeded)
            && self
                .spawners_in(namespace)
                .all(|(_, spawner)| !spawner.has_failed)
    }

    /// All outputs, for people and for scripts.
    pub(super) fn outcome(&self, namespace: &str) -> String {
        let mut text = String::new();
        for (name, task) in self.tasks_in(namespace) {
            // Writing to a String cannot fail.
            writeln!(text, "Task/{name}  {}", task.headline).ok();
            for output in &task.outputs {
                writeln!(text, "  {output}").ok();
            }
            for (key, value) in &task.results {
                writeln!(text, "  {key}: {value}").ok();
            }
        }
        for (name, spawner) in self.spawners_in(namespace) {
            writeln!(text, "TaskSpawner/{name}  {}", spawner.line).ok();
        }
        text
    }

    fn tasks_in<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = (&'a str, &'a TaskView)> {
        inside(&self.tasks, namespace)
    }

    fn spawners_in<'a>(
        &'a self,
        namespace: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a SpawnerView)> {
        inside(&self.spawners, namespace)
    }
}

fn id(object: &impl ResourceExt) -> Id {
    (object.namespace().unwrap_or_default(), object.name_any())
}

fn inside<'a, V>(
    all: &'a BTreeMap<Id, V>,
    namespace: &'a str,
) -> impl Iterator<Item = (&'a str, &'a V)> {
    let ours = all.iter().filter(move |(id, _)| id.0 == namespace);
    ours.map(|(id, view)| (id.1.as_str(), view))
}

impl TaskView {
    fn of(task: &Task) -> Self {
        let status = task.status.clone().unwrap_or_default();
        let last = status.conditions.last();
        Self {
            headline: headline(&status),
            phase: status.phase.unwrap_or(TaskPhase::Pending),
            waits_for_a_person: last.is_some_and(|it| {
                it.type_ == "Started" && controller::waits_for_a_person(&it.reason)
            }),
            outputs: status.outputs,
            results: status.results,
        }
    }

    fn is_finished(&self) -> bool {
        match self.phase {
            TaskPhase::Pending | TaskPhase::Running => false,
            TaskPhase::Succeeded | TaskPhase::Failed => true,
        }
    }
}

/// Phase, and why it is what it is where that is not plain.
fn headline(status: &TaskStatus) -> String {
    let phase = status.phase.unwrap_or(TaskPhase::Pending);
    let reason = status.conditions.last().map(|it| it.reason.as_str());
    match (phase, reason) {
        (TaskPhase::Running | TaskPhase::Succeeded, _) | (_, None) => format!("{phase:?}"),
        (TaskPhase::Pending | TaskPhase::Failed, Some(reason)) => match &status.message {
            Some(message) => format!("{phase:?}  {reason}: {message}"),
            None => format!("{phase:?}  {reason}"),
        },
    }
}

impl SpawnerView {
    fn of(spawner: &TaskSpawner) -> Self {
        let status = spawner.status.clone().unwrap_or_default();
        let ready = status.conditions.iter().find(|it| it.type_ == "Ready");
        let failed = ready.filter(|it| it.status == "False");
        let mut parts = Vec::new();
        parts.extend(failed.map(|it| format!("{}: {}", it.reason, it.message)));
        parts.extend(
            status
                .total_discovered
                .map(|count| format!("{count} discovered")),
        );
        let next = status.next_schedule_time.as_ref();
        parts.extend(next.map(|time| format!("next {}", time.0)));
        let is_current = status.observed_generation == spawner.metadata.generation;
        Self {
            line: parts.join(", "),
            has_failed: failed.is_some(),
            is_done: is_current && ready.is_some() && status.active_tasks.unwrap_or_default() == 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn task(name: &str, status: &serde_json::Value) -> Task {
        serde_json::from_value(json!({
            "apiVersion": "axon.io/v1alpha1", "kind": "Task",
            "metadata": {"name": name, "namespace": "n"},
            "spec": {"type": "codex", "prompt": "x", "credentials": {"type": "none"}},
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn each_change_is_told_once() {
        let mut board = Board::new(false);
        let running = task("a", &json!({"phase": "Running"}));
        assert_eq!(board.task(&running).as_deref(), Some("Task/a  Running"));
        assert_eq!(board.task(&running), None);
    }

    #[test]
    fn what_is_done_and_what_is_missing() {
        let mut board = Board::new(true);
        let declared = BTreeSet::from([ObjectName::parse("a").unwrap()]);
        assert!(!board.is_settled("n", &declared), "it is not there yet");
        let done = task(
            "a",
            &json!({"phase": "Succeeded", "outputs": ["branch: b"]}),
        );
        board.task(&done);
        assert!(board.is_settled("n", &declared) && board.is_success("n"));
        board.task_gone(&done);
        assert_eq!(board.outcome("n"), "Task/a  Succeeded\n  branch: b\n");
        board.task(&task("b", &json!({"phase": "Running"})));
        assert!(!board.is_settled("n", &declared));
        assert!(board.is_settled("other", &BTreeSet::new()));
    }

    #[test]
    fn a_task_that_waits_for_a_person_holds_up_nothing_else() {
        let mut board = Board::new(true);
        let waiting = |reason: &str| {
            json!({"phase": "Pending", "conditions": [{"type": "Started", "status": "False",
                "reason": reason, "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]})
        };
        board.task(&task("a", &waiting("SecretNotFound")));
        assert!(board.is_stuck("n"));
        board.task(&task("b", &waiting("Cloning")));
        assert!(!board.is_stuck("n"));
    }
}
