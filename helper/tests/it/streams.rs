//! Captured runs of real agents, played again: what is reported of each.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use nix::sys::signal::Signal;

use crate::fixture::Ended;
use crate::fixture::Run;
use crate::fixture::await_that;

fn capture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/captures")
        .join(name)
}

/// Plays a capture as an agent of that kind would have printed it, and ends as it ended.
fn play(agent: &str, name: &str) -> Ended {
    let code = fs::read_to_string(capture(&format!("{name}.code"))).unwrap();
    let stream = capture(&format!("{name}.jsonl"));
    let script = format!(
        "echo noise; cat '{}'; echo 'last words' >&2; exit {}",
        stream.display(),
        code.trim()
    );
    Run::of(&script).args(&["--agent", agent]).end()
}

fn check(agent: &str, name: &str, code: i32, message: Option<&str>) -> Ended {
    let ended = play(agent, name);
    assert_eq!(ended.code(), code, "{name}");
    assert_eq!(ended.report.exit_code, Some(code));
    assert_eq!(ended.report.succeeded, code == 0);
    match (&ended.report.message, message) {
        (Some(said), Some(begins)) => assert!(said.starts_with(begins), "{name}: {said}"),
        (said, begins) => assert_eq!(said.as_deref(), begins, "{name}"),
    }
    ended
}

#[test]
fn good_runs_and_what_they_used() {
    for (agent, name, cost, estimated) in [
        ("claude-code", "claude/ok", Some(0.006_915), false),
        ("codex", "codex/ok", None, false),
        ("gemini", "gemini/ok", Some(0.000_747), true),
        ("opencode", "opencode/ok", Some(0.006_915), false),
    ] {
        let usage = check(agent, name, 0, None).report.usage.unwrap();
        let tokens = (
            usage.input_tokens,
            usage.cached_input_tokens,
            usage.output_tokens,
        );
        assert_eq!((tokens, usage.turns), ((2300, 300, 55), 2), "{name}");
        assert_eq!((usage.cost_usd, usage.estimated), (cost, estimated));
    }
    // Without a known stream the exit code alone counts, and nothing is known of the usage.
    let custom = check("custom", "claude/ok", 0, None);
    assert_eq!(custom.report.usage, None);
    check("gemini", "gemini/json-ok", 0, None);
}

#[test]
fn every_class_of_failure() {
    let refused =
        "Unauthorized: the model's API refused the credentials, check the Task's Secret: ";
    let limited = "RateLimited: ";
    let overloaded = "Overloaded: ";
    for (agent, name, code, message) in [
        ("claude-code", "claude/401", 1, refused),
        ("claude-code", "claude/401-oauth-token", 1, refused),
        ("claude-code", "claude/no-key", 1, refused),
        ("claude-code", "claude/429", 1, limited),
        ("claude-code", "claude/529-bounded", 1, overloaded),
        ("claude-code", "claude/max-turns", 1, "TurnLimit: "),
        (
            "claude-code",
            "claude/unreachable",
            1,
            "the agent failed: API Error: Connection refused",
        ),
        ("codex", "codex/401", 1, refused),
        ("codex", "codex/429", 1, limited),
        ("codex", "codex/503", 1, overloaded),
        ("codex", "codex/no-key", 1, refused),
        ("gemini", "gemini/401", 145, refused),
        ("gemini", "gemini/429", 173, limited),
        ("gemini", "gemini/no-key", 41, refused),
        ("opencode", "opencode/401", 1, refused),
        ("opencode", "opencode/429", 1, limited),
        (
            "opencode",
            "opencode/unknown-model",
            1,
            "the agent failed: Unexpected server error.",
        ),
    ] {
        check(agent, name, code, Some(message));
    }
    let turns = play("claude-code", "claude/max-turns")
        .report
        .usage
        .unwrap();
    assert_eq!((turns.turns, turns.cost_usd), (4, Some(0.010_035)));
}

#[test]
fn an_end_that_is_missing_is_a_failure() {
    let interrupted = |code| {
        format!(
            "the agent was interrupted: it exited with {code} and its stream has no end:\nlast words"
        )
    };
    for (agent, name, code, exit) in [
        // It exits with 0 and says in its last event that it was interrupted.
        ("claude-code", "claude/sigint-tool", 1, 0),
        ("gemini", "gemini/sigterm-tool-norelaunch", 1, 0),
        ("gemini", "gemini/sigterm-stream-norelaunch", 1, 0),
        ("claude-code", "claude/sigterm-tool", 143, 143),
        ("codex", "codex/sigint-tool", 1, 1),
        ("opencode", "opencode/sigterm-stream", 143, 143),
    ] {
        check(agent, name, code, Some(&interrupted(exit)));
    }
    let plain = "the agent exited with 1:\nlast words";
    check("codex", "codex/home-unwritable", 1, Some(plain));
}

#[test]
fn usage_is_told_while_the_agent_runs() {
    let stream = capture("claude/ok.jsonl");
    let run = Run::of(&format!(
        r#"head -n 3 '{}'; touch "$DIR/ready"; exec sleep 1000"#,
        stream.display()
    ))
    .args(&["--agent", "claude-code"])
    .start();
    run.await_file("ready");
    let usage = || run.report()?.usage;
    await_that("the usage", || usage().is_some());
    let usage = usage().unwrap();
    assert_eq!((usage.input_tokens, usage.turns), (1100, 1));
    run.signal(Signal::SIGTERM);
    let ended = run.end();
    let message = "the agent was stopped by SIGTERM and ended by SIGINT";
    assert_eq!(ended.message(), message);
    assert_eq!(ended.report.usage, Some(usage));
}

#[test]
fn what_codex_used_is_known_without_its_last_event() {
    let ok = capture("codex/sigterm-tool.jsonl");
    let id = fs::read_to_string(&ok).unwrap();
    let id = id.split('"').nth(7).unwrap();
    let count = r#"{"type":"event_msg","payload":{"type":"token_count","info":{"total_token_usage":{"input_tokens":1100,"cached_input_tokens":100,"output_tokens":21}}}}"#;
    let ended = Run::of(&format!(
        r#"day="${{CODEX_HOME:-$HOME/.codex}}/sessions/2026/11/23"; mkdir -p "$day"
        echo '{count}' > "$day/rollout-2026-11-23T00-00-00-{id}.jsonl"; cat '{}'; exit 143"#,
        ok.display()
    ))
    .env("AXON_MODEL", "gpt-5.1-codex")
    .args(&["--agent", "codex"])
    .end();
    let usage = ended.report.usage.unwrap();
    assert_eq!((usage.input_tokens, usage.output_tokens), (1100, 21));
    assert_eq!(usage.turns, 1);
    // 1000 × 1.25 + 100 × 0.125 + 21 × 10 millionths.
    assert_eq!((usage.cost_usd, usage.estimated), (Some(0.001_473), true));
}

#[test]
fn a_secret_in_the_agents_words_is_masked() {
    let line =
        r#"{"type":"turn.failed","error":{"message":"status 401: key hunter2\"secret is wrong"}}"#;
    let script = format!("echo '{line}'; exit 1");
    let ended = Run::of(&script)
        .args(&["--agent", "codex", "--mask", "KEY"])
        .env("KEY", "hunter2\"secret")
        .end();
    assert!(ended.message().ends_with("status 401: key *** is wrong"));
    assert!(!ended.stdout().contains("hunter2"));
}
