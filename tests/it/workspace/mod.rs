//! Workspaces: whether their repositories can be reached, and tokens of GitHub Apps; on both servers.

mod reasons;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use axon::api::Task;
use axon::api::Workspace;
use axon::controller;
use axon::controller::Options;
use axon::model::Namespace;
use http::Method;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::Client;
use kube::api::ListParams;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::api::PostParams;
use serde_json::Value;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::git_server::GitRepo;
use crate::git_server::GitServer;
use crate::server::Context;
use crate::server::eventually;
use crate::task::pair::Line;

crate::on_both_servers!(
    many_workspaces_of_one_repository_ask_once,
    it_is_asked_again_when_a_task_is_about_to_start,
    an_edit_is_looked_at_and_told,
    a_status_that_is_refused_is_tried_again_ever_more_rarely,
);

/// A repository `acme/app.git` behind a server, in the namespace of a test.
struct Stage {
    context: Arc<Context>,
    repo: GitRepo,
    server: GitServer,
    dir: tempfile::TempDir,
}

impl Stage {
    fn new(context: Context) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            context: Arc::new(context),
            repo: GitRepo::new(dir.path(), "acme/app.git"),
            server: GitServer::start(dir.path()),
            dir,
        }
    }

    fn url(&self) -> String {
        format!("{}/acme/app.git", self.server.url())
    }

    async fn create(&self, name: &str, spec: Value) {
        let mut workspace = json!({
            "apiVersion": "axon.io/v1alpha1",
            "kind": "Workspace",
            "metadata": {"name": name},
            "spec": {"repo": self.url(), "ref": "main"},
        });
        json_patch::merge(&mut workspace["spec"], &spec);
        let workspace: Workspace = serde_json::from_value(workspace).unwrap();
        let all: Api<Workspace> = self.context.api();
        all.create(&PostParams::default(), &workspace)
            .await
            .unwrap();
    }

    async fn edit(&self, name: &str, spec: Value) {
        let all: Api<Workspace> = self.context.api();
        let patch = Patch::Merge(json!({"spec": spec}));
        all.patch(name, &PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    /// Creates a Secret, or gives it these keys.
    async fn secret(&self, name: &str, data: &[(&str, &str)]) {
        let data: serde_json::Map<String, Value> = data
            .iter()
            .map(|(key, value)| ((*key).to_owned(), json!(value)))
            .collect();
        let secret: Secret = serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": name}, "stringData": data,
        }))
        .unwrap();
        let all: Api<Secret> = self.context.api();
        let force = PatchParams::apply("test").force();
        all.patch(name, &force, &Patch::Apply(&secret))
            .await
            .unwrap();
    }

    /// Creates a Task that names the Workspace.
    async fn task(&self, name: &str, workspace: &str) {
        let task: Task = serde_json::from_value(json!({
            "apiVersion": "axon.io/v1alpha1",
            "kind": "Task",
            "metadata": {"name": name},
            "spec": {
                "type": "codex", "prompt": "x", "credentials": {"type": "none"},
                "workspaceRef": {"name": workspace},
            },
        }))
        .unwrap();
        let all: Api<Task> = self.context.api();
        all.create(&PostParams::default(), &task).await.unwrap();
    }

    async fn get(&self, name: &str) -> Workspace {
        let all: Api<Workspace> = self.context.api();
        all.get(name).await.unwrap()
    }

    /// Awaits that `Ready` has this reason, for the spec as it is; gives its message and the commit.
    async fn reason(&self, name: &str, reason: &str) -> (String, Option<String>) {
        let what = format!("{name} to be {reason}");
        eventually(&what, || async {
            let workspace = self.get(name).await;
            let status = workspace.status.unwrap_or_default();
            let is_current = status.observed_generation == workspace.metadata.generation;
            let ready = status.conditions.into_iter().find(|it| it.type_ == "Ready");
            let ready = ready.filter(|it| is_current && it.reason == reason)?;
            assert_eq!(ready.status == "True", reason == "Reachable");
            assert_eq!(ready.observed_generation, workspace.metadata.generation);
            Some((ready.message, status.commit))
        })
        .await
    }

    /// Types and reasons of the events of a Workspace.
    async fn events(&self, name: &str) -> Vec<String> {
        let api: Api<Event> = self.context.api();
        let all = api.list(&ListParams::default()).await.unwrap();
        let own = all.into_iter().filter(|it| {
            let object = &it.involved_object;
            (object.kind.as_deref(), object.name.as_deref()) == (Some("Workspace"), Some(name))
        });
        own.map(|it| format!("{} {}", it.type_.unwrap(), it.reason.unwrap()))
            .collect()
    }

    fn options(&self) -> Options {
        Options {
            namespace: Some(Namespace::parse(&self.context.namespace).unwrap()),
            local_addresses: true,
            ..Options::default()
        }
    }

    fn start(&self) -> Running {
        self.start_with(self.options())
    }

    fn start_with(&self, options: Options) -> Running {
        start_through(self.context.client.clone(), options)
    }

    /// How often the server was asked for its refs since the last call.
    fn asked(&self) -> usize {
        let served = self.server.served();
        let asks = served.iter().filter(|it| it.what.contains("/info/refs"));
        asks.count()
    }
}

fn start_through(client: Client, options: Options) -> Running {
    let stop = CancellationToken::new();
    let running = controller::run(client, options, stop.clone());
    Running {
        stop,
        task: tokio::spawn(running),
    }
}

/// Controllers that work in the namespace of a test.
struct Running {
    stop: CancellationToken,
    task: JoinHandle<Result<(), controller::Error>>,
}

impl Running {
    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}

async fn a_status_that_is_refused_is_tried_again_ever_more_rarely(context: Context) {
    let stage = Stage::new(context);
    stage.repo.commit(&[("file", "x")]);
    let line = Line::start(&stage.context, Duration::ZERO).await;
    line.refuse(Method::PATCH, "/workspaces/web/status", 0);
    stage.create("web", json!({})).await;
    let controller = start_through(line.client(), stage.options());
    let seen = eventually("a third refusal", || async {
        let seen = line.refused();
        (seen.len() >= 3).then_some(seen)
    })
    .await;
    let pauses = [seen[1] - seen[0], seen[2] - seen[1]];
    assert!(pauses[1] > pauses[0] + Duration::from_secs(3), "{pauses:?}");
    line.relent();
    stage.reason("web", "Reachable").await;
    controller.stop().await;
}

async fn many_workspaces_of_one_repository_ask_once(context: Context) {
    let stage = Stage::new(context);
    let commit = stage.repo.commit(&[("file", "x")]);
    let names: Vec<String> = (0..12).map(|n| format!("web-{n}")).collect();
    for name in &names {
        stage.create(name, json!({})).await;
    }
    let controller = stage.start();
    for name in &names {
        let (message, seen) = stage.reason(name, "Reachable").await;
        assert_eq!(message, "the repository can be read");
        assert_eq!(seen.as_ref(), Some(&commit));
    }
    assert_eq!(stage.asked(), 1);
    controller.stop().await;
}

async fn it_is_asked_again_when_a_task_is_about_to_start(context: Context) {
    let stage = Stage::new(context);
    let first = stage.repo.commit(&[("file", "x")]);
    stage.create("web", json!({})).await;
    let controller = stage.start();
    assert_eq!(stage.reason("web", "Reachable").await.1, Some(first));
    controller.stop().await;
    assert_eq!(stage.asked(), 1);

    let second = stage.repo.commit(&[("file", "y")]);
    let version = stage.get("web").await.metadata.resource_version;
    let controller = stage.start();
    // One that has been looked at is left alone: when this one was, so was that.
    stage.create("other", json!({"ref": "none"})).await;
    stage.reason("other", "RefNotFound").await;
    assert_eq!(stage.asked(), 1);
    assert_eq!(stage.get("web").await.metadata.resource_version, version);

    stage.task("fix", "web").await;
    eventually("the newest commit", || async {
        let status = stage.get("web").await.status.unwrap();
        (status.commit.as_ref() == Some(&second)).then_some(())
    })
    .await;
    assert_eq!(stage.asked(), 1);
    // It could be reached before and after: no news.
    assert_eq!(stage.events("web").await, ["Normal Reachable"]);
    controller.stop().await;
}

async fn an_edit_is_looked_at_and_told(context: Context) {
    let stage = Stage::new(context);
    let commit = stage.repo.commit(&[("file", "x")]);
    stage.create("web", json!({"ref": "nope"})).await;
    let controller = stage.start();
    let (message, seen) = stage.reason("web", "RefNotFound").await;
    assert!(
        message.ends_with("check \"spec.ref\"") && seen.is_none(),
        "{message}"
    );
    stage.edit("web", json!({"ref": "main"})).await;
    assert_eq!(stage.reason("web", "Reachable").await.1, Some(commit));
    stage
        .edit("web", json!({"repo": "https://bob:hunter2@example.com/a"}))
        .await;
    let (message, seen) = stage.reason("web", "InvalidURL").await;
    assert!(!message.contains("hunter2") && seen.is_none(), "{message}");
    let expected = [
        "Normal Reachable",
        "Warning InvalidURL",
        "Warning RefNotFound",
    ];
    eventually("an event of each", || async {
        let mut events = stage.events("web").await;
        events.sort();
        (events == expected).then_some(())
    })
    .await;
    controller.stop().await;
}
