//! How long to wait after a failure: the one place that decides it.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use kube::Resource;

/// After the first failure, and at most.
const FIRST: Duration = Duration::from_millis(500);
const LAST: Duration = Duration::from_mins(1);
/// After a write that somebody else's write came before.
const CONFLICT: Duration = Duration::from_millis(50);

/// Failures in a row, by the object's UID. Objects without failures are not held.
#[derive(Debug, Default)]
pub(super) struct Backoff(Mutex<HashMap<String, u32>>);

impl Backoff {
    /// How long to wait, now that reconciling `object` failed once more.
    pub(super) fn failed(&self, object: &impl Resource, is_conflict: bool) -> Duration {
        let Some(uid) = &object.meta().uid else {
            return LAST;
        };
        if is_conflict {
            return CONFLICT;
        }
        let mut failures = self.lock();
        let count = failures.entry(uid.clone()).or_insert(0);
        let wait = FIRST.saturating_mul(1 << (*count).min(16)).min(LAST);
        *count = count.saturating_add(1);
        wait
    }

    /// Forgets the failures of `object`.
    pub(super) fn succeeded(&self, object: &impl Resource) {
        if let Some(uid) = &object.meta().uid {
            self.lock().remove(uid);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, u32>> {
        // A count is whole at any moment, whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::api::ObjectMeta;

    use super::*;

    #[test]
    fn each_failure_waits_longer_until_one_succeeds() {
        let object = ConfigMap {
            metadata: ObjectMeta {
                uid: Some("u".into()),
                ..ObjectMeta::default()
            },
            ..ConfigMap::default()
        };
        let backoff = Backoff::default();
        let waits: Vec<_> = (0..40).map(|_| backoff.failed(&object, false)).collect();
        assert_eq!(waits[..3], [FIRST, FIRST * 2, FIRST * 4]);
        assert_eq!(waits[39], LAST);
        assert_eq!(backoff.failed(&object, true), CONFLICT);
        backoff.succeeded(&object);
        assert_eq!(backoff.failed(&object, false), FIRST);
    }
}
