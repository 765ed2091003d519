//! Every captured run is understood; nothing that is printed does harm.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use super::*;
use crate::report::Usage;

mod hostile;

/// What a captured run is to be understood as.
#[derive(Clone, Copy)]
enum Is {
    /// Two turns: 2300 tokens in, 300 of them cached, 55 out, "Done." at the end.
    Done,
    Error(FailureClass, &'static str),
    Interrupted,
    /// No stream began.
    Nothing,
}

use FailureClass::Other;
use FailureClass::Overloaded;
use FailureClass::RateLimited;
use FailureClass::TurnLimit;
use FailureClass::Unauthorized;
use Is::Done;
use Is::Error;
use Is::Interrupted;
use Is::Nothing;

const REFUSED: &str = "Invalid API key · Fix external API key";
const CODEX_401: &str = "unexpected status 401 Unauthorized: invalid x-api-key (scripted), url: http://127.0.0.1:8910/v1/responses";
const CODEX_503: &str = "Selected model is at capacity. Please try a different model.";
const GEMINI_429: &str = "[API Error: rate limit reached (scripted)]\nPlease wait and try again later. To increase your limits, request a quota increase through AI Studio, or switch to another /auth method";

const CLAUDE: [(&str, Is); 22] = [
    ("401", Error(Unauthorized, REFUSED)),
    ("401-bounded", Error(Unauthorized, REFUSED)),
    (
        "401-oauth-token",
        Error(Unauthorized, "Not logged in · Please run /login"),
    ),
    (
        "429",
        Error(
            RateLimited,
            "API Error: Request rejected (429) · rate limit reached (scripted)",
        ),
    ),
    (
        "429-bounded",
        Error(
            RateLimited,
            "API Error: Request rejected (429) · rate limit reached (scripted)",
        ),
    ),
    (
        "429-retry-after",
        Error(
            RateLimited,
            "API Error: Request rejected (429) · rate limit reached (scripted)",
        ),
    ),
    (
        "529-bounded",
        Error(
            Overloaded,
            "API Error: 529 Overloaded (scripted). This is a server-side issue, usually temporary — try again in a moment. If it persists, check your inference gateway (127.0.0.1:8910).",
        ),
    ),
    ("auth-token", Done),
    ("default-model", Done),
    ("home-unwritable", Done),
    (
        "max-turns",
        Error(TurnLimit, "Reached maximum number of turns (3)"),
    ),
    (
        "no-key",
        Error(Unauthorized, "Not logged in · Please run /login"),
    ),
    ("no-verbose", Nothing),
    ("ok", Done),
    ("root-is-sandbox", Done),
    ("root-refused", Nothing),
    ("sigint-tool", Interrupted),
    ("sigkill-tool", Interrupted),
    ("sigterm-stream", Interrupted),
    ("sigterm-tool", Interrupted),
    ("stdin-open-pipe", Done),
    (
        "unreachable",
        Error(
            Other,
            "API Error: Connection refused — a firewall or proxy may be blocking it (ECONNREFUSED)",
        ),
    ),
];

const CODEX: [(&str, Is); 23] = [
    ("401", Error(Unauthorized, CODEX_401)),
    ("401-default-retries", Error(Unauthorized, CODEX_401)),
    (
        "429",
        Error(
            RateLimited,
            "exceeded retry limit, last status: 429 Too Many Requests",
        ),
    ),
    ("503", Error(Overloaded, CODEX_503)),
    ("503-default-retries", Error(Overloaded, CODEX_503)),
    ("builtin-openai-base-url", Done),
    ("codex-home-missing", Nothing),
    ("default-model", Done),
    ("home-unwritable", Nothing),
    ("no-git", Done),
    ("no-git-check-in-fullauto", Nothing),
    (
        "no-key",
        Error(
            Unauthorized,
            "Missing environment variable: `OPENAI_API_KEY`.",
        ),
    ),
    ("ok", Done),
    ("quiet", Done),
    ("root", Done),
    ("sandbox-danger-full-access", Done),
    ("sandbox-workspace-write", Done),
    ("sigint-tool", Interrupted),
    ("sigkill-tool", Interrupted),
    ("sigterm-native", Interrupted),
    ("sigterm-stream", Interrupted),
    ("sigterm-tool", Interrupted),
    ("stdin-open-pipe", Nothing),
];

const GEMINI: [(&str, Is); 19] = [
    ("401", Error(Unauthorized, "invalid x-api-key (scripted)")),
    ("429", Error(RateLimited, GEMINI_429)),
    ("429-bounded", Error(RateLimited, GEMINI_429)),
    ("429-retry-after", Error(RateLimited, GEMINI_429)),
    ("gemini-cli-home", Done),
    ("home-unwritable", Nothing),
    ("json-ok", Nothing),
    ("no-key", Nothing),
    ("no-selected-auth", Nothing),
    ("ok", Done),
    ("root", Done),
    ("sigint-tool", Interrupted),
    ("sigkill-tool", Interrupted),
    ("sigterm-stream", Interrupted),
    ("sigterm-stream-norelaunch", Interrupted),
    ("sigterm-tool", Interrupted),
    ("sigterm-tool-norelaunch", Interrupted),
    ("stdin-open-pipe", Done),
    ("untrusted", Nothing),
];

const OPENCODE: [(&str, Is); 7] = [
    ("401", Error(Unauthorized, "invalid x-api-key (scripted)")),
    ("429", Error(RateLimited, "rate limit reached (scripted)")),
    ("home-unwritable", Nothing),
    ("ok", Done),
    ("sigterm-stream", Interrupted),
    ("sigterm-tool", Interrupted),
    (
        "unknown-model",
        Error(
            Other,
            "Unexpected server error. Check server logs for details.",
        ),
    ),
];

fn captures(agent: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/captures")
        .join(agent)
}

fn read(kind: AgentKind, bytes: &[u8], chunk: usize) -> (Vec<Event>, Summary) {
    let (mut events, mut stream) = (Vec::new(), Stream::new(kind));
    let mut sink = |event| events.push(event);
    for chunk in bytes.chunks(chunk) {
        stream.push(chunk, &mut sink);
    }
    stream.finish(&mut sink);
    (events, stream.summary().clone())
}

fn check(agent: &str, case: &str, expected: Is, summary: &Summary) {
    let name = format!("{agent}/{case}");
    let ended = match expected {
        Done => Some(Ended::Success),
        Error(class, text) => {
            let text = text.to_owned();
            Some(Ended::Error(Failure { class, text }))
        }
        Interrupted => Some(Ended::Interrupted),
        Nothing => None,
    };
    assert_eq!(summary.ended, ended, "{name}");
    if let Done = expected {
        let usage = summary.usage.unwrap();
        let tokens = (
            usage.input_tokens,
            usage.cached_input_tokens,
            usage.output_tokens,
        );
        assert_eq!((tokens, usage.turns), ((2300, 300, 55), 2), "{name}");
        let cost = match (agent, case) {
            ("claude", "default-model") => Some("0.0091600"),
            ("claude" | "opencode", _) => Some("0.0069150"),
            // 2000 × 0.30 + 300 × 0.03 + 55 × 2.50 millionths, by our table.
            ("gemini", _) => Some("0.0007465"),
            _ => None,
        };
        let told = usage.cost_usd.map(|cost| format!("{cost:.7}"));
        assert_eq!(told.as_deref(), cost, "{name}");
        assert_eq!(usage.estimated, agent == "gemini", "{name}");
        assert_eq!(summary.text.as_deref(), Some("Done."), "{name}");
    }
}

/// The same bytes with lines between them that are no events.
fn with_noise(bytes: &[u8]) -> Vec<u8> {
    let noise: [&[u8]; 6] = [
        b"warning: {\"type\":\"result\"}\n",
        b"{\"level\":\"info\",\"type\":7}\n",
        b"{\"type\":\"result\"\n",
        b"\xff\xfe{\n\n",
        b"[{\"type\":\"error\"}]\n",
        b"{}\n",
    ];
    let mut out = Vec::new();
    for (n, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        out.extend_from_slice(noise[n % noise.len()]);
        out.extend_from_slice(line);
    }
    out.extend_from_slice(b"bye");
    out
}

fn check_all(kind: AgentKind, agent: &str, cases: &[(&str, Is)]) {
    for (case, expected) in cases {
        let bytes = fs::read(captures(agent).join(format!("{case}.jsonl"))).unwrap();
        let (events, summary) = read(kind, &bytes, usize::MAX);
        check(agent, case, *expected, &summary);
        let ends = events.iter().filter(|it| matches!(it, Event::Ended(_)));
        let last = events
            .iter()
            .rposition(|event| !matches!(event, Event::Plain(_)));
        if summary.ended.is_some() {
            assert_eq!(ends.count(), 1, "{agent}/{case}: {events:#?}");
            assert!(matches!(events[last.unwrap()], Event::Ended(_)));
            let plain = events.iter().filter(|it| matches!(it, Event::Plain(_)));
            assert_eq!(plain.count(), 0, "{agent}/{case}");
        }
        let noisy = with_noise(&bytes);
        let (noisy_events, noisy_summary) = read(kind, &noisy, usize::MAX);
        assert_eq!(noisy_summary, summary, "{agent}/{case}");
        for chunk in [1, 7, 64 * 1024] {
            let told = (events.clone(), summary.clone());
            assert_eq!(read(kind, &bytes, chunk), told, "{agent}/{case}");
            let told = (noisy_events.clone(), summary.clone());
            assert_eq!(read(kind, &noisy, chunk), told, "{agent}/{case}");
        }
    }
    let known: BTreeSet<&str> = cases.iter().map(|(case, _)| *case).collect();
    let there = fs::read_dir(captures(agent)).unwrap();
    let there: Vec<String> = there
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let there = there
        .iter()
        .filter_map(|name| name.strip_suffix(".jsonl"))
        .collect();
    assert_eq!(known, there);
}

#[test]
fn claude_code() {
    check_all(AgentKind::ClaudeCode, "claude", &CLAUDE);
}

#[test]
fn codex() {
    check_all(AgentKind::Codex, "codex", &CODEX);
}

#[test]
fn gemini() {
    check_all(AgentKind::Gemini, "gemini", &GEMINI);
}

#[test]
fn opencode() {
    check_all(AgentKind::OpenCode, "opencode", &OPENCODE);
}

#[test]
fn what_people_see_of_a_run() {
    let bytes = fs::read(captures("claude").join("ok.jsonl")).unwrap();
    let (events, summary) = read(AgentKind::ClaudeCode, &bytes, 100);
    let command = "echo hello > hello.txt && git add hello.txt && git commit -q -m hello && git log --oneline | head -1";
    let usage = |input_tokens, cached_input_tokens, output_tokens, turns| {
        let so_far = Usage {
            input_tokens,
            cached_input_tokens,
            output_tokens,
            turns,
            ..Usage::default()
        };
        Event::Usage(price::with_estimate(so_far, Some("claude-sonnet-4-5")))
    };
    let expected = [
        Event::Begun {
            model: Some("claude-sonnet-4-5".into()),
        },
        Event::Text("I will write the file.".into()),
        usage(1100, 100, 1, 1),
        Event::ToolCall {
            tool: "Bash".into(),
            input: command.into(),
        },
        Event::ToolResult {
            tool: "Bash".into(),
            ok: true,
            output: "5f5d2a8 hello".into(),
        },
        Event::Text("Done.".into()),
        usage(2300, 300, 2, 2),
        Event::Usage(summary.usage.unwrap()),
        Event::Ended(Box::new(summary)),
    ];
    assert_eq!(events, expected);
}

/// Tools, retries and warnings of a captured run, one line each.
fn told(kind: AgentKind, agent: &str, case: &str) -> Vec<String> {
    let bytes = fs::read(captures(agent).join(format!("{case}.jsonl"))).unwrap();
    let events = read(kind, &bytes, 1000).0.into_iter();
    let lines = events.filter_map(|event| match event {
        Event::ToolCall { tool, input } => {
            Some(format!("{tool}: {}", &input[.."echo hello".len()]))
        }
        Event::ToolResult { tool, ok, output } => Some(format!("{tool} {ok}: {output}")),
        Event::Retry {
            reason,
            attempt,
            of,
            after,
        } => Some(format!("retry {attempt:?} {of:?} {after:?}: {reason}")),
        Event::Warning(text) => Some(format!("warning: {text}")),
        Event::Begun { .. }
        | Event::Text(_)
        | Event::Usage(_)
        | Event::Ended(_)
        | Event::Plain(_) => None,
    });
    lines.collect()
}

#[test]
fn tools_retries_and_warnings() {
    let check = |told: &[String], expected: &[&str]| assert_eq!(told, expected);
    check(
        &told(AgentKind::Codex, "codex", "default-model"),
        &["shell: echo hello", "shell true: 85d1d2e hello"],
    );
    check(
        &told(AgentKind::Gemini, "gemini", "ok"),
        &[
            "run_shell_command: echo hello",
            "run_shell_command true: 01435f2 hello",
        ],
    );
    check(
        &told(AgentKind::OpenCode, "opencode", "ok"),
        &["bash: echo hello", "bash true: 31e97a6 hello"],
    );
    let failed = told(AgentKind::Codex, "codex", "no-git");
    assert!(failed[0].starts_with("warning: Model metadata for `gpt-5.1-codex` not found."));
    assert!(failed[2].starts_with("shell false: fatal: not a git repository"));
    let refused = told(AgentKind::Codex, "codex", "401");
    assert_eq!(
        refused[1],
        format!("retry Some(1) Some(2) None: {CODEX_401}")
    );
    let limited = told(AgentKind::ClaudeCode, "claude", "429");
    assert_eq!(limited.len(), 10);
    assert_eq!(
        limited[0],
        "retry Some(1) Some(10) Some(525ms): rate_limit (HTTP 429)"
    );
}

/// The end of its stream tells what Claude Code cost: one that was cut off has an estimate.
#[test]
fn what_is_cut_off_has_a_price() {
    let usage = |case: &str| {
        let bytes = fs::read(captures("claude").join(format!("{case}.jsonl"))).unwrap();
        read(AgentKind::ClaudeCode, &bytes, 100).1.usage.unwrap()
    };
    let cut = usage("sigterm-tool");
    assert_eq!((cut.input_tokens, cut.turns), (1100, 1));
    // 1000 × 3 + 100 × 0.3 + 1 × 15 millionths: all that is known of the answer's length is its first token.
    assert!((cut.cost_usd.unwrap() - 0.003_045).abs() < 1e-9);
    assert!(cut.estimated);
    let told = usage("sigint-tool");
    assert!(told.cost_usd.unwrap() > cut.cost_usd.unwrap() && !told.estimated);
}

#[test]
fn limits_and_guesses() {
    let ended = |line: &str| {
        let summary = read(AgentKind::ClaudeCode, line.as_bytes(), 100).1;
        (summary.ended.unwrap(), summary.usage.unwrap())
    };
    let (end, usage) = ended(
        r#"{"type":"result","subtype":"error_max_budget_usd","is_error":true,"total_cost_usd":0.5,"errors":["Reached maximum budget ($0.1)"],"modelUsage":{"x":{"inputTokens":1,"cacheCreationInputTokens":2,"cacheReadInputTokens":4,"costBasis":"unknown"},"y":{"outputTokens":8}}}"#,
    );
    let text = "Reached maximum budget ($0.1)".to_owned();
    let class = FailureClass::BudgetLimit;
    assert_eq!(end, Ended::Error(Failure { class, text }));
    assert_eq!((usage.cost_usd, usage.estimated), (Some(0.5), true));
    assert_eq!((usage.input_tokens, usage.output_tokens), (7, 8));
}
