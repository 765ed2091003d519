//! The text of plans.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::model::Home;
use crate::model::Key;
use crate::model::Namespace;
use crate::model::ObjectName;
use crate::model::RepoPath;
use crate::model::Revision;
use crate::model::SyncId;
use crate::model::plan::LiveId;
use crate::model::plan::Manifest;
use crate::model::plan::OwnedField;
use crate::model::plan::Refusal;
use crate::model::snapshot::Source;

fn live() -> LiveId {
    LiveId {
        uid: "u".into(),
        generation: 1,
        resource_version: "1".into(),
        marks: crate::model::plan::Marks::default(),
    }
}

fn manifest() -> Manifest {
    Manifest::new(json!({"spec": {"token": "CANARY"}}))
}

pub(in crate::cli) fn plan(steps: Vec<(Kind, &str, Action)>) -> Plan {
    let source = Source {
        canonical: "x".into(),
        url: None,
    };
    Plan {
        namespace: Namespace::parse("agents").unwrap(),
        sync: SyncId::parse("app").unwrap(),
        takes_over: None,
        ledger: Vec::new(),
        home: Home::new(&source, &RepoPath::parse("axon.yaml").unwrap()),
        revision: Revision::Commit("0".repeat(40)),
        declared: 1,
        members: 1,
        runs: BTreeMap::new(),
        steps: steps
            .into_iter()
            .map(|(kind, name, action)| Step {
                key: Key {
                    kind,
                    name: ObjectName::parse(name).unwrap(),
                },
                action,
            })
            .collect(),
    }
}

pub(in crate::cli) fn change(
    path: &str,
    before: Shown,
    after: Shown,
    by: Option<&str>,
) -> FieldChange {
    FieldChange {
        path: path.into(),
        before,
        after,
        changed_by: by.map(str::to_owned),
    }
}

pub(in crate::cli) fn value(value: &str) -> Shown {
    Shown::Value(value.into())
}

fn check(steps: Vec<(Kind, &str, Action)>, expected: &str) {
    let text = render(&plan(steps));
    let plain = anstream::adapter::strip_str(&text).to_string();
    assert_eq!(plain.trim_end(), expected.trim_matches('\n'), "\n{plain}");
}

pub(in crate::cli) fn create() -> Action {
    Action::Create {
        manifest: manifest(),
        again: false,
    }
}

pub(in crate::cli) fn update(claim: Claim, changes: Vec<FieldChange>) -> Action {
    Action::Update {
        manifest: manifest(),
        live: live(),
        changes,
        claim,
        inherits: Vec::new(),
    }
}

pub(in crate::cli) fn blocked(reason: Blocked) -> Action {
    Action::Blocked { reason }
}

fn replace(changes: Vec<FieldChange>, unfinished: bool) -> Action {
    Action::Replace {
        manifest: manifest(),
        live: live(),
        changes,
        unfinished,
    }
}

fn delete(running: usize) -> Action {
    Action::Delete {
        live: live(),
        running,
    }
}

fn ran(finished: &str) -> Action {
    Action::AlreadyRan {
        outcome: Outcome::Succeeded,
        finished: Some(finished.into()),
    }
}

#[test]
fn every_action_has_its_line() {
    let fields = vec![
        change("spec.ref", value("main"), value("release-1"), None),
        change("spec.x", value("a"), Shown::Absent, Some("kubectl-edit")),
        change(
            "spec.env[0].value",
            Shown::Sensitive,
            Shown::Sensitive,
            None,
        ),
    ];
    let run = "metadata.annotations[\"axon.io/run\"]";
    let rerun = vec![change(run, value("v1-a"), value("v1-b"), None)];
    check(
        vec![
            (Kind::Workspace, "app", update(Claim::Own, fields)),
            (Kind::Workspace, "taken", update(Claim::Adopt, vec![])),
            (Kind::TaskSpawner, "triage", create()),
            (Kind::Task, "migrate", replace(rerun, false)),
            (Kind::Task, "cleanup", ran("2026-11-02T10:00:00Z")),
            (Kind::Task, "same", Action::Unchanged),
            (Kind::Task, "going", delete(1)),
            (Kind::TaskSpawner, "old", delete(2)),
        ],
        r#"
  ~ Workspace/app             update
      spec.ref: "main" -> "release-1"
      spec.x: "a" -> (none)  (changed by "kubectl-edit")
      spec.env[0].value: (sensitive) -> (sensitive)
  ~ Workspace/taken           update: adopts it
  + TaskSpawner/triage        create
-/+ Task/migrate              replace: runs the agent again
  > Task/cleanup              already ran (Succeeded 2026-11-02)
  - Task/going                delete (its run is cancelled)
  - TaskSpawner/old           delete (2 running Tasks keep running)
Plan: 1 to create, 2 to update, 1 to replace, 2 to delete, 2 unchanged.
Agent runs this plan starts: 1.
"#,
    );
}

#[test]
fn what_cannot_be_applied_says_why() {
    let blocked = |name, reason| (Kind::Workspace, name, Action::Blocked { reason });
    let fields = vec![OwnedField {
        path: "spec.ref".into(),
        manager: "kubectl-edit".into(),
    }];
    let sync = "other".into();
    let message = "no".into();
    check(
        vec![
            blocked("shared", Blocked::Conflict { fields }),
            blocked("foreign", Blocked::Foreign),
            blocked(
                "other",
                Blocked::OtherSync {
                    sync,
                    is_elsewhere: false,
                },
            ),
            blocked(
                "refused",
                Blocked::Refused {
                    why: Some(Refusal::Invalid),
                    message,
                },
            ),
        ],
        r#"
  ! Workspace/shared          conflict: spec.ref is owned by "kubectl-edit"
  ! Workspace/foreign         conflict: an object of this name is not of this sync
  ! Workspace/other           conflict: it belongs to sync "other"
  ! Workspace/refused         refused: no
Plan: 3 conflicts, 1 refused.
Agent runs this plan starts: 0.
"#,
    );
}

#[test]
fn nothing_to_do_is_said() {
    check(vec![(Kind::Task, "a", Action::Unchanged)], "No changes.");
    check(vec![], "No changes.");
}

#[test]
fn what_does_not_prove_whose_it_is_is_told() {
    let keep = |why| vec![(Kind::Workspace, "w", Action::Keep { why })];
    check(keep(Kept::Asked), "No changes.");
    check(
        keep(Kept::Unproven),
        r"
  ! Workspace/w               kept: it left the configuration, and without axon.io/origin nothing proves that this sync made it; delete it with kubectl, or take its label axon.io/sync away
No changes.
",
    );
}

#[test]
fn a_prompt_is_told_by_its_lines() {
    let before = value("Fix the bug.\nThen stop.\n");
    let after = value("Fix the bug.\nThen test.\n");
    check(
        vec![(
            Kind::Task,
            "a",
            replace(vec![change("spec.prompt", before, after, None)], true),
        )],
        r"
-/+ Task/a                    replace: cancels the current run, runs the agent again
      spec.prompt:
          Fix the bug.
        - Then stop.
        + Then test.
Plan: 1 to replace.
Agent runs this plan starts: 1.
",
    );
}

proptest! {
    #[test]
    fn nothing_steers_the_terminal(text in any::<String>()) {
        let steps = vec![
            (Kind::Task, "a", update(Claim::Own, vec![
                change(&text, value(&text), value("x\ny"), Some(&text)),
                change("p", value(&text), value("x"), None),
            ])),
            (Kind::Task, "b", Action::Blocked { reason: Blocked::Refused { why: Some(Refusal::Invalid), message: text.clone() } }),
            (Kind::Task, "c", Action::Blocked { reason: Blocked::OtherSync { sync: text, is_elsewhere: false } }),
        ];
        let rendered = render(&plan(steps));
        let plain = anstream::adapter::strip_str(&rendered).to_string();
        prop_assert!(plain.chars().all(|c| !c.is_control() || c == '\n' || c == '\t'));
    }
}
