//! How a Task that is cancelled comes to its end, and what an end means then: pure.
//!
//! What runs is ended by its Pod's own deadline: so the agent is asked first, and what it says last
//! is kept. What does not run yet is deleted.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::news::Ending;
use super::outcome;
use super::reason::End;
use crate::api::Task;

/// Deadline of a Pod that is to end now; the least that the API server takes.
pub(super) const AT_ONCE: i64 = 1;

/// What ends a run, or keeps it from beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Lower the Pod's deadline.
    Pod { name: String, uid: String },
    /// Delete the Job and what Pod it has. With a version: only as it was seen.
    Job {
        name: String,
        uid: String,
        version: Option<String>,
    },
}

impl Stop {
    /// Deletes a Job that is held back, unless somebody releases it first.
    pub(super) fn job(job: &Job) -> Self {
        Self::Job {
            name: job.name_any(),
            uid: job.uid().unwrap_or_default(),
            version: job.resource_version(),
        }
    }
}

/// What stops a run whose Job has no Pod.
pub(super) fn without_pod(task: &Task, job: &Job) -> Option<Stop> {
    let goes = job.metadata.deletion_timestamp.is_some();
    (task.spec.cancelled && !goes).then(|| whatever_it_does(job))
}

/// What stops a run that has a Pod.
pub(super) fn with_pod(task: &Task, job: Option<&Job>, pod: &Pod) -> Option<Stop> {
    if !task.spec.cancelled || pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    if !outcome::is_bound(pod) {
        // No kubelet looks at its deadline.
        return without_pod(task, job?);
    }
    by_deadline(pod)
}

/// Whether the Pod's deadline is the one that ends a run, and not one that the Task asks for.
pub(super) fn was_told(task: &Task, pod: &Pod) -> bool {
    let overrides = task.spec.pod_overrides.as_ref();
    let asked = overrides.and_then(|it| it.active_deadline_seconds);
    let deadline = pod.spec.as_ref().and_then(|it| it.active_deadline_seconds);
    deadline == Some(AT_ONCE) && (task.spec.cancelled || asked != Some(AT_ONCE))
}

/// What ends a Pod on a node in order, unless it is told already.
pub(super) fn by_deadline(pod: &Pod) -> Option<Stop> {
    let goes = pod.metadata.deletion_timestamp.is_some() || !outcome::is_bound(pod);
    let deadline = pod.spec.as_ref().and_then(|it| it.active_deadline_seconds);
    (!goes && deadline.is_none_or(|it| it > AT_ONCE)).then(|| Stop::Pod {
        name: pod.name_any(),
        uid: pod.uid().unwrap_or_default(),
    })
}

/// The end as it was meant by whoever brought it about.
pub(super) fn as_meant(task: &Task, job: Option<&Job>, ending: Ending) -> Ending {
    let job_goes = job.is_none_or(|it| it.metadata.deletion_timestamp.is_some());
    match ending.reason {
        // It came too late.
        End::Succeeded => ending,
        // Also if that was taken back, too late.
        End::Cancelled => Ending {
            message: format!("cancelled; {}", ending.message),
            ..ending
        },
        _ if task.spec.cancelled => Ending {
            message: format!("cancelled; {}", ending.message),
            reason: End::Cancelled,
            ..ending
        },
        End::Evicted if job_goes => Ending {
            message: format!("its Job was deleted: {}", ending.message),
            reason: End::JobLost,
            ..ending
        },
        End::AgentFailed
        | End::CloneFailed
        | End::DeadlineExceeded
        | End::OutOfMemory
        | End::Evicted
        | End::NodeLost
        | End::JobLost
        | End::InvalidSpec
        | End::AlreadyRan
        | End::NameTaken
        | End::DependencyFailed => ending,
    }
}

fn whatever_it_does(job: &Job) -> Stop {
    Stop::Job {
        name: job.name_any(),
        uid: job.uid().unwrap_or_default(),
        version: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixture::TaskExt as _;
    use super::super::fixture::job;
    use super::super::fixture::pod;
    use super::super::fixture::task;
    use super::*;

    fn cancelled() -> Task {
        task("a")
            .running()
            .with(&json!({"spec": {"cancelled": true}}))
    }

    fn of_pod(status: &serde_json::Value, spec: &serde_json::Value) -> Pod {
        let mut pod = serde_json::to_value(pod(&task("a"), status)).unwrap();
        pod["spec"] = spec.clone();
        pod["metadata"]["uid"] = json!("pod-uid");
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn what_runs_is_ended_by_its_deadline() {
        let ours = job(&task("a"), &[]);
        let lower = Some(Stop::Pod {
            name: "a-x".into(),
            uid: "pod-uid".into(),
        });
        let none = json!({"containers": [], "nodeName": "n"});
        let on_a_node = of_pod(&json!({}), &none);
        assert_eq!(with_pod(&cancelled(), Some(&ours), &on_a_node), lower);
        let scheduled = json!({"conditions": [{"type": "PodScheduled", "status": "True"}]});
        let later = of_pod(
            &scheduled,
            &json!({"containers": [], "activeDeadlineSeconds": 60}),
        );
        assert_eq!(with_pod(&cancelled(), None, &later), lower);
        // Once is enough.
        let lowered = of_pod(
            &scheduled,
            &json!({"containers": [], "activeDeadlineSeconds": 1}),
        );
        assert_eq!(with_pod(&cancelled(), Some(&ours), &lowered), None);
        assert_eq!(
            with_pod(&task("a").running(), Some(&ours), &on_a_node),
            None
        );
    }

    #[test]
    fn whether_a_pod_was_told_to_end() {
        let check = |task: &Task, deadline: Option<i64>, expected: bool| {
            let pod = of_pod(
                &json!({}),
                &json!({"containers": [], "activeDeadlineSeconds": deadline}),
            );
            assert_eq!(was_told(task, &pod), expected, "{deadline:?}");
        };
        let brief = json!({"spec": {"podOverrides": {"activeDeadlineSeconds": 1}}});
        check(&cancelled(), Some(1), true);
        check(&cancelled(), Some(60), false);
        check(&cancelled(), None, false);
        check(&cancelled().with(&brief), Some(1), true);
        check(&task("a").running(), Some(60), false);
        // The user's own, or left by a cancellation that was taken back.
        check(&task("a").running().with(&brief), Some(1), false);
        check(&task("a").running(), Some(1), true);
    }

    #[test]
    fn what_does_not_run_is_deleted() {
        let ours = job(&task("a"), &[]);
        let delete = Some(Stop::Job {
            name: "a".into(),
            uid: "job-uid".into(),
            version: None,
        });
        let unbound = of_pod(&json!({}), &json!({"containers": []}));
        assert_eq!(with_pod(&cancelled(), Some(&ours), &unbound), delete);
        assert_eq!(without_pod(&cancelled(), &ours), delete);
        assert_eq!(without_pod(&task("a").running(), &ours), None);
        let mut going = ours;
        going.metadata.deletion_timestamp = task("a").metadata.creation_timestamp;
        assert_eq!(without_pod(&cancelled(), &going), None);
    }

    #[test]
    fn ends_of_what_somebody_stopped() {
        let ours = job(&task("a"), &[]);
        let check = |task: &Task, job: Option<&Job>, reason, expected: &str| {
            let it = as_meant(task, job, Ending::bare(reason, "why"));
            assert_eq!(format!("{}: {}", it.reason.as_str(), it.message), expected);
        };
        let going = task("a").running();
        check(
            &cancelled(),
            Some(&ours),
            End::DeadlineExceeded,
            "Cancelled: cancelled; why",
        );
        check(&going, None, End::Cancelled, "Cancelled: cancelled; why");
        check(
            &cancelled(),
            None,
            End::JobLost,
            "Cancelled: cancelled; why",
        );
        check(&cancelled(), Some(&ours), End::Succeeded, "Succeeded: why");
        check(
            &going,
            Some(&ours),
            End::DeadlineExceeded,
            "DeadlineExceeded: why",
        );
        check(&going, Some(&ours), End::Evicted, "Evicted: why");
        check(
            &going,
            None,
            End::Evicted,
            "JobLost: its Job was deleted: why",
        );
    }
}
