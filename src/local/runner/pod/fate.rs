//! What ends a Pod from outside: its deletion, its deadline, the end of the node.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::Seen;
use super::Worker;
use crate::local::clock;
use crate::local::events::Note;
use crate::local::runner::status::DEADLINE_EXCEEDED;
use crate::local::runner::status::Verdict;

/// What Kubernetes gives a Pod to end when the Pod does not say.
const DEFAULT_GRACE: i64 = 30;
/// How long containers get when the whole node stops: a person waits for it.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(3);
/// What a sidecar gets at least.
const SIDECAR_GRACE: Duration = Duration::from_secs(2);

impl Worker {
    /// Waits for what changes the Pod's fate, and acts on it.
    pub(super) async fn heed(&mut self) {
        let deadline = self.deadline();
        tokio::select! {
            changed = self.seen.changed(), if !self.is_gone => {
                let seen = match changed {
                    Ok(()) => self.seen.borrow_and_update().clone(),
                    Err(_) => Seen::Gone,
                };
                self.look(seen);
            }
            () = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                self.end_by(Verdict::Deadline, self.grace());
            }
            () = self.stop.cancelled(), if !self.is_stopping => {
                self.is_stopping = true;
                self.end_by(Verdict::Shutdown, self.grace().min(SHUTDOWN_GRACE));
            }
            else => std::future::pending().await,
        }
    }

    pub(super) fn look(&mut self, seen: Seen) {
        match seen {
            Seen::Gone => {
                self.is_gone = true;
                self.end_by(Verdict::Deleted, Duration::ZERO);
            }
            Seen::Present(pod) => {
                self.pod = pod;
                self.progress.generation = self.pod.metadata.generation;
                let meta = &self.pod.metadata;
                if meta.deletion_timestamp.is_some() {
                    let grace = meta.deletion_grace_period_seconds;
                    let grace = grace.map_or_else(|| self.grace(), seconds);
                    self.end_by(Verdict::Deleted, grace);
                }
            }
        }
    }

    /// Asks all containers to end within `grace`. The first reason stays; the grace only shrinks.
    pub(super) fn end_by(&mut self, verdict: Verdict, grace: Duration) {
        if self.progress.verdict.is_none() {
            self.progress.verdict = Some(verdict);
            if verdict == Verdict::Deadline {
                self.note(Note::normal("DeadlineExceeded", DEADLINE_EXCEEDED));
            }
            let all = self.progress.all();
            for it in all.filter(|it| it.is_running() && !it.is_sidecar) {
                self.note(Note::normal(
                    "Killing",
                    format!("Stopping container {}", it.name),
                ));
            }
        }
        let at = Instant::now() + grace;
        self.halt.send_if_modified(|halt| {
            let is_sooner = halt.is_none_or(|set| at < set);
            if is_sooner {
                *halt = Some(at);
            }
            is_sooner
        });
    }

    /// Asks sidecars to end, now that all others have. They have what is left of the grace.
    pub(super) fn dismiss_sidecars(&mut self) {
        let at = self
            .halt
            .borrow()
            .unwrap_or_else(|| Instant::now() + self.grace());
        let at = at.max(Instant::now() + SIDECAR_GRACE);
        for it in self
            .progress
            .init
            .iter()
            .filter(|it| it.is_sidecar && it.is_running())
        {
            self.note(Note::normal(
                "Killing",
                format!("Stopping container {}", it.name),
            ));
        }
        self.sidecar_halt.send_replace(Some(at));
    }

    /// When the Pod's own deadline ends it; none when something else does already.
    fn deadline(&self) -> Option<Instant> {
        if self.is_halted() {
            return None;
        }
        let spec = self.pod.spec.as_ref()?;
        let allowed = spec.active_deadline_seconds?;
        Some(Instant::now() + left(self.progress.accepted, allowed, clock::now()))
    }

    fn grace(&self) -> Duration {
        let spec = self.pod.spec.as_ref();
        let named = spec.and_then(|it| it.termination_grace_period_seconds);
        seconds(named.unwrap_or(DEFAULT_GRACE))
    }

    pub(super) fn is_halted(&self) -> bool {
        self.halt.borrow().is_some()
    }
}

fn seconds(count: i64) -> Duration {
    Duration::from_secs(u64::try_from(count).unwrap_or_default())
}

/// What is left of `allowed` seconds since `accepted`.
fn left(accepted: Timestamp, allowed: i64, now: Timestamp) -> Duration {
    let passed = now.duration_since(accepted);
    let passed = Duration::try_from(passed).unwrap_or_default();
    seconds(allowed).saturating_sub(passed)
}
