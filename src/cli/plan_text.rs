//! A plan as a person reads it: Terraform's symbols, one line for each object that is not unchanged,
//! and the fields that change. Pure; colour is taken out again where it is not wanted.

use std::fmt::Write as _;

use anstyle::AnsiColor;
use anstyle::Style;
use serde_json::Value;

use crate::cli::text_diff;
use crate::cli::text_diff::visible;
use crate::model::Kind;
use crate::model::Plan;
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

const GREEN: Style = AnsiColor::Green.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const RED: Style = AnsiColor::Red.on_default();
const MAGENTA: Style = AnsiColor::Magenta.on_default();
const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

/// Narrowest column of names.
const NAMES: usize = 24;
/// Longest value that is shown in a line; longer texts are told by their differing lines.
const MAX_INLINE: usize = 120;

/// What is said of a plan that was made with read rights alone.
pub(super) const NOT_ASKED: &str =
    "The API server was not asked (--no-dry-run): it may still change or refuse this.";

/// The whole plan, with its summary.
pub(super) fn render(plan: &Plan) -> String {
    let mut text = String::new();
    let width = plan
        .steps
        .iter()
        .filter(|step| line(step).is_some())
        .map(|step| step.key.to_string().len())
        .fold(NAMES, usize::max);
    for step in &plan.steps {
        if let Some(Line {
            symbol,
            style,
            word,
        }) = line(step)
        {
            let key = step.key.to_string();
            put(
                &mut text,
                format_args!("{style}{symbol:>3} {key:<width$}  {word}{style:#}\n"),
            );
        }
        for change in changes(step) {
            field(&mut text, change);
        }
    }
    summary(&mut text, plan.summary());
    text
}

/// Said of what may be ours and may not: both ways are a person's to go.
const UNPROVEN: &str = "kept: it left the configuration, and without axon.io/origin nothing proves that this sync made it; \
                        delete it with kubectl, or take its label axon.io/sync away";

/// What is said of one object.
pub(super) struct Line {
    pub(super) symbol: &'static str,
    style: Style,
    pub(super) word: String,
}

/// What is said of an object; nothing where it stays as it is.
pub(super) fn line(step: &Step) -> Option<Line> {
    let (symbol, style, word) = match &step.action {
        Action::Create { again: false, .. } => ("+", GREEN, "create".into()),
        Action::Create { again: true, .. } => ("+", GREEN, "create: runs the agent again".into()),
        Action::Update { claim, .. } => match claim {
            Claim::Own => ("~", YELLOW, "update".into()),
            Claim::Adopt | Claim::AdoptByForce => ("~", YELLOW, "update: adopts it".into()),
            Claim::TakeOver => ("~", YELLOW, "update: takes it over".into()),
        },
        Action::Replace { unfinished, .. } => {
            let word = if *unfinished {
                "replace: cancels the current run, runs the agent again"
            } else {
                "replace: runs the agent again"
            };
            ("-/+", YELLOW, word.into())
        }
        Action::Delete { running, .. } => ("-", RED, deletion(step.key.kind, *running)),
        Action::AlreadyRan { outcome, finished } => {
            (">", DIM, already_ran(*outcome, finished.as_deref()))
        }
        Action::Blocked { reason } => ("!", MAGENTA, blocked(reason)),
        Action::Keep {
            why: Kept::Unproven,
        } => ("!", MAGENTA, UNPROVEN.into()),
        Action::Keep { why: Kept::Asked } | Action::Unchanged => return None,
    };
    Some(Line {
        symbol,
        style,
        word,
    })
}

fn deletion(kind: Kind, running: usize) -> String {
    match (kind, running) {
        (_, 0) | (Kind::Workspace, _) => "delete".into(),
        (Kind::Task, _) => "delete (its run is cancelled)".into(),
        (Kind::TaskSpawner, 1) => "delete (1 running Task keeps running)".into(),
        (Kind::TaskSpawner, several) => format!("delete ({several} running Tasks keep running)"),
    }
}

fn already_ran(outcome: Outcome, finished: Option<&str>) -> String {
    // The day of an RFC 3339 time.
    let day = finished.and_then(|time| time.get(..10)).map(visible);
    match (outcome, day) {
        (Outcome::Unknown, _) => "already ran (its end is not known)".into(),
        (known, Some(day)) => format!("already ran ({} {day})", known.as_str()),
        (known, None) => format!("already ran ({})", known.as_str()),
    }
}

/// Why an object cannot be applied.
pub(super) fn blocked(reason: &Blocked) -> String {
    match reason {
        Blocked::Conflict { fields } => {
            let each: Vec<String> = fields
                .iter()
                .map(|it| format!("{} is owned by {:?}", visible(&it.path), it.manager))
                .collect();
            format!("conflict: {}", each.join(", "))
        }
        Blocked::Foreign => "conflict: an object of this name is not of this sync".into(),
        Blocked::OtherSync { sync, .. } => format!("conflict: it belongs to sync {sync:?}"),
        Blocked::OtherSource { origin } => {
            format!("conflict: the same sync id, from another source: {origin:?}")
        }
        Blocked::Going => "conflict: it is being deleted; plan again when it has gone".into(),
        Blocked::Refused { why: _, message } => format!("refused: {}", visible(message)),
    }
}

/// The fields that change.
pub(super) fn changes(step: &Step) -> &[FieldChange] {
    match &step.action {
        Action::Update { changes, .. } | Action::Replace { changes, .. } => changes,
        Action::Create { .. }
        | Action::Delete { .. }
        | Action::Keep { .. }
        | Action::Unchanged
        | Action::AlreadyRan { .. }
        | Action::Blocked { .. } => &[],
    }
}

/// Whether a person wants to see the change: not of a digest that nobody wrote ("runs the agent again"
/// says it).
pub(super) fn is_telling(change: &FieldChange) -> bool {
    change.path != "metadata.annotations[\"axon.io/run\"]"
}

/// Two texts that are better told by their differing lines.
pub(super) fn long(change: &FieldChange) -> Option<(&str, &str)> {
    let (Shown::Value(Value::String(before)), Shown::Value(Value::String(after))) =
        (&change.before, &change.after)
    else {
        return None;
    };
    (is_long(before) || is_long(after)).then_some((before, after))
}

fn field(text: &mut String, change: &FieldChange) {
    if !is_telling(change) {
        return;
    }
    let path = visible(&change.path);
    let by = change
        .changed_by
        .as_ref()
        .map(|by| format!("  {DIM}(changed by {by:?}){DIM:#}"))
        .unwrap_or_default();
    if let Some((before, after)) = long(change) {
        put(text, format_args!("      {path}:{by}\n"));
        text_diff::render(text, before, after);
        return;
    }
    let (before, after) = (told(&change.before), told(&change.after));
    put(
        text,
        format_args!("      {path}: {RED}{before}{RED:#} -> {GREEN}{after}{GREEN:#}{by}\n"),
    );
}

fn is_long(value: &str) -> bool {
    value.trim_end().contains('\n') || value.chars().nth(MAX_INLINE).is_some()
}

fn told(shown: &Shown) -> String {
    match shown {
        Shown::Absent => "(none)".into(),
        Shown::Sensitive => SENSITIVE.into(),
        Shown::Value(value) => inline(value),
    }
}

/// A value in one line that is not too long.
pub(super) fn inline(value: &Value) -> String {
    let mut line: String = visible(&value.to_string());
    if let Some((end, _)) = line.char_indices().nth(MAX_INLINE) {
        line.truncate(end);
        line.push('…');
    }
    line
}

fn summary(text: &mut String, sum: Summary) {
    if !sum.has_changes() && sum.conflicts + sum.refused == 0 {
        put(text, format_args!("No changes.\n"));
        return;
    }
    put(text, format_args!("{BOLD}Plan:{BOLD:#} {}.\n", counts(sum)));
    let runs = sum.runs;
    put(text, format_args!("Agent runs this plan starts: {runs}.\n"));
}

/// `1 to create, 41 unchanged`.
pub(super) fn counts(sum: Summary) -> String {
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
    let conflict_word = if conflicts == 1 {
        "conflict"
    } else {
        "conflicts"
    };
    let counts = [
        (create, "to create"),
        (update, "to update"),
        (replace, "to replace"),
        (delete, "to delete"),
        (unchanged, "unchanged"),
        (conflicts, conflict_word),
        (refused, "refused"),
        (records, "run records to move or keep"),
    ];
    let told: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    told.join(", ")
}

fn put(text: &mut String, line: std::fmt::Arguments<'_>) {
    text.write_fmt(line).expect("a String takes any text");
}

#[cfg(test)]
pub(super) mod tests;
