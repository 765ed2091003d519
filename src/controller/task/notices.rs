//! Which events a change of status is worth: pure.

use super::reason::Waiting;
use super::status;
use crate::api::task::TaskStatus;
use crate::controller::events::Level;
use crate::controller::events::Notice;

/// One event for each condition that has changed; none on the way to its Pod, which is short.
pub(super) fn of(before: &TaskStatus, after: &TaskStatus) -> Vec<Notice> {
    let changed = after.conditions.iter().filter(|new| {
        let old = status::condition(before, &new.type_);
        let is_passing = [Waiting::Starting, Waiting::PodPending]
            .map(Waiting::as_str)
            .contains(&new.reason.as_str());
        !is_passing
            && old.is_none_or(|old| (&old.status, &old.reason) != (&new.status, &new.reason))
    });
    changed
        .map(|it| {
            let failed = it.type_ == status::FAILED && it.status == "True";
            let stuck = Waiting::parse(&it.reason).is_some_and(is_trouble);
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

/// Whether a wait is worth a warning.
fn is_trouble(reason: Waiting) -> bool {
    reason.needs_a_person() || reason == Waiting::ForRetry
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

#[cfg(test)]
mod tests {
    use super::super::fixture::TaskExt as _;
    use super::super::fixture::task;
    use super::*;
    use crate::api::Task;

    /// Events of the change from one Task's status to the other's.
    fn check(before: Task, after: Task) -> Vec<String> {
        let status = |task: Task| task.status.unwrap_or_default();
        of(&status(before), &status(after))
            .iter()
            .map(|it| format!("{:?} {}", it.level, it.reason))
            .collect()
    }

    #[test]
    fn each_transition_is_one_event() {
        let new = || task("a");
        assert_eq!(
            check(new(), new().claimed("SecretNotFound")),
            ["Warning SecretNotFound"]
        );
        assert_eq!(
            check(new().claimed("SecretNotFound"), new().claimed("Starting")),
            Vec::<String>::new()
        );
        assert_eq!(
            check(new().claimed("Cloning"), new().running()),
            ["Normal AgentStarted"]
        );
        assert_eq!(
            check(new().running(), new().finished("Failed")),
            ["Warning AgentFailed"]
        );
        assert_eq!(
            check(new().running(), new().running()),
            Vec::<String>::new()
        );
    }

    #[test]
    fn ignored_variables_are_named() {
        assert_eq!(overridden(&[]), None);
        let notice = overridden(&["A".into(), "B".into()]).unwrap();
        assert_eq!(
            notice.message,
            "built-in variables win: podOverrides.env cannot set \"A\", \"B\""
        );
    }
}
