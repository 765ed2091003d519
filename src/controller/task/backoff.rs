//! How long to wait after a failure: the one place that decides it.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use kube::core::DeserializeGuard;
use kube::runtime::reflector::ObjectRef;

use crate::api::Task;
use crate::controller::conflicts::Conflicts;

/// After the first failure, and at most.
const FIRST: Duration = Duration::from_millis(500);
const LAST: Duration = Duration::from_mins(1);

/// A Task as the controller's store knows it.
type Key = ObjectRef<DeserializeGuard<Task>>;

/// Failures in a row. Tasks without failures are not held.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: Mutex<HashMap<Key, u32>>,
    conflicts: Conflicts<Key>,
}

impl Backoff {
    /// How long to wait, now that reconciling `task` failed once more.
    pub(super) fn failed(&self, task: Key, is_conflict: bool) -> Duration {
        if is_conflict {
            return self.conflicts.again(task);
        }
        let mut failures = self.lock();
        let count = failures.entry(task).or_insert(0);
        let wait = FIRST.saturating_mul(1 << (*count).min(16)).min(LAST);
        *count = count.saturating_add(1);
        wait
    }

    /// Forgets the failures of `task`.
    pub(super) fn succeeded(&self, task: &Key) {
        self.lock().remove(task);
        self.conflicts.over(task);
    }

    /// Forgets the failures of Tasks that are gone.
    pub(super) fn retain(&self, exists: impl Fn(&Key) -> bool) {
        self.lock().retain(|task, _| exists(task));
        self.conflicts.retain(exists);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, u32>> {
        // A count is whole at any moment, whoever panicked.
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_waits_longer_until_one_succeeds() {
        let task = Key::new("a").within("team");
        let backoff = Backoff::default();
        let waits: Vec<_> = (0..40)
            .map(|_| backoff.failed(task.clone(), false))
            .collect();
        assert_eq!(waits[..3], [FIRST, FIRST * 2, FIRST * 4]);
        assert_eq!(waits[39], LAST);
        // Who else writes is done at once, as a rule.
        let (first, second) = (
            backoff.failed(task.clone(), true),
            backoff.failed(task.clone(), true),
        );
        assert!(first < FIRST && second > first, "{first:?} {second:?}");
        backoff.succeeded(&task);
        assert_eq!(backoff.failed(task.clone(), true), first);
        assert_eq!(backoff.failed(task, false), FIRST);
    }

    #[test]
    fn who_is_gone_is_forgotten() {
        let backoff = Backoff::default();
        for name in ["a", "b"] {
            backoff.failed(Key::new(name).within("team"), false);
        }
        backoff.retain(|task| task.name == "b");
        let kept: Vec<String> = backoff.lock().keys().map(|it| it.name.clone()).collect();
        assert_eq!(kept, ["b"]);
    }
}
