use super::*;
use crate::api::repo_sync::ObjectCounts;

fn sync(generation: i64, status: RepoSyncStatus) -> RepoSync {
    let mut sync: RepoSync = serde_json::from_value(json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "RepoSync",
        "metadata": {"name": "app", "namespace": "agents", "generation": generation},
        "spec": {"repo": "https://github.com/acme/app.git"},
    }))
    .unwrap();
    sync.status = Some(status);
    sync
}

fn synced(revision: &str) -> Report {
    Report {
        attempted: Some(revision.into()),
        applied: Some(revision.into()),
        plan: Pending::Gone,
        ended: vec![ended(revision, Reason::Synced, None)],
        ..Report::default()
    }
}

fn failed(revision: &str, reason: Reason) -> Report {
    Report {
        trouble: Some(Trouble::new(reason, "words")),
        attempted: Some(revision.into()),
        ended: vec![ended(revision, reason, None)],
        ..Report::default()
    }
}

fn ended(revision: &str, reason: Reason, counts: Option<ObjectCounts>) -> Ended {
    Ended {
        revision: Some(revision.into()),
        reason,
        class: reason.class(),
        summary: "words".into(),
        counts,
    }
}

fn history(status: &RepoSyncStatus) -> Vec<String> {
    let entries = status.history.iter();
    entries
        .map(|it| format!("{} {} {}", it.revision, it.reason, it.objects.is_some()))
        .collect()
}

#[test]
fn the_history_names_the_revision_that_was_written() {
    let good = next(&sync(1, RepoSyncStatus::default()), &synced("a"), at(1));
    let refused = failed("b", Reason::VerificationFailed);
    let refused = next(&sync(1, good), &refused, at(2));
    // Drift is taken back to what is in force, while the newer commit is refused.
    let mut corrected = failed("b", Reason::VerificationFailed);
    corrected.ended = vec![ended("a", Reason::Synced, Some(ObjectCounts::default()))];
    let status = next(&sync(1, refused), &corrected, at(3));
    let expected = [
        "a Synced true",
        "b VerificationFailed false",
        "a Synced false",
    ];
    assert_eq!(history(&status), expected);
    assert_eq!(told(&status)[0], "Ready=False VerificationFailed");
    assert_eq!(status.last_attempted_revision.as_deref(), Some("b"));
    // Finding nothing to take back is no entry.
    corrected.ended = vec![ended("a", Reason::Synced, None)];
    let status = next(&sync(1, status), &corrected, at(4));
    assert_eq!(history(&status), expected);
}

#[test]
fn what_is_under_way_is_said_once() {
    let good = next(&sync(1, RepoSyncStatus::default()), &synced("a"), at(1));
    let begun = |status: &RepoSyncStatus, revision: &str| {
        begun(&sync(1, status.clone()), revision, "words", None, at(2))
    };
    let busy = begun(&good, "b").unwrap();
    let expected = ["Ready=Unknown Progressing", "Reconciling=True Progressing"];
    assert_eq!(told(&busy), expected);
    assert_eq!(busy.last_attempted_revision.as_deref(), Some("b"));
    assert_eq!(busy.last_applied_revision.as_deref(), Some("a"));
    assert_eq!(begun(&busy, "b"), None);
    // What is tried again and again is at it all the time.
    let failing = next(
        &sync(1, good.clone()),
        &failed("b", Reason::ApplyFailed),
        at(3),
    );
    assert_eq!(begun(&failing, "b"), None);
    assert!(begun(&failing, "c").is_some());
    let waiting = failed("b", Reason::ApprovalRequired);
    let waiting = next(&sync(1, good), &waiting, at(3));
    assert!(begun(&waiting, "b").is_some());
}

fn told(status: &RepoSyncStatus) -> Vec<String> {
    let conditions = status.conditions.iter();
    conditions
        .map(|it| format!("{}={} {}", it.type_, it.status, it.reason))
        .collect()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_millisecond(second * 1000 + 7).unwrap()
}

#[test]
fn conditions_follow_kstatus() {
    let check = |report: &Report, expected: &[&str]| {
        let status = next(&sync(3, RepoSyncStatus::default()), report, at(1));
        assert_eq!(told(&status), expected);
        assert_eq!(status.observed_generation, 3);
    };
    check(&synced("a"), &["Ready=True Synced"]);
    check(
        &failed("a", Reason::FetchFailed),
        &["Ready=False FetchFailed", "Reconciling=True FetchFailed"],
    );
    check(
        &failed("a", Reason::InvalidConfig),
        &["Ready=False InvalidConfig", "Stalled=True InvalidConfig"],
    );
    check(
        &failed("a", Reason::ApprovalRequired),
        &[
            "Ready=False ApprovalRequired",
            "Reconciling=True ApprovalRequired",
        ],
    );
    check(&failed("a", Reason::Suspended), &["Ready=False Suspended"]);
    let refused = Trouble::new(Reason::ApplyFailed, "words").for_good();
    let refused = Report {
        trouble: Some(refused),
        ..failed("a", Reason::ApplyFailed)
    };
    check(
        &refused,
        &["Ready=False ApplyFailed", "Stalled=True ApplyFailed"],
    );
}

#[test]
fn the_same_again_is_the_same() {
    let reports = [
        synced("a"),
        failed("a", Reason::InvalidConfig),
        failed("a", Reason::FetchFailed),
    ];
    for report in reports {
        let status = next(&sync(1, RepoSyncStatus::default()), &report, at(1));
        let again = next(&sync(1, status.clone()), &report, at(100));
        assert_eq!(status, again);
        assert_eq!(status.history.len(), 1);
    }
}

#[test]
fn a_transition_has_its_time_and_the_last_good_revision_stays() {
    let good = next(&sync(1, RepoSyncStatus::default()), &synced("a"), at(1));
    let bad = next(&sync(1, good), &failed("b", Reason::InvalidConfig), at(2));
    assert_eq!(bad.last_applied_revision.as_deref(), Some("a"));
    assert_eq!(bad.last_attempted_revision.as_deref(), Some("b"));
    assert_eq!(
        bad.conditions[0].last_transition_time.0,
        at(2).round(jiff::Unit::Second).unwrap()
    );
    let worse = next(&sync(1, bad.clone()), &failed("b", Reason::NotOwned), at(3));
    let since = |status: &RepoSyncStatus| status.conditions[0].last_transition_time.clone();
    assert_eq!(since(&worse), since(&bad));
    let healed = next(&sync(1, worse), &synced("c"), at(4));
    assert_eq!(told(&healed), ["Ready=True Synced"]);
    let reasons: Vec<&str> = healed.history.iter().map(|it| it.reason.as_str()).collect();
    assert_eq!(reasons, ["Synced", "NotOwned", "InvalidConfig", "Synced"]);
}

#[test]
fn the_history_is_short_and_its_messages_are() {
    let mut status = RepoSyncStatus::default();
    for number in 0..9 {
        let mut report = failed(&number.to_string(), Reason::ApplyFailed);
        report.trouble.as_mut().unwrap().message = "ü".repeat(5_000);
        report.ended[0].summary = "ü".repeat(5_000);
        status = next(&sync(1, status), &report, at(number));
    }
    let revisions: Vec<&str> = status
        .history
        .iter()
        .map(|it| it.revision.as_str())
        .collect();
    assert_eq!(revisions, ["8", "7", "6", "5", "4"]);
    let told = status.history[0].message.as_ref().unwrap();
    assert_eq!(told.chars().count(), MAX_TOLD);
    assert_eq!(status.conditions[0].message.chars().count(), MAX_MESSAGE);
}

#[test]
fn a_revision_that_changes_nothing_is_no_sync() {
    let before = next(&sync(1, RepoSyncStatus::default()), &synced("a"), at(1));
    let moved = Report {
        ended: Vec::new(),
        ..synced("b")
    };
    let after = next(&sync(1, before.clone()), &moved, at(2));
    assert_eq!(after.history, before.history);
    assert_eq!(after.last_applied_revision.as_deref(), Some("b"));
    assert_eq!(after.conditions[0].message, "applied revision b");
    // Nor is finding that out again after a restart.
    assert_eq!(next(&sync(1, after.clone()), &synced("b"), at(3)), after);
}

#[test]
fn a_pending_plan_goes_when_it_is_done() {
    let plan = PendingPlan {
        digest: "d".into(),
        summary: "s".into(),
    };
    let held = Report {
        plan: Pending::Is(plan.clone()),
        ..failed("a", Reason::PruneGuard)
    };
    let status = next(&sync(1, RepoSyncStatus::default()), &held, at(1));
    assert_eq!(status.plan, Some(plan));
    let unread = Report {
        ended: Vec::new(),
        ..failed("a", Reason::FetchFailed)
    };
    let status = next(&sync(1, status), &unread, at(2));
    assert!(status.plan.is_some(), "it still waits");
    let status = next(&sync(1, status), &synced("a"), at(3));
    assert_eq!(status.plan, None);
    let patch = changes(
        &Map::from_iter([("plan".to_owned(), json!(1))]),
        &fields(&status),
    );
    assert_eq!(patch["plan"], Value::Null);
}

#[test]
fn synced_means_at_this_revision_with_this_spec() {
    let status = next(&sync(2, RepoSyncStatus::default()), &synced("a"), at(1));
    assert!(is_synced_at(&sync(2, status.clone()), "a"));
    assert!(!is_synced_at(&sync(2, status.clone()), "b"));
    assert!(!is_synced_at(&sync(3, status), "a"));
}
