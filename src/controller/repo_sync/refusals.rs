//! How soon to write again about a RepoSync where the API server does not take what is written.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use jiff::Timestamp;

use super::claims::Name;
use super::retry;
use crate::model::Digest;

/// Writes about RepoSyncs that failed in a row, other than because somebody else wrote first.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<HashMap<Name, u32>>);

impl Refusals {
    /// How long to wait, now that a write about `sync` has failed once more.
    pub(super) fn again(&self, sync: Name, now: Timestamp) -> Duration {
        let name = sync.to_string();
        let seed = Digest::of_fields([name.as_bytes(), &now.as_nanosecond().to_be_bytes()[..]]);
        let mut counts = self.lock();
        let count = counts.entry(sync).or_insert(0);
        *count = count.saturating_add(1);
        retry::backoff(*count, &seed)
    }

    /// A write has come through, or none was needed.
    pub(super) fn over(&self, sync: &Name) {
        self.lock().remove(sync);
    }

    /// Forgets those that are gone.
    pub(super) fn retain(&self, exists: impl Fn(&Name) -> bool) {
        self.lock().retain(|name, _| exists(name));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Name, u32>> {
        // A count is whole at any moment, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_may_wait_longer_until_one_is_over() {
        let refusals = Refusals::default();
        let name = |name: &str| Name::new(name).within("agents");
        let longest = |of: &str, times: usize| {
            let waits = (0..times).map(|_| refusals.again(name(of), Timestamp::UNIX_EPOCH));
            waits.max().unwrap()
        };
        assert!(longest("a", 1) <= Duration::from_secs(1));
        assert!(longest("a", 40) > Duration::from_secs(20));
        refusals.over(&name("a"));
        assert!(longest("a", 1) <= Duration::from_secs(1));
        assert!(longest("b", 1) <= Duration::from_secs(1));
        refusals.retain(|it| *it == name("b"));
        assert_eq!(refusals.lock().len(), 1);
    }
}
