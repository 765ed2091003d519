//! What a Task must tell of its end.

use std::time::Duration;

use serde_json::Value;

use crate::agent::Agent;
use crate::model::Model;

/// From an agent's first request to its last: a refused key costs seconds, not minutes.
const REFUSED_WITHIN: Duration = Duration::from_mins(1);

/// Two turns were made, their edit is committed, and their tokens are told.
pub(crate) fn is_done(agent: &Agent, status: &Value) {
    let told = format!("{}: {status:#}", agent.name);
    assert_eq!(status["phase"], "Succeeded", "{told}");
    let outputs: Vec<&str> = status["outputs"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    assert!(
        outputs.contains(&format!("branch: {}", agent.branch()).as_str()),
        "{told}"
    );
    assert!(
        outputs.iter().any(|it| it.starts_with("commit: ")),
        "{told}"
    );
    let usage = &status["usage"];
    for (name, expected) in [
        ("inputTokens", 2300),
        ("cachedInputTokens", 300),
        ("outputTokens", 55),
        ("turns", 2),
    ] {
        assert_eq!(usage[name], expected, "{name} of {told}");
    }
    if let Some((cost, estimated)) = agent.cost {
        let difference = usage["costUSD"].as_f64().unwrap_or_default() - cost;
        assert!(difference.abs() < 2e-6, "cost of {told}");
        assert_eq!(
            usage["estimated"].as_bool().unwrap_or_default(),
            estimated,
            "{told}"
        );
    }
}

/// The model's API was asked a few times in vain, and that is said.
pub(crate) fn is_refused(agent: &Agent, status: &Value, model: &Model, word: &str) {
    let told = format!("{}: {status:#}", agent.name);
    assert_eq!(reason(status), "AgentFailed", "{told}");
    let message = status["message"].as_str().unwrap_or_default();
    assert!(message.contains(word), "{told}");
    let asked = model.seen(agent.path);
    let count = asked.len();
    assert!(
        (1..=agent.most_refused).contains(&count),
        "{count} requests of {told}"
    );
    let tried = asked[count - 1].at - asked[0].at;
    assert!(tried <= REFUSED_WITHIN, "tried for {tried:?}: {told}");
}

/// It was stopped while its tool ran, and what it had cost until then is known where its program tells it.
pub(crate) fn is_stopped(agent: &Agent, status: &Value, expected: &str) {
    let told = format!("{}: {status:#}", agent.name);
    assert_eq!(status["phase"], "Failed", "{told}");
    assert_eq!(reason(status), expected, "{told}");
    let tokens = status["usage"]["inputTokens"].as_u64();
    match agent.kind {
        // Its session file has them, a moment after the tool has begun.
        "codex" if expected == "DeadlineExceeded" => assert_eq!(tokens, Some(1100), "{told}"),
        "claude-code" => {
            assert_eq!(tokens, Some(1100), "{told}");
            assert!(
                status["usage"]["costUSD"]
                    .as_f64()
                    .is_some_and(|it| it > 0.003),
                "{told}"
            );
        }
        // They tell them at the end of a turn, or of the run.
        _ => {}
    }
}

/// Reason of the condition that ended the Task.
fn reason(status: &Value) -> &str {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let mut ended = conditions.filter(|it| it["type"] == "Failed" && it["status"] == "True");
    ended
        .next()
        .and_then(|it| it["reason"].as_str())
        .unwrap_or_default()
}
