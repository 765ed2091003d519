//! Brings a policy back that somebody deletes or edits while Tasks of its namespace have not finished.

use std::collections::BTreeSet;
use std::pin::pin;

use futures::StreamExt as _;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Api;
use kube::ResourceExt;
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::reflector::Store;
use kube::runtime::watcher;
use kube::runtime::watcher::Event;
use tokio_util::sync::CancellationToken;

use super::NAME;
use super::Policies;
use crate::api::Task;

/// A Task as the watch knows it.
type Watched = DeserializeGuard<Task>;

/// Watches the policies until `stop` is cancelled. `is_open` tells whether a Task may run yet.
pub(in crate::controller) async fn keep(
    policies: &Policies,
    api: Api<NetworkPolicy>,
    tasks: &Store<Watched>,
    is_open: impl Fn(&Watched) -> bool,
    stop: CancellationToken,
) {
    let config = watcher::Config::default().fields(&format!("metadata.name={NAME}"));
    let events = async {
        // What is missing in a list shows only against the Tasks.
        tasks.wait_until_ready().await.ok();
        let mut events = pin!(watcher(api, config).default_backoff());
        while let Some(event) = events.next().await {
            let changed = match event {
                Ok(Event::Init | Event::InitApply(_)) => continue,
                Ok(Event::InitDone) => None,
                Ok(Event::Apply(policy) | Event::Delete(policy)) => policy.namespace(),
                Err(error) => {
                    tracing::warn!(%error, "a watch was interrupted");
                    continue;
                }
            };
            let concerned = |it: &Watched| changed.is_none() || it.namespace() == changed;
            let open = tasks.state_filter(|it| concerned(it) && is_open(it));
            let namespaces: BTreeSet<_> = open.iter().filter_map(|it| it.namespace()).collect();
            for namespace in namespaces {
                policies.look(&namespace).await;
            }
        }
    };
    tokio::select! {
        () = events => {}
        () = stop.cancelled() => {}
    }
}
