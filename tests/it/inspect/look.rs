//! `axon status`, `tree` and `history`.

use std::fs;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use serde_json::Value;
use serde_json::json;

use super::world::World;
use super::world::repo_sync;
use super::world::task;
use super::world::told;
use crate::on_both_servers;
use crate::server;
use crate::server::Context;
use crate::server::Kind;
use crate::server::eventually;

on_both_servers!(
    an_empty_namespace_is_said_to_be_empty,
    what_runs_and_what_belongs_to_what,
);

/// A label `axon.io/sync` and a status, on an object.
fn of_sync(mut object: Value, status: Value) -> Value {
    object["metadata"]["labels"] = json!({"axon.io/sync": "app-1"});
    object["status"] = status;
    object
}

async fn an_empty_namespace_is_said_to_be_empty(context: Context) {
    let world = World::of(context).await;
    let nothing = world.axon(&["status"]).await;
    nothing.check(
        0,
        &["Nothing of Axon's is in namespace", "axon create sync"],
    );
    assert_eq!(nothing.out, "");
    world.axon(&["tree"]).await.check(0, &["Nothing of Axon's"]);
    world
        .axon(&["history"])
        .await
        .check(0, &["Nothing is on record"]);
    world
        .axon(&["history", "task/x"])
        .await
        .check(0, &["Nothing is on record of Task/x"]);
    let list = world.axon(&["status", "-o", "json"]).await;
    let list: Value = serde_json::from_str(&list.out).unwrap();
    assert_eq!(list["items"], json!([]));
    world.axon(&["status", "-A"]).await.check(0, &[]);
}

/// A sync, a spawner with a running Task that has a Job and a Pod, and a failed Task.
async fn furnish(world: &World) {
    let mut status = told(false, "PruneGuard", "9 of 10 would go");
    status["sync"] = json!("app-1");
    status["history"] =
        json!([{"revision": "r1", "time": "2026-01-01T00:00:00Z", "reason": "Synced"}]);
    let mut sync = repo_sync("app", "https://example.com/acme/app.git");
    sync["status"] = status;
    world.make(sync).await;
    let spawner = json!({"apiVersion": "axon.io/v1alpha1", "kind": "TaskSpawner", "metadata": {"name": "nightly"},
        "spec": {"when": {"cron": {"schedule": "0 3 * * *"}}, "taskTemplate": {"type": "codex", "credentials": {"type": "none"}}}});
    world
        .make(of_sync(spawner, json!({"activeTasks": 1})))
        .await;
    let mut run = task("nightly-1");
    run["metadata"]["labels"] = json!({"axon.io/taskspawner": "nightly"});
    run["status"] = json!({"phase": "Running", "jobName": "nightly-1-job"});
    let run = world.make(run).await;
    let failed = json!({"phase": "Failed", "message": "out\u{1b}[2J of memory", "completionTime": "2026-01-02T00:00:00Z",
        "conditions": [{"type": "Failed", "status": "True", "reason": "OutOfMemory", "message": "", "lastTransitionTime": "2026-01-02T00:00:00Z"}]});
    world.make(of_sync(task("port"), failed)).await;
    let labels = json!({"axon.io/task": "nightly-1"});
    let job = json!({"apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "nightly-1-job", "labels": labels, "ownerReferences": [{"apiVersion": "axon.io/v1alpha1",
            "kind": "Task", "name": "nightly-1", "uid": run.metadata.uid, "controller": true}]},
        "spec": {"backoffLimit": 0, "template": {"metadata": {"labels": labels},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}});
    world.make(job).await;
    let record = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "axon-run-1", "labels": {"axon.io/record": "run", "axon.io/sync": "app-1"}},
        "data": {"task": "gone", "taskUID": "u", "outcome": "Succeeded", "finished": "2026-01-03T00:00:00Z"}});
    world.make(record).await;
    let pods: Api<Pod> = Api::namespaced(world.client(), world.namespace());
    eventually("the Pod of the Job", || async {
        let pods = pods.list(&ListParams::default()).await.unwrap().items;
        pods.into_iter().next()
    })
    .await;
}

async fn what_runs_and_what_belongs_to_what(context: Context) {
    let world = World::of(context).await;
    furnish(&world).await;
    let status = world.axon(&["status"]).await;
    status.check(
        0,
        &[
            "! RepoSync/app  PruneGuard: 9 of 10 would go\n",
            "! Task/port  Failed: OutOfMemory: out\\u{1b}[2J of memory\n",
            "Tasks: 1 Failed, 1 Running\n",
            "nightly-1",
            "cron 0 3 * * *",
        ],
    );
    assert!(status.out.starts_with("! RepoSync/app"), "{}", status.out);
    let namespace = world.namespace();
    world
        .axon(&["status", "-A", "-o", "wide"])
        .await
        .check(0, &["NAMESPACE", namespace]);
    let names = world.axon(&["status", "-o", "name"]).await;
    assert_eq!(
        names.out,
        "reposync.axon.io/app\ntaskspawner.axon.io/nightly\ntask.axon.io/nightly-1\ntask.axon.io/port\n"
    );
    world
        .axon(&["status", "-o", "yaml"])
        .await
        .check(0, &["kind: List\n", "kind: RepoSync\n"]);

    let tree = world.axon(&["tree"]).await;
    tree.check(0, &[
        "RepoSync/app  PruneGuard\n├── TaskSpawner/nightly  Unseen\n│   └── Task/nightly-1  Running\n│       └── Job/nightly-1-job  ",
        "\n│           └── Pod/nightly-1-job-",
        "\n└── Task/port  Failed\n",
    ]);
    world
        .axon(&["tree", "sync/nope"])
        .await
        .check(1, &["there is no RepoSync \"nope\""]);
    let names = world.axon(&["tree", "sync", "app", "-o", "name"]).await;
    names.check(0, &["job.batch/nightly-1-job\npod/nightly-1-job-"]);

    let history = world.axon(&["history", "-o", "json"]).await;
    let history: Value = serde_json::from_str(&history.out).unwrap();
    let told: Vec<&str> = history["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["object"].as_str().unwrap())
        .collect();
    assert_eq!(told, ["Task/gone", "Task/port", "RepoSync/app"]);
    world
        .axon(&["history", "task", "port"])
        .await
        .check(0, &["OutOfMemory"]);
    world
        .axon(&["history", "--limit", "1"])
        .await
        .check(0, &["Task/gone", "and 2 older"]);
}

/// A kubeconfig with which every request is made as `user`.
fn kubeconfig_of(user: &str, world: &World) -> PathBuf {
    let text = fs::read_to_string(world.kubeconfig()).unwrap();
    let user_of = "user: {token:";
    assert!(text.contains(user_of), "it is not a user with a token");
    let text = text.replacen(user_of, &format!("user: {{as: {user}, token:"), 1);
    let path = world.dir().join(user);
    fs::write(&path, text).unwrap();
    path
}

/// Only the real server knows rights.
#[test]
fn what_may_not_be_read_is_said() {
    server::run(Kind::Real, async |context| {
        let world = World::of(context).await;
        furnish(&world).await;
        let rights = "rbac.authorization.k8s.io";
        let role = json!({"apiVersion": format!("{rights}/v1"), "kind": "Role", "metadata": {"name": "half"},
            "rules": [{"apiGroups": ["axon.io"], "resources": ["tasks"], "verbs": ["get", "list"]}]});
        world.make(role).await;
        let binding = json!({"apiVersion": format!("{rights}/v1"), "kind": "RoleBinding", "metadata": {"name": "half"},
            "roleRef": {"apiGroup": rights, "kind": "Role", "name": "half"},
            "subjects": [{"apiGroup": rights, "kind": "User", "name": "half"}]});
        world.make(binding).await;
        let nobody = kubeconfig_of("nobody", &world);
        let half = kubeconfig_of("half", &world);
        let said = world.axon_by(&nobody, &["status"]).await;
        said.check(1, &["cannot look at namespace", "cannot list resource"]);
        let said = world.axon_by(&nobody, &["sync", "app"]).await;
        said.check(1, &["cannot read RepoSync \"app\""]);
        // The rules of a role take a moment to be known everywhere.
        eventually("the Tasks alone", || async {
            let said = world.axon_by(&half, &["status"]).await;
            let is_half = said.out.contains("! Task/port  Failed");
            is_half.then(|| said.check(1, &["warning: cannot read reposyncs:"]).code)
        })
        .await;
        let said = world.axon_by(&half, &["trace", "task/port"]).await;
        said.check(1, &["sync app-1  not seen: ", "Task/port  Failed"]);
        let said = world.axon_by(&half, &["history"]).await;
        said.check(1, &["Task/port", "warning: cannot read configmaps:"]);
    });
}

/// A cluster that Axon was never brought to.
#[test]
fn a_cluster_without_axon_is_said_to_be_one() {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let dir = tempfile::tempdir().unwrap();
        let options = axon::local::Options {
            listen: true,
            ..axon::local::Options::control_plane(dir.path())
        };
        let cluster = axon::local::Cluster::start(options).await.unwrap();
        for words in [
            &["status"][..],
            &["tree"],
            &["sync", "app"],
            &["create", "sync", "a", "--repo", "https://example.com/a"],
        ] {
            let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_axon"))
                .arg("--kubeconfig")
                .arg(cluster.kubeconfig())
                .args(words)
                .output()
                .await
                .unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{words:?}: {said}");
            assert!(
                said.contains("the cluster does not know") && said.contains("install"),
                "{words:?}: {said}"
            );
        }
        cluster.stop().await;
    });
}
