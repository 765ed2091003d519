//! Which Workspaces Tasks use: known from a watch, of which no more than this is kept.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use futures::Stream;
use futures::StreamExt as _;
use kube::ResourceExt as _;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use kube::runtime::watcher::Event;

use super::Watched;
use crate::api::Task;

/// A Task: namespace and name.
type Key = (String, String);

/// The unfinished Tasks that name a Workspace.
#[derive(Debug, Default)]
pub(super) struct Uses(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    tasks: HashMap<Key, Entry>,
    workspaces: HashMap<ObjectRef<Watched>, Use>,
    /// Tasks of a list that is coming in.
    listed: HashSet<Key>,
    /// Starts of all Workspaces.
    starts: u64,
}

#[derive(Debug)]
struct Entry {
    uid: String,
    workspace: ObjectRef<Watched>,
}

/// How a Workspace is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Use {
    /// Tasks that have not finished.
    pub(super) tasks: usize,
    /// Number of the last Task that was seen before its start: no two have the same.
    pub(super) last_start: u64,
}

impl Uses {
    pub(super) fn of(&self, workspace: &ObjectRef<Watched>) -> Use {
        let state = self.lock();
        state.workspaces.get(workspace).copied().unwrap_or_default()
    }

    /// Takes in an event; gives the Workspace that it concerns.
    fn take(&self, event: Event<DeserializeGuard<Task>>) -> Option<ObjectRef<Watched>> {
        let mut state = self.lock();
        match event {
            Event::Init => {
                state.listed.clear();
                None
            }
            Event::InitApply(task) => {
                state.listed.insert(key(&task));
                state.see(&task)
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut state.listed);
                let gone = state.tasks.keys().filter(|it| !listed.contains(*it));
                for task in gone.cloned().collect::<Vec<_>>() {
                    state.forget(&task);
                }
                None
            }
            Event::Apply(task) => state.see(&task),
            Event::Delete(task) => {
                state.forget(&key(&task));
                None
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic leaves at worst a count that is too high: a token is kept for longer.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn see(&mut self, task: &DeserializeGuard<Task>) -> Option<ObjectRef<Watched>> {
        let key = key(task);
        let uid = task.uid().unwrap_or_default();
        if self.tasks.get(&key).is_some_and(|it| it.uid == uid) {
            if !task.0.as_ref().is_ok_and(is_open) {
                self.forget(&key);
            }
            return None;
        }
        self.forget(&key);
        let found = task.0.as_ref().ok().filter(|it| is_open(it))?;
        let name = &found.spec.workspace_ref.as_ref()?.name;
        let workspace = ObjectRef::new(name).within(&key.0);
        let status = found.status.as_ref();
        let is_starting = status.is_none_or(|it| it.job_name.is_none());
        self.starts += u64::from(is_starting);
        let used = self.workspaces.entry(workspace.clone()).or_default();
        used.tasks += 1;
        if is_starting {
            used.last_start = self.starts;
        }
        let entry = Entry {
            uid,
            workspace: workspace.clone(),
        };
        self.tasks.insert(key, entry);
        Some(workspace)
    }

    fn forget(&mut self, task: &Key) {
        let Some(entry) = self.tasks.remove(task) else {
            return;
        };
        if let Some(used) = self.workspaces.get_mut(&entry.workspace) {
            used.tasks = used.tasks.saturating_sub(1);
            if used.tasks == 0 {
                self.workspaces.remove(&entry.workspace);
            }
        }
    }
}

/// The Workspaces that Tasks begin to use.
pub(super) fn wakes(
    uses: Arc<Uses>,
    tasks: impl Stream<Item = watcher::Result<Event<DeserializeGuard<Task>>>> + Send + 'static,
) -> impl Stream<Item = ObjectRef<Watched>> + Send + 'static {
    tasks.filter_map(move |event| {
        let woken = match event {
            Ok(event) => uses.take(event),
            Err(error) => {
                tracing::warn!(%error, "the watch of Tasks was interrupted");
                None
            }
        };
        std::future::ready(woken)
    })
}

/// Whether a Task may still need the repository.
fn is_open(task: &Task) -> bool {
    let status = task.status.as_ref();
    task.metadata.deletion_timestamp.is_none()
        && status.is_none_or(|it| it.completion_time.is_none())
}

fn key(task: &DeserializeGuard<Task>) -> Key {
    (task.namespace().unwrap_or_default(), task.name_any())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json;

    use super::*;

    fn task(name: &str, uid: &str, status: &Value) -> DeserializeGuard<Task> {
        let task = json!({
            "apiVersion": "axon.io/v1alpha1",
            "kind": "Task",
            "metadata": {"name": name, "namespace": "team", "uid": uid},
            "spec": {
                "type": "codex", "prompt": "x", "credentials": {"type": "none"},
                "workspaceRef": {"name": "web"},
            },
            "status": status,
        });
        DeserializeGuard(Ok(serde_json::from_value(task).unwrap()))
    }

    #[test]
    fn a_workspace_is_used_until_its_last_task_ends() {
        let uses = Uses::default();
        let web = ObjectRef::new("web").within("team");
        let is = |tasks, last_start| assert_eq!(uses.of(&web), Use { tasks, last_start });
        let new = || task("a", "1", &json!(null));
        assert_eq!(uses.take(Event::Apply(new())), Some(web.clone()));
        is(1, 1);
        assert_eq!(uses.take(Event::Apply(new())), None, "it is known");
        let runs = task("b", "2", &json!({"jobName": "b"}));
        assert_eq!(uses.take(Event::Apply(runs)), Some(web.clone()));
        is(2, 1);
        let again = task("a", "3", &json!(null));
        assert_eq!(uses.take(Event::Apply(again)), Some(web.clone()));
        is(2, 2);
        let done = json!({"jobName": "b", "completionTime": "2026-01-01T00:00:00Z"});
        uses.take(Event::Apply(task("b", "2", &done)));
        is(1, 2);
        uses.take(Event::Delete(task("a", "3", &json!(null))));
        is(0, 0);
        uses.take(Event::Apply(new()));
        is(1, 3);
    }

    #[test]
    fn a_list_tells_who_is_gone() {
        let uses = Uses::default();
        let web = ObjectRef::new("web").within("team");
        for name in ["a", "b"] {
            uses.take(Event::Apply(task(name, name, &json!(null))));
        }
        uses.take(Event::Init);
        uses.take(Event::InitApply(task("a", "a", &json!(null))));
        uses.take(Event::InitDone);
        assert_eq!(uses.of(&web).tasks, 1);
    }
}
