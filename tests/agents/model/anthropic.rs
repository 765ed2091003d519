//! Anthropic's Messages.

use axum::body::Body;
use axum::http::Response;
use serde_json::Value;
use serde_json::json;

use super::Script;
use super::Turn;
use super::arguments;
use super::events;
use super::json_answer;
use super::shell;

pub(super) fn play(body: &Value, script: Script) -> Response<Body> {
    let tools = body["tools"].as_array().map_or(&[][..], Vec::as_slice);
    let turn = Turn::of(!tools.is_empty(), has_result(body));
    let mut blocks = vec![json!({"type": "text", "text": turn.text()})];
    let offered = tools
        .iter()
        .filter_map(|it| Some((it["name"].as_str()?, &it["input_schema"])));
    if let Some((name, schema)) = shell(offered).filter(|_| turn == Turn::Tool) {
        let input = arguments(schema, script);
        blocks.push(json!({"type": "tool_use", "id": "toolu_1", "name": name, "input": input}));
    }
    let reason = if blocks.len() > 1 {
        "tool_use"
    } else {
        "end_turn"
    };
    let tokens = turn.tokens();
    let mut message = json!({
        "id": format!("msg_{turn:?}"), "type": "message", "role": "assistant", "model": body["model"],
        "content": [], "stop_reason": null, "stop_sequence": null,
        "usage": {
            "input_tokens": tokens.input - tokens.cached, "cache_read_input_tokens": tokens.cached,
            "cache_creation_input_tokens": 0, "output_tokens": 1,
        },
    });
    if body["stream"] != true {
        message["content"] = json!(blocks);
        message["stop_reason"] = json!(reason);
        message["usage"]["output_tokens"] = json!(tokens.output);
        return json_answer(200, &message);
    }
    let mut all = vec![json!({"type": "message_start", "message": message})];
    for (index, block) in blocks.iter().enumerate() {
        let (empty, delta) = in_pieces(block);
        all.push(json!({"type": "content_block_start", "index": index, "content_block": empty}));
        all.push(json!({"type": "content_block_delta", "index": index, "delta": delta}));
        all.push(json!({"type": "content_block_stop", "index": index}));
    }
    all.push(json!({
        "type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null},
        "usage": {"output_tokens": tokens.output},
    }));
    all.push(json!({"type": "message_stop"}));
    events(all.iter().map(|it| (it["type"].as_str(), it.clone())))
}

/// How a block begins, and what is then added to it.
fn in_pieces(block: &Value) -> (Value, Value) {
    if block["type"] == "text" {
        let delta = json!({"type": "text_delta", "text": block["text"]});
        return (json!({"type": "text", "text": ""}), delta);
    }
    let mut empty = block.clone();
    empty["input"] = json!({});
    let delta = json!({"type": "input_json_delta", "partial_json": block["input"].to_string()});
    (empty, delta)
}

pub(super) fn has_result(body: &Value) -> bool {
    let messages = body["messages"].as_array().into_iter().flatten();
    let mut blocks = messages.filter_map(|it| it["content"].as_array()).flatten();
    blocks.any(|it| it["type"] == "tool_result")
}

pub(super) fn refusal(status: u16, text: &str) -> Value {
    let kind = match status {
        401 => "authentication_error",
        _ => "rate_limit_error",
    };
    json!({"type": "error", "error": {"type": kind, "message": text}, "request_id": "req_1"})
}
