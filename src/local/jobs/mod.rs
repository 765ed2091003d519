//! The Job controller: each Job has one Pod at a time, until it succeeded or failed for good.
//!
//! It decides by what the API server answers at that moment, never by a cache: a cache only wakes
//! it. Pods get names that follow from the Job and the number of the attempt, so neither a
//! restart nor a second controller makes two Pods of one attempt.

mod backoff;
mod conditions;
mod decide;
mod news;
mod pod;
mod policy;
mod trouble;

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::Client;
use kube::ResourceExt;
use kube::api::DeleteParams;
use kube::api::ListParams;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::api::PostParams;
use kube::api::Preconditions;
use kube::api::PropagationPolicy;
use kube::runtime::controller::Action;
use kube::runtime::controller::Config;
use kube::runtime::controller::Controller;
use kube::runtime::controller::Error as RunError;
use kube::runtime::watcher;
use serde_json::json;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use self::decide::Decision;
use self::decide::TRACKING;
use self::decide::decide;
use self::trouble::Failures;
use crate::local::clock;

/// How many Jobs are looked at at a time.
const CONCURRENCY: u16 = 8;

/// What the controller tried when the API server said no.
#[derive(Debug, Error)]
enum Error {
    #[error("cannot read the Job or its Pods")]
    Read(#[source] kube::Error),
    #[error("cannot create the Pod of a Job")]
    Create(#[source] kube::Error),
    #[error("cannot delete a Pod of a Job")]
    Delete(#[source] kube::Error),
    #[error("cannot write the status of a Job")]
    Status(#[source] kube::Error),
    #[error("cannot release a Pod of a Job")]
    Release(#[source] kube::Error),
    #[error("cannot delete a Job that expired")]
    Expire(#[source] kube::Error),
}

/// What all looks share.
struct Context {
    client: Client,
    failures: Failures,
}

/// How long what is under way may take to end. A controller that is told to stop before it has seen its first
/// list would never end.
const DRAIN: Duration = Duration::from_secs(2);

/// Looks after all Jobs until `stop`.
pub async fn run(client: Client, stop: CancellationToken) {
    let jobs = watch_jobs(client.clone(), stop.clone());
    let orphans = watch_orphans(client, stop.clone());
    let patience = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        ((), ()) = futures::future::join(jobs, orphans) => {}
        () = patience => tracing::debug!("gave up waiting for looks at Jobs"),
    }
}

async fn watch_jobs(client: Client, stop: CancellationToken) {
    let every = watcher::Config::default();
    let ours = watcher::Config::default().labels(pod::CONTROLLER_UID);
    Controller::new(Api::<Job>::all(client.clone()), every)
        .owns(Api::<Pod>::all(client.clone()), ours)
        .with_config(Config::default().concurrency(CONCURRENCY))
        .graceful_shutdown_on(stop.cancelled_owned())
        .run(
            reconcile,
            |job, error, context| retry(job.as_ref(), error, &context),
            context(client),
        )
        .for_each(async |looked| tell(looked))
        .await;
}

/// Pods whose Job is gone: nobody counts them, so nothing must hold them.
async fn watch_orphans(client: Client, stop: CancellationToken) {
    let ours = watcher::Config::default().labels(pod::CONTROLLER_UID);
    Controller::new(Api::<Pod>::all(client.clone()), ours)
        .with_config(Config::default().concurrency(CONCURRENCY))
        .graceful_shutdown_on(stop.cancelled_owned())
        .run(
            release_orphan,
            |pod, error, context| retry(pod.as_ref(), error, &context),
            context(client),
        )
        .for_each(async |looked| tell(looked))
        .await;
}

fn context(client: Client) -> Arc<Context> {
    let failures = Failures::default();
    Arc::new(Context { client, failures })
}

fn retry(object: &impl ResourceExt, error: &Error, context: &Context) -> Action {
    let pause = context.failures.failed(&object.uid().unwrap_or_default());
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::debug!(%error, cause, name = object.name_any(), ?pause, "trying again");
    Action::requeue(pause)
}

/// Tells of a watch that failed; it goes on by itself. A look that failed was told by [`retry`].
fn tell<T>(looked: Result<T, RunError<Error, watcher::Error>>) {
    match looked {
        Err(error @ (RunError::QueueError(_) | RunError::RunnerError(_))) => {
            tracing::warn!(%error, "Jobs or Pods cannot be watched");
        }
        Ok(_) | Err(RunError::ObjectNotFound(_) | RunError::ReconcilerFailed(..)) => {}
    }
}

async fn reconcile(seen: Arc<Job>, context: Arc<Context>) -> Result<Action, Error> {
    let action = Box::pin(look(&seen, &context.client)).await?;
    context.failures.succeeded(&seen.uid().unwrap_or_default());
    Ok(action)
}

async fn look(seen: &Job, client: &Client) -> Result<Action, Error> {
    let namespace = seen.namespace().unwrap_or_default();
    let jobs: Api<Job> = Api::namespaced(client.clone(), &namespace);
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    let found = jobs.get_opt(&seen.name_any()).await.map_err(Error::Read)?;
    let Some(job) = found else {
        return Ok(Action::await_change());
    };
    let uid = job.uid().unwrap_or_default();
    let selector = ListParams::default().labels(&format!("{}={uid}", pod::CONTROLLER_UID));
    let listed = pods.list(&selector).await.map_err(Error::Read)?;
    let mut own = listed.items;
    own.retain(|it| pod::is_controlled_by(it, &uid));
    let decision = decide(&job, &own, clock::now());
    let look_again = decision.look_again;
    Box::pin(carry_out(client, &jobs, &pods, job, decision)).await?;
    Ok(look_again.map_or_else(Action::await_change, Action::requeue))
}

/// Does what was decided, each step such that it may be done again.
async fn carry_out(
    client: &Client,
    jobs: &Api<Job>,
    pods: &Api<Pod>,
    job: Job,
    decision: Decision,
) -> Result<(), Error> {
    for name in &decision.delete {
        let gone = pods.delete(name, &DeleteParams::default()).await;
        unless_gone(gone).map_err(Error::Delete)?;
        news::tell(client, &job, news::deleted(name)).await;
    }
    if let Some(attempt) = decision.create {
        let pod = pod::build(&job, attempt);
        match pods.create(&PostParams::default(), &pod).await {
            Ok(pod) => news::tell(client, &job, news::created(&pod.name_any())).await,
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(error) => {
                if let kube::Error::Api(status) = &error {
                    news::tell(client, &job, news::refused(&status.message)).await;
                }
                return Err(Error::Create(error));
            }
        }
    }
    let name = job.name_any();
    if decision.expired {
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Foreground),
            preconditions: Some(Preconditions {
                uid: job.uid(),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        let deleted = jobs.delete(&name, &params).await;
        return unless_gone(deleted).map_err(Error::Expire);
    }
    if let Some(status) = decision.status {
        let before = job.status.clone().unwrap_or_default();
        let notes = news::between(&before, &status);
        let job = Job {
            status: Some(status),
            ..job
        };
        jobs.replace_status(&name, &PostParams::default(), &job)
            .await
            .map_err(Error::Status)?;
        for note in notes {
            news::tell(client, &job, note).await;
        }
    }
    for name in &decision.release {
        release(pods, name).await?;
    }
    Ok(())
}

async fn release_orphan(pod: Arc<Pod>, context: Arc<Context>) -> Result<Action, Error> {
    let action = look_at_orphan(&pod, &context.client).await?;
    context.failures.succeeded(&pod.uid().unwrap_or_default());
    Ok(action)
}

async fn look_at_orphan(pod: &Pod, client: &Client) -> Result<Action, Error> {
    if !decide::is_tracked(pod) {
        return Ok(Action::await_change());
    }
    let namespace = pod.namespace().unwrap_or_default();
    let owner = pod.owner_references().iter().find(|it| {
        it.controller == Some(true) && it.kind == "Job" && it.api_version.starts_with("batch/")
    });
    if let Some(owner) = owner {
        let jobs: Api<Job> = Api::namespaced(client.clone(), &namespace);
        let job = jobs.get_opt(&owner.name).await.map_err(Error::Read)?;
        if job.and_then(|it| it.uid()).as_ref() == Some(&owner.uid) {
            return Ok(Action::await_change());
        }
    }
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    release(&pods, &pod.name_any()).await?;
    Ok(Action::await_change())
}

/// Takes the finalizer off a Pod, and nothing else.
async fn release(pods: &Api<Pod>, name: &str) -> Result<(), Error> {
    let found = pods.get_opt(name).await.map_err(Error::Release)?;
    let Some(pod) = found.filter(decide::is_tracked) else {
        return Ok(());
    };
    let mut kept = pod.finalizers().to_vec();
    kept.retain(|it| it != TRACKING);
    // With the version that was read: a finalizer that someone else adds meanwhile is not lost.
    let patch = Patch::Merge(json!({"metadata": {
        "finalizers": (!kept.is_empty()).then_some(kept),
        "resourceVersion": pod.resource_version(),
        "uid": pod.uid(),
    }}));
    let patched = pods.patch(name, &PatchParams::default(), &patch).await;
    unless_gone(patched).map_err(Error::Release)
}

fn unless_gone<T>(result: Result<T, kube::Error>) -> Result<(), kube::Error> {
    match result {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}
