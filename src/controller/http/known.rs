//! The RepoSyncs that take deliveries, from a watch: a name that a stranger made up costs no request.

use std::sync::Arc;

use futures::Future;
use futures::FutureExt as _;
use futures::StreamExt as _;
use kube::Api;
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::reflector;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::reflector::Store;
use kube::runtime::watcher;

use super::route::Target;
use crate::api::repo_sync::RepoSync;

/// A RepoSync as the watch knows it: one that cannot be read takes no deliveries.
type Watched = DeserializeGuard<RepoSync>;

/// What is known of the cluster's RepoSyncs.
#[derive(Clone)]
pub(super) struct Known(Store<Watched>);

/// How a RepoSync takes deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hook {
    /// Name of the Secret with the sender's secret.
    pub(super) secret: String,
    /// What the RepoSync follows.
    pub(super) followed: Option<String>,
}

impl Known {
    /// What is known, and what keeps it up to date while it is awaited.
    pub(super) fn watch(api: Api<Watched>) -> (Self, impl Future<Output = ()>) {
        let (store, writer) = reflector::store();
        let events = watcher(api, watcher::Config::default())
            .default_backoff()
            .modify(|object: &mut Watched| {
                if let Ok(sync) = &mut object.0 {
                    sync.metadata.managed_fields = None;
                    sync.metadata.annotations = None;
                    sync.status = None;
                }
            })
            .reflect(writer);
        let reading = events.for_each(|event| {
            if let Err(error) = event {
                tracing::warn!(%error, "cannot watch RepoSyncs for webhooks");
            }
            std::future::ready(())
        });
        (Self(store), reading)
    }

    /// Whether all there were at the start are known: the API server answered, and has our kinds.
    pub(super) fn is_complete(&self) -> bool {
        matches!(self.0.wait_until_ready().now_or_never(), Some(Ok(())))
    }

    pub(super) fn hook(&self, target: &Target) -> Option<Hook> {
        let key = ObjectRef::new(target.name.as_str()).within(target.namespace.as_str());
        let found: Arc<Watched> = self.0.get(&key)?;
        let spec = &found.0.as_ref().ok()?.spec;
        Some(Hook {
            secret: spec.webhook.as_ref()?.secret_ref.name.clone(),
            followed: spec.reference.clone(),
        })
    }
}
