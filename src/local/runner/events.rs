//! Events about Pods: best effort, bounded, never in the way of a container.

use std::time::Duration;

use k8s_openapi::api::core::v1::Event;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::Client;
use kube::api::PostParams;
use tokio::sync::mpsc;

use crate::local::clock;
use crate::local::events::Note;
use crate::local::events::Teller;
use crate::local::events::event;

/// How many events may wait to be written; more are dropped.
const WAITING: usize = 256;
/// How long one may take.
const WRITE_WITHIN: Duration = Duration::from_secs(5);

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
        let component = match note.reason.as_str() {
            "Scheduled" => "default-scheduler",
            _ => "kubelet",
        };
        let teller = Teller {
            component,
            host: Some(&self.node),
        };
        let mark = uuid::Uuid::new_v4().simple().to_string();
        let event = event(pod, note, &mark, &teller, clock::now());
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
