//! A real API server, killed and started again while a configuration is applied and the controller starts
//! its Tasks. It is one of this test's own: others use the suite's.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Output;
use std::process::Stdio;

use axon::api::Task;
use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use kube::Client;
use kube::ResourceExt as _;
use kube::api::ListParams;
use kube::config::KubeConfigOptions;
use kube::config::Kubeconfig;
use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use tokio::io::AsyncBufReadExt as _;
use tokio::io::BufReader;
use tokio::process::Child;
use tokio::process::Command;
use tokio::task::JoinSet;

use super::PATIENCE;
use crate::counts;
use crate::server;
use crate::server::Context;
use crate::server::Kind;
use crate::server::create_namespace;
use crate::server::within;

/// How many Tasks are declared.
const TASKS: usize = 200;
/// The server is killed when there are so many of them.
const KILLED_AT: [usize; 3] = [1, 60, 120];
const NAMESPACE: &str = "killed";

#[test]
fn an_api_server_that_is_killed_in_an_apply_costs_no_run() {
    // The suite's server only says whether there is a real one.
    server::run(Kind::Real, async |_: Context| {
        let mut plane = Plane::start().await;
        let told = plane.told_way().await;
        plane.stop().await;
        counts::tell("the API server killed in an apply", &told);
    });
}

/// A control plane.
struct Plane {
    with: Child,
    kubeconfig: PathBuf,
    client: Client,
    /// The API server, once it was started again.
    again: Option<Child>,
    dir: tempfile::TempDir,
}

impl Plane {
    async fn start() -> Self {
        let mut with = Command::new(program())
            .args([
                "with",
                "sh",
                "-c",
                "echo \"$AXON_TEST_KUBECONFIG\"; exec cat",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(with.stdout.take().unwrap()).lines();
        let kubeconfig: PathBuf = lines.next_line().await.unwrap().unwrap().into();
        let file = Kubeconfig::read_from(&kubeconfig).unwrap();
        let options = KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(file, &options)
            .await
            .unwrap();
        let client = Client::try_from(config).unwrap();
        axon::cluster::install(&client).await.unwrap();
        create_namespace(&client, NAMESPACE).await;
        let dir = tempfile::tempdir().unwrap();
        let mut config = "apiVersion: axon.io/v1alpha1\nkind: Config\nsync: app\n\
                          defaults: {type: codex, credentials: {type: none}}\ntasks:\n"
            .to_owned();
        for n in 0..TASKS {
            writeln!(config, "  t{n:03}: {{prompt: x}}").unwrap();
        }
        fs::write(dir.path().join("axon.yaml"), config).unwrap();
        Self {
            with,
            kubeconfig,
            client,
            again: None,
            dir,
        }
    }

    /// The program beside this control plane.
    fn axon(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_axon"));
        command
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(["--namespace", NAMESPACE])
            .args(arguments)
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Applies until it is done, the server being killed meanwhile; gives what happened.
    async fn told_way(&mut self) -> String {
        let mut controller = self.axon(&["controller", "--no-leader-election", "--listen", "none"]);
        controller
            .args(["--watch-namespace", NAMESPACE])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut controllers = JoinSet::new();
        // One that finds no server when it starts ends, and a Deployment starts it again.
        controllers.spawn(async move {
            loop {
                controller.spawn().unwrap().wait().await.unwrap();
            }
        });
        let tasks: Api<Task> = Api::namespaced(self.client.clone(), NAMESPACE);
        let mut broken = 0;
        for at in KILLED_AT {
            let apply = self.axon(&["apply", "--yes"]).spawn().unwrap();
            within(PATIENCE, "so many Tasks", || async {
                let there = tasks.list_metadata(&ListParams::default()).await.ok()?;
                (there.items.len() >= at).then_some(())
            })
            .await;
            self.kill_and_start().await;
            let ended = apply.wait_with_output().await.unwrap();
            broken += usize::from(!ended.status.success());
            is_clear(&ended);
            self.is_ready().await;
        }
        assert!(broken > 0, "the server was killed too late");
        let before = uids(&tasks).await;
        let ended = self.axon(&["apply", "--yes"]).output().await.unwrap();
        assert!(ended.status.success(), "{}", said(&ended));
        let planned = self
            .axon(&["plan", "--detailed-exitcode"])
            .output()
            .await
            .unwrap();
        assert_eq!(planned.status.code(), Some(0), "{}", said(&planned));
        let after = uids(&tasks).await;
        assert_eq!(after.len(), TASKS);
        assert!(
            before
                .iter()
                .all(|(name, uid)| after.get(name) == Some(uid))
        );
        self.has_one_job_each().await;
        controllers.shutdown().await;
        let times = KILLED_AT.len();
        format!(
            "{times} times, {broken} of the applies broken off; {TASKS} Tasks, one Job for each"
        )
    }

    /// Awaits a Job for each Task; there is never a second one.
    async fn has_one_job_each(&self) {
        let jobs: Api<Job> = Api::namespaced(self.client.clone(), NAMESPACE);
        let jobs = within(PATIENCE, "a Job for each Task", || async {
            let jobs = jobs.list_metadata(&ListParams::default()).await.ok()?.items;
            (jobs.len() >= TASKS).then_some(jobs)
        })
        .await;
        let mut of: BTreeMap<String, usize> = BTreeMap::new();
        for job in &jobs {
            *of.entry(job.labels()["axon.io/task"].clone()).or_default() += 1;
        }
        assert!(
            of.len() == TASKS && of.values().all(|it| *it == 1),
            "{of:?}"
        );
    }

    /// Kills the API server, and starts it again as it was started.
    async fn kill_and_start(&mut self) {
        let (process, words) = self.server().unwrap();
        kill(Pid::from_raw(process), Signal::SIGKILL).unwrap();
        if let Some(mut again) = self.again.take() {
            again.wait().await.unwrap();
        }
        let mut words = words.iter();
        let again = Command::new(words.next().unwrap())
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        self.again = Some(again);
    }

    /// Process and command line of the API server that runs.
    fn server(&self) -> Option<(i32, Vec<String>)> {
        let own = self
            .kubeconfig
            .parent()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        fs::read_dir("/proc").unwrap().find_map(|entry| {
            let entry = entry.unwrap();
            let process: i32 = entry.file_name().to_str()?.parse().ok()?;
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            let words = line.split(|it| *it == 0).filter(|it| !it.is_empty());
            let words: Vec<String> = words
                .map(|it| String::from_utf8_lossy(it).into_owned())
                .collect();
            let is_server = words.get(1).is_some_and(|it| it == "kube-apiserver");
            (is_server && words.iter().any(|it| it.contains(&own))).then_some((process, words))
        })
    }

    async fn is_ready(&self) {
        within(PATIENCE, "the API server to be ready", || async {
            let request = http::Request::get("/readyz").body(Vec::new()).unwrap();
            self.client.request_text(request).await.ok().map(drop)
        })
        .await;
    }

    /// Ends all of it.
    async fn stop(mut self) {
        // What starts last ends first.
        drop(self.again.take());
        drop(self.with.stdin.take());
        self.with.wait().await.unwrap();
    }
}

/// What broke off says why; nobody is told of a bug.
fn is_clear(ended: &Output) {
    let said = said(ended);
    assert!(!said.contains("panicked"), "{said}");
    let is_told = said.contains("error: ") && said.contains("API server");
    assert!(ended.status.success() || is_told, "{said}");
}

fn said(ended: &Output) -> String {
    let all = [&ended.stdout[..], &ended.stderr[..]].concat();
    String::from_utf8_lossy(&all).into_owned()
}

async fn uids(tasks: &Api<Task>) -> BTreeMap<String, String> {
    let all = tasks.list_metadata(&ListParams::default()).await.unwrap();
    all.items
        .iter()
        .map(|it| (it.name_any(), it.uid().unwrap()))
        .collect()
}

/// What the control plane is made of.
#[expect(
    clippy::disallowed_methods,
    reason = "the harness speaks to the suite through the environment"
)]
fn program() -> String {
    let kubectl = std::env::var("AXON_TEST_KUBECTL").unwrap();
    kubectl.split(' ').next().unwrap().to_owned()
}
