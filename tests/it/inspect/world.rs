//! A cluster with a kubeconfig, and the binary against it.

use std::path::Path;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use axon::api::RepoSync;
use axon::local::Cluster;
use axon::local::Options;
use kube::Api;
use kube::Client;
use kube::api::ApiResource;
use kube::api::DynamicObject;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::api::PostParams;
use serde_json::Value;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Child;
use tokio::process::Command;

use crate::server;
use crate::server::Context;
use crate::server::Kind;

/// How long one call may take.
const DEADLINE: Duration = Duration::from_mins(1);

pub(super) struct World {
    context: Context,
    kubeconfig: PathBuf,
    dir: tempfile::TempDir,
    /// The embedded cluster that listens; the test's own does not.
    _embedded: Option<Cluster>,
}

/// What a call came to.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    pub(super) err: String,
}

impl Said {
    /// Checks the exit code, and that all of `told` was told somewhere.
    #[track_caller]
    pub(super) fn check(&self, code: i32, told: &[&str]) -> &Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        for text in told {
            let found = self.out.contains(text) || self.err.contains(text);
            assert!(found, "{text:?} is not in {self:#?}");
        }
        self
    }
}

impl World {
    pub(super) async fn of(mut context: Context) -> Self {
        let dir = tempfile::tempdir().unwrap();
        match context.server {
            Kind::Real => Self {
                kubeconfig: server::real_kubeconfig().unwrap(),
                context,
                dir,
                _embedded: None,
            },
            Kind::Embedded => {
                let options = Options {
                    listen: true,
                    ..Options::control_plane(dir.path())
                };
                let cluster = Cluster::start(options).await.unwrap();
                let client = cluster.client();
                axon::cluster::install(&client).await.unwrap();
                server::create_namespace(&client, &context.namespace).await;
                context.client = client;
                Self {
                    kubeconfig: cluster.kubeconfig().to_owned(),
                    context,
                    dir,
                    _embedded: Some(cluster),
                }
            }
        }
    }

    pub(super) fn client(&self) -> Client {
        self.context.client.clone()
    }

    pub(super) fn namespace(&self) -> &str {
        &self.context.namespace
    }

    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    pub(super) fn syncs(&self) -> Api<RepoSync> {
        self.context.api()
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        self.command_by(&self.kubeconfig, arguments)
    }

    fn command_by(&self, kubeconfig: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_axon"));
        command
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .args(["--namespace", self.namespace()])
            .args(arguments)
            .current_dir(self.dir())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    pub(super) async fn axon(&self, arguments: &[&str]) -> Said {
        let started = self.command(arguments).spawn().unwrap();
        end(started).await
    }

    /// The same, on a terminal on which this is typed.
    pub(super) async fn typed(&self, arguments: &[&str], line: &str) -> Said {
        let plain = self.command(arguments);
        let plain = plain.as_std();
        let words = std::iter::once(plain.get_program()).chain(plain.get_args());
        let words: Vec<String> = words
            .map(|it| format!("'{}'", it.to_str().unwrap()))
            .collect();
        let command = format!("{} --color never", words.join(" "));
        let mut script = Command::new("script");
        script
            .args(["--quiet", "--return", "--command", &command, "/dev/null"])
            .current_dir(self.dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut running = script.spawn().unwrap();
        let mut keys = running.stdin.take().unwrap();
        keys.write_all(line.as_bytes()).await.unwrap();
        let said = end(running).await;
        drop(keys);
        said
    }

    /// The same, as whom another kubeconfig names.
    pub(super) async fn axon_by(&self, kubeconfig: &Path, arguments: &[&str]) -> Said {
        end(self.command_by(kubeconfig, arguments).spawn().unwrap()).await
    }

    /// Makes an object: as JSON without namespace, its status written too.
    pub(super) async fn make(&self, mut object: Value) -> DynamicObject {
        let status = object.as_object_mut().unwrap().remove("status");
        let kind = object["kind"].as_str().unwrap().to_owned();
        let (group, version) = match object["apiVersion"].as_str().unwrap().split_once('/') {
            Some((group, version)) => (group.to_owned(), version.to_owned()),
            None => (
                String::new(),
                object["apiVersion"].as_str().unwrap().to_owned(),
            ),
        };
        let kind = kube::core::GroupVersionKind::gvk(&group, &version, &kind);
        let resource = ApiResource::from_gvk(&kind);
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client(), self.namespace(), &resource);
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let made = api.create(&PostParams::default(), &object).await.unwrap();
        let Some(status) = status else { return made };
        let name = made.metadata.name.clone().unwrap();
        let patch = Patch::Merge(json!({"status": status}));
        api.patch_status(&name, &PatchParams::default(), &patch)
            .await
            .unwrap()
    }

    pub(super) async fn set_sync_status(&self, name: &str, status: Value) {
        let patch = Patch::Merge(json!({"status": status}));
        let params = PatchParams::default();
        self.syncs()
            .patch_status(name, &params, &patch)
            .await
            .unwrap();
    }
}

pub(super) async fn end(child: Child) -> Said {
    let ended = tokio::time::timeout(DEADLINE, child.wait_with_output()).await;
    let output = ended.expect("it did not end").unwrap();
    Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A RepoSync as it is created.
pub(super) fn repo_sync(name: &str, repo: &str) -> Value {
    json!({"apiVersion": "axon.io/v1alpha1", "kind": "RepoSync", "metadata": {"name": name}, "spec": {"repo": repo}})
}

/// A status that says so of `Ready`.
pub(super) fn told(ready: bool, reason: &str, message: &str) -> Value {
    json!({
        "observedGeneration": 1,
        "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" },
            "reason": reason, "message": message, "lastTransitionTime": "2026-01-01T00:00:00Z"}],
    })
}

pub(super) fn task(name: &str) -> Value {
    json!({"apiVersion": "axon.io/v1alpha1", "kind": "Task", "metadata": {"name": name},
        "spec": {"type": "codex", "prompt": "x", "credentials": {"type": "none"}}})
}
