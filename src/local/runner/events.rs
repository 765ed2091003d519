//! Events about Pods: best effort, bounded, never in the way of a container.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::api::core::v1::EventSource;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::Client;
use kube::api::PostParams;
use tokio::sync::mpsc;

use super::container::Note;
use crate::local::clock;

/// How many events may wait to be written; more are dropped.
const WAITING: usize = 256;
/// How long one may take.
const WRITE_WITHIN: Duration = Duration::from_secs(5);
/// What Kubernetes takes of a message.
const MESSAGE_LIMIT: usize = 1024;

/// Takes events for writing.
#[derive(Clone)]
pub(super) struct Events {
    queue: mpsc::Sender<Event>,
    node: String,
}

impl Events {
    /// The queue, and the work that empties it.
    pub(super) fn new(
        client: Client,
        node: &str,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (queue, waiting) = mpsc::channel(WAITING);
        let events = Self {
            queue,
            node: node.to_owned(),
        };
        (events, write(client, waiting))
    }

    pub(super) fn tell(&self, pod: &Pod, note: Note) {
        let component = match note.reason {
            "Scheduled" => "default-scheduler",
            _ => "kubelet",
        };
        let event = event(pod, note, component, &self.node, clock::now());
        // A full queue drops it: events are for people, and best effort.
        let _ = self.queue.try_send(event);
    }
}

async fn write(client: Client, mut waiting: mpsc::Receiver<Event>) {
    while let Some(event) = waiting.recv().await {
        let namespace = event.metadata.namespace.clone().unwrap_or_default();
        let api: Api<Event> = Api::namespaced(client.clone(), &namespace);
        let params = PostParams::default();
        let written = tokio::time::timeout(WRITE_WITHIN, api.create(&params, &event)).await;
        if let Ok(Err(error)) = written {
            tracing::debug!(%error, "an event could not be written");
        }
    }
}

fn event(pod: &Pod, note: Note, component: &str, host: &str, now: Timestamp) -> Event {
    let meta = &pod.metadata;
    let name = meta.name.clone().unwrap_or_default();
    let mut message = note.message;
    let mut end = message.len().min(MESSAGE_LIMIT);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message.truncate(end);
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{name}.{}", uuid::Uuid::new_v4().simple())),
            namespace: meta.namespace.clone(),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            name: Some(name),
            namespace: meta.namespace.clone(),
            uid: meta.uid.clone(),
            resource_version: meta.resource_version.clone(),
            field_path: None,
        },
        type_: Some(if note.warning { "Warning" } else { "Normal" }.to_owned()),
        reason: Some(note.reason.to_owned()),
        message: Some(message),
        source: Some(EventSource {
            component: Some(component.to_owned()),
            host: Some(host.to_owned()),
        }),
        reporting_component: Some(component.to_owned()),
        reporting_instance: Some(host.to_owned()),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        count: Some(1),
        ..Event::default()
    }
}
