//! What people type against a cluster: `run`, `get`, `logs`, `cancel`, `rerun`, `delete`, `suspend`.

mod dev;

use std::process::Stdio;
use std::time::Duration;

use axon::api::Task;
use axon::api::TaskSpawner;
use kube::Api;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::api::PostParams;
use serde_json::Value;
use serde_json::json;
use tokio::process::Child;
use tokio::process::Command;

use crate::server::Context;

crate::on_both_servers!(
    words_become_a_task,
    objects_are_listed_and_told_in_detail,
    each_change_is_a_row,
    a_task_is_cancelled_and_rerun,
    what_is_deleted_is_gone_and_git_is_named,
    a_spawner_is_held,
    who_waits_is_told_why_and_how_it_ended,
);

/// How long one call may take.
const DEADLINE: Duration = Duration::from_mins(1);

/// What a call came to.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    #[track_caller]
    fn check(&self, code: i32, told: &[&str]) -> &Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        for text in told {
            let found = self.out.contains(text) || self.err.contains(text);
            assert!(found, "{text:?} is not in {self:#?}");
        }
        self
    }
}

fn start(context: &Context, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_axon"))
        .arg("--kubeconfig")
        .arg(&context.kubeconfig)
        .args(["--namespace", &context.namespace])
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn end(child: Child) -> Said {
    let ended = tokio::time::timeout(DEADLINE, child.wait_with_output()).await;
    let output = ended.expect("it did not end").unwrap();
    Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

async fn axon(context: &Context, arguments: &[&str]) -> Said {
    end(start(context, arguments)).await
}

async fn make(context: &Context, name: &str, metadata: &Value, status: &Value) {
    let mut object = json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "Task", "metadata": {"name": name},
        "spec": {"type": "codex", "prompt": "say hello", "credentials": {"type": "none"}},
    });
    json_patch::merge(&mut object["metadata"], metadata);
    let tasks: Api<Task> = context.api();
    let task: Task = serde_json::from_value(object).unwrap();
    tasks.create(&PostParams::default(), &task).await.unwrap();
    set_status(context, name, status).await;
}

async fn set_status(context: &Context, name: &str, status: &Value) {
    let tasks: Api<Task> = context.api();
    let patch = Patch::Merge(json!({"status": status}));
    let params = PatchParams::default();
    tasks.patch_status(name, &params, &patch).await.unwrap();
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!([{"type": kind, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": "2026-01-01T00:00:00Z"}])
}

async fn words_become_a_task(context: Context) {
    let words = ["run", "-t", "codex", "--secret", "key", "-p", "say hello"];
    let words = |more: &[&'static str]| [&words[..], more].concat();
    axon(&context, &words(&["--name", "a", "--dry-run"]))
        .await
        .check(0, &["kind: Task", "say hello"]);
    let tasks: Api<Task> = context.api();
    assert!(tasks.get_opt("a").await.unwrap().is_none(), "a dry run");

    let made = axon(
        &context,
        &words(&["--name", "a", "--timeout", "2m", "--env", "A=b"]),
    )
    .await;
    made.check(0, &["Task/a created", "Secret \"key\" is not there"]);
    let task = tasks.get("a").await.unwrap();
    assert_eq!(task.spec.prompt, "say hello");
    let overrides = task.spec.pod_overrides.unwrap();
    assert_eq!(overrides.active_deadline_seconds, Some(120));
    assert_eq!(overrides.env[0].name, "A");

    axon(&context, &words(&["--name", "a"]))
        .await
        .check(1, &["Task \"a\" is there already"]);
    axon(&context, &words(&[])).await.check(0, &["Task/codex-"]);
    let all = tasks.list(&kube::api::ListParams::default()).await.unwrap();
    assert_eq!(all.items.len(), 2);
    axon(&context, &["run", "-p", "x"])
        .await
        .check(64, &["no Secret with the agent's key", "--secret"]);
}

async fn objects_are_listed_and_told_in_detail(context: Context) {
    axon(&context, &["get", "tasks"])
        .await
        .check(0, &["No tasks in"]);
    let done = json!({"phase": "Succeeded", "startTime": "2026-01-01T00:00:00Z",
        "completionTime": "2026-01-01T00:05:00Z", "outputs": ["branch: axon/x", "made a thing"],
        "usage": {"costUSD": 0.5, "turns": 3},
        "conditions": condition("Complete", "True", "Succeeded", "")});
    make(&context, "done", &json!({"labels": {"team": "web"}}), &done).await;
    let waits = condition(
        "Started",
        "False",
        "SecretNotFound",
        "Secret \"k\" is not there",
    );
    let waits =
        json!({"phase": "Pending", "message": "Secret \"k\" is not there", "conditions": waits});
    make(&context, "waits", &json!({}), &waits).await;

    let listed = axon(&context, &["get", "tasks"]).await;
    listed.check(
        0,
        &[
            "NAME", "DURATION", "COST", "5m", "$0.5000", "axon/x", "waits",
        ],
    );
    let some = axon(&context, &["get", "task", "--phase", "pending"]).await;
    assert!(!some.check(0, &["waits"]).out.contains("done"), "{some:#?}");
    let some = axon(&context, &["get", "tasks", "-l", "team=web", "-o", "name"]).await;
    assert_eq!(some.check(0, &[]).out, "task.axon.io/done\n");
    axon(&context, &["get", "task/done"])
        .await
        .check(0, &["Cost:", "made a thing", "say hello", "Complete=True"]);
    let path = "jsonpath={range .items[*]}{.metadata.name}={.status.phase}{\"\\n\"}{end}";
    let told = axon(&context, &["get", "tasks", "-o", path]).await;
    assert_eq!(told.check(0, &[]).out, "done=Succeeded\nwaits=Pending\n");
    let path = "jsonpath={.status.conditions[?(@.type==\"Started\")].reason}";
    let told = axon(&context, &["get", "task", "waits", "-o", path]).await;
    assert_eq!(told.check(0, &[]).out, "SecretNotFound");
    axon(&context, &["get", "task", "none"])
        .await
        .check(1, &["there is no Task \"none\"", "\"done\", \"waits\""]);
    axon(&context, &["get", "tasks", "-o", "jsonpath={..name}"])
        .await
        .check(64, &["is not understood"]);
    axon(&context, &["get", "cows"])
        .await
        .check(64, &["known are tasks"]);
}

async fn each_change_is_a_row(context: Context) {
    make(&context, "waits", &json!({}), &json!({"phase": "Pending"})).await;
    let mut watching = start(&context, &["get", "tasks", "-w"]);
    let out = watching.stdout.take().unwrap();
    let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(out));
    for _ in 0..2 {
        lines.next_line().await.unwrap().unwrap();
    }
    set_status(&context, "waits", &json!({"phase": "Running"})).await;
    let next = tokio::time::timeout(DEADLINE, lines.next_line())
        .await
        .unwrap();
    let next = next.unwrap().unwrap();
    assert!(
        next.starts_with("waits") && next.contains("Running"),
        "{next}"
    );
}

async fn a_task_is_cancelled_and_rerun(context: Context) {
    let tasks: Api<Task> = context.api();
    make(
        &context,
        "by-hand",
        &json!({}),
        &json!({"phase": "Running"}),
    )
    .await;
    axon(&context, &["cancel", "by-hand", "--no-wait"])
        .await
        .check(0, &["is being cancelled"]);
    let task = tasks.get("by-hand").await.unwrap();
    assert!(task.spec.cancelled);
    let managers = task.metadata.managed_fields.unwrap();
    assert!(
        managers
            .iter()
            .any(|it| it.manager.as_deref() == Some("axon-cli"))
    );

    let waiting = start(&context, &["cancel", "by-hand"]);
    let cancelled = json!({"phase": "Failed", "message": "cancelled",
        "conditions": condition("Failed", "True", "Cancelled", "cancelled")});
    set_status(&context, "by-hand", &cancelled).await;
    end(waiting).await.check(0, &["Task/by-hand"]);

    axon(&context, &["rerun", "by-hand", "--name", "again"])
        .await
        .check(0, &["Task/again created, as Task/by-hand was"]);
    let again = tasks.get("again").await.unwrap();
    assert!(!again.spec.cancelled && again.spec.prompt == "say hello");

    let declared = json!({"labels": {"axon.io/sync": "app"},
        "annotations": {"axon.io/origin": "github.com/acme/app#axon.yaml#Task/declared"}});
    make(
        &context,
        "declared",
        &declared,
        &json!({"phase": "Pending"}),
    )
    .await;
    axon(&context, &["rerun", "declared", "--no-fetch"])
        .await
        .check(1, &["is declared in git", "raise its \"rerun\""]);
    let spawned = json!({"labels": {"axon.io/taskspawner": "triage"}});
    make(&context, "triage-1", &spawned, &json!({"phase": "Failed"})).await;
    axon(&context, &["rerun", "triage-1"])
        .await
        .check(1, &["TaskSpawner \"triage\""]);
}

async fn what_is_deleted_is_gone_and_git_is_named(context: Context) {
    let tasks: Api<Task> = context.api();
    let declared = json!({"labels": {"axon.io/sync": "app"}});
    let pending = json!({"phase": "Pending"});
    make(&context, "declared", &declared, &pending).await;
    make(&context, "again", &json!({}), &pending).await;
    make(&context, "other", &json!({}), &pending).await;
    let told = axon(
        &context,
        &["delete", "tasks", "declared", "nobody", "again", "--wait"],
    )
    .await;
    told.check(
        1,
        &[
            "Task/declared deleted",
            "will make it again",
            "no Task \"nobody\"",
            "Task/again deleted",
        ],
    );
    axon(&context, &["delete", "tasks"])
        .await
        .check(64, &["--all"]);
    axon(&context, &["delete", "tasks", "--all", "--wait"])
        .await
        .check(0, &[]);
    let left = tasks.list(&kube::api::ListParams::default()).await.unwrap();
    assert!(left.items.is_empty());
}

async fn a_spawner_is_held(context: Context) {
    let spawners: Api<TaskSpawner> = context.api();
    let spawner = json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "TaskSpawner", "metadata": {"name": "nightly"},
        "spec": {"when": {"cron": {"schedule": "0 3 * * *"}}, "suspend": false, "taskTemplate": {
            "type": "codex", "credentials": {"type": "none"}, "promptTemplate": "x"}},
    });
    let params = PatchParams::apply("flux");
    spawners
        .patch("nightly", &params, &Patch::Apply(&spawner))
        .await
        .unwrap();
    axon(&context, &["suspend", "spawner/nightly"]).await.check(
        0,
        &[
            "TaskSpawner/nightly suspended",
            "set by \"flux\", which will set it back",
        ],
    );
    let suspended = async || spawners.get("nightly").await.unwrap().spec.suspend;
    assert!(suspended().await);
    axon(&context, &["resume", "ts", "nightly"])
        .await
        .check(0, &["resumed"]);
    assert!(!suspended().await);
    axon(&context, &["get", "ts"])
        .await
        .check(0, &["nightly", "cron 0 3 * * *"]);
}

async fn who_waits_is_told_why_and_how_it_ended(context: Context) {
    let waits = condition(
        "Started",
        "False",
        "SecretNotFound",
        "Secret \"k\" is not there",
    );
    let waits = json!({"phase": "Pending", "conditions": waits});
    make(&context, "a", &json!({}), &waits).await;
    make(&context, "b", &json!({}), &waits).await;
    let mut once = start(&context, &["logs", "b"]);
    let err = once.stderr.take().unwrap();
    let mut said = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(err));
    let first = tokio::time::timeout(DEADLINE, said.next_line()).await;
    let first = first.unwrap().unwrap().expect("it ended");
    assert!(
        first.contains("waits: SecretNotFound: Secret \"k\" is not there"),
        "{first}"
    );
    let mut following = start(&context, &["logs", "-f", "a", "b"]);
    let err = following.stderr.take().unwrap();
    let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(err));
    let mut seen = String::new();
    while !(seen.contains("a │ waits: SecretNotFound")
        && seen.contains("b │ waits: SecretNotFound"))
    {
        let line = tokio::time::timeout(DEADLINE, lines.next_line())
            .await
            .unwrap();
        seen.push_str(&line.unwrap().expect("it ended"));
    }
    for name in ["a", "b"] {
        let over = json!({"phase": "Failed", "message": "its Job is gone",
            "conditions": condition("Failed", "True", "JobLost", "its Job is gone")});
        set_status(&context, name, &over).await;
    }
    while let Some(line) = lines.next_line().await.unwrap() {
        seen.push_str(&line);
    }
    assert!(
        seen.contains("Task/a  Failed  JobLost: its Job is gone"),
        "{seen}"
    );
    end(following).await.check(1, &[]);
    // Who does not follow has not asked how it ends.
    end(once).await.check(0, &[]);
    // A Pod that has gone takes its log with it: that is said, and nothing hangs.
    make(
        &context,
        "c",
        &json!({}),
        &json!({"phase": "Succeeded", "podName": "gone"}),
    )
    .await;
    axon(&context, &["logs", "-f", "c"])
        .await
        .check(0, &["Pod \"gone\" is gone", "Task/c  Succeeded"]);
}
