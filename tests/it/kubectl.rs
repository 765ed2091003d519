//! `kubectl` against the embedded server, over HTTPS and by its kubeconfig, as a person has it.

use std::path::Path;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use axon::api::Task;
use axon::local::Cluster;
use axon::local::Options;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::ResourceExt as _;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::api::PostParams;
use serde_json::Value;
use serde_json::json;
use tokio::process::Command;

/// How long one call of `kubectl` may take.
const DEADLINE: Duration = Duration::from_mins(1);

struct Kubectl {
    program: Vec<String>,
    cluster: Cluster,
    dir: tempfile::TempDir,
}

impl Kubectl {
    /// A cluster and the program; none where there is no program, unless it is required.
    async fn start() -> Option<Self> {
        let program = program()?;
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        let dir = tempfile::tempdir().unwrap();
        let options = Options {
            listen: true,
            ..Options::control_plane(dir.path())
        };
        let cluster = Cluster::start(options).await.unwrap();
        axon::cluster::install(&cluster.client()).await.unwrap();
        Some(Self {
            program,
            cluster,
            dir,
        })
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program[0]);
        command
            .args(&self.program[1..])
            .args(args)
            .env("KUBECONFIG", self.cluster.kubeconfig())
            // Where it keeps what it has learnt of servers.
            .env("HOME", self.dir.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// What it prints; it must succeed.
    async fn out(&self, args: &[&str]) -> String {
        let ended = tokio::time::timeout(DEADLINE, self.command(args).output()).await;
        let output = ended
            .unwrap_or_else(|_| panic!("{args:?} did not end"))
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.cluster.client(), "default")
    }

    async fn set_status<K>(&self, name: &str, status: Value)
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
        K::DynamicType: Default,
    {
        let patch = Patch::Merge(json!({"status": status}));
        let (api, params) = (self.api::<K>(), PatchParams::default());
        api.patch_status(name, &params, &patch).await.unwrap();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the suite speaks to its tests through the environment"
)]
pub(crate) fn program() -> Option<Vec<String>> {
    let Ok(words) = std::env::var("AXON_TEST_KUBECTL") else {
        assert!(
            std::env::var_os("AXON_REQUIRE_REAL").is_none(),
            "kubectl is required and AXON_TEST_KUBECTL does not name it"
        );
        eprintln!("skipped: no kubectl (run `make test-real`)");
        return None;
    };
    Some(words.split(' ').map(str::to_owned).collect())
}

fn example(name: &str) -> String {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let path: PathBuf = examples.join(name).with_extension("yaml");
    path.to_str().unwrap().to_owned()
}

fn rows(table: &str) -> Vec<Vec<&str>> {
    table
        .lines()
        .map(|it| it.split_whitespace().collect())
        .collect()
}

#[tokio::test]
async fn the_examples_are_applied_compared_shown_and_deleted() {
    let Some(kubectl) = Kubectl::start().await else {
        return;
    };
    let hello = example("task");
    let created = kubectl.out(&["apply", "-f", &hello]).await;
    assert_eq!(created, "task.axon.io/hello created\n");
    for name in [
        "cron-spawner",
        "issues-spawner",
        "pod-overrides",
        "workspace-with-token",
    ] {
        kubectl.out(&["apply", "-f", &example(name)]).await;
    }
    let again = kubectl.out(&["apply", "-f", &hello]).await;
    assert_eq!(again, "task.axon.io/hello unchanged\n");
    assert_eq!(kubectl.out(&["diff", "-f", &hello]).await, "");
    let server_side = ["apply", "--server-side", "-f", &hello];
    kubectl.out(&server_side).await;

    let status = json!({"phase": "Running", "conditions": [{
        "type": "Started", "status": "True", "reason": "AgentStarted", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }]});
    kubectl.set_status::<Task>("hello", status).await;
    let table = kubectl.out(&["get", "tasks"]).await;
    let table = rows(&table);
    assert_eq!(table[0], ["NAME", "TYPE", "PHASE", "REASON", "AGE"]);
    let row = table.iter().find(|it| it[0] == "hello").unwrap();
    assert_eq!(row[1..4], ["claude-code", "Running", "AgentStarted"]);

    let explained = kubectl.out(&["explain", "task.spec.prompt"]).await;
    assert!(explained.contains("FIELD: prompt <string>"), "{explained}");
    kubectl.out(&["delete", "-f", &hello]).await;
    let named = kubectl.out(&["get", "tasks", "-o", "name"]).await;
    assert_eq!(
        named,
        "task.axon.io/fix-flaky-test\ntask.axon.io/heavy-build\n"
    );
    kubectl.cluster.stop().await;
}

#[tokio::test]
async fn a_wait_ends_when_the_task_does() {
    let Some(kubectl) = Kubectl::start().await else {
        return;
    };
    kubectl.out(&["apply", "-f", &example("task")]).await;
    let ending = async {
        let status = json!({"phase": "Succeeded", "conditions": [{
            "type": "Complete", "status": "True", "reason": "Succeeded", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]});
        kubectl.set_status::<Task>("hello", status).await;
    };
    let wait = ["wait", "--for=condition=Complete", "task/hello"];
    let (waited, ()) = tokio::join!(kubectl.out(&wait), ending);
    assert_eq!(waited, "task.axon.io/hello condition met\n");
    let phase = "--for=jsonpath={.status.phase}=Succeeded";
    kubectl.out(&["wait", phase, "task/hello"]).await;
    let gone = ["wait", "--for=delete", "task/hello"];
    let delete = ["delete", "task", "hello"];
    tokio::join!(kubectl.out(&gone), kubectl.out(&delete));
    kubectl.cluster.stop().await;
}

#[tokio::test]
async fn logs_are_read_and_followed_to_the_end() {
    let Some(kubectl) = Kubectl::start().await else {
        return;
    };
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]},
    }))
    .unwrap();
    let pods = kubectl.api::<Pod>();
    let made = pods.create(&PostParams::default(), &pod).await.unwrap();
    let logs = kubectl.cluster.logs();
    let path = logs
        .container("default", "p", &made.uid().unwrap(), "c")
        .unwrap();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "one\ntwo\n").unwrap();
    let state = |phase: &str, state: Value| {
        json!({"phase": phase, "containerStatuses": [
            {"name": "c", "image": "i", "imageID": "", "ready": true, "restartCount": 0, "state": state},
        ]})
    };
    let running = state("Running", json!({"running": {}}));
    kubectl.set_status::<Pod>("p", running).await;
    let last = kubectl.out(&["logs", "p", "--tail=1"]).await;
    assert_eq!(last, "two\n");
    assert!(kubectl.out(&["get", "pods"]).await.contains("1/1"));

    let ending = async {
        std::fs::write(&path, "one\ntwo\nthree\n").unwrap();
        let ended = json!({"terminated": {"exitCode": 0, "reason": "Completed"}});
        kubectl
            .set_status::<Pod>("p", state("Succeeded", ended))
            .await;
    };
    let follow = ["logs", "-f", "p"];
    let (all, ()) = tokio::join!(kubectl.out(&follow), ending);
    assert_eq!(all, "one\ntwo\nthree\n");
    let table = kubectl.out(&["get", "pods"]).await;
    assert_eq!(rows(&table)[1][..3], ["p", "0/1", "Completed"]);
    kubectl.cluster.stop().await;
}

/// `kubectl create` writes these in protobuf.
#[tokio::test]
async fn secrets_and_their_kin_are_created_by_their_own_commands() {
    let Some(kubectl) = Kubectl::start().await else {
        return;
    };
    for args in [
        &["create", "namespace", "team"][..],
        &[
            "create",
            "secret",
            "generic",
            "s",
            "--from-literal=KEY=value",
            "--namespace=team",
        ],
        &[
            "create",
            "configmap",
            "c",
            "--from-literal=a=b",
            "--from-literal=empty=",
        ],
        &["create", "serviceaccount", "sa"],
    ] {
        kubectl.out(args).await;
    }
    let read = async |of: &[&str]| {
        kubectl
            .out(&[&["get", "-o", "jsonpath={.data}"], of].concat())
            .await
    };
    let secret = read(&["secret", "s", "--namespace=team"]).await;
    assert_eq!(secret, r#"{"KEY":"dmFsdWU="}"#);
    assert_eq!(read(&["configmap", "c"]).await, r#"{"a":"b","empty":""}"#);
    kubectl.cluster.stop().await;
}

#[tokio::test]
async fn the_installation_is_applied() {
    let Some(kubectl) = Kubectl::start().await else {
        return;
    };
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/axon.yaml");
    kubectl
        .out(&["apply", "-f", manifest.to_str().unwrap()])
        .await;
    let installed = ["get", "-n", "axon-system", "-o", "name"];
    let told = kubectl
        .out(&[&installed[..], &["deployment,service,pdb,serviceaccount"]].concat())
        .await;
    for name in [
        "deployment.apps/axon-controller",
        "poddisruptionbudget.policy/axon-controller",
        "serviceaccount/axon-controller",
    ] {
        assert!(told.contains(name), "{name}: {told}");
    }
}
