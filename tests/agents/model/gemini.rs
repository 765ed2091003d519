//! Google's `generateContent`, whole or as a stream.

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

pub(super) fn play(path: &str, body: &Value, script: Script) -> Response<Body> {
    let declared = |it: &'_ Value| {
        it["functionDeclarations"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    };
    let tools: Vec<Value> = body["tools"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(declared)
        .collect();
    let turn = Turn::of(!tools.is_empty(), has_result(body));
    let mut parts = vec![json!({"text": text(turn)})];
    let schema = |it: &'_ Value| {
        it.get("parametersJsonSchema")
            .or(it.get("parameters"))
            .cloned()
    };
    let tools: Vec<(String, Value)> = tools
        .iter()
        .filter_map(|it| {
            Some((
                it["name"].as_str()?.to_owned(),
                schema(it).unwrap_or_default(),
            ))
        })
        .collect();
    let offered = tools.iter().map(|(name, schema)| (name.as_str(), schema));
    if let Some((name, schema)) = shell(offered).filter(|_| turn == Turn::Tool) {
        parts.push(json!({"functionCall": {"name": name, "args": arguments(schema, script)}}));
    }
    let tokens = turn.tokens();
    let answer = json!({
        "candidates": [{"index": 0, "finishReason": "STOP", "content": {"role": "model", "parts": parts}}],
        "usageMetadata": {
            "promptTokenCount": tokens.input, "cachedContentTokenCount": tokens.cached,
            "candidatesTokenCount": tokens.output, "totalTokenCount": tokens.input + tokens.output,
        },
        "modelVersion": "scripted", "responseId": format!("{turn:?}"),
    });
    if path.ends_with(":streamGenerateContent") {
        events([(None, answer)])
    } else {
        json_answer(200, &answer)
    }
}

/// Questions beside the task are answered in JSON: which model to use, and whose turn it is.
fn text(turn: Turn) -> String {
    match turn {
        Turn::Tool | Turn::Final => turn.text().to_owned(),
        Turn::Aside => json!({
            "reasoning": "scripted", "model_choice": "flash", "next_speaker": "user",
            "complexity_reasoning": "scripted", "complexity_score": 1,
        })
        .to_string(),
    }
}

pub(super) fn has_result(body: &Value) -> bool {
    let contents = body["contents"].as_array().into_iter().flatten();
    let mut parts = contents.filter_map(|it| it["parts"].as_array()).flatten();
    parts.any(|it| it.get("functionResponse").is_some())
}

pub(super) fn refusal(status: u16, text: &str) -> Value {
    let kind = match status {
        401 => "UNAUTHENTICATED",
        _ => "RESOURCE_EXHAUSTED",
    };
    json!({"error": {"code": status, "message": text, "status": kind}})
}
