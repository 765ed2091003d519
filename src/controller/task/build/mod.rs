//! From a Task to its Job: pure. The same Task gives the same Job.
//!
//! Names, labels, variables, user and working directory are what agent images and users' tools have
//! relied on since the Go Axon.

mod args;
mod env;
mod pod;
mod volumes;

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::batch::v1::JobSpec;
use k8s_openapi::api::batch::v1::PodFailurePolicy;
use k8s_openapi::api::batch::v1::PodFailurePolicyOnPodConditionsPattern;
use k8s_openapi::api::batch::v1::PodFailurePolicyRule;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use kube::ResourceExt;
use kube::api::ObjectMeta;

use super::branch;
use super::needs::Checkout;
use super::needs::GitSecret;
use super::step::Start;
use crate::api::Task;
use crate::api::labels;
use crate::controller::Images;
use crate::model::Digest;
use crate::model::names::cut;

/// Name of the init container that checks the workspace out.
pub(super) const CHECKOUT: &str = "checkout";
/// What the Job's deadline allows beyond the Pod's: a day, for a quota to have room, a node to be found, and
/// the Pod to end. It is a backstop, for nodes that do not: a Job that runs out of time takes its Pod and the
/// termination message with it, whatever the Pod waited for.
const DEADLINE_GRACE: i64 = 24 * 60 * 60;

/// Digits of the digest of a Task's UID in names.
const UID_DIGITS: usize = 8;

/// A Job, and what there is to say about it.
#[derive(Clone, Debug)]
pub(super) struct Built {
    pub(super) job: Job,
    /// Variables of `podOverrides.env` that lost against built-in ones.
    pub(super) overridden: Vec<String>,
}

/// Names of the variables of `podOverrides.env` that will not be set: built-in ones win.
pub(super) fn ignored(task: &Task, checkout: Option<&Checkout>) -> Vec<String> {
    env::of_agent(task, checkout).overridden
}

/// The Job that runs `task`, by the name `name`.
pub(super) fn build(task: &Task, name: &str, start: &Start, images: &Images) -> Built {
    let (spec, overridden) = pod::spec(task, start, images);
    let deadline = spec.active_deadline_seconds;
    let template = PodTemplateSpec {
        metadata: Some(of_pod(task, start.attempt)),
        spec: Some(spec),
    };
    let job = Job {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: task.namespace(),
            owner_references: owner(task).map(|it| vec![it]),
            ..metadata(task, start.attempt)
        },
        spec: Some(JobSpec {
            active_deadline_seconds: deadline.map(|it| it.saturating_add(DEADLINE_GRACE)),
            // One Job is one Pod is one attempt: whether to run again is the Task's to decide.
            backoff_limit: Some(0),
            pod_failure_policy: Some(no_retry_after_disruption()),
            pod_replacement_policy: Some("Failed".into()),
            template,
            ..JobSpec::default()
        }),
        status: None,
    };
    Built { job, overridden }
}

impl Start {
    /// The Secret that lets git in.
    fn git(&self) -> Option<&GitSecret> {
        self.checkout.as_ref()?.credentials.as_ref()
    }
}

/// Name of the Job of one attempt of a Task: of the first, the Task's own, as with the Go Axon. A later
/// one's ends with a digest of the Task's UID. Nobody knows that before the Task is there, so no other
/// Task comes to have that name: "fix-2" may well be one.
pub(super) fn job_name(task: &Task, attempt: i32) -> String {
    let name = task.name_any();
    if attempt <= 1 {
        return cut(&name);
    }
    let digest = Digest::of(task.uid().unwrap_or_default()).short(UID_DIGITS);
    cut(&format!("{name}-{attempt}-{digest}"))
}

/// Whether `name` is that of the Job of this attempt, or was before names had a digest: a run that was
/// begun by then goes on.
pub(super) fn is_job_name(name: &str, task: &Task, attempt: i32) -> bool {
    name == job_name(task, attempt) || name == cut(&format!("{}-{attempt}", task.name_any()))
}

/// What makes the Job go with its Task. A Task that was read from the API server has a UID.
fn owner(task: &Task) -> Option<OwnerReference> {
    let owner = task.controller_owner_ref(&())?;
    Some(OwnerReference {
        block_owner_deletion: Some(true),
        ..owner
    })
}

/// Metadata of the Pod: the Job's, and what the user asks for where it is not ours.
fn of_pod(task: &Task, attempt: i32) -> ObjectMeta {
    let mut all = metadata(task, attempt);
    if let Some(uid) = task.uid() {
        let annotations = all.annotations.get_or_insert_default();
        annotations.insert(labels::TASK_UID.to_owned(), uid);
    }
    if let Some(overrides) = &task.spec.pod_overrides {
        add_others(all.labels.get_or_insert_default(), &overrides.labels);
        add_others(
            all.annotations.get_or_insert_default(),
            &overrides.annotations,
        );
    }
    all
}

/// Adds those of `others` whose keys are free: what is ours stays.
fn add_others(ours: &mut BTreeMap<String, String>, others: &BTreeMap<String, String>) {
    for (key, value) in others {
        ours.entry(key.clone()).or_insert_with(|| value.clone());
    }
}

/// Labels of Job and Pod. Annotations hold the full name where a label cannot, and which attempt
/// this is.
fn metadata(task: &Task, attempt: i32) -> ObjectMeta {
    let name = task.name_any();
    let label = cut(&name);
    let mut annotations = BTreeMap::from([(labels::ATTEMPT.to_owned(), attempt.to_string())]);
    if label != name {
        annotations.insert(labels::TASK.to_owned(), name);
    }
    let fixed = labels::APP.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let mut all = BTreeMap::from(fixed);
    all.insert(labels::TASK.to_owned(), label);
    if let Some(lease) = branch::lease_name(task) {
        all.insert(labels::BRANCH_LEASE.to_owned(), lease);
    }
    ObjectMeta {
        labels: Some(all),
        annotations: Some(annotations),
        ..ObjectMeta::default()
    }
}

fn no_retry_after_disruption() -> PodFailurePolicy {
    PodFailurePolicy {
        rules: vec![PodFailurePolicyRule {
            action: "FailJob".into(),
            on_pod_conditions: Some(vec![PodFailurePolicyOnPodConditionsPattern {
                type_: "DisruptionTarget".into(),
                status: "True".into(),
            }]),
            ..PodFailurePolicyRule::default()
        }],
    }
}

#[cfg(test)]
mod tests;
