//! Runs that end badly: what a person is told, what is kept, and that nothing runs again by itself.

use serde_json::Value;
use serde_json::json;

use crate::audit;
use crate::node;
use crate::node::Place;
use crate::node::eventually;

/// What every agent here leaves before it meets its end.
const TELLS: &str = "echo ---AXON_OUTPUTS_START---; echo note: so far; echo ---AXON_OUTPUTS_END---\n\
    echo kept: yes >>\"$AXON_RESULTS_FILE\"\n";

fn task(name: &str, script: &str, overrides: &Value) -> Value {
    json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "Task", "metadata": {"name": name},
        "spec": {
            "type": "custom", "image": "localhost/agent:1", "credentials": {"type": "none"},
            "prompt": format!("{TELLS}{script}"), "podOverrides": overrides,
        },
    })
}

/// The status of a Task that has failed for this reason.
fn failed(place: &Place, name: &str, reason: &str) -> Value {
    let ended = eventually(&format!("Task \"{name}\" has ended"), || {
        let task = place.get("task.axon.io", name)?;
        let phase = task["status"]["phase"].as_str()?;
        ["Succeeded", "Failed"].contains(&phase).then_some(task)
    });
    let status = ended["status"].clone();
    let conditions = status["conditions"].as_array().unwrap();
    let failure = conditions.iter().find(|it| it["type"] == "Failed").unwrap();
    assert_eq!(failure["reason"], reason, "{status:#}");
    let outputs = status["outputs"].to_string();
    assert!(outputs.contains("note: so far"), "{status:#}");
    status
}

/// Waits until the agent of a Task has told what it has so far; gives its Pod.
fn at_work(place: &Place, name: &str) -> String {
    eventually(&format!("the agent of \"{name}\" is at work"), || {
        let task = place.get("task.axon.io", name)?;
        let pod = task["status"]["podName"].as_str()?;
        let log = place
            .node
            .try_kubectl(&["logs", "-n", &place.namespace, pod, "-c", "custom"], "");
        log.ok()?.contains("note: so far").then(|| pod.to_owned())
    })
}

#[test]
fn a_run_that_ends_badly_is_told_and_kept() {
    node::run(|place| {
        let small =
            json!({"resources": {"requests": {"cpu": "10m"}, "limits": {"memory": "48Mi"}}});
        let none = json!({"resources": {"requests": {"cpu": "10m"}}});
        let brief = json!({"resources": {"requests": {"cpu": "10m"}}, "activeDeadlineSeconds": 25});
        let long = "sleep 600\n";
        place.create(&task(
            "hungry",
            "sleep 1; head -c 200000000 /dev/zero | tail\n",
            &small,
        ));
        place.create(&task("slow", long, &brief));
        place.create(&task("evicted", long, &none));
        // Work that somebody took away is not done again, though a failure would be.
        for name in ["stopped", "jobless"] {
            let mut task = task(name, long, &none);
            task["spec"]["retry"] = json!({"limit": 1, "backoff": "0"});
            place.create(&task);
        }

        let pod = at_work(place, "evicted");
        let eviction = json!({
            "apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": {"name": pod, "namespace": place.namespace},
        });
        let path = format!("/api/v1/namespaces/{}/pods/{pod}/eviction", place.namespace);
        let evict = ["create", "--raw", &path, "-f", "-"];
        place
            .node
            .try_kubectl(&evict, &eviction.to_string())
            .unwrap();
        let pod = at_work(place, "stopped");
        place.kubectl(&["delete", "pod", &pod, "--wait=false"]);

        at_work(place, "jobless");
        place.kubectl(&["delete", "job", "jobless", "--wait=false"]);

        failed(place, "hungry", "OutOfMemory");
        let slow = failed(place, "slow", "DeadlineExceeded");
        assert_eq!(slow["results"]["kept"], "yes", "{slow:#}");
        failed(place, "evicted", "Evicted");
        // Its Pod may be gone before its last words were read.
        for (name, reasons) in [
            ("stopped", &["Evicted"][..]),
            ("jobless", &["Evicted", "JobLost"]),
        ] {
            let status = eventually(&format!("the Task \"{name}\" has failed"), || {
                let task = place.get("task.axon.io", name)?;
                (task["status"]["phase"] == "Failed").then(|| task["status"].clone())
            });
            let conditions = status["conditions"].as_array().unwrap();
            let failure = conditions.iter().find(|it| it["type"] == "Failed").unwrap();
            let reason = failure["reason"].as_str().unwrap();
            assert!(reasons.contains(&reason), "{status:#}");
        }
        // The work of each had begun, so none is done again without being asked for.
        assert_eq!(audit::created(place.node, &place.namespace, "jobs"), 5);
    });
}

#[test]
fn a_secret_that_went_before_the_pod_started_is_told_and_waited_for() {
    node::run(|place| {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "late"},
            "stringData": {"token": "canary-of-late"},
        });
        place.create(&secret);
        let key = json!({"secretKeyRef": {"name": "late", "key": "token"}});
        let overrides = json!({
            "resources": {"requests": {"cpu": "10m"}},
            "env": [{"name": "LATE", "valueFrom": key}],
            // Until the test says so, there is no such node.
            "nodeSelector": {"example.com/late": "yes"},
        });
        place.create(&task("late", "test -n \"$LATE\"\n", &overrides));
        reads(place, "Unschedulable");
        place.kubectl(&["delete", "secret", "late"]);
        let node = ["label", "nodes", "--all", "--overwrite"];
        place.kubectl(&[&node[..], &["example.com/late=yes"]].concat());
        let message = reads(place, "SecretNotFound");
        let words = "container \"custom\" cannot start: CreateContainerConfigError: secret \"late\" not found";
        assert_eq!(message, words);
        place.create(&secret);
        place.succeeded("late");
        place.kubectl(&[&node[..], &["example.com/late-"]].concat());
    });
}

/// Waits until the Task "late" gives this reason for its wait; gives its message.
fn reads(place: &Place, reason: &str) -> String {
    eventually(&format!("the Task says {reason}"), || {
        let task = place.get("task.axon.io", "late")?;
        let conditions = task["status"]["conditions"].as_array()?.clone();
        let started = conditions.into_iter().find(|it| it["type"] == "Started")?;
        (started["reason"] == reason).then(|| started["message"].as_str().unwrap().to_owned())
    })
}
