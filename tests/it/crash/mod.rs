//! The program is killed at every request with which it writes, before the server has it and after;
//! then it is started again, and must come to the very state of a run that nobody disturbed.
//!
//! The program is the one that users run, a process of its own, and knows nothing of this: a proxy
//! stands between it and the server, counts, and says when to kill.

mod apply;
mod controller;
mod cron;
mod faults;
mod plane;
mod proxy;
mod repo_sync;
mod snapshot;
mod tasks;

use std::fs;
use std::future::Future;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use tokio::process::Child;
use tokio::process::Command;

use self::proxy::Fault;
use self::proxy::Proxy;
use crate::counts;
use crate::server::Context;

/// Namespaces that are worked in at once: the program waits more than it computes.
const PARALLEL: usize = 6;

/// How long anything may take to come true: many programs share a machine that may be busy otherwise.
const PATIENCE: Duration = Duration::from_mins(3);

/// Where one program runs: its files, and the way to the server.
struct Place {
    dir: tempfile::TempDir,
    proxy: Proxy,
    namespace: String,
}

impl Place {
    async fn new(context: &Context, fault: Option<Fault>) -> Self {
        let proxy = Proxy::start(&context.client, fault).await;
        let dir = tempfile::tempdir().unwrap();
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: x\n\
             clusters: [{{name: x, cluster: {{server: \"http://127.0.0.1:{}\"}}}}]\n\
             contexts: [{{name: x, context: {{cluster: x, user: x, namespace: {}}}}}]\n\
             users: [{{name: x, user: {{}}}}]\n",
            proxy.port, context.namespace
        );
        fs::write(dir.path().join("kubeconfig"), kubeconfig).unwrap();
        Self {
            dir,
            proxy,
            namespace: context.namespace.clone(),
        }
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// What the programs here have said.
    fn told(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// Starts the program. It dies with this test.
    fn start(&self, arguments: &[&str]) -> Child {
        // Nobody reads while it runs, and a full pipe would hold it up.
        let log = fs::File::options()
            .append(true)
            .create(true)
            .open(self.log())
            .unwrap();
        Command::new(env!("CARGO_BIN_EXE_axon"))
            .args(["--kubeconfig", "kubeconfig"])
            .args(arguments)
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    /// Runs the program to its end, or kills it when the line is cut: then it gives true.
    async fn run(&self, arguments: &[&str]) -> bool {
        let mut child = self.start(arguments);
        tokio::select! {
            () = self.proxy.is_cut() => {
                child.kill().await.unwrap();
                true
            }
            status = child.wait() => {
                let status = status.unwrap();
                if !status.success() {
                    let told = self.told();
                    panic!("{arguments:?} in {}: {status}: {told}", self.namespace);
                }
                false
            }
        }
    }
}

/// Tries every point up to `writes`: in turn before and after the server has the request, or both
/// (`make crash`). `once` is given a namespace of its own, and gives whether the line was cut.
async fn everywhere<F>(
    context: &Context,
    writes: usize,
    once: impl Fn(Context, Fault) -> F,
) -> usize
where
    F: Future<Output = bool>,
{
    at_these(context, faults_at(0..writes), once).await
}

/// Whether everything is tried (`make crash`).
#[expect(
    clippy::disallowed_methods,
    reason = "the harness speaks to the suite through the environment"
)]
fn is_every() -> bool {
    std::env::var_os("AXON_TEST_EVERY_FAULT").is_some()
}

/// Some of so many writes: every third, where there is no time for all.
fn a_third_of(writes: usize) -> impl Iterator<Item = usize> {
    (0..writes).step_by(if is_every() { 1 } else { 3 })
}

/// The faults at these writes.
fn faults_at(writes: impl Iterator<Item = usize>) -> impl Iterator<Item = Fault> {
    let all = is_every();
    writes.enumerate().flat_map(move |(n, at)| {
        let both = [true, false].map(|relayed| Fault { at, relayed });
        let wanted = move |it: &Fault| all || it.relayed == n.is_multiple_of(2);
        both.into_iter().filter(wanted)
    })
}

/// Tries these points only.
async fn at_these<F>(
    context: &Context,
    faults: impl Iterator<Item = Fault>,
    once: impl Fn(Context, Fault) -> F,
) -> usize
where
    F: Future<Output = bool>,
{
    let once = &once;
    stream::iter(faults)
        .map(|fault| async move {
            let context = context.sibling().await;
            usize::from(once(context, fault).await)
        })
        .buffer_unordered(PARALLEL)
        .fold(0, async |sum, cut| sum + cut)
        .await
}

/// Notes at how many points `what` was killed, and that there were enough.
fn note(what: &str, context: &Context, points: usize, at_least: usize) {
    let server = context.server;
    assert!(points >= at_least, "{what} ({server:?}): {points}");
    let told = format!("killed at {points} points, each run at most once");
    tell(what, context, &told);
}

/// Notes what came of `what` on this server.
fn tell(what: &str, context: &Context, told: &str) {
    counts::tell(&format!("{what} ({:?})", context.server), told);
}
