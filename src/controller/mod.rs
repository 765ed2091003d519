//! The controllers: what turns Tasks into Jobs, work items into Tasks, and repositories into both.
//!
//! They talk to an API server and to nothing else on this machine; whether it is a real cluster's or
//! the embedded one they do not know. Nothing here may rest on being the only controller: leader
//! election saves work, the API server's own checks keep a run from happening twice.

mod cached;
mod clock;
mod commit_status;
mod conflicts;
mod events;
pub mod follow;
mod github_api;
pub mod http;
mod images;
mod leader;
mod loading;
mod network_policy;
mod options;
mod record_gc;
mod repo_sync;
mod repositories;
mod secrets;
pub mod spawner;
mod task;
mod workspace;

use std::pin::pin;
use std::time::Duration;

use kube::Api;
use kube::Client;
use kube::api::ListParams;
use tokio_util::sync::CancellationToken;
use tower::limit::ConcurrencyLimit;

use self::leader::Candidate;
use crate::api;
use crate::model::Namespace;

pub use commit_status::CommitStatuses;
pub use images::ImageChoice;
pub use images::Images;
pub use images::InvalidImage;
pub use images::PullPolicy;
pub use options::Options;
pub use task::waits_for_a_person;

/// How long work that is under way may take to end.
const DRAIN: Duration = Duration::from_secs(10);

/// Requests that may wait for the API server's answer at once, of all controllers together: each takes a
/// connection. Of watches only the start counts.
const MAX_IN_FLIGHT: usize = 64;

/// Field manager of everything that the controllers write.
pub const FIELD_MANAGER: &str = "axon-controller";

/// Why the controllers could not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("Axon is not installed in this cluster: there is no resource \"tasks.axon.io\"")]
    NotInstalled,
    #[error("cannot list Tasks")]
    Reach(#[source] kube::Error),
}

/// Runs all controllers until `stop` is cancelled, then lets what is under way end.
pub async fn run(client: Client, options: Options, stop: CancellationToken) -> Result<(), Error> {
    check_installed(&client, &options).await?;
    let client = bounded(client);
    let tasks = task::run(client.clone(), &options, stop.clone());
    let spawners = spawner::run(client.clone(), &options, stop.clone());
    let records = record_gc::run(client.clone(), &options, stop.clone());
    let workspaces = workspace::run(client.clone(), &options, stop.clone());
    let syncs = repo_sync::run(client, &options, stop.clone());
    tokio::select! {
        ((), (), (), (), ()) = futures::future::join5(tasks, spawners, records, workspaces, syncs) => {}
        // What is under way when the server is gone would wait for its answer for minutes.
        () = patience(&stop) => tracing::warn!("gave up waiting for requests that are under way"),
    }
    Ok(())
}

/// The same way to the API server, for [`MAX_IN_FLIGHT`] requests at once. The Lease of the leader does not go
/// this way: it must not wait for others.
fn bounded(client: Client) -> Client {
    let namespace = client.default_namespace().to_owned();
    let send = tower::service_fn(move |request| {
        let client = client.clone();
        async move { client.send(request).await }
    });
    Client::new(ConcurrencyLimit::new(send, MAX_IN_FLIGHT), namespace)
}

/// Ends when work that was told to stop has had its time.
async fn patience(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(DRAIN).await;
}

/// Like [`run`], but only while this replica leads. `identity` is what it calls itself; the Lease is
/// in `namespace`.
pub async fn run_elected(
    client: Client,
    options: Options,
    namespace: &Namespace,
    identity: String,
    stop: CancellationToken,
) -> Result<(), Error> {
    // Before waiting for a turn: a wrong address or a missing installation is no reason to wait.
    check_installed(&client, &options).await?;
    let mut candidate = Candidate::new(&client, namespace, identity);
    while candidate.elected(&stop).await {
        let term = stop.child_token();
        let mut work = pin!(run(client.clone(), options.clone(), term.clone()));
        let ended = tokio::select! {
            ended = &mut work => Some(ended),
            () = candidate.hold(&stop) => None,
        };
        term.cancel();
        let ended = match ended {
            Some(early) => early,
            // Past that moment another may lead. Work that is dropped goes on where it was.
            None => tokio::time::timeout_at(candidate.end(), work)
                .await
                .unwrap_or(Ok(())),
        };
        candidate.release().await;
        ended?;
    }
    Ok(())
}

/// A cluster without our definitions is said at once: the watches would wait for them for ever.
async fn check_installed(client: &Client, options: &Options) -> Result<(), Error> {
    let tasks: Api<api::Task> = options.scope(client);
    // Not the Tasks themselves: one that cannot be read is no reason to stop.
    match tasks.list_metadata(&ListParams::default().limit(1)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Err(Error::NotInstalled),
        Err(error) => Err(Error::Reach(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering;

    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::client::Body;
    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn no_more_requests_are_under_way_than_are_allowed() {
        let (waiting, answers) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let (seen, given) = (Arc::clone(&waiting), Arc::clone(&answers));
        let server = tower::service_fn(move |_: ::http::Request<Body>| {
            let (seen, given) = (Arc::clone(&seen), Arc::clone(&given));
            async move {
                seen.fetch_add(1, Ordering::SeqCst);
                given.acquire().await.unwrap().forget();
                let nothing = ::http::Response::builder().status(404);
                nothing.body(Body::empty())
            }
        });
        let api: Api<ConfigMap> = Api::default_namespaced(bounded(Client::new(server, "default")));
        let asked = (0..2 * MAX_IN_FLIGHT).map(|_| {
            let api = api.clone();
            tokio::spawn(async move { api.get("any").await.unwrap_err() })
        });
        let asked: Vec<_> = asked.collect();
        let arrive = async |count| {
            while waiting.load(Ordering::SeqCst) < count {
                tokio::task::yield_now().await;
            }
            for _ in 0..1000 {
                tokio::task::yield_now().await;
            }
            assert_eq!(waiting.load(Ordering::SeqCst), count);
        };
        arrive(MAX_IN_FLIGHT).await;
        answers.add_permits(1);
        arrive(MAX_IN_FLIGHT + 1).await;
        answers.add_permits(2 * MAX_IN_FLIGHT);
        for it in asked {
            assert!(matches!(it.await.unwrap(), kube::Error::Api(it) if it.code == 404));
        }
    }
}
