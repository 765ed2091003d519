//! What the owner of a Job is told, in upstream's words.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::batch::v1::JobStatus;
use k8s_openapi::api::core::v1::Event;
use kube::Api;
use kube::Client;
use kube::ResourceExt;
use kube::api::PostParams;
use sha2::Digest;
use sha2::Sha256;

use super::conditions;
use crate::local::clock;
use crate::local::events::Note;
use crate::local::events::Teller;
use crate::local::events::event;

const TELLER: Teller<'static> = Teller {
    component: "job-controller",
    host: None,
};

pub(super) fn created(pod: &str) -> Note {
    Note::normal("SuccessfulCreate", format!("Created pod: {pod}"))
}

pub(super) fn refused(why: &str) -> Note {
    Note::warning("FailedCreate", format!("Error creating: {why}"))
}

pub(super) fn deleted(pod: &str) -> Note {
    Note::normal("SuccessfulDelete", format!("Deleted pod: {pod}"))
}

/// What is new in a status.
pub(super) fn between(before: &JobStatus, after: &JobStatus) -> Vec<Note> {
    let told = conditions::new(before, after).filter_map(|it| {
        let message = it.message.clone().unwrap_or_default();
        match (it.type_.as_str(), it.status.as_str()) {
            (conditions::COMPLETE, "True") => Some(Note::normal("Completed", "Job completed")),
            (conditions::FAILED, "True") => Some(Note::warning(
                it.reason.as_deref().unwrap_or_default(),
                message,
            )),
            (conditions::SUSPENDED, "True") => Some(Note::normal("Suspended", message)),
            (conditions::SUSPENDED, "False") => Some(Note::normal("Resumed", message)),
            _ => None,
        }
    });
    told.collect()
}

/// Best effort. The same is told of a Job once, however often it is tried.
pub(super) async fn tell(client: &Client, job: &Job, note: Note) {
    let uid = job.uid().unwrap_or_default();
    let digest = Sha256::digest(format!("{uid} {} {}", note.reason, note.message));
    let mark = digest
        .iter()
        .take(8)
        .fold(0_u64, |mark, byte| mark << 8 | u64::from(*byte));
    let event = event(job, note, &format!("{mark:016x}"), &TELLER, clock::now());
    let events: Api<Event> = Api::namespaced(client.clone(), &job.namespace().unwrap_or_default());
    match events.create(&PostParams::default(), &event).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.is_already_exists() => {}
        Err(error) => tracing::debug!(%error, "an event could not be written"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json;

    use super::*;

    fn status(conditions: &Value) -> JobStatus {
        serde_json::from_value(json!({"conditions": conditions})).unwrap()
    }

    fn check(before: &Value, after: &Value, expected: &[Note]) {
        assert_eq!(between(&status(before), &status(after)), expected);
    }

    #[test]
    fn each_end_and_each_suspension_is_told_once() {
        let complete = json!([{"type": "Complete", "status": "True"}]);
        let target = json!([{"type": "SuccessCriteriaMet", "status": "True"}]);
        let completed = Note::normal("Completed", "Job completed");
        check(&target, &complete, &[completed]);
        check(&complete, &complete, &[]);
        check(&json!([]), &target, &[]);
        let failed = json!([{"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": "late"}]);
        check(
            &json!([]),
            &failed,
            &[Note::warning("DeadlineExceeded", "late")],
        );
        let suspended =
            |status: &str| json!([{"type": "Suspended", "status": status, "message": "m"}]);
        check(
            &json!([]),
            &suspended("True"),
            &[Note::normal("Suspended", "m")],
        );
        check(
            &suspended("True"),
            &suspended("False"),
            &[Note::normal("Resumed", "m")],
        );
    }
}
