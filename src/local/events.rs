//! Events, as the Job controller and the runner tell them.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::api::core::v1::EventSource;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource;

/// What Kubernetes takes of a message.
const MESSAGE_LIMIT: usize = 1024;

/// Who tells something.
pub(super) struct Teller<'a> {
    pub(super) component: &'a str,
    pub(super) host: Option<&'a str>,
}

/// What is told of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) warning: bool,
    pub(super) reason: String,
    pub(super) message: String,
}

impl Note {
    pub(super) fn normal(reason: &str, message: impl Into<String>) -> Self {
        Self {
            warning: false,
            reason: reason.to_owned(),
            message: message.into(),
        }
    }

    pub(super) fn warning(reason: &str, message: impl Into<String>) -> Self {
        Self {
            warning: true,
            ..Self::normal(reason, message)
        }
    }
}

/// The event. Its name is the object's and `mark`.
pub(super) fn event<K: Resource<DynamicType = ()>>(
    object: &K,
    note: Note,
    mark: &str,
    teller: &Teller<'_>,
    now: Timestamp,
) -> Event {
    let meta = object.meta();
    let name = meta.name.clone().unwrap_or_default();
    let mut message = note.message;
    message.truncate(message.floor_char_boundary(MESSAGE_LIMIT));
    let now = Some(Time(now));
    let host = teller.host.map(str::to_owned);
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{name}.{mark}")),
            namespace: meta.namespace.clone(),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            resource_version: meta.resource_version.clone(),
            ..object.object_ref(&())
        },
        type_: Some(if note.warning { "Warning" } else { "Normal" }.to_owned()),
        reason: Some(note.reason),
        message: Some(message),
        source: Some(EventSource {
            component: Some(teller.component.to_owned()),
            host: host.clone(),
        }),
        reporting_component: Some(teller.component.to_owned()),
        reporting_instance: host,
        first_timestamp: now.clone(),
        last_timestamp: now,
        count: Some(1),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::batch::v1::Job;

    use super::*;

    #[test]
    fn an_event_is_about_its_object() {
        let mut job = Job::default();
        job.metadata.name = Some("j".to_owned());
        job.metadata.uid = Some("u".to_owned());
        let teller = Teller {
            component: "job-controller",
            host: None,
        };
        let told = |note| event(&job, note, "mark", &teller, Timestamp::UNIX_EPOCH);
        let short = told(Note::warning("FailedCreate", "no"));
        assert_eq!(short.metadata.name.as_deref(), Some("j.mark"));
        assert_eq!(short.involved_object.uid.as_deref(), Some("u"));
        assert_eq!(short.involved_object.kind.as_deref(), Some("Job"));
        assert_eq!(
            short.involved_object.api_version.as_deref(),
            Some("batch/v1")
        );
        assert_eq!(short.type_.as_deref(), Some("Warning"));
        let long = told(Note::normal("Long", "ü".repeat(2000)))
            .message
            .unwrap();
        assert!((1000..=MESSAGE_LIMIT).contains(&long.len()));
    }
}
