//! How soon to look again where somebody else wrote first. That is over at once as a rule; where it is not,
//! a cache is behind, and asking does not make it faster.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

/// After the first conflict, and at most.
const FIRST: Duration = Duration::from_millis(50);
const LAST: Duration = Duration::from_secs(5);

/// Conflicts in a row, by object. Objects without conflicts are not held.
#[derive(Debug)]
pub(super) struct Conflicts<K>(Mutex<HashMap<K, u32>>);

impl<K> Default for Conflicts<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash> Conflicts<K> {
    /// How long to wait, now that somebody else wrote first once more.
    pub(super) fn again(&self, object: K) -> Duration {
        let mut counts = self.lock();
        let count = counts.entry(object).or_insert(0);
        let wait = FIRST.saturating_mul(1 << (*count).min(16)).min(LAST);
        *count = count.saturating_add(1);
        wait
    }

    /// A write has come through, or none was needed.
    pub(super) fn over(&self, object: &K) {
        self.lock().remove(object);
    }

    /// Forgets objects that are gone.
    pub(super) fn retain(&self, exists: impl Fn(&K) -> bool) {
        self.lock().retain(|object, _| exists(object));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, u32>> {
        // A count is whole at any moment, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_conflict_waits_longer_until_one_is_over() {
        let conflicts = Conflicts::default();
        let waits: Vec<_> = (0..40).map(|_| conflicts.again("a")).collect();
        assert_eq!(waits[..3], [FIRST, FIRST * 2, FIRST * 4]);
        assert_eq!(waits[39], LAST);
        assert_eq!(conflicts.again("b"), FIRST);
        conflicts.over(&"a");
        assert_eq!(conflicts.again("a"), FIRST);
        conflicts.retain(|it| *it == "b");
        assert_eq!(conflicts.lock().len(), 1);
    }
}
