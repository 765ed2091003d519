//! `axon controller`, killed while a RepoSync brings a commit into force, and then another one. The test
//! plays the kubelet.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::pin::pin;

use axon::api::RepoSync;
use axon::api::Task;
use axon::api::TaskSpawner;
use axon::api::task::TaskPhase;
use futures::FutureExt as _;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::ResourceExt;
use kube::api::ListParams;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::api::PostParams;
use serde_json::json;
use tokio::task::JoinSet;

use super::Fault;
use super::PATIENCE;
use super::Place;
use super::controller::Seen;
use super::controller::arguments;
use super::controller::end_pods;
use super::controller::witness;
use super::everywhere;
use super::note;
use super::snapshot;
use crate::git_server::GitRepo;
use crate::git_server::GitServer;
use crate::on_both_servers;
use crate::server::Context;
use crate::server::within;

on_both_servers!(a_sync_may_be_killed_anywhere);

const FIRST: &str = r#"
apiVersion: axon.io/v1alpha1
kind: Config
sync: app
defaults: {type: claude-code, credentials: {type: none}}
workspaces:
  changed: {repo: "https://example.com/a", ref: main}
  dropped: {repo: "https://example.com/b"}
spawners:
  nightly: {when: {cron: {schedule: "0 3 1 1 *"}}, prompt: Look around.}
tasks:
  edited: {prompt: a}
  goes: {prompt: b, ttlSecondsAfterFinished: 0}
"#;
const SECOND: &str = r#"
apiVersion: axon.io/v1alpha1
kind: Config
sync: app
defaults: {type: claude-code, credentials: {type: none}}
workspaces:
  changed: {repo: "https://example.com/a", ref: other}
  new: {repo: "https://example.com/c"}
spawners:
  nightly: {when: {cron: {schedule: "0 4 1 1 *"}}, prompt: Look around.}
tasks:
  edited: {prompt: other}
  goes: {prompt: b, ttlSecondsAfterFinished: 0}
"#;
/// How often each Task runs: one is edited, the other ends before that and is not run again.
const RUNS: [(&str, usize); 2] = [("edited", 2), ("goes", 1)];

/// The repository, one for all: the branches `first` and `second`.
pub(super) struct Source {
    server: GitServer,
    first: String,
    second: String,
    _dir: tempfile::TempDir,
}

impl Source {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let repo = GitRepo::new(dir.path(), "acme/app.git");
        let commit = |config: &str, branch: &str| {
            let commit = repo.commit(&[("axon.yaml", config)]);
            repo.git(&["branch", branch]);
            commit
        };
        Self {
            first: commit(FIRST, "first"),
            second: commit(SECOND, "second"),
            server: GitServer::start(dir.path()),
            _dir: dir,
        }
    }

    pub(super) async fn follow(&self, context: &Context) {
        let sync = serde_json::from_value(json!({
            "apiVersion": "axon.io/v1alpha1", "kind": "RepoSync", "metadata": {"name": "app"},
            "spec": {
                "repo": format!("{}/acme/app.git", self.server.url()),
                "ref": "first", "interval": "1h",
            },
        }))
        .unwrap();
        let syncs: Api<RepoSync> = context.api();
        syncs.create(&PostParams::default(), &sync).await.unwrap();
    }

    /// The first commit comes into force, then the second, one after the other.
    pub(super) async fn way(&self, context: &Context) {
        over(context, &self.first, "a", 2).await;
        let edit = json!({"spec": {"ref": "second"}});
        let syncs: Api<RepoSync> = context.api();
        syncs
            .patch("app", &PatchParams::default(), &Patch::Merge(&edit))
            .await
            .unwrap();
        over(context, &self.second, "other", 3).await;
    }
}

/// Awaits that a commit is in force and all that it runs has ended.
async fn over(context: &Context, revision: &str, prompt: &str, runs: usize) {
    let what = format!("{revision} is in force in {}", context.namespace);
    let waiting = within(PATIENCE, &what, async || {
        let is_over = is_synced(context, revision).await
            && is_seen(context).await
            && is_run(context, prompt, runs).await;
        is_over.then_some(())
    });
    let told = AssertUnwindSafe(waiting).catch_unwind().await;
    if let Err(panic) = told {
        eprintln!("{what} did not come true: {}", state(context).await);
        std::panic::resume_unwind(panic);
    }
}

/// What there is, for whoever has to find out.
async fn state(context: &Context) -> String {
    let sync = context.api::<RepoSync>().get("app").await.unwrap();
    let all = snapshot::of(context).await;
    format!("{:#?}\n{}", sync.status, all.join("\n"))
}

async fn is_synced(context: &Context, revision: &str) -> bool {
    let sync = context.api::<RepoSync>().get("app").await.unwrap();
    let status = sync.status.unwrap_or_default();
    Some(status.observed_generation) == sync.metadata.generation
        && status.last_applied_revision.as_deref() == Some(revision)
        && status.conditions[0].status == "True"
}

async fn is_seen(context: &Context) -> bool {
    let spawners: Api<TaskSpawner> = context.api();
    let spawner = spawners.get_opt("nightly").await.unwrap();
    spawner.is_some_and(|it| {
        let seen = it.status.as_ref().and_then(|it| it.observed_generation);
        seen == it.metadata.generation
    })
}

async fn is_run(context: &Context, prompt: &str, runs: usize) -> bool {
    let tasks: Api<Task> = context.api();
    let tasks = tasks.list(&ListParams::default()).await.unwrap().items;
    let [task] = tasks.as_slice() else {
        return false;
    };
    let phase = task.status.as_ref().and_then(|it| it.phase);
    let records: Api<ConfigMap> = context.api();
    let selector = ListParams::default().labels("axon.io/record=run");
    let records = records.list(&selector).await.unwrap().items;
    let ended = records.iter().filter(|it| {
        let outcome = it.data.as_ref().and_then(|it| it.get("outcome"));
        outcome.is_some_and(|it| it == "Succeeded")
    });
    let jobs: Api<Job> = context.api();
    let jobs = jobs.list(&ListParams::default()).await.unwrap().items;
    task.name_any() == "edited"
        && task.spec.prompt == prompt
        && phase == Some(TaskPhase::Succeeded)
        && ended.count() == runs
        && jobs.len() == 1
}

/// Runs the controller until all is over, through a kill if there is a fault. Gives the writes and
/// whether the line was cut.
async fn run(context: &Context, source: &Source, fault: Option<Fault>) -> (usize, bool) {
    let (jobs, pods) = (Seen::default(), Seen::default());
    let mut around = JoinSet::new();
    around.spawn(witness::<Job>(context.api(), &jobs));
    around.spawn(witness::<Pod>(context.api(), &pods));
    around.spawn(end_pods(context.alias()));
    source.follow(context).await;
    let place = Place::new(context, fault).await;
    let mut child = place.start(&arguments(context));
    let mut way = pin!(source.way(context));
    let cut = tokio::select! {
        () = place.proxy.is_cut() => true,
        () = &mut way => false,
    };
    child.kill().await.unwrap();
    if cut {
        let again = Place::new(context, None).await;
        let mut child = again.start(&arguments(context));
        way.await;
        child.kill().await.unwrap();
    }
    around.shutdown().await;
    ran_once(&[("Job", &jobs), ("Pod", &pods)], fault);
    (place.proxy.writes(), cut)
}

/// Sees that each Task ran as often as the commits asked for it, and no more.
pub(super) fn ran_once(seen: &[(&str, &Seen)], fault: Option<Fault>) {
    for (what, seen) in seen {
        let seen = seen.lock().unwrap();
        for (name, runs) in RUNS {
            let count = seen.get(name).map_or(0, BTreeSet::len);
            assert_eq!(count, runs, "{what} of {name} after {fault:?}: {seen:?}");
        }
    }
}

async fn a_sync_may_be_killed_anywhere(context: Context) {
    let source = Source::new();
    let undisturbed = context.sibling().await;
    let (writes, _) = run(&undisturbed, &source, None).await;
    let expected = snapshot::of(&undisturbed).await;
    let points = everywhere(&context, writes, |context, fault| {
        let (expected, source) = (&expected, &source);
        async move {
            let (_, cut) = run(&context, source, Some(fault)).await;
            let found = snapshot::of(&context).await;
            assert_eq!(&found, expected, "{fault:?}");
            cut
        }
    })
    .await;
    // With those of `axon apply`, a hundred and more of the pipeline on each server.
    note("axon controller, a RepoSync", &context, points, 50);
}
