//! Events: what `kubectl describe` shows of what happened to an object.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::api::core::v1::EventSource;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::Client;
use kube::api::ObjectMeta;
use kube::api::PostParams;

use super::FIELD_MANAGER;
use crate::model::Digest;
use crate::model::names::cut;

/// Longest message of an event that the API server takes.
const MAX_MESSAGE: usize = 1000;

/// Something that happened to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) level: Level,
    /// One word, as in conditions.
    pub(super) reason: String,
    pub(super) message: String,
}

/// Whether somebody should look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Normal,
    Warning,
}

/// Publishes that `notice` happened to `object`. `occasion` tells two events of one reason apart: the
/// same one is published once, however often this is called. A failure is logged: an event is no
/// reason to stop.
pub(super) async fn publish(
    client: &Client,
    object: &ObjectReference,
    notice: &Notice,
    occasion: &str,
    now: Timestamp,
) {
    let event = event(object, notice, occasion, now);
    let namespace = object.namespace.as_deref().unwrap_or("default");
    let events: Api<Event> = Api::namespaced(client.clone(), namespace);
    match events.create(&PostParams::default(), &event).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.is_already_exists() => {}
        Err(error) => {
            let name = object.name.as_deref().unwrap_or_default();
            tracing::warn!(%error, namespace, name, reason = notice.reason, "cannot write an event");
        }
    }
}

fn event(object: &ObjectReference, notice: &Notice, occasion: &str, now: Timestamp) -> Event {
    let name = object.name.as_deref().unwrap_or_default();
    let uid = object.uid.as_deref().unwrap_or_default();
    let identity = Digest::of_fields([
        uid.as_bytes(),
        notice.reason.as_bytes(),
        occasion.as_bytes(),
    ]);
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{}", cut(name), identity.short(16))),
            namespace: object.namespace.clone(),
            ..ObjectMeta::default()
        },
        involved_object: object.clone(),
        type_: Some(match notice.level {
            Level::Normal => "Normal".into(),
            Level::Warning => "Warning".into(),
        }),
        reason: Some(notice.reason.clone()),
        message: Some(beginning(&notice.message)),
        count: Some(1),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        source: Some(EventSource {
            component: Some(FIELD_MANAGER.into()),
            host: None,
        }),
        ..Event::default()
    }
}

fn beginning(text: &str) -> String {
    let mut end = text.len().min(MAX_MESSAGE);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(uid: &str, reason: &str, occasion: &str) -> String {
        let object = ObjectReference {
            name: Some("x".repeat(200)),
            uid: Some(uid.into()),
            ..ObjectReference::default()
        };
        let notice = Notice {
            level: Level::Normal,
            reason: reason.into(),
            message: "ü".repeat(MAX_MESSAGE),
        };
        let event = event(&object, &notice, occasion, Timestamp::UNIX_EPOCH);
        assert_eq!(event.message.unwrap().len(), MAX_MESSAGE);
        event.metadata.name.unwrap()
    }

    #[test]
    fn one_occasion_is_one_event() {
        assert_eq!(name("u", "Failed", "7"), name("u", "Failed", "7"));
        for other in [
            name("v", "Failed", "7"),
            name("u", "Done", "7"),
            name("u", "Failed", "8"),
        ] {
            assert_ne!(name("u", "Failed", "7"), other);
        }
        assert!(name("u", "Failed", "7").len() < 253);
    }
}
