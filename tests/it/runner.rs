//! Jobs and Pods through the embedded API server: real processes, and what is written about them.
#![expect(
    clippy::needless_pass_by_value,
    reason = "JSON is written where it is handed over"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use axon::local::Cluster;
use axon::local::Node;
use axon::local::Options;
use axon::local::images::Image;
use axon::local::runner::isolation::Isolation;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::DeleteParams;
use kube::api::ListParams;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::api::PostParams;
use kube::runtime::wait::Condition;
use kube::runtime::wait::await_condition;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use crate::supervise::FAMILY;
use crate::supervise::is_gone;
use crate::supervise::until;
use crate::supervise::until_gone;

const PATIENCE: Duration = Duration::from_secs(40);

struct Bed {
    dir: TempDir,
    cluster: Cluster,
}

impl Bed {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let cluster = cluster(dir.path(), true).await;
        Self { dir, cluster }
    }

    fn pods(&self) -> Api<Pod> {
        Api::default_namespaced(self.cluster.client())
    }

    fn jobs(&self) -> Api<Job> {
        Api::default_namespaced(self.cluster.client())
    }

    /// Creates a Pod of one container that runs a script; `more` is laid over its spec.
    async fn pod(&self, name: &str, script: &str, more: Value) -> Pod {
        let pod = pod(name, script, more);
        self.pods()
            .create(&PostParams::default(), &pod)
            .await
            .unwrap()
    }

    async fn job(&self, name: &str, script: &str, more: Value) {
        let template = json!({"spec": pod(name, script, json!({})).spec});
        let mut job =
            json!({"metadata": {"name": name}, "spec": {"backoffLimit": 0, "template": template}});
        lay_over(&mut job["spec"], more);
        let job: Job = serde_json::from_value(job).unwrap();
        self.jobs()
            .create(&PostParams::default(), &job)
            .await
            .unwrap();
    }

    async fn await_pod(&self, name: &str, condition: impl Condition<Pod>) -> Pod {
        let pods = self.pods();
        let wait = await_condition(pods.clone(), name, condition);
        let met = tokio::time::timeout(PATIENCE, wait).await;
        if met.is_err() {
            let found = pods.get_opt(name).await.unwrap();
            assert!(
                met.is_ok(),
                "not in time: {:#?}",
                found.and_then(|it| it.status)
            );
        }
        met.unwrap().unwrap().unwrap_or_default()
    }

    async fn ended(&self, name: &str) -> Pod {
        self.await_pod(name, |pod: Option<&Pod>| is_over(pod)).await
    }

    async fn finished_job(&self, name: &str) -> Value {
        let over = |job: Option<&Job>| {
            let status = job.and_then(|it| it.status.as_ref());
            let all = status.and_then(|it| it.conditions.as_ref());
            all.is_some_and(|all| {
                all.iter()
                    .any(|it| it.type_ == "Complete" || it.type_ == "Failed")
            })
        };
        let wait = await_condition(self.jobs(), name, over);
        let job = tokio::time::timeout(PATIENCE, wait).await.unwrap().unwrap();
        serde_json::to_value(job.unwrap().status).unwrap()
    }

    /// A file in a volume of the Pod.
    fn file(&self, pod: &Pod, volume: &str, name: &str) -> std::path::PathBuf {
        let uid = pod.metadata.uid.as_ref().unwrap();
        let volumes = self.dir.path().join("pods").join(uid).join("volumes");
        volumes.join(volume).join(name)
    }

    fn log(&self, pod: &Pod, container: &str) -> String {
        let meta = &pod.metadata;
        let (name, uid) = (meta.name.as_ref().unwrap(), meta.uid.as_ref().unwrap());
        let logs = self.cluster.logs();
        fs::read_to_string(logs.container("default", name, uid, container).unwrap()).unwrap()
    }

    /// The processes that a script wrote into `pids` of volume `v`.
    fn pids(&self, pod: &Pod, count: usize) -> Vec<String> {
        pids(&self.file(pod, "v", "pids"), count)
    }
}

async fn cluster(dir: &Path, ephemeral: bool) -> Cluster {
    start(dir, ephemeral, Isolation::Open).await
}

async fn start(dir: &Path, ephemeral: bool, isolation: Isolation) -> Cluster {
    let entry = dir.join("entry.sh");
    let images = move |image: &str| match image {
        "plain" => Ok(Image::default()),
        "entry" => Ok(Image {
            files: BTreeMap::from([("/entry.sh".to_owned(), entry.clone())]),
        }),
        other => Err(format!("install \"{other}\" first")),
    };
    let node = Node {
        images: Arc::new(images),
        supervisor: env!("CARGO_BIN_EXE_axon").into(),
        env: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
        isolation,
        lender: None,
    };
    let options = Options {
        node: Some(node),
        ephemeral,
        ..Options::control_plane(dir)
    };
    Cluster::start(options).await.unwrap()
}

/// The script's `$1` is the directory of volume `v`, `$2` its termination message.
fn pod(name: &str, script: &str, more: Value) -> Pod {
    let mut pod = json!({"metadata": {"name": name}, "spec": {
        "restartPolicy": "Never",
        "volumes": [{"name": "v", "emptyDir": {}}],
        "containers": [container(script)]}});
    lay_over(&mut pod["spec"], more);
    serde_json::from_value(pod).unwrap()
}

fn container(script: &str) -> Value {
    json!({"name": "agent", "image": "plain", "workingDir": "/v",
        "command": ["sh", "-c", script, "sh", "/v", "/dev/termination-log"],
        "volumeMounts": [{"name": "v", "mountPath": "/v"}]})
}

fn lay_over(onto: &mut Value, more: Value) {
    json_patch::merge(onto, &more);
}

fn pids(file: &Path, count: usize) -> Vec<String> {
    let mut found = Vec::new();
    until(|| {
        let text = fs::read_to_string(file).unwrap_or_default();
        found = text.lines().map(str::to_owned).collect();
        found.len() == count
    });
    found
}

fn is_over(pod: Option<&Pod>) -> bool {
    let phase = pod.and_then(|it| it.status.as_ref()?.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

fn status(pod: &Pod) -> Value {
    serde_json::to_value(&pod.status).unwrap()
}

/// The end of the first main container.
fn end(pod: &Pod) -> Value {
    status(pod)["containerStatuses"][0]["state"]["terminated"].clone()
}

/// Whether the first main container waits for this reason.
fn waits(reason: &'static str) -> impl Condition<Pod> {
    move |pod: Option<&Pod>| {
        pod.is_some_and(|pod| {
            status(pod)["containerStatuses"][0]["state"]["waiting"]["reason"] == reason
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_succeeds_and_its_message_comes_back() {
    let bed = Bed::new().await;
    bed.job("good", "echo out; echo words > $2", json!({}))
        .await;
    let job = bed.finished_job("good").await;
    assert_eq!(job["succeeded"], 1);
    assert_eq!(job["failed"], Value::Null);
    assert!(job["completionTime"].is_string());
    let own = ListParams::default().labels("batch.kubernetes.io/job-name=good");
    let pods = bed.pods().list(&own).await.unwrap().items;
    assert_eq!(pods.len(), 1);
    let pod = &pods[0];
    assert_eq!(status(pod)["phase"], "Succeeded");
    assert_eq!(end(pod)["message"], "words\n");
    assert_eq!(end(pod)["reason"], "Completed");
    assert_eq!(pod.metadata.finalizers, None, "it was counted and let go");
    assert_eq!(bed.log(pod, "agent"), "out\n");
    let events: Api<Event> = Api::default_namespaced(bed.cluster.client());
    let end = Instant::now() + PATIENCE;
    loop {
        let all = events.list(&ListParams::default()).await.unwrap();
        let reasons: Vec<_> = all
            .items
            .iter()
            .filter_map(|it| it.reason.as_deref())
            .collect();
        if ["Scheduled", "Pulled", "Created", "Started"]
            .iter()
            .all(|it| reasons.contains(it))
        {
            break;
        }
        assert!(Instant::now() < end, "{reasons:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bed.cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_fails_once_and_for_all() {
    let bed = Bed::new().await;
    let spec = json!({"template": {"spec": {"containers": [{"name": "agent", "image": "plain",
        "command": ["sh", "-c", "echo last words; exit 7"],
        "terminationMessagePolicy": "FallbackToLogsOnError"}]}}});
    bed.job("bad", "", spec).await;
    let job = bed.finished_job("bad").await;
    assert_eq!(job["failed"], 1);
    let reason = job["conditions"].as_array().unwrap().last().unwrap()["reason"].clone();
    assert_eq!(reason, "BackoffLimitExceeded");
    let pods = bed.pods().list(&ListParams::default()).await.unwrap().items;
    assert_eq!(pods.len(), 1);
    assert_eq!(end(&pods[0])["exitCode"], 7);
    assert_eq!(end(&pods[0])["reason"], "Error");
    assert_eq!(end(&pods[0])["message"], "last words\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn init_containers_run_first_and_can_end_it() {
    let bed = Bed::new().await;
    let init = |script: &str| {
        let mut it = container(script);
        it["name"] = "first".into();
        json!({"initContainers": [it]})
    };
    bed.pod(
        "both",
        "cat made-by-init",
        init("echo hello > made-by-init"),
    )
    .await;
    let both = bed.ended("both").await;
    assert_eq!(status(&both)["phase"], "Succeeded");
    assert_eq!(bed.log(&both, "agent"), "hello\n");

    bed.pod("broken", "touch should-not-run", init("exit 3"))
        .await;
    let broken = bed.ended("broken").await;
    assert_eq!(status(&broken)["phase"], "Failed");
    let first = &status(&broken)["initContainerStatuses"][0]["state"]["terminated"];
    assert_eq!(first["exitCode"], 3);
    let agent = &status(&broken)["containerStatuses"][0]["state"]["waiting"]["reason"];
    assert_eq!(agent, "PodInitializing");
    assert!(!bed.file(&broken, "v", "should-not-run").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_pod_is_asked_then_killed_with_all_its_processes() {
    let bed = Bed::new().await;
    let script = format!("trap 'echo asked' TERM; {FAMILY} while :; do sleep 300 & wait; done");
    let pod = bed
        .pod(
            "stubborn",
            &script,
            json!({"terminationGracePeriodSeconds": 1}),
        )
        .await;
    let pids = bed.pids(&pod, 3);
    let (deletion, log) = (bed.pods(), bed.file(&pod, "v", "pids"));
    deletion
        .delete("stubborn", &DeleteParams::default())
        .await
        .unwrap();
    bed.await_pod("stubborn", |pod: Option<&Pod>| pod.is_none())
        .await;
    assert!(
        pids.iter().all(|pid| is_gone(pid)),
        "the object outlives the processes"
    );
    until(|| !log.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_ends_a_pod_even_when_it_is_lowered_later() {
    let bed = Bed::new().await;
    let pod = bed
        .pod(
            "slow",
            "echo $$ > pids; exec sleep 300",
            json!({"activeDeadlineSeconds": 600}),
        )
        .await;
    let pids = bed.pids(&pod, 1);
    let patch = Patch::Merge(json!({"spec": {"activeDeadlineSeconds": 1}}));
    bed.pods()
        .patch("slow", &PatchParams::default(), &patch)
        .await
        .unwrap();
    let pod = bed.ended("slow").await;
    assert_eq!(status(&pod)["reason"], "DeadlineExceeded");
    assert_eq!(end(&pod)["exitCode"], 128 + 15);
    until_gone(&pids);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_secret_is_waited_for() {
    let bed = Bed::new().await;
    let mut by_env = container("echo $TOKEN; cat /v/none 2> /dev/null; true");
    by_env["env"] =
        json!([{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "late", "key": "token"}}}]);
    bed.pod("by-env", "", json!({"containers": [by_env]})).await;
    let mut by_volume = container("");
    by_volume["command"] = json!(["cat", "/secret/token"]);
    by_volume["volumeMounts"] =
        json!([{"name": "s", "mountPath": "/secret"}, {"name": "v", "mountPath": "/v"}]);
    let volumes =
        json!([{"name": "s", "secret": {"secretName": "late"}}, {"name": "v", "emptyDir": {}}]);
    bed.pod(
        "by-volume",
        "",
        json!({"containers": [by_volume], "volumes": volumes}),
    )
    .await;

    let waiting = bed
        .await_pod("by-env", waits("CreateContainerConfigError"))
        .await;
    let message = &status(&waiting)["containerStatuses"][0]["state"]["waiting"]["message"];
    assert_eq!(message, "secret \"late\" not found");
    bed.await_pod("by-volume", waits("ContainerCreating")).await;

    let secret = json!({"metadata": {"name": "late"}, "stringData": {"token": "s3cret"}});
    let secret: Secret = serde_json::from_value(secret).unwrap();
    let secrets: Api<Secret> = Api::default_namespaced(bed.cluster.client());
    secrets
        .create(&PostParams::default(), &secret)
        .await
        .unwrap();
    let pod = bed.ended("by-env").await;
    assert_eq!(bed.log(&pod, "agent"), "s3cret\n");
    let pod = bed.ended("by-volume").await;
    assert_eq!(bed.log(&pod, "agent"), "s3cret");
    until(|| !bed.file(&pod, "s", "token").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sub_path_does_not_lead_out_of_its_volume() {
    let bed = Bed::new().await;
    let mut links = container("ln -s /etc $1/out; mkdir $1/real; ln -s real $1/in");
    links["name"] = json!("links");
    let with = |sub: &str| {
        let mut it = container("echo ran");
        it["volumeMounts"] = json!([{"name": "v", "mountPath": "/v", "subPath": sub}]);
        it
    };
    for (name, sub) in [("stays", "in"), ("leaves", "out")] {
        let more = json!({"initContainers": [links], "containers": [with(sub)]});
        bed.pod(name, "", more).await;
    }
    let pod = bed.ended("stays").await;
    assert_eq!(bed.log(&pod, "agent"), "ran\n");
    let refused = bed
        .await_pod("leaves", waits("CreateContainerConfigError"))
        .await;
    let message = &status(&refused)["containerStatuses"][0]["state"]["waiting"]["message"];
    let message = message.as_str().unwrap();
    assert!(message.contains("leads out of its volume"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_secret_comes_into_a_running_pod() {
    let bed = Bed::new().await;
    let secrets: Api<Secret> = Api::default_namespaced(bed.cluster.client());
    let of = |value: &str| -> Secret {
        let secret = json!({"metadata": {"name": "s"}, "stringData": {"token": value}});
        serde_json::from_value(secret).unwrap()
    };
    secrets
        .create(&PostParams::default(), &of("old"))
        .await
        .unwrap();
    let script = "until [ \"$(cat $1)\" = new ]; do sleep 0.1; done; cat $1";
    let mut reads = container("");
    reads["command"] = json!(["sh", "-c", script, "sh", "/s/token"]);
    reads["volumeMounts"] =
        json!([{"name": "s", "mountPath": "/s"}, {"name": "v", "mountPath": "/v"}]);
    let volumes =
        json!([{"name": "s", "secret": {"secretName": "s"}}, {"name": "v", "emptyDir": {}}]);
    bed.pod("p", "", json!({"containers": [reads], "volumes": volumes}))
        .await;
    let is_running = |pod: Option<&Pod>| pod.is_some_and(|it| status(it)["phase"] == "Running");
    bed.await_pod("p", is_running).await;
    let patch = Patch::Merge(json!({"stringData": {"token": "new"}}));
    secrets
        .patch("s", &PatchParams::default(), &patch)
        .await
        .unwrap();
    let pod = bed.ended("p").await;
    assert_eq!(bed.log(&pod, "agent"), "new");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_not_there_says_what_to_do() {
    let bed = Bed::new().await;
    let mut nothing = container("");
    nothing["image"] = "claude".into();
    bed.pod("nothing", "", json!({"containers": [nothing]}))
        .await;
    let pod = bed.await_pod("nothing", waits("ImagePullBackOff")).await;
    let message = &status(&pod)["containerStatuses"][0]["state"]["waiting"]["message"];
    assert_eq!(message, "install \"claude\" first");
    assert_eq!(status(&pod)["phase"], "Pending");
    // One bad Pod stops nobody, and can be deleted.
    bed.pod("fine", "true", json!({})).await;
    assert_eq!(status(&bed.ended("fine").await)["phase"], "Succeeded");
    bed.pods()
        .delete("nothing", &DeleteParams::default())
        .await
        .unwrap();
    bed.await_pod("nothing", |pod: Option<&Pod>| pod.is_none())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_not_there_is_a_start_error() {
    let bed = Bed::new().await;
    let missing = json!({"containers": [{"name": "agent", "image": "plain", "command": ["no-such-program"]}]});
    bed.pod("missing", "", missing).await;
    let pod = bed.ended("missing").await;
    assert_eq!(end(&pod)["reason"], "StartError");
    assert_eq!(end(&pod)["exitCode"], 128);
    assert_eq!(
        end(&pod)["message"],
        "exec: \"no-such-program\": executable file not found in $PATH"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_holds_what_the_pod_declares() {
    let bed = Bed::new().await;
    let mut it = container("");
    it["command"] = json!([
        "sh",
        "-c",
        "env | sort; echo \"$1\"",
        "sh",
        "$(GREETING)-$$(GREETING)-$(NONE)"
    ]);
    it["env"] = json!([
        {"name": "WHO", "value": "world"}, {"name": "GREETING", "value": "hello $(WHO) $$(WHO)"},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]);
    bed.pod("env", "", json!({"containers": [it]})).await;
    let log = bed.log(&bed.ended("env").await, "agent");
    let mut lines: Vec<_> = log.lines().collect();
    assert_eq!(lines.pop(), Some("hello world $(WHO)-$(GREETING)-$(NONE)"));
    let names: Vec<_> = lines.iter().filter_map(|it| it.split('=').next()).collect();
    // The shell itself adds PWD and the like; nothing of the parent's may be there.
    let known = [
        "GREETING", "HOME", "OLDPWD", "PATH", "POD", "PWD", "SHLVL", "WHO", "_",
    ];
    assert!(names.iter().all(|name| known.contains(name)), "{names:?}");
    assert!(lines.contains(&"POD=env"));
    assert!(
        std::env::vars_os().any(|(name, _)| name == "CARGO_MANIFEST_DIR"),
        "the parent has more"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_brings_its_files() {
    let bed = Bed::new().await;
    let entry = bed.dir.path().join("entry.sh");
    fs::write(&entry, "#!/bin/sh\necho entry \"$@\"\n").unwrap();
    fs::set_permissions(&entry, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let entry =
        json!([{"name": "agent", "image": "entry", "command": ["/entry.sh"], "args": ["/v2"]}]);
    bed.pod("entry", "", json!({"containers": entry})).await;
    assert_eq!(bed.log(&bed.ended("entry").await, "agent"), "entry /v2\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_expired_goes_with_its_pod_and_files() {
    let bed = Bed::new().await;
    bed.job("short", "true", json!({"ttlSecondsAfterFinished": 0}))
        .await;
    let gone = await_condition(bed.jobs(), "short", |job: Option<&Job>| job.is_none());
    tokio::time::timeout(PATIENCE, gone).await.unwrap().unwrap();
    until(|| {
        fs::read_dir(bed.dir.path().join("pods"))
            .unwrap()
            .next()
            .is_none()
    });
    assert!(
        bed.pods()
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_job_takes_its_running_pod_along() {
    let bed = Bed::new().await;
    bed.job("doomed", "echo $$ > pids; exec sleep 300", json!({}))
        .await;
    let dir = bed.dir.path().join("pods");
    let mut file = None;
    until(|| {
        let first = fs::read_dir(&dir).ok().and_then(|mut it| it.next());
        file = first.map(|it| it.unwrap().path().join("volumes/v/pids"));
        file.as_ref().is_some_and(|it| it.exists())
    });
    let pids = pids(&file.unwrap(), 1);
    bed.jobs()
        .delete("doomed", &DeleteParams::background())
        .await
        .unwrap();
    until_gone(&pids);
    until(|| fs::read_dir(&dir).unwrap().next().is_none());
    assert!(
        bed.pods()
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_of_the_node_ends_its_pods_as_disrupted() {
    let dir = tempfile::tempdir().unwrap();
    let bed = Bed {
        cluster: cluster(dir.path(), false).await,
        dir,
    };
    let pod = bed
        .pod("long", "echo $$ > pids; exec sleep 300", json!({}))
        .await;
    let pids = bed.pids(&pod, 1);
    bed.cluster.stop().await;
    assert!(pids.iter().all(|pid| is_gone(pid)));
    let cluster = cluster(bed.dir.path(), false).await;
    let bed = Bed { cluster, ..bed };
    let pod = bed.ended("long").await;
    assert_eq!(status(&pod)["reason"], "Terminated");
    assert!(is_disrupted(&pod));
}

fn is_disrupted(pod: &Pod) -> bool {
    let conditions = status(pod)["conditions"].clone();
    let all = conditions.as_array().unwrap();
    all.iter()
        .any(|it| it["type"] == "DisruptionTarget" && it["status"] == "True")
}

/// Names the directory to the process that the test below kills.
const HOST_DIR: &str = "AXON_TEST_RUNNER_HOST";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a part of the test below: the process that is killed"]
#[expect(
    clippy::disallowed_methods,
    reason = "the test speaks to itself through the environment"
)]
async fn host() {
    let Some(dir) = std::env::var_os(HOST_DIR) else {
        return;
    };
    let _cluster = cluster(Path::new(&dir), false).await;
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_leaves_no_process_and_nothing_runs_twice() {
    let dir = tempfile::tempdir().unwrap();
    let bed = Bed {
        cluster: cluster(dir.path(), false).await,
        dir,
    };
    let done = bed.pod("done", "echo once >> runs", json!({})).await;
    let runs = bed.file(&done, "v", "runs");
    bed.ended("done").await;
    bed.cluster.stop().await;
    // Written without a node, so that another process is the first to run it.
    let plain = Options {
        ephemeral: false,
        ..Options::control_plane(bed.dir.path())
    };
    let cluster_alone = Cluster::start(plain).await.unwrap();
    let bed = Bed {
        cluster: cluster_alone,
        ..bed
    };
    let running = bed
        .pod("running", &format!("{FAMILY} sleep 300"), json!({}))
        .await;
    let file = bed.file(&running, "v", "pids");
    bed.cluster.stop().await;

    let mut host = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "runner::host", "--ignored"])
        .env(HOST_DIR, bed.dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pids = pids(&file, 3);
    host.kill().unwrap();
    host.wait().unwrap();
    until_gone(&pids);

    let cluster = cluster(bed.dir.path(), false).await;
    let bed = Bed { cluster, ..bed };
    let lost = bed.ended("running").await;
    assert_eq!(status(&lost)["reason"], "NodeLost");
    assert!(is_disrupted(&lost));
    assert_eq!(
        fs::read_to_string(&file).unwrap().lines().count(),
        3,
        "it did not run again"
    );
    assert_eq!(status(&bed.ended("done").await)["phase"], "Succeeded");
    assert_eq!(fs::read_to_string(&runs).unwrap(), "once\n");
}
