//! Who waits for whom among the Tasks that have not finished: built from the watch, so that the end
//! of one Task wakes those that wait for it without a look at all others.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use futures::Stream;
use futures::stream;
use jiff::Timestamp;
use kube::ResourceExt;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher::Event;
use tokio::sync::Notify;

use super::branch;
use super::reason::Waiting;
use super::status;
use crate::api::Task;

/// A Task as the watch knows it.
type Watched = DeserializeGuard<Task>;

/// A Task: its namespace and name.
type Key = (String, String);

/// Where a Task stands in the line for a branch: the oldest first.
type Place = (Option<Timestamp>, String);

/// The unfinished Tasks by what they wait for. One is shared by the watch and all looks.
#[derive(Debug, Default)]
pub(super) struct Index {
    state: Mutex<State>,
    woken: Notify,
}

#[derive(Debug, Default)]
struct State {
    tasks: HashMap<Key, Entry>,
    dependants: HashMap<Key, BTreeSet<String>>,
    /// By namespace and Lease: those that stand in line.
    lines: HashMap<Key, BTreeSet<Place>>,
    /// Tasks of a list that is coming in.
    listed: Option<HashSet<Key>>,
    /// Tasks that are to be looked at. No larger than the number of Tasks.
    due: BTreeSet<Key>,
}

/// What an unfinished Task asks for.
#[derive(Debug, Default, PartialEq)]
struct Entry {
    depends_on: Vec<String>,
    /// The Lease of its branch.
    lease: Option<String>,
    /// Its place, while it stands in line for it.
    place: Option<Place>,
}

impl Index {
    /// Takes note of what the watch saw.
    pub(super) fn note(&self, event: &Event<Watched>) {
        let mut state = self.lock();
        match event {
            Event::Init => state.listed = Some(HashSet::new()),
            Event::InitApply(task) => {
                let key = key(task);
                state.set(&key, entry(task));
                state.listed.get_or_insert_default().insert(key);
            }
            Event::InitDone => {
                let listed = state.listed.take().unwrap_or_default();
                let gone = state.tasks.keys().filter(|it| !listed.contains(*it));
                for key in gone.cloned().collect::<Vec<_>>() {
                    state.set(&key, None);
                    state.wake(&key);
                }
            }
            Event::Apply(task) => {
                let key = key(task);
                state.set(&key, entry(task));
                state.wake(&key);
            }
            Event::Delete(task) => {
                let key = key(task);
                state.set(&key, None);
                state.wake(&key);
            }
        }
        if !state.due.is_empty() {
            self.woken.notify_one();
        }
    }

    /// Whether an unfinished Task depends on this one.
    pub(super) fn is_needed(&self, task: &Task) -> bool {
        let key = (task.namespace().unwrap_or_default(), task.name_any());
        self.lock().dependants.contains_key(&key)
    }

    /// The first in line for the branch of `task`, if that is another.
    pub(super) fn ahead(&self, task: &Task) -> Option<String> {
        let line = (
            task.namespace().unwrap_or_default(),
            branch::lease_name(task)?,
        );
        let own = place(task);
        let state = self.lock();
        let first = state.lines.get(&line)?.first()?;
        (*first < own).then(|| first.1.clone())
    }

    /// Tasks to look at because one that they wait for has changed.
    pub(super) fn woken(self: Arc<Self>) -> impl Stream<Item = ObjectRef<Watched>> + Send {
        stream::unfold(self, |index| async move {
            loop {
                let next = index.lock().due.pop_first();
                if let Some((namespace, name)) = next {
                    return Some((ObjectRef::new(&name).within(&namespace), index));
                }
                index.woken.notified().await;
            }
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave it half written: nothing in here panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Replaces what is known of one Task.
    fn set(&mut self, key: &Key, new: Option<Entry>) {
        let old = self.tasks.remove(key).unwrap_or_default();
        let (namespace, name) = key;
        let at = |other: &String| (namespace.clone(), other.clone());
        for other in &old.depends_on {
            let last = leave(&mut self.dependants, &at(other), name);
            if last && new.is_none() {
                // It may have been kept for this one.
                self.due.insert(at(other));
            }
        }
        if let (Some(lease), Some(place)) = (&old.lease, &old.place) {
            let _ = leave(&mut self.lines, &at(lease), place);
        }
        // Whoever is first now may have been waiting for this one to go.
        let lines = [&old.lease, &new.as_ref().and_then(|it| it.lease.clone())]
            .map(|it| it.as_ref().map(at));
        if let Some(new) = new {
            for other in &new.depends_on {
                let waiting = self.dependants.entry(at(other)).or_default();
                waiting.insert(name.clone());
            }
            if let (Some(lease), Some(place)) = (&new.lease, &new.place) {
                let line = self.lines.entry(at(lease)).or_default();
                line.insert(place.clone());
            }
            self.tasks.insert(key.clone(), new);
        }
        for line in lines.into_iter().flatten() {
            let first = self.lines.get(&line).and_then(BTreeSet::first);
            let first = first.filter(|it| it.1 != *name);
            self.due
                .extend(first.map(|it| (namespace.clone(), it.1.clone())));
        }
    }

    /// Those that depend on this Task are to look at it.
    fn wake(&mut self, key: &Key) {
        let waiting = self.dependants.get(key).into_iter().flatten();
        self.due
            .extend(waiting.map(|it| (key.0.clone(), it.clone())));
    }
}

/// Takes one out of a set, and the set out of the map once it is empty: then it gives true.
fn leave<T: Ord>(sets: &mut HashMap<Key, BTreeSet<T>>, key: &Key, one: &T) -> bool {
    let Some(set) = sets.get_mut(key) else {
        return false;
    };
    set.remove(one);
    let is_empty = set.is_empty();
    if is_empty {
        sets.remove(key);
    }
    is_empty
}

/// What a Task asks for; nothing if it has finished, is being deleted or cannot be read.
fn entry(task: &Watched) -> Option<Entry> {
    let task = task.0.as_ref().ok()?;
    let status = task.status.clone().unwrap_or_default();
    if status::is_finished(&status) || task.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let lease = branch::lease_name(task);
    // One that nobody looked at yet may be ready: it keeps its place until it is known.
    let started = status::condition(&status, status::STARTED);
    let in_line = started.is_none_or(|it| it.reason == Waiting::ForBranch.as_str())
        && status.job_name.is_none();
    Some(Entry {
        depends_on: task.spec.depends_on.clone(),
        place: (lease.is_some() && in_line).then(|| place(task)),
        lease,
    })
}

fn place(task: &Task) -> Place {
    let created = task.metadata.creation_timestamp.as_ref().map(|it| it.0);
    (created, task.name_any())
}

fn key(task: &Watched) -> Key {
    (task.namespace().unwrap_or_default(), task.name_any())
}

#[cfg(test)]
mod tests;
