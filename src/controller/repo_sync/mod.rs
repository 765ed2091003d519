//! The RepoSync controller: keeps a namespace equal to the `axon.yaml` of a repository.
//!
//! `reconcile` tells the story: `read` looks at the repository, `attempt` compares and applies,
//! `status` reports. What the namespaces hold is known from watches (`view`): where nothing is to be
//! done, nobody is asked and nothing is written. It applies through `sync` and in no other way, and
//! to its own namespace only.

mod attempt;
mod begin;
mod behind;
mod claims;
mod credentials;
mod decide;
mod delete;
#[cfg(test)]
mod fixture;
mod gate;
mod left;
mod memory;
mod open;
mod outcome;
mod own;
mod read;
mod reason;
mod reconcile;
mod refusals;
mod remember;
mod retry;
mod rivals;
mod settings;
mod slim;
mod status;
mod summary;
mod tell;
mod view;
mod watch;

use std::sync::Arc;

use futures::FutureExt as _;
use futures::Stream;
use futures::StreamExt as _;
use kube::Client;
use kube::core::DeserializeGuard;
use kube::runtime::Controller;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::controller;
use kube::runtime::controller::Action;
use kube::runtime::reflector;
use kube::runtime::watcher;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::claims::Claims;
use self::claims::Name;
use self::memory::Memories;
use self::reconcile::Context;
use self::reconcile::Error;
use self::refusals::Refusals;
use self::rivals::Rivals;
use self::view::View;
use super::cached::without_managers;
use super::clock;
use super::commit_status::CommitStatuses;
use super::conflicts::Conflicts;
use super::options::Options;
use super::repositories::Repositories;
use crate::api::RepoSync;

/// RepoSyncs that are worked on at once: a server that does not answer takes a place for its timeout.
const CONCURRENCY: u16 = 32;
/// Calls to look again that may wait: one that finds no room waits itself.
const CALLS: usize = 256;

/// Runs the RepoSync controller until `stop` is cancelled and what was under way has ended.
pub(super) async fn run(client: Client, options: &Options, stop: CancellationToken) {
    let (store, writer) = reflector::store();
    let syncs = options.scope::<DeserializeGuard<RepoSync>>(&client);
    let syncs = watcher(syncs, watcher::Config::default())
        .default_backoff()
        .modify(without_managers)
        .reflect(writer);
    let (wake, calls) = mpsc::channel(CALLS);
    let context = Arc::new(Context {
        client: client.clone(),
        options: options.clone(),
        repositories: Repositories::default(),
        view: View::default(),
        claims: Claims::default(),
        memories: Memories::default(),
        conflicts: Conflicts::default(),
        refusals: Refusals::default(),
        rivals: Rivals::new(store.clone()),
        commit_statuses: CommitStatuses::new(client, options.clone(), stop.clone()),
        wake,
        stop: stop.clone(),
    });
    let (cleaned, done) = (Arc::clone(&context), stop.clone());
    let working = Controller::for_stream(watch::asked(syncs), store)
        .with_config(controller::Config::default().concurrency(CONCURRENCY))
        .reconcile_on(each(calls))
        .graceful_shutdown_on(async move { done.cancelled().await })
        .run(reconcile::reconcile, retry, Arc::clone(&context))
        .for_each(move |result| {
            match result {
                Ok((name, _)) => {
                    cleaned.conflicts.over(&name);
                    cleaned.refusals.over(&name);
                }
                Err(error) => log(&error),
            }
            clean(&cleaned);
            std::future::ready(())
        });
    tokio::select! {
        () = working => {}
        () = follow(&context, options).boxed() => {}
    }
}

/// Keeps the view up to date, and wakes those whom a change concerns.
async fn follow(context: &Context, options: &Options) {
    let mut events = watch::objects(&context.client, options);
    while let Some((shelf, event)) = events.next().await {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                tracing::warn!(%error, ?shelf, "a watch was interrupted");
                continue;
            }
        };
        for change in context.view.take(shelf, event) {
            for name in context.claims.touch(&change, clock::now()) {
                context.wake.send(name).await.ok();
            }
        }
    }
}

/// Forgets RepoSyncs that are gone. Their ids are free: the others look again.
fn clean(context: &Context) {
    context
        .memories
        .retain(context.rivals.len(), |name| context.rivals.has(name));
    context.conflicts.retain(|name| context.rivals.has(name));
    context.refusals.retain(|name| context.rivals.has(name));
    for gone in context.claims.retain(|name| context.rivals.has(name)) {
        for sibling in context.claims.touch_siblings(&gone, clock::now()) {
            // Not here: who takes calls waits for this.
            let wake = context.wake.clone();
            tokio::spawn(async move { wake.send(sibling).await.ok() });
        }
    }
}

fn each(calls: mpsc::Receiver<Name>) -> impl Stream<Item = Name> {
    futures::stream::unfold(calls, |mut calls| async {
        let name = calls.recv().await?;
        Some((name, calls))
    })
}

#[expect(clippy::needless_pass_by_value, reason = "the signature is kube's")]
fn retry(sync: Arc<DeserializeGuard<RepoSync>>, error: &Error, context: Arc<Context>) -> Action {
    Action::requeue(error.pause(Name::from_obj(&*sync), &context))
}

fn log(error: &controller::Error<Error, watcher::Error>) {
    match error {
        controller::Error::ReconcilerFailed(failure, sync) => {
            let cause = std::error::Error::source(failure).map(ToString::to_string);
            tracing::debug!(%sync, error = %failure, cause, "will try again");
        }
        // Deleted while it stood in the queue.
        controller::Error::ObjectNotFound(_) => {}
        other => tracing::warn!(error = %other, "a watch was interrupted"),
    }
}
