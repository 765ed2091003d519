use futures::FutureExt as _;
use futures::StreamExt as _;
use serde_json::json;

use super::super::fixture::TaskExt as _;
use super::super::fixture::task;
use super::*;

fn on_branch(name: &str, created: &str) -> Task {
    task(name).with(&json!({
        "metadata": {"creationTimestamp": created},
        "spec": {"workspaceRef": {"name": "web"}, "branch": "fix"},
    }))
}

fn depends_on(name: &str, others: &[&str]) -> Task {
    task(name).with(&json!({"spec": {"dependsOn": others}}))
}

fn waits(task: &Task, reason: &str) -> Task {
    task.clone()
        .claimed(reason)
        .with(&json!({"status": {"jobName": null}}))
}

fn apply(index: &Index, task: &Task) {
    index.note(&Event::Apply(DeserializeGuard(Ok(task.clone()))));
}

#[test]
fn one_that_is_being_deleted_holds_up_nobody() {
    let index = Arc::new(Index::default());
    let goes = json!({"metadata": {"deletionTimestamp": "2026-03-01T12:00:00Z"}});
    let first = on_branch("a", "2026-03-01T11:00:00Z").with(&json!({"spec": {"dependsOn": ["x"]}}));
    let second = on_branch("b", "2026-03-01T11:00:01Z");
    apply(&index, &first);
    apply(&index, &second);
    woken(&index);
    assert_eq!(index.ahead(&second).as_deref(), Some("a"));
    assert!(index.is_needed(&task("x")));
    // Somebody's finalizer keeps it there.
    apply(&index, &first.with(&goes));
    assert_eq!(woken(&index), ["b", "x"]);
    assert_eq!(index.ahead(&second), None);
    assert!(!index.is_needed(&task("x")));
}

/// Who is to be looked at now.
fn woken(index: &Arc<Index>) -> Vec<String> {
    let mut stream = Box::pin(index.clone().woken());
    let mut names = Vec::new();
    while let Some(Some(task)) = stream.next().now_or_never() {
        assert_eq!(task.namespace.as_deref(), Some("team"));
        names.push(task.name);
    }
    names
}

#[test]
fn a_change_wakes_those_that_depend_on_it() {
    let index = Arc::new(Index::default());
    apply(&index, &depends_on("b", &["a", "x"]));
    apply(&index, &depends_on("c", &["a"]));
    apply(&index, &task("d"));
    assert_eq!(woken(&index), Vec::<String>::new());
    apply(&index, &task("a"));
    assert_eq!(woken(&index), ["b", "c"]);
    assert!(index.is_needed(&task("a")) && index.is_needed(&task("x")));
    // One that has finished waits for nobody.
    apply(&index, &depends_on("b", &["a", "x"]).finished("Failed"));
    // Nobody depends on this one any more: its time to live may pass.
    assert_eq!(woken(&index), ["x"]);
    apply(&index, &task("a").finished("Succeeded"));
    assert_eq!(woken(&index), ["c"]);
    assert!(!index.is_needed(&task("x")));
    index.note(&Event::Delete(DeserializeGuard(Ok(task("a")))));
    assert_eq!(woken(&index), ["c"]);
    index.note(&Event::Delete(DeserializeGuard(Ok(depends_on(
        "c",
        &["a"],
    )))));
    assert!(!index.is_needed(&task("a")));
    assert_eq!(woken(&index), ["a"]);
}

#[test]
fn the_oldest_in_line_is_first() {
    let index = Arc::new(Index::default());
    let old = on_branch("z", "2026-03-01T11:00:00Z");
    let twin = on_branch("y", "2026-03-01T11:00:00Z");
    let young = on_branch("a", "2026-03-01T11:00:01Z");
    for it in [&young, &old, &twin] {
        apply(&index, it);
    }
    assert_eq!(index.ahead(&young).as_deref(), Some("y"));
    assert_eq!(index.ahead(&old).as_deref(), Some("y"));
    assert_eq!(index.ahead(&twin), None);
    woken(&index);
    // One that has its turn leaves the line, and the next is woken when it has finished.
    apply(&index, &twin.clone().running());
    assert_eq!(index.ahead(&old), None);
    assert_eq!(woken(&index), ["z"]);
    apply(&index, &twin.finished("Succeeded"));
    assert_eq!(woken(&index), ["z"]);
}

#[test]
fn one_that_waits_for_something_else_is_passed() {
    let index = Arc::new(Index::default());
    let old = on_branch("old", "2026-03-01T11:00:00Z");
    let young = on_branch("young", "2026-03-01T11:00:01Z");
    apply(&index, &waits(&old, "WaitingForBranch"));
    apply(&index, &waits(&young, "WaitingForBranch"));
    assert_eq!(index.ahead(&young).as_deref(), Some("old"));
    woken(&index);
    apply(&index, &waits(&old, "SecretNotFound"));
    assert_eq!(index.ahead(&young), None);
    assert_eq!(woken(&index), ["young"]);
    // Another branch, another line.
    let other = old.with(&json!({"spec": {"branch": "else"}}));
    apply(&index, &other);
    assert_eq!(index.ahead(&young), None);
}

#[test]
fn what_a_new_list_does_not_hold_is_gone() {
    let index = Arc::new(Index::default());
    apply(&index, &depends_on("b", &["a"]));
    apply(&index, &task("a"));
    woken(&index);
    index.note(&Event::Init);
    index.note(&Event::InitApply(DeserializeGuard(Ok(depends_on(
        "b",
        &["a"],
    )))));
    index.note(&Event::InitDone);
    assert_eq!(woken(&index), ["b"]);
    index.note(&Event::Init);
    index.note(&Event::InitDone);
    assert!(!index.is_needed(&task("a")));
}
