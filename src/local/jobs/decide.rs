//! What a Job needs next, from the Job, its Pods and the time. Pure.
//!
//! Pods are counted by upstream's protocol: a finished Pod is first written into the status as
//! uncounted, then it loses its finalizer, then it becomes part of a counter. Each step can be
//! repeated, so a crash in between neither loses nor doubles a Pod. The number of Pods counted so
//! far names the next one, and a name can be created only once.

mod pods;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::batch::v1::JobStatus;
use k8s_openapi::api::batch::v1::UncountedTerminatedPods;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use self::pods::Tally;
use self::pods::is_over;
use self::pods::is_terminating;
use self::pods::name;
use self::pods::phase;
use self::pods::uid;
use super::backoff;
use super::conditions;
use super::conditions::Goal;
use super::pod;
use super::policy;
use super::policy::Verdict;

pub(super) use self::pods::is_tracked;

/// Keeps a Pod from vanishing before it is counted.
pub(super) const TRACKING: &str = "batch.kubernetes.io/job-tracking";
/// What Kubernetes gives a Job that does not say.
const DEFAULT_BACKOFF_LIMIT: i32 = 6;

/// What is to be done, in this order.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Decision {
    /// Pods to delete, by name.
    pub(super) delete: Vec<String>,
    /// The number of the Pod to create.
    pub(super) create: Option<i32>,
    /// The new status, if it differs.
    pub(super) status: Option<JobStatus>,
    /// Pods to release from their finalizer, by name, once the status is written.
    pub(super) release: Vec<String>,
    /// Whether the Job's time after its end is over.
    pub(super) expired: bool,
    /// When to look again if nothing happens before.
    pub(super) look_again: Option<Duration>,
}

/// Decides. `pods` are those that the Job controls.
pub(super) fn decide(job: &Job, pods: &[Pod], now: Timestamp) -> Decision {
    let old = job.status.clone().unwrap_or_default();
    if policy::is_foreign(job) {
        return Decision::default();
    }
    if conditions::is_finished(&old) {
        return after_the_end(job, &old, pods, now);
    }
    let mut view = View::new(job, pods, old.clone(), now);
    view.count();
    let decision = view.act();
    let mut status = view.status;
    let tally = Tally::of(pods, &decision.delete);
    let active = tally.active + i32::from(decision.create.is_some());
    status.active = (active > 0).then_some(active);
    status.ready = Some(tally.ready);
    status.terminating = Some(tally.terminating);
    Decision {
        status: (status != old).then_some(status),
        ..decision
    }
}

/// A Job that ended: only its Pods' finalizers and its own time to live are left.
fn after_the_end(job: &Job, status: &JobStatus, pods: &[Pod], now: Timestamp) -> Decision {
    let held = pods.iter().filter(|pod| is_tracked(pod));
    let mut decision = Decision {
        release: held.map(name).collect(),
        ..Decision::default()
    };
    let ttl = job
        .spec
        .as_ref()
        .and_then(|it| it.ttl_seconds_after_finished);
    if let (Some(ttl), Some(ended)) = (ttl, conditions::ended_at(status)) {
        let left = remaining(ended, i64::from(ttl), now);
        decision.expired = left.is_zero() && job.metadata.deletion_timestamp.is_none();
        decision.look_again = (!left.is_zero()).then_some(left);
    }
    decision
}

/// One look at a Job that has not ended.
struct View<'a> {
    job: &'a Job,
    pods: &'a [Pod],
    status: JobStatus,
    now: Timestamp,
    /// Uncounted by the status as it was found: their finalizers may go.
    known: Uncounted,
    uncounted: Uncounted,
    /// Pods that fail for the first time in this look.
    new_failed: Vec<&'a Pod>,
    /// Pods whose failure is none by the Job's own rules.
    ignored: BTreeSet<String>,
}

#[derive(Clone, Default)]
struct Uncounted {
    succeeded: BTreeSet<String>,
    failed: BTreeSet<String>,
}

impl<'a> View<'a> {
    fn new(job: &'a Job, pods: &'a [Pod], status: JobStatus, now: Timestamp) -> Self {
        let listed = status.uncounted_terminated_pods.clone().unwrap_or_default();
        let known = Uncounted {
            succeeded: listed.succeeded.into_iter().flatten().collect(),
            failed: listed.failed.into_iter().flatten().collect(),
        };
        Self {
            job,
            pods,
            status,
            now,
            uncounted: known.clone(),
            known,
            new_failed: Vec::new(),
            ignored: BTreeSet::new(),
        }
    }

    /// Moves Pods on their way from finished to counted.
    fn count(&mut self) {
        let tracked: BTreeSet<String> = self
            .pods
            .iter()
            .filter(|it| is_tracked(it))
            .map(uid)
            .collect();
        let flushed = |set: &mut BTreeSet<String>, counter: &mut Option<i32>| {
            let before = set.len();
            set.retain(|uid| tracked.contains(uid));
            let moved = i32::try_from(before - set.len()).unwrap_or(i32::MAX);
            if moved > 0 {
                *counter = Some(counter.unwrap_or(0).saturating_add(moved));
            }
        };
        flushed(&mut self.uncounted.succeeded, &mut self.status.succeeded);
        flushed(&mut self.uncounted.failed, &mut self.status.failed);
        for pod in self.pods.iter().filter(|it| is_tracked(it)) {
            let uid = uid(pod);
            if self.uncounted.succeeded.contains(&uid) || self.uncounted.failed.contains(&uid) {
                continue;
            }
            if phase(pod) == "Succeeded" {
                self.uncounted.succeeded.insert(uid);
            } else if self.has_failed(pod) {
                match policy::judge(self.job, pod) {
                    Verdict::Ignore => self.ignored.insert(uid),
                    Verdict::Count | Verdict::FailJob(_) => self.uncounted.failed.insert(uid),
                };
                self.new_failed.push(pod);
            }
        }
    }

    /// What to do, now that all Pods are told apart.
    fn act(&mut self) -> Decision {
        let mut decision = Decision {
            release: self.releasable(),
            ..Decision::default()
        };
        let is_deleted = self.job.metadata.deletion_timestamp.is_some();
        let is_suspended = self.spec(|it| it.suspend) == Some(true);
        let mut goal = conditions::goal(&self.status);
        if goal.is_none() && !is_deleted {
            goal = self.find_goal();
        }
        if let Some(goal) = &goal {
            conditions::set_goal(&mut self.status, goal, self.now);
            decision.delete = self.active().map(name).collect();
            self.end(goal);
        } else if is_deleted {
            // Its dependents go with it, and nobody will count them.
            decision.release = self.tracked().map(name).collect();
        } else if is_suspended {
            conditions::suspend(&mut self.status, self.now);
            decision.delete = self.active().map(name).collect();
            // As upstream: Pods that a suspension ends are no failures.
            decision.release = self.tracked().map(name).collect();
        } else {
            self.begin();
            self.replace(&mut decision);
        }
        self.write_uncounted();
        decision
    }

    /// Whether the Job is decided: it failed or succeeded.
    fn find_goal(&mut self) -> Option<Goal> {
        let refused = self
            .new_failed
            .iter()
            .find_map(|pod| match policy::judge(self.job, pod) {
                Verdict::FailJob(message) => Some(message),
                Verdict::Count | Verdict::Ignore => None,
            });
        if let Some(message) = refused {
            return Some(Goal::Failed {
                reason: "PodFailurePolicy".to_owned(),
                message,
            });
        }
        if let Some(why) = policy::unsupported(self.job) {
            return Some(Goal::Failed {
                reason: "Unsupported".to_owned(),
                message: why.to_owned(),
            });
        }
        let limit = self.spec(|it| it.backoff_limit);
        let limit = limit.unwrap_or(DEFAULT_BACKOFF_LIMIT);
        if self.failures() > limit || self.restarts() > limit.max(1) - 1 {
            return Some(Goal::Failed {
                reason: "BackoffLimitExceeded".to_owned(),
                message: "Job has reached the specified backoff limit".to_owned(),
            });
        }
        if self.deadline().is_some_and(|left| left.is_zero()) {
            return Some(Goal::Failed {
                reason: "DeadlineExceeded".to_owned(),
                message: "Job was active longer than specified deadline".to_owned(),
            });
        }
        let succeeded = self.status.succeeded.unwrap_or(0) > 0;
        (succeeded || !self.uncounted.succeeded.is_empty()).then_some(Goal::Complete)
    }

    /// Ends the Job once nothing of it runs and all is counted.
    fn end(&mut self, goal: &Goal) {
        let is_quiet = self.pods.iter().all(is_over);
        let is_counted = self.uncounted.succeeded.is_empty() && self.uncounted.failed.is_empty();
        if is_quiet && is_counted {
            conditions::finish(&mut self.status, goal, self.now);
        }
    }

    fn begin(&mut self) {
        let resumed = conditions::resume(&mut self.status, self.now);
        if self.status.start_time.is_none() || resumed {
            self.status.start_time = Some(Time(self.now));
        }
    }

    /// Creates the next Pod when there is none and its time has come.
    fn replace(&self, decision: &mut Decision) {
        let deadline = self.deadline();
        decision.look_again = deadline;
        let waits_for_end = policy::only_replaces_failed(self.job);
        let is_busy = self
            .pods
            .iter()
            .any(|pod| !is_over(pod) && (waits_for_end || !is_terminating(pod)));
        if is_busy || self.spec(|it| it.parallelism) == Some(0) {
            return;
        }
        let pause = backoff::left(self.failures().max(1), self.pods, self.now);
        if pause.is_zero() {
            decision.create = Some(self.next_number());
        } else {
            decision.look_again = Some(deadline.map_or(pause, |left| left.min(pause)));
        }
    }

    fn write_uncounted(&mut self) {
        let list = |set: &BTreeSet<String>| {
            (!set.is_empty()).then(|| set.iter().cloned().collect::<Vec<_>>())
        };
        self.status.uncounted_terminated_pods = Some(UncountedTerminatedPods {
            succeeded: list(&self.uncounted.succeeded),
            failed: list(&self.uncounted.failed),
        });
    }

    /// Pods that the status, as it is or is about to be written, knows of.
    fn releasable(&self) -> Vec<String> {
        let listed = self.tracked().filter(|pod| {
            let uid = uid(pod);
            self.known.succeeded.contains(&uid)
                || self.known.failed.contains(&uid)
                || self.uncounted.succeeded.contains(&uid)
                || self.uncounted.failed.contains(&uid)
                || self.ignored.contains(&uid)
        });
        listed.map(name).collect()
    }

    fn has_failed(&self, pod: &Pod) -> bool {
        let is_decided = matches!(conditions::goal(&self.status), Some(Goal::Failed { .. }));
        let is_suspended = self.spec(|it| it.suspend) == Some(true);
        phase(pod) == "Failed"
            || (is_terminating(pod)
                && !is_suspended
                && (is_decided || !policy::only_replaces_failed(self.job)))
    }

    fn active(&self) -> impl Iterator<Item = &'a Pod> + use<'a> {
        self.pods
            .iter()
            .filter(|it| !is_over(it) && !is_terminating(it))
    }

    /// Failures that count against the limit.
    fn failures(&self) -> i32 {
        let uncounted = i32::try_from(self.uncounted.failed.len()).unwrap_or(i32::MAX);
        self.status.failed.unwrap_or(0).saturating_add(uncounted)
    }

    /// How often containers started again that are to do so after a failure.
    fn restarts(&self) -> i32 {
        let template = self.spec(|it| it.template.spec.clone());
        let policy = template.and_then(|it| it.restart_policy);
        if policy.as_deref() != Some("OnFailure") {
            return 0;
        }
        let going = self.pods.iter().filter(|it| !is_over(it));
        going.map(pods::restarts).fold(0, i32::saturating_add)
    }

    /// The number of the next Pod: all that failed so far, and on past names still taken.
    fn next_number(&self) -> i32 {
        let taken = |number: &i32| {
            let name = pod::name(self.job, *number);
            self.pods
                .iter()
                .any(|it| it.metadata.name.as_ref() == Some(&name))
        };
        let mut number = self.failures();
        while taken(&number) {
            number += 1;
        }
        number
    }

    fn tracked(&self) -> impl Iterator<Item = &'a Pod> + use<'a> {
        self.pods.iter().filter(|it| is_tracked(it))
    }

    fn deadline(&self) -> Option<Duration> {
        let allowed = self.spec(|it| it.active_deadline_seconds)?;
        let since = self.status.start_time.as_ref()?.0;
        Some(remaining(since, allowed, self.now))
    }

    fn spec<T>(
        &self,
        field: impl Fn(&k8s_openapi::api::batch::v1::JobSpec) -> Option<T>,
    ) -> Option<T> {
        self.job.spec.as_ref().and_then(field)
    }
}

/// What is left of `allowed` seconds since `since`.
fn remaining(since: Timestamp, allowed: i64, now: Timestamp) -> Duration {
    let end = since.checked_add(SignedDuration::from_secs(allowed));
    let left = end.map_or(SignedDuration::MAX, |end| end.duration_since(now));
    Duration::try_from(left).unwrap_or_default()
}

#[cfg(test)]
mod tests;
