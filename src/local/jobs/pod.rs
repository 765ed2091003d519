//! The Pod of a Job.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use sha2::Digest;
use sha2::Sha256;

use super::decide::TRACKING;

/// Labels by which the Pods of a Job are found: the names of today and those of before.
pub(super) const CONTROLLER_UID: &str = "batch.kubernetes.io/controller-uid";
pub(super) const JOB_NAME: &str = "batch.kubernetes.io/job-name";
const LEGACY_CONTROLLER_UID: &str = "controller-uid";
const LEGACY_JOB_NAME: &str = "job-name";

/// What Kubernetes allows for a generated name, and what of it is random there.
const NAME_LIMIT: usize = 63;
const SUFFIX: usize = 5;
/// The letters of generated names: none that make words.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// The Pod with the number `attempt`. The same Job and number always give the same name.
pub(super) fn build(job: &Job, attempt: i32) -> Pod {
    let template = job
        .spec
        .as_ref()
        .map(|it| it.template.clone())
        .unwrap_or_default();
    let given = template.metadata.unwrap_or_default();
    let job_name = job.metadata.name.clone().unwrap_or_default();
    let uid = job.metadata.uid.clone().unwrap_or_default();
    let mut labels = given.labels.unwrap_or_default();
    labels.extend(BTreeMap::from([
        (CONTROLLER_UID.to_owned(), uid.clone()),
        (LEGACY_CONTROLLER_UID.to_owned(), uid.clone()),
        (JOB_NAME.to_owned(), job_name.clone()),
        (LEGACY_JOB_NAME.to_owned(), job_name.clone()),
    ]));
    let mut finalizers = given.finalizers.unwrap_or_default();
    finalizers.push(TRACKING.to_owned());
    Pod {
        metadata: ObjectMeta {
            name: Some(name(job, attempt)),
            generate_name: Some(base(&job_name)),
            namespace: job.metadata.namespace.clone(),
            labels: Some(labels),
            annotations: given.annotations,
            finalizers: Some(finalizers),
            owner_references: Some(vec![OwnerReference {
                api_version: "batch/v1".to_owned(),
                kind: "Job".to_owned(),
                name: job_name,
                uid,
                controller: Some(true),
                block_owner_deletion: Some(true),
            }]),
            ..ObjectMeta::default()
        },
        spec: template.spec,
        status: None,
    }
}

/// The name of the Pod with the number `attempt`.
pub(super) fn name(job: &Job, attempt: i32) -> String {
    let uid = job.metadata.uid.as_deref().unwrap_or_default();
    let base = base(job.metadata.name.as_deref().unwrap_or_default());
    format!("{base}{}", suffix(uid, attempt))
}

/// Whether `pod` belongs to the Job with this uid.
pub(super) fn is_controlled_by(pod: &Pod, job: &str) -> bool {
    let owners = pod.metadata.owner_references.as_deref();
    owners
        .unwrap_or_default()
        .iter()
        .any(|it| it.controller == Some(true) && it.uid == job)
}

fn base(job: &str) -> String {
    let mut base = job.to_owned();
    base.truncate(NAME_LIMIT - SUFFIX - 1);
    base.push('-');
    base
}

/// Looks as random as Kubernetes' own, but is the same for the same attempt: a second Pod for it
/// cannot be created.
fn suffix(uid: &str, attempt: i32) -> String {
    let digest = Sha256::digest(format!("{uid}/{attempt}"));
    digest
        .iter()
        .take(SUFFIX)
        .map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn named(job: &str, uid: &str, attempt: i32) -> String {
        let job = json!({"metadata": {"name": job, "uid": uid}, "spec": {"template": {}}});
        let pod = build(&serde_json::from_value(job).unwrap(), attempt);
        pod.metadata.name.unwrap()
    }

    #[test]
    fn an_attempt_has_one_name() {
        assert_eq!(named("j", "u", 0), named("j", "u", 0));
        assert_ne!(named("j", "u", 0), named("j", "u", 1));
        assert_ne!(named("j", "u", 0), named("j", "v", 0));
        assert_eq!(named(&"x".repeat(63), "u", 0).len(), NAME_LIMIT);
    }

    #[test]
    fn the_pod_is_the_template_and_the_job_s_marks() {
        let job = json!({"metadata": {"name": "j", "uid": "u", "namespace": "n"}, "spec": {"template": {
            "metadata": {"labels": {"app": "a"}, "annotations": {"k": "v"}},
            "spec": {"containers": [{"name": "c"}], "restartPolicy": "Never"}}}});
        let pod = build(&serde_json::from_value(job).unwrap(), 0);
        let mut shown = serde_json::to_value(&pod).unwrap();
        shown["metadata"]["name"] = "-".into();
        insta::assert_snapshot!(shown, @r#"{"apiVersion":"v1","kind":"Pod","metadata":{"annotations":{"k":"v"},"finalizers":["batch.kubernetes.io/job-tracking"],"generateName":"j-","labels":{"app":"a","batch.kubernetes.io/controller-uid":"u","batch.kubernetes.io/job-name":"j","controller-uid":"u","job-name":"j"},"name":"-","namespace":"n","ownerReferences":[{"apiVersion":"batch/v1","blockOwnerDeletion":true,"controller":true,"kind":"Job","name":"j","uid":"u"}]},"spec":{"containers":[{"name":"c"}],"restartPolicy":"Never"}}"#);
    }
}
