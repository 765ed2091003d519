//! Agents in Pods of a real node, as user 61100.

use serde_json::Value;
use serde_json::json;

use crate::agent::ALL;
use crate::agent::Agent;
use crate::agent::KEY;
use crate::agent::SECRET;
use crate::ending;
use crate::model::Model;
use crate::model::Script;
use crate::node;
use crate::node::Place;
use crate::node::eventually;

/// In seconds: long enough for every tool to have begun.
const TASK_DEADLINE: u64 = 90;

/// Makes a Task for each agent, with a model of its own that Pods can reach.
fn start(place: &Place, url: &str, script: Script, deadline: Option<u64>) -> Vec<(Agent, Model)> {
    let mut secret = vec![
        "create".to_owned(),
        "secret".into(),
        "generic".into(),
        SECRET.into(),
    ];
    secret.extend(
        ALL.iter()
            .map(|it| format!("--from-literal={}={KEY}", it.variable)),
    );
    place.kubectl(&secret.iter().map(String::as_str).collect::<Vec<_>>());
    let workspace = json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "Workspace", "metadata": {"name": "origin"},
        "spec": {"repo": url, "ref": "main"},
    });
    place.apply(&workspace.to_string());
    let models: Vec<_> = ALL
        .iter()
        .map(|it| (*it, Model::start(&place.node.address, script)))
        .collect();
    for (agent, model) in &models {
        let mut spec = agent.task(model, "Write the file.", deadline);
        spec["image"] = json!(format!("localhost/axon-{}:1", agent.kind));
        spec["workspaceRef"] = json!({"name": "origin"});
        let task = json!({
            "apiVersion": "axon.io/v1alpha1", "kind": "Task", "metadata": {"name": agent.name}, "spec": spec,
        });
        place.apply(&task.to_string());
    }
    models
}

fn ended(place: &Place, agent: &Agent) -> Value {
    eventually(&format!("the Task of {} has ended", agent.name), || {
        let task = place.get("task.axon.io", agent.name)?;
        let phase = task["status"]["phase"].as_str()?;
        ["Succeeded", "Failed"]
            .contains(&phase)
            .then(|| task["status"].clone())
    })
}

#[test]
fn they_edit_commit_and_tell_what_they_used() {
    node::run(|place| {
        let (repo, url) = place.repo("app.git");
        repo.commit(&[("README.md", "hello\n")]);
        for (agent, model) in start(place, &url, Script::Edit, None) {
            ending::is_done(&agent, &ended(place, &agent));
            assert!(
                model.seen(agent.path).iter().all(|it| it.key == KEY),
                "{}",
                agent.name
            );
        }
    });
}

#[test]
fn what_runs_too_long_is_stopped_and_its_cost_told() {
    node::run(|place| {
        let (repo, url) = place.repo("app.git");
        repo.commit(&[("README.md", "hello\n")]);
        let models = start(place, &url, Script::Linger, Some(TASK_DEADLINE));
        let has_begun = |agent: &Agent| !repo.git(&["branch", "--list", &agent.began()]).is_empty();
        for (agent, _) in &models {
            eventually(&format!("the tool of {} runs", agent.name), || {
                has_begun(agent).then_some(())
            });
        }
        // One by a person, the others by their time.
        let (first, others) = models.split_first().unwrap();
        let cancel = "{\"spec\":{\"cancelled\":true}}";
        place.kubectl(&[
            "patch",
            "task.axon.io",
            first.0.name,
            "--type=merge",
            "-p",
            cancel,
        ]);
        ending::is_stopped(&first.0, &ended(place, &first.0), "Cancelled");
        for (agent, _) in others {
            ending::is_stopped(agent, &ended(place, agent), "DeadlineExceeded");
        }
    });
}
