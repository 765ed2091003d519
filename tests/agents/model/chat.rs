//! Chat Completions, which most providers understand: `OpenCode` speaks them.

use axum::body::Body;
use axum::http::Response;
use serde_json::Value;
use serde_json::json;

use super::Script;
use super::Turn;
use super::arguments;
use super::shell;
use super::stream;

pub(super) fn play(body: &Value, script: Script) -> Response<Body> {
    let tools = body["tools"].as_array().map_or(&[][..], Vec::as_slice);
    let turn = Turn::of(!tools.is_empty(), has_result(body));
    let functions = tools.iter().map(|it| &it["function"]);
    let offered = functions.filter_map(|it| Some((it["name"].as_str()?, &it["parameters"])));
    let call = shell(offered).filter(|_| turn == Turn::Tool).map(|(name, schema)| {
        let arguments = arguments(schema, script).to_string();
        json!({"index": 0, "id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}})
    });
    let reason = if call.is_some() { "tool_calls" } else { "stop" };
    let mut deltas = vec![(json!({"role": "assistant", "content": turn.text()}), None)];
    deltas.extend(call.map(|it| (json!({"tool_calls": [it]}), None)));
    deltas.push((json!({}), Some(reason)));
    let tokens = turn.tokens();
    let chunk = |choices: Value| {
        json!({
            "id": format!("chatcmpl-{turn:?}"), "object": "chat.completion.chunk", "created": 0,
            "model": body["model"], "choices": choices,
        })
    };
    let choice = |(delta, reason): (Value, Option<&str>)| {
        chunk(json!([{"index": 0, "delta": delta, "finish_reason": reason}]))
    };
    let mut all: Vec<Value> = deltas.into_iter().map(choice).collect();
    let mut last = chunk(json!([]));
    last["usage"] = json!({
        "prompt_tokens": tokens.input, "prompt_tokens_details": {"cached_tokens": tokens.cached},
        "completion_tokens": tokens.output, "total_tokens": tokens.input + tokens.output,
    });
    all.push(last);
    let lines: Vec<String> = all.iter().map(|it| format!("data: {it}\n\n")).collect();
    stream(lines.concat() + "data: [DONE]\n\n")
}

pub(super) fn has_result(body: &Value) -> bool {
    let mut messages = body["messages"].as_array().into_iter().flatten();
    messages.any(|it| it["role"] == "tool")
}
