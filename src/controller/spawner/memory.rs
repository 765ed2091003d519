//! What the controller remembers of a spawner between two looks at it. Losing it costs a poll.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;

use jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;

use super::trouble::Trouble;
use crate::api::TaskSpawner;
use crate::sources::Found;
use crate::sources::github::GitHub;

/// Items that are kept until a slot is free. Beyond these it is cheaper to ask again.
pub(super) const MAX_WAITING: usize = 50;

/// Refused items that are kept: a condition tells the first of them.
pub(super) const MAX_REFUSED: usize = 20;

/// What the last poll of a spawner left.
#[derive(Clone, Debug)]
pub(super) struct Poll {
    /// The object that was polled for, and the generation of its spec.
    pub(super) of: (String, i64),
    /// Until when the source is left alone.
    pub(super) rest: Timestamp,
    /// How often in a row it failed.
    pub(super) failures: u32,
    /// Items that could not start yet.
    pub(super) waiting: Vec<Found>,
    /// Whether more are waiting than are kept.
    pub(super) more: bool,
    /// Where their comments are.
    pub(super) github: Option<GitHub>,
    /// What was wrong with the source.
    pub(super) trouble: Option<Trouble>,
    /// What was wrong with items that were found and cannot start as they are.
    pub(super) refused: Vec<Trouble>,
}

impl Poll {
    /// Whether what is remembered still stands for the source.
    pub(super) fn is_fresh(&self, of: &(String, i64), now: Timestamp) -> bool {
        let used_up = self.more && self.waiting.is_empty();
        self.of == *of && now < self.rest && !used_up
    }
}

/// The last poll of each spawner, and its API errors in a row.
#[derive(Debug, Default)]
pub(super) struct Memory {
    polls: Mutex<HashMap<ObjectRef<TaskSpawner>, Poll>>,
    errors: Mutex<HashMap<ObjectRef<TaskSpawner>, u32>>,
}

impl Memory {
    pub(super) fn poll(&self, spawner: &ObjectRef<TaskSpawner>) -> Option<Poll> {
        lock(&self.polls).get(spawner).cloned()
    }

    pub(super) fn keep(&self, spawner: ObjectRef<TaskSpawner>, poll: Poll) {
        lock(&self.polls).insert(spawner, poll);
    }

    /// Counts an error of the API server; how many there were in a row before it.
    pub(super) fn count_error(&self, spawner: ObjectRef<TaskSpawner>) -> u32 {
        let mut errors = lock(&self.errors);
        let count = errors.entry(spawner).or_default();
        *count = count.saturating_add(1);
        *count - 1
    }

    pub(super) fn clear_errors(&self, spawner: &ObjectRef<TaskSpawner>) {
        lock(&self.errors).remove(spawner);
    }

    /// Drops what is remembered of spawners that are gone. Of the `alive` that there are each is
    /// remembered once at most: only where more are, all are looked through.
    pub(super) fn retain(&self, alive: usize, exists: impl Fn(&ObjectRef<TaskSpawner>) -> bool) {
        let mut polls = lock(&self.polls);
        if polls.len() > alive {
            polls.retain(|spawner, _| exists(spawner));
        }
        let mut errors = lock(&self.errors);
        if errors.len() > alive {
            errors.retain(|spawner, _| exists(spawner));
        }
    }
}

/// A panic while the lock was held leaves a whole map: each change is one insertion.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
