//! The spawner controller against a fake GitHub. The Task controller does not run here: the tests
//! play it where a run has to end.

mod fake_github;
mod limits;
mod refused;

use std::collections::BTreeSet;

use axon::api::Task;
use axon::api::TaskSpawner;
use axon::api::Workspace;
use axon::api::labels;
use axon::controller;
use axon::model::run::RunDigest;
use axon::model::run::RunScope;
use axon::model::run::record_key;
use axon::model::run::record_name;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::Client;
use kube::ResourceExt as _;
use kube::api::ApiResource;
use kube::api::DeleteParams;
use kube::api::DynamicObject;
use kube::api::ListParams;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::api::PostParams;
use serde_json::Value;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wiremock::ResponseTemplate;

use self::fake_github::FakeGithub;
use self::fake_github::TOKEN;
use self::fake_github::issue;
use crate::server::Context;
use crate::server::eventually;
use crate::ssh_server::key;

crate::on_both_servers!(
    items_become_tasks_once,
    an_item_runs_once_though_its_task_is_gone,
    a_full_spawner_goes_on_when_a_task_ends,
    two_controllers_do_not_double,
    what_returns_runs_anew,
    a_broken_page_loses_nothing,
    troubles_are_conditions,
    a_github_app_will_do,
    an_unusable_spec_is_a_condition,
    one_bad_item_does_not_stop_the_others,
    a_foreign_task_is_not_touched,
    a_tick_runs_once,
    once_asks_once,
);

/// A running controller.
struct Controller {
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Controller {
    fn start(context: &Context, github: &FakeGithub) -> Self {
        Self::with(context, github, false)
    }

    fn with(context: &Context, github: &FakeGithub, once: bool) -> Self {
        Self::run(context, github, context.client.clone(), once)
    }

    /// One that reaches the server by a way of its own.
    fn through(context: &Context, github: &FakeGithub, client: Client) -> Self {
        Self::run(context, github, client, false)
    }

    fn run(context: &Context, github: &FakeGithub, client: Client, once: bool) -> Self {
        let options = controller::Options {
            namespace: Some(axon::model::Namespace::parse(&context.namespace).unwrap()),
            github_api: Some(github.url()),
            once,
            ..controller::Options::default()
        };
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let running = tokio::spawn(async move {
            controller::spawner::run(client, &options, stopped).await;
        });
        Self { stop, running }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap();
    }
}

async fn create<K>(context: &Context, object: Value) -> K
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::Serialize
        + serde::de::DeserializeOwned,
    K::DynamicType: Default,
{
    let object = serde_json::from_value(object).unwrap();
    context
        .api::<K>()
        .create(&PostParams::default(), &object)
        .await
        .unwrap()
}

/// Workspace `web` of `acme/web`, and the Secret with its token.
async fn workspace(context: &Context) {
    create::<Secret>(
        context,
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "token"},
            "data": {"GITHUB_TOKEN": STANDARD.encode(TOKEN)},
        }),
    )
    .await;
    create::<Workspace>(
        context,
        json!({
            "apiVersion": "axon.io/v1alpha1", "kind": "Workspace", "metadata": {"name": "web"},
            "spec": {"repo": "https://github.com/Acme/web.git", "secretRef": {"name": "token"}},
        }),
    )
    .await;
}

/// Spawner `triage` on everything labelled `agent`, with changes to its spec.
async fn spawner(context: &Context, changes: Value) {
    let mut spec = json!({
        "when": {"githubIssues": {"labels": ["agent"]}},
        "taskTemplate": {
            "type": "codex",
            "credentials": {"type": "none"},
            "workspaceRef": {"name": "web"},
            "promptTemplate": "Fix #{{.Number}}: {{.Title}}\n{{.Comments}}",
        },
    });
    json_patch::merge(&mut spec, &changes);
    create::<TaskSpawner>(
        context,
        json!({
            "apiVersion": "axon.io/v1alpha1", "kind": "TaskSpawner",
            "metadata": {"name": "triage"}, "spec": spec,
        }),
    )
    .await;
}

/// An edit of the spec makes the controller ask at once.
async fn poll_again(context: &Context, concurrency: i32) {
    let patch = json!({"spec": {"maxConcurrency": concurrency}});
    context
        .api::<TaskSpawner>()
        .patch("triage", &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
    // What was found under this spec is written when all else is done.
    observed(context).await;
}

/// The spawner, once its status speaks of its spec.
async fn observed(context: &Context) -> TaskSpawner {
    let spawners: Api<TaskSpawner> = context.api();
    eventually("a status that speaks of the spec", || async {
        let spawner = spawners.get("triage").await.unwrap();
        let observed = spawner
            .status
            .as_ref()
            .and_then(|it| it.observed_generation);
        (observed.is_some() && observed == spawner.metadata.generation).then_some(spawner)
    })
    .await
}

/// The spawner, once its condition has this reason.
async fn reason(context: &Context, reason: &str) -> TaskSpawner {
    let spawners: Api<TaskSpawner> = context.api();
    eventually(reason, || async {
        let spawner = spawners.get("triage").await.unwrap();
        let status = spawner.status.as_ref()?;
        let ready = status.conditions.iter().find(|it| it.type_ == "Ready")?;
        (ready.reason == reason).then_some(spawner.clone())
    })
    .await
}

async fn names(context: &Context) -> BTreeSet<String> {
    let tasks = context
        .api::<Task>()
        .list(&ListParams::default())
        .await
        .unwrap();
    tasks.iter().map(kube::ResourceExt::name_any).collect()
}

async fn await_names(context: &Context, expected: &[&str]) {
    let expected: BTreeSet<_> = expected.iter().map(|it| (*it).to_owned()).collect();
    eventually(&format!("Tasks {expected:?}"), || async {
        (names(context).await == expected).then_some(())
    })
    .await;
}

/// Ends a run as the Task controller does: its record first.
async fn end_run(context: &Context, task: &str) {
    let tasks: Api<Task> = context.api();
    let object = tasks.get(task).await.unwrap();
    let run = &object.annotations()[labels::RUN];
    let scope = RunScope::Spawner {
        spawner: "triage".into(),
    };
    create::<ConfigMap>(
        context,
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {
                "name": record_name(&scope, &RunDigest::from_annotation(run)),
                "labels": {labels::RECORD: labels::RECORD_RUN, labels::TASK_SPAWNER: "triage"},
            },
            "data": {
                record_key::TASK: task,
                record_key::TASK_UID: object.uid().unwrap(),
                record_key::RUN: run,
                record_key::ITEM: object.annotations()[labels::ITEM],
                record_key::OUTCOME: "Succeeded",
                record_key::FINISHED: "2026-01-01T00:00:00Z",
            },
        }),
    )
    .await;
    finish(context, task).await;
}

async fn finish(context: &Context, task: &str) {
    let patch = json!({"status": {"phase": "Succeeded"}});
    context
        .api::<Task>()
        .patch_status(task, &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
}

async fn items_become_tasks_once(context: Context) {
    let mut issues: Vec<_> = [1, 2, 3, 5].map(issue).to_vec();
    issues[0].comments = vec!["please", "now"];
    issues[1].pull = true;
    issues[2].labels.push("wip");
    let mut other = issue(4);
    other.labels.clear();
    issues.push(other);
    let github = FakeGithub::start(&issues).await;
    workspace(&context).await;
    spawner(
        &context,
        json!({"when": {"githubIssues": {"excludeLabels": ["WIP"]}}}),
    )
    .await;

    let first = Controller::start(&context, &github);
    await_names(&context, &["triage-1", "triage-5"]).await;
    let spawner = observed(&context).await;
    let status = spawner.status.unwrap();
    assert_eq!(status.total_discovered, Some(2));
    assert_eq!(
        (status.total_tasks_created, status.active_tasks),
        (Some(2), Some(2))
    );
    assert!(status.last_discovery_time.is_some());
    first.stop().await;

    let task = context.api::<Task>().get("triage-1").await.unwrap();
    assert!(
        task.spec.prompt.starts_with("Fix #1: Title 1\n"),
        "{}",
        task.spec.prompt
    );
    assert!(task.spec.prompt.contains("please") && task.spec.prompt.contains("now"));
    assert_eq!(task.labels()[labels::TASK_SPAWNER], "triage");
    let annotations = task.annotations();
    assert_eq!(annotations[labels::ITEM], "github.com/acme/web#1");
    assert_eq!(
        annotations[labels::ITEM_URL],
        "https://github.com/acme/web/issues/1"
    );
    assert_eq!(annotations[labels::ITEM_KIND], "Issue");
    assert!(task.owner_references().is_empty());

    let polls = github.polls().await;
    let second = Controller::start(&context, &github);
    eventually("a poll after the restart", || async {
        (github.polls().await > polls).then_some(())
    })
    .await;
    poll_again(&context, 9).await;
    second.stop().await;
    assert_eq!(names(&context).await.len(), 2);
}

async fn an_item_runs_once_though_its_task_is_gone(context: Context) {
    let github = FakeGithub::start(&[issue(1)]).await;
    workspace(&context).await;
    spawner(&context, json!({})).await;
    let controller = Controller::start(&context, &github);
    await_names(&context, &["triage-1"]).await;
    end_run(&context, "triage-1").await;
    let tasks: Api<Task> = context.api();
    tasks
        .delete("triage-1", &DeleteParams::background())
        .await
        .unwrap();
    await_names(&context, &[]).await;
    poll_again(&context, 9).await;
    controller.stop().await;
    let controller = Controller::start(&context, &github);
    poll_again(&context, 8).await;
    controller.stop().await;
    assert!(names(&context).await.is_empty());
}

async fn a_full_spawner_goes_on_when_a_task_ends(context: Context) {
    let github = FakeGithub::start(&[1, 2, 3].map(issue)).await;
    workspace(&context).await;
    spawner(&context, json!({"maxConcurrency": 1})).await;
    let controller = Controller::start(&context, &github);
    await_names(&context, &["triage-1"]).await;
    let spawner = observed(&context).await;
    assert_eq!(spawner.status.unwrap().total_discovered, Some(3));
    let polls = github.polls().await;
    finish(&context, "triage-1").await;
    await_names(&context, &["triage-1", "triage-2"]).await;
    finish(&context, "triage-2").await;
    await_names(&context, &["triage-1", "triage-2", "triage-3"]).await;
    assert_eq!(github.polls().await, polls, "a free slot needs no poll");
    controller.stop().await;
}

async fn two_controllers_do_not_double(context: Context) {
    let issues: Vec<_> = (1..=12).map(issue).collect();
    let github = FakeGithub::start(&issues).await;
    workspace(&context).await;
    spawner(&context, json!({})).await;
    let one = Controller::start(&context, &github);
    let other = Controller::start(&context, &github);
    let expected: Vec<_> = (1..=12).map(|it| format!("triage-{it}")).collect();
    let expected: Vec<_> = expected.iter().map(String::as_str).collect();
    await_names(&context, &expected).await;
    poll_again(&context, 99).await;
    observed(&context).await;
    one.stop().await;
    other.stop().await;
    await_names(&context, &expected).await;
    let spawner = observed(&context).await;
    assert_eq!(spawner.status.unwrap().total_tasks_created, Some(12));
}

async fn what_returns_runs_anew(context: Context) {
    let github = FakeGithub::start(&[issue(1), issue(2)]).await;
    workspace(&context).await;
    spawner(&context, json!({})).await;
    let controller = Controller::start(&context, &github);
    await_names(&context, &["triage-1", "triage-2"]).await;
    let tasks: Api<Task> = context.api();
    let before = tasks.get("triage-1").await.unwrap().uid();
    end_run(&context, "triage-1").await;

    github.change(|state| state.issues[0].closed = true);
    poll_again(&context, 9).await;
    let records: Api<ConfigMap> = context.api();
    let of_runs = ListParams::default().labels(labels::RECORD);
    eventually("the record to be forgotten", || async {
        records
            .list(&of_runs)
            .await
            .unwrap()
            .items
            .is_empty()
            .then_some(())
    })
    .await;
    assert_eq!(tasks.get("triage-1").await.unwrap().uid(), before);

    github.change(|state| state.issues[0].closed = false);
    poll_again(&context, 8).await;
    eventually("a new Task of the same name", || async {
        let task = tasks.get_opt("triage-1").await.unwrap()?;
        (task.uid() != before && task.metadata.deletion_timestamp.is_none()).then_some(())
    })
    .await;
    controller.stop().await;
}

async fn a_broken_page_loses_nothing(context: Context) {
    let github = FakeGithub::start(&[1, 2, 3].map(issue)).await;
    workspace(&context).await;
    spawner(&context, json!({})).await;
    github.change(|state| state.broken_page = Some(2));
    let controller = Controller::start(&context, &github);
    await_names(&context, &["triage-1", "triage-2"]).await;
    reason(&context, "GitHubUnavailable").await;
    end_run(&context, "triage-1").await;

    // The item on the first page is closed, so that its page no longer shows it.
    github.change(|state| state.issues[0].closed = true);
    github.change(|state| state.broken_page = Some(1));
    poll_again(&context, 9).await;
    let task = context.api::<Task>().get("triage-1").await.unwrap();
    assert!(
        task.annotations().contains_key(labels::RUN),
        "nothing was seen to have left"
    );

    github.change(|state| state.broken_page = None);
    reason(&context, "Working").await;
    await_names(&context, &["triage-1", "triage-2", "triage-3"]).await;
    controller.stop().await;
}

/// What GitHub may answer, and the reason that it is told by.
fn refusals() -> [(ResponseTemplate, &'static str); 6] {
    let limited = ResponseTemplate::new(403)
        .insert_header("x-ratelimit-remaining", "0")
        .insert_header("x-ratelimit-reset", "4102444800");
    [
        (
            ResponseTemplate::new(401).set_body_string(TOKEN),
            "GitHubUnauthorized",
        ),
        (ResponseTemplate::new(403), "GitHubForbidden"),
        (ResponseTemplate::new(404), "GitHubNotFound"),
        (
            ResponseTemplate::new(500).set_body_string(TOKEN),
            "GitHubUnavailable",
        ),
        (
            ResponseTemplate::new(200).set_body_string(TOKEN),
            "GitHubUnexpected",
        ),
        (limited, "GitHubLimited"),
    ]
}

async fn troubles_are_conditions(context: Context) {
    let github = FakeGithub::start(&[]).await;
    spawner(&context, json!({})).await;
    let controller = Controller::start(&context, &github);
    let spawner = reason(&context, "WorkspaceNotFound").await;
    assert_eq!(
        spawner
            .status
            .unwrap()
            .phase
            .map(|it| format!("{it:?}"))
            .as_deref(),
        Some("Failed")
    );
    workspace(&context).await;

    for (at, (refusal, expected)) in (1..).zip(refusals()) {
        github.change(|state| state.refusal = Some(refusal));
        poll_again(&context, at).await;
        let spawner = reason(&context, expected).await;
        let status = serde_json::to_string(&spawner).unwrap();
        assert!(!status.contains(TOKEN), "{status}");
        if expected == "GitHubLimited" {
            assert!(status.contains("next try "), "{status}");
        }
    }

    controller.stop().await;
    let events = context
        .api::<Event>()
        .list(&ListParams::default())
        .await
        .unwrap();
    assert!(
        !serde_json::to_string(&events.items)
            .unwrap()
            .contains(TOKEN)
    );
}

async fn a_github_app_will_do(context: Context) {
    let github = FakeGithub::start(&[issue(1)]).await;
    workspace(&context).await;
    let secrets: Api<Secret> = context.api();
    let edit = async |data: Value| {
        let patch = Patch::Merge(json!({"stringData": data}));
        secrets
            .patch("token", &PatchParams::default(), &patch)
            .await
            .unwrap();
    };
    let none = Patch::Merge(json!({"data": null}));
    secrets
        .patch("token", &PatchParams::default(), &none)
        .await
        .unwrap();
    edit(json!({"appID": "12", "installationID": "34"})).await;
    spawner(&context, json!({})).await;
    let controller = Controller::start(&context, &github);
    let spawner = reason(&context, "SecretKeyMissing").await;
    let status = serde_json::to_string(&spawner.status).unwrap();
    assert!(status.contains("privateKey"), "{status}");

    let dir = tempfile::tempdir().unwrap();
    let pem = key(dir.path(), "app", &["-t", "rsa", "-b", "2048", "-m", "PEM"]);
    edit(json!({"privateKey": std::fs::read_to_string(pem).unwrap()})).await;
    poll_again(&context, 9).await;
    await_names(&context, &["triage-1"]).await;
    poll_again(&context, 8).await;
    controller.stop().await;
    // Kept where Tasks look for it, and used again.
    let kept = secrets.get("web-axon-token").await.unwrap();
    assert_eq!(kept.data.unwrap()["GITHUB_TOKEN"].0, TOKEN.as_bytes());
    let requests = github.requests().await;
    let minted = requests.iter().filter(|it| it.contains("access_tokens"));
    assert_eq!(minted.count(), 1);
}

async fn an_unusable_spec_is_a_condition(context: Context) {
    let github = FakeGithub::start(&[]).await;
    workspace(&context).await;
    spawner(&context, json!({})).await;
    let controller = Controller::start(&context, &github);
    reason(&context, "Working").await;
    let spawners: Api<TaskSpawner> = context.api();
    for (changes, expected) in [
        (
            json!({"taskTemplate": {"promptTemplate": "{{.Nope}}"}}),
            "InvalidTemplate",
        ),
        (
            json!({"when": {"githubIssues": null, "cron": {"schedule": "0 0 31 2 *"}}}),
            "InvalidSchedule",
        ),
        (json!({"when": {"githubIssues": {}}}), "InvalidSpec"),
    ] {
        let patch = Patch::Merge(json!({"spec": changes}));
        spawners
            .patch("triage", &PatchParams::default(), &patch)
            .await
            .unwrap();
        if expected == "InvalidTemplate" {
            reason(&context, expected).await;
            let good = Patch::Merge(json!({"spec": {"taskTemplate": {"promptTemplate": null}}}));
            spawners
                .patch("triage", &PatchParams::default(), &good)
                .await
                .unwrap();
            reason(&context, "Working").await;
        } else {
            reason(&context, expected).await;
        }
    }
    controller.stop().await;
}

/// What another version of the definitions let in. Only where no other test sees the definitions.
#[test]
fn what_cannot_be_read_does_not_stop_the_others() {
    crate::server::run(crate::server::Kind::Embedded, unreadable_objects);
}

async fn unreadable_objects(context: Context) {
    let anything = json!({"x-kubernetes-preserve-unknown-fields": true});
    let crds: Api<CustomResourceDefinition> = Api::all(context.client.clone());
    let schema = "/spec/versions/0/schema/openAPIV3Schema/properties";
    for (kind, place) in [
        ("taskspawners", "spec/properties/maxConcurrency"),
        ("tasks", "status/properties/phase"),
    ] {
        let name = format!("{kind}.axon.io");
        let mut crd = serde_json::to_value(crds.get(&name).await.unwrap()).unwrap();
        *crd.pointer_mut(&format!("{schema}/{place}")).unwrap() = anything.clone();
        let crd = serde_json::from_value(crd).unwrap();
        crds.replace(&name, &PostParams::default(), &crd)
            .await
            .unwrap();
    }
    let resource = ApiResource::erase::<TaskSpawner>(&());
    let odd: Api<DynamicObject> =
        Api::namespaced_with(context.client.clone(), &context.namespace, &resource);
    let object = json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "TaskSpawner", "metadata": {"name": "odd"},
        "spec": {"maxConcurrency": "many", "when": {"cron": {"schedule": "0 3 * * *"}}, "taskTemplate": {
            "type": "codex", "credentials": {"type": "none"}, "promptTemplate": "x",
        }},
    });
    let object = serde_json::from_value(object).unwrap();
    odd.create(&PostParams::default(), &object).await.unwrap();
    let github = FakeGithub::start(&[issue(1)]).await;
    workspace(&context).await;
    spawner(&context, json!({})).await;
    let controller = Controller::start(&context, &github);
    await_names(&context, &["triage-1"]).await;
    // Nor does a Task: its item does not run anew, and the others go on.
    let dreams = json!({"status": {"phase": "Dreaming"}});
    let resource = ApiResource::erase::<Task>(&());
    let tasks: Api<DynamicObject> =
        Api::namespaced_with(context.client.clone(), &context.namespace, &resource);
    tasks
        .patch_status("triage-1", &PatchParams::default(), &Patch::Merge(&dreams))
        .await
        .unwrap();
    github.change(|state| state.issues.push(issue(2)));
    let patch = json!({"spec": {"maxConcurrency": 9}});
    odd.patch("triage", &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
    let expected: BTreeSet<_> = ["triage-1", "triage-2"].map(str::to_owned).into();
    eventually("a Task for the second item", || async {
        let found = tasks.list_metadata(&ListParams::default()).await.unwrap();
        let names: BTreeSet<_> = found.iter().map(kube::ResourceExt::name_any).collect();
        (names == expected).then_some(())
    })
    .await;
    controller.stop().await;
}

async fn one_bad_item_does_not_stop_the_others(context: Context) {
    let github = FakeGithub::start(&[1, 2].map(issue)).await;
    workspace(&context).await;
    // What is too long for a prompt is so for item 1 alone.
    let template = r#"{{if eq .Number 1}}{{printf "%200000d" 1}}{{else}}ok{{end}}"#;
    spawner(
        &context,
        json!({"taskTemplate": {"promptTemplate": template}}),
    )
    .await;
    let controller = Controller::start(&context, &github);
    await_names(&context, &["triage-2"]).await;
    let spawner = reason(&context, "ItemFailed").await;
    let message = spawner.status.unwrap().message.unwrap();
    assert!(message.contains("github.com/acme/web#1"), "{message}");
    controller.stop().await;
}

async fn a_foreign_task_is_not_touched(context: Context) {
    let github = FakeGithub::start(&[1, 2].map(issue)).await;
    workspace(&context).await;
    let foreign: Task = create(
        &context,
        json!({
            "apiVersion": "axon.io/v1alpha1", "kind": "Task", "metadata": {"name": "triage-1"},
            "spec": {"type": "codex", "prompt": "mine", "credentials": {"type": "none"}},
        }),
    )
    .await;
    spawner(&context, json!({})).await;
    let controller = Controller::start(&context, &github);
    await_names(&context, &["triage-1", "triage-2"]).await;
    reason(&context, "NameTaken").await;
    controller.stop().await;
    let task = context.api::<Task>().get("triage-1").await.unwrap();
    assert_eq!(task.resource_version(), foreign.resource_version());
}

async fn a_tick_runs_once(context: Context) {
    let github = FakeGithub::start(&[]).await;
    let every_day = json!({"githubIssues": null, "cron": {"schedule": "0 3 * * *"}});
    spawner(&context, json!({"when": every_day})).await;
    let cursor = json!({"status": {"lastScheduleTime": "2026-01-01T03:00:00Z"}});
    let spawners: Api<TaskSpawner> = context.api();
    let cursor = Patch::Merge(&cursor);
    spawners
        .patch_status("triage", &PatchParams::default(), &cursor)
        .await
        .unwrap();

    let once = Controller::with(&context, &github, true);
    let spawner = observed(&context).await;
    once.stop().await;
    assert!(spawner.status.unwrap().next_schedule_time.is_some());
    assert!(names(&context).await.is_empty());

    let controller = Controller::start(&context, &github);
    let handled = eventually("a tick that is handled", || async {
        let status = spawners.get("triage").await.unwrap().status?;
        let last = status.last_schedule_time?.0.to_string();
        (last != "2026-01-01T03:00:00Z").then_some(last)
    })
    .await;
    controller.stop().await;
    let made = names(&context).await;
    assert_eq!(made.len(), 1, "one run after downtime, not a burst");
    let name = made.into_iter().next().unwrap();
    let day = handled.split('T').next().unwrap().replace('-', "");
    assert_eq!(name, format!("triage-{day}-0300"));

    // The cursor is lost, as by a crash before it was written; the Task is gone, its record is not.
    end_run(&context, &name).await;
    let tasks: Api<Task> = context.api();
    tasks
        .delete(&name, &DeleteParams::background())
        .await
        .unwrap();
    await_names(&context, &[]).await;
    spawners
        .patch_status("triage", &PatchParams::default(), &cursor)
        .await
        .unwrap();
    let controller = Controller::start(&context, &github);
    eventually("the tick to be handled again", || async {
        let status = spawners.get("triage").await.unwrap().status?;
        (status.last_schedule_time?.0.to_string() == handled).then_some(())
    })
    .await;
    controller.stop().await;
    assert!(names(&context).await.is_empty());
}

async fn once_asks_once(context: Context) {
    let github = FakeGithub::start(&[1, 2].map(issue)).await;
    workspace(&context).await;
    spawner(&context, json!({"maxConcurrency": 1})).await;
    let controller = Controller::with(&context, &github, true);
    await_names(&context, &["triage-1"]).await;
    finish(&context, "triage-1").await;
    await_names(&context, &["triage-1", "triage-2"]).await;
    finish(&context, "triage-2").await;
    let spawners: Api<TaskSpawner> = context.api();
    eventually("no active Tasks", || async {
        (spawners.get("triage").await.unwrap().status?.active_tasks == Some(0)).then_some(())
    })
    .await;
    controller.stop().await;
    assert_eq!(github.polls().await, 1);
}
