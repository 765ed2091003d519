//! One object in detail. Pure.

use std::fmt::Write as _;

use anstyle::Style;
use jiff::Timestamp;
use serde_json::Value;

use super::row;
use crate::cli::inspect::Item;
use crate::cli::inspect::Kind;
use crate::cli::inspect::Standing;
use crate::cli::inspect::age;
use crate::cli::inspect::sync;
use crate::cli::screen;
use crate::cli::text_diff::visible;

/// Lines of a prompt that are shown.
const MAX_PROMPT: usize = 12;
const LABEL: Style = Style::new().bold();

/// The object, field by field; what is not there is left out.
pub(super) fn text(item: &Item, now: Timestamp) -> String {
    let mut text = Lines(String::new());
    let standing = Standing::of(item);
    let style = standing.health.style();
    text.field("Name", Some(item.name()));
    text.field("Namespace", Some(item.namespace()));
    let state = format!("{style}{}{style:#}", screen::line(&standing.word));
    text.styled("State", &state);
    text.field("Message", Some(standing.message.as_str()));
    text.field("Age", item.created().map(|it| age::ago(it, now)));
    text.field("From", row::from(item));
    match item.kind {
        Kind::Task => task(&mut text, item, now),
        Kind::TaskSpawner => {
            text.field("Schedule", item.text("/spec/when/cron/schedule"));
            text.field(
                "Workspace",
                item.text("/spec/taskTemplate/workspaceRef/name"),
            );
            text.field("Agent", item.text("/spec/taskTemplate/type"));
            text.number("Active", item, "/status/activeTasks");
            text.number("Found", item, "/status/totalDiscovered");
            text.number("Tasks", item, "/status/totalTasksCreated");
            text.field("Last look", item.text("/status/lastDiscoveryTime"));
            text.field("Next", item.text("/status/nextScheduleTime"));
        }
        Kind::Workspace => {
            text.field("Repo", item.text("/spec/repo"));
            text.field("Ref", item.text("/spec/ref"));
            text.field("Secret", item.text("/spec/secretRef/name"));
            text.field("Commit", item.text("/status/commit"));
        }
        Kind::RepoSync => {
            text.field("Repo", item.text("/spec/repo"));
            text.field("Ref", item.text("/spec/ref"));
            text.field("Path", item.text("/spec/path"));
            text.field("Applied", item.text("/status/lastAppliedRevision"));
            text.field(
                "Objects",
                item.value("/status/objects").and_then(sync::counts),
            );
        }
        Kind::Record | Kind::Job | Kind::Pod => {}
    }
    conditions(&mut text, item, now);
    text.0
}

fn task(text: &mut Lines, task: &Item, now: Timestamp) {
    text.field("Agent", task.text("/spec/type"));
    text.field("Model", task.text("/spec/model"));
    text.field("Image", task.text("/spec/image"));
    text.field("Workspace", task.text("/spec/workspaceRef/name"));
    text.field("Branch", row::branch(task));
    text.field("Started", task.text("/status/startTime"));
    text.field("Ended", task.text("/status/completionTime"));
    text.field("Duration", row::duration(task, now));
    text.number("Attempts", task, "/status/attempts");
    text.number("Exit code", task, "/status/exitCode");
    text.field("Cost", row::cost(task));
    text.number("Turns", task, "/status/usage/turns");
    text.number("Tokens in", task, "/status/usage/inputTokens");
    text.number("Cached", task, "/status/usage/cachedInputTokens");
    text.number("Tokens out", task, "/status/usage/outputTokens");
    text.field("Job", task.text("/status/jobName"));
    text.field("Pod", task.text("/status/podName"));
    let outputs = task
        .list("/status/outputs")
        .iter()
        .filter_map(Value::as_str);
    text.block("Outputs", outputs.map(screen::line).collect());
    let results = task.value("/status/results").and_then(Value::as_object);
    let results = results.into_iter().flatten().map(|(key, value)| {
        let value = value.as_str().unwrap_or_default();
        screen::line(&format!("{key}: {value}"))
    });
    text.block("Results", results.collect());
    let prompt = task.text("/spec/prompt").unwrap_or_default();
    let mut lines: Vec<String> = prompt.lines().take(MAX_PROMPT).map(visible).collect();
    let all = prompt.lines().count();
    if all > MAX_PROMPT {
        lines.push(format!("… {} more lines", all - MAX_PROMPT));
    }
    text.block("Prompt", lines);
}

fn conditions(text: &mut Lines, item: &Item, now: Timestamp) {
    let each = item.conditions().iter().map(|it| {
        let field = |name: &str| it[name].as_str().unwrap_or_default();
        let since = field("lastTransitionTime").parse().ok();
        let since = since.map(|it| format!(" ({} ago)", age::ago(it, now)));
        screen::line(&format!(
            "{}={} {}{}  {}",
            field("type"),
            field("status"),
            field("reason"),
            since.unwrap_or_default(),
            field("message"),
        ))
    });
    text.block("Conditions", each.collect());
}

struct Lines(String);

impl Lines {
    fn field(&mut self, label: &str, value: Option<impl AsRef<str>>) {
        if let Some(value) = value.filter(|it| !it.as_ref().is_empty()) {
            self.styled(label, &screen::line(value.as_ref()));
        }
    }

    fn number(&mut self, label: &str, item: &Item, pointer: &str) {
        self.field(label, item.number(pointer).map(|it| it.to_string()));
    }

    fn styled(&mut self, label: &str, value: &str) {
        // Writing to a String cannot fail.
        writeln!(
            self.0,
            "{LABEL}{:<12}{LABEL:#} {value}",
            format!("{label}:")
        )
        .ok();
    }

    fn block(&mut self, label: &str, lines: Vec<String>) {
        if lines.is_empty() {
            return;
        }
        writeln!(self.0, "{LABEL}{label}:{LABEL:#}").ok();
        for line in lines {
            writeln!(self.0, "  {line}").ok();
        }
    }
}
