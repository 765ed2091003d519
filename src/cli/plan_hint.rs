//! What can be done about the conflicts of a plan, as commands. Pure.

use crate::model::Plan;
use crate::sync::way_out::WayOut;
use crate::sync::way_out::ways_out;

/// One line for each sort of conflict; `command` is what takes the flags.
pub(super) fn lines(plan: &Plan, command: &str) -> Vec<String> {
    let ways = ways_out(plan).into_iter();
    ways.map(|WayOut { when, flags, or }| format!("{when}: {command} {flags}; {or}"))
        .collect()
}

/// The command that applies `source`.
pub(super) fn apply(source: &str) -> String {
    if source == "." {
        "axon apply".into()
    } else {
        format!("axon apply {source}")
    }
}
