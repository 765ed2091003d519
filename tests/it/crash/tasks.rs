//! `axon controller`, killed while Tasks fail and run again, lose their Pods, wait for each other, share
//! a branch, are cancelled and deleted. The test plays the kubelet and the person who cancels and deletes.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use axon::api::Task;
use axon::api::Workspace;
use axon::api::task::TaskPhase;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::ResourceExt;
use kube::api::DeleteParams;
use kube::api::ListParams;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::api::PostParams;
use serde_json::Value;
use serde_json::json;
use tokio::process::Child;
use tokio::task::JoinSet;

use super::Fault;
use super::Place;
use super::a_third_of;
use super::at_these;
use super::controller::Seen;
use super::controller::witness;
use super::faults_at;
use super::note;
use super::snapshot;
use crate::on_both_servers;
use crate::server::Context;
use crate::server::kubelet;

on_both_servers!(
    the_life_of_tasks_survives_a_kill,
    a_second_replica_goes_on_where_the_first_was_killed,
);

/// How long all Tasks of one namespace may take: many namespaces are worked in at once.
const LONGEST: Duration = Duration::from_mins(5);
const DONE: &str =
    r#"{"version":1,"outputs":["made it"],"results":{"v":"1"},"exitCode":0,"succeeded":true}"#;

/// The Task that is deleted while it runs.
const GONE: &str = "gone";

/// Each Task, and how many attempts it takes.
fn tasks() -> BTreeMap<&'static str, (Value, usize)> {
    let branch = json!({"workspaceRef": {"name": "web"}, "branch": "fix"});
    let other = json!({"workspaceRef": {"name": "web"}, "branch": "other"});
    let retry = json!({"retry": {"limit": 1, "backoff": "0"}});
    BTreeMap::from([
        ("again", (retry.clone(), 2)),
        ("lost", (retry, 2)),
        ("build", (json!({}), 1)),
        (
            "use",
            (
                json!({"dependsOn": ["build"], "promptSyntax": "GoTemplate",
                    "prompt": "{{.Deps.build.Results.v}}"}),
                1,
            ),
        ),
        ("one", (branch.clone(), 1)),
        ("two", (branch, 1)),
        ("stop", (json!({}), 1)),
        (GONE, (other.clone(), 1)),
        // It has the branch after that one.
        ("heir", (other, 1)),
    ])
}

async fn prepare(context: &Context) {
    let workspace: Workspace = serde_json::from_value(json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "Workspace",
        // Refused without a look at any network.
        "metadata": {"name": "web"}, "spec": {"repo": "https://127.0.0.1/acme/web.git"},
    }))
    .unwrap();
    let workspaces: Api<Workspace> = context.api();
    let parameters = PostParams::default();
    workspaces.create(&parameters, &workspace).await.unwrap();
    for (name, (changes, _)) in tasks() {
        let mut task = json!({
            "apiVersion": "axon.io/v1alpha1", "kind": "Task",
            "metadata": {
                "name": name,
                "labels": {"axon.io/sync": "app"},
                "annotations": {"axon.io/run": format!("v1-{name}")},
            },
            "spec": {"type": "claude-code", "prompt": "x", "credentials": {"type": "none"}},
        });
        json_patch::merge(&mut task, &json!({"spec": changes}));
        let task: Task = serde_json::from_value(task).unwrap();
        context.api().create(&parameters, &task).await.unwrap();
    }
}

/// Plays the kubelet: brings each Pod forward as its Task is meant to go.
async fn run_pods(context: Context) {
    let pods: Api<Pod> = context.api();
    loop {
        for pod in pods.list(&ListParams::default()).await.unwrap() {
            let phase = pod.status.as_ref().and_then(|it| it.phase.as_deref());
            let is_over = matches!(phase, Some("Succeeded" | "Failed"));
            if !is_over && pod.metadata.deletion_timestamp.is_none() {
                bring_forward(&context, &pod, phase == Some("Running")).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn bring_forward(context: &Context, pod: &Pod, runs: bool) {
    let first = pod.annotations()["axon.io/attempt"] == "1";
    let deadline = pod.spec.as_ref().and_then(|it| it.active_deadline_seconds);
    let scheduled = json!({"type": "PodScheduled", "status": "True"});
    match pod.labels()["axon.io/task"].as_str() {
        "again" if first => kubelet::ends(context, pod, 3, "").await,
        "lost" if first => {
            let evicted =
                json!({"phase": "Failed", "reason": "Evicted", "conditions": [scheduled]});
            kubelet::says(context, pod, evicted).await;
        }
        "stop" | GONE if !runs => {
            kubelet::says(context, pod, json!({"conditions": [scheduled]})).await;
            kubelet::starts(context, pod).await;
        }
        "stop" => {
            if deadline == Some(1) {
                let why = json!({"reason": "DeadlineExceeded", "message": "too long"});
                kubelet::says(context, pod, why).await;
                kubelet::ends(context, pod, 143, "").await;
            }
        }
        GONE => {}
        _ => kubelet::ends(context, pod, 0, DONE).await,
    }
}

/// Plays the person: cancels "stop" and deletes "gone" once they run.
async fn interfere(context: Context) {
    let tasks: Api<Task> = context.api();
    let runs = async |name: &str| loop {
        let task = tasks.get(name).await.unwrap();
        if task.status.and_then(|it| it.phase) == Some(TaskPhase::Running) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let cancel = async {
        runs("stop").await;
        let patch = Patch::Merge(json!({"spec": {"cancelled": true}}));
        let parameters = PatchParams::default();
        tasks.patch("stop", &parameters, &patch).await.unwrap();
    };
    let delete = async {
        runs(GONE).await;
        tasks.delete(GONE, &DeleteParams::default()).await.unwrap();
    };
    tokio::join!(cancel, delete);
}

async fn is_over(context: &Context) -> bool {
    let all = ListParams::default();
    let found = context.api::<Task>().list(&all).await.unwrap().items;
    let ended = found
        .iter()
        .filter(|it| {
            let status = it.status.as_ref();
            status.is_some_and(|it| it.completion_time.is_some())
        })
        .count();
    let records = ListParams::default().labels("axon.io/record=run");
    let records = context.api::<ConfigMap>().list(&records).await.unwrap();
    let settled = records.items.iter().filter(|it| {
        it.data
            .as_ref()
            .is_some_and(|it| it.contains_key("outcome"))
    });
    let jobs = context.api::<Job>().get_opt(GONE).await.unwrap();
    // Of the one that was deleted there is its record alone, which tells no outcome.
    let rest = tasks().len() - 1;
    let is_gone = jobs.is_none() && found.iter().all(|it| it.name_any() != GONE);
    is_gone && ended == rest && settled.count() == rest && records.items.len() == rest + 1
}

async fn over(context: &Context) {
    let waiting = async {
        while !is_over(context).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let waited = tokio::time::timeout(LONGEST, waiting).await;
    let found = snapshot::of(context).await;
    assert!(waited.is_ok(), "not over: {found:#?}");
}

fn start(place: &Place) -> Child {
    place.start(&[
        "controller",
        "--no-leader-election",
        "--listen",
        "none",
        "--watch-namespace",
        &place.namespace,
    ])
}

/// Whether somebody is there all the time besides the one that is killed.
#[derive(Clone, Copy, PartialEq)]
enum Replicas {
    One,
    Two,
}

/// Runs the controller until all is over, through a kill if there is a fault. Gives the writes and
/// whether the line was cut.
async fn run(context: &Context, replicas: Replicas, fault: Option<Fault>) -> (usize, bool) {
    let (jobs, pods) = (Seen::default(), Seen::default());
    let mut around = JoinSet::new();
    around.spawn(witness::<Job>(context.api(), &jobs));
    around.spawn(witness::<Pod>(context.api(), &pods));
    prepare(context).await;
    around.spawn(run_pods(context.alias()));
    around.spawn(interfere(context.alias()));
    let place = Place::new(context, fault).await;
    let beside = Place::new(context, None).await;
    let second = (replicas == Replicas::Two).then(|| start(&beside));
    let mut child = start(&place);
    let cut = tokio::select! {
        () = place.proxy.is_cut() => true,
        () = over(context) => false,
    };
    child.kill().await.unwrap();
    if cut {
        let again = second.is_none().then(|| start(&beside));
        over(context).await;
        drop(again);
    }
    drop(second);
    around.shutdown().await;
    for (what, seen) in [("Job", &jobs), ("Pod", &pods)] {
        let seen = seen.lock().unwrap();
        for (name, (_, attempts)) in tasks() {
            let count = seen.get(name).map_or(0, BTreeSet::len);
            assert_eq!(
                count, attempts,
                "{what}s of {name} after {fault:?}: {seen:?}"
            );
        }
    }
    (place.proxy.writes(), cut)
}

async fn the_life_of_tasks_survives_a_kill(context: Context) {
    let undisturbed = context.sibling().await;
    let (writes, _) = run(&undisturbed, Replicas::One, None).await;
    let expected = snapshot::of(&undisturbed).await;
    // One such life has some 130 writes.
    let faults = faults_at(a_third_of(writes));
    let points = at_these(&context, faults, |context, fault| {
        let expected = &expected;
        async move {
            let (_, cut) = run(&context, Replicas::One, Some(fault)).await;
            assert_eq!(&snapshot::of(&context).await, expected, "{fault:?}");
            cut
        }
    })
    .await;
    note("axon controller, lives of Tasks", &context, points, 35);
}

async fn a_second_replica_goes_on_where_the_first_was_killed(context: Context) {
    let undisturbed = context.sibling().await;
    let (writes, _) = run(&undisturbed, Replicas::One, None).await;
    let expected = snapshot::of(&undisturbed).await;
    // The two share the work: each gets about half as far.
    let faults = faults_at(a_third_of(writes / 2));
    let points = at_these(&context, faults, |context, fault| {
        let expected = &expected;
        async move {
            let (_, cut) = run(&context, Replicas::Two, Some(fault)).await;
            assert_eq!(&snapshot::of(&context).await, expected, "{fault:?}");
            cut
        }
    })
    .await;
    note("one of two controllers", &context, points, 12);
}
