//! Which events a change of status is worth: pure.

use super::reason::Waiting;
use super::status;
use crate::api::task::TaskStatus;
use crate::controller::events::Level;
use crate::controller::events::Notice;

/// One event for each condition that has changed, and for a start that was over before it was seen; none on the
/// way to its Pod, which is short.
pub(super) fn of(before: &TaskStatus, after: &TaskStatus) -> Vec<Notice> {
    let changed = after.conditions.iter().filter(|new| {
        let old = status::condition(before, &new.type_);
        let is_passing = [Waiting::Starting, Waiting::PodPending]
            .map(Waiting::as_str)
            .contains(&new.reason.as_str());
        !is_passing
            && old.is_none_or(|old| (&old.status, &old.reason) != (&new.status, &new.reason))
    });
    let told = changed.map(|it| {
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
    });
    unseen_start(before, after)
        .into_iter()
        .chain(told)
        .collect()
}

/// An attempt that started, and ended before anybody looked: its conditions speak of the next one already.
fn unseen_start(before: &TaskStatus, after: &TaskStatus) -> Option<Notice> {
    let is_new = after.start_time.is_some() && after.start_time != before.start_time;
    let started = status::condition(after, status::STARTED);
    let is_told = started.is_some_and(|it| it.status == "True");
    (is_new && !is_told).then(|| Notice {
        level: Level::Normal,
        reason: status::AGENT_STARTED.into(),
        message: status::STARTED_MESSAGE.into(),
    })
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
        let again = || new().running().claimed("WaitingForRetry");
        assert_eq!(
            check(new().claimed("Cloning"), again()),
            ["Normal AgentStarted", "Warning WaitingForRetry"]
        );
        assert_eq!(check(new().running(), again()), ["Warning WaitingForRetry"]);
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
