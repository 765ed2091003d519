//! When a delivery is passed on: at once, a little later, or not at all because another one is.
//!
//! Nothing that happened is lost: a delivery that comes after a look was asked for, and tells
//! something else, asks for one more. But that one look stands for all that come until then.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::Digest;

/// Least time between two looks that deliveries ask for.
pub(super) const GAP: Duration = Duration::from_secs(1);
/// How long a delivery that came again is known to be the same. Later ones may be someone's wish:
/// GitHub has a button for it.
const REPEAT: Duration = Duration::from_secs(10);
/// Deliveries that are remembered. Of more than that, one costs a look too many.
const REMEMBERED: usize = 32;

/// What was asked for on behalf of one RepoSync.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent {
    asked: Option<Instant>,
    /// What the look that was asked for tells of.
    covered: Vec<Digest>,
    /// What the look that is still to be asked for will tell of.
    waiting: Option<Vec<Digest>>,
}

/// What becomes of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Ask for a look.
    Now,
    /// Ask for one then, and call [`Recent::begins`].
    At(Instant),
    /// Another one's look is enough.
    Covered,
}

impl Recent {
    /// A delivery came.
    pub(super) fn take(&mut self, mark: Digest, now: Instant) -> Turn {
        if let Some(waiting) = &mut self.waiting {
            remember(waiting, mark);
            return Turn::Covered;
        }
        let since = self.asked.map(|asked| now.saturating_duration_since(asked));
        match (self.asked, since) {
            (Some(_), Some(since)) if since < REPEAT && self.covered.contains(&mark) => {
                Turn::Covered
            }
            (Some(asked), Some(since)) if since < GAP => {
                self.waiting = Some(vec![mark]);
                Turn::At(asked + GAP)
            }
            (_, _) => {
                self.asked = Some(now);
                self.covered = vec![mark];
                Turn::Now
            }
        }
    }

    /// The look that was waited for is asked for now.
    pub(super) fn begins(&mut self, now: Instant) {
        self.covered = self.waiting.take().unwrap_or_default();
        self.asked = Some(now);
    }

    /// The look could not be asked for: the same delivery may try again.
    pub(super) fn failed(&mut self) {
        self.covered.clear();
    }

    /// Whether there is nothing left to remember.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        let old = |asked| now.saturating_duration_since(asked) >= REPEAT;
        self.waiting.is_none() && self.asked.is_none_or(old)
    }
}

fn remember(marks: &mut Vec<Digest>, mark: Digest) {
    if marks.len() < REMEMBERED && !marks.contains(&mark) {
        marks.push(mark);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Deliveries as (milliseconds, what they tell), and when looks are asked for.
    fn check(deliveries: &[(u64, &str)], expected: &[u64]) {
        let start = Instant::now();
        let mut recent = Recent::default();
        let mut asked = Vec::new();
        let mut waiting = None;
        for (millis, tells) in deliveries {
            let now = start + Duration::from_millis(*millis);
            if let Some(then) = waiting.filter(|then| *then <= now) {
                recent.begins(then);
                asked.push(then);
                waiting = None;
            }
            match recent.take(Digest::of(tells), now) {
                Turn::Now => asked.push(now),
                Turn::At(then) => waiting = Some(then),
                Turn::Covered => {}
            }
        }
        asked.extend(waiting);
        let asked: Vec<_> = asked
            .iter()
            .map(|it| u64::try_from((*it - start).as_millis()).unwrap())
            .collect();
        assert_eq!(asked, expected, "{deliveries:?}");
    }

    #[test]
    fn looks() {
        check(&[(0, "a")], &[0]);
        // The same again, until it may be meant.
        check(&[(0, "a"), (1, "a"), (999, "a"), (9_999, "a")], &[0]);
        check(&[(0, "a"), (10_000, "a")], &[0, 10_000]);
        // Something else came after the look was asked for: one more, for all of them.
        check(
            &[(0, "a"), (1, "b"), (2, "c"), (3, "a"), (999, "b")],
            &[0, 1_000],
        );
        check(
            &[(0, "a"), (1, "b"), (1_500, "b"), (1_600, "c")],
            &[0, 1_000, 2_000],
        );
        check(&[(0, "a"), (1_000, "b")], &[0, 1_000]);
        let many: Vec<_> = (0..10_000).map(|_| (5, "a")).collect();
        check(&many, &[5]);
    }

    #[test]
    fn what_failed_may_come_again() {
        let now = Instant::now();
        let mut recent = Recent::default();
        assert_eq!(recent.take(Digest::of("a"), now), Turn::Now);
        recent.failed();
        assert_eq!(recent.take(Digest::of("a"), now), Turn::At(now + GAP));
        assert!(!recent.is_over(now + REPEAT));
        recent.begins(now + GAP);
        assert!(recent.is_over(now + GAP + REPEAT));
    }

    #[test]
    fn memory_is_bounded() {
        let now = Instant::now();
        let mut recent = Recent::default();
        for number in 0..1_000_u32 {
            recent.take(Digest::of(number.to_string()), now);
        }
        assert!(recent.waiting.is_some_and(|it| it.len() == REMEMBERED));
    }
}
