//! What goes wrong: how long to wait before the next try, and what the owner of a Job is told.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::api::core::v1::EventSource;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use sha2::Digest;
use sha2::Sha256;

/// After the first failure, which mostly means that someone else wrote first; it doubles with each.
const FIRST: Duration = Duration::from_millis(200);
/// A person who put something right does not wait longer than this.
const LONGEST: Duration = Duration::from_secs(30);
/// What Kubernetes takes of a message.
const MESSAGE_LIMIT: usize = 1024;

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

/// Says, as upstream does, that a Pod was refused. The same refusal always gives the same name, so
/// it is told once however often it is tried.
pub(super) fn refused(job: &Job, why: &str, now: Timestamp) -> Event {
    let meta = &job.metadata;
    let name = meta.name.clone().unwrap_or_default();
    let uid = meta.uid.clone().unwrap_or_default();
    let digest = Sha256::digest(format!("{uid} {why}"));
    let mark = digest
        .iter()
        .take(8)
        .fold(0_u64, |mark, byte| mark << 8 | u64::from(*byte));
    let mut message = format!("Error creating: {why}");
    message.truncate(message.floor_char_boundary(MESSAGE_LIMIT));
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{name}.{mark:016x}")),
            namespace: meta.namespace.clone(),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some("batch/v1".to_owned()),
            kind: Some("Job".to_owned()),
            name: Some(name),
            namespace: meta.namespace.clone(),
            uid: Some(uid),
            resource_version: meta.resource_version.clone(),
            field_path: None,
        },
        type_: Some("Warning".to_owned()),
        reason: Some("FailedCreate".to_owned()),
        message: Some(message),
        source: Some(EventSource {
            component: Some("job-controller".to_owned()),
            host: None,
        }),
        reporting_component: Some("job-controller".to_owned()),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        count: Some(1),
        ..Event::default()
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

    #[test]
    fn a_refusal_is_an_event_of_its_job() {
        let mut job = Job::default();
        job.metadata.name = Some("j".to_owned());
        job.metadata.uid = Some("u".to_owned());
        let event = |why: &str| refused(&job, why, Timestamp::UNIX_EPOCH);
        let told = event("it is not allowed");
        assert_eq!(told.reason.as_deref(), Some("FailedCreate"));
        assert_eq!(
            told.message.as_deref(),
            Some("Error creating: it is not allowed")
        );
        assert_eq!(told.involved_object.uid.as_deref(), Some("u"));
        assert_eq!(
            told.metadata.name,
            event("it is not allowed").metadata.name,
            "the same is told once"
        );
        assert_ne!(told.metadata.name, event("another").metadata.name);
        let long = event(&"ü".repeat(2000)).message.unwrap();
        assert!((1000..=MESSAGE_LIMIT).contains(&long.len()));
    }
}
