//! The Task controller: one attempt of a Task, one Job, one Pod, one run.
//!
//! `reconcile` tells the story: `gather` looks, `decide` (pure) says what is next, `start`, `act` and
//! `status` do it. A finished Task is left as it is until its time to live has passed.

mod act;
mod backoff;
mod branch;
mod build;
mod decide;
mod dependencies;
#[cfg(test)]
mod fixture;
mod gather;
mod index;
mod named;
mod needs;
mod news;
mod notices;
mod outcome;
mod ownership;
mod pods;
mod reason;
mod reconcile;
mod record;
mod refusals;
mod retry;
mod sight;
mod stage;
mod start;
mod status;
mod step;
mod stop;
mod watch;

use std::sync::Arc;

use futures::StreamExt as _;
use kube::Client;
use kube::core::DeserializeGuard;
use kube::runtime::Controller;
use kube::runtime::controller;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::watcher;
use tokio_util::sync::CancellationToken;

use self::backoff::Backoff;
use self::gather::Caches;
use self::index::Index;
use self::reconcile::Context;
use self::reconcile::Error;
use self::refusals::Refusals;
use super::network_policy;
use super::network_policy::Policies;
use super::options::Options;
use crate::api::Task;
use crate::api::Workspace;

pub use reason::waits_for_a_person;

/// Tasks that are worked on at once: enough to hide the API server's latency.
const CONCURRENCY: u16 = 32;

/// Runs the Task controller until `stop` is cancelled and what was under way has ended.
pub(super) async fn run(client: Client, options: &Options, stop: CancellationToken) {
    let index = Arc::new(Index::default());
    let (known, task_events) = watch::tasks(options.scope(&client), index.clone());
    let (jobs, job_events) = watch::jobs(options.scope(&client));
    let (pods, pod_events) = watch::pods(options.scope(&client));
    let context = Arc::new(Context {
        client: client.clone(),
        caches: Caches {
            tasks: known.clone(),
            jobs,
            pods,
            index: index.clone(),
        },
        options: options.clone(),
        backoff: Backoff::default(),
        policies: Policies::new(client.clone()),
        refusals: Refusals::new(client.clone()),
    });
    let (cleaned, store) = (context.clone(), known.clone());
    let done = stop.clone();
    let (guarded, guards) = (known.clone(), context.clone());
    let policies = Box::pin(network_policy::keep(
        &guards.policies,
        options.scope(&client),
        &guarded,
        watch::is_open,
        stop,
    ));
    let tasks = Controller::for_stream(task_events, known.clone())
        .with_config(controller::Config::default().concurrency(CONCURRENCY))
        .watches_stream(job_events, |job| watch::owner(&job))
        .watches_stream(pod_events, |pod| watch::labelled(&pod))
        .watches(
            options.scope::<DeserializeGuard<Workspace>>(&client),
            watcher::Config::default(),
            move |workspace| watch::users(&known, &workspace),
        )
        .reconcile_on(index.woken())
        .graceful_shutdown_on(async move { done.cancelled().await })
        .run(reconcile::reconcile, retry, context)
        .for_each(|result| {
            cleaned.backoff.retain(|task| store.get(task).is_some());
            if let Err(error) = result {
                log(&error);
            }
            std::future::ready(())
        });
    tokio::join!(tasks, policies);
}

#[expect(clippy::needless_pass_by_value, reason = "the signature is kube's")]
fn retry(task: Arc<DeserializeGuard<Task>>, error: &Error, context: Arc<Context>) -> Action {
    Action::requeue(
        context
            .backoff
            .failed(ObjectRef::from_obj(&*task), error.is_conflict()),
    )
}

fn log(error: &controller::Error<Error, watcher::Error>) {
    match error {
        controller::Error::ReconcilerFailed(failure, task) if failure.is_conflict() => {
            tracing::debug!(%task, "somebody else wrote first");
        }
        controller::Error::ReconcilerFailed(failure, task) => {
            let cause = std::error::Error::source(failure).map(ToString::to_string);
            tracing::warn!(%task, error = %failure, cause, "will try again");
        }
        // Deleted while it stood in the queue.
        controller::Error::ObjectNotFound(_) => {}
        other => tracing::warn!(error = %other, "a watch was interrupted"),
    }
}
