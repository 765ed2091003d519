//! Claude Code with `--output-format stream-json --verbose`.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::Value;

use crate::report::Usage;
use crate::stream::Ended;
use crate::stream::Event;
use crate::stream::FailureClass;
use crate::stream::calls::Calls;
use crate::stream::failure;
use crate::stream::told::Told;
use crate::stream::value;

/// Answers whose blocks may come in turns, of the agent and of those it started.
const MAX_ANSWERS: usize = 32;
/// Stands for the model in messages that the CLI made itself.
const SYNTHETIC: &str = "<synthetic>";

#[derive(Debug, Default)]
pub(super) struct Claude {
    calls: Calls,
    /// The last answers: each of their blocks is an event with the usage of all.
    answers: VecDeque<String>,
    /// Sum over the answers so far.
    so_far: Usage,
    /// Name of the last error of the API.
    error: Option<String>,
}

impl Claude {
    /// Whether the line is of this stream.
    pub(super) fn read(&mut self, line: &Value, told: &mut Told<'_>) -> bool {
        match line["type"].as_str() {
            Some("system") => system(line, told),
            Some("assistant") => self.assistant(line, told),
            Some("user") => self.user(line, told),
            Some("result") => self.result(line, told),
            Some("rate_limit_event") => rate_limit(&line["rate_limit_info"], told),
            Some("stream_event") => {}
            Some(_) | None => return false,
        }
        true
    }

    fn assistant(&mut self, line: &Value, told: &mut Told<'_>) {
        let message = &line["message"];
        if message["model"] == SYNTHETIC {
            // The result says it again.
            self.error = value::some_name(&line["error"]);
            return;
        }
        let own = line["parent_tool_use_id"].is_null();
        if own {
            told.goes_on();
        }
        for block in message["content"].as_array().into_iter().flatten() {
            match block["type"].as_str() {
                Some("text") => {
                    let text = value::text(&block["text"]);
                    match text {
                        Some(text) if own => told.say(text),
                        Some(text) => told.event(Event::Text(text)),
                        None => {}
                    }
                }
                Some("tool_use") => {
                    let tool = value::name(&block["name"]);
                    let input = value::input(&block["input"]);
                    self.calls.began(value::name(&block["id"]), tool.clone());
                    told.event(Event::ToolCall { tool, input });
                }
                Some(_) | None => {}
            }
        }
        self.count(message, own, told);
    }

    /// Adds an answer. Its number of output tokens is that of its beginning, so the sum is too low
    /// until the result comes.
    fn count(&mut self, message: &Value, own: bool, told: &mut Told<'_>) {
        let id = value::name(&message["id"]);
        if self.answers.contains(&id) {
            return;
        }
        if self.answers.len() == MAX_ANSWERS {
            self.answers.pop_front();
        }
        self.answers.push_back(id);
        let tokens = &message["usage"];
        let cached = value::count(&tokens["cache_read_input_tokens"]);
        let written = value::count(&tokens["cache_creation_input_tokens"]);
        let sum = &mut self.so_far;
        sum.input_tokens = sum
            .input_tokens
            .saturating_add(value::count(&tokens["input_tokens"]) + cached + written);
        sum.cached_input_tokens = sum.cached_input_tokens.saturating_add(cached);
        let output = value::count(&tokens["output_tokens"]);
        sum.output_tokens = sum.output_tokens.saturating_add(output);
        sum.turns = sum.turns.saturating_add(u32::from(own));
        told.usage(*sum);
    }

    fn user(&mut self, line: &Value, told: &mut Told<'_>) {
        let blocks = line["message"]["content"].as_array().into_iter().flatten();
        for block in blocks.filter(|block| block["type"] == "tool_result") {
            let id = value::name(&block["tool_use_id"]);
            told.event(Event::ToolResult {
                tool: self.calls.ended(&id).unwrap_or_default(),
                ok: block["is_error"] != true,
                output: value::output(&block["content"]),
            });
        }
    }

    fn result(&mut self, line: &Value, told: &mut Told<'_>) {
        told.usage(total(line));
        let text = value::text(&line["result"]);
        if line["is_error"] != true && line["subtype"] == "success" {
            if text.is_some() {
                told.summary.text = text;
            }
            return told.end(Ended::Success);
        }
        let interrupted = |reason: &str| reason.starts_with("aborted");
        if line["terminal_reason"].as_str().is_some_and(interrupted) {
            return told.end(Ended::Interrupted);
        }
        let class = self.class(line);
        let errors = line["errors"].as_array().into_iter().flatten();
        let error = errors.map(value::remark).find(|text| !text.is_empty());
        let said = Some(value::remark(&line["result"])).filter(|text| !text.is_empty());
        let why = said.or(error);
        told.fail(class, why.unwrap_or_else(|| value::name(&line["subtype"])));
    }

    fn class(&self, line: &Value) -> FailureClass {
        match line["subtype"].as_str() {
            Some("error_max_turns") => return FailureClass::TurnLimit,
            Some("error_max_budget_usd") => return FailureClass::BudgetLimit,
            Some(_) | None => {}
        }
        match line["api_error_status"].as_u64().map(failure::by_status) {
            Some(class) if class != FailureClass::Other => class,
            Some(_) | None => {
                let words = self.error.as_deref().unwrap_or_default();
                let said = line["result"].as_str().unwrap_or_default();
                match failure::by_text(words) {
                    FailureClass::Other => failure::by_text(said),
                    class => class,
                }
            }
        }
    }
}

fn system(line: &Value, told: &mut Told<'_>) {
    match line["subtype"].as_str() {
        // Each prompt of a session begins like this; its sums go on.
        Some("init") => {
            let session = value::some_name(&line["session_id"]);
            told.begin(session, value::some_name(&line["model"]));
        }
        Some("api_retry") => {
            let error = value::name(&line["error"]);
            let reason = match line["error_status"].as_u64() {
                Some(status) => format!("{error} (HTTP {status})"),
                None => error,
            };
            let after = line["retry_delay_ms"].as_u64().map(Duration::from_millis);
            let number = |key: &str| value::small_count(&line[key]);
            told.retry(reason, number("attempt"), number("max_retries"), after);
        }
        Some(_) | None => {}
    }
}

/// What the whole run used: by models where that is told, for there the helpers' part is in it.
fn total(line: &Value) -> Usage {
    let mut usage = Usage {
        cost_usd: value::cost(&line["total_cost_usd"]),
        turns: value::small_count(&line["num_turns"]).unwrap_or(0),
        ..Usage::default()
    };
    let mut add = |input: u64, cached: u64, written: u64, output: u64| {
        usage.input_tokens = usage.input_tokens.saturating_add(input + cached + written);
        usage.cached_input_tokens = usage.cached_input_tokens.saturating_add(cached);
        usage.output_tokens = usage.output_tokens.saturating_add(output);
    };
    match line["modelUsage"].as_object() {
        Some(models) if !models.is_empty() => {
            for model in models.values() {
                let count = |key: &str| value::count(&model[key]);
                add(
                    count("inputTokens"),
                    count("cacheReadInputTokens"),
                    count("cacheCreationInputTokens"),
                    count("outputTokens"),
                );
            }
            // For a model that it does not know, the CLI guesses.
            let guessed = |model: &Value| model["costBasis"] == "unknown";
            usage.estimated = usage.cost_usd.is_some() && models.values().any(guessed);
        }
        Some(_) | None => {
            let count = |key: &str| value::count(&line["usage"][key]);
            add(
                count("input_tokens"),
                count("cache_read_input_tokens"),
                count("cache_creation_input_tokens"),
                count("output_tokens"),
            );
        }
    }
    usage
}

fn rate_limit(info: &Value, told: &mut Told<'_>) {
    match info["status"].as_str() {
        Some("allowed") | None => {}
        Some(_) => {
            let status = value::name(&info["status"]);
            told.event(Event::Warning(format!("rate limit: {status}")));
        }
    }
}
