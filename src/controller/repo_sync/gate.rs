//! Whether a plan may be carried out: what the guards and the spec's `approval` say. Pure.

use super::reason::Reason;
use super::reason::Trouble;
use super::summary;
use crate::api::labels;
use crate::api::repo_sync::Approval;
use crate::api::repo_sync::PendingPlan;
use crate::model::Plan;
use crate::sync::Allow;
use crate::sync::Cleared;
use crate::sync::Refusal;
use crate::sync::guard;

/// What people answered, by annotations: digests of plans.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answers {
    pub(super) approved: Option<String>,
    pub(super) allowed: Option<String>,
}

/// Why a plan waits, and the plan as it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) trouble: Trouble,
    pub(super) plan: PendingPlan,
}

/// Lets `plan` pass, or says what it waits for.
pub(super) fn pass<'p>(
    plan: &'p Plan,
    approval: Approval,
    answers: &Answers,
) -> Result<Cleared<'p>, Box<Held>> {
    let digest = plan.digest().to_string();
    let names = |answer: &Option<String>| answer.as_deref() == Some(digest.as_str());
    let is_approved = names(&answers.approved);
    let sum = plan.summary();
    let allow = Allow {
        deletes: names(&answers.allowed).then_some(sum.delete),
        runs: is_approved.then_some(sum.reruns),
    };
    let trouble = match guard::clear(plan, allow) {
        Err(refusals) => refused(&refusals, &digest),
        Ok(cleared) if is_approved || !needs_approval(plan, approval) => return Ok(cleared),
        Ok(_) => Trouble::new(
            Reason::ApprovalRequired,
            format!(
                "{}; to apply it set the annotation \"{}\" to \"{digest}\"",
                summary::counts(&sum),
                labels::APPROVED_PLAN
            ),
        ),
    };
    Err(Box::new(Held {
        trouble,
        plan: PendingPlan {
            summary: summary::of(plan),
            digest,
        },
    }))
}

fn needs_approval(plan: &Plan, approval: Approval) -> bool {
    let sum = plan.summary();
    match approval {
        Approval::None => false,
        Approval::Destructive => sum.delete + sum.replace + sum.reruns > 0,
        Approval::All => sum.has_changes(),
    }
}

fn refused(refusals: &[Refusal], digest: &str) -> Trouble {
    let reason = match refusals.first() {
        Some(Refusal::Empty { .. }) => Reason::EmptyGuard,
        Some(Refusal::Rerun { .. }) => Reason::RerunGuard,
        Some(Refusal::Prune { .. }) | None => Reason::PruneGuard,
    };
    let each: Vec<String> = refusals
        .iter()
        .map(|refusal| {
            let answer = match refusal {
                Refusal::Empty { .. } | Refusal::Prune { .. } => labels::ALLOW_PRUNE,
                Refusal::Rerun { .. } => labels::APPROVED_PLAN,
            };
            format!("{refusal}; if that is meant, set the annotation \"{answer}\" to \"{digest}\"")
        })
        .collect();
    Trouble::new(reason, each.join("; "))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::controller::repo_sync::fixture::key;
    use crate::controller::repo_sync::fixture::live;
    use crate::controller::repo_sync::fixture::plan;
    use crate::model::Kind;
    use crate::model::plan::Action;
    use crate::model::plan::Manifest;

    fn creates(count: usize, again: bool) -> Plan {
        plan((0..count).map(|number| {
            let create = Action::Create {
                manifest: Manifest::new(Value::Null),
                again,
            };
            (key(Kind::Task, &format!("t{number}")), create)
        }))
    }

    fn deletes(count: usize) -> Plan {
        plan((0..count).map(|number| {
            let delete = Action::Delete {
                live: live(),
                running: 0,
            };
            (key(Kind::Workspace, &format!("w{number}")), delete)
        }))
    }

    /// What stops the plan without an answer, with `approved-plan`, and with `allow-prune`.
    fn check(plan: &Plan, approval: Approval, expected: [Option<Reason>; 3]) {
        let digest = || Some(plan.digest().to_string());
        let answers = |approved, allowed| Answers { approved, allowed };
        let reasons = [
            answers(Some("another".into()), Some("another".into())),
            answers(digest(), None),
            answers(None, digest()),
        ]
        .map(|answers| {
            let held = pass(plan, approval, &answers).err()?;
            assert!(held.trouble.message.contains(&held.plan.digest));
            Some(held.trouble.reason)
        });
        assert_eq!(reasons, expected);
    }

    #[test]
    fn approval_is_asked_for_as_the_spec_says() {
        let asked = Some(Reason::ApprovalRequired);
        check(&creates(1, false), Approval::None, [None; 3]);
        check(&creates(1, false), Approval::Destructive, [None; 3]);
        check(&creates(1, false), Approval::All, [asked, None, asked]);
        check(
            &creates(1, true),
            Approval::Destructive,
            [asked, None, asked],
        );
        check(&deletes(1), Approval::Destructive, [asked, None, asked]);
        check(&deletes(1), Approval::None, [None; 3]);
    }

    #[test]
    fn guards_ask_even_without_approval() {
        let prune = Some(Reason::PruneGuard);
        check(&deletes(5), Approval::None, [prune, prune, None]);
        let mut empty = deletes(1);
        empty.declared = 0;
        let empty_guard = Some(Reason::EmptyGuard);
        check(&empty, Approval::None, [empty_guard, empty_guard, None]);
        let rerun = Some(Reason::RerunGuard);
        check(&creates(4, true), Approval::None, [rerun, None, rerun]);
    }

    #[test]
    fn a_large_deletion_needs_both_answers_where_approval_is_asked_for() {
        let plan = deletes(5);
        let asked = Some(Reason::ApprovalRequired);
        let prune = Some(Reason::PruneGuard);
        check(&plan, Approval::All, [prune, prune, asked]);
        let digest = Some(plan.digest().to_string());
        let both = Answers {
            approved: digest.clone(),
            allowed: digest,
        };
        assert!(pass(&plan, Approval::All, &both).is_ok());
    }
}
