//! Very many deliveries of one push, at the program itself: few looks at the repository, and memory that
//! does not grow with them.

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use axon::api::RepoSync;
use futures::StreamExt as _;
use futures::stream;
use kube::Api;
use serde_json::json;
use tokio::process::Child;
use tokio::process::Command;

use super::SECRET;
use super::client;
use super::push;
use super::secret;
use super::sync;
use crate::counts;
use crate::git_server::GitRepo;
use crate::git_server::GitServer;
use crate::git_server::free_address;
use crate::server::Context;
use crate::server::within;

crate::on_both_servers!(ten_thousand_duplicates_cost_a_few_looks);

const DELIVERIES: usize = 10_000;
/// How many are under way at once.
const AT_ONCE: usize = 200;
/// How much more memory than before may ever have been taken, in KiB: buffers of the connections, and what the
/// allocator has not given back.
const MAX_GROWTH: u64 = 16 << 10;
/// How long anything may take to come true.
const PATIENCE: Duration = Duration::from_mins(2);

async fn ten_thousand_duplicates_cost_a_few_looks(context: Context) {
    let dir = tempfile::tempdir().unwrap();
    let repo = GitRepo::new(dir.path(), "app.git");
    let config = "apiVersion: axon.io/v1alpha1\nkind: Config\nsync: app\nworkspaces: {w: {repo: \"https://127.0.0.1/x\"}}\n";
    repo.commit(&[("axon.yaml", config)]);
    let git = GitServer::start(dir.path());
    secret(&context, SECRET).await;
    let spec = json!({
        "repo": format!("{}/app.git", git.url()), "interval": "1h",
        "webhook": {"secretRef": {"name": "hook"}},
    });
    sync(&context, "app", spec).await;
    let address = free_address();
    let controller = start(&context, &address.to_string());
    let syncs: Api<RepoSync> = context.api();
    within(PATIENCE, "the sync to be in force", || async {
        let status = syncs.get("app").await.unwrap().status?;
        status.last_applied_revision.map(drop)
    })
    .await;
    let delivery = push(&context, "1");
    within(PATIENCE, "the first delivery to be taken", || async {
        let answer = client::send(address, &delivery).await?;
        (answer.status == 202).then_some(())
    })
    .await;
    let looks = || {
        let served = git.served();
        served
            .iter()
            .filter(|it| it.what.contains("info/refs"))
            .count()
    };
    within(PATIENCE, "a look", || async { (looks() > 0).then_some(()) }).await;

    let process = controller.id().unwrap();
    let before = memory(process, "VmRSS");
    let begun = Instant::now();
    let sent = (0..DELIVERIES).map(|_| client::send(address, &delivery));
    let mut answers = BTreeMap::new();
    let mut sent = stream::iter(sent).buffer_unordered(AT_ONCE);
    while let Some(answer) = sent.next().await {
        *answers.entry(answer.map(|it| it.status)).or_insert(0) += 1;
    }
    assert_eq!(answers, BTreeMap::from([(Some(202), DELIVERIES)]));
    // After ten seconds the same delivery may be meant.
    let most = 2 + usize::try_from(begun.elapsed().as_secs() / 10).unwrap();
    let looks = looks();
    assert!(looks <= most, "{looks} looks");
    let growth = memory(process, "VmHWM").saturating_sub(before);
    assert!(growth <= MAX_GROWTH, "{growth} KiB more than {before}");
    let what = format!("duplicates of a delivery ({:?})", context.server);
    let told = format!(
        "{DELIVERIES} taken, {looks} looks at the repository, at most {} MiB more memory",
        growth >> 10
    );
    counts::tell(&what, &told);
}

fn start(context: &Context, address: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_axon"))
        .arg("--kubeconfig")
        .arg(&context.kubeconfig)
        .args([
            "controller",
            "--allow-local-repositories",
            "--no-leader-election",
        ])
        .args(["--listen", address, "--watch-namespace", &context.namespace])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// A figure of a process, in KiB.
fn memory(process: u32, which: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|it| it.starts_with(which)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
