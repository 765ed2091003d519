//! Which events a change of status is worth: pure.

use super::reason::Waiting;
use super::status;
use crate::api::task::TaskStatus;
use crate::controller::events::Level;
use crate::controller::events::Notice;

/// One event for each condition that has changed.
pub(super) fn of(before: &TaskStatus, after: &TaskStatus) -> Vec<Notice> {
    let changed = after.conditions.iter().filter(|new| {
        let old = status::condition(before, &new.type_);
        old.is_none_or(|old| (&old.status, &old.reason) != (&new.status, &new.reason))
    });
    changed
        .map(|it| {
            let failed = it.type_ == status::FAILED && it.status == "True";
            let stuck = Waiting::parse(&it.reason).is_some_and(Waiting::needs_a_person);
            Notice {
                level: if failed || stuck {
                    Level::Warning
                } else {
                    Level::Normal
                },
                reason: it.reason.clone(),
                message: it.message.clone(),
            }
        })
        .collect()
}

/// Says which variables of the user's lost against built-in ones.
pub(super) fn overridden(names: &[String]) -> Option<Notice> {
    if names.is_empty() {
        return None;
    }
    let names: Vec<String> = names.iter().map(|it| format!("\"{it}\"")).collect();
    Some(Notice {
        level: Level::Warning,
        reason: "EnvIgnored".into(),
        message: format!(
            "built-in variables win: podOverrides.env cannot set {}",
            names.join(", ")
        ),
    })
}
