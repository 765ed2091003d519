//! Whether a plan may be carried out: what the guards and the spec's `approval` say. Pure.

use super::reason::Reason;
use super::reason::Trouble;
use super::summary;
use crate::api::labels;
use crate::api::repo_sync::Approval;
use crate::api::repo_sync::ApprovedPlan;
use crate::api::repo_sync::PendingPlan;
use crate::model::Digest;
use crate::model::Plan;
use crate::sync::Allow;
use crate::sync::Cleared;
use crate::sync::Refusal;
use crate::sync::guard;

/// Steps of an approved plan that a status has room for: the schema's. What is left of a larger one waits.
const MAX_STEPS: usize = 1_000;

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

/// A plan that may be carried out.
#[derive(Debug)]
pub(super) struct Passed<'p> {
    pub(super) cleared: Cleared<'p>,
    /// The approved plan that it is, or is what is left of.
    pub(super) approved: Option<ApprovedPlan>,
}

/// Lets `plan` pass, or says what it waits for. `configuration`: what it was made from; `begun`: the
/// approved plan that was begun last.
pub(super) fn pass<'p>(
    plan: &'p Plan,
    configuration: &Digest,
    approval: Approval,
    answers: &Answers,
    begun: Option<&ApprovedPlan>,
) -> Result<Passed<'p>, Box<Held>> {
    let digest = plan.digest().to_string();
    let begun = begun.filter(|it| is_rest(plan, configuration, it));
    let names = |answer: &Option<String>| {
        let is = |digest: &str| answer.as_deref() == Some(digest);
        is(&digest) || begun.is_some_and(|it| is(&it.digest))
    };
    let (is_approved, is_allowed) = (names(&answers.approved), names(&answers.allowed));
    let sum = plan.summary();
    let allow = Allow {
        deletes: is_allowed.then_some(sum.delete),
        runs: is_approved.then_some(sum.reruns),
    };
    let trouble = match guard::clear(plan, allow) {
        Err(refusals) => refused(&refusals, &digest),
        Ok(cleared) if is_approved || !needs_approval(plan, approval) => {
            let approved = match begun {
                _ if !is_approved && !is_allowed => None,
                Some(begun) => Some(begun.clone()),
                None => published(plan, configuration),
            };
            return Ok(Passed { cleared, approved });
        }
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

/// Whether `plan` does nothing but what is left of `begun`. What stands in a status proves itself: its
/// steps must give the digest that a person named.
fn is_rest(plan: &Plan, configuration: &Digest, begun: &ApprovedPlan) -> bool {
    begun.configuration == configuration.to_string()
        && plan.digest_over(&begun.steps).to_string() == begun.digest
        && plan.is_rest_of(&begun.steps)
}

/// The plan as it stands in the status once it has begun, if that has room.
fn published(plan: &Plan, configuration: &Digest) -> Option<ApprovedPlan> {
    let steps = plan.parts();
    (steps.len() <= MAX_STEPS).then(|| ApprovedPlan {
        digest: plan.digest().to_string(),
        configuration: configuration.to_string(),
        steps,
    })
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
    use crate::model::plan::Blocked;
    use crate::model::plan::Claim;
    use crate::model::plan::LiveId;
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
            let held = pass(plan, &configuration(), approval, &answers, None).err()?;
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
        assert!(pass(&plan, &configuration(), Approval::All, &both, None).is_ok());
    }

    fn configuration() -> Digest {
        Digest::of("axon.yaml")
    }

    fn only(plan: &Plan, kept: impl Fn(usize) -> bool) -> Plan {
        let mut rest = plan.clone();
        let mut at = 0;
        rest.steps.retain(|_| {
            at += 1;
            kept(at - 1)
        });
        rest
    }

    /// Both answers, for `plan`.
    fn both(plan: &Plan) -> Answers {
        let digest = Some(plan.digest().to_string());
        Answers {
            approved: digest.clone(),
            allowed: digest,
        }
    }

    fn begun(plan: &Plan) -> ApprovedPlan {
        let passed = pass(plan, &configuration(), Approval::All, &both(plan), None);
        passed.unwrap().approved.unwrap()
    }

    /// What stops `rest` where `begun` stands in the status.
    fn stops(rest: &Plan, answers: &Answers, begun: &ApprovedPlan) -> Option<Reason> {
        let passed = pass(rest, &configuration(), Approval::All, answers, Some(begun));
        match passed {
            Ok(passed) => {
                assert_eq!(passed.approved.as_ref(), Some(begun));
                None
            }
            Err(held) => Some(held.trouble.reason),
        }
    }

    #[test]
    fn what_is_left_of_an_approved_plan_goes_on() {
        for whole in [creates(6, true), creates(6, false), deletes(6)] {
            let (rest, answers) = (only(&whole, |at| at > 0), both(&whole));
            assert_eq!(stops(&rest, &answers, &begun(&whole)), None);
        }
        // Each annotation speaks of what it stands for.
        let whole = deletes(6);
        let (rest, both) = (only(&whole, |at| at > 0), both(&whole));
        let approved = Answers {
            allowed: None,
            ..both.clone()
        };
        let prune = Some(Reason::PruneGuard);
        assert_eq!(stops(&rest, &approved, &begun(&whole)), prune);
        let allowed = Answers {
            approved: None,
            ..both
        };
        let asked = Some(Reason::ApprovalRequired);
        assert_eq!(stops(&rest, &allowed, &begun(&whole)), asked);
    }

    #[test]
    fn a_task_that_is_gone_and_not_yet_replaced_goes_on() {
        let manifest = || Manifest::new(Value::from("x"));
        let task = key(Kind::Task, "t");
        let replace = Action::Replace {
            manifest: manifest(),
            live: live(),
            changes: Vec::new(),
            unfinished: false,
        };
        let whole = plan([(task.clone(), replace)]);
        let create = |manifest, again| plan([(task.clone(), Action::Create { manifest, again })]);
        for again in [true, false] {
            let rest = create(manifest(), again);
            assert_eq!(stops(&rest, &both(&whole), &begun(&whole)), None);
        }
        let other = create(Manifest::new(Value::from("y")), true);
        let asked = Some(Reason::ApprovalRequired);
        assert_eq!(stops(&other, &both(&whole), &begun(&whole)), asked);
        // Who let it run did not let it run again.
        let first = create(manifest(), false);
        let again = create(manifest(), true);
        assert_eq!(stops(&again, &both(&first), &begun(&first)), asked);
    }

    #[test]
    fn nothing_goes_on_that_was_not_approved() {
        let whole = creates(3, false);
        let (answers, good) = (both(&whole), begun(&whole));
        let rest = || only(&whole, |at| at > 0);
        let asked = Some(Reason::ApprovalRequired);
        let mut more = rest();
        more.steps.extend(deletes(1).steps);
        assert_eq!(stops(&more, &answers, &good), asked);
        // An answer that was taken back.
        assert_eq!(stops(&rest(), &Answers::default(), &good), asked);
        // A status that somebody wrote.
        let mut forged = good.clone();
        forged.steps.extend(more.parts());
        assert_eq!(stops(&more, &answers, &forged), asked);
        // Another configuration that asks for less.
        let mut other = good;
        other.configuration = Digest::of("another").to_string();
        assert_eq!(stops(&rest(), &answers, &other), asked);
    }

    #[test]
    fn an_object_that_changed_is_another_step() {
        let update = |generation| Action::Update {
            manifest: Manifest::new(Value::Null),
            live: LiveId {
                generation,
                ..live()
            },
            changes: Vec::new(),
            claim: Claim::Own,
            inherits: Vec::new(),
        };
        let of = |action| plan([(key(Kind::Workspace, "w"), action)]);
        let (whole, touched) = (of(update(1)), of(update(2)));
        let blocked = of(Action::Blocked {
            reason: Blocked::Going,
        });
        let asked = Some(Reason::ApprovalRequired);
        assert_eq!(stops(&touched, &both(&whole), &begun(&whole)), asked);
        assert!(blocked.is_rest_of(&begun(&whole).steps));
    }

    #[test]
    fn a_plan_that_has_no_room_in_the_status_is_not_remembered() {
        let whole = creates(MAX_STEPS + 1, false);
        let passed = pass(&whole, &configuration(), Approval::All, &both(&whole), None);
        assert_eq!(passed.unwrap().approved, None);
    }
}
