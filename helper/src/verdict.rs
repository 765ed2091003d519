//! How a run is judged: by its end, and by what the agent's stream says of it. Pure.
//!
//! Exit codes do not suffice: agents that were interrupted exit with 0, and one of them hides HTTP
//! statuses in its codes.

use nix::sys::signal::Signal;

use crate::process::End;
use crate::stream::AgentKind;
use crate::stream::Ended;
use crate::stream::Failure;
use crate::stream::FailureClass;
use crate::stream::failure;

/// Exit code for a run that failed though the agent exited with 0.
const FAILED_EXIT: i32 = 1;

/// What came of a run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// 0 for success alone.
    pub(crate) code: i32,
    /// Why it failed.
    pub(crate) why: Option<String>,
    /// Whether the last lines of standard error tell more.
    pub(crate) see_stderr: bool,
}

/// Judges a run. `stopped_by`: the signal by which it was asked to stop; `ended`: what its stream
/// says.
pub(crate) fn of(
    kind: AgentKind,
    end: End,
    stopped_by: Option<Signal>,
    ended: Option<&Ended>,
) -> Verdict {
    if let Some(asked) = stopped_by {
        return stopped(end, asked, ended);
    }
    let code = match end.code() {
        0 => FAILED_EXIT,
        code => code,
    };
    match (ended, end) {
        (None | Some(Ended::Success), End::Exited(0)) => Verdict {
            code: 0,
            why: None,
            see_stderr: false,
        },
        (Some(Ended::Error(failure)), _) => {
            let class = match failure.class {
                FailureClass::Other => by_exit(kind, end),
                class => class,
            };
            failed(code, reason(class, &failure.text), false)
        }
        (Some(Ended::Interrupted), End::Exited(number)) => {
            let why = format!(
                "the agent was interrupted: it exited with {number} and its stream has no end"
            );
            failed(code, why, true)
        }
        (Some(Ended::Success), End::Exited(number)) => {
            let why = format!("the agent exited with {number} after it had finished");
            failed(code, why, true)
        }
        (None, End::Exited(number)) => match by_exit(kind, end) {
            FailureClass::Other => failed(code, format!("the agent exited with {number}"), true),
            class => failed(code, reason(class, &format!("exit code {number}")), true),
        },
        (_, End::Signalled(signal)) => {
            failed(code, format!("the agent was killed by {signal}"), true)
        }
    }
}

fn failed(code: i32, why: String, see_stderr: bool) -> Verdict {
    Verdict {
        code,
        why: Some(why),
        see_stderr,
    }
}

/// An agent that was interrupted has not done its task, also if it exits as if it had; unless its
/// stream had come to a good end.
fn stopped(end: End, asked: Signal, ended: Option<&Ended>) -> Verdict {
    let (code, how) = match end {
        End::Exited(0) if ended == Some(&Ended::Success) => {
            return Verdict {
                code: 0,
                why: None,
                see_stderr: false,
            };
        }
        End::Exited(code) => (code, format!("exited with {code}")),
        End::Signalled(signal) => (end.code(), format!("ended by {signal}")),
    };
    let code = match code {
        0 => 128 + asked as i32,
        code => code,
    };
    let why = format!("the agent was stopped by {asked} and {how}");
    match ended {
        // It had failed by itself before, most likely.
        Some(Ended::Error(Failure { class, text })) => {
            failed(code, format!("{why}: {}", reason(*class, text)), false)
        }
        // What stands on standard error then is noise.
        Some(Ended::Success | Ended::Interrupted) => failed(code, why, false),
        None => failed(code, why, true),
    }
}

/// What Gemini CLI's exit codes say: HTTP statuses without their 256, and some of its own. They look
/// like signals and are none.
fn by_exit(kind: AgentKind, end: End) -> FailureClass {
    match (kind, end) {
        (AgentKind::Gemini, End::Exited(41)) => FailureClass::Unauthorized,
        (AgentKind::Gemini, End::Exited(53)) => FailureClass::TurnLimit,
        (AgentKind::Gemini, End::Exited(code @ 144..=255)) => {
            failure::by_status(256 + u64::from(code.unsigned_abs()))
        }
        (
            AgentKind::ClaudeCode
            | AgentKind::Codex
            | AgentKind::Gemini
            | AgentKind::OpenCode
            | AgentKind::Cursor
            | AgentKind::Custom,
            End::Exited(_) | End::Signalled(_),
        ) => FailureClass::Other,
    }
}

/// A sentence that says what can be done.
fn reason(class: FailureClass, text: &str) -> String {
    let what = match class {
        FailureClass::Unauthorized => {
            "Unauthorized: the model's API refused the credentials, check the Task's Secret"
        }
        FailureClass::RateLimited => {
            "RateLimited: the model's API takes no more requests for now, or a quota is used up"
        }
        FailureClass::Overloaded => {
            "Overloaded: the model's API is overloaded or at fault, try again later"
        }
        FailureClass::TurnLimit => {
            "TurnLimit: the agent took all turns that it may, give it more or less to do"
        }
        FailureClass::BudgetLimit => {
            "BudgetLimit: the agent spent all that it may, give it more or less to do"
        }
        FailureClass::Other => "the agent failed",
    };
    if text.is_empty() {
        what.to_owned()
    } else {
        format!("{what}: {text}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(class: FailureClass) -> Ended {
        let text = "it said so".to_owned();
        Ended::Error(Failure { class, text })
    }

    fn check(kind: AgentKind, end: End, ended: Option<&Ended>, code: i32, begins: Option<&str>) {
        let verdict = of(kind, end, None, ended);
        assert_eq!(verdict.code, code, "{verdict:?}");
        match (begins, &verdict.why) {
            (Some(begins), Some(why)) => assert!(why.starts_with(begins), "{why}"),
            (begins, why) => assert_eq!(begins, why.as_deref()),
        }
    }

    #[test]
    fn the_stream_decides() {
        let claude = AgentKind::ClaudeCode;
        let exit = End::Exited;
        check(claude, exit(0), None, 0, None);
        check(claude, exit(0), Some(&Ended::Success), 0, None);
        let interrupted = "the agent was interrupted: it exited with";
        check(
            claude,
            exit(0),
            Some(&Ended::Interrupted),
            1,
            Some(interrupted),
        );
        check(
            claude,
            exit(3),
            Some(&Ended::Interrupted),
            3,
            Some(interrupted),
        );
        check(
            claude,
            exit(3),
            Some(&Ended::Success),
            3,
            Some("the agent exited with 3 after"),
        );
        check(claude, exit(3), None, 3, Some("the agent exited with 3"));
        let killed = "the agent was killed by SIGKILL";
        let kill = End::Signalled(Signal::SIGKILL);
        check(claude, kill, Some(&Ended::Interrupted), 137, Some(killed));
        check(claude, kill, None, 137, Some(killed));
        for (class, begins) in [
            (FailureClass::Unauthorized, "Unauthorized: "),
            (FailureClass::RateLimited, "RateLimited: "),
            (FailureClass::Overloaded, "Overloaded: "),
            (FailureClass::TurnLimit, "TurnLimit: "),
            (FailureClass::BudgetLimit, "BudgetLimit: "),
            (FailureClass::Other, "the agent failed: it said so"),
        ] {
            check(claude, exit(0), Some(&error(class)), 1, Some(begins));
            check(claude, exit(7), Some(&error(class)), 7, Some(begins));
        }
    }

    #[test]
    fn codes_of_gemini_are_statuses() {
        let other = error(FailureClass::Other);
        for (code, begins) in [
            (145, "Unauthorized: "),
            (147, "Unauthorized: "),
            (173, "RateLimited: "),
            (247, "Overloaded: "),
            (41, "Unauthorized: "),
            (53, "TurnLimit: "),
        ] {
            let end = End::Exited(code);
            check(AgentKind::Gemini, end, None, code, Some(begins));
            check(AgentKind::Gemini, end, Some(&other), code, Some(begins));
            let plain = format!("the agent exited with {code}");
            check(AgentKind::Codex, end, None, code, Some(&plain));
        }
        for code in [143, 148, 130] {
            let plain = format!("the agent exited with {code}");
            check(
                AgentKind::Gemini,
                End::Exited(code),
                None,
                code,
                Some(&plain),
            );
        }
    }

    #[test]
    fn a_stop_is_no_success() {
        let check = |end, ended: Option<&Ended>, code: i32, why: Option<&str>| {
            let verdict = of(AgentKind::Gemini, end, Some(Signal::SIGTERM), ended);
            assert_eq!((verdict.code, verdict.why.as_deref()), (code, why));
        };
        let zero = Some("the agent was stopped by SIGTERM and exited with 0");
        check(End::Exited(0), None, 143, zero);
        check(End::Exited(0), Some(&Ended::Interrupted), 143, zero);
        check(End::Exited(0), Some(&Ended::Success), 0, None);
        let one = Some("the agent was stopped by SIGTERM and exited with 1");
        check(End::Exited(1), Some(&Ended::Success), 1, one);
        let killed = Some("the agent was stopped by SIGTERM and ended by SIGKILL");
        check(End::Signalled(Signal::SIGKILL), None, 137, killed);
    }
}
