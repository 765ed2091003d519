//! What goes wrong: how long to wait before the next try.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

/// After the first failure, which mostly means that someone else wrote first; it doubles with each.
const FIRST: Duration = Duration::from_millis(200);
/// A person who put something right does not wait longer than this.
const LONGEST: Duration = Duration::from_secs(30);

/// How often in a row something failed, by the UID of the object.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<HashMap<String, u32>>);

impl Failures {
    /// Notes a failure; gives the pause before the next try.
    pub(super) fn failed(&self, uid: &str) -> Duration {
        let mut counts = self.counts();
        let count = counts.entry(uid.to_owned()).or_default();
        let factor = 2_u32.checked_pow(*count).unwrap_or(u32::MAX);
        *count = count.saturating_add(1);
        FIRST.saturating_mul(factor).min(LONGEST)
    }

    pub(super) fn succeeded(&self, uid: &str) {
        self.counts().remove(uid);
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<String, u32>> {
        // Counts are whole at any time.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_cap_and_begin_anew_after_a_success() {
        let failures = Failures::default();
        let mut pauses = Vec::new();
        for _ in 0..40 {
            pauses.push(failures.failed("a").as_millis());
        }
        assert_eq!(pauses[..4], [200, 400, 800, 1600]);
        assert_eq!(pauses[7..10], [25_600, 30_000, 30_000]);
        assert_eq!(pauses[39], 30_000);
        assert_eq!(failures.failed("b"), FIRST);
        failures.succeeded("a");
        assert_eq!(failures.failed("a"), FIRST);
    }
}
