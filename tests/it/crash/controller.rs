//! `axon controller`, killed while it runs Tasks. The test plays the kubelet.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use axon::api::Task;
use axon::api::task::TaskPhase;
use futures::StreamExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::ResourceExt;
use kube::api::ListParams;
use kube::api::PostParams;
use kube::runtime::watcher;
use kube::runtime::watcher::Event;
use serde_json::json;
use tokio::task::JoinSet;

use super::Fault;
use super::PATIENCE;
use super::Place;
use super::everywhere;
use super::note;
use super::snapshot;
use crate::on_both_servers;
use crate::server::Context;
use crate::server::kubelet;
use crate::server::within;

on_both_servers!(a_controller_may_be_killed_anywhere);

const DONE: &str =
    r#"{"version":1,"outputs":["made it"],"results":{},"exitCode":0,"succeeded":true}"#;
/// One goes as soon as it has ended; two stay.
const TASKS: [(&str, Option<i32>); 3] = [("stays", None), ("also", None), ("goes", Some(0))];

async fn prepare(context: &Context) {
    let tasks: Api<Task> = context.api();
    for (name, ttl) in TASKS {
        let task: Task = serde_json::from_value(json!({
            "apiVersion": "axon.io/v1alpha1", "kind": "Task",
            "metadata": {
                "name": name,
                "labels": {"axon.io/sync": "app"},
                "annotations": {"axon.io/run": format!("v1-{name}")},
            },
            "spec": {
                "type": "claude-code", "prompt": "x", "credentials": {"type": "none"},
                "ttlSecondsAfterFinished": ttl,
            },
        }))
        .unwrap();
        tasks.create(&PostParams::default(), &task).await.unwrap();
    }
}

/// How the controller is started.
pub(super) fn arguments(context: &Context) -> [&str; 7] {
    [
        "controller",
        "--allow-local-repositories",
        "--no-leader-election",
        "--listen",
        "none",
        "--watch-namespace",
        &context.namespace,
    ]
}

/// All UIDs that objects of a kind ever had, by the Task that they run.
pub(super) type Seen = Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>;

/// Watches from the start, so that nothing is missed however short it lives.
pub(super) fn witness<K>(api: Api<K>, seen: &Seen) -> impl Future<Output = ()> + use<K>
where
    K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + 'static,
{
    let seen = Arc::clone(seen);
    async move {
        let mut events = pin!(watcher(api, watcher::Config::default()));
        while let Some(event) = events.next().await {
            let Ok(Event::Apply(object) | Event::InitApply(object) | Event::Delete(object)) = event
            else {
                continue;
            };
            let task = object.labels().get("axon.io/task").cloned();
            let mut seen = seen.lock().unwrap();
            let uids = seen.entry(task.unwrap_or_default()).or_default();
            uids.insert(object.uid().unwrap());
        }
    }
}

/// Ends every Pod that appears.
pub(super) async fn end_pods(context: Context) {
    let pods: Api<Pod> = context.api();
    loop {
        for pod in pods.list(&ListParams::default()).await.unwrap() {
            let phase = pod.status.as_ref().and_then(|it| it.phase.as_deref());
            if phase != Some("Succeeded") && pod.metadata.deletion_timestamp.is_none() {
                kubelet::ends(&context, &pod, 0, DONE).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Whether all has come to its end.
async fn is_over(context: &Context) -> bool {
    let tasks: Api<Task> = context.api();
    let records: Api<ConfigMap> = context.api();
    let tasks = tasks.list(&ListParams::default()).await.unwrap().items;
    let ended = tasks.iter().all(|it| {
        let phase = it.status.as_ref().and_then(|it| it.phase);
        phase == Some(TaskPhase::Succeeded)
    });
    let selector = ListParams::default().labels("axon.io/record=run");
    let records = records.list(&selector).await.unwrap().items;
    let recorded = records.iter().filter(|it| {
        let outcome = it.data.as_ref().and_then(|it| it.get("outcome"));
        outcome.is_some_and(|it| it == "Succeeded")
    });
    let jobs: Api<Job> = context.api();
    let jobs = jobs.list(&ListParams::default()).await.unwrap().items.len();
    ended && tasks.len() == 2 && jobs == 2 && recorded.count() == TASKS.len()
}

async fn over(context: &Context) {
    within(PATIENCE, "all Tasks have ended", async || {
        is_over(context).await.then_some(())
    })
    .await;
}

/// Runs the controller until all is over, through a kill if there is a fault. Gives the writes and
/// whether the line was cut.
async fn run(context: &Context, fault: Option<Fault>) -> (usize, bool) {
    let arguments = arguments(context);
    let (jobs, pods) = (Seen::default(), Seen::default());
    let mut around = JoinSet::new();
    around.spawn(witness::<Job>(context.api(), &jobs));
    around.spawn(witness::<Pod>(context.api(), &pods));
    around.spawn(end_pods(context.alias()));
    prepare(context).await;
    let place = Place::new(context, fault).await;
    let mut child = place.start(&arguments);
    let cut = tokio::select! {
        () = place.proxy.is_cut() => true,
        () = over(context) => false,
    };
    child.kill().await.unwrap();
    if cut {
        let again = Place::new(context, None).await;
        let mut child = again.start(&arguments);
        over(context).await;
        child.kill().await.unwrap();
    }
    around.shutdown().await;
    for (what, seen) in [("Job", &jobs), ("Pod", &pods)] {
        let seen = seen.lock().unwrap();
        for (name, _) in TASKS {
            let count = seen.get(name).map_or(0, BTreeSet::len);
            assert_eq!(count, 1, "{what} of {name} after {fault:?}: {seen:?}");
        }
    }
    (place.proxy.writes(), cut)
}

async fn a_controller_may_be_killed_anywhere(context: Context) {
    let undisturbed = context.sibling().await;
    let (writes, _) = run(&undisturbed, None).await;
    let expected = snapshot::of(&undisturbed).await;
    let points = everywhere(&context, writes, |context, fault| {
        let expected = &expected;
        async move {
            let (_, cut) = run(&context, Some(fault)).await;
            let found = snapshot::of(&context).await;
            assert_eq!(&found, expected, "{fault:?}");
            cut
        }
    })
    .await;
    note("axon controller, Tasks", &context, points, 25);
}
