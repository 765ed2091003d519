//! From a loaded configuration to the objects of a cluster, on both servers.
#![expect(
    clippy::panic,
    reason = "a fixture that does not load is a failed test"
)]

mod laws;

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::Mutex;

use axon::cluster::Cluster;
use axon::model::Namespace;
use axon::model::Plan;
use axon::model::RepoPath;
use axon::model::Revision;
use axon::model::Snapshot;
use axon::model::plan::Action;
use axon::model::plan::Applied;
use axon::model::plan::Blocked;
use axon::model::plan::FieldChange;
use axon::model::plan::Skipped;
use axon::model::run::Outcome;
use axon::model::snapshot::InputFile;
use axon::model::snapshot::Source;
use axon::sync::Allow;
use axon::sync::Input;
use axon::sync::Options;
use axon::sync::Pipeline;
use axon::sync::Probe;
use axon::sync::Until;
use axon::sync::guard;
use axon::sync::load::Loaded;
use axon::sync::load::load;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::Client;
use kube::api::ApiResource;
use kube::api::DeleteParams;
use kube::api::DynamicObject;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::api::PostParams;
use kube::core::GroupVersionKind;
use serde_json::Value;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tower::service_fn;

use crate::on_both_servers;
use crate::server::Context;

on_both_servers!(
    a_configuration_is_applied_once_and_then_unchanged,
    a_thousand_objects_cost_no_more_requests_than_they_must,
    drift_is_shown_and_taken_back,
    what_left_an_object_is_removed_and_what_others_set_stays,
    objects_of_others_are_adopted_only_on_request,
    conflicts_stop_an_adoption_unless_forced,
    what_left_the_configuration_is_pruned,
    a_copy_is_not_pruned,
    an_edited_task_is_replaced,
    a_task_that_ran_does_not_run_again,
    what_the_server_refuses_is_in_the_plan,
    an_object_that_is_gone_is_not_made_anew,
    dependants_of_what_failed_are_skipped,
    an_interrupted_apply_is_taken_up_again,
    a_lost_server_ends_the_apply,
    a_missing_workspace_is_an_error_with_its_place,
    errors_name_what_is_missing,
    no_value_of_a_variable_is_told,
    tasks_are_waited_for,
);

const CONFIG: &str = r#"
apiVersion: axon.io/v1alpha1
kind: Config
sync: app
defaults:
  type: claude-code
  credentials: {type: api-key, secretRef: {name: key}}
  workspace: app
workspaces:
  app: {repo: "https://example.com/acme/app.git", ref: main}
spawners:
  nightly:
    when: {cron: {schedule: "0 3 * * *"}}
    prompt: Look around.
tasks:
  port: {prompt: "Port it.\nAll of it."}
"#;

async fn a_configuration_is_applied_once_and_then_unchanged(context: Context) {
    let requests = Requests::default();
    let sync = Sync::of(requests.count(&context.client), &context);
    let plan = sync.plan(CONFIG).await;
    assert_eq!(
        lines(&plan),
        [
            "Workspace/app create",
            "TaskSpawner/nightly create",
            "Task/port create"
        ]
    );
    assert_eq!(
        (plan.summary().runs, plan.declared, plan.members),
        (1, 3, 0)
    );
    let applied = sync.apply(&plan).await;
    assert_eq!(applied.done.len(), 3, "{applied:?}");

    requests.taken();
    let plan = sync.plan(CONFIG).await;
    assert!(!plan.summary().has_changes(), "{:?}", lines(&plan));
    assert_eq!(plan.members, 3);
    let mut asked = requests.taken();
    asked.sort();
    let base = format!("/namespaces/{}", context.namespace);
    assert_eq!(
        asked,
        [
            format!("GET /api/v1{base}/configmaps"),
            format!("GET /apis/axon.io/v1alpha1{base}/tasks"),
            format!("GET /apis/axon.io/v1alpha1{base}/taskspawners"),
            format!("GET /apis/axon.io/v1alpha1{base}/workspaces"),
        ]
    );
    // Order, comments and form of the file make no difference.
    let reordered = CONFIG
        .replace("sync: app\n", "")
        .replace("tasks:", "# x\nsync: app\ntasks:");
    assert!(!sync.plan(&reordered).await.summary().has_changes());
}

async fn a_thousand_objects_cost_no_more_requests_than_they_must(context: Context) {
    const OBJECTS: usize = 1000;
    let mut config =
        "apiVersion: axon.io/v1alpha1\nkind: Config\nsync: app\nworkspaces:\n".to_owned();
    for number in 0..OBJECTS {
        writeln!(
            config,
            "  w{number}: {{repo: \"https://example.com/acme/{number}.git\"}}"
        )
        .unwrap();
    }
    let requests = Requests::default();
    let sync = Sync::of(requests.count(&context.client), &context);
    let plan = sync.plan(&config).await;
    // One LIST for each kind and the records; one more for what is in the way of creations.
    assert_eq!(requests.taken().len(), 5);
    assert_eq!(sync.apply(&plan).await.done.len(), OBJECTS);
    assert_eq!(requests.taken().len(), OBJECTS, "one request an object");
    let plan = sync.plan(&config).await;
    assert!(!plan.summary().has_changes());
    let asked = requests.taken();
    assert!(
        asked.len() == 4 && asked.iter().all(|it| it.starts_with("GET ")),
        "{asked:?}"
    );
}

async fn drift_is_shown_and_taken_back(context: Context) {
    let sync = Sync::new(&context);
    sync.converge(CONFIG).await;
    let edit = json!({"spec": {"ref": "x"}});
    edit_as("kubectl-edit", &context, "Workspace", "app", &edit).await;
    let plan = sync.plan(CONFIG).await;
    let changes = changes(&plan, "Workspace/app");
    assert_eq!(
        changes,
        [r#"spec.ref: Value(String("x")) -> Value(String("main")) by Some("kubectl-edit")"#]
    );
    sync.apply(&plan).await;
    assert!(!sync.plan(CONFIG).await.summary().has_changes());
    let live = context.get("Workspace", "app").await.unwrap();
    assert_eq!(live["spec"]["ref"], "main");
}

async fn what_left_an_object_is_removed_and_what_others_set_stays(context: Context) {
    let sync = Sync::new(&context);
    sync.converge(CONFIG).await;
    let edit = json!({"spec": {"maxConcurrency": 1}, "metadata": {"labels": {"team": "web"}}});
    edit_as("someone", &context, "TaskSpawner", "nightly", &edit).await;
    assert!(!sync.plan(CONFIG).await.summary().has_changes());

    let without = CONFIG.replace(", ref: main", "");
    let plan = sync.plan(&without).await;
    assert_eq!(lines(&plan)[0], "Workspace/app update");
    assert_eq!(
        changes(&plan, "Workspace/app"),
        [r#"spec.ref: Value(String("main")) -> Absent by None"#]
    );
    sync.apply(&plan).await;
    assert!(!sync.plan(&without).await.summary().has_changes());
    let workspace = context.get("Workspace", "app").await.unwrap();
    assert_eq!(workspace["spec"].get("ref"), None);
    let spawner = context.get("TaskSpawner", "nightly").await.unwrap();
    assert_eq!(spawner["spec"]["maxConcurrency"], 1);
}

async fn objects_of_others_are_adopted_only_on_request(context: Context) {
    let sync = Sync::new(&context);
    let foreign = workspace("app", &json!({"repo": "https://example.com/acme/app.git"}));
    context.create("Workspace", &foreign).await;
    let plan = sync.plan(CONFIG).await;
    assert_eq!(lines(&plan)[0], "Workspace/app Foreign");
    let applied = sync.apply(&plan).await;
    assert_eq!(applied.blocked.len(), 1);
    let live = context.get("Workspace", "app").await.unwrap();
    assert_eq!(live["metadata"].get("labels"), None);

    let adopting = sync.with(|options| options.adopt = true);
    adopting.converge(CONFIG).await;
    assert!(!sync.plan(CONFIG).await.summary().has_changes());

    // Whatever is asked for, what another sync has stays there.
    let other = CONFIG.replace("sync: app", "sync: other");
    let plan = adopting.plan(&other).await;
    assert!(
        lines(&plan)
            .iter()
            .all(|line| line.ends_with("OtherSync { sync: \"app\" }")),
        "{:?}",
        lines(&plan)
    );
}

async fn conflicts_stop_an_adoption_unless_forced(context: Context) {
    let adopting = Sync::new(&context).with(|options| options.adopt = true);
    let spec = json!({"repo": "https://example.com/acme/app.git", "ref": "x"});
    context.create("Workspace", &workspace("app", &spec)).await;
    for probe in [Probe::Nothing, Probe::All] {
        let plan = adopting
            .with(|options| options.probe = probe)
            .plan(CONFIG)
            .await;
        let line = &lines(&plan)[0];
        assert!(
            line.starts_with("Workspace/app Conflict { fields: [OwnedField { path: \"spec.ref\""),
            "{line}"
        );
        assert_eq!(plan.summary().conflicts, 1);
    }
    let forcing = adopting.with(|options| options.force_conflicts = true);
    forcing.converge(CONFIG).await;
    let live = context.get("Workspace", "app").await.unwrap();
    assert_eq!(live["spec"]["ref"], "main");
}

async fn what_left_the_configuration_is_pruned(context: Context) {
    let sync = Sync::new(&context);
    sync.converge(CONFIG).await;
    let task = workspace_task("spawned", "nightly");
    context.create("Task", &task).await;
    let keep = json!({"metadata": {"annotations": {"axon.io/prune": "disabled"}}});
    edit_as("someone", &context, "Workspace", "app", &keep).await;

    let rest = "apiVersion: axon.io/v1alpha1\nkind: Config\nsync: app\nworkspaces: {b: {repo: \"https://example.com/b\"}}\n";
    let plan = sync.plan(rest).await;
    assert_eq!(
        lines(&plan),
        [
            "Workspace/b create",
            "Task/port delete 1",
            "TaskSpawner/nightly delete 1",
            "Workspace/app keep"
        ]
    );
    let applied = sync.apply(&plan).await;
    assert!(applied.is_complete(), "{applied:?}");
    context.await_gone("Task", "port").await;
    context.await_gone("TaskSpawner", "nightly").await;
    assert!(context.get("Workspace", "app").await.is_some());
    assert!(context.get("Task", "spawned").await.is_some());

    // Nothing declared at all is more likely a mistake than a wish.
    let empty = "apiVersion: axon.io/v1alpha1\nkind: Config\nsync: app\n";
    let plan = sync.plan(empty).await;
    assert!(guard::clear(&plan, Allow::default()).is_err());
    // Without a Config nothing says that the rest is not wanted.
    let bare = sync
        .plan_of(&loaded_with(empty, |loaded| loaded.set.has_config = false))
        .await;
    assert_eq!(lines(&bare), Vec::<String>::new());
}

async fn a_copy_is_not_pruned(context: Context) {
    let sync = Sync::new(&context);
    sync.converge(CONFIG).await;
    let mut copy = context.get("Workspace", "app").await.unwrap();
    copy["metadata"] = json!({
        "name": "copy",
        "labels": copy["metadata"]["labels"],
        "annotations": copy["metadata"]["annotations"],
    });
    context.create("Workspace", &copy).await;
    let plan = sync.plan(CONFIG).await;
    assert!(!plan.summary().has_changes(), "{:?}", lines(&plan));
    assert_eq!(plan.members, 3);
}

async fn an_edited_task_is_replaced(context: Context) {
    let sync = Sync::new(&context);
    sync.converge(CONFIG).await;
    let before = context.get("Task", "port").await.unwrap();
    // A status that is written between plan and apply is not a reason to stop.
    let edited = CONFIG.replace("All of it.", "Half of it.");
    let plan = sync.plan(&edited).await;
    assert_eq!(lines(&plan)[2], "Task/port replace");
    assert_eq!(plan.summary().reruns, 1);
    context
        .set_status(
            "Task",
            "port",
            &json!({"phase": "Running", "jobName": "port"}),
        )
        .await;
    let applied = sync.apply(&plan).await;
    assert!(applied.is_complete(), "{applied:?}");
    let after = context.get("Task", "port").await.unwrap();
    assert_ne!(before["metadata"]["uid"], after["metadata"]["uid"]);
    assert_eq!(after["spec"]["prompt"], "Port it.\nHalf of it.");
    assert!(!sync.plan(&edited).await.summary().has_changes());

    // Labels and the time to live do not make another run.
    let kept = edited.replace("port: {", "port: {ttlSecondsAfterFinished: 60, ");
    let plan = sync.plan(&kept).await;
    assert_eq!(lines(&plan)[2], "Task/port update");
    assert!(sync.apply(&plan).await.is_complete());
    let again = kept.replace("port: {", "port: {rerun: 1, ");
    assert_eq!(lines(&sync.plan(&again).await)[2], "Task/port replace");
}

async fn a_task_that_ran_does_not_run_again(context: Context) {
    let sync = Sync::new(&context);
    let plan = sync.converge(CONFIG).await;
    let task = context.get("Task", "port").await.unwrap();
    context
        .record("app", "port", &task, Some(Outcome::Succeeded))
        .await;
    assert!(!sync.plan(CONFIG).await.summary().has_changes());
    context.delete("Task", "port").await;
    let plan_after = sync.plan(CONFIG).await;
    assert_eq!(
        lines(&plan_after)[2],
        "Task/port ran Succeeded 2026-11-02T10:00:00Z"
    );
    assert!(!plan_after.summary().has_changes());
    assert!(sync.apply(&plan_after).await.done.is_empty());

    let edited = CONFIG.replace("All of it.", "Half of it.");
    let plan_edited = sync.plan(&edited).await;
    assert_eq!(lines(&plan_edited)[2], "Task/port create again");
    assert_eq!(plan_edited.summary().reruns, 1);
    // Waiting for a run that is over ends with what its record says.
    let stop = CancellationToken::new();
    let observed = sync
        .pipeline
        .observe(&plan, Until::Finished, &stop)
        .await
        .unwrap();
    assert_eq!(
        observed.finished.values().copied().collect::<Vec<_>>(),
        [Outcome::Succeeded]
    );
}

async fn what_the_server_refuses_is_in_the_plan(context: Context) {
    let sync = Sync::new(&context).with(|options| options.probe = Probe::All);
    let spoilt = loaded_with(CONFIG, |loaded| {
        loaded.set.objects[2].manifest["spec"]["type"] = "custom".into();
        loaded.set.objects[1].manifest["spec"]["unknown"] = 1.into();
    });
    let plan = sync.plan_of(&spoilt).await;
    let lines = lines(&plan);
    assert_eq!(lines[0], "Workspace/app create");
    assert!(
        lines[1].starts_with("TaskSpawner/nightly Refused"),
        "{lines:?}"
    );
    assert!(lines[2].starts_with("Task/port Refused"), "{lines:?}");
    assert_eq!(plan.summary().refused, 2);

    // Without having asked, it shows when it is applied; siblings go on.
    let plan = Sync::new(&context).plan_of(&spoilt).await;
    let applied = sync.apply(&plan).await;
    assert_eq!(
        (applied.done.len(), applied.failed.len()),
        (1, 2),
        "{applied:?}"
    );
}

async fn an_object_that_is_gone_is_not_made_anew(context: Context) {
    let sync = Sync::new(&context);
    sync.converge(CONFIG).await;
    let edited = CONFIG.replace("ref: main", "ref: x");
    let plan = sync.plan(&edited).await;
    context.delete("Workspace", "app").await;
    let applied = sync.apply(&plan).await;
    assert_eq!(applied.failed.len(), 1, "{applied:?}");
    assert!(applied.failed[0].is_conflict, "{applied:?}");
    assert!(context.get("Workspace", "app").await.is_none());
}

async fn dependants_of_what_failed_are_skipped(context: Context) {
    let sync = Sync::new(&context);
    let foreign = workspace("app", &json!({"repo": "https://example.com/other.git"}));
    context.create("Workspace", &foreign).await;
    let with_free = format!("{CONFIG}  free: {{prompt: x, workspace: b}}\n").replace(
        "workspaces:",
        "workspaces:\n  b: {repo: \"https://example.com/b\"}",
    );
    let plan = sync.plan(&with_free).await;
    let applied = sync.apply(&plan).await;
    let skipped: Vec<String> = applied
        .skipped
        .iter()
        .map(|(key, why)| format!("{key} {why:?}"))
        .collect();
    assert_eq!(
        skipped,
        [
            "TaskSpawner/nightly Workspace { name: \"app\" }",
            "Task/port Workspace { name: \"app\" }"
        ]
    );
    let done: Vec<String> = applied
        .done
        .iter()
        .map(|(key, _)| key.to_string())
        .collect();
    assert_eq!(done, ["Workspace/b", "Task/free"]);
}

async fn an_interrupted_apply_is_taken_up_again(context: Context) {
    let sync = Sync::new(&context);
    let plan = sync.plan(CONFIG).await;
    let stop = CancellationToken::new();
    stop.cancel();
    let cleared = guard::clear(&plan, Allow::default()).unwrap();
    let applied = sync.pipeline.apply(cleared, &stop).await;
    assert!(
        applied
            .skipped
            .iter()
            .all(|(_, why)| *why == Skipped::Interrupted)
    );
    assert_eq!(applied.skipped.len(), 3);
    assert!(context.get("Workspace", "app").await.is_none());
    sync.converge(CONFIG).await;
}

async fn a_lost_server_ends_the_apply(context: Context) {
    let mut config =
        "apiVersion: axon.io/v1alpha1\nkind: Config\nsync: app\nworkspaces:\n".to_owned();
    for n in 0..40 {
        writeln!(config, "  w{n}: {{repo: \"https://example.com/{n}\"}}").unwrap();
    }
    let whole = Sync::new(&context);
    let plan = whole.plan(&config).await;
    let cut = Sync::of(cut_after(10, &context.client), &context);
    let applied = cut.apply(&plan).await;
    assert_eq!(applied.done.len(), 10, "{applied:?}");
    // Those in flight failed; the rest was not even tried.
    assert!((1..=8).contains(&applied.failed.len()), "{applied:?}");
    assert_eq!(applied.failed[0].causes[0], "cannot reach the API server");
    assert!(
        applied
            .skipped
            .iter()
            .all(|(_, why)| *why == Skipped::Unreachable)
    );
    assert_eq!(applied.failed.len() + applied.skipped.len(), 30);
    assert_eq!(whole.plan(&config).await.summary().create, 30);
    whole.converge(&config).await;
}

async fn a_missing_workspace_is_an_error_with_its_place(context: Context) {
    let sync = Sync::new(&context);
    let without = CONFIG.replace(
        "workspaces:\n  app: {repo: \"https://example.com/acme/app.git\", ref: main}\n",
        "",
    );
    let loaded = load_text(&without);
    let error = sync
        .pipeline
        .plan(input(&loaded))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("Workspace \"app\" is neither declared nor in the cluster"),
        "{error}"
    );
    assert!(error.starts_with("axon.yaml:"), "{error}");
    let foreign = workspace("app", &json!({"repo": "https://example.com/acme/app.git"}));
    context.create("Workspace", &foreign).await;
    sync.converge(&without).await;
}

async fn errors_name_what_is_missing(context: Context) {
    let nowhere = Namespace::parse("no-such-namespace").unwrap();
    let cluster = Cluster::new(context.client.clone(), nowhere);
    let options = Options {
        probe: Probe::All,
        ..Options::default()
    };
    let loaded = load_text(CONFIG);
    let planned = Pipeline::new(cluster, options).plan(input(&loaded)).await;
    let error = chain(&planned.unwrap_err());
    assert!(
        error.contains("namespace \"no-such-namespace\" does not exist"),
        "{error}"
    );
}

async fn no_value_of_a_variable_is_told(context: Context) {
    let sync = Sync::new(&context);
    let config = |value: &str| {
        let env = format!("podOverrides: {{env: [{{name: A, value: {value}}}]}}");
        CONFIG
            .replace("tasks:\n  port: {", &format!("tasks:\n  port: {{{env}, "))
            .replace(
                "    prompt: Look around.",
                &format!("    prompt: Look around.\n    {env}"),
            )
    };
    let created = sync.converge(&config("CANARYone")).await;
    let changed = sync.plan(&config("CANARYtwo")).await;
    assert_eq!(
        changes(&changed, "TaskSpawner/nightly"),
        ["spec.taskTemplate.podOverrides.env[0].value: Sensitive -> Sensitive by None"]
    );
    let applied = sync.apply(&changed).await;
    let told = format!("{created:?}{changed:?}{applied:?}");
    assert!(!told.contains("CANARY"), "{told}");
}

async fn tasks_are_waited_for(context: Context) {
    let sync = Sync::new(&context);
    let plan = sync.converge(CONFIG).await;
    let pipeline = sync.pipeline.clone();
    let waiting = |until| {
        let (pipeline, plan) = (pipeline.clone(), plan.clone());
        tokio::spawn(async move {
            let stop = CancellationToken::new();
            pipeline.observe(&plan, until, &stop).await.unwrap()
        })
    };
    let stopped = CancellationToken::new();
    stopped.cancel();
    let pending = sync.pipeline.observe(&plan, Until::Started, &stopped).await;
    let pending = pending.unwrap();
    assert!(
        !pending.reached(Until::Started) && pending.pending.len() == 1,
        "{pending:?}"
    );

    let (started, finished) = (waiting(Until::Started), waiting(Until::Finished));
    context
        .set_status("Task", "port", &json!({"phase": "Running"}))
        .await;
    let observed = started.await.unwrap();
    assert_eq!(observed.running.len(), 1, "{observed:?}");
    assert!(!observed.reached(Until::Finished));
    context
        .set_status("Task", "port", &json!({"phase": "Failed"}))
        .await;
    let observed = finished.await.unwrap();
    let outcomes: Vec<Outcome> = observed.finished.into_values().collect();
    assert_eq!(outcomes, [Outcome::Failed]);
}

// What the tests are written with.

/// One sync of the test's namespace.
struct Sync {
    pipeline: Pipeline,
    client: Client,
    namespace: Namespace,
    options: Options,
}

impl Sync {
    fn new(context: &Context) -> Self {
        Self::of(context.client.clone(), context)
    }

    fn of(client: Client, context: &Context) -> Self {
        let namespace = Namespace::parse(&context.namespace).unwrap();
        Self::assemble(client, namespace, Options::default())
    }

    fn with(&self, change: impl FnOnce(&mut Options)) -> Self {
        let mut options = self.options;
        change(&mut options);
        Self::assemble(self.client.clone(), self.namespace.clone(), options)
    }

    fn assemble(client: Client, namespace: Namespace, options: Options) -> Self {
        let cluster = Cluster::new(client.clone(), namespace.clone());
        Self {
            pipeline: Pipeline::new(cluster, options),
            client,
            namespace,
            options,
        }
    }

    async fn plan(&self, config: &str) -> Plan {
        self.plan_of(&load_text(config)).await
    }

    async fn plan_of(&self, loaded: &Loaded) -> Plan {
        self.pipeline.plan(input(loaded)).await.unwrap()
    }

    async fn apply(&self, plan: &Plan) -> Applied {
        let allow = Allow {
            deletes: Some(plan.summary().delete),
            runs: Some(plan.summary().reruns),
        };
        let cleared = guard::clear(plan, allow).unwrap();
        self.pipeline
            .apply(cleared, &CancellationToken::new())
            .await
    }

    /// Plans and applies, and sees that nothing is left to do.
    async fn converge(&self, config: &str) -> Plan {
        let plan = self.plan(config).await;
        let applied = self.apply(&plan).await;
        assert!(applied.is_complete(), "{applied:?}");
        let after = self.plan(config).await;
        assert!(!after.summary().has_changes(), "{:?}", lines(&after));
        plan
    }
}

fn load_text(config: &str) -> Loaded {
    let root = RepoPath::parse("axon.yaml").unwrap();
    let snapshot = Snapshot {
        source: source(),
        revision: Revision::Commit("0".repeat(40)),
        root: root.clone(),
        files: vec![InputFile {
            path: root,
            bytes: config.into(),
        }],
        unmatched: Vec::new(),
    };
    load(&snapshot).unwrap_or_else(|problems| panic!("{problems:?}\n{config}"))
}

fn loaded_with(config: &str, change: impl FnOnce(&mut Loaded)) -> Loaded {
    let mut loaded = load_text(config);
    change(&mut loaded);
    loaded
}

fn source() -> Source {
    Source {
        canonical: "example.com/acme/app".into(),
        url: None,
    }
}

fn input(loaded: &Loaded) -> Input<'_> {
    use std::sync::LazyLock;
    static SOURCE: LazyLock<Source> = LazyLock::new(source);
    static REVISION: LazyLock<Revision> = LazyLock::new(|| Revision::Commit("0".repeat(40)));
    static ROOT: LazyLock<RepoPath> = LazyLock::new(|| RepoPath::parse("axon.yaml").unwrap());
    Input {
        set: &loaded.set,
        source: &SOURCE,
        revision: &REVISION,
        root: &ROOT,
    }
}

fn lines(plan: &Plan) -> Vec<String> {
    let line = |action: &Action| match action {
        Action::Create { again: false, .. } => "create".to_owned(),
        Action::Create { again: true, .. } => "create again".to_owned(),
        Action::Update { .. } => "update".to_owned(),
        Action::Replace { .. } => "replace".to_owned(),
        Action::Delete { running, .. } => format!("delete {running}"),
        Action::Keep => "keep".to_owned(),
        Action::Unchanged => "unchanged".to_owned(),
        Action::AlreadyRan { outcome, finished } => {
            format!(
                "ran {} {}",
                outcome.as_str(),
                finished.as_deref().unwrap_or("-")
            )
        }
        Action::Blocked {
            reason: Blocked::Foreign,
        } => "Foreign".to_owned(),
        Action::Blocked { reason } => format!("{reason:?}"),
    };
    plan.steps
        .iter()
        .map(|step| format!("{} {}", step.key, line(&step.action)))
        .collect()
}

fn changes(plan: &Plan, key: &str) -> Vec<String> {
    let step = plan.steps.iter().find(|step| step.key.to_string() == key);
    let changes: &[FieldChange] = match &step.unwrap().action {
        Action::Update { changes, .. } | Action::Replace { changes, .. } => changes,
        _ => &[],
    };
    changes
        .iter()
        .map(|it| {
            format!(
                "{}: {:?} -> {:?} by {:?}",
                it.path, it.before, it.after, it.changed_by
            )
        })
        .collect()
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn workspace(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "axon.io/v1alpha1",
        "kind": "Workspace",
        "metadata": {"name": name},
        "spec": spec,
    })
}

fn workspace_task(name: &str, spawner: &str) -> Value {
    json!({
        "apiVersion": "axon.io/v1alpha1",
        "kind": "Task",
        "metadata": {"name": name, "labels": {"axon.io/taskspawner": spawner}},
        "spec": {"type": "claude-code", "prompt": "x", "credentials": {"type": "none"}},
    })
}

/// Requests as they pass, methods and paths.
#[derive(Clone, Default)]
struct Requests(Arc<Mutex<Vec<String>>>);

impl Requests {
    fn count(&self, inner: &Client) -> Client {
        let (inner, seen) = (inner.clone(), Arc::clone(&self.0));
        let service = service_fn(move |request: http::Request<kube::client::Body>| {
            let line = format!("{} {}", request.method(), request.uri().path());
            seen.lock().unwrap().push(line);
            let inner = inner.clone();
            async move { inner.send(request).await }
        });
        Client::new(service, "default")
    }

    /// What came since the last call.
    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A client whose server is gone after so many requests.
fn cut_after(requests: usize, inner: &Client) -> Client {
    let left = Arc::new(Mutex::new(requests));
    let inner = inner.clone();
    let service = service_fn(move |request: http::Request<kube::client::Body>| {
        let served = {
            let mut left = left.lock().unwrap();
            let served = *left > 0;
            *left = left.saturating_sub(1);
            served
        };
        let inner = inner.clone();
        async move {
            if served {
                inner.send(request).await.map_err(tower::BoxError::from)
            } else {
                Err("connection refused".into())
            }
        }
    });
    Client::new(service, "default")
}

async fn edit_as(manager: &str, context: &Context, kind: &str, name: &str, patch: &Value) {
    let params = PatchParams {
        field_manager: Some(manager.into()),
        ..PatchParams::default()
    };
    context
        .objects(kind)
        .patch(name, &params, &Patch::Merge(patch))
        .await
        .unwrap();
}

impl Context {
    fn objects(&self, kind: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("axon.io", "v1alpha1", kind);
        Api::namespaced_with(
            self.client.clone(),
            &self.namespace,
            &ApiResource::from_gvk(&kind),
        )
    }

    async fn get(&self, kind: &str, name: &str) -> Option<Value> {
        let object = self.objects(kind).get_opt(name).await.unwrap()?;
        Some(serde_json::to_value(object).unwrap())
    }

    async fn create(&self, kind: &str, object: &Value) {
        let object = serde_json::from_value(object.clone()).unwrap();
        let params = PostParams::default();
        self.objects(kind).create(&params, &object).await.unwrap();
    }

    async fn delete(&self, kind: &str, name: &str) {
        let params = DeleteParams::background();
        self.objects(kind).delete(name, &params).await.unwrap();
        self.await_gone(kind, name).await;
    }

    async fn await_gone(&self, kind: &str, name: &str) {
        crate::server::eventually("the object is gone", || async {
            self.get(kind, name).await.is_none().then_some(())
        })
        .await;
    }

    async fn set_status(&self, kind: &str, name: &str, status: &Value) {
        let patch = json!({"status": status});
        self.objects(kind)
            .patch_status(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .unwrap();
    }

    /// The record that the Task controller leaves.
    async fn record(&self, sync: &str, name: &str, task: &Value, outcome: Option<Outcome>) {
        use axon::model::run::RunDigest;
        use axon::model::run::RunScope;
        use axon::model::run::record_name;
        let run = task["metadata"]["annotations"]["axon.io/run"]
            .as_str()
            .unwrap();
        let scope = RunScope::Sync {
            sync: sync.into(),
            task: name.into(),
        };
        let mut data = json!({"task": name, "taskUID": task["metadata"]["uid"], "run": run});
        if let Some(outcome) = outcome {
            data["outcome"] = outcome.as_str().into();
            data["finished"] = "2026-11-02T10:00:00Z".into();
        }
        let record: ConfigMap = serde_json::from_value(json!({
            "metadata": {
                "name": record_name(&scope, &RunDigest::from_annotation(run)),
                "labels": {"axon.io/record": "run", "axon.io/sync": sync},
            },
            "data": data,
        }))
        .unwrap();
        let api: Api<ConfigMap> = self.api();
        api.create(&PostParams::default(), &record).await.unwrap();
    }
}
