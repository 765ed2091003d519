use serde_json::Value;
use serde_json::json;

use super::super::fixture::*;
use super::super::needs::FoundSecret;
use super::super::needs::FoundWorkspace;
use super::super::needs::Key;
use super::super::news::What;
use super::*;

/// What is found when all is there that a Task without workspace needs.
fn all_there() -> Needs {
    Needs {
        workspace: FoundWorkspace::NotAsked,
        secrets: vec![secret(
            "key",
            "ANTHROPIC_API_KEY",
            Some(&["ANTHROPIC_API_KEY"]),
        )],
    }
}

fn secret(name: &str, key: &'static str, keys: Option<&[&str]>) -> FoundSecret {
    FoundSecret {
        wanted: Key {
            secret: name.into(),
            key,
        },
        keys: keys.map(|it| it.iter().map(ToString::to_string).collect()),
    }
}

/// The step in a few words.
fn told(step: Step) -> String {
    match step {
        Step::Rest => "rest".into(),
        Step::Return(after) => format!("return in {after:?}"),
        Step::Delete => "delete".into(),
        Step::Start(start) => format!("start {}", start.image),
        Step::Report { news, again } => {
            let again = again
                .map(|it| format!(", again in {it:?}"))
                .unwrap_or_default();
            let what = match news.what {
                What::Waiting(reason, message) => format!("waits {}: {message}", reason.as_str()),
                What::Running => "runs".into(),
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

fn unseen(needs: &Needs) -> Sight<'_> {
    Sight::Before {
        needs,
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
    let missing = |others: &[&str]| Needs {
        workspace: FoundWorkspace::Missing {
            others: others.iter().map(ToString::to_string).collect(),
        },
        secrets: vec![],
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
    let found = |spec: &Value| Needs {
        workspace: FoundWorkspace::Found(Box::new(workspace(spec))),
        secrets: vec![],
    };
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
        Step::Start(_)
    ));
}

#[test]
fn a_missing_secret_or_key_is_waited_for() {
    let none = Needs {
        workspace: FoundWorkspace::NotAsked,
        secrets: vec![secret("key", "ANTHROPIC_API_KEY", None)],
    };
    check(
        &task("a"),
        &unseen(&none),
        "waits SecretNotFound: Secret \"key\" is not in namespace \"team\"; it must have the key \
         \"ANTHROPIC_API_KEY\", again in 2.5s",
    );
    let other = Needs {
        workspace: FoundWorkspace::NotAsked,
        secrets: vec![secret("key", "ANTHROPIC_API_KEY", Some(&["apiKey", "x"]))],
    };
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
            needs: &needs,
            holder: Some(holder),
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
        let said = told(report(name_taken(&task, &other)));
        assert!(said.contains(way), "{said}");
    }
}

/// What is decided for a Task whose run has begun, given its Job and Pod.
#[track_caller]
fn check_begun(task: &Task, job: Option<&Job>, pod: Option<&Pod>, expected: &str) {
    check(task, &Sight::Begun { job, pod }, expected);
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
        assert_eq!(stage(&seen), Stage::Begun);
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
    assert!(!belongs(&says("earlier-uid"), &new, None));
}

#[test]
fn tasks_of_the_go_axon() {
    // Begun, and told by phase and Job only.
    let going = task("a").with(&json!({"status": {"phase": "Running", "jobName": "a"}}));
    assert_eq!(stage(&going), Stage::Begun);
    // Finished: left alone.
    let done = task("a").with(&json!({"status": {"phase": "Failed", "jobName": "a"}}));
    check(&done, &Sight::Unneeded, "rest");
    // Seen but not begun.
    let new = task("a").with(&json!({"status": {"phase": "Pending"}}));
    assert_eq!(stage(&new), Stage::Before);
}

#[test]
fn an_unknown_reason_never_starts_a_run() {
    assert_eq!(stage(&task("a").claimed("WaitingForGodot")), Stage::Begun);
}

#[test]
fn a_finished_task_rests_until_its_time_has_passed() {
    for phase in ["Succeeded", "Failed"] {
        let done = task("a").finished(phase);
        check(&done, &Sight::Unneeded, "rest");
        // Whatever may be seen around it.
        let needs = all_there();
        check(&done, &unseen(&needs), "rest");
        check_begun(&done, None, None, "rest");
        let ttl = |seconds: i32| {
            done.clone()
                .with(&json!({"spec": {"ttlSecondsAfterFinished": seconds}}))
        };
        check(&ttl(0), &Sight::Unneeded, "delete");
        check(&ttl(1), &Sight::Unneeded, "delete");
        check(&ttl(31), &Sight::Unneeded, "return in 30s");
        check(&ttl(i32::MAX), &Sight::Unneeded, "return in 2147483646s");
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
fn names_of_jobs() {
    assert_eq!(job_name(&task("fix.login")), "fix.login");
    assert_eq!(job_name(&task(&"x".repeat(200))).len(), 63);
    let claimed = task("a").with(&json!({"status": {"jobName": "a-2"}}));
    assert_eq!(job_name(&claimed), "a-2");
}
