//! Every agent in Pods of a real node, as user 61100.

use serde_json::Value;
use serde_json::json;

use crate::agent::ALL;
use crate::agent::Agent;
use crate::agent::KEY;
use crate::agent::SECRET;
use crate::git_server::GitRepo;
use crate::model::Model;
use crate::model::Script;
use crate::node;
use crate::node::Place;
use crate::story;
use crate::story::Cast;
use crate::story::Ground;

const PROMPT: &str = "Write the file.";

/// A namespace with a repository.
struct Pods<'p> {
    place: &'p Place,
    origin: GitRepo,
}

impl Ground for Pods<'_> {
    fn origin(&self) -> &GitRepo {
        &self.origin
    }

    fn status(&self, agent: &Agent) -> Option<Value> {
        let task = self.place.get("task.axon.io", agent.name)?;
        Some(task["status"].clone())
    }

    fn cancel(&self, agent: &Agent) {
        let cancel = "{\"spec\":{\"cancelled\":true}}";
        let patch = ["patch", "task.axon.io", agent.name, "--type=merge"];
        self.place.kubectl(&[&patch[..], &["-p", cancel]].concat());
    }
}

/// Runs a Task of each agent, each with a model of its own that Pods can reach, and looks at them.
fn play(script: Script, deadline: Option<u64>, story: impl FnOnce(&Pods<'_>, &Cast)) {
    node::run(|place| {
        let (origin, url) = place.repo("app.git");
        origin.commit(&[("README.md", "hello\n")]);
        place.apply(&secret().to_string());
        let workspace = json!({
            "apiVersion": "axon.io/v1alpha1", "kind": "Workspace", "metadata": {"name": "origin"},
            "spec": {"repo": url, "ref": "main"},
        });
        place.apply(&workspace.to_string());
        let model = |it: Agent| (it, Model::start(&place.node.address, script));
        let cast = ALL.map(model);
        for (agent, model) in &cast {
            let mut spec = agent.task(model, PROMPT, deadline);
            spec["image"] = json!(format!("localhost/axon-{}:1", agent.kind));
            spec["workspaceRef"] = json!({"name": "origin"});
            let task = json!({
                "apiVersion": "axon.io/v1alpha1", "kind": "Task", "metadata": {"name": agent.name}, "spec": spec,
            });
            place.apply(&task.to_string());
        }
        story(&Pods { place, origin }, &cast);
    });
}

fn secret() -> Value {
    let keys = ALL.map(|it| (it.variable.to_owned(), json!(KEY)));
    let keys = serde_json::Map::from_iter(keys);
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "stringData": keys})
}

#[test]
fn they_edit_commit_and_tell_what_they_used() {
    play(Script::Edit, None, |it, cast| {
        story::edit_and_commit(it, cast, PROMPT);
    });
}

#[test]
fn a_refused_key_ends_them_soon_and_is_told() {
    play(Script::Refuse, None, |it, cast| {
        story::are_refused(it, cast);
    });
}

#[test]
fn a_rate_limit_is_told() {
    play(Script::Limit, None, |it, cast| {
        story::are_limited(it, cast);
    });
}

#[test]
fn a_cancelled_agent_stops_with_its_tool() {
    play(Script::Linger, None, |it, cast| {
        story::are_cancelled(it, cast);
    });
}

#[test]
fn a_deadline_ends_an_agent_with_its_tool() {
    play(Script::Linger, Some(story::TASK_DEADLINE), |it, cast| {
        story::run_out_of_time(it, cast);
    });
}
