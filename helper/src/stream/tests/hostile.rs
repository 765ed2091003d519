//! What agents could print to do harm.

use std::fs;

use super::captures;
use super::read;
use crate::stream::*;

#[test]
fn a_last_event_of_any_size_is_understood() {
    let head = br#"{"type":"result","is_error":false,"result":""#;
    let tail = br#"","subtype":"success","num_turns":7,"errors":["#;
    let (mut events, mut stream) = (0, Stream::new(AgentKind::ClaudeCode));
    let mut sink = |_| events += 1;
    stream.push(head, &mut sink);
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..64 {
        stream.push(&piece, &mut sink);
    }
    stream.push(tail, &mut sink);
    stream.push(b"]}\n", &mut sink);
    let summary = stream.summary();
    assert_eq!(summary.ended, Some(Ended::Success));
    assert_eq!(summary.usage.unwrap().turns, 7);
    let text = summary.text.as_ref().unwrap();
    assert!(text.len() < 100_000 && text.ends_with('…'));
}

#[test]
fn absurd_numbers() {
    for number in [
        "-1",
        "-9223372036854775809",
        "18446744073709551615",
        "1e300",
        "-1e300",
        "1e-300",
        "0.5",
        "\"many\"",
        "null",
        "[1]",
        "1e999",
        "NaN",
        "Infinity",
    ] {
        for (kind, line) in [
            (
                AgentKind::ClaudeCode,
                r#"{"type":"assistant","message":{"id":"ID","usage":{"input_tokens":N,"output_tokens":N,"cache_read_input_tokens":N},"content":[]}}
{"type":"result","subtype":"success","total_cost_usd":N,"num_turns":N,"usage":{"input_tokens":N},"modelUsage":{"a":{"inputTokens":N,"outputTokens":N},"b":{"inputTokens":N}}}"#,
            ),
            (
                AgentKind::Codex,
                r#"{"type":"turn.completed","usage":{"input_tokens":N,"cached_input_tokens":N,"output_tokens":N}}"#,
            ),
            (
                AgentKind::Gemini,
                r#"{"type":"result","status":"success","stats":{"input_tokens":N,"output_tokens":N,"total_tokens":N}}"#,
            ),
            (
                AgentKind::OpenCode,
                r#"{"type":"step_finish","part":{"reason":"tool-calls","cost":N,"tokens":{"input":N,"output":N,"reasoning":N,"cache":{"read":N,"write":N}}}}"#,
            ),
        ] {
            let mut text = String::new();
            for n in 0..100 {
                text += &line.replace('N', number).replace("ID", &n.to_string());
                text.push('\n');
            }
            let usage = read(kind, text.as_bytes(), 4096).1.usage;
            let cost = usage.and_then(|usage| usage.cost_usd).unwrap_or(0.0);
            assert!((0.0..1e9).contains(&cost), "{number}: {cost}");
        }
    }
}

/// Numbers that look random and are always the same.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

#[test]
fn spoiled_streams_do_no_harm() {
    let all = [
        (AgentKind::ClaudeCode, "claude", "max-turns"),
        (AgentKind::ClaudeCode, "claude", "401"),
        (AgentKind::Codex, "codex", "no-git"),
        (AgentKind::Gemini, "gemini", "ok"),
        (AgentKind::OpenCode, "opencode", "ok"),
    ];
    let spoil: [&[u8]; 12] = [
        b"null",
        b"[]",
        b"{}",
        b"-7",
        b"1e308",
        b"\"\\ud800\"",
        b"\xff",
        b"\"",
        b"\\",
        b"\n",
        b"{",
        b"",
    ];
    let mut dice = Dice(7);
    for (kind, agent, case) in all {
        let bytes = fs::read(captures(agent).join(format!("{case}.jsonl"))).unwrap();
        for _ in 0..60 {
            let mut spoiled = bytes.clone();
            for _ in 0..=dice.roll(5) {
                let at = dice.roll(spoiled.len());
                let end = (at + dice.roll(12)).min(spoiled.len());
                let with = spoil[dice.roll(spoil.len())];
                spoiled.splice(at..end, with.iter().copied());
            }
            let whole = read(kind, &spoiled, usize::MAX);
            assert_eq!(read(kind, &spoiled, 1 + dice.roll(50)), whole);
            // As another agent's, too.
            for kind in AgentKind::ALL {
                read(kind, &spoiled, 4096);
            }
        }
    }
}

#[test]
fn every_value_may_be_of_another_type() {
    for (kind, agent, case) in [
        (AgentKind::ClaudeCode, "claude", "ok"),
        (AgentKind::Codex, "codex", "ok"),
        (AgentKind::Gemini, "gemini", "401"),
        (AgentKind::OpenCode, "opencode", "401"),
    ] {
        let text = fs::read_to_string(captures(agent).join(format!("{case}.jsonl"))).unwrap();
        for line in text.lines() {
            let value: Value = serde_json::from_str(line).unwrap();
            let Some(fields) = value.as_object() else {
                continue;
            };
            for key in fields.keys() {
                for other in [
                    "7",
                    "\"x\"",
                    "[[{\"text\":1}]]",
                    "{\"x\":{}}",
                    "null",
                    "true",
                ] {
                    let mut odd = value.clone();
                    odd[key] = serde_json::from_str(other).unwrap();
                    read(kind, odd.to_string().as_bytes(), usize::MAX);
                }
            }
        }
    }
    let deep = format!("{{\"type\":{}", "[".repeat(100_000));
    let deep_object = "{\"a\":".repeat(100_000);
    for kind in AgentKind::ALL {
        read(kind, deep.as_bytes(), 1000);
        read(kind, deep_object.as_bytes(), 1000);
    }
}

#[test]
fn what_terminals_obey_is_taken_out() {
    let line = "{\"type\":\"item.completed\",\"item\":{\"type\":\"agent_message\",\"text\":\"a\\u001b[2Jb\\u202ec\"}}\n\u{1b}[31mred\n";
    let (events, _) = read(AgentKind::Codex, line.as_bytes(), 5);
    let expected = [
        Event::Text("ab\u{fffd}c".into()),
        Event::Plain("red".into()),
    ];
    assert_eq!(events, expected);
}
