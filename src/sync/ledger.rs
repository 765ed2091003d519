//! What a plan does to the records of runs. Pure.
//!
//! A record stays as long as the configuration names its Task. When the name is gone, the next apply
//! labels the record; the controller, which has a clock, removes it some time after. So a plan needs
//! no time, and one that changes nothing writes nothing.

use std::collections::BTreeSet;

use crate::api::labels;
use crate::model::Kind;
use crate::model::ObjectName;
use crate::model::object::DesiredSet;
use crate::model::plan::Action;
use crate::model::plan::LedgerStep;
use crate::model::plan::Step;
use crate::model::run::RunDigest;
use crate::model::run::RunRecord;
use crate::model::run::RunScope;
use crate::model::run::record_name;
use crate::sync::world::Identity;
use crate::sync::world::World;

/// What carrying out `steps` means for the records.
pub(super) fn steps(
    set: &DesiredSet,
    world: &World,
    identity: &Identity,
    steps: &[Step],
) -> Vec<LedgerStep> {
    let declared: BTreeSet<&str> = set
        .objects
        .iter()
        .filter(|it| it.key.kind == Kind::Task)
        .map(|it| it.key.name.as_str())
        .collect();
    let mut found: Vec<LedgerStep> = world
        .records
        .values()
        .filter_map(|it| fate(it, &declared, set.has_config, identity))
        .collect();
    found.extend(steps.iter().filter_map(|it| cancelled(it, world)));
    found
}

fn fate(
    record: &RunRecord,
    declared: &BTreeSet<&str>,
    has_config: bool,
    identity: &Identity,
) -> Option<LedgerStep> {
    let from = record.name.clone();
    if record.sync.as_deref() != Some(identity.sync.as_str()) {
        let to = moved_name(record, identity);
        return Some(LedgerStep::Move { from, to });
    }
    match (record.left, declared.contains(record.task.as_str())) {
        (true, true) => Some(LedgerStep::Return { record: from }),
        // Plain manifests alone say nothing about what is not in them.
        (false, false) if has_config => Some(LedgerStep::Leave { record: from }),
        (true | false, _) => None,
    }
}

/// The name that a record has once it is of this sync.
pub(super) fn moved_name(record: &RunRecord, identity: &Identity) -> String {
    let scope = RunScope::Sync {
        sync: identity.sync.to_string(),
        task: record.task.clone(),
    };
    record_name(&scope, &record.run)
}

/// The record of a run that a step breaks off.
fn cancelled(step: &Step, world: &World) -> Option<LedgerStep> {
    let breaks_off = match &step.action {
        Action::Replace { unfinished, .. } => *unfinished,
        Action::Delete { running, .. } => step.key.kind == Kind::Task && *running > 0,
        Action::Create { .. }
        | Action::Update { .. }
        | Action::Keep { .. }
        | Action::Unchanged
        | Action::AlreadyRan { .. }
        | Action::Blocked { .. } => false,
    };
    let task = world.objects.get(&step.key).filter(|_| breaks_off)?;
    Some(LedgerStep::Cancel {
        task: step.key.name.clone(),
        record: claimed(
            task.label(labels::SYNC)?,
            &step.key.name,
            task.annotation(labels::RUN)?,
        ),
    })
}

/// Name of the record that a declared Task with these marks claims.
pub(super) fn claimed(sync: &str, task: &ObjectName, run: &str) -> String {
    let scope = RunScope::Sync {
        sync: sync.to_owned(),
        task: task.to_string(),
    };
    record_name(&scope, &RunDigest::from_annotation(run))
}
