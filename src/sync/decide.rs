//! Compares the configuration with the cluster. Pure: the same input gives the same steps.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::api::labels;
use crate::cluster::Object;
use crate::model::Desired;
use crate::model::Key;
use crate::model::Kind;
use crate::model::object::DesiredSet;
use crate::model::plan::Action;
use crate::model::plan::Blocked;
use crate::model::plan::Claim;
use crate::model::plan::FieldChange;
use crate::model::plan::Manifest;
use crate::model::plan::OwnedField;
use crate::model::plan::Step;
use crate::model::run::RunScope;
use crate::model::run::record_name;
use crate::sync::Options;
use crate::sync::diff;
use crate::sync::manifest::marked;
use crate::sync::world::Identity;
use crate::sync::world::Standing;
use crate::sync::world::World;
use crate::sync::world::is_unfinished;
use crate::sync::world::running;
use crate::sync::world::standing;

/// The steps from `world` to `set`.
pub(super) fn steps(
    set: &DesiredSet,
    world: &World,
    identity: &Identity,
    options: Options,
) -> Vec<Step> {
    let ran: BTreeSet<&str> = world.records.values().map(|it| it.task.as_str()).collect();
    let mut steps: Vec<Step> = set
        .objects
        .iter()
        .map(|desired| Step {
            key: desired.key.clone(),
            action: match world.objects.get(&desired.key) {
                Some(object) => present(desired, object, identity, options),
                None => absent(desired, world, identity, &ran),
            },
        })
        .collect();
    let mut leaving: Vec<Step> = world
        .leaving(identity, set)
        .map(|(key, object)| Step {
            key: key.clone(),
            action: leave(key, object, world),
        })
        .collect();
    // What names a Workspace goes before it.
    leaving.sort_by(|a, b| (Reverse(a.key.kind), &a.key).cmp(&(Reverse(b.key.kind), &b.key)));
    steps.extend(leaving);
    steps
}

/// A Task of this run that is gone did run, and does not run again.
pub(super) fn has_run(desired: &Desired, world: &World, identity: &Identity) -> Option<Action> {
    let run = desired.run.as_ref()?;
    let scope = RunScope::Sync {
        sync: identity.sync.to_string(),
        task: desired.key.name.to_string(),
    };
    let record = world.records.get(&record_name(&scope, run))?;
    Some(Action::AlreadyRan {
        outcome: record.outcome,
        finished: record.finished.clone(),
    })
}

fn absent(desired: &Desired, world: &World, identity: &Identity, ran: &BTreeSet<&str>) -> Action {
    has_run(desired, world, identity).unwrap_or_else(|| Action::Create {
        manifest: mark(desired, identity),
        again: desired.key.kind == Kind::Task && ran.contains(desired.key.name.as_str()),
    })
}

fn present(desired: &Desired, object: &Object, identity: &Identity, options: Options) -> Action {
    let claim = match standing(&desired.key, object, identity, options.adopt) {
        Standing::Blocked(reason) => return Action::Blocked { reason },
        Standing::Ours => Claim::Own,
        Standing::Adoptable if options.force_conflicts => Claim::AdoptByForce,
        Standing::Adoptable => Claim::Adopt,
    };
    let manifest = mark(desired, identity);
    let changes = diff::from_declared(&manifest, object, &identity.manager());
    let live = object.id();
    if runs_again(desired, object, &changes) {
        return Action::Replace {
            manifest,
            live,
            changes,
            unfinished: is_unfinished(object),
        };
    }
    if changes.is_empty() {
        return Action::Unchanged;
    }
    let fields = owned_by_others(&changes);
    if !claim.takes_fields() && !fields.is_empty() {
        let reason = Blocked::Conflict { fields };
        return Action::Blocked { reason };
    }
    Action::Update {
        manifest,
        live,
        changes,
        claim,
    }
}

fn leave(key: &Key, object: &Object, world: &World) -> Action {
    if object.annotation(labels::PRUNE) == Some(PRUNE_DISABLED) {
        return Action::Keep;
    }
    Action::Delete {
        live: object.id(),
        running: running(key, object, world),
    }
}

/// Value of the annotation `axon.io/prune` that keeps an object.
pub(super) const PRUNE_DISABLED: &str = "disabled";

/// Whether a Task must run anew to become what is declared.
fn runs_again(desired: &Desired, object: &Object, changes: &[FieldChange]) -> bool {
    let Some(run) = &desired.run else {
        return false;
    };
    match object.annotation(labels::RUN) {
        Some(live) => live != run.as_str(),
        // Adopted, or the annotation was taken away: what has not started can still be edited, and
        // what runs as declared needs no other run.
        None => {
            object.text("/status/jobName").is_some()
                && changes.iter().any(|change| {
                    change.path.starts_with("spec") && change.path != "spec.ttlSecondsAfterFinished"
                })
        }
    }
}

fn owned_by_others(changes: &[FieldChange]) -> Vec<OwnedField> {
    changes
        .iter()
        .filter_map(|change| {
            Some(OwnedField {
                path: change.path.clone(),
                manager: change.changed_by.clone()?,
            })
        })
        .collect()
}

fn mark(desired: &Desired, identity: &Identity) -> Manifest {
    marked(desired, &identity.namespace, &identity.sync, &identity.home)
}

#[cfg(test)]
mod tests;
