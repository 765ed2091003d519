//! Random sequences of what people and the cluster do to Tasks, while controllers come, go and overlap.
//! Whatever happens: an attempt has one Pod at most, an end is final, a branch has one agent at a time,
//! and every Task comes to an end once it may.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::btree_map::Entry;
use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use kube::runtime::watcher;
use kube::runtime::watcher::Event as Change;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::Config;
use proptest::test_runner::RngAlgorithm;
use proptest::test_runner::TestRng;
use proptest::test_runner::TestRunner;
use tokio::task::JoinSet;

use super::*;
use crate::server::within;

crate::on_both_servers!(whatever_happens_an_attempt_runs_once);

/// Sequences on each server, and how many are worked through at one time.
const SEQUENCES: u8 = 30;
const PARALLEL: usize = 6;
/// How long the Tasks of a sequence may take to end, on a machine that does much else.
const LONGEST: Duration = Duration::from_mins(3);
/// How far behind the caches of some controllers are.
const BEHIND: Duration = Duration::from_millis(300);
/// Names of the Tasks. The second depends on the first; the last two share a branch.
const NAMES: [&str; 4] = ["t0", "t1", "t2", "t3"];

#[derive(Clone, Debug)]
enum Step {
    Create(&'static str),
    Cancel(&'static str),
    DeleteTask(&'static str),
    DeleteJob(&'static str),
    DeletePod(&'static str),
    /// The kubelet tells that the agent runs.
    Starts(&'static str),
    /// The kubelet tells that the agent has ended with this code.
    Ends(&'static str, i32),
    Evict(&'static str),
    /// Its node is gone for good, and the cluster takes its Pod away.
    NodeDies(&'static str),
    WorkspaceGoes,
    WorkspaceComes,
    SecretGoes,
    SecretComes,
    /// A controller starts besides those that are there: two at most. Every other one's caches are behind.
    Arrives,
    /// One is gone in the middle of whatever it does.
    Dies,
    Pause(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let name = || prop::sample::select(NAMES.to_vec());
    let step = prop_oneof![
        4 => name().prop_map(Step::Create),
        1 => name().prop_map(Step::Cancel),
        2 => name().prop_map(Step::DeleteTask),
        2 => name().prop_map(Step::DeleteJob),
        1 => name().prop_map(Step::DeletePod),
        4 => name().prop_map(Step::Starts),
        4 => (name(), prop::sample::select(vec![0, 0, 3])).prop_map(|(name, code)| Step::Ends(name, code)),
        1 => name().prop_map(Step::Evict),
        1 => name().prop_map(Step::NodeDies),
        1 => Just(Step::WorkspaceGoes),
        2 => Just(Step::WorkspaceComes),
        1 => Just(Step::SecretGoes),
        2 => Just(Step::SecretComes),
        2 => Just(Step::Arrives),
        2 => Just(Step::Dies),
        10 => (20_u64..400).prop_map(Step::Pause),
    ];
    prop::collection::vec(step, 20..50)
}

async fn whatever_happens_an_attempt_runs_once(context: Context) {
    let context = &context;
    stream::iter(0..SEQUENCES)
        .map(|seed| async move {
            let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
            let mut runner = TestRunner::new_with_rng(Config::default(), rng);
            let steps = steps().new_tree(&mut runner).unwrap().current();
            let world = World::new(context.sibling().await).await;
            Box::pin(world.live_through(seed, &steps)).await;
        })
        .buffer_unordered(PARALLEL)
        .collect::<()>()
        .await;
}

/// What was seen of Pods and Tasks.
#[derive(Default)]
struct Seen {
    /// Pods, by Task (its UID) and attempt.
    pods: BTreeMap<(String, String), BTreeSet<String>>,
    /// The first end of each Task, and what came after it, if that is another.
    ends: BTreeMap<String, Vec<TaskPhase>>,
    /// The name of each Task that has ended, and why it did.
    reasons: BTreeSet<(String, String)>,
}

struct World {
    context: Context,
    late: pair::Line,
    arrived: usize,
    controllers: Vec<Controller>,
    seen: Arc<Mutex<Seen>>,
    around: JoinSet<()>,
}

impl World {
    async fn new(context: Context) -> Self {
        create_secret(&context).await;
        branch::create_workspace(&context).await;
        let seen = Arc::<Mutex<Seen>>::default();
        let mut around = JoinSet::new();
        around.spawn(watch_pods(context.api(), seen.clone()));
        around.spawn(watch_tasks(context.api(), seen.clone()));
        Self {
            late: pair::Line::start(&context, BEHIND).await,
            arrived: 0,
            context,
            controllers: Vec::new(),
            seen,
            around,
        }
    }

    async fn live_through(mut self, seed: u8, steps: &[Step]) {
        self.take(&Step::Arrives).await;
        for name in NAMES {
            self.take(&Step::Create(name)).await;
        }
        for step in steps {
            self.take(step).await;
            self.one_agent_on_a_branch(seed).await;
        }
        for step in [Step::SecretComes, Step::WorkspaceComes, Step::Arrives] {
            self.take(&step).await;
        }
        for name in NAMES {
            self.take(&Step::Create(name)).await;
        }
        self.ends(seed, steps).await;
        for controller in self.controllers.drain(..) {
            controller.stop().await;
        }
        self.around.shutdown().await;
        let found = self.seen.lock().unwrap();
        assert!(
            found.ends.len() >= NAMES.len(),
            "sequence {seed}: {:?}",
            found.ends
        );
        for (attempt, pods) in &found.pods {
            assert_eq!(
                pods.len(),
                1,
                "sequence {seed}: {attempt:?} has {pods:?}: {steps:?}"
            );
        }
        for (name, reason) in &found.reasons {
            assert!(
                may_end(name, reason, steps),
                "sequence {seed}: {name} ended as {reason}: {steps:?}"
            );
        }
        for (task, ends) in &found.ends {
            assert_eq!(
                ends.len(),
                1,
                "sequence {seed}: Task {task} ended as {ends:?}: {steps:?}"
            );
        }
    }

    async fn take(&mut self, step: &Step) {
        let context = &self.context;
        let secrets: Api<Secret> = context.api();
        let background = DeleteParams::background();
        match step {
            Step::Create(name) => create_if_absent(context, name).await,
            Step::Cancel(name) => {
                let patch = Patch::Merge(json!({"spec": {"cancelled": true}}));
                let tasks: Api<Task> = context.api();
                let parameters = PatchParams::default();
                unless_absent(tasks.patch(name, &parameters, &patch).await);
            }
            Step::DeleteTask(name) => {
                unless_absent(context.api::<Task>().delete(name, &background).await);
            }
            Step::DeleteJob(name) => {
                unless_absent(context.api::<Job>().delete(name, &background).await);
            }
            Step::DeletePod(name) => {
                let pods: Api<Pod> = context.api();
                for pod in self.open_pods(name).await {
                    unless_absent(pods.delete(&pod.name_any(), &background).await);
                }
            }
            Step::Starts(_) | Step::Ends(..) | Step::Evict(_) => self.tell_as_kubelet(step).await,
            Step::NodeDies(name) => self.node_dies(name).await,
            Step::WorkspaceGoes => {
                unless_absent(context.api::<Workspace>().delete("web", &background).await);
            }
            Step::WorkspaceComes => workspace_comes(context).await,
            Step::SecretGoes => unless_absent(secrets.delete("key", &background).await),
            Step::SecretComes => {
                if secrets.get_opt("key").await.unwrap().is_none() {
                    create_secret(context).await;
                }
            }
            Step::Arrives => {
                if self.controllers.len() < 2 {
                    let client = if self.arrived.is_multiple_of(2) {
                        self.late.client()
                    } else {
                        context.client.clone()
                    };
                    self.controllers.push(Controller::through(context, client));
                    self.arrived += 1;
                }
            }
            Step::Dies => {
                if let Some(controller) = self.controllers.pop() {
                    controller.running.abort();
                }
            }
            Step::Pause(milliseconds) => {
                tokio::time::sleep(Duration::from_millis(*milliseconds)).await;
            }
        }
    }

    async fn node_dies(&self, task: &str) {
        let pods: Api<Pod> = self.context.api();
        let at_once = DeleteParams::background().grace_period(0);
        for pod in self.open_pods(task).await {
            say(&self.context, &pod, lost()).await;
            unless_absent(pods.delete(&pod.name_any(), &at_once).await);
        }
    }

    async fn tell_as_kubelet(&self, step: &Step) {
        let (Step::Starts(name) | Step::Ends(name, _) | Step::Evict(name)) = step else {
            return;
        };
        for pod in self.open_pods(name).await {
            let status = match step {
                Step::Ends(_, code) => ended(&pod, *code),
                Step::Evict(_) => json!({"phase": "Failed", "reason": "Evicted"}),
                _ => running(&pod),
            };
            say(&self.context, &pod, status).await;
        }
    }

    /// The Pods of a Task that have not ended.
    async fn open_pods(&self, task: &str) -> Vec<Pod> {
        let selector = ListParams::default().labels(&format!("axon.io/task={task}"));
        let pods: Api<Pod> = self.context.api();
        let mut all = pods.list(&selector).await.unwrap().items;
        all.retain(|it| {
            let phase = it.status.as_ref().and_then(|it| it.phase.as_deref());
            !matches!(phase, Some("Succeeded" | "Failed"))
        });
        all
    }

    async fn one_agent_on_a_branch(&self, seed: u8) {
        let mut open = self.open_pods(NAMES[2]).await;
        open.extend(self.open_pods(NAMES[3]).await);
        // One that no node has, and that is being deleted, never runs.
        open.retain(|it| it.metadata.deletion_timestamp.is_none());
        assert!(
            open.len() <= 1,
            "sequence {seed}: two on one branch: {open:?}"
        );
    }

    /// Lets every Pod end well, until every Task has ended.
    async fn ends(&self, seed: u8, steps: &[Step]) {
        let tasks: Api<Task> = self.context.api();
        let what = format!("all Tasks of sequence {seed} end: {steps:?}");
        within(LONGEST, &what, async || {
            for name in NAMES {
                for pod in self.open_pods(name).await {
                    say(&self.context, &pod, ended(&pod, 0)).await;
                }
            }
            let all = tasks.list(&ListParams::default()).await.unwrap().items;
            let have_ended = all.iter().all(|it| end(it).is_some());
            (have_ended && all.len() == NAMES.len()).then_some(())
        })
        .await;
    }
}

fn spec(name: &str) -> Value {
    let spec = match name {
        "t0" => json!({"retry": {"limit": 1, "backoff": "0"}}),
        "t1" => json!({"dependsOn": ["t0"]}),
        _ => json!({"workspaceRef": {"name": "web"}, "branch": "fix",
            "retry": {"limit": 1, "backoff": "0", "onDisruption": "Always"}}),
    };
    json!({"spec": spec})
}

async fn create_if_absent(context: &Context, name: &str) {
    let tasks: Api<Task> = context.api();
    if tasks.get_opt(name).await.unwrap().is_none() {
        create(context, name, spec(name)).await;
    }
}

async fn workspace_comes(context: &Context) {
    let workspaces: Api<Workspace> = context.api();
    if workspaces.get_opt("web").await.unwrap().is_none() {
        branch::create_workspace(context).await;
    }
}

/// What is done to an object that may be gone already.
#[track_caller]
fn unless_absent<T>(done: Result<T, kube::Error>) {
    match done {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.is_not_found() => {}
        Err(error) => panic!("{error}"),
    }
}

async fn say(context: &Context, pod: &Pod, status: Value) {
    let pods: Api<Pod> = context.api();
    let patch = Patch::Merge(json!({"status": status}));
    let parameters = PatchParams::default();
    unless_absent(
        pods.patch_status(&pod.name_any(), &parameters, &patch)
            .await,
    );
}

fn running(pod: &Pod) -> Value {
    containers(
        pod,
        "Running",
        &json!({"running": {"startedAt": "2026-01-01T00:00:05Z"}}),
    )
}

fn ended(pod: &Pod, code: i32) -> Value {
    let phase = if code == 0 { "Succeeded" } else { "Failed" };
    let state = json!({"terminated": {
        "exitCode": code, "reason": if code == 0 { "Completed" } else { "Error" },
        "startedAt": "2026-01-01T00:00:05Z", "finishedAt": "2026-01-01T00:01:00Z",
    }});
    containers(pod, phase, &state)
}

/// What the cluster writes of a Pod whose node is gone.
fn lost() -> Value {
    json!({"phase": "Failed", "conditions": [
        {"type": "PodScheduled", "status": "True"},
        {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC"},
    ]})
}

/// The ends that a Task may have come to, by what was done to Tasks of its name.
fn may_end(name: &str, reason: &str, steps: &[Step]) -> bool {
    let any = |what: &dyn Fn(&Step) -> bool| steps.iter().any(what);
    match reason {
        "Succeeded" => true,
        "AgentFailed" => any(&|it| matches!(it, Step::Ends(of, 3) if *of == name)),
        "Cancelled" => any(&|it| matches!(it, Step::Cancel(of) if *of == name)),
        "NodeLost" => any(&|it| matches!(it, Step::NodeDies(of) if *of == name)),
        "Evicted" => any(
            &|it| matches!(it, Step::Evict(of) | Step::DeletePod(of) | Step::DeleteJob(of) | Step::NodeDies(of) if *of == name),
        ),
        "JobLost" => any(&|it| matches!(it, Step::DeleteJob(of) if *of == name)),
        "DependencyFailed" => name == "t1",
        _ => false,
    }
}

fn containers(pod: &Pod, phase: &str, state: &Value) -> Value {
    let names = pod.spec.iter().flat_map(|it| &it.containers);
    let each: Vec<_> = names
        .map(|it| {
            json!({"name": it.name, "image": "x", "imageID": "x", "ready": false,
                "restartCount": 0, "state": state})
        })
        .collect();
    let scheduled = json!({"type": "PodScheduled", "status": "True"});
    json!({"phase": phase, "conditions": [scheduled], "containerStatuses": each})
}

fn end(task: &Task) -> Option<TaskPhase> {
    let phase = task.status.as_ref().and_then(|it| it.phase);
    phase.filter(|it| matches!(it, TaskPhase::Succeeded | TaskPhase::Failed))
}

async fn watch_pods(api: Api<Pod>, seen: Arc<Mutex<Seen>>) {
    let mut changes = pin!(watcher(api, watcher::Config::default()));
    while let Some(change) = changes.next().await {
        let Ok(Change::Apply(pod) | Change::InitApply(pod) | Change::Delete(pod)) = change else {
            continue;
        };
        let about = |key: &str| pod.annotations()[key].clone();
        let attempt = (about("axon.io/task-uid"), about("axon.io/attempt"));
        let mut seen = seen.lock().unwrap();
        seen.pods
            .entry(attempt)
            .or_default()
            .insert(pod.uid().unwrap());
    }
}

async fn watch_tasks(api: Api<Task>, seen: Arc<Mutex<Seen>>) {
    let mut changes = pin!(watcher(api, watcher::Config::default()));
    while let Some(change) = changes.next().await {
        let Ok(Change::Apply(task) | Change::InitApply(task) | Change::Delete(task)) = change
        else {
            continue;
        };
        let mut seen = seen.lock().unwrap();
        if end(&task).is_some() {
            let last = status_of(&task).conditions.pop().unwrap();
            seen.reasons.insert((task.name_any(), last.reason));
        }
        let ends = seen.ends.entry(task.uid().unwrap());
        match (end(&task), ends) {
            (None, Entry::Vacant(_)) => {}
            // It went back.
            (None, Entry::Occupied(mut ends)) => {
                ends.get_mut().push(TaskPhase::Pending);
            }
            (Some(phase), ends) => {
                let ends = ends.or_default();
                if ends.last() != Some(&phase) {
                    ends.push(phase);
                }
            }
        }
    }
}
