//! What an agent did, as people read it. Pure.
//!
//! What the agent says is data and goes to stdout; how it got there goes to stderr.

use std::fmt::Write as _;
use std::time::Duration;

use anstyle::AnsiColor;
use anstyle::Style;
use axon_helper::report::Usage;
use axon_helper::stream::AgentKind;
use axon_helper::stream::Ended;
use axon_helper::stream::Event;
use axon_helper::stream::FailureClass;
use axon_helper::stream::Summary;

use crate::cli::text_diff::visible;

/// Lines of a tool's output that are shown, and columns of each.
const MAX_OUTPUT: usize = 6;
const MAX_COLUMNS: usize = 200;
/// Tools that change files, by the names that agents give them.
const EDITS: [&str; 8] = [
    "Edit",
    "MultiEdit",
    "Write",
    "NotebookEdit",
    "edit",
    "write",
    "write_file",
    "replace",
];

const DIM: Style = Style::new().dimmed();
const TOOL: Style = AnsiColor::Cyan.on_default();
const EDIT: Style = AnsiColor::Magenta.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const WARN: Style = AnsiColor::Yellow.on_default();
const GOOD: Style = AnsiColor::Green.on_default();

/// Some lines, and where they go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lines {
    /// What the agent says.
    Out(String),
    Err(String),
}

/// What there is to show of an event.
pub(super) fn lines(kind: AgentKind, event: &Event) -> Option<Lines> {
    let text = match event {
        Event::Text(text) => return Some(Lines::Out(clean(text))),
        Event::Plain(text) => {
            return Some(match kind {
                // All that these print is their word.
                AgentKind::Cursor | AgentKind::Custom => Lines::Out(clean(text)),
                AgentKind::ClaudeCode
                | AgentKind::Codex
                | AgentKind::Gemini
                | AgentKind::OpenCode => Lines::Err(dim(text)),
            });
        }
        // The last one counts, and comes with the end.
        Event::Usage(_) => return None,
        Event::Begun { model } => {
            let model = model.as_deref().map(|it| format!(", model {it}"));
            dim(&format!("── {}{}", kind.name(), model.unwrap_or_default()))
        }
        Event::ToolCall { tool, input } => {
            let (mark, style) = if EDITS.contains(&tool.as_str()) {
                ("✎", EDIT)
            } else {
                ("▸", TOOL)
            };
            let (tool, input) = (clean(tool), cut(input));
            format!("{style}{mark} {tool}{style:#}  {input}")
                .trim_end()
                .to_owned()
        }
        Event::ToolResult { ok, output, .. } => result(*ok, output)?,
        Event::Retry {
            reason,
            attempt,
            of,
            after,
        } => {
            let mut text = format!("{WARN}↻ the model did not answer: {}", clean(reason));
            let told = match (attempt, of) {
                (Some(attempt), Some(of)) => format!("; attempt {attempt} of {of}"),
                (Some(attempt), None) => format!("; attempt {attempt}"),
                (None, _) => String::new(),
            };
            let after = after.map(|it| format!(", in {}", seconds(it)));
            // Writing to a String cannot fail.
            write!(text, "{told}{}{WARN:#}", after.unwrap_or_default()).ok();
            text
        }
        Event::Warning(text) => format!("{WARN}! {}{WARN:#}", clean(text)),
        Event::Ended(summary) => end(summary),
    };
    Some(Lines::Err(text))
}

/// What an agent does at this moment, in few words; none where that does not say.
pub(in crate::cli) fn brief(event: &Event) -> Option<String> {
    match event {
        Event::Begun { .. } | Event::ToolResult { .. } => Some("thinks".to_owned()),
        Event::Text(text) => Some(clean(text.lines().next().unwrap_or_default())),
        Event::ToolCall { tool, input } => Some(format!("{tool}  {input}").trim_end().to_owned()),
        Event::Retry { reason, .. } => Some(format!("waits for the model: {reason}")),
        Event::Warning(_) | Event::Usage(_) | Event::Plain(_) => None,
        Event::Ended(_) => Some("ends".to_owned()),
    }
}

/// `2 turns, 2300 tokens in (300 cached), 55 out, $0.0069`.
pub(in crate::cli) fn usage(usage: &Usage) -> String {
    let mut parts = Vec::new();
    if usage.turns > 0 {
        let word = if usage.turns == 1 { "turn" } else { "turns" };
        parts.push(format!("{} {word}", usage.turns));
    }
    if usage.input_tokens > 0 || usage.output_tokens > 0 {
        let cached = match usage.cached_input_tokens {
            0 => String::new(),
            cached => format!(" ({cached} cached)"),
        };
        parts.push(format!(
            "{} tokens in{cached}, {} out",
            usage.input_tokens, usage.output_tokens
        ));
    }
    if let Some(cost) = usage.cost_usd.filter(|it| *it > 0.0) {
        let about = if usage.estimated { "about " } else { "" };
        parts.push(format!("{about}${cost:.4}"));
    }
    parts.join(", ")
}

fn result(ok: bool, output: &str) -> Option<String> {
    let all: Vec<&str> = output.lines().filter(|it| !it.trim().is_empty()).collect();
    if ok && all.is_empty() {
        return None;
    }
    let style = if ok { DIM } else { BAD };
    let shown = all.iter().take(MAX_OUTPUT);
    let mut lines: Vec<String> = shown
        .map(|line| format!("  {style}{}{style:#}", cut(line)))
        .collect();
    if !ok {
        lines.insert(0, format!("  {BAD}✗ failed{BAD:#}"));
    }
    if all.len() > MAX_OUTPUT {
        lines.push(format!(
            "  {DIM}… {} more lines{DIM:#}",
            all.len() - MAX_OUTPUT
        ));
    }
    Some(lines.join("\n"))
}

fn end(summary: &Summary) -> String {
    let used = summary
        .usage
        .as_ref()
        .map(usage)
        .filter(|it| !it.is_empty());
    let after = |before: &str, end: &str| {
        let used = used.as_ref().map(|it| format!("{before}{it}{end}"));
        used.unwrap_or_default()
    };
    match &summary.ended {
        Some(Ended::Success) | None => format!("{GOOD}── done{GOOD:#}{}", after(": ", "")),
        Some(Ended::Interrupted) => format!("{WARN}── interrupted{WARN:#}{}", after(": ", "")),
        Some(Ended::Error(failure)) => {
            let class = match failure.class {
                FailureClass::Unauthorized => "the model's API refused the credentials",
                FailureClass::RateLimited => "the model's API limits the rate",
                FailureClass::Overloaded => "the model's API is overloaded",
                FailureClass::TurnLimit => "all turns are used",
                FailureClass::BudgetLimit => "all money is spent",
                FailureClass::Other => "failed",
            };
            let why = clean(&failure.text);
            let colon = if why.is_empty() { "" } else { ": " };
            format!("{BAD}── {class}{BAD:#}{colon}{why}{}", after(" (", ")"))
        }
    }
}

fn dim(text: &str) -> String {
    format!("{DIM}{}{DIM:#}", clean(text))
}

/// Nothing in it steers a terminal; its lines stay lines.
fn clean(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(visible).collect();
    lines.join("\n")
}

fn cut(text: &str) -> String {
    crate::cli::screen::cut(&clean(text), MAX_COLUMNS)
}

fn seconds(length: Duration) -> String {
    format!("{:.1}s", length.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use axon_helper::stream::Stream;

    use super::*;

    fn told(kind: AgentKind, capture: &str) -> String {
        let mut text = String::new();
        let mut tell = |event: Event| match lines(kind, &event) {
            Some(Lines::Out(line)) => writeln!(text, "out {line}").unwrap(),
            Some(Lines::Err(line)) => writeln!(text, "err {line}").unwrap(),
            None => {}
        };
        let mut stream = Stream::new(kind);
        stream.push(capture.as_bytes(), &mut tell);
        stream.finish(&mut tell);
        anstream::adapter::strip_str(&text).to_string()
    }

    #[test]
    fn a_run_of_claude_code() {
        let capture = include_str!("../../../helper/tests/captures/claude/ok.jsonl");
        insta::assert_snapshot!(told(AgentKind::ClaudeCode, capture), @r"
        err ── claude-code, model claude-sonnet-4-5
        out I will write the file.
        err ▸ Bash  echo hello > hello.txt && git add hello.txt && git commit -q -m hello && git log --oneline | head -1
        err   5f5d2a8 hello
        out Done.
        err ── done: 2 turns, 2300 tokens in (300 cached), 55 out, $0.0069
        ");
    }

    #[test]
    fn a_rate_limit() {
        let capture = include_str!("../../../helper/tests/captures/claude/429-bounded.jsonl");
        insta::assert_snapshot!(told(AgentKind::ClaudeCode, capture), @r"
        err ── claude-code, model claude-sonnet-4-5
        err ↻ the model did not answer: rate_limit (HTTP 429); attempt 1 of 2, in 0.6s
        err ↻ the model did not answer: rate_limit (HTTP 429); attempt 2 of 2, in 1.1s
        err ── the model's API limits the rate: API Error: Request rejected (429) · rate limit reached (scripted) (1 turn)
        ");
    }

    #[test]
    fn runs_of_the_others() {
        for (kind, capture) in [
            (
                AgentKind::Codex,
                include_str!("../../../helper/tests/captures/codex/ok.jsonl"),
            ),
            (
                AgentKind::Gemini,
                include_str!("../../../helper/tests/captures/gemini/ok.jsonl"),
            ),
            (
                AgentKind::OpenCode,
                include_str!("../../../helper/tests/captures/opencode/ok.jsonl"),
            ),
        ] {
            let told = told(kind, capture);
            assert!(told.contains("out I will write the file."), "{told}");
            assert!(told.contains("echo hello > hello.txt"), "{told}");
            assert!(told.contains("out Done."), "{told}");
            assert!(
                told.contains("2300 tokens in (300 cached), 55 out"),
                "{told}"
            );
        }
    }

    #[test]
    fn what_is_no_stream_passes() {
        let text = "plain\n\u{1b}[2J{\"type\":\"assistant\"}\n";
        let shown = told(AgentKind::Custom, text);
        assert!(shown.starts_with("out plain\nout "), "{shown}");
        assert!(!shown.contains('\u{1b}'), "{shown}");
        assert!(told(AgentKind::Codex, "noise\n").starts_with("err noise\n"));
    }

    #[test]
    fn long_output_is_cut_and_failure_shows() {
        let output = "x\n".repeat(20);
        let shown = result(false, &output).unwrap();
        assert!(
            shown.contains("failed") && shown.contains("… 14 more lines"),
            "{shown}"
        );
        assert_eq!(result(true, " \n"), None);
    }
}
