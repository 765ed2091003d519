//! Compares the configuration with the cluster. Pure: the same input gives the same steps.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::api::labels;
use crate::cluster::Object;
use crate::model::Desired;
use crate::model::Key;
use crate::model::Kind;
use crate::model::RepoUrl;
use crate::model::object::DesiredSet;
use crate::model::plan::Action;
use crate::model::plan::Blocked;
use crate::model::plan::Claim;
use crate::model::plan::FieldChange;
use crate::model::plan::Kept;
use crate::model::plan::Manifest;
use crate::model::plan::OwnedField;
use crate::model::plan::Step;
use crate::model::run;
use crate::model::run::RunRecord;
use crate::sync::Options;
use crate::sync::diff;
use crate::sync::manifest::marked;
use crate::sync::owners::Ours;
use crate::sync::owners::Owners;
use crate::sync::world::Identity;
use crate::sync::world::Standing;
use crate::sync::world::World;
use crate::sync::world::has_run;
use crate::sync::world::has_run_elsewhere;
use crate::sync::world::is_unfinished;
use crate::sync::world::manager_of;
use crate::sync::world::running;
use crate::sync::world::standing;

/// The steps from `world` to `set`.
pub(super) fn steps(
    set: &DesiredSet,
    world: &World,
    identity: &Identity,
    options: &Options,
) -> Vec<Step> {
    let ran: BTreeSet<&str> = world.records.values().map(|it| it.task.as_str()).collect();
    let mut steps: Vec<Step> = set
        .objects
        .iter()
        .map(|desired| Step {
            key: desired.key.clone(),
            action: match world.objects.get(&desired.key) {
                Some(object) => present(desired, object, world, identity, options),
                None => absent(desired, world, identity, &ran),
            },
        })
        .collect();
    if let Some(old) = renamed_from(set, world, identity) {
        // What of it has run is on record under that id, where we do not look.
        for step in steps.iter_mut().filter(|it| it.key.kind == Kind::Task) {
            if let Action::Create { .. } = step.action {
                let sync = old.to_owned();
                let is_elsewhere = false;
                let reason = Blocked::OtherSync { sync, is_elsewhere };
                step.action = Action::Blocked { reason };
            }
        }
    }
    let mut leaving: Vec<Step> = world
        .leaving(identity, set)
        .map(|(key, object)| Step {
            key: key.clone(),
            action: leave(key, object, world, options),
        })
        .collect();
    leaving.extend(world.unproven(identity, set).map(|key| Step {
        key: key.clone(),
        action: Action::Keep {
            why: Kept::Unproven,
        },
    }));
    // What names a Workspace goes before it.
    leaving.sort_by(|a, b| (Reverse(a.key.kind), &a.key).cmp(&(Reverse(b.key.kind), &b.key)));
    steps.extend(leaving);
    steps
}

/// The id under which this very configuration made objects before, without that the sync was told.
fn renamed_from<'a>(set: &DesiredSet, world: &'a World, identity: &Identity) -> Option<&'a str> {
    set.objects.iter().find_map(|desired| {
        let object = world.objects.get(&desired.key)?;
        let label = object.label(labels::SYNC)?;
        let origin = identity.home.origin(&desired.key);
        let is_home = object.annotation(labels::ORIGIN) == Some(origin.as_str());
        (is_home && !identity.is_ours(label)).then_some(label)
    })
}

fn absent(desired: &Desired, world: &World, identity: &Identity, ran: &BTreeSet<&str>) -> Action {
    // A Task of this run that is gone did run, and does not run again.
    if let Some(record) = has_run(desired, world, identity) {
        return already_ran(record);
    }
    if let Some(sync) = has_run_elsewhere(desired, world) {
        let reason = Blocked::OtherSync {
            sync: sync.to_owned(),
            is_elsewhere: false,
        };
        return Action::Blocked { reason };
    }
    Action::Create {
        manifest: mark(desired, identity),
        again: desired.key.kind == Kind::Task && ran.contains(desired.key.name.as_str()),
    }
}

fn already_ran(record: &RunRecord) -> Action {
    Action::AlreadyRan {
        outcome: record.outcome,
        finished: record.finished.clone(),
    }
}

fn present(
    desired: &Desired,
    object: &Object,
    world: &World,
    identity: &Identity,
    options: &Options,
) -> Action {
    let claim = match standing(&desired.key, object, identity, options.adopt) {
        Standing::Blocked(reason) => return Action::Blocked { reason },
        Standing::Ours => Claim::Own,
        Standing::Renamed => Claim::TakeOver,
        Standing::Adoptable if options.force_conflicts => Claim::AdoptByForce,
        Standing::Adoptable => Claim::Adopt,
    };
    if object.is_terminating() && !is_to_run(desired, object) {
        // It cannot be held: what was written to it would go with it.
        return match has_run(desired, world, identity) {
            Some(record) => already_ran(record),
            None => Action::Blocked {
                reason: Blocked::Going,
            },
        };
    }
    let desired = &as_it_is(desired, object);
    let manifest = mark(desired, identity);
    let manager = identity.manager();
    let inherits = inherited(object, claim, identity, options);
    let ours = Ours {
        manager: &manager,
        inherits: &inherits,
    };
    let changes = diff::from_declared(&manifest, object, &ours);
    let live = object.id();
    if runs_again(desired, object, &changes) {
        if let Some(record) = has_run(desired, world, identity) {
            // What is declared now ran before what is there: the one does not run again, and the
            // other, if it is ours, is not wanted any more.
            return match claim {
                Claim::Own | Claim::TakeOver => Action::Delete {
                    live,
                    running: running(&desired.key, object, world),
                },
                Claim::Adopt | Claim::AdoptByForce => already_ran(record),
            };
        }
        return Action::Replace {
            manifest,
            live,
            changes,
            unfinished: is_unfinished(object),
        };
    }
    if changes.is_empty() && inherits.is_empty() {
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
        inherits,
    }
}

/// `desired`, where a Workspace stands for the repository that the configuration is in, with the URL
/// of it that is there already: a clone and a sync may name the same repository by two URLs.
fn as_it_is<'a>(desired: &'a Desired, object: &Object) -> Cow<'a, Desired> {
    let canonical = |url: &str| RepoUrl::parse(url).ok().map(|it| it.canonical());
    let wanted = desired.manifest["spec"]["repo"].as_str();
    match (wanted, object.text("/spec/repo")) {
        (Some(wanted), Some(live))
            if desired.own_repository
                && wanted != live
                && canonical(wanted).is_some()
                && canonical(wanted) == canonical(live) =>
        {
            let mut same = desired.clone();
            same.manifest["spec"]["repo"] = live.into();
            Cow::Owned(same)
        }
        (Some(_) | None, Some(_) | None) => Cow::Borrowed(desired),
    }
}

/// The field managers whose fields become ours when the object does.
fn inherited(object: &Object, claim: Claim, identity: &Identity, options: &Options) -> Vec<String> {
    let named: Vec<String> = match claim {
        Claim::Own | Claim::TakeOver => identity.old.iter().map(manager_of).collect(),
        Claim::Adopt | Claim::AdoptByForce if options.take_ownership => {
            CLIENT_SIDE.map(str::to_owned).into()
        }
        Claim::Adopt | Claim::AdoptByForce => Vec::new(),
    };
    let owners = Owners::of(object);
    named.into_iter().filter(|it| owners.has(it)).collect()
}

fn leave(key: &Key, object: &Object, world: &World, options: &Options) -> Action {
    if !options.prune || object.annotation(labels::PRUNE) == Some(PRUNE_DISABLED) {
        return Action::Keep { why: Kept::Asked };
    }
    Action::Delete {
        live: object.id(),
        running: running(key, object, world),
    }
}

/// What kubectl calls itself where it does not use server-side apply, and what the API server calls
/// the owners of an object that is older than its first apply.
pub(super) const CLIENT_SIDE: [&str; 4] = [
    "kubectl-client-side-apply",
    "kubectl-create",
    "kubectl-edit",
    "before-first-apply",
];

/// Value of the annotation `axon.io/prune` that keeps an object.
pub(super) const PRUNE_DISABLED: &str = "disabled";

/// Whether a Task that is there is another run than the declared one: that awaits its end anyway.
fn is_to_run(desired: &Desired, object: &Object) -> bool {
    let live = object.annotation(labels::RUN);
    desired
        .run
        .as_ref()
        .is_some_and(|run| live.is_some_and(|live| live != run.as_str()))
}

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
                    change
                        .path
                        .strip_prefix("spec.")
                        .is_some_and(|field| !run::OUTSIDE.contains(&field))
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
