//! What the runner writes to the API server about one Pod.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::core::v1::PodStatus;
use kube::Api;
use kube::Client;
use kube::api::DeleteParams;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::api::PostParams;
use kube::api::Preconditions;
use serde_json::Value;
use serde_json::json;
use thiserror::Error;

/// How long one request may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// How often a write is tried, with pauses that double.
const TRIES: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug, Error)]
pub(super) enum Error {
    /// The Pod is not there any more, or another one has its name.
    #[error("the Pod is gone")]
    Gone,
    #[error("cannot write the Pod's status")]
    Write(#[source] Box<kube::Error>),
    #[error("the API server did not answer in time")]
    Late,
}

/// Writes about the one Pod with this uid, never about a successor of the same name.
pub(super) struct Writer {
    api: Api<Pod>,
    name: String,
    uid: String,
}

impl Writer {
    pub(super) fn new(client: &Client, pod: &Pod) -> Self {
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        Self {
            api: Api::namespaced(client.clone(), namespace),
            name: pod.metadata.name.clone().unwrap_or_default(),
            uid: pod.metadata.uid.clone().unwrap_or_default(),
        }
    }

    /// Replaces the status. Gives the Pod as it is now.
    pub(super) async fn status(&self, status: &PodStatus) -> Result<Pod, Error> {
        let patch = Patch::Merge(json!({
            "metadata": {"uid": self.uid},
            "status": status,
        }));
        let params = PatchParams::default();
        self.retried(|| self.api.patch_status(&self.name, &params, &patch))
            .await
    }

    /// Says on which node the Pod is. A server that does not let it be said is no obstacle.
    pub(super) async fn bind(&self, node: &str) -> Result<(), Error> {
        let binding = json!({
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": self.name, "uid": self.uid},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        });
        let params = PostParams::default();
        let bound = self
            .api
            .create_subresource::<_, Value>("binding", &self.name, &params, &binding);
        match tokio::time::timeout(ANSWER_WITHIN, bound).await {
            Ok(Err(kube::Error::Api(status))) if status.is_not_found() => Err(Error::Gone),
            Ok(Err(error)) => {
                tracing::debug!(%error, pod = self.name, "the node could not be named");
                Ok(())
            }
            Ok(Ok(_)) | Err(_) => Ok(()),
        }
    }

    /// Removes the Pod object of which nothing runs any more.
    pub(super) async fn remove(&self) -> Result<(), Error> {
        let params = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(Preconditions {
                uid: Some(self.uid.clone()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        match self.retried(|| self.api.delete(&self.name, &params)).await {
            Ok(_) | Err(Error::Gone) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn retried<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, kube::Error>>,
    {
        let mut pause = FIRST_PAUSE;
        let mut last = Error::Late;
        for _ in 0..TRIES {
            match tokio::time::timeout(ANSWER_WITHIN, attempt()).await {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(kube::Error::Api(status))) if status.is_not_found() => {
                    return Err(Error::Gone);
                }
                Ok(Err(kube::Error::Api(status))) if status.is_conflict() => {
                    // Another Pod has the name, or someone wrote at the same moment.
                    let now = self.api.get_opt(&self.name).await;
                    if let Ok(now) = now
                        && now.is_none_or(|it| it.metadata.uid.as_ref() != Some(&self.uid))
                    {
                        return Err(Error::Gone);
                    }
                    last = Error::Write(Box::new(kube::Error::Api(status)));
                }
                Ok(Err(error)) => last = Error::Write(Box::new(error)),
                Err(_) => last = Error::Late,
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        Err(last)
    }
}
