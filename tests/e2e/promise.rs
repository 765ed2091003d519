//! What Axon is for: what is committed runs, what is reverted goes, and nothing runs twice.

use serde_json::Value;
use serde_json::json;

use crate::audit;
use crate::node;
use crate::node::Place;
use crate::node::SYSTEM;
use crate::node::eventually;
use crate::pushed;
use crate::pushed::Laptop;
use crate::pushed::config;
use crate::pushed::repo_sync;
use crate::pushed::synced;
use crate::rights;

const TICKING: &str = "spawners:\n  ticking:\n    when: {cron: {schedule: \"* * * * *\"}}\n    \
    maxConcurrency: 1\n    workspace: here\n    prompt: echo \"tick {{.Time}}\"\n";

#[test]
fn what_is_pushed_runs_once_and_what_is_reverted_goes() {
    node::run(|place| {
        let (laptop, url) = Laptop::new(place);
        let first = pushed::task("first", 0);
        let commit = laptop.push(&config(std::slice::from_ref(&first), ""));
        place.apply(&repo_sync(&url, &json!({"deletionPolicy": "Delete"})));
        synced(place, &commit);
        let status = &place.succeeded("first")["status"];
        assert_eq!(status["results"]["answer"], "42", "{status:#}");
        assert_eq!(laptop.runs("first"), 1);

        let brief = pushed::task("brief", 0) + "    ttlSecondsAfterFinished: 0\n";
        let second = pushed::task("second", 10) + "    branch: work\n";
        let tasks = [first, second, brief];
        let commit = laptop.push(&config(&tasks, TICKING));
        eventually("the second agent runs", || {
            let task = place.get("task.axon.io", "second")?;
            (task["status"]["phase"] == "Running").then_some(())
        });
        kill_the_leader(place);
        place.succeeded("second");
        synced(place, &commit);
        eventually("the brief one has run and is gone", || {
            let is_gone = place.get("task.axon.io", "brief").is_none();
            (is_gone && laptop.runs("brief") == 1).then_some(())
        });
        eventually("the spawner has made a Task", || ticks(place).pop());

        let commit = laptop.revert();
        synced(place, &commit);
        eventually("what was reverted is gone", || {
            let spawners = place.list("taskspawners");
            let task = place.get("task.axon.io", "second");
            (spawners.is_empty() && task.is_none()).then_some(())
        });
        nothing_ran_twice(place, &laptop);
        what_is_cancelled_ends(place);

        place.kubectl(&["delete", "reposync", "app"]);
        eventually("all that it declared is gone", || {
            let task = place.get("task.axon.io", "first");
            (task.is_none() && place.list("workspaces").is_empty()).then_some(())
        });
        rights::are_used(place.node);
    });
}

/// A Task that a person made, and cancels while its agent works.
fn what_is_cancelled_ends(place: &Place) {
    place.create(&json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "Task", "metadata": {"name": "endless"},
        "spec": {
            "type": "custom", "image": "localhost/agent:1", "credentials": {"type": "none"},
            "prompt": "sleep 600\n",
        },
    }));
    let phase = |expected: &'static str| {
        let what = format!("the endless Task is {expected}");
        eventually(&what, || {
            let task = place.get("task.axon.io", "endless")?;
            (task["status"]["phase"] == expected).then_some(())
        });
    };
    phase("Running");
    let cancelled = r#"{"spec":{"cancelled":true}}"#;
    let kind = "task.axon.io/endless";
    place.kubectl(&["patch", kind, "--type=merge", "-p", cancelled]);
    phase("Failed");
}

/// Each agent pushed once, and there was one Job for each Task, those of the spawner too.
fn nothing_ran_twice(place: &Place, laptop: &Laptop) {
    place.succeeded("first");
    let tasks = ["first", "second", "brief"];
    for task in tasks {
        assert_eq!(laptop.runs(task), 1, "{task}");
    }
    let ticks = ticks(place);
    for tick in &ticks {
        place.succeeded(tick);
    }
    let jobs = audit::created(place.node, &place.namespace, "jobs");
    assert_eq!(jobs, tasks.len() + ticks.len(), "one Job for each Task");
}

/// The Tasks that the spawner has made.
fn ticks(place: &Place) -> Vec<String> {
    let name = |task: &Value| task["metadata"]["name"].as_str().map(str::to_owned);
    let mut names: Vec<_> = place
        .list("tasks.axon.io")
        .iter()
        .filter_map(name)
        .collect();
    names.retain(|it| it.starts_with("ticking-"));
    names
}

/// Kills the Pod that leads, without a word to it; waits until another leads.
fn kill_the_leader(place: &Place) {
    let killed = leader(place).unwrap();
    let kill = [
        "delete",
        "pod",
        "-n",
        SYSTEM,
        &killed,
        "--grace-period=0",
        "--force",
    ];
    place.node.kubectl(&kill);
    eventually("another replica leads", || {
        leader(place).filter(|it| *it != killed)
    });
}

/// Name of the Pod that leads.
fn leader(place: &Place) -> Option<String> {
    let path = "jsonpath={.spec.holderIdentity}";
    let lease = ["get", "lease", "axon-controller", "-n", SYSTEM, "-o", path];
    let holder = place.node.kubectl(&lease);
    let (pod, _) = holder.split_once('_')?;
    Some(pod.to_owned())
}
