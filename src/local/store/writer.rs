//! The one writer: takes requests from a queue, commits many at once, then tells everyone.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::RwLock;
use std::sync::mpsc;

use serde_json::Value;
use tokio::sync::watch;

use super::database::Database;
use super::key::Key;
use super::memory::Change;
use super::memory::Entry;
use super::memory::Event;
use super::memory::Memory;

/// How many writes share one sync of the disk.
const MAX_BATCH: usize = 64;

/// What the object must be like for a write to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// It is not there; the object it is to be in, if any, is, and is not being deleted.
    Absent {
        within: Option<Key>,
    },
    Revision(u64),
}

/// What a write does.
#[derive(Debug)]
pub(crate) enum Action {
    Put(Value),
    Delete,
    /// A last state that watches see, and the deletion after it.
    Retire(Value),
}

/// Why a write did not happen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WriteError {
    /// The object is not what was expected. The caller looks again.
    #[error("the object has changed meanwhile")]
    Changed,
    #[error("cannot write to the store: {0}")]
    Disk(String),
    #[error("the store is closed")]
    Closed,
}

/// A request to the writer.
pub(super) struct Request {
    pub(super) key: Key,
    pub(super) expected: Expected,
    pub(super) action: Action,
    pub(super) reply: mpsc::SyncSender<Result<Arc<Entry>, WriteError>>,
}

/// What the writer tells everyone.
pub(super) struct Signals {
    /// The newest revision.
    pub(super) tip: watch::Sender<u64>,
    /// Why the disk takes no more.
    pub(super) broken: watch::Sender<Option<String>>,
}

/// Serves `requests` until every sender is gone.
pub(super) fn run(
    mut database: Database,
    memory: &RwLock<Memory>,
    requests: &mpsc::Receiver<Request>,
    signals: &Signals,
) {
    while let Ok(first) = requests.recv() {
        // After a failed commit nobody knows what of it is on disk: its revisions must not be used
        // again before the file has been read anew.
        let why = signals.broken.borrow().clone();
        if let Some(why) = why {
            answer(&first.reply, Err(WriteError::Disk(why)));
            continue;
        }
        let mut batch = vec![first];
        batch.extend(requests.try_iter().take(MAX_BATCH - 1));
        serve(&mut database, memory, batch, signals);
    }
}

fn serve(database: &mut Database, memory: &RwLock<Memory>, batch: Vec<Request>, signals: &Signals) {
    let mut draft = Draft::new(memory);
    let mut accepted = Vec::new();
    for request in batch {
        match draft.add(&request.key, &request.expected, request.action) {
            Some(entry) => accepted.push((request.reply, entry)),
            None => answer(&request.reply, Err(WriteError::Changed)),
        }
    }
    if accepted.is_empty() {
        return;
    }
    let Draft {
        revision,
        changes,
        events,
        ..
    } = draft;
    if let Err(error) = database.commit(revision, &changes) {
        let why = error.to_string();
        signals.broken.send_replace(Some(why.clone()));
        let error = WriteError::Disk(why);
        for (reply, _) in accepted {
            answer(&reply, Err(error.clone()));
        }
        return;
    }
    {
        let mut memory = memory.write().expect("no holder of this lock panics");
        for event in events {
            memory.apply(event);
        }
    }
    signals.tip.send_replace(revision);
    for (reply, entry) in accepted {
        answer(&reply, Ok(entry));
    }
}

fn answer(
    reply: &mpsc::SyncSender<Result<Arc<Entry>, WriteError>>,
    result: Result<Arc<Entry>, WriteError>,
) {
    // Whoever asked may have gone; the write stands all the same.
    reply.send(result).ok();
}

/// A batch while it is put together: the memory, and what the batch has changed so far.
struct Draft<'a> {
    memory: &'a RwLock<Memory>,
    revision: u64,
    pending: HashMap<Key, Option<Arc<Entry>>>,
    changes: Vec<(Key, Option<Arc<Entry>>)>,
    events: Vec<Event>,
}

impl<'a> Draft<'a> {
    fn new(memory: &'a RwLock<Memory>) -> Self {
        let revision = memory
            .read()
            .expect("no holder of this lock panics")
            .revision();
        Self {
            memory,
            revision,
            pending: HashMap::new(),
            changes: Vec::new(),
            events: Vec::new(),
        }
    }

    fn current(&self, key: &Key) -> Option<Arc<Entry>> {
        if let Some(pending) = self.pending.get(key) {
            return pending.clone();
        }
        let memory = self.memory.read().expect("no holder of this lock panics");
        memory.get(key).cloned()
    }

    /// None if the object is not as expected.
    fn add(&mut self, key: &Key, expected: &Expected, action: Action) -> Option<Arc<Entry>> {
        if let Action::Retire(last) = action {
            let last = self.add(key, expected, Action::Put(last))?;
            return self.add(key, &Expected::Revision(last.revision), Action::Delete);
        }
        let before = self.current(key);
        let fits = match (expected, &before) {
            (Expected::Absent { within: None }, None) => true,
            (Expected::Absent { within: Some(it) }, None) => {
                self.current(it).is_some_and(|it| !it.is_deleting)
            }
            (Expected::Revision(revision), Some(entry)) => entry.revision == *revision,
            (Expected::Absent { .. }, Some(_)) | (Expected::Revision(_), None) => false,
        };
        if !fits {
            return None;
        }
        let revision = self.revision + 1;
        let (now, change, kept) = match (action, before) {
            (Action::Put(mut object), None) => {
                let now = Arc::new(Entry::new(revision, &mut object));
                let change = Change::Added(Arc::clone(&now));
                (Arc::clone(&now), change, Some(now))
            }
            (Action::Put(mut object), Some(before)) => {
                let now = Arc::new(Entry::new(revision, &mut object));
                let change = Change::Modified {
                    before,
                    now: Arc::clone(&now),
                };
                (Arc::clone(&now), change, Some(now))
            }
            (Action::Delete, Some(before)) => {
                let now = Arc::new(Entry::new(revision, &mut before.object()));
                let change = Change::Deleted {
                    before,
                    now: Arc::clone(&now),
                };
                (now, change, None)
            }
            (Action::Delete | Action::Retire(_), _) => return None,
        };
        self.revision = revision;
        self.pending.insert(key.clone(), kept.clone());
        self.changes.push((key.clone(), kept));
        self.events.push(Event {
            key: key.clone(),
            change,
        });
        Some(now)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Store;
    use super::*;

    #[test]
    fn nothing_is_made_in_what_goes() {
        let store = Store::open(None).unwrap();
        let (house, room) = (Key::new("namespaces", "", "a"), Key::new("rooms", "a", "x"));
        let make = || {
            let within = Some(house.clone());
            let put = Action::Put(json!({"metadata": {"name": "x", "namespace": "a"}}));
            store.write(&room, Expected::Absent { within }, put)
        };
        assert!(matches!(make(), Err(WriteError::Changed)), "no house");
        let put = Action::Put(json!({"metadata": {"name": "a"}}));
        let there = store.write(&house, Expected::Absent { within: None }, put);
        let revision = Expected::Revision(there.unwrap().revision);
        make().unwrap();
        let going = json!({"metadata": {"name": "a", "deletionTimestamp": "2026-01-01T00:00:00Z"}});
        store.write(&house, revision, Action::Put(going)).unwrap();
        let gone = store.get(&room).unwrap().revision;
        let delete = store.write(&room, Expected::Revision(gone), Action::Delete);
        delete.unwrap();
        assert!(matches!(make(), Err(WriteError::Changed)), "it goes");
    }
}
