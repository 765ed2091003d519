//! Codex with `exec --json`.

use serde_json::Value;

use crate::report::Usage;
use crate::stream::Ended;
use crate::stream::Event;
use crate::stream::calls::Calls;
use crate::stream::failure;
use crate::stream::told::Told;
use crate::stream::turns::Turns;
use crate::stream::value;

#[derive(Debug, Default)]
pub(super) struct Codex {
    calls: Calls,
    turns: Turns,
}

impl Codex {
    /// Whether the line is of this stream.
    pub(super) fn read(&mut self, line: &Value, told: &mut Told<'_>) -> bool {
        match line["type"].as_str() {
            Some("thread.started") => told.begin(value::some_name(&line["thread_id"]), None),
            Some("turn.started") => told.goes_on(),
            Some("item.started") => self.started(&line["item"], told),
            Some("item.updated") => {}
            Some("item.completed") => self.completed(&line["item"], told),
            Some("error") => error(&line["message"], told),
            Some("turn.completed") => {
                told.usage(self.usage(&line["usage"]));
                told.end(Ended::Success);
            }
            Some("turn.failed") => {
                let text = value::remark(&line["error"]["message"]);
                told.fail(failure::by_text(&text), text);
            }
            Some(_) | None => return false,
        }
        true
    }

    pub(super) fn turns(&self) -> u32 {
        self.turns.count()
    }

    fn started(&mut self, item: &Value, told: &mut Told<'_>) {
        if let Some((tool, input)) = call(item) {
            self.turns.answer();
            self.calls.began(value::name(&item["id"]), tool.clone());
            told.event(Event::ToolCall { tool, input });
        }
    }

    fn completed(&mut self, item: &Value, told: &mut Told<'_>) {
        match item["type"].as_str() {
            Some("agent_message") => {
                self.turns.said();
                if let Some(text) = value::text(&item["text"]) {
                    told.say(text);
                }
            }
            Some("error") => told.event(Event::Warning(value::remark(&item["message"]))),
            Some(_) | None => self.result(item, told),
        }
    }

    fn result(&mut self, item: &Value, told: &mut Told<'_>) {
        let id = value::name(&item["id"]);
        if self.calls.ended(&id).is_none() {
            // Some calls are told only when they are over.
            self.started(item, told);
        }
        let Some((tool, _)) = call(item) else {
            return;
        };
        self.calls.ended(&id);
        self.turns.result();
        let code = item["exit_code"].as_i64();
        told.event(Event::ToolResult {
            tool,
            ok: code.is_none_or(|code| code == 0) && item["status"] != "failed",
            output: value::output(&item["aggregated_output"]),
        });
    }

    /// The sum over the run.
    fn usage(&self, tokens: &Value) -> Usage {
        Usage {
            turns: self.turns.count(),
            ..tokens_of(tokens)
        }
    }
}

/// Token counts as Codex writes them, here and in its session files.
pub(crate) fn tokens_of(tokens: &Value) -> Usage {
    Usage {
        input_tokens: value::count(&tokens["input_tokens"]),
        cached_input_tokens: value::count(&tokens["cached_input_tokens"]),
        output_tokens: value::count(&tokens["output_tokens"]),
        ..Usage::default()
    }
}

/// Tool and input, if the item is the use of a tool.
fn call(item: &Value) -> Option<(String, String)> {
    match item["type"].as_str()? {
        "command_execution" => {
            let command = item["command"].as_str().unwrap_or_default();
            let input = value::input(&Value::from(unwrapped(command)));
            Some(("shell".to_owned(), input))
        }
        "file_change" => {
            let changes = item["changes"].as_array().into_iter().flatten();
            let paths: Vec<String> = changes.map(|it| value::name(&it["path"])).collect();
            Some((
                "edit".to_owned(),
                value::input(&Value::from(paths.join(" "))),
            ))
        }
        "mcp_tool_call" => {
            let (server, tool) = (value::name(&item["server"]), value::name(&item["tool"]));
            let input = value::input(&item["arguments"]);
            Some((format!("{server}.{tool}"), input))
        }
        "web_search" => Some(("web_search".to_owned(), value::input(item))),
        _ => None,
    }
}

/// The command that a shell was started for.
fn unwrapped(command: &str) -> &str {
    let inner = command
        .split_once(" -lc ")
        .filter(|(shell, _)| shell.ends_with("sh"));
    let inner = inner.map_or(command, |(_, inner)| inner);
    let quoted = |quote: char| inner.strip_prefix(quote)?.strip_suffix(quote);
    quoted('\'').or_else(|| quoted('"')).unwrap_or(inner)
}

/// An error may be followed by another try, by the end, or by nothing at all.
fn error(message: &Value, told: &mut Told<'_>) {
    let text = value::remark(message);
    let Some(rest) = text.strip_prefix("Reconnecting... ") else {
        return told.event(Event::Warning(text));
    };
    let (tries, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    let (attempt, of) = tries.split_once('/').unwrap_or((tries, ""));
    let reason = reason.trim().trim_start_matches('(').trim_end_matches(')');
    told.retry(
        reason.to_owned(),
        attempt.parse().ok(),
        of.parse().ok(),
        None,
    );
}
