use serde_json::json;

use super::*;

const WORKSPACES: Shelf = Shelf::Declared(Kind::Workspace);

fn workspace(name: &str, sync: Option<&str>, repo: &str) -> Value {
    let mut object = json!({
        "metadata": {"namespace": "agents", "name": name, "uid": name, "labels": {}},
        "spec": {"repo": repo},
    });
    if let Some(sync) = sync {
        object["metadata"]["labels"] = json!({"axon.io/sync": sync});
    }
    object
}

/// `Kind/name before>after` of each change.
fn told(changes: &[Change]) -> Vec<String> {
    let id = |id: &Option<String>| id.clone().unwrap_or_else(|| "-".into());
    changes
        .iter()
        .map(|it| format!("{} {}>{}", it.key, id(&it.before), id(&it.after)))
        .collect()
}

fn names(view: &View, sync: &str, declared: &str) -> Vec<String> {
    let sync = SyncId::parse(sync).unwrap();
    let seen = view.of("agents", &sync, |key| key.name.as_str() == declared);
    let mut names: Vec<String> = seen
        .objects
        .iter()
        .map(|(_, object)| object.name().to_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn changes_that_matter_are_told_once() {
    let view = View::default();
    let check = |event: Event<Value>, expected: &[&str]| {
        assert_eq!(told(&view.take(WORKSPACES, event)), expected);
    };
    check(Event::Init, &[]);
    check(
        Event::InitApply(workspace("a", Some("app"), "x")),
        &["Workspace/a ->app"],
    );
    check(Event::InitDone, &[]);
    check(Event::Apply(workspace("a", Some("app"), "x")), &[]);
    check(
        Event::Apply(workspace("a", Some("app"), "y")),
        &["Workspace/a app>app"],
    );
    check(
        Event::Apply(workspace("a", None, "y")),
        &["Workspace/a app>-"],
    );
    check(
        Event::Delete(workspace("a", None, "y")),
        &["Workspace/a ->-"],
    );
    check(Event::Delete(workspace("a", None, "y")), &[]);
}

#[test]
fn what_went_while_nobody_watched_is_told() {
    let view = View::default();
    for name in ["a", "b"] {
        view.take(WORKSPACES, Event::Apply(workspace(name, Some("app"), "x")));
    }
    view.take(WORKSPACES, Event::Init);
    view.take(
        WORKSPACES,
        Event::InitApply(workspace("b", Some("app"), "x")),
    );
    let changes = view.take(WORKSPACES, Event::InitDone);
    assert_eq!(told(&changes), ["Workspace/a app>-"]);
    assert_eq!(names(&view, "app", ""), ["b"]);
}

#[test]
fn of_other_syncs_only_declared_names_are_shown() {
    let view = View::default();
    for (name, sync) in [
        ("mine", Some("app")),
        ("free", None),
        ("theirs", Some("web")),
        ("shared", Some("web")),
    ] {
        view.take(WORKSPACES, Event::Apply(workspace(name, sync, "x")));
    }
    assert_eq!(names(&view, "app", "shared"), ["free", "mine", "shared"]);
}

#[test]
fn records_are_kept_and_not_told() {
    let view = View::default();
    let record = |sync: &str| {
        json!({
            "metadata": {"namespace": "agents", "name": sync, "labels": {"axon.io/sync": sync}},
            "data": {"task": "a"},
        })
    };
    for sync in ["app", "web"] {
        assert_eq!(view.take(Shelf::Records, Event::Apply(record(sync))), []);
    }
    let seen = view.of("agents", &SyncId::parse("app").unwrap(), |_| false);
    assert_eq!(seen.records.len(), 1);
    assert_eq!(seen.records[0].text("/data/task"), Some("a"));
}

#[tokio::test]
async fn it_is_filled_when_every_watch_has_listed() {
    let view = View::default();
    for shelf in [
        WORKSPACES,
        Shelf::Declared(Kind::TaskSpawner),
        Shelf::Declared(Kind::Task),
        Shelf::Records,
    ] {
        assert!(!view.is_filled());
        view.take(shelf, Event::Init);
        view.take(shelf, Event::InitDone);
    }
    view.filled().await;
}
