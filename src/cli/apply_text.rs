//! What became of a plan, as a person reads it. Pure.

use std::fmt::Write as _;

use crate::cli::text_diff::visible;
use crate::cli::ui::ERROR;
use crate::cli::ui::WARNING;
use crate::model::plan::Applied;
use crate::model::plan::Deed;
use crate::model::plan::Failed;
use crate::model::plan::Skipped;
use crate::model::run::Outcome;
use crate::sync::Observed;
use crate::sync::Stand;
use crate::sync::Until;

/// Most failures, and most skipped objects, that are told one by one.
const MAX_TOLD: usize = 20;

/// What failed and what was left out; empty if all went well.
pub(super) fn problems(applied: &Applied) -> String {
    let mut text = String::new();
    for Failed {
        key,
        is_conflict: _,
        refusal: _,
        causes,
    } in applied.failed.iter().take(MAX_TOLD)
    {
        writeln!(text, "{ERROR}error{ERROR:#}: cannot apply {key}").ok();
        for cause in causes {
            writeln!(text, "  caused by: {}", visible(cause)).ok();
        }
    }
    further(&mut text, applied.failed.len(), "failed");
    if !applied.records.is_empty() {
        writeln!(
            text,
            "{ERROR}error{ERROR:#}: cannot move the records of runs"
        )
        .ok();
    }
    for cause in &applied.records {
        writeln!(text, "  caused by: {}", visible(cause)).ok();
    }
    for (key, why) in applied.skipped.iter().take(MAX_TOLD) {
        let why = skipped(why);
        writeln!(text, "{WARNING}skipped{WARNING:#}: {key}: {why}").ok();
    }
    further(&mut text, applied.skipped.len(), "were skipped");
    text
}

/// One line: how many objects were done what to.
pub(super) fn summary(applied: &Applied) -> String {
    // Destructured, so that no list is forgotten.
    let Applied {
        done: _,
        unchanged,
        blocked,
        failed,
        skipped,
        records: _,
    } = applied;
    let counts = [
        (applied.count(Deed::Created), "created"),
        (applied.count(Deed::Updated), "updated"),
        (applied.count(Deed::Replaced), "replaced"),
        (applied.count(Deed::Deleted), "deleted"),
        (*unchanged, "unchanged"),
        (blocked.len(), "not applicable"),
        (failed.len(), "failed"),
        (skipped.len(), "skipped"),
    ];
    let told: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if told.is_empty() {
        return "Applied: nothing is declared.\n".into();
    }
    format!("Applied: {}.\n", told.join(", "))
}

/// Where the Tasks stand that were waited for.
pub(super) fn observed(observed: &Observed) -> String {
    let mut text = String::new();
    for (name, at) in &observed.tasks {
        writeln!(text, "Task/{name}  {}", visible(&stand(at))).ok();
    }
    text
}

/// What each Task that has not got so far waits for.
pub(super) fn open(observed: &Observed, until: Until) -> Vec<String> {
    let all = observed.tasks.iter();
    let open = all.filter(|(_, stand)| !stand.reached(until));
    let mut told: Vec<String> = open
        .map(|(name, at)| format!("Task/{name}: {}", visible(&stand(at))))
        .collect();
    let beyond = told.len().saturating_sub(MAX_TOLD);
    if beyond > 0 {
        told.truncate(MAX_TOLD);
        told.push(format!("and {beyond} others"));
    }
    told
}

/// Where one Task stands.
pub(super) fn stand(stand: &Stand) -> String {
    match stand {
        Stand::Pending { why: None } => "Pending".into(),
        Stand::Pending { why: Some(why) } => format!("Pending: {why}"),
        Stand::Running => "Running".into(),
        Stand::Finished(Outcome::Unknown) => "gone, its end is not known".into(),
        Stand::Finished(outcome) => outcome.as_str().into(),
        Stand::Gone => "gone".into(),
    }
}

fn skipped(why: &Skipped) -> String {
    match why {
        Skipped::Workspace { name } => format!("Workspace {name:?} was not applied"),
        Skipped::Unreachable => "the API server cannot be reached any more".into(),
        Skipped::Interrupted => "interrupted".into(),
        Skipped::Records => "the records of runs could not be moved".into(),
        Skipped::PruneAfterFailure => "nothing is deleted after a failure".into(),
    }
}

fn further(text: &mut String, all: usize, what: &str) {
    if all > MAX_TOLD {
        writeln!(text, "… and {} others {what}", all - MAX_TOLD).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Key;
    use crate::model::Kind;
    use crate::model::ObjectName;

    fn key(name: &str) -> Key {
        Key {
            kind: Kind::Task,
            name: ObjectName::parse(name).unwrap(),
        }
    }

    #[test]
    fn an_apply_is_told_with_all_that_went_wrong() {
        let failed = Failed {
            key: key("b"),
            is_conflict: false,
            refusal: None,
            causes: vec!["cannot reach the API server".into(), "refused\u{1b}".into()],
        };
        let applied = Applied {
            done: vec![(key("a"), Deed::Created)],
            unchanged: 3,
            blocked: vec![],
            failed: vec![failed],
            skipped: vec![(key("c"), Skipped::Unreachable); 25],
            records: Vec::new(),
        };
        assert_eq!(
            summary(&applied),
            "Applied: 1 created, 3 unchanged, 1 failed, 25 skipped.\n"
        );
        let told = problems(&applied);
        let text = anstream::adapter::strip_str(&told).to_string();
        assert!(
            text.starts_with(
                "error: cannot apply Task/b\n  caused by: cannot reach the API server\n  \
                 caused by: refused\\u{1b}\nskipped: Task/c: the API server"
            ),
            "{text}"
        );
        assert!(text.ends_with("… and 5 others were skipped\n"), "{text}");
    }
}
