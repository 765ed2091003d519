//! Runs for which there is no room: a full quota, and a node that more important Pods want.

use serde_json::Value;
use serde_json::json;

use crate::audit;
use crate::node;
use crate::node::Place;
use crate::node::eventually;

fn task(name: &str, script: &str, overrides: &Value) -> Value {
    json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "Task", "metadata": {"name": name},
        "spec": {
            "type": "custom", "image": "localhost/agent:1", "credentials": {"type": "none"},
            "prompt": script, "podOverrides": overrides,
        },
    })
}

/// The Task, once one of its conditions has this reason, and what that says.
fn told(place: &Place, name: &str, reason: &str) -> (Value, String) {
    eventually(&format!("\"{name}\" tells {reason}"), || {
        let task = place.get("task.axon.io", name)?;
        let conditions = task["status"]["conditions"].as_array()?;
        let found = conditions.iter().find(|it| it["reason"] == reason)?;
        let message = found["message"].as_str().unwrap_or_default().to_owned();
        Some((task, message))
    })
}

#[test]
fn a_full_quota_is_told_and_waited_for() {
    node::run(|place| {
        let quota = json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"},
            "spec": {"hard": {"pods": "0"}},
        });
        place.create(&quota);
        place.create(&task("later", "exit 0\n", &json!({})));
        let (_, message) = told(place, "later", "JobRefused");
        assert!(message.contains("exceeded quota"), "{message}");
        place.kubectl(&["delete", "resourcequota", "none"]);
        place.succeeded("later");
        assert_eq!(audit::created(place.node, &place.namespace, "jobs"), 1);
    });
}

#[test]
fn a_preempted_run_is_told_and_not_done_again_by_itself() {
    node::run(|place| {
        // Room for one of them, wherever the node has what for other Pods.
        let cpu = place.kubectl(&[
            "get",
            "nodes",
            "-o",
            "jsonpath={.items[0].status.allocatable.cpu}",
        ]);
        let most = match cpu.strip_suffix('m') {
            Some(thousandths) => thousandths.parse::<u64>().unwrap(),
            None => cpu.parse::<u64>().unwrap() * 1000,
        } * 6
            / 10;
        let room = json!({"resources": {"requests": {"cpu": format!("{most}m")}}});
        place.create(&task("small", "echo at work; sleep 600\n", &room));
        eventually("\"small\" runs", || {
            let task = place.get("task.axon.io", "small")?;
            (task["status"]["phase"] == "Running").then_some(())
        });
        place.apply(
            "{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: urgent}, value: 1000}",
        );
        let urgent = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "urgent"},
            "spec": {
                "priorityClassName": "urgent", "restartPolicy": "Never", "terminationGracePeriodSeconds": 0,
                "containers": [{
                    "name": "main", "image": "localhost/agent:1", "imagePullPolicy": "Never",
                    "command": ["/bin/sh", "-c", "exit 0"],
                    "resources": {"requests": {"cpu": format!("{most}m")}},
                }],
            },
        });
        place.create(&urgent);
        let (task, message) = told(place, "small", "Evicted");
        assert_eq!(task["status"]["phase"], "Failed", "{task:#}");
        assert!(message.contains("was preempted"), "{message}");
        assert_eq!(audit::created(place.node, &place.namespace, "jobs"), 1);
    });
}
