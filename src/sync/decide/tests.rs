//! What becomes of an object, for every way it can stand in the cluster.

use serde_json::Value;
use serde_json::json;

use super::*;
use crate::model::Home;
use crate::model::Namespace;
use crate::model::ObjectName;
use crate::model::RepoPath;
use crate::model::SyncId;
use crate::model::plan::Kept;
use crate::model::problem::Place;
use crate::model::run::Outcome;
use crate::model::run::RunDigest;
use crate::model::run::RunRecord;
use crate::model::run::RunScope;
use crate::model::run::record_name;
use crate::model::snapshot::Source;

const ORIGIN: &str = "github.com/acme/app#axon.yaml";

fn key(text: &str) -> Key {
    let (kind, name) = text.split_once('/').unwrap();
    let kind = Kind::ALL.into_iter().find(|it| it.as_str() == kind);
    Key {
        kind: kind.unwrap(),
        name: ObjectName::parse(name).unwrap(),
    }
}

fn identity() -> Identity {
    let source = Source {
        canonical: "github.com/acme/app".into(),
        url: None,
    };
    Identity {
        namespace: Namespace::parse("agents").unwrap(),
        sync: SyncId::parse("app").unwrap(),
        old: None,
        home: Home::new(&source, &RepoPath::parse("axon.yaml").unwrap()),
        old_home: None,
    }
}

/// An object of the configuration; a Task's run is a digest of its spec.
fn desired(text: &str, spec: &Value) -> Desired {
    let key = key(text);
    Desired {
        manifest: json!({
            "apiVersion": "axon.io/v1alpha1",
            "kind": key.kind.as_str(),
            "metadata": {"name": key.name.as_str()},
            "spec": spec,
        }),
        place: Place {
            file: RepoPath::parse("axon.yaml").unwrap(),
            line: 1,
            column: 1,
        },
        run: (key.kind == Kind::Task).then(|| RunDigest::of(spec, 0)),
        key,
        own_repository: false,
    }
}

/// `desired` as the cluster holds it after an apply.
fn applied(desired: &Desired) -> Value {
    let identity = identity();
    let mut object = marked(desired, &identity.namespace, &identity.sync, &identity.home)
        .as_value()
        .clone();
    object["metadata"]["uid"] = "u1".into();
    object["metadata"]["generation"] = 1.into();
    object["metadata"]["resourceVersion"] = "7".into();
    object
}

struct Case {
    set: DesiredSet,
    world: World,
    options: Options,
}

impl Case {
    fn new(desired: &[&Desired]) -> Self {
        let mut objects: Vec<Desired> = desired.iter().map(|it| (*it).clone()).collect();
        objects.sort_by(|a, b| a.key.cmp(&b.key));
        Self {
            set: DesiredSet {
                objects,
                has_config: true,
                ..DesiredSet::default()
            },
            world: World::default(),
            options: Options::default(),
        }
    }

    fn live(mut self, object: &Value) -> Self {
        let name = format!(
            "{}/{}",
            object["kind"].as_str().unwrap(),
            object["metadata"]["name"].as_str().unwrap()
        );
        self.world
            .objects
            .insert(key(&name), Object::new(object.clone()));
        self
    }

    fn record(mut self, task: &str, run: &RunDigest) -> Self {
        let scope = RunScope::Sync {
            sync: "app".into(),
            task: task.into(),
        };
        let name = record_name(&scope, run);
        let record = RunRecord {
            name: name.clone(),
            task: task.into(),
            task_uid: "u0".into(),
            run: run.clone(),
            outcome: Outcome::Succeeded,
            finished: None,
            item: None,
            sync: Some("app".into()),
            left: false,
        };
        self.world.records.insert(name, record);
        self
    }

    fn adopting(mut self) -> Self {
        self.options.adopt = true;
        self
    }

    fn check(&self, expected: &[&str]) {
        let steps = steps(&self.set, &self.world, &identity(), &self.options);
        let lines: Vec<String> = steps.iter().map(line).collect();
        assert_eq!(lines, expected);
    }
}

fn line(step: &Step) -> String {
    let paths = |changes: &[FieldChange]| {
        let paths: Vec<&str> = changes.iter().map(|it| it.path.as_str()).collect();
        paths.join(" ")
    };
    let action = match &step.action {
        Action::Create { again: false, .. } => "create".into(),
        Action::Create { again: true, .. } => "create again".into(),
        Action::Update { changes, claim, .. } => format!("{claim:?} {}", paths(changes)),
        Action::Replace {
            unfinished,
            changes,
            ..
        } => format!("replace unfinished={unfinished} {}", paths(changes)),
        Action::Delete { running, .. } => format!("delete running={running}"),
        Action::Keep { why: Kept::Asked } => "keep".into(),
        Action::Keep {
            why: Kept::Unproven,
        } => "unproven".into(),
        Action::Unchanged => "unchanged".into(),
        Action::AlreadyRan { outcome, .. } => format!("ran {}", outcome.as_str()),
        Action::Blocked { reason } => format!("{reason:?}"),
    };
    format!("{} {action}", step.key)
}

fn with(mut object: Value, pointer: &str, value: &Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap()[key.replace("~1", "/")] = value.clone();
    object
}

#[test]
fn new_and_unchanged_objects() {
    let workspace = desired("Workspace/app", &json!({"repo": "r"}));
    let task = desired("Task/a", &json!({"prompt": "p"}));
    let case = Case::new(&[&task, &workspace]);
    case.check(&["Workspace/app create", "Task/a create"]);
    case.live(&applied(&workspace))
        .live(&applied(&task))
        .check(&["Workspace/app unchanged", "Task/a unchanged"]);
}

#[test]
fn a_task_whose_run_changed_is_replaced() {
    let before = desired("Task/a", &json!({"prompt": "p"}));
    let after = desired("Task/a", &json!({"prompt": "q"}));
    let live = applied(&before);
    let run = "metadata.annotations[\"axon.io/run\"]";
    Case::new(&[&after])
        .live(&live)
        .check(&[&format!("Task/a replace unfinished=true {run} spec.prompt")]);
    let done = with(live.clone(), "/status", &json!({"phase": "Succeeded"}));
    Case::new(&[&after]).live(&done).check(&[&format!(
        "Task/a replace unfinished=false {run} spec.prompt"
    )]);
}

#[test]
fn a_task_whose_time_to_live_or_labels_changed_is_updated() {
    let before = desired("Task/a", &json!({"prompt": "p"}));
    let mut after = desired(
        "Task/a",
        &json!({"prompt": "p", "ttlSecondsAfterFinished": 5}),
    );
    after.manifest["metadata"]["labels"] = json!({"team": "web"});
    let live = with(applied(&before), "/status", &json!({"jobName": "a"}));
    Case::new(&[&after])
        .live(&live)
        .check(&["Task/a Own metadata.labels.team spec.ttlSecondsAfterFinished"]);
}

#[test]
fn a_lost_run_annotation_comes_back_without_another_run() {
    let task = desired("Task/a", &json!({"prompt": "p"}));
    let mut live = with(applied(&task), "/status", &json!({"jobName": "a"}));
    live["metadata"]["annotations"]
        .as_object_mut()
        .unwrap()
        .remove(labels::RUN);
    Case::new(&[&task])
        .live(&live)
        .check(&["Task/a Own metadata.annotations[\"axon.io/run\"]"]);
}

#[test]
fn a_task_that_ran_and_is_gone_does_not_run_again() {
    let task = desired("Task/a", &json!({"prompt": "p"}));
    let changed = desired("Task/a", &json!({"prompt": "q"}));
    let run = task.run.clone().unwrap();
    Case::new(&[&task])
        .record("a", &run)
        .check(&["Task/a ran Succeeded"]);
    Case::new(&[&changed])
        .record("a", &run)
        .check(&["Task/a create again"]);
    Case::new(&[&task])
        .record("b", &run)
        .check(&["Task/a create"]);
    // While the Task is there, its record is not told.
    Case::new(&[&task])
        .record("a", &run)
        .live(&applied(&task))
        .check(&["Task/a unchanged"]);
}

#[test]
fn what_left_the_configuration_is_deleted() {
    let workspace = applied(&desired("Workspace/w", &json!({})));
    let spawner = applied(&desired("TaskSpawner/s", &json!({})));
    let task = applied(&desired("Task/t", &json!({})));
    let mut case = Case::new(&[]).live(&workspace).live(&spawner).live(&task);
    case.world.running.insert(key("TaskSpawner/s").name, 2);
    case.check(&[
        "Task/t delete running=1",
        "TaskSpawner/s delete running=2",
        "Workspace/w delete running=0",
    ]);
    case.set.has_config = false;
    case.check(&[]);
}

#[test]
fn only_what_is_provably_ours_is_deleted() {
    let ours = applied(&desired("Workspace/w", &json!({})));
    let origin = "/metadata/annotations/axon.io~1origin";
    let check = |live: &Value, expected: &[&str]| Case::new(&[]).live(live).check(expected);
    let copy = with(ours.clone(), "/metadata/name", &json!("copy"));
    check(&copy, &[]);
    check(
        &with(ours.clone(), origin, &json!("other#axon.yaml#Workspace/w")),
        &[],
    );
    let stripped = with(ours.clone(), origin, &Value::Null);
    check(&stripped, &["Workspace/w unproven"]);
    let label = "/metadata/labels/axon.io~1sync";
    check(&with(ours.clone(), label, &json!("other")), &[]);
    for going in [ours.clone(), stripped] {
        let since = json!("2026-01-01T00:00:00Z");
        check(&with(going, "/metadata/deletionTimestamp", &since), &[]);
    }
    let kept = with(
        ours,
        "/metadata/annotations/axon.io~1prune",
        &json!("disabled"),
    );
    check(&kept, &["Workspace/w keep"]);
}

#[test]
fn objects_of_others_are_left_alone_unless_adopted() {
    let workspace = desired("Workspace/w", &json!({"repo": "r"}));
    let ours = applied(&workspace);
    let marks = "metadata.annotations[\"axon.io/origin\"] metadata.labels[\"axon.io/sync\"]";
    let check = |live: &Value, refused: &str, adopted: &str| {
        Case::new(&[&workspace]).live(live).check(&[refused]);
        Case::new(&[&workspace])
            .live(live)
            .adopting()
            .check(&[adopted]);
    };
    let foreign = with(ours.clone(), "/metadata/labels", &json!({}));
    let foreign = with(foreign, "/metadata/annotations", &json!({}));
    check(
        &foreign,
        "Workspace/w Foreign",
        &format!("Workspace/w Adopt {marks}"),
    );
    let copied = "github.com/acme/app#axon.yaml#Workspace/original";
    check(
        &with(
            ours.clone(),
            "/metadata/annotations/axon.io~1origin",
            &json!(copied),
        ),
        "Workspace/w Foreign",
        "Workspace/w Adopt metadata.annotations[\"axon.io/origin\"]",
    );
    let elsewhere = "github.com/acme/other#axon.yaml#Workspace/w";
    check(
        &with(
            ours.clone(),
            "/metadata/annotations/axon.io~1origin",
            &json!(elsewhere),
        ),
        &format!("Workspace/w OtherSource {{ origin: \"{elsewhere}\" }}"),
        "Workspace/w Adopt metadata.annotations[\"axon.io/origin\"]",
    );
    let refused = "Workspace/w OtherSync { sync: \"other\", is_elsewhere: false }";
    check(
        &with(ours, "/metadata/labels/axon.io~1sync", &json!("other")),
        refused,
        refused,
    );
    let invited = with(
        foreign,
        "/metadata/annotations/axon.io~1adopt-into",
        &json!("app"),
    );
    Case::new(&[&workspace])
        .live(&invited)
        .check(&[&format!("Workspace/w Adopt {marks}")]);
}

#[test]
fn drift_is_taken_back_and_a_conflict_is_not() {
    let workspace = desired("Workspace/w", &json!({"repo": "r", "ref": "main"}));
    let edited = with(applied(&workspace), "/spec/ref", &json!("x"));
    let edited = with(
        edited,
        "/metadata/managedFields",
        &json!([{"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:spec": {"f:ref": {}}}}]),
    );
    Case::new(&[&workspace])
        .live(&edited)
        .check(&["Workspace/w Own spec.ref"]);
    let foreign = with(edited, "/metadata/labels", &json!({}));
    let mut case = Case::new(&[&workspace]).live(&foreign).adopting();
    case.check(&[
        "Workspace/w Conflict { fields: [OwnedField { path: \"spec.ref\", manager: \"kubectl-edit\" }] }",
    ]);
    case.options.force_conflicts = true;
    case.check(&["Workspace/w AdoptByForce metadata.labels[\"axon.io/sync\"] spec.ref"]);
}

#[test]
fn an_adopted_task_that_has_begun_is_only_replaced_if_its_run_differs() {
    let task = desired("Task/a", &json!({"prompt": "p"}));
    let begun = json!({
        "kind": "Task",
        "metadata": {"name": "a", "uid": "u9"},
        "spec": {"prompt": "p", "ttlSecondsAfterFinished": 9},
        "status": {"jobName": "a"},
    });
    let marks = "metadata.annotations[\"axon.io/origin\"] metadata.annotations[\"axon.io/run\"] \
                 metadata.labels[\"axon.io/sync\"]";
    Case::new(&[&task])
        .live(&begun)
        .adopting()
        .check(&[&format!("Task/a Adopt {marks}")]);
    let other = with(begun, "/spec/prompt", &json!("q"));
    Case::new(&[&task])
        .live(&other)
        .adopting()
        .check(&[&format!(
            "Task/a replace unfinished=true {marks} spec.prompt"
        )]);
}

#[test]
fn every_object_carries_its_marks() {
    let task = desired("Task/a", &json!({"prompt": "p"}));
    let metadata = applied(&task)["metadata"].clone();
    assert_eq!(metadata["namespace"], "agents");
    assert_eq!(metadata["labels"], json!({"axon.io/sync": "app"}));
    assert_eq!(
        metadata["annotations"],
        json!({
            "axon.io/origin": format!("{ORIGIN}#Task/a"),
            "axon.io/run": task.run.unwrap().as_str(),
        })
    );
}
