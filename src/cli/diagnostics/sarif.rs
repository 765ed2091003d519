//! Problems as SARIF 2.1.0, which code scanners and editors read.

use std::path::Path;

use percent_encoding::AsciiSet;
use percent_encoding::CONTROLS;
use percent_encoding::utf8_percent_encode;
use serde_json::Value;
use serde_json::json;

use crate::model::Code;
use crate::model::Diagnostic;

/// What cannot stand in the path of a URI.
const NOT_IN_PATH: AsciiSet = CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b':')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// One run with a result for each problem.
pub fn document(problems: &[Diagnostic], base: Option<&Path>) -> Value {
    let rules: Vec<Value> = Code::ALL
        .iter()
        .map(|code| json!({"id": code.as_str(), "shortDescription": {"text": code.summary()}}))
        .collect();
    let results: Vec<Value> = problems.iter().map(|told| result(told, base)).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "axon",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn result(told: &Diagnostic, base: Option<&Path>) -> Value {
    let place = &told.place;
    let message = match &told.hint {
        Some(hint) => format!("{} ({hint})", told.message),
        None => told.message.clone(),
    };
    let file = super::file(place, base);
    json!({
        "ruleId": told.code.as_str(),
        "ruleIndex": Code::ALL.iter().position(|code| *code == told.code),
        "level": super::word(told.severity),
        "message": {"text": message},
        "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": utf8_percent_encode(&file, &NOT_IN_PATH).to_string()},
            "region": {
                "startLine": place.line,
                "startColumn": place.column,
                "endColumn": place.column + told.width.max(1),
            },
        }}],
    })
}
