use serde_json::json;

use super::*;
use crate::api::RepoSync;
use crate::controller::repo_sync::claims::Name;
use crate::controller::repo_sync::memory::Attempt;
use crate::controller::repo_sync::memory::Memories;
use crate::controller::repo_sync::outcome::Outcome;
use crate::controller::repo_sync::reason::Reason;
use crate::controller::repo_sync::reason::Trouble;
use crate::model::Digest;

/// All times are seconds.
fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn fresh() -> Memory {
    let sync: RepoSync = serde_json::from_value(json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "RepoSync",
        "metadata": {"name": "app", "namespace": "agents", "uid": "u", "generation": 1},
        "spec": {"repo": "https://github.com/acme/app.git"},
        "status": {"lastHandledReconcileAt": "old"},
    }))
    .unwrap();
    Memories::default().take(&Name::new("app").within("agents"), &sync)
}

/// The next poll is at 60; the attempt ended as said.
fn after(outcome: Outcome) -> Memory {
    let mut memory = fresh();
    memory.poll.next = at(60);
    memory.attempt = Some(Attempt {
        unproven: Vec::new(),
        input: Digest::of("x"),
        outcome,
        sync: None,
        answers: Answers::default(),
        failures: 0,
        retry: None,
    });
    memory
}

fn troubled(reason: Reason) -> Outcome {
    Outcome::Troubled(Trouble::new(reason, "x"))
}

fn asked() -> Asked {
    Asked {
        at: Some("old".into()),
        drift_correction: true,
        ..Asked::default()
    }
}

fn check(memory: &Memory, asked: &Asked, now: i64, poll: bool, attempt: bool) {
    let due = due(memory, asked, at(now));
    assert_eq!(
        (due.poll.is_some(), due.attempt),
        (poll, attempt),
        "{due:?}"
    );
}

#[test]
fn the_first_look_is_due_at_once() {
    check(&fresh(), &asked(), 0, true, false);
}

#[test]
fn a_settled_one_is_polled_and_no_more() {
    let memory = after(Outcome::Synced);
    check(&memory, &asked(), 59, false, false);
    check(&memory, &asked(), 60, true, false);
    assert_eq!(rest(&memory, &asked(), at(50)), Duration::from_secs(10));
}

#[test]
fn a_call_polls_and_tries_again_what_failed() {
    let called = Asked {
        at: Some("new".into()),
        ..asked()
    };
    check(&after(Outcome::Synced), &called, 1, true, false);
    check(&after(troubled(Reason::NotOwned)), &called, 1, true, true);
    let mut answered = after(Outcome::Synced);
    answered.handled = Some("new".into());
    check(&answered, &called, 1, false, false);
}

#[test]
fn drift_is_looked_at_when_it_is_quiet() {
    let touched = Asked {
        touched: Some(at(10)),
        ..asked()
    };
    let memory = after(Outcome::Synced);
    check(&memory, &touched, 10, false, false);
    check(&memory, &touched, 11, true, true);
    assert_eq!(rest(&memory, &touched, at(10)), retry::quiet(0));
    // The last good state is kept while the repository cannot be read.
    let mut unread = after(Outcome::Synced);
    unread.poll.trouble = Some(Trouble::new(Reason::FetchFailed, "x"));
    check(&unread, &touched, 11, false, true);

    let left_alone = Asked {
        drift_correction: false,
        ..touched.clone()
    };
    check(&memory, &left_alone, 11, false, false);
    assert_eq!(rest(&memory, &left_alone, at(11)), Duration::from_secs(49));
    // What stood in the way may have gone.
    let mut kept_out = after(troubled(Reason::NotOwned));
    check(&kept_out, &left_alone, 11, true, true);
    // Whose it was may have applied a newer commit.
    kept_out.poll.trouble = Some(Trouble::new(Reason::FetchFailed, "x"));
    check(&kept_out, &left_alone, 11, false, false);
    assert_eq!(
        rest(&kept_out, &left_alone, at(11)),
        Duration::from_secs(49)
    );
    check(&kept_out, &left_alone, 60, true, true);
}

#[test]
fn who_changes_it_back_each_time_is_answered_more_and_more_slowly() {
    let mut memory = after(Outcome::Synced);
    for _ in 0..8 {
        memory.drift = memory.drift.with_one_more(at(10));
    }
    let touched = Asked {
        touched: Some(at(10)),
        ..asked()
    };
    check(&memory, &touched, 17, false, false);
    check(&memory, &touched, 18, true, true);
    assert_eq!(memory.drift.lately(at(10 + 601)).corrections, 0);
}

#[test]
fn an_answer_is_heard_by_who_waits_for_one() {
    let answered = Asked {
        answers: Answers {
            approved: Some("digest".into()),
            allowed: None,
        },
        ..asked()
    };
    let waiting = after(troubled(Reason::ApprovalRequired));
    check(&waiting, &asked(), 1, false, false);
    check(&waiting, &answered, 1, false, true);
    check(
        &after(troubled(Reason::PruneGuard)),
        &answered,
        1,
        false,
        true,
    );
    check(&after(Outcome::Synced), &answered, 1, false, false);
}

#[test]
fn what_failed_is_tried_again_in_its_time() {
    let mut memory = after(troubled(Reason::ApplyFailed));
    memory.attempt.as_mut().unwrap().retry = Some(at(5));
    check(&memory, &asked(), 4, false, false);
    check(&memory, &asked(), 5, true, true);
    assert_eq!(rest(&memory, &asked(), at(1)), Duration::from_secs(4));
}
