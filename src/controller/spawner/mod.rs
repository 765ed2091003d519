//! The spawner controller: work items become Tasks, each of them once.
//!
//! It creates Tasks and nothing else; what becomes of them is the Task controller's business. It
//! holds no state that matters: everything that must not be forgotten is in the cluster.

mod act;
mod build;
mod decide;
mod known;
mod look;
mod memory;
mod news;
mod reconcile;
mod status;
mod total;
mod trouble;

use std::sync::Arc;

use futures::StreamExt as _;
use kube::Client;
use kube::ResourceExt;
use kube::core::DeserializeGuard;
use kube::runtime::Controller;
use kube::runtime::PredicateConfig;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::controller;
use kube::runtime::predicates;
use kube::runtime::reflector;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use tokio_util::sync::CancellationToken;

use self::memory::Memory;
use super::cached::without_managers;
use super::options::Options;
use crate::api::Task;
use crate::api::TaskSpawner;
use crate::api::labels;
use crate::github::Clients;

/// Spawners that are looked at side by side: most of the time is spent waiting for GitHub.
const CONCURRENCY: u16 = 8;

/// What every reconciliation is given.
struct Context {
    client: Client,
    options: Options,
    github: Clients,
    memory: Memory,
}

/// Runs the spawner controller until `stop` is cancelled, then lets what is under way end.
pub async fn run(client: Client, options: &Options, stop: CancellationToken) {
    let (store, writer) = reflector::store();
    let spawners = watcher(
        options.scope::<Watched>(&client),
        watcher::Config::default(),
    )
    .default_backoff()
    .modify(without_managers)
    .reflect(writer)
    .applied_objects()
    // Our own writes to the status are no news.
    .predicate_filter(predicates::generation, PredicateConfig::default());
    let of_spawners = watcher::Config::default().labels(labels::TASK_SPAWNER);
    let tasks = watcher(
        options.scope::<DeserializeGuard<Task>>(&client),
        of_spawners,
    )
    .default_backoff();
    let context = Arc::new(Context {
        client,
        options: options.clone(),
        github: Clients::default(),
        memory: Memory::default(),
    });
    let cleaner = (context.clone(), store.clone());
    Controller::for_stream(spawners, store)
        .watches_stream(news::progress(tasks), |task| spawner_of(&task))
        .with_config(controller::Config::default().concurrency(CONCURRENCY))
        .graceful_shutdown_on(async move { stop.cancelled().await })
        .run(reconcile::reconcile, reconcile::error_policy, context)
        .for_each(|result| {
            let (context, store) = &cleaner;
            let exists = |key: &ObjectRef<TaskSpawner>| store.get(&watched(key)).is_some();
            context.memory.retain(store.len(), exists);
            if let Err(controller::Error::QueueError(error)) = result {
                tracing::warn!(%error, "cannot watch TaskSpawners and their Tasks");
            }
            std::future::ready(())
        })
        .await;
}

/// A TaskSpawner as the watch knows it: one that cannot be read does not stop the others.
type Watched = DeserializeGuard<TaskSpawner>;

fn watched(spawner: &ObjectRef<TaskSpawner>) -> ObjectRef<Watched> {
    let namespace = spawner.namespace.as_deref().unwrap_or_default();
    ObjectRef::new(&spawner.name).within(namespace)
}

fn spawner_of(task: &DeserializeGuard<Task>) -> Option<ObjectRef<Watched>> {
    let full = task.annotations().get(labels::TASK_SPAWNER);
    let name = full.or_else(|| task.labels().get(labels::TASK_SPAWNER))?;
    Some(ObjectRef::new(name).within(&task.namespace()?))
}
