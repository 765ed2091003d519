use serde_json::json;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn progress() -> Progress {
    let pod = json!({"metadata": {"name": "p", "uid": "u"}, "spec": {
        "initContainers": [{"name": "first", "image": "i"}],
        "containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]}});
    Progress::new(&serde_json::from_value(pod).unwrap(), at(1))
}

fn running() -> State {
    State::Running { since: at(2) }
}

fn ended(code: i32) -> State {
    State::Ended(End {
        code,
        reason: if code == 0 { COMPLETED } else { ERROR }.to_owned(),
        message: String::new(),
        started: Some(at(2)),
        finished: at(3),
    })
}

fn check(init: State, main: [State; 2], verdict: Option<Verdict>, expected: Phase) {
    let mut progress = progress();
    progress.init[0].state = init;
    let [a, b] = main;
    progress.main[0].state = a;
    progress.main[1].state = b;
    progress.verdict = verdict;
    assert_eq!(progress.phase(), expected, "{progress:?}");
}

#[test]
fn the_phase_follows_the_containers() {
    let none = || waiting(INITIALIZING);
    check(none(), [none(), none()], None, Phase::Pending);
    check(running(), [none(), none()], None, Phase::Pending);
    check(ended(1), [none(), none()], None, Phase::Failed);
    check(ended(0), [running(), none()], None, Phase::Pending);
    check(ended(0), [ended(1), running()], None, Phase::Running);
    check(ended(0), [ended(0), ended(1)], None, Phase::Failed);
    check(ended(0), [ended(0), ended(0)], None, Phase::Succeeded);
}

#[test]
fn a_verdict_waits_for_the_last_container() {
    let none = || waiting(INITIALIZING);
    let deleted = Some(Verdict::Deleted);
    check(running(), [none(), none()], deleted, Phase::Pending);
    check(none(), [none(), none()], deleted, Phase::Failed);
    check(ended(0), [ended(0), running()], deleted, Phase::Running);
    check(ended(0), [ended(0), ended(0)], deleted, Phase::Succeeded);
    let late = Some(Verdict::Deadline);
    check(ended(0), [running(), running()], late, Phase::Running);
    check(ended(0), [ended(0), ended(0)], late, Phase::Failed);
}

#[test]
fn the_status_reads_as_a_kubelet_s() {
    let mut progress = progress();
    progress.begun = true;
    progress.init[0].state = ended(0);
    progress.main[0].state = running();
    progress.main[1].state = State::Waiting {
        reason: "ImagePullBackOff",
        message: Some("no such program".to_owned()),
    };
    let first = progress.status(None, at(5));
    let later = progress.status(Some(&first), at(9));
    assert_eq!(first, later, "times of conditions stay");
    let shown = serde_json::to_value(&first).unwrap();
    assert_eq!(shown["phase"], "Pending");
    let conditions: Vec<_> = shown["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| format!("{}={}", it["type"], it["status"]).replace('"', ""))
        .collect();
    insta::assert_snapshot!(conditions.join(" "), @"PodReadyToStartContainers=True Initialized=True Ready=False ContainersReady=False PodScheduled=True");
    insta::assert_snapshot!(shown["containerStatuses"][1]["state"], @r#"{"waiting":{"message":"no such program","reason":"ImagePullBackOff"}}"#);
    insta::assert_snapshot!(shown["initContainerStatuses"][0]["state"]["terminated"]["reason"], @r#""Completed""#);
}

#[test]
fn foreign_conditions_are_kept() {
    let mut before = progress().status(None, at(5));
    before.conditions.get_or_insert_default().push(
        serde_json::from_value(json!({"type": "example.com/mine", "status": "True"})).unwrap(),
    );
    let after = progress().status(Some(&before), at(9));
    let kinds = after.conditions.unwrap_or_default();
    assert!(kinds.iter().any(|it| it.type_ == "example.com/mine"));
}

#[test]
fn a_lost_pod_is_a_disrupted_one() {
    let mut progress = progress();
    progress.verdict = Some(Verdict::Lost);
    let shown = serde_json::to_value(progress.status(None, at(5))).unwrap();
    assert_eq!(shown["reason"], "NodeLost");
    let conditions = shown["conditions"].as_array().unwrap();
    let disrupted = |it: &&serde_json::Value| it["type"] == "DisruptionTarget";
    assert_eq!(conditions.iter().find(disrupted).unwrap()["status"], "True");
}
