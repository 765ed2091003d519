//! What a schema cannot tell of a spec: schedules, durations, templates, URLs, and fields that need
//! each other.

use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use serde_json::json;

use crate::api::task::TaskSpec;
use crate::api::task_spawner::TaskSpawnerSpec;
use crate::model::Code;
use crate::model::Kind;
use crate::model::repo_url::RepoUrl;
use crate::model::spawner::Spawner;
use crate::model::task;
use crate::template;
use crate::template::Template;

use super::node::Mark;
use super::node::Node;
use super::report::Report;
use super::schema::Holder;
use super::shape;
use super::words::brief;

/// Checks a spec that the schema has been asked about.
pub(super) fn check(kind: Kind, spec: &Node, holder: &Holder<'_>, report: &mut Report<'_>) {
    let problems = match kind {
        Kind::Workspace => return check_workspace(spec, report),
        Kind::Task => {
            check_prompt(spec, report);
            let stand_ins =
                json!({"type": "claude-code", "prompt": "-", "credentials": {"type": "none"}});
            typed(spec, &stand_ins, report).map(|spec: TaskSpec| task::validate(&spec))
        }
        Kind::TaskSpawner => {
            check_templates(spec, report);
            let stand_ins = json!({
                "when": {"cron": {"schedule": "@daily"}},
                "taskTemplate": {"type": "claude-code", "credentials": {"type": "none"}},
            });
            let spec = typed(spec, &stand_ins, report);
            spec.map(|spec: TaskSpawnerSpec| Spawner::validate(&spec).err().unwrap_or_default())
        }
    };
    for mut problem in problems.into_iter().flatten() {
        // Of a key that can be none, the schema has told.
        if matches!(spec.key_of(&problem.pointer), Some(key) if report.is_refused(key)) {
            continue;
        }
        let mark = spec.place_of(&problem.pointer).unwrap_or(holder.mark);
        if holder.is_entry {
            // Entries have a shorter word for it.
            problem.message = problem.message.replace("workspaceRef", "workspace");
        }
        report.add(mark, problem);
    }
}

/// The spec as its type. What was already reported is left out or stood in for, so that the rest
/// is checked too; nothing where that does not do.
fn typed<T: DeserializeOwned>(spec: &Node, stand_ins: &Json, report: &Report<'_>) -> Option<T> {
    let mut json = spec.to_json_without(&|mark| report.is_refused(mark));
    stand_in(&mut json, stand_ins);
    serde_json::from_value(json).ok()
}

fn stand_in(json: &mut Json, stand_ins: &Json) {
    let (Some(fields), Some(others)) = (json.as_object_mut(), stand_ins.as_object()) else {
        return;
    };
    for (key, other) in others {
        match fields.get_mut(key) {
            None => {
                fields.insert(key.clone(), other.clone());
            }
            Some(inner) if key == "taskTemplate" => stand_in(inner, other),
            Some(_) => {}
        }
    }
}

fn check_workspace(spec: &Node, report: &mut Report<'_>) {
    // An empty one stands for none.
    if let Some((text, mark)) = spec.text_of("ref")
        && !text.is_empty()
        && !is_reference(text)
    {
        let message = format!("\"{}\" cannot be a branch, a tag or a commit", brief(text));
        report.error(Code::InvalidName, mark, message);
    }
    let Some((text, mark)) = spec.text_of("repo") else {
        return;
    };
    match RepoUrl::parse(text) {
        Err(error) => report.error(Code::InvalidUrl, mark, error.to_string()),
        Ok(_) => shape::check_repo_url(text, mark, report),
    }
}

/// Whether git takes a text for the name of a ref, or for a commit.
fn is_reference(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && !part.starts_with('.') && !part.to_lowercase().ends_with(".lock")
    };
    let is_odd = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    !text.starts_with('-')
        && !text.ends_with('.')
        && !text.contains("..")
        && !text.contains("@{")
        && !text.contains(is_odd)
        && text != "@"
        && text.split('/').all(is_part)
}

fn check_templates(spec: &Node, report: &mut Report<'_>) {
    for key in ["promptTemplate", "branch"] {
        let text = spec.get("taskTemplate").and_then(|it| it.text_of(key));
        let Some((text, mark)) = text else {
            continue;
        };
        if let Err(error) = Template::parse(text) {
            refuse_template(text, mark, &error, None, report);
        }
    }
}

/// A prompt that says what other Tasks left names only those that it waits for.
fn check_prompt(spec: &Node, report: &mut Report<'_>) {
    let is_template = spec.text_of("promptSyntax").map(|it| it.0) == Some("GoTemplate");
    let Some((text, mark)) = spec.text_of("prompt").filter(|_| is_template) else {
        return;
    };
    let tasks = spec.get("dependsOn").map(Node::items).unwrap_or_default();
    let tasks: Vec<&str> = tasks.iter().filter_map(Node::as_text).collect();
    let Err(error) = template::check_dependencies(text, &tasks) else {
        return;
    };
    let is_cut_short =
        |task: &&&str| task.contains(['-', '.']) && text.contains(&format!(".Deps.{task}"));
    let hint = tasks.iter().find(is_cut_short);
    let hint = hint.map(|task| format!("write {{{{(index .Deps \"{task}\").Results.KEY}}}}"));
    refuse_template(text, mark, &error, hint, report);
}

fn refuse_template(
    text: &str,
    mark: Mark,
    error: &template::Error,
    hint: Option<String>,
    report: &mut Report<'_>,
) {
    let (line, column, fault) = (error.line, error.column, &error.fault);
    let (mark, message) = match report.inside(mark, text, line, column) {
        Some(exact) => (exact, format!("template: {fault}")),
        None => (
            mark,
            format!("template, line {line}, column {column}: {fault}"),
        ),
    };
    report.error_with(Code::InvalidTemplate, mark, message, hint);
}
