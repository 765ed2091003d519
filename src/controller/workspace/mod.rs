//! The Workspace controller: says whether a Workspace's repository can be reached, and keeps tokens of
//! GitHub Apps fresh while Tasks use them.
//!
//! `reconcile` tells the story: `decide` (pure) says whether to look, `look` looks, `status` reports.
//! It looks after a change of spec, when a Task that names the Workspace is about to start, and, with
//! growing pauses, again where something is wrong. Secrets are read by name, never listed or watched.

mod credentials;
mod decide;
mod look;
mod memory;
mod need;
mod reason;
mod reconcile;
mod settings;
mod status;
mod token;
mod uses;

use std::sync::Arc;

use futures::StreamExt as _;
use kube::Client;
use kube::Resource as _;
use kube::core::DeserializeGuard;
use kube::runtime::Controller;
use kube::runtime::PredicateConfig;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::controller;
use kube::runtime::controller::Action;
use kube::runtime::predicates;
use kube::runtime::reflector;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use tokio_util::sync::CancellationToken;

use self::look::Recent;
use self::memory::Memories;
use self::reconcile::Context;
use self::reconcile::Error;
use self::uses::Uses;
use super::cached::without_managers;
use super::conflicts::Conflicts;
use super::options::Options;
use super::repositories::Repositories;
use crate::api::Task;
use crate::api::Workspace;

pub(super) use credentials::Error as NoCredentials;
pub(super) use credentials::api_token;
pub(super) use need::GitKey;
pub(super) use need::git_keys;
pub(super) use need::git_secret;
pub(super) use token::Error as NoToken;

/// Workspaces that are looked at at once: a server that does not answer takes a place for its timeout.
const CONCURRENCY: u16 = 16;

/// A Workspace as the watch knows it: one that cannot be read does not stop the others.
type Watched = DeserializeGuard<Workspace>;

/// Runs the Workspace controller until `stop` is cancelled and what was under way has ended.
pub(super) async fn run(client: Client, options: &Options, stop: CancellationToken) {
    let (store, writer) = reflector::store();
    let workspaces = watcher(
        options.scope::<Watched>(&client),
        watcher::Config::default(),
    )
    .default_backoff()
    .modify(|workspace: &mut Watched| {
        without_managers(workspace);
        let metadata = workspace.meta_mut();
        (metadata.annotations, metadata.labels) = (None, None);
    })
    .reflect(writer)
    .applied_objects()
    // Our own writes to the status are no news.
    .predicate_filter(predicates::generation, PredicateConfig::default());
    let tasks = watcher(
        options.scope::<DeserializeGuard<Task>>(&client),
        watcher::Config::default(),
    )
    .default_backoff();
    let uses = Arc::new(Uses::default());
    let context = Arc::new(Context {
        client,
        options: options.clone(),
        repositories: Repositories::default(),
        recent: Recent::default(),
        memories: Memories::default(),
        conflicts: Conflicts::default(),
        uses: Arc::clone(&uses),
    });
    let (cleaned, known) = (Arc::clone(&context), store.clone());
    Controller::for_stream(workspaces, store)
        .with_config(controller::Config::default().concurrency(CONCURRENCY))
        .reconcile_on(uses::wakes(uses, tasks))
        .graceful_shutdown_on(async move { stop.cancelled().await })
        .run(reconcile::reconcile, retry, context)
        .for_each(|result| {
            let exists = |name: &ObjectRef<Watched>| known.get(name).is_some();
            cleaned.memories.retain(known.len(), exists);
            cleaned.conflicts.retain(exists);
            match result {
                Ok((name, _)) => cleaned.conflicts.over(&name),
                Err(error) => log(&error),
            }
            std::future::ready(())
        })
        .await;
}

#[expect(clippy::needless_pass_by_value, reason = "the signature is kube's")]
fn retry(workspace: Arc<Watched>, error: &Error, context: Arc<Context>) -> Action {
    let name = ObjectRef::from_obj(&*workspace);
    Action::requeue(error.pause(name, &context.conflicts))
}

fn log(error: &controller::Error<Error, watcher::Error>) {
    match error {
        controller::Error::ReconcilerFailed(failure, workspace) if failure.is_conflict() => {
            tracing::debug!(%workspace, "somebody else wrote first");
        }
        controller::Error::ReconcilerFailed(failure, workspace) => {
            let cause = std::error::Error::source(failure).map(ToString::to_string);
            tracing::warn!(%workspace, error = %failure, cause, "will try again");
        }
        // Deleted while it stood in the queue.
        controller::Error::ObjectNotFound(_) => {}
        other => tracing::warn!(error = %other, "a watch was interrupted"),
    }
}
