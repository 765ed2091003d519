//! What is due for a RepoSync, and when to look again. Pure.

use std::time::Duration;

use jiff::Timestamp;

use super::gate::Answers;
use super::memory::Drift;
use super::memory::Memory;
use super::reason::Class;
use super::retry;

/// Corrections of drift that lie further back are forgotten.
const DRIFT_MEMORY: Duration = Duration::from_mins(10);

/// What is asked of a RepoSync, apart from its spec.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    /// The value of `axon.io/reconcileAt`.
    pub(super) at: Option<String>,
    pub(super) answers: Answers,
    /// Whether what others change is taken back.
    pub(super) drift_correction: bool,
    /// When the first change of its objects was seen that was not looked at.
    pub(super) touched: Option<Timestamp>,
}

/// What is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) poll: Option<Poll>,
    /// Compare the configuration that is known with the namespace.
    pub(super) attempt: bool,
    /// Only one that was just read: another may have applied a newer one meanwhile.
    pub(super) only_fresh: bool,
    /// The namespace was touched.
    pub(super) drift: bool,
}

/// Why the repository is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Poll {
    /// It is time.
    InTurn,
    /// The configuration is about to be compared again: an older one could undo what a newer one did.
    First,
    /// Somebody wants it now: no older answer will do.
    Called,
}

/// What is due at `now`.
pub(super) fn due(memory: &Memory, asked: &Asked, now: Timestamp) -> Due {
    let called = asked.at.is_some() && asked.at != memory.handled;
    let drift = drift_at(memory, asked, now).is_some_and(|at| now >= at);
    let known = memory.attempt.as_ref();
    // What somebody answers to is the plan that he saw.
    let answered = known.is_some_and(|attempt| match attempt.outcome.class() {
        Class::Waiting | Class::Stalled => attempt.answers != asked.answers,
        Class::Done | Class::Transient => false,
    });
    let again = known.is_some_and(|attempt| {
        let is_time = attempt.retry.is_some_and(|at| now >= at);
        is_time || drift || (called && !memory.is_settled())
    });
    let is_readable = memory.poll.trouble.is_none();
    let poll = if called {
        Some(Poll::Called)
    } else if now >= memory.poll.next {
        Some(Poll::InTurn)
    } else {
        (again && is_readable).then_some(Poll::First)
    };
    let only_fresh = memory.is_kept_out();
    Due {
        poll,
        attempt: answered || (again && (poll.is_some() || !only_fresh)),
        only_fresh,
        drift,
    }
}

/// How long nothing is due, if nobody does anything.
pub(super) fn rest(memory: &Memory, asked: &Asked, now: Timestamp) -> Duration {
    if memory.is_kept_out() && memory.poll.trouble.is_some() {
        let until_read = memory.poll.next.duration_since(now);
        return Duration::try_from(until_read).unwrap_or_default();
    }
    let retry = memory.attempt.as_ref().and_then(|it| it.retry);
    let times = [Some(memory.poll.next), retry, drift_at(memory, asked, now)];
    let next = times.into_iter().flatten().min().unwrap_or(now);
    Duration::try_from(next.duration_since(now)).unwrap_or_default()
}

/// When what others changed is to be looked at; never, where it is to be left alone.
fn drift_at(memory: &Memory, asked: &Asked, now: Timestamp) -> Option<Timestamp> {
    let touched = asked.touched?;
    // What stands in the way of a sync is no drift.
    let matters = memory.attempt.is_some() && (asked.drift_correction || !memory.is_settled());
    matters.then(|| later(touched, retry::quiet(memory.drift.lately(now).corrections)))
}

impl Drift {
    /// What still counts at `now`.
    pub(super) fn lately(self, now: Timestamp) -> Self {
        if later(self.last, DRIFT_MEMORY) < now {
            Self::default()
        } else {
            self
        }
    }

    /// With one more.
    pub(super) fn with_one_more(self, now: Timestamp) -> Self {
        Self {
            corrections: self.lately(now).corrections.saturating_add(1),
            last: now,
        }
    }
}

/// `wait` after `time`.
pub(super) fn later(time: Timestamp, wait: Duration) -> Timestamp {
    time.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
