//! `axon dev` as a person runs it on a repository, with the agents' programs on `PATH`.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use axon::api::Task;
use kube::Api;
use kube::Client;
use kube::Config;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::config::KubeConfigOptions;
use kube::config::Kubeconfig;
use serde_json::Value;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::agent::Agent;
use crate::agent::KEY;
use crate::agent::SECRET;
use crate::git_server::GitRepo;
use crate::git_server::GitServer;
use crate::story::Cast;
use crate::story::Ground;

/// How long any condition may take to come true: programs that take seconds of work to start share two cores.
const DEADLINE: Duration = Duration::from_mins(4);
const PAUSE: Duration = Duration::from_millis(100);
/// The namespace of an `axon.yaml` that names none.
const NAMESPACE: &str = "default";

/// Whether agents are kept from this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isolation {
    Full,
    None,
}

/// A running `axon dev`. It ends, with all that it started, when this is dropped.
pub(crate) struct Machine {
    dir: tempfile::TempDir,
    origin: GitRepo,
    /// Serves it while agents run: a repository of this machine they would only have as a copy.
    _git: GitServer,
    dev: Child,
    tasks: Api<Task>,
    runtime: Runtime,
}

impl Machine {
    /// Runs these Tasks; none where the agents' programs are not there, unless they are required.
    pub(crate) fn start(tasks: &[(Agent, Value)], isolation: Isolation) -> Option<Self> {
        let Some(programs) = var("AXON_TEST_AGENTS") else {
            assert!(
                var("AXON_REQUIRE_AGENTS").is_none(),
                "the agents are required and AXON_TEST_AGENTS does not say where they are"
            );
            eprintln!("left out: no agents (run `make e2e-agents`)");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let origin = GitRepo::new(dir.path(), "app.git");
        origin.commit(&[("README.md", "hello\n")]);
        let git = GitServer::start(dir.path());
        let url = format!("{}/app.git", git.url());
        let app = dir.path().join("app");
        fs::create_dir(&app).unwrap();
        let tasks: serde_json::Map<String, Value> = tasks
            .iter()
            .map(|(agent, task)| (agent.name.to_owned(), task.clone()))
            .collect();
        let config = json!({
            "apiVersion": "axon.io/v1alpha1", "kind": "Config", "sync": "app",
            "defaults": {"workspace": "origin"},
            "workspaces": {"origin": {"repo": url}},
            "tasks": tasks,
        });
        fs::write(app.join("axon.yaml"), config.to_string()).unwrap();
        let mut dev = dev(&app, &programs, isolation).spawn().unwrap();
        let kubeconfig = app.join(".axon/kubeconfig");
        eventually("axon dev serves", || match dev.try_wait().unwrap() {
            Some(status) => panic!("axon dev ended with {status}: {}", read(&app.join("told"))),
            None => kubeconfig.is_file().then_some(()),
        });
        let runtime = Runtime::new().unwrap();
        let tasks = Api::namespaced(runtime.block_on(client(&kubeconfig)), NAMESPACE);
        Some(Self {
            dir,
            origin,
            _git: git,
            dev,
            tasks,
            runtime,
        })
    }

    /// Processes that know of these models: what an agent or its tool has left behind.
    pub(crate) fn left_behind(cast: &Cast) -> Vec<String> {
        let urls: Vec<String> = cast.iter().map(|(_, model)| model.url()).collect();
        let processes = fs::read_dir("/proc").unwrap().flatten().map(|it| it.path());
        let knows_one = |process: &PathBuf| {
            let environment = read(&process.join("environ"));
            urls.iter().any(|it| environment.contains(it))
        };
        processes
            .filter(knows_one)
            .map(|it| read(&it.join("cmdline")).replace('\0', " "))
            .collect()
    }

    fn explain(&self) {
        let app = self.dir.path().join("app");
        eprintln!("--- axon dev\n{}", read(&app.join("told")));
        for log in files(&app.join(".axon/logs")) {
            let text = read(&log);
            let from = text.len().saturating_sub(6000);
            let end = text.get(from..).unwrap_or(&text);
            eprintln!("--- {}\n{end}", log.display());
        }
    }
}

impl Ground for Machine {
    fn origin(&self) -> &GitRepo {
        &self.origin
    }

    fn status(&self, agent: &Agent) -> Option<Value> {
        let task = self.runtime.block_on(self.tasks.get_opt(agent.name));
        Some(serde_json::to_value(task.ok()??.status?).unwrap())
    }

    fn cancel(&self, agent: &Agent) {
        let patch = Patch::Merge(json!({"spec": {"cancelled": true}}));
        let params = PatchParams::default();
        let patched = self.tasks.patch(agent.name, &params, &patch);
        self.runtime.block_on(patched).unwrap();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if thread::panicking() {
            self.explain();
        }
        self.dev.kill().ok();
        self.dev.wait().ok();
    }
}

fn dev(app: &Path, programs: &str, isolation: Isolation) -> Command {
    let told = fs::File::create(app.join("told")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_axon"));
    let isolation = match isolation {
        Isolation::Full => "--require-isolation",
        Isolation::None => "--unconfined",
    };
    command.args(["dev", "--ephemeral", isolation]).arg(app);
    for agent in crate::agent::ALL {
        command.arg(format!("--secret={SECRET}={}:SCRIPTED", agent.variable));
    }
    command
        .env("SCRIPTED", KEY)
        .env("PATH", format!("{programs}:{}", var("PATH").unwrap()))
        .stdin(Stdio::null())
        .stdout(told.try_clone().unwrap())
        .stderr(told);
    command
}

async fn client(kubeconfig: &Path) -> Client {
    let file = Kubeconfig::read_from(kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
    Client::try_from(config.unwrap()).unwrap()
}

/// Asks until there is an answer.
pub(crate) fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(
            begun.elapsed() < DEADLINE,
            "not seen within {DEADLINE:?}: {what}"
        );
        thread::sleep(PAUSE);
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|it| it.path());
    let below = |path: PathBuf| {
        if path.is_dir() {
            files(&path)
        } else {
            vec![path]
        }
    };
    entries
        .flat_map(below)
        .filter(|it| !it.as_os_str().as_bytes().ends_with(b"checkout.log"))
        .collect()
}

fn read(file: &Path) -> String {
    String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the harness speaks to the suite through the environment"
)]
pub(crate) fn var(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
