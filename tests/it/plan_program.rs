//! `axon plan`, `diff` and `apply` as a person runs them: the program itself, against both servers.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Output;
use std::process::Stdio;

use axon::api;
use axon::api::Task;
use axon::api::Workspace;
use axon::model::run::RunDigest;
use axon::model::run::RunScope;
use axon::model::run::record_name;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::DeleteParams;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::api::PostParams;
use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde_json::Value;
use serde_json::json;
use tokio::io::AsyncBufReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::io::BufReader;
use tokio::process::Child;
use tokio::process::Command;

use crate::git_server::GitRepo;
use crate::on_both_servers;
use crate::server::Context;
use crate::server::DEADLINE;
use crate::server::eventually;

on_both_servers!(
    a_plan_is_shown_in_three_forms,
    a_conflict_names_the_way_out_and_that_leads_out,
    only_yes_is_taken_as_yes_on_a_terminal,
    a_saved_plan_is_carried_out_once,
    a_saved_plan_is_stale_when_anything_moved,
    a_saved_plan_of_another_cluster_or_time_is_refused,
    a_saved_plan_of_a_repository_is_of_its_commit,
    differences_have_exit_codes,
    tasks_are_waited_for_with_their_reasons,
    a_wait_that_ends_names_what_is_open,
    a_directory_is_followed,
    output_that_nobody_reads_ends_quietly,
);

/// A value that must appear nowhere.
const CANARY: &str = "canary-77aa-secret-value";

/// A configuration with a secret value; `more` are further Tasks.
fn config(reference: &str, more: &str) -> String {
    format!(
        "apiVersion: axon.io/v1alpha1\nkind: Config\nsync: app\n\
         defaults: {{type: claude-code, credentials: {{type: none}}, workspace: app}}\n\
         workspaces: {{app: {{repo: 'https://example.com/acme/app.git', ref: {reference}}}}}\n\
         spawners:\n  nightly:\n    when: {{cron: {{schedule: '0 3 * * *'}}}}\n    prompt: look\n    \
         podOverrides: {{env: [{{name: KEY, value: {CANARY}}}]}}\n\
         tasks:\n  port: {{prompt: port it}}\n{more}"
    )
}

/// A directory with a configuration, and the server that the program is to use.
struct Place<'a> {
    context: &'a Context,
    dir: tempfile::TempDir,
}

impl<'a> Place<'a> {
    fn new(context: &'a Context) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = Self { context, dir };
        place.write(&config("main", ""));
        place
    }

    fn write(&self, config: &str) {
        fs::write(self.dir.path().join("axon.yaml"), config).unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_axon"));
        command
            .args(args)
            .args(["--namespace", &self.context.namespace, "--kubeconfig"])
            .arg(&self.context.kubeconfig)
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs the program, and expects this exit code. Gives what it printed.
    async fn axon(&self, args: &[&str], code: i32) -> (String, String) {
        let output = tokio::time::timeout(DEADLINE, self.command(args).output());
        let Output {
            status,
            stdout,
            stderr,
        } = output.await.expect("it ends").unwrap();
        let (out, err) = (text(&stdout), text(&stderr));
        assert_eq!(status.code(), Some(code), "{args:?}\n{out}\n{err}");
        assert!(!out.contains(CANARY) && !err.contains(CANARY), "{out}{err}");
        (out, err)
    }

    /// As [`Self::axon`], on a terminal on which this is typed.
    async fn typed(&self, args: &[&str], line: &str, code: i32) -> String {
        let plain = self.command(args);
        let plain = plain.as_std();
        let quoted = |it: &std::ffi::OsStr| format!("'{}'", it.to_str().unwrap());
        let words = std::iter::once(plain.get_program()).chain(plain.get_args());
        let words: Vec<String> = words.map(quoted).collect();
        let mut script = Command::new("script");
        script
            .args([
                "--quiet",
                "--return",
                "--command",
                &format!("{} --color never", words.join(" ")),
                "/dev/null",
            ])
            .current_dir(self.dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut running = script.spawn().unwrap();
        let mut keys = running.stdin.take().unwrap();
        keys.write_all(line.as_bytes()).await.unwrap();
        let ended = tokio::time::timeout(DEADLINE, running.wait_with_output());
        let output = ended.await.expect("it ends").unwrap();
        let shown = text(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{args:?}\n{shown}");
        drop(keys);
        shown
    }

    async fn phase(&self, name: &str, status: &Value) {
        let tasks: Api<Task> = self.context.api();
        let patch = Patch::Merge(json!({"status": status}));
        let params = PatchParams::default();
        tasks.patch_status(name, &params, &patch).await.unwrap();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[track_caller]
fn holds(text: &str, expected: &[&str]) {
    for part in expected {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
}

async fn a_plan_is_shown_in_three_forms(context: Context) {
    let place = Place::new(&context);
    place.axon(&["apply", "--yes"], 0).await;
    let changed = config("next", "  new: {prompt: new}\n");
    place.write(&changed.replace(CANARY, &format!("{CANARY}-2")));

    let (out, _) = place.axon(&["plan"], 0).await;
    holds(
        &out,
        &[
            "  ~ Workspace/app             update\n      spec.ref: \"main\" -> \"next\"\n",
            "env[0].value: (sensitive) -> (sensitive)\n",
            "  + Task/new                  create\n",
            "Plan: 1 to create, 2 to update, 1 unchanged.\nAgent runs this plan starts: 1.\n",
        ],
    );

    let not_asked = "The API server was not asked (--no-dry-run)";
    assert!(!out.contains(not_asked));
    for form in ["text", "markdown"] {
        let (out, _) = place.axon(&["plan", "--no-dry-run", "-o", form], 0).await;
        holds(&out, &[not_asked]);
    }

    let (out, _) = place.axon(&["plan", "-o", "json"], 0).await;
    let document: Value = serde_json::from_str(&out).unwrap();
    let schema = jsonschema::validator_for(&api::plan_schema()).unwrap();
    let problems: Vec<String> = schema
        .iter_errors(&document)
        .map(|problem| format!("{}: {problem}", problem.instance_path()))
        .collect();
    assert!(problems.is_empty(), "{problems:#?}\n{out}");
    assert_eq!(document["formatVersion"], 1);
    assert_eq!(document["runs"]["starts"], 1);
    assert_eq!(document["steps"][0]["action"], "update");
    assert_eq!(
        document["steps"][0]["changes"],
        json!([{"path": "spec.ref", "before": {"value": "main"}, "after": {"value": "next"}}])
    );
    let hidden = json!({"value": "(sensitive)", "sensitive": true});
    assert_eq!(document["steps"][1]["changes"][0]["after"], hidden);

    let (out, _) = place.axon(&["plan", "--output=markdown"], 0).await;
    holds(
        &out,
        &[
            "### Axon plan: 1 to create, 2 to update, 1 unchanged\n",
            "```diff\n@@ spec.ref @@\n- \"main\"\n+ \"next\"\n```\n",
        ],
    );
}

async fn a_conflict_names_the_way_out_and_that_leads_out(context: Context) {
    let place = Place::new(&context);
    place.axon(&["apply", "--yes"], 0).await;
    let file = fs::read_to_string(place.file("axon.yaml")).unwrap();
    place.write(&file.replace("sync: app\n", "sync: renamed\n"));
    for command in [&["plan"][..], &["apply", "--yes"]] {
        let (_, told) = place.axon(command, 5).await;
        holds(
            &told,
            &["hint: if sync \"", ": axon apply --take-over-sync "],
        );
    }
    let (_, told) = place.axon(&["plan"], 5).await;
    let flags = told.split_once(": axon apply ").unwrap().1;
    let flags = flags.split_once(';').unwrap().0.split(' ');
    let command: Vec<&str> = ["apply", "--yes"].into_iter().chain(flags).collect();
    place.axon(&command, 0).await;
    let (out, _) = place.axon(&["plan"], 0).await;
    holds(&out, &["No changes."]);
}

async fn only_yes_is_taken_as_yes_on_a_terminal(context: Context) {
    let place = Place::new(&context);
    let workspaces: Api<Workspace> = context.api();
    for answer in ["no\n", "y\n", "\n"] {
        let shown = place.typed(&["apply"], answer, 1).await;
        holds(
            &shown,
            &["Plan: 3 to create", "Apply this?", "Nothing was applied."],
        );
        assert!(workspaces.get_opt("app").await.unwrap().is_none());
    }
    let shown = place.typed(&["apply"], "yes\n", 0).await;
    holds(&shown, &["Apply this?", "Applied: 3 created."]);
    assert!(workspaces.get_opt("app").await.unwrap().is_some());
    // Where there is nothing to do, nobody is asked.
    let shown = place.typed(&["apply"], "", 0).await;
    assert!(!shown.contains("Apply this?"), "{shown}");
}

async fn a_saved_plan_is_carried_out_once(context: Context) {
    let place = Place::new(&context);
    let (_, err) = place.axon(&["plan", "--out", "plan"], 0).await;
    holds(&err, &["Carry out exactly this: axon apply plan\n"]);
    let file = place.file("plan");
    let saved = fs::read_to_string(&file).unwrap();
    assert!(!saved.contains(CANARY), "{saved}");
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );

    for flag in [
        &["--ref=x"][..],
        &["--path=x"],
        &["--adopt"],
        &["--force-conflicts"],
        &["--allow-delete=1"],
        &["--allow-runs=1"],
        &["--no-dry-run"],
        &["--watch"],
    ] {
        let args = [&["apply", "plan", "--yes"], flag].concat();
        let (_, err) = place.axon(&args, 64).await;
        holds(&err, &["cannot be used with a saved plan"]);
    }
    let (out, err) = place.axon(&["apply", "plan", "--yes"], 0).await;
    holds(&out, &["Applied: 3 created.\n"]);
    holds(&err, &["created Workspace/app\n", "created Task/port\n"]);
    let (_, err) = place.axon(&["apply", "plan", "--yes"], 4).await;
    holds(
        &err,
        &["error: the plan in \"plan\" is stale", "Task/port appeared"],
    );
    // A plan without changes is one too.
    place.axon(&["plan", "--out", "plan"], 0).await;
    place.axon(&["apply", "plan", "--yes"], 0).await;
}

async fn a_saved_plan_is_stale_when_anything_moved(context: Context) {
    let place = Place::new(&context);
    place.axon(&["apply", "--yes"], 0).await;
    place.write(&config("next", "  new: {prompt: new}\n"));
    let tasks: Api<Task> = context.api();
    let stale = async |expected: &str| {
        let (_, err) = place.axon(&["apply", "plan", "--yes"], 4).await;
        holds(&err, &["is stale", expected, "hint: plan again"]);
        place.axon(&["plan", "--out", "plan"], 0).await;
    };
    place.axon(&["plan", "--out", "plan"], 0).await;

    // An object that the plan leaves as it is.
    let patch = async |patch: Value| {
        let params = PatchParams::default();
        tasks
            .patch("port", &params, &Patch::Merge(patch))
            .await
            .unwrap();
    };
    patch(json!({"spec": {"ttlSecondsAfterFinished": 60}})).await;
    stale("Task/port was changed (generation 1 -> 2)").await;
    patch(json!({"metadata": {"annotations": {"axon.io/prune": "disabled"}}})).await;
    stale("labels or annotations of Task/port were changed").await;

    // The files.
    place.write(&config("other", "  new: {prompt: new}\n"));
    stale("the files in \".\" were changed").await;

    // A run that someone else began.
    let name = record_of("new", "new");
    let record: ConfigMap = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {"axon.io/record": "run", "axon.io/sync": "app"}},
        "data": {"task": "new", "run": "x"},
    }))
    .unwrap();
    let records: Api<ConfigMap> = context.api();
    records
        .create(&PostParams::default(), &record)
        .await
        .unwrap();
    stale("the run of Task/new has begun or is over").await;

    // A status is no move.
    place.phase("port", &json!({"phase": "Running"})).await;
    let (out, _) = place.axon(&["apply", "plan", "--yes"], 0).await;
    holds(&out, &["1 updated"]);

    place.write(&config("main", ""));
    place.axon(&["plan", "--out", "plan"], 0).await;
    tasks
        .delete("port", &DeleteParams::default())
        .await
        .unwrap();
    eventually("the Task is gone", async || {
        tasks.get_opt("port").await.unwrap().is_none().then_some(())
    })
    .await;
    stale("Task/port is gone").await;
}

/// Name of the record of a declared Task of [`config`].
fn record_of(task: &str, prompt: &str) -> String {
    let spec = json!({
        "prompt": prompt, "type": "claude-code", "credentials": {"type": "none"},
        "workspaceRef": {"name": "app"},
    });
    let scope = RunScope::Sync {
        sync: "app".into(),
        task: task.into(),
    };
    record_name(&scope, &RunDigest::of(&spec, 0))
}

async fn a_saved_plan_of_another_cluster_or_time_is_refused(context: Context) {
    let place = Place::new(&context);
    place
        .axon(&["plan", "--out", "plan", "--expires", "0s"], 0)
        .await;
    let (_, err) = place.axon(&["apply", "plan", "--yes"], 4).await;
    holds(&err, &["its time was over at 20"]);

    place.axon(&["plan", "--out", "plan"], 0).await;
    let file = place.file("plan");
    let saved = fs::read_to_string(&file).unwrap();
    let namespaces: Api<Namespace> = Api::all(context.client.clone());
    let system = namespaces.get("kube-system").await.unwrap();
    let uid = system.metadata.uid.unwrap();
    assert!(saved.contains(&uid), "{saved}");
    fs::write(&file, saved.replace(&uid, "another")).unwrap();
    let (_, err) = place.axon(&["apply", "plan", "--yes"], 4).await;
    holds(&err, &["this is another cluster: it was planned at http"]);

    fs::write(&file, &saved[..saved.len() / 2]).unwrap();
    let (_, err) = place.axon(&["apply", "plan", "--yes"], 1).await;
    holds(&err, &["cannot read the plan in \"plan\"", "it is cut off"]);
    let (_, err) = place.axon(&["plan", "--out", "axon.yaml"], 64).await;
    holds(&err, &["it is there and no saved plan"]);

    fs::write(&file, saved).unwrap();
    let mut elsewhere = place.command(&["apply", "plan", "--yes"]);
    elsewhere.env("AXON_NAMESPACE", "elsewhere");
    // The flag wins over the environment, so this is still the plan's namespace.
    assert_eq!(elsewhere.output().await.unwrap().status.code(), Some(0));
}

async fn a_saved_plan_of_a_repository_is_of_its_commit(context: Context) {
    let place = Place::new(&context);
    let repo = GitRepo::new(place.dir.path(), "app.git");
    let first = repo.commit(&[("axon.yaml", &config("main", ""))]);
    let url = repo.file_url();
    place.axon(&["plan", &url, "--out", "plan"], 0).await;
    repo.commit(&[("axon.yaml", &config("next", ""))]);
    place.axon(&["apply", "plan", "--yes"], 0).await;
    let workspaces: Api<Workspace> = context.api();
    let app = workspaces.get("app").await.unwrap();
    assert_eq!(app.spec.reference.as_deref(), Some("main"));

    let (out, _) = place.axon(&["plan", &url], 0).await;
    holds(&out, &["spec.ref: \"main\" -> \"next\""]);
    let (out, _) = place.axon(&["plan", &url, "--ref", &first], 0).await;
    holds(&out, &["No changes."]);

    // A commit that the repository has lost is one that has moved.
    place.axon(&["plan", &url, "--out", "lost"], 0).await;
    repo.git(&["reset", "--hard", "--quiet", &first]);
    repo.forget();
    let (_, told) = place.axon(&["apply", "lost", "--yes"], 4).await;
    holds(&told, &["is stale", "has no commit"]);
}

async fn differences_have_exit_codes(context: Context) {
    let place = Place::new(&context);
    place.axon(&["diff"], 1).await;
    place.axon(&["plan", "--detailed-exitcode"], 2).await;
    place.axon(&["apply", "--yes"], 0).await;
    let (out, _) = place.axon(&["diff"], 0).await;
    assert_eq!(out, "No changes.\n");
    place.axon(&["plan", "--detailed-exitcode"], 0).await;
    place.axon(&["diff", "nowhere"], 2).await;
    place.axon(&["diff", "--nonsense"], 64).await;
    let (_, err) = place.axon(&["plan", "nowhere"], 1).await;
    holds(&err, &["cannot read \"nowhere\""]);

    // Four of five objects would go: the plan is shown, and nothing is saved.
    place.write(&config(
        "main",
        "  a: {prompt: a}\n  b: {prompt: b}\n  c: {prompt: c}\n",
    ));
    place.axon(&["apply", "--yes"], 0).await;
    place.write("apiVersion: axon.io/v1alpha1\nkind: Config\nsync: app\n");
    let (out, err) = place.axon(&["plan", "-o=json", "--out=plan"], 3).await;
    holds(&out, &["\"code\": \"EmptyGuard\"", "\"count\": 6"]);
    holds(&err, &["--allow-delete=6"]);
    assert!(!place.file("plan").exists());
    place
        .axon(&["plan", "--out=plan", "--allow-delete=6"], 0)
        .await;
    let (out, _) = place.axon(&["apply", "plan", "--yes"], 0).await;
    holds(&out, &["6 deleted"]);
}

async fn tasks_are_waited_for_with_their_reasons(context: Context) {
    let place = Place::new(&context);
    let mut child = place
        .command(&["apply", "--yes", "--wait"])
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut until = async |expected: &str| {
        let seen = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if line == expected {
                    return;
                }
            }
            panic!("it ended before {expected:?}");
        };
        let seen = tokio::time::timeout(DEADLINE, seen).await;
        seen.unwrap_or_else(|_| panic!("not seen: {expected:?}"));
    };
    until("Task/port  Pending").await;
    let waits = json!({"phase": "Pending", "conditions": [{
        "type": "Started", "status": "False", "reason": "SecretNotFound",
        "message": "Secret \"key\" is not there", "lastTransitionTime": "2026-01-01T00:00:00Z",
    }]});
    place.phase("port", &waits).await;
    until("Task/port  Pending: SecretNotFound: Secret \"key\" is not there").await;
    place.phase("port", &json!({"phase": "Running"})).await;
    until("Task/port  Running").await;
    place.phase("port", &json!({"phase": "Succeeded"})).await;
    until("Task/port  Succeeded").await;
    let output = ended(child).await;
    assert_eq!(output.status.code(), Some(0));
    holds(&text(&output.stdout), &["Task/port  Succeeded\n"]);
}

async fn a_wait_that_ends_names_what_is_open(context: Context) {
    let place = Place::new(&context);
    let (_, err) = place
        .axon(&["apply", "--yes", "--wait=started", "--timeout=8s"], 6)
        .await;
    holds(
        &err,
        &[
            "error: not all Tasks have begun within 8s",
            "caused by: Task/port: Pending",
        ],
    );
    place.phase("port", &json!({"phase": "Failed"})).await;
    place.axon(&["apply", "--yes", "--wait=started"], 1).await;
}

async fn a_directory_is_followed(context: Context) {
    let place = Place::new(&context);
    let mut child = place
        .command(&["apply", "--yes", "--watch"])
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut applied = async |expected: &str| {
        let seen = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if line.starts_with("Applied: ") {
                    assert!(line.starts_with(expected), "{line}");
                    return;
                }
            }
            panic!("it ended before {expected:?}");
        };
        let seen = tokio::time::timeout(DEADLINE, seen).await;
        seen.unwrap_or_else(|_| panic!("not seen: {expected:?}"));
    };
    applied("Applied: 3 created").await;
    place.write("kind: nonsense\n");
    place.write(&config("next", ""));
    applied("Applied: 1 updated").await;
    let pid = i32::try_from(child.id().unwrap()).unwrap();
    kill(Pid::from_raw(pid), Signal::SIGINT).unwrap();
    assert_eq!(ended(child).await.status.code(), Some(130));
    let (_, err) = place
        .axon(&["apply", "--yes", "--watch", "file:///nowhere"], 64)
        .await;
    holds(&err, &["--watch needs a directory"]);
}

async fn output_that_nobody_reads_ends_quietly(context: Context) {
    let place = Place::new(&context);
    let tasks: Vec<String> = (0..500)
        .map(|n| format!("  t{n}: {{prompt: x}}\n"))
        .collect();
    let tasks = tasks.concat();
    place.write(&config("main", &tasks));
    let mut child = place.command(&["plan", "--no-dry-run"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = ended(child).await;
    let err = text(&output.stderr);
    assert!(!err.contains("panicked"), "{err}");
    assert_eq!(output.status.code(), Some(0), "{err}");
}

async fn ended(child: Child) -> Output {
    let ended = tokio::time::timeout(DEADLINE, child.wait_with_output());
    ended.await.expect("it ends").unwrap()
}
