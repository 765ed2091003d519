//! A plan in words that hold no value of a field. Pure.

use std::fmt::Write as _;

use crate::api::repo_sync::ObjectCounts;
use crate::model::Plan;
use crate::model::plan::Action;
use crate::model::plan::Blocked;
use crate::model::plan::FieldChange;
use crate::model::plan::OwnedField;
use crate::model::plan::Step;
use crate::model::plan::Summary;

/// Longest text: the schema allows 8,192 characters, and the counts come after the steps.
const MAX_STEPS: usize = 7_600;
/// Fields of one object that are named.
const MAX_FIELDS: usize = 8;

/// One line for each step that does something, then the counts.
pub(super) fn of(plan: &Plan) -> String {
    let mut text = String::new();
    let mut left_out = 0;
    for line in plan.steps.iter().filter_map(line) {
        if left_out > 0 || text.len() + line.len() > MAX_STEPS {
            left_out += 1;
        } else {
            text.push_str(&line);
            text.push('\n');
        }
    }
    if left_out > 0 {
        let _ = writeln!(text, "and {left_out} more");
    }
    text + &counts(&plan.summary())
}

/// `created 1, updated 2`.
pub(super) fn done(counts: Option<ObjectCounts>) -> String {
    let Some(ObjectCounts {
        created,
        updated,
        deleted,
        unchanged,
    }) = counts
    else {
        return "nothing to do".into();
    };
    format!("created {created}, updated {updated}, deleted {deleted}, unchanged {unchanged}")
}

/// `1 to create, 2 unchanged; agent runs started: 1`.
pub(super) fn counts(sum: &Summary) -> String {
    let Summary {
        create,
        update,
        replace,
        delete,
        unchanged,
        conflicts,
        refused,
        runs,
        reruns: _,
        records,
    } = *sum;
    let parts = [
        (create, "to create"),
        (update, "to update"),
        (replace, "to replace"),
        (delete, "to delete"),
        (unchanged, "unchanged"),
        (conflicts, "blocked"),
        (refused, "refused"),
        (records, "records to keep"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts.map(|(n, what)| format!("{n} {what}")).collect();
    let mut text = if parts.is_empty() {
        "nothing to do".to_owned()
    } else {
        parts.join(", ")
    };
    if runs > 0 {
        let _ = write!(text, "; agent runs started: {runs}");
    }
    text
}

fn line(step: &Step) -> Option<String> {
    let key = &step.key;
    Some(match &step.action {
        Action::Create { again: false, .. } => format!("+ {key}"),
        Action::Create { again: true, .. } => format!("+ {key}: runs the agent again"),
        Action::Update { changes, .. } => format!("~ {key}: {}", fields(changes)),
        Action::Replace { unfinished, .. } => {
            let meanwhile = if *unfinished { ", cancels the run" } else { "" };
            format!("-/+ {key}: runs the agent again{meanwhile}")
        }
        Action::Delete { running, .. } if *running > 0 => {
            format!("- {key} (unfinished Tasks: {running})")
        }
        Action::Delete { .. } => format!("- {key}"),
        Action::Blocked { reason } => format!("! {key}: {}", blocked(reason)),
        Action::Keep { .. } | Action::Unchanged | Action::AlreadyRan { .. } => return None,
    })
}

/// Why an object is blocked, in a few words.
pub(super) fn blocked(reason: &Blocked) -> String {
    match reason {
        Blocked::Conflict { fields } => {
            let each = fields.iter().take(MAX_FIELDS);
            let each = each.map(|OwnedField { path, manager }| {
                format!("\"{path}\" is managed by \"{manager}\"")
            });
            each.collect::<Vec<_>>().join(", ")
        }
        Blocked::Foreign => "it exists and belongs to no sync".into(),
        Blocked::OtherSync { sync, .. } => format!("it belongs to sync \"{sync}\""),
        Blocked::OtherSource { origin } => format!("it comes from \"{origin}\""),
        Blocked::Going => "it is being deleted".into(),
        Blocked::Refused { why: _, message } => format!("the API server refuses it: {message}"),
    }
}

fn fields(changes: &[FieldChange]) -> String {
    let named = changes.iter().take(MAX_FIELDS);
    let mut named: Vec<&str> = named.map(|it| it.path.as_str()).collect();
    let more;
    if changes.len() > MAX_FIELDS {
        more = format!("and {} more", changes.len() - MAX_FIELDS);
        named.push(&more);
    }
    named.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::controller::repo_sync::fixture::key;
    use crate::controller::repo_sync::fixture::live;
    use crate::controller::repo_sync::fixture::plan;
    use crate::model::Kind;
    use crate::model::plan::Claim;
    use crate::model::plan::Manifest;
    use crate::model::plan::Shown;

    fn manifest() -> Manifest {
        Manifest::new(json!({"spec": {"prompt": "hunter2"}}))
    }

    fn change(path: &str) -> FieldChange {
        FieldChange {
            path: path.into(),
            before: Shown::Value("hunter2".into()),
            after: Shown::Value("hunter2".into()),
            changed_by: None,
        }
    }

    #[test]
    fn a_plan_without_its_values() {
        let plan = plan([
            (
                key(Kind::Workspace, "app"),
                Action::Update {
                    manifest: manifest(),
                    live: live(),
                    changes: vec![change("spec.ref"), change("spec.repo")],
                    claim: Claim::Own,
                    inherits: Vec::new(),
                },
            ),
            (
                key(Kind::Task, "new"),
                Action::Create {
                    manifest: manifest(),
                    again: false,
                },
            ),
            (
                key(Kind::Task, "port"),
                Action::Replace {
                    manifest: manifest(),
                    live: live(),
                    changes: vec![change("spec.prompt")],
                    unfinished: true,
                },
            ),
            (key(Kind::Task, "same"), Action::Unchanged),
            (
                key(Kind::TaskSpawner, "old"),
                Action::Delete {
                    live: live(),
                    running: 2,
                },
            ),
        ]);
        assert_eq!(
            of(&plan),
            "~ Workspace/app: spec.ref, spec.repo\n\
             + Task/new\n\
             -/+ Task/port: runs the agent again, cancels the run\n\
             - TaskSpawner/old (unfinished Tasks: 2)\n\
             1 to create, 1 to update, 1 to replace, 1 to delete, 1 unchanged; agent runs started: 2"
        );
    }

    #[test]
    fn a_large_plan_is_cut() {
        let steps = (0..2_000).map(|number| {
            let delete = Action::Delete {
                live: live(),
                running: 0,
            };
            (key(Kind::Workspace, &format!("w{number}")), delete)
        });
        let text = of(&plan(steps));
        assert!(text.len() < 8_192, "{}", text.len());
        assert!(text.ends_with("more\n2000 to delete"), "{text}");
    }
}
