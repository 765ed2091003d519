//! How trying to apply a configuration ended, from the plan and what became of it. Pure.

use std::collections::BTreeSet;

use super::reason::Class;
use super::reason::Reason;
use super::reason::Trouble;
use super::summary;
use crate::api::repo_sync::ObjectCounts;
use crate::api::repo_sync::PendingPlan;
use crate::model::Diagnostic;
use crate::model::Key;
use crate::model::Plan;
use crate::model::plan::Action;
use crate::model::plan::Applied;
use crate::model::plan::Blocked;
use crate::model::plan::Deed;
use crate::model::plan::Failed;
use crate::model::plan::Kept;
use crate::model::plan::Refusal;
use crate::model::plan::Skipped;
use crate::model::problem::Severity;
use crate::sync::way_out;
use crate::sync::way_out::WayOut;

/// Problems or objects that a message names; the rest is counted.
const MAX_NAMED: usize = 5;

/// How trying to apply a configuration ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Synced,
    Troubled(Trouble),
    /// A plan waits for somebody's word.
    Held(Trouble, PendingPlan),
}

impl Outcome {
    pub(super) fn trouble(&self) -> Option<&Trouble> {
        match self {
            Self::Synced => None,
            Self::Troubled(trouble) | Self::Held(trouble, _) => Some(trouble),
        }
    }

    pub(super) fn class(&self) -> Class {
        self.trouble().map_or(Class::Done, Trouble::class)
    }

    /// Of a plan that had nothing to do.
    pub(super) fn of_rest(plan: &Plan) -> Self {
        in_the_way(plan).map_or(Self::Synced, Self::Troubled)
    }

    /// Of a plan that was carried out, as far as could be.
    pub(super) fn of(plan: &Plan, applied: &Applied) -> Self {
        if !applied.failed.is_empty() {
            let why = applied.failed.iter().map(|it| it.refusal);
            return Self::Troubled(refused(failures(applied), why));
        }
        if !applied.records.is_empty() {
            let message = format!("the records of runs: {}", applied.records.join(": "));
            return Self::Troubled(Trouble::new(Reason::ApplyFailed, message));
        }
        if let Some(trouble) = in_the_way(plan) {
            return Self::Troubled(trouble);
        }
        if applied.is_complete() {
            return Self::Synced;
        }
        let skipped = applied.skipped.len();
        let message = format!("{skipped} objects were left out; they are tried again");
        Self::Troubled(Trouble::new(Reason::ApplyFailed, message))
    }
}

/// What a plan did. A replaced Task counts as updated.
pub(super) fn counts(applied: &Applied) -> Option<ObjectCounts> {
    let count = |deed| u32::try_from(applied.count(deed)).unwrap_or(u32::MAX);
    let unchanged = u32::try_from(applied.unchanged).unwrap_or(u32::MAX);
    (!applied.done.is_empty()).then(|| ObjectCounts {
        created: count(Deed::Created),
        updated: count(Deed::Updated).saturating_add(count(Deed::Replaced)),
        deleted: count(Deed::Deleted),
        unchanged,
    })
}

/// The objects that a plan could not have.
pub(super) fn blocked(plan: &Plan) -> BTreeSet<Key> {
    let steps = plan.steps.iter();
    steps
        .filter(|step| matches!(step.action, Action::Blocked { .. }))
        .map(|step| step.key.clone())
        .collect()
}

/// The objects that stay because they do not prove whose they are.
pub(super) fn unproven(plan: &Plan) -> Vec<Key> {
    let why = Kept::Unproven;
    let steps = plan.steps.iter();
    steps
        .filter(|step| step.action == Action::Keep { why })
        .map(|step| step.key.clone())
        .collect()
}

/// Whether the apply was told to stop before its end.
pub(super) fn is_interrupted(applied: &Applied) -> bool {
    let mut skipped = applied.skipped.iter();
    skipped.any(|(_, why)| *why == Skipped::Interrupted)
}

/// The trouble with a configuration that cannot be loaded.
pub(super) fn invalid(problems: &[Diagnostic]) -> Trouble {
    let errors: Vec<String> = problems
        .iter()
        .filter(|it| it.severity == Severity::Error)
        .map(|it| format!("{}: {}", it.place, it.message))
        .collect();
    let hint = "fix it in the repository; the cluster stays as it is";
    Trouble::new(
        Reason::InvalidConfig,
        format!("{}; {hint}", named(&errors, "; ")),
    )
}

/// What speaks of objects that could not be written, given why each was refused: what is refused for
/// good is not tried again and again.
fn refused(message: String, why: impl IntoIterator<Item = Option<Refusal>>) -> Trouble {
    let mut worst = Some(Refusal::Invalid);
    for why in why {
        worst = match (worst, why) {
            (Some(Refusal::Invalid), Some(Refusal::Invalid)) => Some(Refusal::Invalid),
            (None, _) | (_, None) => None,
            (Some(_), Some(_)) => Some(Refusal::Forbidden),
        };
    }
    match worst {
        Some(Refusal::Invalid) => Trouble::new(Reason::InvalidConfig, message),
        Some(Refusal::Forbidden) => Trouble::new(Reason::ApplyFailed, message).for_good(),
        None => Trouble::new(Reason::ApplyFailed, message),
    }
}

/// What the API server refuses comes first, then what belongs to others, then single fields.
fn in_the_way(plan: &Plan) -> Option<Trouble> {
    let mut found: [Vec<String>; 3] = Default::default();
    let mut why_refused = Vec::new();
    for step in &plan.steps {
        let Action::Blocked { reason } = &step.action else {
            continue;
        };
        let of = match reason {
            Blocked::Refused { why, message: _ } => {
                why_refused.push(*why);
                0
            }
            Blocked::Foreign | Blocked::OtherSync { .. } | Blocked::OtherSource { .. } => 1,
            Blocked::Conflict { .. } | Blocked::Going => 2,
        };
        found[of].push(format!("{}: {}", step.key, summary::blocked(reason)));
    }
    let [rejected, foreign, conflicts] = found;
    let told = |what: &[String], hint: &str| format!("{}; {hint}", named(what, "; "));
    if !rejected.is_empty() {
        let message = told(&rejected, "change it, or what refuses it");
        return Some(refused(message, why_refused));
    }
    let (reason, told) = if foreign.is_empty() {
        (Reason::Conflict, conflicts)
    } else {
        (Reason::NotOwned, foreign)
    };
    let ways: Vec<String> = way_out::ways_out(plan)
        .into_iter()
        .take(MAX_NAMED)
        .map(|WayOut { when, flags, or }| {
            format!("{when}: \"axon apply {flags}\" once, in a clone; {or}")
        })
        .collect();
    let all = [named(&told, "; ")].into_iter().chain(ways);
    let all: Vec<String> = all.collect();
    (!told.is_empty()).then(|| Trouble::new(reason, all.join(". ")))
}

fn failures(applied: &Applied) -> String {
    let each: Vec<String> = applied
        .failed
        .iter()
        .map(|failed| format!("{}: {}", failed.key, causes(failed)))
        .collect();
    let mut text = named(&each, "; ");
    let done = applied.done.len();
    if done > 0 {
        text = format!("{text}; {done} others were applied");
    }
    text
}

fn causes(failed: &Failed) -> String {
    failed.causes.join(": ")
}

/// The first few, and how many more there are.
fn named(all: &[String], separator: &str) -> String {
    let shown = all.len().min(MAX_NAMED);
    let mut text = all[..shown].join(separator);
    if all.len() > shown {
        text = format!("{text}{separator}and {} more", all.len() - shown);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::repo_sync::fixture::key;
    use crate::controller::repo_sync::fixture::plan;
    use crate::model::Kind;
    use crate::model::plan::OwnedField;

    fn blocked_by(reasons: impl IntoIterator<Item = Blocked>) -> Plan {
        let named = reasons.into_iter().enumerate();
        plan(named.map(|(number, reason)| {
            let key = key(Kind::Workspace, &format!("w{number}"));
            (key, Action::Blocked { reason })
        }))
    }

    fn conflict() -> Blocked {
        Blocked::Conflict {
            fields: vec![OwnedField {
                path: "spec.ref".into(),
                manager: "kubectl-edit".into(),
            }],
        }
    }

    fn check(reasons: Vec<Blocked>, expected: Reason, words: &str) {
        let plan = blocked_by(reasons);
        let outcome = Outcome::of_rest(&plan);
        let trouble = outcome.trouble().unwrap();
        assert_eq!(trouble.reason, expected);
        assert!(trouble.message.contains(words), "{}", trouble.message);
    }

    #[test]
    fn what_is_in_the_way_has_its_reason() {
        let other = || Blocked::OtherSync {
            sync: "web".into(),
            is_elsewhere: true,
        };
        let refused = |why| Blocked::Refused {
            why,
            message: "no".into(),
        };
        check(
            vec![conflict()],
            Reason::Conflict,
            "Workspace/w0: \"spec.ref\" is managed by \"kubectl-edit\". to take the fields",
        );
        check(
            vec![conflict(), other()],
            Reason::NotOwned,
            "\"axon apply --take-over-sync web --adopt\" once, in a clone",
        );
        check(
            vec![other(), refused(Some(Refusal::Invalid))],
            Reason::InvalidConfig,
            "Workspace/w1: the API server refuses it: no",
        );
        check(
            vec![
                refused(Some(Refusal::Invalid)),
                refused(Some(Refusal::Forbidden)),
            ],
            Reason::ApplyFailed,
            "Workspace/w1: the API server refuses it: no",
        );
        check(
            (0..9).map(|_| Blocked::Foreign).collect(),
            Reason::NotOwned,
            "and 4 more",
        );
        assert_eq!(Outcome::of_rest(&plan([])), Outcome::Synced);
    }

    fn failed_by(why: &[Option<Refusal>]) -> Applied {
        let failed = why.iter().map(|refusal| Failed {
            key: key(Kind::TaskSpawner, "triage"),
            is_conflict: false,
            refusal: *refusal,
            causes: vec!["denied by policy".into(), "too many".into()],
        });
        Applied {
            done: vec![(key(Kind::Workspace, "a"), Deed::Created)],
            failed: failed.collect(),
            ..Applied::default()
        }
    }

    #[test]
    fn what_is_refused_for_good_is_not_tried_for_ever() {
        use Refusal::Forbidden;
        use Refusal::Invalid;
        let check = |why: &[Option<Refusal>], reason: Reason, class: Class| {
            let outcome = Outcome::of(&plan([]), &failed_by(why));
            assert_eq!(outcome.trouble().unwrap().reason, reason, "{why:?}");
            assert_eq!(outcome.class(), class, "{why:?}");
        };
        check(&[Some(Invalid)], Reason::InvalidConfig, Class::Stalled);
        check(&[Some(Forbidden)], Reason::ApplyFailed, Class::Stalled);
        check(
            &[Some(Invalid), Some(Forbidden)],
            Reason::ApplyFailed,
            Class::Stalled,
        );
        check(
            &[Some(Invalid), None],
            Reason::ApplyFailed,
            Class::Transient,
        );
        check(
            &[None, Some(Forbidden)],
            Reason::ApplyFailed,
            Class::Transient,
        );
    }

    #[test]
    fn a_failure_names_object_and_cause() {
        let applied = failed_by(&[None]);
        let outcome = Outcome::of(&plan([]), &applied);
        assert_eq!(
            outcome.trouble().unwrap().message,
            "TaskSpawner/triage: denied by policy: too many; 1 others were applied"
        );
        assert_eq!(outcome.class(), Class::Transient);
        let counts = counts(&applied).unwrap();
        assert_eq!((counts.created, counts.deleted), (1, 0));
    }
}
