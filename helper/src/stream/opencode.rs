//! `OpenCode` with `run --format json`. It has no last event: the last step says why it stopped.

use serde_json::Value;

use crate::report::Usage;
use crate::stream::Ended;
use crate::stream::Event;
use crate::stream::FailureClass;
use crate::stream::failure;
use crate::stream::told::Told;
use crate::stream::value;

#[derive(Debug, Default)]
pub(super) struct OpenCode {
    so_far: Usage,
}

impl OpenCode {
    /// Whether the line is of this stream.
    pub(super) fn read(&mut self, line: &Value, told: &mut Told<'_>) -> bool {
        let part = &line["part"];
        match line["type"].as_str() {
            Some("step_start") if told.summary.session.is_none() => {
                told.begin(value::some_name(&line["sessionID"]), None);
            }
            Some("step_start") => told.goes_on(),
            Some("text") => {
                if let Some(text) = value::text(&part["text"]) {
                    told.say(text);
                }
            }
            Some("reasoning") => {}
            Some("tool_use") => tool(part, told),
            Some("step_finish") => self.step(part, told),
            Some("error") => error(&line["error"], told),
            Some(_) | None => return false,
        }
        true
    }

    fn step(&mut self, part: &Value, told: &mut Told<'_>) {
        self.add(part);
        told.usage(self.so_far);
        match part["reason"].as_str() {
            Some("tool-calls") => {}
            Some("stop") => told.end(Ended::Success),
            Some(_) | None => {
                let text = format!("the answer ended early: {}", value::name(&part["reason"]));
                told.fail(FailureClass::Other, text);
            }
        }
    }

    fn add(&mut self, part: &Value) {
        let tokens = &part["tokens"];
        let count = |key: &str| value::count(&tokens[key]);
        let cached = value::count(&tokens["cache"]["read"]);
        let written = value::count(&tokens["cache"]["write"]);
        let sum = &mut self.so_far;
        sum.input_tokens = sum
            .input_tokens
            .saturating_add(count("input") + cached + written);
        sum.cached_input_tokens = sum.cached_input_tokens.saturating_add(cached);
        sum.output_tokens = sum
            .output_tokens
            .saturating_add(count("output") + count("reasoning"));
        sum.turns = sum.turns.saturating_add(1);
        // It says 0 where it knows no price.
        if let Some(cost) = value::cost(&part["cost"]).filter(|cost| *cost > 0.0) {
            sum.cost_usd = Some(sum.cost_usd.unwrap_or(0.0) + cost);
        }
    }
}

/// A tool is told when it is over.
fn tool(part: &Value, told: &mut Told<'_>) {
    let (tool, state) = (value::name(&part["tool"]), &part["state"]);
    let input = value::input(&state["input"]);
    told.event(Event::ToolCall {
        tool: tool.clone(),
        input,
    });
    let code = state["metadata"]["exit"].as_i64();
    let failed = state["status"] == "error";
    let output = if failed {
        value::output(&state["error"])
    } else {
        value::output(&state["output"])
    };
    told.event(Event::ToolResult {
        tool,
        ok: !failed && code.is_none_or(|code| code == 0),
        output,
    });
}

fn error(error: &Value, told: &mut Told<'_>) {
    let (name, data) = (value::name(&error["name"]), &error["data"]);
    if name == "MessageAbortedError" {
        return told.end(Ended::Interrupted);
    }
    let said = value::remark(&data["message"]);
    let text = if said.is_empty() { name.clone() } else { said };
    let class = match data["statusCode"].as_u64() {
        Some(status) => failure::by_status(status),
        None => FailureClass::Other,
    };
    let class = match class {
        FailureClass::Other => failure::by_text(&format!("{name}: {text}")),
        class => class,
    };
    told.fail(class, text);
}
