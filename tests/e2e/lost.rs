//! A node that is lost, as the cluster tells it: `retry.onDisruption` decides, and no two agents of one
//! Task are ever at work side by side.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use crate::audit;
use crate::node;
use crate::node::Place;
use crate::node::eventually;

/// How often processes are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Counts the agents at work, by an argument that only they have, until it is asked how many there were at once.
struct Census {
    stop: Arc<AtomicBool>,
    seen: JoinHandle<usize>,
}

impl Census {
    fn of(mark: &'static str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let seen = thread::spawn(move || {
            let mut most = 0;
            while !asked.load(Ordering::Relaxed) {
                most = most.max(at_work(mark));
                thread::sleep(LOOK_EVERY);
            }
            most
        });
        Self { stop, seen }
    }

    fn most(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.seen.join().unwrap()
    }
}

/// How many processes `sleep MARK` there are on the node.
fn at_work(mark: &str) -> usize {
    let expected = format!("sleep\0{mark}\0");
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let is_one = |it: &fs::DirEntry| {
        fs::read(it.path().join("cmdline")).is_ok_and(|it| it == expected.as_bytes())
    };
    processes.filter(is_one).count()
}

/// An agent that takes all the time it has to end.
fn task(name: &str, mark: &str, retry: &Value) -> Value {
    json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "Task", "metadata": {"name": name},
        "spec": {
            "type": "custom", "image": "localhost/agent:1", "credentials": {"type": "none"},
            "prompt": format!("trap '' INT TERM\nsleep {mark}\n"), "retry": retry,
            "podOverrides": {"resources": {"requests": {"cpu": "10m"}}},
        },
    })
}

/// What the node lifecycle controller does to a Pod of a node that does not answer.
fn taken_from_its_node(place: &Place, name: &str) {
    let pod = eventually(&format!("\"{name}\" runs"), || {
        let task = place.get("task.axon.io", name)?;
        let runs = task["status"]["phase"] == "Running";
        runs.then(|| task["status"]["podName"].as_str().unwrap().to_owned())
    });
    let target = json!({"status": {"conditions": [{
        "type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager",
        "message": "Taint manager: deleting due to NoExecute taint",
        // What is older than two minutes is taken back if the Pod is not being deleted yet.
        "lastTransitionTime": "2100-01-01T00:00:00Z",
    }]}});
    let patch = target.to_string();
    place.kubectl(&["patch", "pod", &pod, "--subresource=status", "-p", &patch]);
    place.kubectl(&["delete", "pod", &pod, "--wait=false"]);
}

#[test]
fn a_run_that_is_lost_with_its_node_is_never_doubled() {
    const ONCE: &str = "861101";
    const AGAIN: &str = "861102";
    node::run(|place| {
        let (once, again) = (Census::of(ONCE), Census::of(AGAIN));
        place.create(&task("once", ONCE, &json!({"limit": 1, "backoff": "0"})));
        let always = json!({"backoff": "0", "onDisruption": "Always"});
        place.create(&task("again", AGAIN, &always));
        taken_from_its_node(place, "once");
        taken_from_its_node(place, "again");

        // It had begun.
        let ended = eventually("\"once\" has ended", || {
            let task = place.get("task.axon.io", "once")?;
            (task["status"]["phase"] == "Failed").then_some(task)
        });
        let conditions = ended["status"]["conditions"].as_array().unwrap();
        let failure = conditions.iter().find(|it| it["type"] == "Failed").unwrap();
        assert_eq!(failure["reason"], "NodeLost", "{:#}", ended["status"]);

        let second = eventually("another attempt is at work", || {
            let task = place.get("task.axon.io", "again")?;
            let status = task["status"].clone();
            let runs = status["attempts"] == 2 && status["phase"] == "Running";
            (runs && at_work(AGAIN) == 1).then_some(status)
        });
        assert_eq!(second["disruptions"], 1, "{second:#}");
        assert_eq!((once.most(), again.most()), (1, 1));
        assert_eq!(audit::created(place.node, &place.namespace, "jobs"), 3);
        place.kubectl(&["delete", "tasks", "--all", "--wait=false"]);
    });
}
