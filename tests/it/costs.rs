//! What Axon costs a real API server, by that server's own audit log: each program is a user of its own
//! there, so that nothing of what other tests do is counted.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use axon::api::RepoSync;
use axon::api::TaskSpawner;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::PostParams;
use serde_json::Value;
use serde_json::json;
use tokio::process::Command;

use crate::counts;
use crate::git_server::GitRepo;
use crate::git_server::GitServer;
use crate::server;
use crate::server::Context;
use crate::server::Kind;
use crate::server::within;

/// How many objects a configuration declares here.
const OBJECTS: usize = 1000;
/// Most requests that a plan without changes sends.
const MAX_PLAN: usize = 6;
/// How many polls without news are looked at.
const POLLS: usize = 3;
/// How long anything may take to come true; the log is written in batches.
const PATIENCE: Duration = Duration::from_mins(3);

#[test]
fn a_plan_without_changes_reads_little_and_writes_nothing() {
    server::run(Kind::Real, plan);
}

#[test]
fn polls_without_news_ask_the_api_server_nothing() {
    server::run(Kind::Real, polls);
}

async fn plan(context: Context) {
    let stage = Stage::new(&context, "plan");
    let mut config =
        String::from("apiVersion: axon.io/v1alpha1\nkind: Config\nsync: app\nworkspaces:\n");
    for n in 0..OBJECTS {
        writeln!(config, "  w{n}: {{repo: \"https://example.com/{n}\"}}").unwrap();
    }
    fs::write(stage.dir.path().join("axon.yaml"), config).unwrap();
    let applied = stage.command(&["apply", "--yes"]).output().await.unwrap();
    assert!(
        applied.status.success(),
        "{}",
        String::from_utf8_lossy(&applied.stderr)
    );

    let begin = stage.mark(&context, "begin").await;
    let planned = stage
        .command(&["plan", "--detailed-exitcode"])
        .output()
        .await
        .unwrap();
    assert_eq!(
        planned.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&planned.stdout)
    );
    let requests = stage.requests(begin, &context, "end").await;
    let told = format!(
        "{} requests, none of them a write: {requests:?}",
        requests.len()
    );
    assert!(!requests.is_empty() && requests.len() <= MAX_PLAN, "{told}");
    assert!(
        requests
            .iter()
            .all(|it| it.starts_with("list ") || it.starts_with("get ")),
        "{told}"
    );
    counts::tell(
        "a plan of 1,000 objects without changes, by the audit log",
        &told,
    );
}

async fn polls(context: Context) {
    let stage = Stage::new(&context, "polls");
    let repo = GitRepo::new(stage.dir.path(), "app.git");
    repo.commit(&[(
        "axon.yaml",
        "apiVersion: axon.io/v1alpha1\nkind: Config\nsync: app\nspawners: {s: {prompt: x, type: codex, \
         credentials: {type: none}, suspend: true, when: {cron: {schedule: \"0 3 1 1 *\"}}}}\n",
    )]);
    let git = GitServer::start(stage.dir.path());
    let sync = serde_json::from_value(json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "RepoSync", "metadata": {"name": "app"},
        "spec": {"repo": format!("{}/app.git", git.url()), "ref": "main", "interval": "10s"},
    }))
    .unwrap();
    let syncs: Api<RepoSync> = context.api();
    syncs.create(&PostParams::default(), &sync).await.unwrap();
    let mut controller = stage.command(&[
        "controller",
        "--allow-local-repositories",
        "--no-leader-election",
        "--listen",
        "none",
        "--watch-namespace",
        &context.namespace,
    ]);
    let controller = controller.spawn().unwrap();
    within(PATIENCE, "the sync to be in force", || async {
        let status = syncs.get("app").await.unwrap().status?;
        status.last_applied_revision.map(drop)
    })
    .await;
    // What comes of the apply is seen, and written, before a tick that has no news.
    let spawners: Api<TaskSpawner> = context.api();
    within(PATIENCE, "the spawner to be looked at", || async {
        let spawner = spawners.get("s").await.ok()?;
        (spawner.status?.observed_generation? == spawner.metadata.generation?).then_some(())
    })
    .await;
    polled(&git, 2).await;

    let begin = stage.mark(&context, "begin").await;
    assert!(
        !stage.between(0, begin).is_empty(),
        "its requests are not told from others"
    );
    polled(&git, POLLS).await;
    let requests = stage.requests(begin, &context, "end").await;
    drop(controller);
    // What was opened once lasts; it is opened again when the server ends it.
    let asked: Vec<_> = requests
        .iter()
        .filter(|it| !it.starts_with("watch "))
        .collect();
    assert!(asked.is_empty(), "{asked:?}");
    let told = format!("{POLLS} polls, no request, no write of a status");
    counts::tell("polls without news, by the audit log", &told);
}

/// Awaits so many polls.
async fn polled(git: &GitServer, polls: usize) {
    let mut seen = 0;
    for _ in 0..polls {
        within(PATIENCE, "a poll", || {
            let served = git.served();
            seen += served
                .iter()
                .filter(|it| it.what.contains("info/refs"))
                .count();
            let is_there = seen > 0;
            async move { is_there.then_some(()) }
        })
        .await;
        seen -= 1;
    }
}

/// Where a program runs that the API server knows by a name of its own.
struct Stage {
    dir: tempfile::TempDir,
    user: String,
}

impl Stage {
    fn new(context: &Context, name: &str) -> Self {
        let user = format!("{name}-{}", context.namespace);
        let dir = tempfile::tempdir().unwrap();
        let text = fs::read_to_string(&context.kubeconfig).unwrap();
        let mut config: Value = serde_saphyr::from_str(&text).unwrap();
        config["users"][0]["user"]["as"] = user.as_str().into();
        config["users"][0]["user"]["as-groups"] = json!(["system:masters"]);
        config["contexts"][0]["context"]["namespace"] = context.namespace.as_str().into();
        fs::write(dir.path().join("kubeconfig"), config.to_string()).unwrap();
        Self { dir, user }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_axon"));
        command
            .args(["--kubeconfig", "kubeconfig"])
            .args(arguments)
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Leaves a mark in the log, and gives how many lines there are up to it.
    async fn mark(&self, context: &Context, mark: &str) -> usize {
        let name = format!("{}-{mark}", self.user);
        let maps: Api<ConfigMap> = context.api();
        maps.get_opt(&name).await.unwrap();
        let line = format!("/configmaps/{name}\"");
        within(PATIENCE, "the mark to be in the log", || {
            let at = log().lines().position(|it| it.contains(&line));
            async move { at }
        })
        .await
    }

    /// Verb and path of what the program has asked for from line `begin` on, up to now.
    async fn requests(&self, begin: usize, context: &Context, mark: &str) -> Vec<String> {
        let end = self.mark(context, mark).await;
        assert!(begin < end, "the log was begun anew");
        self.between(begin, end)
    }

    fn between(&self, begin: usize, end: usize) -> Vec<String> {
        let log = log();
        let lines = log.lines().take(end).skip(begin);
        let events = lines.map(|it| serde_json::from_str::<Value>(it).unwrap());
        let ours = events.filter(|it| it["impersonatedUser"]["username"] == self.user.as_str());
        // A watch is told of twice: when it begins, and when it has ended.
        let told_once = ours.filter(|it| it["verb"] != "watch" || it["stage"] == "ResponseStarted");
        told_once
            .map(|it| {
                let uri = it["requestURI"].as_str().unwrap();
                format!("{} {uri}", it["verb"].as_str().unwrap())
            })
            .collect()
    }
}

/// The server's audit log as far as it is written: whole lines.
#[expect(
    clippy::disallowed_methods,
    reason = "the harness speaks to the suite through the environment"
)]
fn log() -> String {
    let path = PathBuf::from(std::env::var_os("AXON_TEST_AUDIT_LOG").unwrap());
    whole_lines(&path)
}

fn whole_lines(path: &Path) -> String {
    let mut text = fs::read_to_string(path).unwrap();
    text.truncate(text.rfind('\n').map_or(0, |it| it + 1));
    text
}
