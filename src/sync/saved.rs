//! What a saved plan keeps of a plan, and what has moved since. Pure.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;
use serde_json::json;

use crate::api::labels;
use crate::api::plan::SavedObject;
use crate::api::plan::SavedPlan;
use crate::api::plan::SavedStep;
use crate::cluster::Object;
use crate::model::Digest;
use crate::model::Key;
use crate::model::Plan;
use crate::model::plan::Action;
use crate::model::plan::FieldChange;
use crate::model::plan::Manifest;
use crate::model::plan::Shown;
use crate::model::run::RunScope;
use crate::model::run::record_name;
use crate::sync::world::World;

/// The labels and annotations that plans are made by; declared ones show as changes of steps.
const ANNOTATIONS: [&str; 4] = [
    labels::ORIGIN,
    labels::RUN,
    labels::PRUNE,
    labels::ADOPT_INTO,
];

/// What of the cluster a plan rests on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Witness {
    objects: BTreeMap<Key, Sight>,
    /// Names of the records of runs.
    records: BTreeSet<String>,
}

/// An object, as far as a change of it makes another plan.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sight {
    uid: String,
    generation: i64,
    marks: String,
}

/// Something that is not as it was when the plan was saved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moved {
    Appeared {
        object: String,
    },
    Gone {
        object: String,
    },
    /// Another object of that name.
    Replaced {
        object: String,
    },
    Changed {
        object: String,
        from: i64,
        to: i64,
    },
    /// Its labels or annotations.
    Marked {
        object: String,
    },
    /// A record of the run that the plan would start.
    Ran {
        object: String,
    },
    /// It would be something else that is done.
    Action {
        object: String,
        saved: String,
        now: String,
    },
    /// The same would be done, with another outcome.
    Outcome {
        object: String,
    },
}

impl Witness {
    pub(super) fn of(world: &World) -> Self {
        let sights = world.objects.iter();
        Self {
            objects: sights
                .map(|(key, object)| (key.clone(), Sight::of(object)))
                .collect(),
            records: world.records.keys().cloned().collect(),
        }
    }

    /// The objects, for a saved plan.
    pub fn objects(&self) -> Vec<SavedObject> {
        let saved = self.objects.iter().map(|(key, sight)| SavedObject {
            object: key.to_string(),
            uid: sight.uid.clone(),
            generation: sight.generation,
            marks: sight.marks.clone(),
        });
        saved.collect()
    }

    /// The records of the Tasks that `plan` declares, for a saved plan.
    pub fn records(&self, plan: &Plan) -> Vec<String> {
        let names = plan
            .runs
            .keys()
            .filter_map(|name| record_of(plan, name.as_str()));
        names.filter(|name| self.records.contains(name)).collect()
    }
}

impl Sight {
    fn of(object: &Object) -> Self {
        let id = object.id();
        let annotations = ANNOTATIONS.map(|name| object.annotation(name));
        let marks = json!([
            object.label(labels::SYNC),
            annotations,
            object.is_terminating()
        ]);
        Self {
            uid: id.uid,
            generation: id.generation,
            marks: Digest::of_json(&marks).to_string(),
        }
    }
}

/// The steps, for a saved plan.
pub fn steps(plan: &Plan) -> Vec<SavedStep> {
    let saved = plan.steps.iter().map(|step| SavedStep {
        object: step.key.to_string(),
        action: code(&step.action).to_owned(),
        digest: digest(&step.action).to_string(),
    });
    saved.collect()
}

/// All that speaks against carrying out `plan` as the one that was saved.
pub fn moved(saved: &SavedPlan, plan: &Plan, witness: &Witness) -> Vec<Moved> {
    let mut moved = moved_objects(&saved.objects, &witness.objects());
    let named: BTreeSet<String> = moved.iter().map(|it| it.object().to_owned()).collect();
    let runs = new_runs(saved, plan, witness);
    moved.extend(runs.into_iter().filter(|it| !named.contains(it.object())));
    let named: BTreeSet<String> = moved.iter().map(|it| it.object().to_owned()).collect();
    let steps = moved_steps(&saved.steps, &steps(plan));
    moved.extend(steps.into_iter().filter(|it| !named.contains(it.object())));
    moved
}

/// Code of an action: stable, as in `axon plan -o json`.
pub fn code(action: &Action) -> &'static str {
    match action {
        Action::Create { .. } => "create",
        Action::Update { .. } => "update",
        Action::Replace { .. } => "replace",
        Action::Delete { .. } => "delete",
        Action::Keep { .. } => "keep",
        Action::Unchanged => "unchanged",
        Action::AlreadyRan { .. } => "alreadyRan",
        Action::Blocked { .. } => "blocked",
    }
}

fn moved_objects(saved: &[SavedObject], now: &[SavedObject]) -> Vec<Moved> {
    let before = by(saved, |it| &it.object);
    let after = by(now, |it| &it.object);
    let names: BTreeSet<&&str> = before.keys().chain(after.keys()).collect();
    let compared = names.into_iter().filter_map(|name| {
        let object = (*name).to_owned();
        match (before.get(name), after.get(name)) {
            (None, None) => None,
            (None, Some(_)) => Some(Moved::Appeared { object }),
            (Some(_), None) => Some(Moved::Gone { object }),
            (Some(before), Some(after)) if before.uid != after.uid => {
                Some(Moved::Replaced { object })
            }
            (Some(before), Some(after)) if before.generation != after.generation => {
                Some(Moved::Changed {
                    object,
                    from: before.generation,
                    to: after.generation,
                })
            }
            (Some(before), Some(after)) => {
                (before.marks != after.marks).then_some(Moved::Marked { object })
            }
        }
    });
    compared.collect()
}

/// Runs that the saved plan would start and that are on record now.
fn new_runs(saved: &SavedPlan, plan: &Plan, witness: &Witness) -> Vec<Moved> {
    let known: BTreeSet<&String> = saved.records.iter().collect();
    let starts = saved
        .steps
        .iter()
        .filter(|step| ["create", "replace"].contains(&step.action.as_str()));
    let ran = starts.filter_map(|step| {
        let task = step.object.strip_prefix("Task/")?;
        let record = record_of(plan, task)?;
        let is_new = witness.records.contains(&record) && !known.contains(&record);
        is_new.then(|| Moved::Ran {
            object: step.object.clone(),
        })
    });
    ran.collect()
}

fn moved_steps(saved: &[SavedStep], now: &[SavedStep]) -> Vec<Moved> {
    let before = by(saved, |it| &it.object);
    let after = by(now, |it| &it.object);
    let names: BTreeSet<&&str> = before.keys().chain(after.keys()).collect();
    let action = |step: Option<&&SavedStep>| step.map_or("nothing", |it| &it.action).to_owned();
    let compared = names.into_iter().filter_map(|name| {
        let object = (*name).to_owned();
        let (before, after) = (before.get(name), after.get(name));
        let (saved, now) = (action(before), action(after));
        if saved != now {
            return Some(Moved::Action { object, saved, now });
        }
        (before.map(|it| &it.digest) != after.map(|it| &it.digest))
            .then_some(Moved::Outcome { object })
    });
    compared.collect()
}

fn by<'a, T>(items: &'a [T], name: impl Fn(&'a T) -> &'a String) -> BTreeMap<&'a str, &'a T> {
    items.iter().map(|it| (name(it).as_str(), it)).collect()
}

/// Name of the record of a declared Task's run.
fn record_of(plan: &Plan, task: &str) -> Option<String> {
    let (name, run) = plan.runs.iter().find(|(name, _)| name.as_str() == task)?;
    let scope = RunScope::Sync {
        sync: plan.sync.to_string(),
        task: name.to_string(),
    };
    Some(record_name(&scope, run))
}

/// What is sent and what comes of it. Statuses of runs are no part of it: they go on by themselves.
fn digest(action: &Action) -> Digest {
    let sent = |manifest: &Manifest| Digest::of_json(manifest.as_value()).to_string();
    Digest::of_json(&match action {
        Action::Create { manifest, again } => json!([sent(manifest), again]),
        Action::Update {
            manifest,
            live: _,
            changes,
            claim,
            inherits,
        } => json!([
            sent(manifest),
            fields(changes),
            claim.takes_fields(),
            inherits
        ]),
        Action::Replace {
            manifest,
            live: _,
            changes,
            unfinished: _,
        } => json!([sent(manifest), fields(changes)]),
        Action::Blocked { reason } => json!(format!("{reason:?}")),
        Action::Delete { .. }
        | Action::Keep { .. }
        | Action::Unchanged
        | Action::AlreadyRan { .. } => Value::Null,
    })
}

/// The changes, whoever made the fields what they are.
fn fields(changes: &[FieldChange]) -> Value {
    let shown = |shown: &Shown| match shown {
        Shown::Absent => json!([]),
        Shown::Sensitive => json!("sensitive"),
        Shown::Value(value) => json!([value]),
    };
    let fields = changes
        .iter()
        .map(|it| json!([it.path, shown(&it.before), shown(&it.after)]));
    fields.collect()
}

impl Moved {
    /// `Kind/name` of what moved.
    pub fn object(&self) -> &str {
        match self {
            Self::Appeared { object }
            | Self::Gone { object }
            | Self::Replaced { object }
            | Self::Changed { object, .. }
            | Self::Marked { object }
            | Self::Ran { object }
            | Self::Action { object, .. }
            | Self::Outcome { object } => object,
        }
    }
}

impl fmt::Display for Moved {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Appeared { object } => write!(out, "{object} appeared"),
            Self::Gone { object } => write!(out, "{object} is gone"),
            Self::Replaced { object } => {
                write!(out, "{object} was deleted, and another has its name")
            }
            Self::Changed { object, from, to } => {
                write!(out, "{object} was changed (generation {from} -> {to})")
            }
            Self::Marked { object } => {
                write!(out, "labels or annotations of {object} were changed")
            }
            Self::Ran { object } => write!(out, "the run of {object} has begun or is over"),
            Self::Action { object, saved, now } => {
                write!(
                    out,
                    "{object}: \"{saved}\" was planned, now it is \"{now}\""
                )
            }
            Self::Outcome { object } => {
                write!(out, "{object}: something else would come of it now")
            }
        }
    }
}

#[cfg(test)]
mod tests;
