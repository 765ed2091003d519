//! What a RepoSync answers to being asked to look now. Pure.

use std::fmt::Write as _;

use serde_json::Value;

use crate::api::labels;
use crate::cli::exit::Exit;
use crate::cli::inspect::Health;
use crate::cli::inspect::Item;
use crate::cli::inspect::Standing;
use crate::cli::inspect::sync;
use crate::cli::screen;
use crate::cli::text_diff::visible;
use crate::cli::ui::Failure;

/// Most lines of a plan's summary that are shown.
const MAX_SUMMARY: usize = 60;

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// No controller has answered this request.
    NotYet,
    /// It is at work; what it says of that.
    Working(String),
    /// The namespace is as the repository says.
    Ready,
    /// It could not be made so.
    NotReady(Standing),
}

/// What `item` answers to the request `asked`.
pub(super) fn answer(item: &Item, asked: &str) -> Answer {
    let handled = item.text("/status/lastHandledReconcileAt");
    // Who asks later writes over the request; the answer to that one answers this one too.
    let latest = item.annotation(labels::RECONCILE_AT).unwrap_or(asked);
    if handled != Some(asked) && handled != Some(latest) {
        return Answer::NotYet;
    }
    let standing = Standing::of(item);
    match standing.health {
        Health::Well => Answer::Ready,
        Health::Busy | Health::Unknown => Answer::Working(standing.message),
        Health::Idle | Health::Bad => Answer::NotReady(standing),
    }
}

/// One line: what it was synced to, and what that did.
pub(super) fn done(item: &Item) -> String {
    let revision = item.text("/status/lastAppliedRevision").unwrap_or("-");
    let counts = item.value("/status/objects").and_then(sync::counts);
    let counts = counts.map_or_else(String::new, |it| format!(" (last change: {it})"));
    format!(
        "{}  at {}{counts}\n",
        item.key(),
        screen::line(sync::short(revision))
    )
}

/// The plan that is held back, as it is told on the terminal; empty where there is none.
pub(in crate::cli::commands) fn plan(item: &Item) -> String {
    let Some(pending) = sync::pending(item) else {
        return String::new();
    };
    let mut text = format!("Plan {}\n", screen::line(&pending.digest));
    let lines = pending.summary.lines();
    for line in lines.take(MAX_SUMMARY) {
        writeln!(text, "  {}", visible(line)).ok();
    }
    let more = pending.summary.lines().count().saturating_sub(MAX_SUMMARY);
    if more > 0 {
        writeln!(text, "  … and {more} more lines").ok();
    }
    text
}

/// Why it is not ready, and what can be done.
pub(super) fn failure(item: &Item, standing: &Standing) -> Failure {
    let reason = standing.word.as_str();
    let mut failure = Failure::plain(format!(
        "{} is not ready: {}",
        item.key(),
        screen::line(reason)
    ));
    failure.exit = exit(reason);
    let message = standing.message.trim();
    failure.causes = (!message.is_empty())
        .then(|| screen::line(message))
        .into_iter()
        .collect();
    failure.hint = hint(item, reason);
    failure
}

fn exit(reason: &str) -> Exit {
    match reason {
        "PruneGuard" | "EmptyGuard" | "RerunGuard" | "ApprovalRequired" => Exit::Guard,
        "Conflict" | "NotOwned" => Exit::Conflict,
        _ => Exit::Error,
    }
}

fn hint(item: &Item, reason: &str) -> Option<String> {
    let name = item.name();
    let namespace = item.namespace();
    let secret = item.text("/spec/secretRef/name");
    Some(match reason {
        "PruneGuard" | "EmptyGuard" | "RerunGuard" | "ApprovalRequired" => {
            format!("if this plan is meant: axon approve {name} -n {namespace}")
        }
        "Suspended" => format!("let it go on: axon resume sync/{name} -n {namespace}"),
        "FetchFailed" => "check \"spec.repo\" and the network; it is tried again by itself".into(),
        "AuthenticationFailed" => match secret {
            Some(secret) => format!("check Secret \"{namespace}/{}\"", screen::line(secret)),
            None => "name a Secret with credentials in \"spec.secretRef\"".into(),
        },
        "HostKeyMismatch" => "check \"known_hosts\" in the Secret of \"spec.secretRef\"".into(),
        "VerificationFailed" => {
            "sign the commit with a key of the Secret in \"spec.verify\"".into()
        }
        "PathNotFound" => "check \"spec.path\" and \"spec.ref\"".into(),
        "InvalidConfig" => "find all problems in the repository: axon validate".into(),
        "Conflict" | "NotOwned" => format!("see whose it is: axon trace KIND/NAME -n {namespace}"),
        _ => return None,
    })
}

/// Whether it is told not to do anything.
pub(super) fn is_suspended(item: &Item) -> bool {
    item.value("/spec/suspend") == Some(&Value::Bool(true))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::inspect::Kind;
    use crate::cli::inspect::standing::tests::item;

    fn status(ready: &str, reason: &str, handled: &str) -> Value {
        json!({"spec": {"secretRef": {"name": "tok"}}, "status": {
            "observedGeneration": 1, "lastHandledReconcileAt": handled,
            "conditions": [{"type": "Ready", "status": ready, "reason": reason, "message": "be\u{1b}cause"}],
        }})
    }

    fn check(fields: &Value, expected: &str) {
        let item = item(Kind::RepoSync, "app", fields);
        let told = match answer(&item, "now") {
            Answer::NotYet => "not yet".to_owned(),
            Answer::Working(message) => format!("working: {message}"),
            Answer::Ready => "ready".to_owned(),
            Answer::NotReady(standing) => {
                let failure = failure(&item, &standing);
                format!(
                    "{} | {} | {} | {:?}",
                    failure.what,
                    failure.causes.join(", "),
                    failure.hint.unwrap_or_default(),
                    failure.exit
                )
            }
        };
        assert_eq!(told, expected);
    }

    #[test]
    fn answers() {
        check(&status("True", "Synced", "before"), "not yet");
        check(&status("True", "Synced", "now"), "ready");
        check(
            &status("Unknown", "Progressing", "now"),
            "working: be\u{1b}cause",
        );
        check(
            &status("False", "PruneGuard", "now"),
            "RepoSync/app is not ready: PruneGuard | be\\u{1b}cause | if this plan is meant: axon approve app -n agents | Guard",
        );
        check(
            &status("False", "NotOwned", "now"),
            "RepoSync/app is not ready: NotOwned | be\\u{1b}cause | see whose it is: axon trace KIND/NAME -n agents | Conflict",
        );
        check(
            &status("False", "AuthenticationFailed", "now"),
            "RepoSync/app is not ready: AuthenticationFailed | be\\u{1b}cause | check Secret \"agents/tok\" | Error",
        );
        check(
            &status("False", "Unheard", "now"),
            "RepoSync/app is not ready: Unheard | be\\u{1b}cause |  | Error",
        );
    }

    #[test]
    fn an_answer_to_who_asked_later_is_one_to_all_before() {
        let asked = |annotation: &str, handled: &str| {
            let mut fields = status("True", "Synced", handled);
            fields["metadata"]["annotations"]["axon.io/reconcileAt"] = annotation.into();
            fields
        };
        check(&asked("later", "later"), "ready");
        check(&asked("later", "now"), "ready");
        check(&asked("later", "before"), "not yet");
        check(&asked("now", "before"), "not yet");
    }

    #[test]
    fn a_long_summary_is_cut() {
        let summary = "- Task/a\n    \u{1b}x\n".repeat(40);
        let fields = json!({"status": {"plan": {"digest": "d1", "summary": summary}}});
        let text = plan(&item(Kind::RepoSync, "app", &fields));
        assert!(
            text.starts_with("Plan d1\n  - Task/a\n      \\u{1b}x\n"),
            "{text}"
        );
        assert!(text.ends_with("  … and 20 more lines\n"), "{text}");
    }
}
