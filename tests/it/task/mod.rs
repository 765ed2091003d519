//! A Task from its creation to its end: the controller and an API server, the test as kubelet.

mod branch;
mod cancel;
mod depends;
mod life;
mod model;
pub(crate) mod pair;
mod policy;
mod refused;
mod retry;
mod trouble;

use axon::api::Task;
use axon::api::Workspace;
use axon::api::task::TaskPhase;
use axon::api::task::TaskStatus;
use axon::controller;
use axon::controller::Options;
use axon::model::Namespace;
use axon::model::run::RunDigest;
use axon::model::run::RunScope;
use axon::model::run::record_name;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::Client;
use kube::Resource as _;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use kube::api::ListParams;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::api::PostParams;
use serde_json::Value;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::server::Context;
use crate::server::eventually;
use crate::server::kubelet;

/// A controller that works in the namespace of a test.
struct Controller {
    stop: CancellationToken,
    running: JoinHandle<Result<(), controller::Error>>,
}

impl Controller {
    fn start(context: &Context) -> Self {
        Self::through(context, context.client.clone())
    }

    /// One that reaches the server by this client.
    fn through(context: &Context, client: Client) -> Self {
        let stop = CancellationToken::new();
        let running = controller::run(client, options(context), stop.clone());
        Self {
            stop,
            running: tokio::spawn(running),
        }
    }

    /// One that works only while it leads.
    fn candidate(context: &Context, identity: &str) -> Self {
        let stop = CancellationToken::new();
        let client = context.client.clone();
        let options = options(context);
        let (identity, until) = (identity.to_owned(), stop.clone());
        let running = async move {
            let namespace = options.namespace.clone().unwrap();
            controller::run_elected(client, options, &namespace, identity, until).await
        };
        Self {
            stop,
            running: tokio::spawn(running),
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
    }
}

fn options(context: &Context) -> Options {
    Options {
        namespace: Some(Namespace::parse(&context.namespace).unwrap()),
        ..Options::default()
    }
}

/// Creates a Task that needs the Secret "key"; `changes` are merged into it.
async fn create(context: &Context, name: &str, changes: Value) -> Task {
    let mut task = json!({
        "apiVersion": "axon.io/v1alpha1",
        "kind": "Task",
        "metadata": {"name": name},
        "spec": {
            "type": "claude-code",
            "prompt": "Fix it.",
            "credentials": {"type": "api-key", "secretRef": {"name": "key"}},
        },
    });
    json_patch::merge(&mut task, &changes);
    let task: Task = serde_json::from_value(task).unwrap();
    let tasks: Api<Task> = context.api();
    tasks.create(&PostParams::default(), &task).await.unwrap()
}

async fn create_secret(context: &Context) {
    let secret: Secret = serde_json::from_value(json!({
        "metadata": {"name": "key"}, "stringData": {"ANTHROPIC_API_KEY": "canary-value"},
    }))
    .unwrap();
    let secrets: Api<Secret> = context.api();
    secrets
        .create(&PostParams::default(), &secret)
        .await
        .unwrap();
}

/// The Task, once `holds` holds for its status.
async fn once(
    context: &Context,
    name: &str,
    what: &str,
    holds: impl Fn(&TaskStatus) -> bool,
) -> Task {
    let tasks: Api<Task> = context.api();
    eventually(&format!("Task {name}: {what}"), || async {
        let task = tasks.get(name).await.unwrap();
        task.status.as_ref().is_some_and(&holds).then_some(task)
    })
    .await
}

fn is(phase: TaskPhase) -> impl Fn(&TaskStatus) -> bool {
    move |status| status.phase == Some(phase)
}

/// Whether `reason` is what `kubectl get tasks` shows.
fn shows(reason: &str) -> impl Fn(&TaskStatus) -> bool {
    move |status| {
        status
            .conditions
            .last()
            .is_some_and(|it| it.reason == reason)
    }
}

fn status_of(task: &Task) -> TaskStatus {
    task.status.clone().unwrap_or_default()
}

async fn job_of(context: &Context, name: &str) -> Job {
    let jobs: Api<Job> = context.api();
    eventually(&format!("Job {name}"), || async {
        jobs.get_opt(name).await.unwrap()
    })
    .await
}

/// Name of the Job of an attempt of a Task, once it is there.
async fn attempt_of(context: &Context, task: &str, attempt: i32) -> String {
    let jobs: Api<Job> = context.api();
    let number = attempt.to_string();
    eventually(&format!("attempt {attempt} of {task}"), || async {
        let all = jobs.list(&ListParams::default()).await.unwrap();
        let job = all.into_iter().find(|it| {
            it.owner_references().iter().any(|it| it.name == task)
                && it.annotations().get("axon.io/attempt") == Some(&number)
        });
        job.map(|it| it.name_any())
    })
    .await
}

/// Plays the kubelet: the agent ends with this code and report.
async fn agent_ends(context: &Context, job: &str, code: i32, report: &str) -> Pod {
    let pod = kubelet::pod_of(context, job).await;
    kubelet::ends(context, &pod, code, report).await;
    pod
}

const DONE: &str = r#"{"version":1,"outputs":["branch: fix","made it"],"results":{"tests":"12"},"exitCode":0,"succeeded":true}"#;

/// Reasons of the events about a Task.
async fn events(context: &Context, task: &str) -> Vec<String> {
    let events: Api<Event> = context.api();
    let all = events.list(&ListParams::default()).await.unwrap();
    let about = |it: &Event| {
        let object = &it.involved_object;
        object.kind.as_deref() == Some("Task") && object.name.as_deref() == Some(task)
    };
    let mine = all.into_iter().filter(about);
    mine.filter_map(|it| it.reason).collect()
}

async fn gone<K>(context: &Context, name: &str)
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let api: Api<K> = context.api();
    eventually(&format!("{name} is gone"), || async {
        api.get_opt(name).await.unwrap().is_none().then_some(())
    })
    .await;
}

/// Writes by hand what a controller had written before it died.
async fn write_status(context: &Context, name: &str, status: Value) {
    let patch = Patch::Merge(json!({"status": status}));
    let tasks: Api<Task> = context.api();
    tasks
        .patch_status(name, &PatchParams::default(), &patch)
        .await
        .unwrap();
}

fn claimed(name: &str) -> Value {
    json!({"phase": "Pending", "jobName": name, "conditions": [{
        "type": "Started", "status": "False", "reason": "Starting", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }]})
}

/// A Job as small as can be; of the Task, or of nobody.
async fn create_job(context: &Context, name: &str, owner: Option<&Task>) -> Job {
    let owners: Vec<_> = owner
        .and_then(|it| it.controller_owner_ref(&()))
        .into_iter()
        .collect();
    let labels = json!({"axon.io/task": name});
    let job: Job = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": labels, "ownerReferences": owners},
        "spec": {"backoffLimit": 0, "template": {
            "metadata": {
                "labels": labels,
                "annotations": {"axon.io/task-uid": owner.and_then(kube::ResourceExt::uid).unwrap_or_default()},
            },
            "spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "claude-code", "image": "claude:1"}],
            },
        }},
    }))
    .unwrap();
    let jobs: Api<Job> = context.api();
    jobs.create(&PostParams::default(), &job).await.unwrap()
}

/// How many Jobs and Pods there are in the namespace.
async fn jobs_and_pods(context: &Context) -> (usize, usize) {
    let all = ListParams::default();
    let jobs = context.api::<Job>().list(&all).await.unwrap().items.len();
    let pods = context.api::<Pod>().list(&all).await.unwrap().items.len();
    (jobs, pods)
}

/// What the newest condition says.
fn said(task: &Task) -> String {
    let status = status_of(task);
    let newest = status.conditions.last().unwrap();
    format!("{}: {}", newest.reason, newest.message)
}

async fn edit(context: &Context, name: &str, changes: Value) {
    let tasks: Api<Task> = context.api();
    let patch = Patch::Merge(changes);
    tasks
        .patch(name, &PatchParams::default(), &patch)
        .await
        .unwrap();
}

async fn ended(context: &Context, name: &str) -> Task {
    once(context, name, "an end", |it| it.completion_time.is_some()).await
}
