//! A Task from its creation to its end: the controller and an API server, the test as kubelet.

use axon::api::Task;
use axon::api::Workspace;
use axon::api::task::TaskPhase;
use axon::api::task::TaskStatus;
use axon::controller;
use axon::controller::Options;
use axon::model::Namespace;
use axon::model::run::RunDigest;
use axon::model::run::RunScope;
use axon::model::run::record_name;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::Resource as _;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use kube::api::ListParams;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::api::PostParams;
use serde_json::Value;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::server::Context;
use crate::server::Kind;
use crate::server::eventually;
use crate::server::kubelet;

crate::on_both_servers!(
    a_task_runs_to_its_outputs,
    a_failed_agent_is_told_in_words,
    what_is_missing_is_waited_for,
    two_controllers_make_one_job_of_each_task,
    a_run_that_has_a_record_does_not_happen_again,
    of_two_tasks_with_one_run_one_runs,
    a_start_that_was_broken_off_goes_on,
    a_pod_left_of_a_broken_start_is_the_run,
    an_end_that_nobody_saw_is_read_later,
    a_finished_task_stays_finished,
    a_job_deleted_by_hand_is_lost,
    a_job_of_the_same_name_is_left_alone,
    a_task_that_ran_out_of_its_time_is_deleted_with_its_job,
    a_job_that_the_server_refuses_ends_the_task,
    a_replica_that_stops_hands_over_at_once,
    a_deleted_task_takes_its_job_with_it,
);

/// A controller that works in the namespace of a test.
struct Controller {
    stop: CancellationToken,
    running: JoinHandle<Result<(), controller::Error>>,
}

impl Controller {
    fn start(context: &Context) -> Self {
        let stop = CancellationToken::new();
        let running = controller::run(context.client.clone(), options(context), stop.clone());
        Self {
            stop,
            running: tokio::spawn(running),
        }
    }

    /// One that works only while it leads.
    fn candidate(context: &Context, identity: &str) -> Self {
        let stop = CancellationToken::new();
        let client = context.client.clone();
        let options = options(context);
        let (identity, until) = (identity.to_owned(), stop.clone());
        let running = async move {
            let namespace = options.namespace.clone().unwrap();
            controller::run_elected(client, options, &namespace, identity, until).await
        };
        Self {
            stop,
            running: tokio::spawn(running),
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
    }
}

fn options(context: &Context) -> Options {
    Options {
        namespace: Some(Namespace::parse(&context.namespace).unwrap()),
        ..Options::default()
    }
}

/// Creates a Task that needs the Secret "key"; `changes` are merged into it.
async fn create(context: &Context, name: &str, changes: Value) -> Task {
    let mut task = json!({
        "apiVersion": "axon.io/v1alpha1",
        "kind": "Task",
        "metadata": {"name": name},
        "spec": {
            "type": "claude-code",
            "prompt": "Fix it.",
            "credentials": {"type": "api-key", "secretRef": {"name": "key"}},
        },
    });
    json_patch::merge(&mut task, &changes);
    let task: Task = serde_json::from_value(task).unwrap();
    let tasks: Api<Task> = context.api();
    tasks.create(&PostParams::default(), &task).await.unwrap()
}

async fn create_secret(context: &Context) {
    let secret: Secret = serde_json::from_value(json!({
        "metadata": {"name": "key"}, "stringData": {"ANTHROPIC_API_KEY": "canary-value"},
    }))
    .unwrap();
    let secrets: Api<Secret> = context.api();
    secrets
        .create(&PostParams::default(), &secret)
        .await
        .unwrap();
}

/// The Task, once `holds` holds for its status.
async fn once(
    context: &Context,
    name: &str,
    what: &str,
    holds: impl Fn(&TaskStatus) -> bool,
) -> Task {
    let tasks: Api<Task> = context.api();
    eventually(&format!("Task {name}: {what}"), || async {
        let task = tasks.get(name).await.unwrap();
        task.status.as_ref().is_some_and(&holds).then_some(task)
    })
    .await
}

fn is(phase: TaskPhase) -> impl Fn(&TaskStatus) -> bool {
    move |status| status.phase == Some(phase)
}

/// Whether `reason` is what `kubectl get tasks` shows.
fn shows(reason: &str) -> impl Fn(&TaskStatus) -> bool {
    move |status| {
        status
            .conditions
            .last()
            .is_some_and(|it| it.reason == reason)
    }
}

fn status_of(task: &Task) -> TaskStatus {
    task.status.clone().unwrap_or_default()
}

async fn job_of(context: &Context, name: &str) -> Job {
    let jobs: Api<Job> = context.api();
    eventually(&format!("Job {name}"), || async {
        jobs.get_opt(name).await.unwrap()
    })
    .await
}

/// Plays the kubelet: the agent ends with this code and report.
async fn agent_ends(context: &Context, job: &str, code: i32, report: &str) -> Pod {
    let pod = kubelet::pod_of(context, job).await;
    kubelet::ends(context, &pod, code, report).await;
    pod
}

const DONE: &str = r#"{"version":1,"outputs":["branch: fix","made it"],"results":{"tests":"12"},"exitCode":0,"succeeded":true}"#;

async fn a_task_runs_to_its_outputs(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    let task = create(&context, "fix", json!({})).await;

    let job = job_of(&context, "fix").await;
    assert_eq!(job.owner_references()[0].uid, task.uid().unwrap());
    assert_eq!(job.labels()["axon.io/task"], "fix");
    let waiting = once(&context, "fix", "Pending", is(TaskPhase::Pending)).await;
    assert_eq!(status_of(&waiting).job_name.as_deref(), Some("fix"));

    let pod = kubelet::pod_of(&context, "fix").await;
    kubelet::starts(&context, &pod).await;
    let running = status_of(&once(&context, "fix", "Running", is(TaskPhase::Running)).await);
    assert_eq!(running.pod_name, pod.metadata.name);
    assert!(running.start_time.is_some() && running.completion_time.is_none());

    kubelet::ends(&context, &pod, 0, DONE).await;
    let done = status_of(&once(&context, "fix", "Succeeded", is(TaskPhase::Succeeded)).await);
    assert_eq!(done.outputs, ["branch: fix", "made it"]);
    assert_eq!(done.results["tests"], "12");
    assert_eq!(done.exit_code, Some(0));
    assert!(done.completion_time.is_some() && shows("Succeeded")(&done));

    let reasons = eventually("events", || async {
        let reasons = events(&context, "fix").await;
        reasons.contains(&"Succeeded".to_owned()).then_some(reasons)
    })
    .await;
    for reason in ["Starting", "AgentStarted", "Succeeded"] {
        let times = reasons.iter().filter(|it| *it == reason).count();
        assert_eq!(times, 1, "{reason} in {reasons:?}");
    }
    controller.stop().await;
}

/// Reasons of the events about a Task.
async fn events(context: &Context, task: &str) -> Vec<String> {
    let events: Api<Event> = context.api();
    let all = events.list(&ListParams::default()).await.unwrap();
    let about = |it: &Event| {
        let object = &it.involved_object;
        object.kind.as_deref() == Some("Task") && object.name.as_deref() == Some(task)
    };
    let mine = all.into_iter().filter(about);
    mine.filter_map(|it| it.reason).collect()
}

async fn a_failed_agent_is_told_in_words(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    create(&context, "fix", json!({})).await;
    let report = r#"{"version":1,"outputs":[],"results":{},"exitCode":3,"succeeded":false,"message":"no such model"}"#;
    agent_ends(&context, "fix", 3, report).await;
    let failed = status_of(&once(&context, "fix", "Failed", is(TaskPhase::Failed)).await);
    assert!(shows("AgentFailed")(&failed), "{failed:?}");
    assert_eq!(
        failed.message.as_deref(),
        Some("container \"claude-code\" failed with exit code 3: no such model")
    );
    assert_eq!(failed.exit_code, Some(3));
    controller.stop().await;
}

async fn what_is_missing_is_waited_for(context: Context) {
    let controller = Controller::start(&context);
    create(
        &context,
        "fix",
        json!({"spec": {"workspaceRef": {"name": "web"}}}),
    )
    .await;
    let waiting = once(&context, "fix", "no Workspace", shows("WorkspaceNotFound")).await;
    assert_eq!(status_of(&waiting).phase, Some(TaskPhase::Pending));

    let workspace: Workspace = serde_json::from_value(json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "Workspace",
        "metadata": {"name": "web"}, "spec": {"repo": "https://example.com/acme/web.git"},
    }))
    .unwrap();
    let workspaces: Api<Workspace> = context.api();
    workspaces
        .create(&PostParams::default(), &workspace)
        .await
        .unwrap();
    once(&context, "fix", "no Secret", shows("SecretNotFound")).await;

    let empty: Secret = serde_json::from_value(json!({"metadata": {"name": "key"}})).unwrap();
    let secrets: Api<Secret> = context.api();
    secrets
        .create(&PostParams::default(), &empty)
        .await
        .unwrap();
    once(&context, "fix", "no key", shows("SecretKeyMissing")).await;

    let key = Patch::Merge(json!({"stringData": {"ANTHROPIC_API_KEY": "canary-value"}}));
    secrets
        .patch("key", &PatchParams::default(), &key)
        .await
        .unwrap();
    job_of(&context, "fix").await;
    let task = context.api::<Task>().get("fix").await.unwrap();
    assert!(!serde_json::to_string(&task).unwrap().contains("canary"));
    controller.stop().await;
}

async fn two_controllers_make_one_job_of_each_task(context: Context) {
    const TASKS: usize = 12;
    create_secret(&context).await;
    let pair = [Controller::start(&context), Controller::start(&context)];
    let names: Vec<String> = (0..TASKS).map(|n| format!("fix-{n}")).collect();
    for name in &names {
        let run = json!({"metadata": {
            "annotations": {"axon.io/run": "v1-x"}, "labels": {"axon.io/sync": "team"},
        }});
        create(&context, name, run).await;
    }
    for name in &names {
        agent_ends(&context, name, 0, DONE).await;
    }
    for name in &names {
        let done = once(&context, name, "an end", |it| it.completion_time.is_some()).await;
        assert_eq!(
            status_of(&done).phase,
            Some(TaskPhase::Succeeded),
            "{done:?}"
        );
    }
    let pods: Api<Pod> = context.api();
    let made = pods
        .list(&ListParams::default().labels("axon.io/task"))
        .await
        .unwrap();
    assert_eq!(made.items.len(), TASKS);
    let records: Api<ConfigMap> = context.api();
    let kept = records
        .list(&ListParams::default().labels("axon.io/record=run"))
        .await
        .unwrap();
    assert_eq!(kept.items.len(), TASKS);
    for controller in pair {
        controller.stop().await;
    }
}

/// The record of the run "v1-x" of a declared Task.
async fn record_of(context: &Context, task: &str) -> Option<ConfigMap> {
    let scope = RunScope::Sync {
        sync: "team".into(),
        task: task.into(),
    };
    let name = record_name(&scope, &RunDigest::from_annotation("v1-x"));
    context.api::<ConfigMap>().get_opt(&name).await.unwrap()
}

fn declared() -> Value {
    json!({
        "metadata": {"annotations": {"axon.io/run": "v1-x"}, "labels": {"axon.io/sync": "team"}},
        "spec": {"ttlSecondsAfterFinished": 0},
    })
}

async fn a_run_that_has_a_record_does_not_happen_again(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    let first = create(&context, "fix", declared()).await;
    agent_ends(&context, "fix", 0, DONE).await;
    gone::<Task>(&context, "fix").await;
    let record = record_of(&context, "fix").await.unwrap().data.unwrap();
    assert_eq!(record["taskUID"], first.uid().unwrap());
    assert_eq!(record["outcome"], "Succeeded");
    assert!(record.contains_key("finished"));

    let mut again = declared();
    again["spec"] = json!({});
    create(&context, "fix", again).await;
    let refused = once(&context, "fix", "an end", is(TaskPhase::Failed)).await;
    assert!(shows("AlreadyRan")(&status_of(&refused)), "{refused:?}");
    assert_eq!(status_of(&refused).job_name, None);
    let record = record_of(&context, "fix").await.unwrap().data.unwrap();
    assert_eq!(record["outcome"], "Succeeded");
    controller.stop().await;
}

async fn gone<K>(context: &Context, name: &str)
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let api: Api<K> = context.api();
    eventually(&format!("{name} is gone"), || async {
        api.get_opt(name).await.unwrap().is_none().then_some(())
    })
    .await;
}

async fn of_two_tasks_with_one_run_one_runs(context: Context) {
    create_secret(&context).await;
    let spawned = json!({"metadata": {
        "annotations": {"axon.io/run": "item-v1-x", "axon.io/item": "github.com/a/b#1"},
        "labels": {"axon.io/taskspawner": "triage"},
    }});
    create(&context, "triage-1", spawned.clone()).await;
    create(&context, "triage-2", spawned).await;
    let pair = [Controller::start(&context), Controller::start(&context)];
    let one = once(&context, "triage-1", "a claim", |it| it.phase.is_some()).await;
    let other = once(&context, "triage-2", "a claim", |it| it.phase.is_some()).await;
    let refused = |task: &Task| shows("AlreadyRan")(&status_of(task));
    assert!(refused(&one) != refused(&other), "{one:?} {other:?}");
    let jobs = context
        .api::<Job>()
        .list(&ListParams::default())
        .await
        .unwrap();
    assert!(jobs.items.len() <= 1);
    for controller in pair {
        controller.stop().await;
    }
}

/// Writes by hand what a controller had written before it died.
async fn write_status(context: &Context, name: &str, status: Value) {
    let patch = Patch::Merge(json!({"status": status}));
    let tasks: Api<Task> = context.api();
    tasks
        .patch_status(name, &PatchParams::default(), &patch)
        .await
        .unwrap();
}

fn claimed(name: &str) -> Value {
    json!({"phase": "Pending", "jobName": name, "conditions": [{
        "type": "Started", "status": "False", "reason": "Starting", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }]})
}

async fn a_start_that_was_broken_off_goes_on(context: Context) {
    create_secret(&context).await;
    // After the record; after the claim of the name; after the Job.
    for (name, writes) in [("fix-1", 1), ("fix-2", 2), ("fix-3", 3)] {
        let mut run = declared();
        run["spec"] = json!({});
        let task = create(&context, name, run).await;
        create_record(&context, &task).await;
        if writes > 1 {
            write_status(&context, name, claimed(name)).await;
        }
        if writes > 2 {
            create_job(&context, name, Some(&task)).await;
        }
    }
    let jobs: Api<Job> = context.api();
    let before = jobs.get("fix-3").await.unwrap().uid();
    let controller = Controller::start(&context);
    for name in ["fix-1", "fix-2", "fix-3"] {
        agent_ends(&context, name, 0, DONE).await;
        let done = once(&context, name, "an end", |it| it.completion_time.is_some()).await;
        assert_eq!(
            status_of(&done).phase,
            Some(TaskPhase::Succeeded),
            "{done:?}"
        );
        let record = record_of(&context, name).await.unwrap().data.unwrap();
        assert_eq!(record["outcome"], "Succeeded");
    }
    assert_eq!(jobs.get("fix-3").await.unwrap().uid(), before);
    controller.stop().await;
}

async fn create_record(context: &Context, task: &Task) {
    let scope = RunScope::Sync {
        sync: "team".into(),
        task: task.name_any(),
    };
    let record: ConfigMap = serde_json::from_value(json!({
        "metadata": {
            "name": record_name(&scope, &RunDigest::from_annotation("v1-x")),
            "labels": {"axon.io/record": "run", "axon.io/sync": "team"},
        },
        "data": {"task": task.name_any(), "taskUID": task.uid(), "run": "v1-x"},
    }))
    .unwrap();
    let records: Api<ConfigMap> = context.api();
    records
        .create(&PostParams::default(), &record)
        .await
        .unwrap();
}

/// A Job as small as can be; of the Task, or of nobody.
async fn create_job(context: &Context, name: &str, owner: Option<&Task>) -> Job {
    let owners: Vec<_> = owner
        .and_then(|it| it.controller_owner_ref(&()))
        .into_iter()
        .collect();
    let labels = json!({"axon.io/task": name});
    let job: Job = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": labels, "ownerReferences": owners},
        "spec": {"backoffLimit": 0, "template": {
            "metadata": {
                "labels": labels,
                "annotations": {"axon.io/task-uid": owner.and_then(kube::ResourceExt::uid).unwrap_or_default()},
            },
            "spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "claude-code", "image": "claude:1"}],
            },
        }},
    }))
    .unwrap();
    let jobs: Api<Job> = context.api();
    jobs.create(&PostParams::default(), &job).await.unwrap()
}

async fn a_pod_left_of_a_broken_start_is_the_run(context: Context) {
    create_secret(&context).await;
    let task = create(&context, "fix", json!({})).await;
    write_status(&context, "fix", claimed("fix")).await;
    create_job(&context, "fix", Some(&task)).await;
    let pod = kubelet::pod_of(&context, "fix").await;
    kubelet::starts(&context, &pod).await;
    let jobs: Api<Job> = context.api();
    jobs.delete("fix", &DeleteParams::orphan()).await.unwrap();
    gone::<Job>(&context, "fix").await;

    let controller = Controller::start(&context);
    let running = status_of(&once(&context, "fix", "Running", is(TaskPhase::Running)).await);
    assert_eq!(running.pod_name, pod.metadata.name);
    kubelet::ends(&context, &pod, 0, DONE).await;
    once(&context, "fix", "Succeeded", is(TaskPhase::Succeeded)).await;
    assert!(jobs.get_opt("fix").await.unwrap().is_none());
    controller.stop().await;
}

async fn an_end_that_nobody_saw_is_read_later(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    create(&context, "fix", json!({})).await;
    let pod = kubelet::pod_of(&context, "fix").await;
    kubelet::starts(&context, &pod).await;
    once(&context, "fix", "Running", is(TaskPhase::Running)).await;
    controller.stop().await;
    kubelet::ends(&context, &pod, 0, DONE).await;
    let controller = Controller::start(&context);
    let done = once(&context, "fix", "Succeeded", is(TaskPhase::Succeeded)).await;
    assert_eq!(status_of(&done).outputs, ["branch: fix", "made it"]);
    controller.stop().await;
}

async fn a_finished_task_stays_finished(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    create(&context, "fix", json!({})).await;
    agent_ends(&context, "fix", 0, DONE).await;
    let done = once(&context, "fix", "Succeeded", is(TaskPhase::Succeeded)).await;

    let jobs: Api<Job> = context.api();
    jobs.delete("fix", &DeleteParams::background())
        .await
        .unwrap();
    gone::<Job>(&context, "fix").await;
    let label = Patch::Merge(json!({"metadata": {"labels": {"seen": "yes"}}}));
    let tasks: Api<Task> = context.api();
    tasks
        .patch("fix", &PatchParams::default(), &label)
        .await
        .unwrap();
    controller.stop().await;

    // One that starts anew knows no more than the Task says. A second Task shows that it was there.
    let controller = Controller::start(&context);
    create(&context, "other", json!({})).await;
    agent_ends(&context, "other", 0, DONE).await;
    once(&context, "other", "Succeeded", is(TaskPhase::Succeeded)).await;
    assert_eq!(tasks.get("fix").await.unwrap().status, done.status);
    assert!(jobs.get_opt("fix").await.unwrap().is_none());
    controller.stop().await;
}

async fn a_job_deleted_by_hand_is_lost(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    create(&context, "fix", json!({})).await;
    kubelet::pod_of(&context, "fix").await;
    once(&context, "fix", "a Pod", |it| it.pod_name.is_some()).await;
    let jobs: Api<Job> = context.api();
    jobs.delete("fix", &DeleteParams::background())
        .await
        .unwrap();
    let lost = once(&context, "fix", "an end", is(TaskPhase::Failed)).await;
    assert!(shows("JobLost")(&status_of(&lost)), "{lost:?}");
    assert!(jobs.get_opt("fix").await.unwrap().is_none());
    controller.stop().await;
}

async fn a_job_of_the_same_name_is_left_alone(context: Context) {
    create_secret(&context).await;
    let foreign = create_job(&context, "fix", None).await;
    let controller = Controller::start(&context);
    create(&context, "fix", json!({})).await;
    let refused = once(&context, "fix", "an end", is(TaskPhase::Failed)).await;
    assert!(shows("NameTaken")(&status_of(&refused)), "{refused:?}");
    let jobs: Api<Job> = context.api();
    assert_eq!(jobs.get("fix").await.unwrap().uid(), foreign.uid());
    controller.stop().await;
}

async fn a_task_that_ran_out_of_its_time_is_deleted_with_its_job(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    // The kubelet's times lie in the past, so that no test has to wait for this one's.
    create(
        &context,
        "short",
        json!({"spec": {"ttlSecondsAfterFinished": 30}}),
    )
    .await;
    create(
        &context,
        "long",
        json!({"spec": {"ttlSecondsAfterFinished": i32::MAX}}),
    )
    .await;
    agent_ends(&context, "long", 0, DONE).await;
    once(&context, "long", "Succeeded", is(TaskPhase::Succeeded)).await;
    agent_ends(&context, "short", 0, DONE).await;
    gone::<Task>(&context, "short").await;
    gone::<Job>(&context, "short").await;
    assert!(
        context
            .api::<Task>()
            .get_opt("long")
            .await
            .unwrap()
            .is_some()
    );
    controller.stop().await;
}

async fn a_job_that_the_server_refuses_ends_the_task(context: Context) {
    // The embedded server does not check a Pod's resources.
    if context.server == Kind::Embedded {
        return;
    }
    create_secret(&context).await;
    let controller = Controller::start(&context);
    let wrong = json!({"spec": {"podOverrides": {"resources": {
        "requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"},
    }}}});
    create(&context, "fix", wrong).await;
    let refused = once(&context, "fix", "an end", is(TaskPhase::Failed)).await;
    assert!(shows("InvalidSpec")(&status_of(&refused)), "{refused:?}");
    controller.stop().await;
}

async fn a_replica_that_stops_hands_over_at_once(context: Context) {
    create_secret(&context).await;
    let first = Controller::candidate(&context, "first");
    leader_is(&context, Some("first")).await;
    let second = Controller::candidate(&context, "second");
    create(&context, "fix-1", json!({})).await;
    job_of(&context, "fix-1").await;
    first.stop().await;
    leader_is(&context, Some("second")).await;
    create(&context, "fix-2", json!({})).await;
    job_of(&context, "fix-2").await;
    second.stop().await;
    leader_is(&context, None).await;
}

async fn leader_is(context: &Context, expected: Option<&str>) {
    let leases: Api<Lease> = context.api();
    eventually(&format!("leader {expected:?}"), || async {
        let lease = leases.get_opt("axon-controller").await.unwrap()?;
        let holder = lease.spec.and_then(|it| it.holder_identity);
        (holder.as_deref() == expected).then_some(())
    })
    .await;
}

async fn a_deleted_task_takes_its_job_with_it(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    create(&context, "fix", json!({})).await;
    let pod = kubelet::pod_of(&context, "fix").await;
    let tasks: Api<Task> = context.api();
    tasks
        .delete("fix", &DeleteParams::background())
        .await
        .unwrap();
    gone::<Task>(&context, "fix").await;
    gone::<Job>(&context, "fix").await;
    gone::<Pod>(&context, &pod.name_any()).await;
    controller.stop().await;
}
