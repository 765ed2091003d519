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

/// What is known of the Tasks and spawners of one namespace.
#[derive(Default)]
pub(super) struct Board {
    tasks: BTreeMap<String, Task>,
    spawners: BTreeMap<String, TaskSpawner>,
}

impl Board {
    /// Takes a Task's new state; the line to show if something worth telling changed.
    pub(super) fn task(&mut self, task: Task) -> Option<String> {
        let name = task.name_any();
        let before = self
            .tasks
            .get(&name)
            .map(|task| headline(task.status.as_ref()));
        let line = headline(task.status.as_ref());
        self.tasks.insert(name.clone(), task);
        (before.as_ref() != Some(&line)).then(|| format!("Task/{name}  {line}"))
    }

    /// A Task is gone. What it came to is kept.
    pub(super) fn task_gone(&mut self, task: &Task) {
        let name = task.name_any();
        if self.tasks.get(&name).is_some_and(|task| !is_finished(task)) {
            self.tasks.remove(&name);
        }
    }

    /// Takes a spawner's new state; the line to show if something worth telling changed.
    pub(super) fn spawner(&mut self, spawner: TaskSpawner) -> Option<String> {
        let name = spawner.name_any();
        let before = self.spawners.get(&name).map(spawner_line);
        let line = spawner_line(&spawner);
        self.spawners.insert(name.clone(), spawner);
        (before.as_ref() != Some(&line) && !line.is_empty())
            .then(|| format!("TaskSpawner/{name}  {line}"))
    }

    pub(super) fn spawner_gone(&mut self, spawner: &TaskSpawner) {
        self.spawners.remove(&spawner.name_any());
    }

    /// Whether nothing more will happen: the declared Tasks are there, every Task has finished, and
    /// every spawner has looked and has nothing waiting.
    pub(super) fn is_settled(&self, declared: &BTreeSet<ObjectName>) -> bool {
        declared
            .iter()
            .all(|name| self.tasks.contains_key(name.as_str()))
            && self.tasks.values().all(is_finished)
            && self.spawners.values().all(has_looked)
    }

    /// Whether nothing goes on until a person does something.
    pub(super) fn is_stuck(&self) -> bool {
        let mut open = self
            .tasks
            .values()
            .filter(|task| !is_finished(task))
            .peekable();
        open.peek().is_some() && open.all(waits_for_a_person)
    }

    /// Whether all Tasks succeeded and all spawners work.
    pub(super) fn is_success(&self) -> bool {
        self.tasks
            .values()
            .all(|task| phase(task) == Some(TaskPhase::Succeeded))
            && self.spawners.values().all(|spawner| !has_failed(spawner))
    }

    /// All outputs, for people and for scripts.
    pub(super) fn outcome(&self) -> String {
        let mut text = String::new();
        for (name, task) in &self.tasks {
            // Writing to a String cannot fail.
            writeln!(text, "Task/{name}  {}", headline(task.status.as_ref())).ok();
            let Some(status) = &task.status else { continue };
            for output in &status.outputs {
                writeln!(text, "  {output}").ok();
            }
            for (key, value) in &status.results {
                writeln!(text, "  {key}: {value}").ok();
            }
        }
        for (name, spawner) in &self.spawners {
            writeln!(text, "TaskSpawner/{name}  {}", spawner_line(spawner)).ok();
        }
        text
    }
}

fn phase(task: &Task) -> Option<TaskPhase> {
    task.status.as_ref()?.phase
}

fn is_finished(task: &Task) -> bool {
    matches!(phase(task), Some(TaskPhase::Succeeded | TaskPhase::Failed))
}

fn waits_for_a_person(task: &Task) -> bool {
    let last = task
        .status
        .as_ref()
        .and_then(|status| status.conditions.last());
    last.is_some_and(|it| it.type_ == "Started" && controller::waits_for_a_person(&it.reason))
}

/// Phase, and why it is what it is where that is not plain.
fn headline(status: Option<&TaskStatus>) -> String {
    let Some(status) = status else {
        return "Pending".into();
    };
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

fn spawner_line(spawner: &TaskSpawner) -> String {
    let Some(status) = &spawner.status else {
        return String::new();
    };
    let mut parts = Vec::new();
    if has_failed(spawner) {
        parts.extend(
            status
                .conditions
                .last()
                .map(|it| format!("{}: {}", it.reason, it.message)),
        );
    }
    parts.extend(
        status
            .total_discovered
            .map(|count| format!("{count} discovered")),
    );
    parts.extend(
        status
            .next_schedule_time
            .as_ref()
            .map(|time| format!("next {}", time.0)),
    );
    parts.join(", ")
}

fn has_failed(spawner: &TaskSpawner) -> bool {
    let conditions = spawner.status.iter().flat_map(|status| &status.conditions);
    conditions
        .into_iter()
        .any(|it| it.type_ == "Ready" && it.status == "False")
}

fn has_looked(spawner: &TaskSpawner) -> bool {
    let Some(status) = &spawner.status else {
        return false;
    };
    let current = status.observed_generation == spawner.metadata.generation;
    let looked = status.conditions.iter().any(|it| it.type_ == "Ready");
    current && looked && status.active_tasks.unwrap_or_default() == 0
}
