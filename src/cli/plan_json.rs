//! A plan as programs read it. Pure: what may not be shown is masked in the plan already.

use crate::api::plan::BlockedReason;
use crate::api::plan::FORMAT_VERSION;
use crate::api::plan::KeepReason;
use crate::api::plan::PlanAction;
use crate::api::plan::PlanChange;
use crate::api::plan::PlanClaim;
use crate::api::plan::PlanDocument;
use crate::api::plan::PlanField;
use crate::api::plan::PlanKind;
use crate::api::plan::PlanRefusal;
use crate::api::plan::PlanRevision;
use crate::api::plan::PlanRuns;
use crate::api::plan::PlanStep;
use crate::api::plan::PlanSummary;
use crate::api::plan::PlanValue;
use crate::api::plan::RefusalCode;
use crate::api::plan::RunOutcome;
use crate::cli::plan_text;
use crate::model::Kind;
use crate::model::Plan;
use crate::model::Revision;
use crate::model::plan::Action;
use crate::model::plan::Blocked;
use crate::model::plan::Claim;
use crate::model::plan::FieldChange;
use crate::model::plan::Kept;
use crate::model::plan::SENSITIVE;
use crate::model::plan::Shown;
use crate::model::plan::Step;
use crate::model::plan::Summary;
use crate::model::run::Outcome;
use crate::sync::Refusal;

/// The plan, and why the guards refuse it. `dry_run`: whether the API server was asked.
pub(super) fn document(plan: &Plan, refusals: &[Refusal], dry_run: bool) -> PlanDocument {
    let sum = plan.summary();
    PlanDocument {
        kind: PlanKind::Plan,
        format_version: FORMAT_VERSION,
        namespace: plan.namespace.to_string(),
        sync: plan.sync.to_string(),
        source: plan.home.source().to_owned(),
        path: plan.home.path().to_owned(),
        revision: revision(&plan.revision),
        digest: plan.digest().to_string(),
        has_changes: sum.has_changes(),
        dry_run,
        summary: summary(sum),
        runs: PlanRuns {
            starts: sum.runs,
            again: sum.reruns,
        },
        refusals: refusals.iter().map(refusal).collect(),
        steps: plan.steps.iter().map(step).collect(),
    }
}

/// The document as text.
pub(super) fn render(plan: &Plan, refusals: &[Refusal], dry_run: bool) -> String {
    let document = document(plan, refusals, dry_run);
    let mut text =
        serde_json::to_string_pretty(&document).expect("its keys are strings and its values plain");
    text.push('\n');
    text
}

/// A revision, in full.
pub(super) fn revision(revision: &Revision) -> PlanRevision {
    match revision {
        Revision::Commit(id) => PlanRevision::Commit(id.clone()),
        Revision::Directory(digest) => PlanRevision::Directory(digest.to_string()),
    }
}

fn summary(sum: Summary) -> PlanSummary {
    // Destructured, so that no count is forgotten.
    let Summary {
        create,
        update,
        replace,
        delete,
        unchanged,
        conflicts,
        refused,
        runs: _,
        reruns: _,
        records,
    } = sum;
    PlanSummary {
        create,
        update,
        replace,
        delete,
        unchanged,
        conflicts,
        refused,
        records,
    }
}

fn refusal(refusal: &Refusal) -> PlanRefusal {
    let (code, count) = match refusal {
        Refusal::Empty { deletes } => (RefusalCode::EmptyGuard, *deletes),
        Refusal::Prune {
            deletes,
            members: _,
        } => (RefusalCode::PruneGuard, *deletes),
        Refusal::Rerun { reruns } => (RefusalCode::RerunGuard, *reruns),
    };
    PlanRefusal {
        code,
        message: refusal.to_string(),
        count,
    }
}

fn step(step: &Step) -> PlanStep {
    PlanStep {
        kind: step.key.kind.to_string(),
        name: step.key.name.to_string(),
        action: action(step),
    }
}

fn action(step: &Step) -> PlanAction {
    match &step.action {
        Action::Create { manifest: _, again } => PlanAction::Create {
            runs_agent: step.key.kind == Kind::Task,
            again: *again,
        },
        Action::Update {
            manifest: _,
            live: _,
            changes,
            claim,
            inherits: _,
        } => PlanAction::Update {
            claim: match claim {
                Claim::Own => PlanClaim::Own,
                Claim::Adopt => PlanClaim::Adopt,
                Claim::AdoptByForce => PlanClaim::AdoptByForce,
                Claim::TakeOver => PlanClaim::TakeOver,
            },
            changes: changes.iter().map(change).collect(),
        },
        Action::Replace {
            manifest: _,
            live: _,
            changes,
            unfinished,
        } => PlanAction::Replace {
            cancels_run: *unfinished,
            changes: changes.iter().map(change).collect(),
        },
        Action::Delete { live: _, running } => PlanAction::Delete { running: *running },
        Action::Keep { why } => PlanAction::Keep {
            reason: match why {
                Kept::Asked => KeepReason::Asked,
                Kept::Unproven => KeepReason::Unproven,
            },
        },
        Action::Unchanged => PlanAction::Unchanged,
        Action::AlreadyRan { outcome, finished } => PlanAction::AlreadyRan {
            outcome: match outcome {
                Outcome::Succeeded => RunOutcome::Succeeded,
                Outcome::Failed => RunOutcome::Failed,
                Outcome::Cancelled => RunOutcome::Cancelled,
                Outcome::Unknown => RunOutcome::Unknown,
            },
            finished: finished.clone(),
        },
        Action::Blocked { reason } => blocked(reason),
    }
}

fn blocked(why: &Blocked) -> PlanAction {
    let (reason, fields) = match why {
        Blocked::Conflict { fields } => (BlockedReason::Conflict, fields.as_slice()),
        Blocked::Foreign => (BlockedReason::Foreign, &[][..]),
        Blocked::OtherSync { .. } => (BlockedReason::OtherSync, &[][..]),
        Blocked::OtherSource { origin: _ } => (BlockedReason::OtherSource, &[][..]),
        Blocked::Going => (BlockedReason::Going, &[][..]),
        Blocked::Refused { why: _, message: _ } => (BlockedReason::Refused, &[][..]),
    };
    let owned = fields.iter().map(|field| PlanField {
        path: field.path.clone(),
        manager: field.manager.clone(),
    });
    PlanAction::Blocked {
        reason,
        message: plan_text::blocked(why),
        fields: owned.collect(),
    }
}

fn change(change: &FieldChange) -> PlanChange {
    PlanChange {
        path: change.path.clone(),
        before: value(&change.before),
        after: value(&change.after),
        changed_by: change.changed_by.clone(),
    }
}

fn value(shown: &Shown) -> Option<PlanValue> {
    match shown {
        Shown::Absent => None,
        Shown::Sensitive => Some(PlanValue {
            value: SENSITIVE.into(),
            sensitive: true,
        }),
        Shown::Value(value) => Some(PlanValue {
            value: value.clone(),
            sensitive: false,
        }),
    }
}
