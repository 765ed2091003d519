//! What counts as a move, case by case.

use serde_json::Value;
use serde_json::json;

use super::*;
use crate::api::plan::FORMAT_VERSION;
use crate::api::plan::PlanRevision;
use crate::api::plan::SavedCluster;
use crate::api::plan::SavedKind;
use crate::api::plan::SavedOptions;
use crate::api::plan::SavedSource;
use crate::model::Home;
use crate::model::Kind;
use crate::model::Namespace;
use crate::model::ObjectName;
use crate::model::RepoPath;
use crate::model::Revision;
use crate::model::SyncId;
use crate::model::plan::Step;
use crate::model::run::Outcome;
use crate::model::run::RunDigest;
use crate::model::snapshot::Source;

fn key(name: &str) -> Key {
    Key {
        kind: Kind::Task,
        name: ObjectName::parse(name).unwrap(),
    }
}

/// A plan of Tasks; each has the run `v1-x`.
fn plan(steps: Vec<(&str, Action)>) -> Plan {
    let source = Source {
        canonical: "x".into(),
        url: None,
    };
    let run = RunDigest::from_annotation("v1-x");
    Plan {
        namespace: Namespace::parse("agents").unwrap(),
        sync: SyncId::parse("app").unwrap(),
        takes_over: None,
        ledger: Vec::new(),
        home: Home::new(&source, &RepoPath::parse("axon.yaml").unwrap()),
        revision: Revision::Commit("0".repeat(40)),
        declared: steps.len(),
        members: 0,
        runs: steps
            .iter()
            .map(|(name, _)| (key(name).name, run.clone()))
            .collect(),
        steps: steps
            .into_iter()
            .map(|(name, action)| Step {
                key: key(name),
                action,
            })
            .collect(),
    }
}

fn world(objects: Vec<(&str, Value)>, has_record: bool) -> Witness {
    let record = record_of(&plan(vec![("a", Action::Unchanged)]), "a").unwrap();
    let objects = objects.into_iter();
    Witness {
        objects: objects
            .map(|(name, value)| (key(name), Sight::of(&Object::new(value))))
            .collect(),
        records: has_record.then_some(record).into_iter().collect(),
    }
}

fn object() -> Value {
    json!({"metadata": {
        "name": "a", "uid": "u", "generation": 1, "resourceVersion": "1",
        "labels": {labels::SYNC: "app", "team": "x"},
    }})
}

/// `object` with `value` at a JSON pointer.
fn with(pointer: &str, value: Value) -> Value {
    let mut object = object();
    *object.pointer_mut(pointer).unwrap() = value;
    object
}

fn create(prompt: &str) -> Action {
    Action::Create {
        manifest: Manifest::new(json!({"spec": {"prompt": prompt}})),
        again: false,
    }
}

fn ran() -> Action {
    Action::AlreadyRan {
        outcome: Outcome::Unknown,
        finished: None,
    }
}

fn saved(plan: &Plan, witness: &Witness) -> SavedPlan {
    SavedPlan {
        kind: SavedKind::SavedPlan,
        format_version: FORMAT_VERSION,
        created: String::new(),
        expires: String::new(),
        cluster: SavedCluster {
            system: None,
            namespace: None,
            server: String::new(),
        },
        namespace: "agents".into(),
        sync: "app".into(),
        source: SavedSource {
            location: ".".into(),
            path: None,
            revision: PlanRevision::Commit("0".repeat(40)),
        },
        options: SavedOptions::default(),
        digest: plan.digest().to_string(),
        steps: steps(plan),
        objects: witness.objects(),
        records: witness.records(plan),
    }
}

type Then = (Action, Witness);

fn check(before: Then, after: Then, expected: &[&str]) {
    let planned = plan(vec![("a", before.0)]);
    let saved = saved(&planned, &before.1);
    let now = plan(vec![("a", after.0)]);
    let told: Vec<String> = moved(&saved, &now, &after.1)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(told, expected);
}

#[test]
fn an_object_moves_by_uid_generation_and_marks() {
    let at = |value| (Action::Unchanged, world(vec![("a", value)], false));
    check(at(object()), at(object()), &[]);
    check(
        at(object()),
        at(with("/metadata/resourceVersion", "2".into())),
        &[],
    );
    check(
        at(object()),
        at(with("/metadata/labels/team", "y".into())),
        &[],
    );
    check(
        at(object()),
        at(with("/metadata/uid", "v".into())),
        &["Task/a was deleted, and another has its name"],
    );
    check(
        at(object()),
        at(with("/metadata/generation", 2.into())),
        &["Task/a was changed (generation 1 -> 2)"],
    );
    check(
        at(object()),
        at(with("/metadata/labels", json!({}))),
        &["labels or annotations of Task/a were changed"],
    );
    let none = || world(vec![], false);
    check(at(object()), (create("x"), none()), &["Task/a is gone"]);
    check((create("x"), none()), at(object()), &["Task/a appeared"]);
}

#[test]
fn a_run_that_began_elsewhere_is_a_move_only_where_the_plan_would_start_it() {
    let ran_now = || world(vec![], true);
    check(
        (create("x"), world(vec![], false)),
        (ran(), ran_now()),
        &["the run of Task/a has begun or is over"],
    );
    // A Task that stays as it is begins to run by itself.
    let there = |record| (Action::Unchanged, world(vec![("a", object())], record));
    check(there(false), there(true), &[]);
}

#[test]
fn the_same_objects_may_still_give_another_plan() {
    let none = || world(vec![], false);
    check(
        (create("x"), none()),
        (create("y"), none()),
        &["Task/a: something else would come of it now"],
    );
    let refused = Action::Blocked {
        reason: crate::model::plan::Blocked::Refused {
            why: Some(crate::model::plan::Refusal::Invalid),
            message: "no".into(),
        },
    };
    check(
        (create("x"), none()),
        (refused, none()),
        &["Task/a: \"create\" was planned, now it is \"blocked\""],
    );
}

#[test]
fn the_status_of_a_run_is_no_move() {
    let replace = |unfinished| Action::Replace {
        manifest: Manifest::new(json!({})),
        live: Object::new(object()).id(),
        changes: vec![],
        unfinished,
    };
    let there = || world(vec![("a", object())], false);
    check((replace(true), there()), (replace(false), there()), &[]);
}
