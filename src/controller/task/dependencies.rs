//! The Tasks that a Task depends on: whether it may start, and what they left for it. Pure.
//!
//! What an agent left is data: it is never read as a template.

use std::collections::BTreeSet;

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::reason::End;
use super::reason::Waiting;
use super::status;
use crate::api::Task;
use crate::api::task::PromptSyntax;
use crate::api::task::TaskPhase;
use crate::api::task::TaskStatus;
use crate::model::task::MAX_PROMPT;
use crate::template;

/// Most bytes of what dependencies left, as one JSON text.
const MAX_LEFT: usize = 64 * 1024;
/// Tasks that are looked at in search of a cycle: a chain that long is none that a person wrote.
const MAX_CHAIN: usize = 1_000;
/// Dependencies that a message names at most.
const MAX_NAMED: usize = 10;

/// A Task of `dependsOn` as it was found.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) name: String,
    /// Nothing if there is no such Task.
    pub(super) status: Option<TaskStatus>,
}

/// Why a Task cannot start for now, or ever.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Unmet {
    Waits(Waiting, String),
    Ends(End, String),
}

/// Whether all of `found` have succeeded.
pub(super) fn check(found: &[Found]) -> Result<(), Unmet> {
    let failed = found.iter().find(|it| phase(it) == Some(TaskPhase::Failed));
    if let Some(failed) = failed {
        let why = failed.status.as_ref().and_then(|it| it.message.as_deref());
        let message = format!(
            "Task \"{}\" has failed: {}",
            failed.name,
            why.unwrap_or_default()
        );
        return Err(Unmet::Ends(End::DependencyFailed, message));
    }
    let open = found
        .iter()
        .filter(|it| phase(it) != Some(TaskPhase::Succeeded));
    let open: Vec<String> = open.map(told).collect();
    if open.is_empty() {
        return Ok(());
    }
    let more = if open.len() > MAX_NAMED { ", …" } else { "" };
    let named = open[..open.len().min(MAX_NAMED)].join(", ");
    let message = format!("waits for {named}{more}");
    Err(Unmet::Waits(Waiting::ForDependency, message))
}

/// The way from `task` over its dependencies back to itself. `dependencies` gives what a Task
/// depends on; nothing for one that has succeeded or is not there.
pub(super) fn cycle(
    task: &str,
    dependencies: impl Fn(&str) -> Option<Vec<String>>,
) -> Option<Vec<String>> {
    let mut seen = BTreeSet::new();
    // The way so far: each Task with those of its dependencies that are still to be tried.
    let mut way = vec![(task.to_owned(), dependencies(task)?)];
    while let Some((_, left)) = way.last_mut() {
        let Some(next) = left.pop() else {
            way.pop();
            continue;
        };
        if next == task {
            let names = way.into_iter().map(|(name, _)| name);
            return Some(names.chain([next]).collect());
        }
        if seen.len() < MAX_CHAIN
            && seen.insert(next.clone())
            && let Some(further) = dependencies(&next)
        {
            way.push((next, further));
        }
    }
    None
}

/// Says that a Task waits for itself.
pub(super) fn cycle_message(way: &[String]) -> String {
    let names: Vec<String> = way.iter().map(|it| format!("\"{it}\"")).collect();
    format!("spec.dependsOn: a cycle: {}", names.join(" → "))
}

/// What the dependencies left, as JSON of at most [`MAX_LEFT`] bytes; nothing without dependencies.
/// What is left out of one of them is said there by `"cut": true`.
pub(super) fn left(found: &[Found]) -> Option<String> {
    if found.is_empty() {
        return None;
    }
    let whole = object(found, usize::MAX).to_string();
    if whole.len() <= MAX_LEFT {
        return Some(whole);
    }
    Some(object(found, MAX_LEFT / found.len()).to_string())
}

/// The prompt as the agent gets it.
pub(super) fn prompt(task: &Task, found: &[Found]) -> Result<String, String> {
    let text = &task.spec.prompt;
    match task.spec.prompt_syntax.unwrap_or_default() {
        PromptSyntax::Plain => return Ok(text.clone()),
        PromptSyntax::GoTemplate => {}
    }
    let deps: Map<String, Value> = found
        .iter()
        .map(|it| {
            let status = it.status.clone().unwrap_or_default();
            let left = json!({"Results": status.results, "Outputs": status.outputs});
            (it.name.clone(), left)
        })
        .collect();
    let rendered = template::render_value(text, &json!({"Deps": deps}));
    let rendered = rendered.map_err(|error| format!("spec.prompt: {error}"))?;
    let wrong = match rendered.len() {
        0 => "the template writes nothing".to_owned(),
        size if size > MAX_PROMPT => {
            format!("the template writes {size} bytes, a prompt has at most {MAX_PROMPT}")
        }
        _ if rendered.contains('\0') => "the template writes a NUL".to_owned(),
        _ => return Ok(rendered),
    };
    Err(format!("spec.prompt: {wrong}"))
}

/// What is wrong with the prompt as a template, whatever the dependencies will leave.
pub(super) fn prompt_problem(task: &Task) -> Option<String> {
    match task.spec.prompt_syntax.unwrap_or_default() {
        PromptSyntax::Plain => None,
        PromptSyntax::GoTemplate => {
            let tasks: Vec<&str> = task.spec.depends_on.iter().map(String::as_str).collect();
            let wrong = template::check_dependencies(&task.spec.prompt, &tasks).err()?;
            Some(format!("spec.prompt: {wrong}"))
        }
    }
}

fn phase(found: &Found) -> Option<TaskPhase> {
    found.status.as_ref()?.phase
}

/// A dependency in words.
fn told(found: &Found) -> String {
    let Found { name, status } = found;
    match status {
        None => format!(
            "Task \"{name}\" (not there; if it was deleted after its end, it has to run again)"
        ),
        Some(status) => format!("Task \"{name}\" ({})", status::phase_name(status)),
    }
}

/// `{"build": {"phase": …, "results": {…}, "outputs": […]}}`, each at most about `room` bytes.
fn object(found: &[Found], room: usize) -> Value {
    let each = found.iter().map(|it| {
        let status = it.status.clone().unwrap_or_default();
        (it.name.clone(), one(&it.name, &status, room))
    });
    Value::Object(each.collect())
}

fn one(name: &str, status: &TaskStatus, room: usize) -> Value {
    let phase = status::phase_name(status);
    let bare = json!({"phase": phase, "results": {}, "outputs": [], "cut": true});
    let mut room = room.saturating_sub(json!({name: bare}).to_string().len());
    let mut fits = |size: usize| match room.checked_sub(size) {
        Some(left) => {
            room = left;
            true
        }
        None => false,
    };
    let mut results = Map::new();
    for (key, value) in &status.results {
        let (key, value) = (json!(key), json!(value));
        if fits(key.to_string().len() + value.to_string().len() + 2)
            && let Value::String(key) = key
        {
            results.insert(key, value);
        }
    }
    let mut outputs: Vec<Value> = status.outputs.iter().map(|it| json!(it)).collect();
    outputs.retain(|it| fits(it.to_string().len() + 1));
    let cut = results.len() < status.results.len() || outputs.len() < status.outputs.len();
    let mut left = json!({"phase": phase, "results": results, "outputs": outputs});
    if cut {
        left["cut"] = json!(true);
    }
    left
}

#[cfg(test)]
mod tests;
