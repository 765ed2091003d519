//! The watches that wake the Task controller, and the caches that they fill.
//!
//! What nobody reads is dropped before it is cached: a Pod's spec holds the whole prompt.

use std::sync::Arc;

use futures::Stream;
use futures::TryStreamExt as _;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::batch::v1::JobSpec;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::core::v1::PodSpec;
use kube::Api;
use kube::ResourceExt;
use kube::core::DeserializeGuard;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::reflector;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::reflector::Store;
use kube::runtime::watcher;

use super::index::Index;
use super::ownership;
use super::pods::Names;
use super::pods::Pods;
use super::status;
use crate::api::Task;
use crate::api::Workspace;
use crate::api::labels;
use crate::controller::cached::without_managers;

/// A Task as the watch knows it.
type Watched = DeserializeGuard<Task>;

/// The cache of all Tasks, which the index follows, and the stream that fills both.
pub(super) fn tasks(
    api: Api<Watched>,
    index: Arc<Index>,
) -> (
    Store<Watched>,
    impl Stream<Item = Result<Watched, watcher::Error>> + Send,
) {
    let (store, writer) = reflector::store();
    let stream = watcher(api, watcher::Config::default())
        .default_backoff()
        .modify(without_managers)
        .reflect(writer)
        // After the cache: whoever is woken finds the change there.
        .inspect_ok(move |event| index.note(event))
        .applied_objects();
    (store, stream)
}

/// The cache of our Jobs, and the stream that fills it.
pub(super) fn jobs(
    api: Api<Job>,
) -> (
    Store<Job>,
    impl Stream<Item = Result<Job, watcher::Error>> + Send,
) {
    let (store, writer) = reflector::store();
    let stream = watcher(api, ours())
        .default_backoff()
        .modify(|job| {
            job.metadata.managed_fields = None;
            let suspend = job.spec.take().and_then(|it| it.suspend);
            job.spec = Some(JobSpec {
                suspend,
                ..JobSpec::default()
            });
        })
        .reflect(writer)
        .touched_objects();
    (store, stream)
}

/// The cache of our Pods, and the stream that fills it.
pub(super) fn pods(
    api: Api<Pod>,
) -> (Pods, impl Stream<Item = Result<Pod, watcher::Error>> + Send) {
    let (store, writer) = reflector::store();
    let names = Arc::new(Names::default());
    let noted = names.clone();
    let stream = watcher(api, ours())
        .default_backoff()
        .modify(|pod| {
            pod.metadata.managed_fields = None;
            let spec = pod.spec.take().unwrap_or_default();
            pod.spec = Some(PodSpec {
                node_name: spec.node_name,
                active_deadline_seconds: spec.active_deadline_seconds,
                ..PodSpec::default()
            });
        })
        .reflect(writer)
        // After the cache: whoever is woken finds the change there.
        .inspect_ok(move |event| noted.note(event))
        .touched_objects();
    (Pods { store, names }, stream)
}

fn ours() -> watcher::Config {
    watcher::Config::default().labels(labels::TASK)
}

/// The Task that a Job belongs to.
pub(super) fn owner(job: &Job) -> Option<ObjectRef<Watched>> {
    let owner = ownership::task_of(job.owner_references())?;
    Some(reference(&owner.name, job.namespace()))
}

/// The Task that a Pod says it runs.
pub(super) fn labelled(pod: &Pod) -> Option<ObjectRef<Watched>> {
    // A name too long for a label stands in an annotation.
    let full = pod.annotations().get(labels::TASK);
    let name = full.or_else(|| pod.labels().get(labels::TASK))?;
    Some(reference(name, pod.namespace()))
}

/// The Tasks that may wait for a Workspace.
pub(super) fn users(
    tasks: &Store<Watched>,
    workspace: &DeserializeGuard<Workspace>,
) -> Vec<ObjectRef<Watched>> {
    let name = workspace.name_any();
    let namespace = workspace.namespace();
    let waits = |task: &Watched| {
        let Ok(task) = &task.0 else { return false };
        let asks = task
            .spec
            .workspace_ref
            .as_ref()
            .is_some_and(|it| it.name == name);
        asks && is_unfinished(task) && task.metadata.namespace == namespace
    };
    let found = tasks.state_filter(waits);
    found.iter().map(|it| ObjectRef::from_obj(&**it)).collect()
}

/// Whether a Task may run yet; one that cannot be read may.
pub(super) fn is_open(task: &Watched) -> bool {
    task.0.as_ref().map_or(true, is_unfinished)
}

fn is_unfinished(task: &Task) -> bool {
    let status = task.status.as_ref();
    status.is_none_or(|it| !status::is_finished(it))
}

fn reference(name: &str, namespace: Option<String>) -> ObjectRef<Watched> {
    ObjectRef::new(name).within(&namespace.unwrap_or_default())
}
