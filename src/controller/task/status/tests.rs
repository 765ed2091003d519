use std::collections::BTreeMap;

use serde_json::json;

use super::super::fixture::*;
use super::*;

/// The status after the news, as one line: phase, conditions, message.
fn line(status: &TaskStatus) -> String {
    let conditions: Vec<String> = status
        .conditions
        .iter()
        .map(|it| format!("{}={} {}", it.type_, it.status, it.reason))
        .collect();
    let phase = status.phase.map(|it| format!("{it:?}")).unwrap_or_default();
    let message = status.message.as_deref().unwrap_or("-");
    format!("{phase} [{}] {message}", conditions.join(", "))
}

#[track_caller]
fn check(task: &Task, news: &News, expected: &str) {
    assert_eq!(line(&next(task, news, now())), expected);
}

fn runs_news() -> News {
    News {
        pod: Some("a-x".into()),
        started: Some(Time("2026-03-01T11:59:55Z".parse().unwrap())),
        what: What::Running,
    }
}

fn ended_news(reason: End) -> News {
    News {
        what: What::Ended(Ending {
            outputs: vec!["branch: fix".into()],
            results: BTreeMap::from([("k".into(), "v".into())]),
            exit_code: Some(3),
            finished: Some(Time("2026-03-01T11:59:58Z".parse().unwrap())),
            ..Ending::bare(reason, "why")
        }),
        ..runs_news()
    }
}

#[test]
fn the_way_of_a_task() {
    let mut it = task("a");
    check(
        &it,
        &News::waiting(Waiting::SecretNotFound, "no key"),
        "Pending [Started=False SecretNotFound] no key",
    );
    it.status = Some(locked(&it, "a", now()));
    assert_eq!(
        line(it.status.as_ref().unwrap()),
        "Pending [Started=False Starting] starts Job \"a\""
    );
    assert_eq!(it.status.as_ref().unwrap().job_name.as_deref(), Some("a"));
    check(
        &it,
        &News::waiting(Waiting::Cloning, "clones"),
        "Pending [Started=False Cloning] clones",
    );
    it.status = Some(next(&it, &runs_news(), now()));
    assert_eq!(
        line(it.status.as_ref().unwrap()),
        "Running [Started=True AgentStarted] -"
    );
    check(
        &it,
        &ended_news(End::AgentFailed),
        "Failed [Started=True AgentStarted, Failed=True AgentFailed] why",
    );
    let done = next(&it, &ended_news(End::Succeeded), now());
    assert_eq!(
        line(&done),
        "Succeeded [Started=True AgentStarted, Complete=True Succeeded] why"
    );
    assert_eq!(done.outputs, ["branch: fix"]);
    assert_eq!(done.results["k"], "v");
    assert_eq!(done.exit_code, Some(3));
    assert_eq!(done.pod_name.as_deref(), Some("a-x"));
    assert_eq!(
        done.completion_time.unwrap().0.to_string(),
        "2026-03-01T11:59:58Z"
    );
    assert_eq!(
        done.start_time.unwrap().0.to_string(),
        "2026-03-01T11:59:55Z"
    );
}

#[test]
fn an_agent_too_quick_to_be_seen_has_started_all_the_same() {
    check(
        &task("a").claimed("PodPending"),
        &ended_news(End::Succeeded),
        "Succeeded [Started=True AgentStarted, Complete=True Succeeded] why",
    );
    check(
        &task("a").claimed("Cloning"),
        &News::ended(End::CloneFailed, "no ref"),
        "Failed [Started=False Cloning, Failed=True CloneFailed] no ref",
    );
}

#[test]
fn a_finished_task_has_no_way_out() {
    for phase in ["Succeeded", "Failed"] {
        let done = task("a").finished(phase);
        for news in [
            runs_news(),
            ended_news(End::Succeeded),
            ended_news(End::JobLost),
            News::waiting(Waiting::SecretNotFound, ""),
        ] {
            assert_eq!(Some(next(&done, &news, now())), done.status);
        }
        assert_eq!(
            Some(locked(&done, "a", now()).phase),
            done.status.map(|it| it.phase)
        );
    }
}

#[test]
fn a_start_is_not_taken_back() {
    let going = task("a").running();
    let late = News::waiting(Waiting::PodPending, "late news");
    check(&going, &late, "Running [Started=True AgentStarted] -");
}

#[test]
fn the_same_news_change_nothing() {
    for news in [
        News::waiting(Waiting::SecretNotFound, "no key"),
        runs_news(),
    ] {
        let mut it = task("a");
        it.status = Some(next(&it, &news, now()));
        let later = "2026-03-01T13:00:00Z".parse().unwrap();
        assert_eq!(Some(next(&it, &news, later)), it.status);
    }
}

#[test]
fn a_condition_keeps_the_time_at_which_its_value_changed() {
    let mut it = task("a");
    it.status = Some(next(
        &it,
        &News::waiting(Waiting::SecretNotFound, "x"),
        now(),
    ));
    let later: Timestamp = "2026-03-01T13:00:00Z".parse().unwrap();
    let since = |status: &TaskStatus| status.conditions[0].last_transition_time.0;
    let waiting = next(&it, &News::waiting(Waiting::Cloning, "y"), later);
    assert_eq!(since(&waiting), now());
    let running = next(&it, &runs_news(), later);
    assert_eq!(since(&running), later);
}

#[test]
fn long_messages_are_cut_between_characters() {
    let long = "ü".repeat(MAX_MESSAGE);
    let status = next(&task("a"), &News::ended(End::AgentFailed, long), now());
    assert_eq!(status.message.unwrap().len(), MAX_MESSAGE);
    assert_eq!(status.conditions[0].message.len(), MAX_MESSAGE);
}

#[test]
fn times_have_whole_seconds() {
    let odd: Timestamp = "2026-03-01T12:00:00.123456Z".parse().unwrap();
    let status = next(&task("a"), &News::ended(End::JobLost, ""), odd);
    assert_eq!(status.completion_time.unwrap().0, now());
}

#[test]
fn only_what_changed_is_sent() {
    let before = json!({"phase": "Pending", "message": "x", "jobName": "a"});
    let after = json!({"phase": "Running", "jobName": "a", "podName": "a-x"});
    assert_eq!(
        changes(before.as_object().unwrap(), after.as_object().unwrap()),
        json!({"phase": "Running", "message": null, "podName": "a-x"})
    );
}
