//! What the tests of RepoSync are written with: a repository behind a server, and a controller.

use std::sync::Arc;
use std::sync::Mutex;

use axon::api::RepoSync;
use axon::api::Workspace;
use axon::api::repo_sync::RepoSyncStatus;
use axon::controller;
use axon::controller::Options;
use axon::model::Namespace;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Api;
use kube::Client;
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
use tower::service_fn;

use crate::git_server::GitRepo;
use crate::git_server::GitServer;
use crate::server::Context;
use crate::server::eventually;

/// A repository `acme/app.git` behind a server, in a namespace with a controller.
pub(super) struct Stage<'a> {
    pub(super) context: &'a Context,
    pub(super) repo: GitRepo,
    pub(super) server: GitServer,
    dir: tempfile::TempDir,
}

impl<'a> Stage<'a> {
    pub(super) fn new(context: &'a Context) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            context,
            repo: GitRepo::new(dir.path(), "acme/app.git"),
            server: GitServer::start(dir.path()),
            dir,
        }
    }

    /// What the server serves.
    pub(super) fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    pub(super) fn url(&self) -> String {
        format!("{}/acme/app.git", self.server.url())
    }

    /// Commits an `axon.yaml` that declares these Workspaces, each of a ref.
    pub(super) fn commit(&self, workspaces: &[(&str, &str)]) -> String {
        self.repo.commit(&[("axon.yaml", &config(workspaces))])
    }

    /// Creates a RepoSync of the repository; `spec` is merged into its spec. Nobody polls by himself
    /// within a test.
    pub(super) async fn create(&self, name: &str, spec: Value) -> RepoSync {
        let mut sync = json!({
            "apiVersion": "axon.io/v1alpha1",
            "kind": "RepoSync",
            "metadata": {"name": name},
            "spec": {"repo": self.url(), "ref": "main", "interval": "1h"},
        });
        json_patch::merge(&mut sync["spec"], &spec);
        let sync = serde_json::from_value(sync).unwrap();
        self.syncs()
            .create(&PostParams::default(), &sync)
            .await
            .unwrap()
    }

    pub(super) fn syncs(&self) -> Api<RepoSync> {
        self.context.api()
    }

    pub(super) async fn get(&self, name: &str) -> RepoSync {
        self.syncs().get(name).await.unwrap()
    }

    pub(super) async fn status(&self, name: &str) -> RepoSyncStatus {
        self.get(name).await.status.unwrap_or_default()
    }

    /// Merges `patch` into a RepoSync.
    pub(super) async fn edit(&self, name: &str, patch: Value) {
        let (params, patch) = (PatchParams::default(), Patch::Merge(&patch));
        self.syncs().patch(name, &params, &patch).await.unwrap();
    }

    pub(super) async fn annotate(&self, name: &str, annotation: &str, value: &str) {
        self.edit(
            name,
            json!({"metadata": {"annotations": {annotation: value}}}),
        )
        .await;
    }

    /// Asks for a look at once, and awaits its end.
    pub(super) async fn call(&self, name: &str) -> RepoSyncStatus {
        let value = uuid::Uuid::new_v4().to_string();
        self.annotate(name, "axon.io/reconcileAt", &value).await;
        eventually("the call is answered", || async {
            let status = self.status(name).await;
            let answer = status.last_handled_reconcile_at.as_ref();
            (answer == Some(&value)).then_some(status)
        })
        .await
    }

    /// Awaits that `Ready` has this reason, for the spec as it is.
    pub(super) async fn reason(&self, name: &str, reason: &str) -> RepoSyncStatus {
        eventually(&format!("{name} is {reason}"), || async {
            let sync = self.get(name).await;
            let status = sync.status.clone().unwrap_or_default();
            let is_current = Some(status.observed_generation) == sync.metadata.generation;
            let is_so = ready(&status).is_some_and(|it| it.reason == reason);
            (is_current && is_so).then_some(status)
        })
        .await
    }

    /// Awaits that this revision is in force.
    pub(super) async fn applied(&self, name: &str, revision: &str) -> RepoSyncStatus {
        eventually(&format!("{name} applied {revision}"), || async {
            let status = self.status(name).await;
            let is_ready = ready(&status).is_some_and(|it| it.status == "True");
            let is_it = status.last_applied_revision.as_deref() == Some(revision);
            (is_ready && is_it).then_some(status)
        })
        .await
    }

    /// The Workspaces that are there and not going, with their refs.
    pub(super) async fn workspaces(&self) -> Vec<(String, String)> {
        let api: Api<Workspace> = self.context.api();
        let all = api.list(&ListParams::default()).await.unwrap();
        all.iter()
            .filter(|it| it.metadata.deletion_timestamp.is_none())
            .map(|it| (it.name_any(), it.spec.reference.clone().unwrap_or_default()))
            .collect()
    }

    /// Awaits that the Workspaces are these.
    pub(super) async fn holds(&self, expected: &[(&str, &str)]) {
        eventually(&format!("Workspaces {expected:?}"), || async {
            let there = self.workspaces().await;
            let there: Vec<_> = there
                .iter()
                .map(|(a, b)| (a.as_str(), b.as_str()))
                .collect();
            (there == expected).then_some(())
        })
        .await;
    }

    /// Edits the ref of a Workspace by hand.
    pub(super) async fn drift(&self, name: &str, reference: &str) {
        let api: Api<Workspace> = self.context.api();
        let patch = json!({"spec": {"ref": reference}});
        let by_hand = PatchParams {
            field_manager: Some("kubectl-edit".into()),
            ..PatchParams::default()
        };
        api.patch(name, &by_hand, &Patch::Merge(&patch))
            .await
            .unwrap();
    }

    pub(super) async fn remove_workspaces(&self, names: &[&str]) {
        let api: Api<Workspace> = self.context.api();
        for name in names {
            api.delete(name, &DeleteParams::default()).await.unwrap();
        }
    }

    pub(super) async fn delete(&self, name: &str) {
        let params = DeleteParams::default();
        self.syncs().delete(name, &params).await.unwrap();
    }

    /// Awaits that the Workspace controller has told of these Workspaces: then it is done with them.
    pub(super) async fn looked_at(&self, names: &[&str]) {
        let api: Api<Event> = self.context.api();
        eventually("a look at each Workspace", || async {
            let all = api.list(&ListParams::default()).await.unwrap();
            let told = |name: &&str| {
                let mut objects = all.iter().map(|it| &it.involved_object);
                objects.any(|it| {
                    it.kind.as_deref() == Some("Workspace") && it.name.as_deref() == Some(name)
                })
            };
            names.iter().all(told).then_some(())
        })
        .await;
    }

    /// Reasons of the events of a RepoSync.
    pub(super) async fn events(&self, name: &str) -> Vec<String> {
        let api: Api<Event> = self.context.api();
        let all = api.list(&ListParams::default()).await.unwrap();
        all.into_iter()
            .filter(|it| it.involved_object.name.as_deref() == Some(name))
            .filter_map(|it| it.reason)
            .collect()
    }
}

pub(super) fn ready(status: &RepoSyncStatus) -> Option<&Condition> {
    status.conditions.iter().find(|it| it.type_ == "Ready")
}

/// The message of `Ready`.
pub(super) fn message(status: &RepoSyncStatus) -> &str {
    &ready(status).unwrap().message
}

/// An `axon.yaml` that declares these Workspaces, each of a ref, with the sync id `app`.
pub(super) fn config(workspaces: &[(&str, &str)]) -> String {
    let lines: Vec<String> = workspaces
        .iter()
        .map(|(name, reference)| {
            format!("  {name}: {{repo: \"https://example.com/{name}.git\", ref: {reference}}}\n")
        })
        .collect();
    format!(
        "apiVersion: axon.io/v1alpha1\nkind: Config\nsync: app\nworkspaces:\n{}",
        lines.concat()
    )
}

/// Controllers that work in the namespace of a test.
pub(super) struct Running {
    pub(super) stop: CancellationToken,
    pub(super) task: JoinHandle<Result<(), controller::Error>>,
}

impl Running {
    pub(super) fn start(context: &Context) -> Self {
        Self::with(context.client.clone(), context)
    }

    pub(super) fn with(client: Client, context: &Context) -> Self {
        Self::told(client, options(context))
    }

    /// One that takes this for the GitHub API.
    pub(super) fn on_github(context: &Context, api: String) -> Self {
        Self::between(context.client.clone(), context, api)
    }

    pub(super) fn between(client: Client, context: &Context, api: String) -> Self {
        let options = Options {
            github_api: Some(api),
            ..options(context)
        };
        Self::told(client, options)
    }

    fn told(client: Client, options: Options) -> Self {
        let stop = CancellationToken::new();
        let running = controller::run(client, options, stop.clone());
        Self {
            stop,
            task: tokio::spawn(running),
        }
    }

    /// One that works only while it leads.
    pub(super) fn candidate(context: &Context, identity: &str) -> Self {
        let stop = CancellationToken::new();
        let (client, options) = (context.client.clone(), options(context));
        let (identity, until) = (identity.to_owned(), stop.clone());
        let running = async move {
            let namespace = options.namespace.clone().unwrap();
            controller::run_elected(client, options, &namespace, identity, until).await
        };
        Self {
            stop,
            task: tokio::spawn(running),
        }
    }

    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}

fn options(context: &Context) -> Options {
    Options {
        namespace: Some(Namespace::parse(&context.namespace).unwrap()),
        local_addresses: true,
        ..Options::default()
    }
}

/// Requests as they pass, without watches: methods and paths.
#[derive(Clone, Default)]
pub(super) struct Requests(Arc<Mutex<Vec<String>>>);

impl Requests {
    pub(super) fn count(&self, inner: &Client) -> Client {
        let (inner, seen) = (inner.clone(), Arc::clone(&self.0));
        let service = service_fn(move |request: http::Request<kube::client::Body>| {
            let is_watch = request
                .uri()
                .query()
                .is_some_and(|it| it.contains("watch=true"));
            if !is_watch {
                let line = format!("{} {}", request.method(), request.uri().path());
                seen.lock().unwrap().push(line);
            }
            let inner = inner.clone();
            async move { inner.send(request).await }
        });
        Client::new(service, "default")
    }

    /// What came since the last call.
    pub(super) fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A client whose writes to Workspaces get no answer after so many.
pub(super) fn stuck_after(writes: usize, inner: &Client) -> (Client, Arc<Mutex<usize>>) {
    let left = Arc::new(Mutex::new(writes));
    let (inner, counter) = (inner.clone(), Arc::clone(&left));
    let service = service_fn(move |request: http::Request<kube::client::Body>| {
        let is_write = request.method() == http::Method::PATCH
            && request.uri().path().contains("/workspaces/")
            && !request.uri().path().ends_with("/status");
        let is_stuck = is_write && {
            let mut left = counter.lock().unwrap();
            let stuck = *left == 0;
            *left = left.saturating_sub(1);
            stuck
        };
        let inner = inner.clone();
        async move {
            if is_stuck {
                std::future::pending::<()>().await;
            }
            inner.send(request).await
        }
    });
    (Client::new(service, "default"), left)
}
