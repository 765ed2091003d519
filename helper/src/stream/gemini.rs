//! Gemini CLI with `--output-format stream-json`.

use serde_json::Value;

use crate::report::Usage;
use crate::stream::Ended;
use crate::stream::Event;
use crate::stream::FailureClass;
use crate::stream::calls::Calls;
use crate::stream::failure;
use crate::stream::told::Told;
use crate::stream::turns::Turns;
use crate::stream::value;

/// Longest text that is put together from pieces.
const MAX_TEXT: usize = 32 * 1024;

#[derive(Debug, Default)]
pub(super) struct Gemini {
    calls: Calls,
    turns: Turns,
    /// What the model says, while pieces of it come.
    saying: String,
}

impl Gemini {
    /// Whether the line is of this stream.
    pub(super) fn read(&mut self, line: &Value, told: &mut Told<'_>) -> bool {
        let kind = line["type"].as_str();
        if kind != Some("message") {
            self.finish(told);
        }
        match kind {
            Some("init") => {
                let session = value::some_name(&line["session_id"]);
                told.begin(session, value::some_name(&line["model"]));
            }
            Some("message") => self.message(line, told),
            Some("tool_use") => {
                self.turns.answer();
                let tool = value::name(&line["tool_name"]);
                let input = value::input(&line["parameters"]);
                self.calls
                    .began(value::name(&line["tool_id"]), tool.clone());
                told.event(Event::ToolCall { tool, input });
            }
            Some("tool_result") => {
                self.turns.result();
                let tool = self.calls.ended(&value::name(&line["tool_id"]));
                told.event(Event::ToolResult {
                    tool: tool.unwrap_or_default(),
                    ok: line["status"] == "success",
                    output: value::output(&line["output"]),
                });
            }
            Some("error") => told.event(Event::Warning(value::remark(&line["message"]))),
            Some("result") => self.result(line, told),
            Some(_) | None => return false,
        }
        true
    }

    /// No more pieces come of what is being said.
    pub(super) fn finish(&mut self, told: &mut Told<'_>) {
        let text = std::mem::take(&mut self.saying);
        if !text.trim().is_empty() {
            told.say(text);
        }
    }

    fn message(&mut self, line: &Value, told: &mut Told<'_>) {
        if line["role"] != "assistant" {
            return self.finish(told);
        }
        told.goes_on();
        if line["delta"] != true {
            self.finish(told);
        }
        self.turns.answer();
        let Some(piece) = value::piece(&line["content"]) else {
            return;
        };
        self.saying.push_str(&piece);
        if line["delta"] != true || self.saying.len() >= MAX_TEXT {
            self.finish(told);
        }
    }

    fn result(&mut self, line: &Value, told: &mut Told<'_>) {
        told.usage(self.usage(&line["stats"]));
        if line["status"] == "success" {
            return told.end(Ended::Success);
        }
        let error = &line["error"];
        let text = said(&value::remark(&error["message"]));
        let class = match failure::by_text(&value::remark(&error["message"])) {
            FailureClass::Other => failure::by_text(&value::name(&error["type"])),
            class => class,
        };
        told.fail(class, text);
    }

    fn usage(&self, stats: &Value) -> Usage {
        let input = value::count(&stats["input_tokens"]);
        let output = value::count(&stats["output_tokens"]);
        // What the model thinks is paid for as output; only the total has it.
        let thought = value::count(&stats["total_tokens"]).saturating_sub(input);
        Usage {
            input_tokens: input,
            cached_input_tokens: value::count(&stats["cached"]),
            output_tokens: output.max(thought),
            turns: self.turns.count(),
            ..Usage::default()
        }
    }
}

/// The sentence in `[API Error: {JSON}]`.
fn said(text: &str) -> String {
    let inner = text.strip_prefix("[API Error: ").unwrap_or(text);
    let inner = inner.strip_suffix(']').unwrap_or(inner);
    let parsed: Option<Value> = serde_json::from_str(inner).ok();
    let message = parsed.and_then(|error| value::text(&error["error"]["message"]));
    message.unwrap_or_else(|| text.to_owned())
}
