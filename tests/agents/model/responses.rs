//! Responses, as Codex speaks them.

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
    let call = call(body, script);
    let turn = Turn::of(call.is_some(), has_result(body));
    let text = json!({"type": "output_text", "text": turn.text(), "annotations": []});
    let mut items = vec![json!({
        "type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [text],
    })];
    items.extend(call.filter(|_| turn == Turn::Tool));
    let tokens = turn.tokens();
    let whole = json!({
        "id": format!("resp_{turn:?}"), "object": "response", "created_at": 0, "status": "completed",
        "model": body["model"], "output": items,
        "usage": {
            "input_tokens": tokens.input, "input_tokens_details": {"cached_tokens": tokens.cached},
            "output_tokens": tokens.output, "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": tokens.input + tokens.output,
        },
    });
    if body["stream"] != true {
        return json_answer(200, &whole);
    }
    let begun =
        json!({"id": whole["id"], "object": "response", "status": "in_progress", "output": []});
    let mut all = vec![json!({"type": "response.created", "response": begun})];
    for (index, item) in items.iter().enumerate() {
        all.push(
            json!({"type": "response.output_item.added", "output_index": index, "item": item}),
        );
        all.push(json!({"type": "response.output_item.done", "output_index": index, "item": item}));
    }
    all.push(json!({"type": "response.completed", "response": whole}));
    events(all.iter().map(|it| (it["type"].as_str(), it.clone())))
}

/// The items of the conversation so far.
fn items(body: &Value) -> impl Iterator<Item = &Value> {
    body["input"].as_array().into_iter().flatten()
}

pub(super) fn has_result(body: &Value) -> bool {
    items(body).any(|it| {
        it["type"]
            .as_str()
            .is_some_and(|it| it.ends_with("_call_output"))
    })
}

/// The call of a shell, in the one way or the other that a request offers one.
fn call(body: &Value, script: Script) -> Option<Value> {
    let tools = body["tools"].as_array().into_iter().flatten();
    let offered = tools.filter_map(|it| Some((it["name"].as_str()?, &it["parameters"])));
    if let Some((name, schema)) = shell(offered) {
        let arguments = arguments(schema, script).to_string();
        return Some(json!({
            "type": "function_call", "id": "fc_1", "call_id": "call_1", "name": name, "arguments": arguments,
            "status": "completed",
        }));
    }
    // For models that Codex knows, a tool takes JavaScript, and the shell is one of its functions.
    let mut groups = items(body)
        .filter(|it| it["type"] == "additional_tools")
        .filter_map(|it| it["tools"].as_array());
    let mut spaces = groups.by_ref().flatten();
    let space = spaces.find(|it| {
        let tools = it["tools"].as_array().into_iter().flatten();
        tools
            .filter(|it| it["type"] == "custom")
            .any(|it| it["name"] == "exec")
    })?;
    let schema = json!({"properties": {"cmd": {}, "yield_time_ms": {}}});
    let input = format!(
        "text(await tools.exec_command({}));",
        arguments(&schema, script)
    );
    Some(json!({
        "type": "custom_tool_call", "id": "ctc_1", "call_id": "call_1", "name": "exec",
        "namespace": space["name"], "input": input, "status": "completed",
    }))
}
