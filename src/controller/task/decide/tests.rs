use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use serde_json::json;

use super::super::fixture::*;
use super::super::needs::FoundSecret;
use super::super::needs::FoundWorkspace;
use super::super::needs::Key;
use super::super::needs::SecretState;
use super::super::news::What;
use super::*;
use crate::api::labels;

/// What is found when all is there that a Task without workspace needs.
fn all_there() -> Needs {
    needs(
        FoundWorkspace::NotAsked,
        vec![secret(
            "key",
            "ANTHROPIC_API_KEY",
            Some(&["ANTHROPIC_API_KEY"]),
        )],
    )
}

fn needs(workspace: FoundWorkspace, secrets: Vec<FoundSecret>) -> Needs {
    Needs {
        dependencies: Vec::new(),
        cycle: None,
        workspace,
        secrets,
        named: BTreeMap::new(),
        branch: None,
    }
}

fn secret(name: &str, key: &'static str, keys: Option<&[&str]>) -> FoundSecret {
    FoundSecret {
        wanted: Key {
            secret: name.into(),
            key,
        },
        state: keys
            .map(|it| it.iter().map(ToString::to_string).collect())
            .into(),
    }
}

/// The step in a few words.
fn told(step: Step) -> String {
    match step {
        Step::Rest => "rest".into(),
        Step::Return(after) => format!("return in {after:?}"),
        Step::Delete => "delete".into(),
        Step::Start { start, branch } => {
            let branch = branch.map(|_| " on its branch").unwrap_or_default();
            match start.attempt {
                1 => format!("start {}{branch}", start.image),
                attempt => format!("start attempt {attempt}{branch}"),
            }
        }
        Step::Adopt { attempt, job } => format!("adopt {} as attempt {attempt}", job.name),
        Step::Release { job } => format!("release {}", job.name),
        Step::Stop(Stop::Pod { name, .. }) => format!("stop Pod {name}"),
        Step::Stop(Stop::Job { name, version, .. }) => match version {
            Some(_) => format!("delete Job {name} as it is"),
            None => format!("delete Job {name}"),
        },
        Step::Report { news, again } => {
            let again = again
                .map(|it| format!(", again in {it:?}"))
                .unwrap_or_default();
            let what = match news.what {
                What::Waiting(reason, message) => format!("waits {}: {message}", reason.as_str()),
                What::Made { attempt, job } => format!("made {} as attempt {attempt}", job.name),
                What::Again(again) => format!("again at {}: {}", again.at, again.message),
                What::Running => "runs".into(),
                What::Outlived { message, disrupted } => {
                    let whose = if disrupted { "disrupted " } else { "" };
                    format!("outlived {whose}{message}")
                }
                What::Ended(ending) => {
                    format!("ended {}: {}", ending.reason.as_str(), ending.message)
                }
            };
            format!("{what}{again}")
        }
    }
}

#[track_caller]
fn check(task: &Task, sight: &Sight, expected: &str) {
    let mut options = Options::default();
    options.images = options
        .images
        .with(crate::api::task::AgentType::ClaudeCode, "claude:1");
    assert_eq!(told(decide(task, sight, &options, now())), expected);
}

fn unseen(needs: &Needs) -> Sight {
    Sight::Before {
        needs: Box::new(needs.clone()),
        holder: None,
    }
}

#[test]
fn a_task_with_all_it_needs_starts() {
    let needs = all_there();
    check(&task("a"), &unseen(&needs), "start claude:1");
    let own = task("a").with(&json!({"spec": {"image": "mine:2"}}));
    check(&own, &unseen(&needs), "start mine:2");
}

#[test]
fn a_start_that_was_broken_off_goes_on() {
    let needs = all_there();
    for reason in ["Starting", "SecretNotFound", "JobRefused"] {
        check(
            &task("a").claimed(reason),
            &unseen(&needs),
            "start claude:1",
        );
    }
}

#[test]
fn a_broken_spec_ends_the_task_with_all_its_problems() {
    let needs = all_there();
    let broken = task("a").with(&json!({"spec": {"prompt": "", "branch": "a..b"}}));
    check(
        &broken,
        &unseen(&needs),
        "ended InvalidSpec: spec.prompt: a prompt has at least one byte; spec.branch: \
         \"a..b\" is not a branch name: it has no \"..\" or \"@{\" and does not end with \".\"",
    );
    // The schema refuses this one; an object from before the schema may hold it.
    let none = task("a").with(&json!({"spec": {"type": "custom"}}));
    check(
        &none,
        &unseen(&needs),
        "ended InvalidSpec: spec.image: an agent of type \"custom\" needs an image",
    );
}

#[test]
fn a_missing_workspace_is_waited_for() {
    let asks = task("a").with(&json!({"spec": {"workspaceRef": {"name": "wbe"}}}));
    let missing = |others: &[&str]| {
        let others = others.iter().map(ToString::to_string).collect();
        needs(FoundWorkspace::Missing { others }, vec![])
    };
    check(
        &asks,
        &unseen(&missing(&["api", "web"])),
        "waits WorkspaceNotFound: Workspace \"wbe\" is not in namespace \"team\"; \
         Workspaces there: \"api\", \"web\", again in 2.5s",
    );
    check(
        &asks,
        &unseen(&missing(&[])),
        "waits WorkspaceNotFound: Workspace \"wbe\" is not in namespace \"team\"; \
         Workspaces there: none, again in 2.5s",
    );
}

#[test]
fn a_workspace_that_cannot_be_used_is_waited_for() {
    let asks = task("a").with(&json!({"spec": {"workspaceRef": {"name": "web"}}}));
    let found = |spec: &Value| needs(FoundWorkspace::Found(Box::new(workspace(spec))), vec![]);
    check(
        &asks,
        &unseen(&found(&json!({"repo": "file:///srv/web"}))),
        "waits WorkspaceInvalid: Workspace \"web\" cannot be used: this controller does not allow \
         file:// repositories, again in 2.5s",
    );
    let with_token = found(&json!({"repo": "https://bob:hunter2@example.com/a/b"}));
    let options = Options::default();
    let said = told(decide(&asks, &unseen(&with_token), &options, now()));
    assert!(
        said.starts_with("waits WorkspaceInvalid") && !said.contains("hunter2"),
        "{said}"
    );
    let local = Options {
        allow_file_urls: true,
        ..Options::default()
    };
    let file = found(&json!({"repo": "file:///srv/web"}));
    assert!(matches!(
        decide(&asks, &unseen(&file), &local, now()),
        Step::Start { .. }
    ));
}

#[test]
fn a_missing_secret_or_key_is_waited_for() {
    let none = needs(
        FoundWorkspace::NotAsked,
        vec![secret("key", "ANTHROPIC_API_KEY", None)],
    );
    check(
        &task("a"),
        &unseen(&none),
        "waits SecretNotFound: Secret \"key\" is not in namespace \"team\"; it must have the key \
         \"ANTHROPIC_API_KEY\", again in 2.5s",
    );
    let other = needs(
        FoundWorkspace::NotAsked,
        vec![secret("key", "ANTHROPIC_API_KEY", Some(&["apiKey", "x"]))],
    );
    check(
        &task("a"),
        &unseen(&other),
        "waits SecretKeyMissing: Secret \"key\" has no key \"ANTHROPIC_API_KEY\"; its keys: \
         \"apiKey\", \"x\", again in 2.5s",
    );
}

#[test]
fn the_longer_it_waits_the_rarer_it_looks() {
    let at = |text: &str| recheck(&task("a"), text.parse().unwrap());
    assert_eq!(at("2026-03-01T11:59:50Z"), Duration::from_secs(2));
    assert_eq!(at("2026-03-01T12:01:30Z"), Duration::from_secs(25));
    assert_eq!(at("2026-04-01T12:00:00Z"), Duration::from_mins(1));
    // A clock that went back.
    assert_eq!(at("2025-01-01T00:00:00Z"), Duration::from_secs(2));
}

#[test]
fn a_job_of_this_name_that_is_not_ours() {
    let needs = all_there();
    let claimed = task("a").claimed("Starting");
    let mut other = job(&claimed, &[]);
    let held = |holder: &Job, expected: &str| {
        let sight = Sight::Before {
            needs: Box::new(needs.clone()),
            holder: Some(Arc::new(holder.clone())),
        };
        check(&claimed, &sight, expected);
    };
    other.metadata.owner_references.as_mut().unwrap()[0].uid = "earlier-uid".into();
    held(
        &other,
        "waits Starting: an earlier Task of this name still has Job \"a\", again in 2.5s",
    );
    let mut of_others = other.clone();
    of_others.metadata.owner_references.as_mut().unwrap()[0].api_version = "tekton.dev/v1".into();
    other.metadata.owner_references = None;
    for foreign in [&of_others, &other] {
        held(
            foreign,
            "ended NameTaken: Job \"a\" is not of this Task; delete that Job and create this Task \
             anew, or create one of another name",
        );
    }
    for (label, way) in [
        (labels::SYNC, "raise \"rerun\""),
        (labels::TASK_SPAWNER, "let the work item stop matching"),
    ] {
        let task = claimed
            .clone()
            .with(&json!({"metadata": {"labels": {label: "x"}}}));
        let said = told(report(ownership::name_taken(&task, &other)));
        assert!(said.contains(way), "{said}");
    }
}

/// What is decided for a Task whose run has begun, given its Job and Pod.
#[track_caller]
fn check_begun(task: &Task, job: Option<&Job>, pod: Option<&Pod>, expected: &str) {
    check(task, &sight(job, pod), expected);
}

fn sight(job: Option<&Job>, pod: Option<&Pod>) -> Sight {
    Sight::Begun {
        job: job.cloned().map(Arc::new),
        pod: pod.cloned().map(Arc::new),
        refusal: None,
    }
}

#[test]
fn a_run_is_followed() {
    let new = task("a").claimed("Starting");
    let ours = job(&new, &[]);
    check_begun(
        &new,
        Some(&ours),
        None,
        "waits PodPending: Job \"a\" has no Pod yet",
    );
    let going = pod(&new, &containers("Running", &ended(0, ""), &runs()));
    check_begun(&new, Some(&ours), Some(&going), "runs");
    let report = r#"{"version":1,"outputs":[],"results":{},"exitCode":0,"succeeded":true}"#;
    let done = pod(
        &new,
        &containers("Succeeded", &ended(0, ""), &ended(0, report)),
    );
    check_begun(
        &new,
        Some(&ours),
        Some(&done),
        "ended Succeeded: container \"claude-code\" finished",
    );
}

#[test]
fn a_pod_of_another_job_is_not_looked_at() {
    let new = task("a").claimed("Starting");
    let mut other = job(&new, &[]);
    other.metadata.uid = Some("another-job".into());
    let done = pod(&new, &containers("Succeeded", &ended(0, ""), &ended(0, "")));
    check_begun(
        &new,
        Some(&other),
        Some(&done),
        "waits PodPending: Job \"a\" has no Pod yet",
    );
}

#[test]
fn a_failed_container_may_settle_before_it_is_judged() {
    let going = task("a").running();
    let ours = job(&going, &[]);
    let failed = |phase: &str| pod(&going, &containers(phase, &ended(0, ""), &ended(137, "")));
    check_begun(
        &going,
        Some(&ours),
        Some(&failed("Running")),
        "return in 8s",
    );
    check_begun(
        &going,
        Some(&ours),
        Some(&failed("Failed")),
        "ended AgentFailed: container \"claude-code\" failed with exit code 137",
    );
}

#[test]
fn a_lost_job_is_the_end_and_not_a_new_start() {
    let lost = "ended JobLost: Job \"a\" is gone, and how it ended with it";
    for seen in [
        task("a").running(),
        task("a").claimed("PodPending"),
        task("a").claimed("ImagePullFailed"),
        task("a").claimed("Cloning"),
    ] {
        assert_eq!(stage(&seen), Stage::Begun(1));
        check_begun(&seen, None, None, lost);
        // One of the same name that somebody else made is not ours.
        let mut foreign = job(&seen, &[("Complete", "")]);
        foreign.metadata.owner_references = None;
        check_begun(&seen, Some(&foreign), None, lost);
    }
}

#[test]
fn a_pod_that_outlives_its_job_still_tells() {
    let going = task("a").running();
    let left = pod(&going, &containers("Running", &ended(0, ""), &runs()));
    check_begun(&going, None, Some(&left), "runs");
    let done = pod(
        &going,
        &containers("Succeeded", &ended(0, ""), &ended(0, "")),
    );
    check_begun(
        &going,
        None,
        Some(&done),
        "ended Succeeded: container \"claude-code\" finished",
    );
    // Without the Job only the Pod that we knew is believed.
    let unknown = task("a").claimed("PodPending");
    check_begun(
        &unknown,
        None,
        Some(&done),
        "ended JobLost: Job \"a\" is gone, and how it ended with it",
    );
    // Or one that says itself whose it is.
    let says = |uid: &str| {
        let mut pod = done.clone();
        let annotation = (labels::TASK_UID.to_owned(), uid.to_owned());
        pod.metadata.annotations = Some([annotation].into());
        pod
    };
    let new = task("a").claimed("Starting");
    let own = says("task-uid");
    check_begun(
        &new,
        None,
        Some(&own),
        "ended Succeeded: container \"claude-code\" finished",
    );
    assert!(!ownership::belongs(&says("earlier-uid"), &new, None));
}

const FINISHED: Sight = Sight::Finished {
    left: None,
    needed: false,
};

#[test]
fn a_finished_task_rests_until_its_time_has_passed() {
    for phase in ["Succeeded", "Failed"] {
        let done = task("a").finished(phase);
        check(&done, &FINISHED, "rest");
        // Whatever may be seen around it.
        let needs = all_there();
        check(&done, &unseen(&needs), "rest");
        check_begun(&done, None, None, "rest");
        let ttl = |seconds: i32| {
            done.clone()
                .with(&json!({"spec": {"ttlSecondsAfterFinished": seconds}}))
        };
        check(&ttl(0), &FINISHED, "delete");
        check(&ttl(1), &FINISHED, "delete");
        check(&ttl(31), &FINISHED, "return in 30s");
        check(&ttl(i32::MAX), &FINISHED, "return in 2147483646s");
        // One that another depends on stays until that one has ended.
        let needed = Sight::Finished {
            left: None,
            needed: true,
        };
        check(&ttl(0), &needed, "return in 60s");
    }
}

#[test]
fn a_task_that_is_being_deleted_is_left_alone() {
    let gone = json!({"metadata": {"deletionTimestamp": "2026-03-01T12:00:00Z"}});
    let needs = all_there();
    for it in [task("a"), task("a").running(), task("a").finished("Failed")] {
        check(&it.with(&gone), &unseen(&needs), "rest");
    }
}

#[test]
fn a_job_that_was_made_is_told_of_before_it_runs() {
    let claimed = task("a").claimed("Starting");
    let held = held_back(&claimed);
    let made = Sight::Made {
        job: Arc::new(held.clone()),
    };
    check(&claimed, &made, "adopt a as attempt 1");
    let told = claimed.with(&json!({"status": {"attempts": 1}}));
    check_begun(&told, Some(&held), None, "release a");
    // A request that came late has made another, after the one that ran was deleted.
    let late = told
        .clone()
        .with(&json!({"status": {"jobUID": "of-the-first"}}));
    let lost = "ended JobLost: Job \"a\" is gone, and how it ended with it";
    check_begun(&late, Some(&held), None, lost);
    // Somebody else holds it back: that is not undone.
    let mut by_hand = held;
    let mark = (
        labels::RELEASED.to_owned(),
        labels::RELEASED_TRUE.to_owned(),
    );
    by_hand.metadata.annotations = Some([mark].into());
    check_begun(
        &told,
        Some(&by_hand),
        None,
        "waits PodPending: Job \"a\" has no Pod yet",
    );
    check_begun(&told, None, None, lost);
}

fn held_back(task: &Task) -> Job {
    let mut job = job(task, &[]);
    job.spec = serde_json::from_value(json!({"suspend": true, "template": {}})).unwrap();
    job.metadata.resource_version = Some("9".into());
    let mark = (
        labels::RELEASED.to_owned(),
        labels::RELEASED_FALSE.to_owned(),
    );
    job.metadata.annotations = Some([mark].into());
    job
}

#[test]
fn a_failed_attempt_is_followed_by_another() {
    let retries = json!({"spec": {"retry": {"limit": 1}}});
    let going = task("a").running().with(&retries);
    let ours = job(&going, &[]);
    let failed = |phase: &str| {
        let mut code = ended(3, "");
        // Long enough ago that the Pod had time to say why.
        code["terminated"]["finishedAt"] = json!("2026-03-01T11:59:00Z");
        pod(&going, &containers(phase, &ended(0, ""), &code))
    };
    check_begun(
        &going,
        Some(&ours),
        Some(&failed("Failed")),
        "again at 2026-03-01T12:00:30Z: attempt 1 failed: container \"claude-code\" failed with \
         exit code 3; the next one starts at 12:00:30 UTC",
    );
    // Not while the Pod is there.
    check_begun(
        &going,
        Some(&ours),
        Some(&failed("Running")),
        "outlived attempt 1 failed: container \"claude-code\" failed with exit code 3; the next one \
         waits for the end of Pod \"a-x\", again in 2.5s",
    );
    let second = going
        .clone()
        .with(&json!({"status": {"attempts": 2, "jobName": "a-2"}}));
    check_begun(
        &second,
        Some(&ours),
        Some(&failed("Failed")),
        "ended AgentFailed: container \"claude-code\" failed with exit code 3",
    );
}

fn between(due: &str) -> Task {
    task("a").claimed("WaitingForRetry").with(&json!({
        "spec": {"retry": {"limit": 1}},
        "status": {
            "attempts": 1, "retryTime": due,
            "message": "attempt 1 failed: why; the next one starts at 12:00:30 UTC",
        },
    }))
}

#[test]
fn the_next_attempt_starts_when_it_is_due() {
    let needs = all_there();
    let early = between("2026-03-01T12:00:30Z");
    check(&early, &Sight::Unneeded, "return in 30s");
    let due = between("2026-03-01T12:00:00Z");
    check(&due, &unseen(&needs), "start attempt 2");
    let none = needs_nothing_but_a_secret();
    check(
        &due,
        &unseen(&none),
        "waits SecretNotFound: Secret \"key\" is not in namespace \"team\"; it must have the key \
         \"ANTHROPIC_API_KEY\", again in 2.5s",
    );
}

fn needs_nothing_but_a_secret() -> Needs {
    needs(
        FoundWorkspace::NotAsked,
        vec![secret("key", "ANTHROPIC_API_KEY", None)],
    )
}

fn cancelled(task: Task) -> Task {
    task.with(&json!({"spec": {"cancelled": true}}))
}

#[test]
fn what_has_not_begun_is_cancelled_at_once() {
    let needs = all_there();
    let never = "ended Cancelled: cancelled before it started";
    check(&cancelled(task("a")), &Sight::Unneeded, never);
    check(&cancelled(task("a")), &unseen(&needs), never);
    let claimed = cancelled(task("a").claimed("Starting"));
    check(&claimed, &Sight::Unneeded, never);
    // A Job that is held back goes first, so that nobody releases it.
    let held = held_back(&claimed);
    let made = Sight::Made {
        job: Arc::new(held.clone()),
    };
    check(&claimed, &made, "delete Job a as it is");
    let told = claimed.with(&json!({"status": {"attempts": 1}}));
    check_begun(&told, Some(&held), None, "delete Job a as it is");
    check(
        &cancelled(between("2026-03-01T12:00:30Z")),
        &Sight::Unneeded,
        "ended Cancelled: cancelled between two attempts: attempt 1 failed: why",
    );
    let done = task("a").finished("Failed");
    let left = Sight::Finished {
        left: Some(Arc::new(held.clone())),
        needed: false,
    };
    check(&done, &left, "delete Job a as it is");
}

#[test]
fn what_runs_is_cancelled_with_its_last_words() {
    let going = cancelled(task("a").running());
    let ours = job(&going, &[]);
    let mut runs = pod(&going, &containers("Running", &ended(0, ""), &runs()));
    runs.spec = serde_json::from_value(json!({"containers": [], "nodeName": "n"})).unwrap();
    check_begun(&going, Some(&ours), Some(&runs), "stop Pod a-x");
    runs.spec.as_mut().unwrap().active_deadline_seconds = Some(1);
    check_begun(&going, Some(&ours), Some(&runs), "runs");
    let mut status = containers("Failed", &ended(0, ""), &ended(143, ""));
    status["reason"] = json!("DeadlineExceeded");
    status["message"] = json!("too long");
    let mut late = pod(&going, &status);
    late.spec = runs.spec;
    check_begun(
        &going,
        Some(&ours),
        Some(&late),
        "ended Cancelled: cancelled; Pod \"a-x\" was told to end",
    );
    check_begun(&going, Some(&ours), None, "delete Job a");
    check_begun(
        &going,
        None,
        None,
        "ended Cancelled: cancelled; Job \"a\" is gone, and how it ended with it",
    );
    // It had finished before anybody could stop it.
    let done = pod(
        &going,
        &containers("Succeeded", &ended(0, ""), &ended(0, "")),
    );
    check_begun(
        &going,
        Some(&ours),
        Some(&done),
        "ended Succeeded: container \"claude-code\" finished",
    );
}

#[test]
fn dependencies_come_before_everything_else() {
    let asks = task("a").with(&json!({"spec": {"dependsOn": ["b"]}}));
    let with = |status: Value| Needs {
        dependencies: vec![dependencies::Found {
            name: "b".into(),
            status: serde_json::from_value(status).unwrap(),
        }],
        ..needs_nothing_but_a_secret()
    };
    check(
        &asks,
        &unseen(&with(json!({"phase": "Running"}))),
        "waits WaitingForDependency: waits for Task \"b\" (Running), again in 2.5s",
    );
    check(
        &asks,
        &unseen(&with(json!({"phase": "Failed", "message": "why"}))),
        "ended DependencyFailed: Task \"b\" has failed: why",
    );
    let cycle = Needs {
        cycle: Some(vec!["a".into(), "b".into(), "a".into()]),
        ..with(json!({}))
    };
    check(
        &asks,
        &unseen(&cycle),
        "ended InvalidSpec: spec.dependsOn: a cycle: \"a\" → \"b\" → \"a\"",
    );
    let met = Needs {
        secrets: all_there().secrets,
        ..with(json!({"phase": "Succeeded", "results": {"v": "2"}}))
    };
    let Step::Start { start, .. } = decide(&asks, &unseen(&met), &Options::default(), now()) else {
        panic!("not started");
    };
    assert_eq!(
        start.dependencies.as_deref(),
        Some(r#"{"b":{"outputs":[],"phase":"Succeeded","results":{"v":"2"}}}"#)
    );
    let template = asks.with(&json!({"spec": {
        "prompt": "{{.Deps.b.Results.w}}", "promptSyntax": "GoTemplate",
    }}));
    let said = told(decide(&template, &unseen(&met), &Options::default(), now()));
    assert!(
        said.starts_with("ended InvalidSpec: spec.prompt: template: 1:"),
        "{said}"
    );
    // One that is no template ends at once.
    let broken = template.with(&json!({"spec": {"prompt": "{{if}}"}}));
    let waiting = with(json!({}));
    let said = told(decide(
        &broken,
        &unseen(&waiting),
        &Options::default(),
        now(),
    ));
    assert!(
        said.starts_with("ended InvalidSpec: spec.prompt: template: 1:"),
        "{said}"
    );
}

#[test]
fn a_branch_is_the_last_thing_that_is_waited_for() {
    let asks = task("a").with(&json!({"spec": {
        "workspaceRef": {"name": "web"}, "branch": "fix",
    }}));
    let web = workspace(&json!({"repo": "https://example.com/a/b"}));
    let found = |holder, secrets| Needs {
        branch: Some(branch::Found {
            lease: None,
            holder,
            ahead: None,
            workspace: None,
        }),
        ..needs(FoundWorkspace::Found(Box::new(web.clone())), secrets)
    };
    let held = || branch::Holder::Task("other".into());
    check(
        &asks,
        &unseen(&found(held(), all_there().secrets)),
        "waits WaitingForBranch: waits for branch \"fix\": Task \"other\" works on it, again in 2.5s",
    );
    let free = found(branch::Holder::Nobody, all_there().secrets);
    check(&asks, &unseen(&free), "start claude:1 on its branch");
    let ours = found(branch::Holder::Us, all_there().secrets);
    check(&asks, &unseen(&ours), "start claude:1");
    let no_secret = found(held(), needs_nothing_but_a_secret().secrets);
    let said = told(decide(
        &asks,
        &unseen(&no_secret),
        &Options::default(),
        now(),
    ));
    assert!(said.starts_with("waits SecretNotFound"), "{said}");
}

/// The Pod of a Task whose agent failed a while ago, with another container that goes on.
fn pod_with_a_rest(task: &Task, phase: &str) -> Pod {
    let failed = json!({"terminated": {
        "exitCode": 3, "startedAt": "2026-03-01T11:58:00Z", "finishedAt": "2026-03-01T11:59:00Z",
    }});
    let mut pod = pod(task, &containers(phase, &ended(0, ""), &failed));
    pod.spec = serde_json::from_value(json!({"containers": [], "nodeName": "n"})).unwrap();
    pod
}

#[test]
fn a_next_attempt_waits_for_what_is_left_of_the_last_pod_and_says_so() {
    let going = task("a")
        .running()
        .with(&json!({"spec": {"retry": {"limit": 1}}, "status": {"attempts": 1}}));
    let ours = job(&going, &[]);
    let mut rest = pod_with_a_rest(&going, "Running");
    let waits = "outlived attempt 1 failed: container \"claude-code\" failed with exit code 3; the \
                 next one waits for the end of Pod \"a-x\", again in 2.5s";
    check_begun(&going, Some(&ours), Some(&rest), waits);
    let outlived = with_news_of(&going, &ours, &rest);
    let status = outlived.status.clone().unwrap();
    assert_eq!(status.phase, Some(crate::api::task::TaskPhase::Pending));
    assert_eq!(stage(&outlived), Stage::Begun(1));
    // It is told to end once that is written, and once.
    check_begun(&outlived, Some(&ours), Some(&rest), "stop Pod a-x");
    rest.spec.as_mut().unwrap().active_deadline_seconds = Some(1);
    check_begun(&outlived, Some(&ours), Some(&rest), waits);
    assert_eq!(with_news_of(&outlived, &ours, &rest), outlived);
    // That deadline is not why the attempt failed.
    let mut over = pod_with_a_rest(&going, "Failed");
    over.status.as_mut().unwrap().reason = Some("DeadlineExceeded".into());
    let again = "again at 2026-03-01T12:00:30Z: attempt 1 failed: container \"claude-code\" failed \
                 with exit code 3; the next one starts at 12:00:30 UTC";
    check_begun(&outlived, Some(&ours), Some(&over), again);
    let cancelled = outlived.with(&json!({"spec": {"cancelled": true}}));
    check_begun(
        &cancelled,
        Some(&ours),
        Some(&rest),
        "ended Cancelled: cancelled; container \"claude-code\" failed with exit code 3",
    );
}

/// The Task once what is decided about it is written.
fn with_news_of(task: &Task, job: &Job, pod: &Pod) -> Task {
    let sight = sight(Some(job), Some(pod));
    let Step::Report { news, .. } = decide(task, &sight, &Options::default(), now()) else {
        panic!("nothing to report");
    };
    let mut task = task.clone();
    task.status = Some(status::next(&task, &news, now()));
    task
}

#[test]
fn a_pod_that_goes_for_other_reasons_is_left_to_them() {
    let going = task("a").running().with(&json!({
        "spec": {"retry": {"onDisruption": "Always"}}, "status": {"attempts": 1},
    }));
    let ours = job(&going, &[]);
    let mut rest = pod_with_a_rest(&going, "Running");
    let conditions = json!([{
        "type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager",
        "message": "gone",
    }]);
    rest.status.as_mut().unwrap().conditions = serde_json::from_value(conditions).unwrap();
    let waits = "outlived disrupted attempt 1 was lost: Pod \"a-x\" was taken from its node: gone; the next one \
                 waits for the end of Pod \"a-x\", again in 2.5s";
    check_begun(&going, Some(&ours), Some(&rest), waits);
    let told = with_news_of(&going, &ours, &rest);
    check_begun(&told, Some(&ours), Some(&rest), waits);
    assert_eq!(with_news_of(&told, &ours, &rest), told);
}

#[test]
fn a_pod_that_is_refused_is_told_and_looked_for() {
    let new = task("a").claimed("PodPending").with(&json!({
        "spec": {"podOverrides": {"env": [{"name": "API_TOKEN", "value": "canary-value"}]}},
    }));
    let mut ours = job(&new, &[]);
    ours.metadata.creation_timestamp = new.metadata.creation_timestamp.clone();
    let sight = |refusal: Option<&str>| Sight::Begun {
        job: Some(Arc::new(ours.clone())),
        pod: None,
        refusal: refusal.map(str::to_owned),
    };
    check(
        &new,
        &sight(Some("exceeded quota; canary-value")),
        "waits JobRefused: the cluster refuses the Pod of Job \"a\": exceeded quota; (sensitive), \
         again in 2.5s",
    );
    check(
        &new,
        &sight(None),
        "waits PodPending: Job \"a\" has no Pod yet, again in 2.5s",
    );
    // It has begun all the same: a Job that is missing now is lost.
    let news = News::waiting(Waiting::JobRefused, "why");
    let mut told = new.clone();
    told.status = Some(status::next(&new, &news, now()));
    assert_eq!(stage(&told), Stage::Begun(1));
}

#[test]
fn a_pod_whose_volumes_cannot_be_mounted_says_what_lacks() {
    let new = task("a").claimed("PodPending");
    let creating = json!({"waiting": {"reason": "ContainerCreating"}});
    let mut status = containers("Pending", &creating, &creating);
    status["conditions"] = json!([{"type": "PodScheduled", "status": "True"}]);
    let mut pending = pod(&new, &status);
    pending.metadata.creation_timestamp = new.metadata.creation_timestamp.clone();
    let sight = |refusal: Option<&str>| Sight::Begun {
        job: Some(Arc::new(job(&new, &[]))),
        pod: Some(Arc::new(pending.clone())),
        refusal: refusal.map(str::to_owned),
    };
    check(
        &new,
        &sight(Some(
            "MountVolume.SetUp failed for volume \"v\" : secret \"gone\" not found",
        )),
        "waits SecretNotFound: Pod \"a-x\" cannot start: MountVolume.SetUp failed for volume \"v\" : \
         secret \"gone\" not found, again in 2.5s",
    );
    check(
        &new,
        &sight(None),
        "waits PodPending: Pod \"a-x\" is starting, again in 2.5s",
    );
}

#[test]
fn what_may_not_be_read_is_said() {
    let hidden = FoundSecret {
        wanted: Key {
            secret: "key".into(),
            key: "ANTHROPIC_API_KEY",
        },
        state: SecretState::Forbidden,
    };
    check(
        &task("a"),
        &unseen(&needs(FoundWorkspace::NotAsked, vec![hidden])),
        "waits SecretForbidden: the controller may not read Secret \"key\" in namespace \"team\"; \
         let a Role grant it \"get\", again in 2.5s",
    );
    let asks = task("a").with(&json!({"spec": {"workspaceRef": {"name": "web"}}}));
    let odd = FoundWorkspace::Unreadable("invalid type: map".into());
    check(
        &asks,
        &unseen(&needs(odd, vec![])),
        "waits WorkspaceInvalid: Workspace \"web\" cannot be used: invalid type: map, again in 2.5s",
    );
}
