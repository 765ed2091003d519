//! One Task from a manifest to its outputs, and another that reads what it left.

use crate::node;

/// The checkout by our own image, the agent in another image started by our helper, and what came of
/// it: all by the kubelet.
#[test]
fn a_task_runs_in_a_pod_and_pushes_its_work() {
    node::run(|place| {
        let (repo, url) = place.repo("app.git");
        let base = repo.commit(&[("README.md", "hello\n")]);
        place.apply(&manifests(&url));
        let task = place.succeeded("greet");
        let pushed = repo.git(&["rev-parse", "axon/greet"]);
        let status = &task["status"];
        assert_eq!(status["results"]["answer"], "42", "{status:#}");
        let outputs = status["outputs"].to_string();
        for output in [format!("commit: {pushed}"), "branch: axon/greet".to_owned()] {
            assert!(
                outputs.contains(&format!("\"{output}\"")),
                "{output}: {status:#}"
            );
        }
        assert_eq!(
            repo.git(&["show", "axon/greet:greeting"]),
            "hello from 61100"
        );
        let left = &place.succeeded("after")["status"]["results"]["left"];
        let left = left.as_str().unwrap_or_default();
        for expected in [r#""greet":{"#, r#""phase":"Succeeded""#, r#""answer":"42""#] {
            assert!(left.contains(expected), "{expected}: {left}");
        }
        let logs = place.kubectl(&["logs", "-l", "axon.io/task=greet", "--all-containers"]);
        assert!(logs.contains(&format!("at {base}")), "{logs}");
    });
}

fn manifests(url: &str) -> String {
    format!(
        r#"
apiVersion: axon.io/v1alpha1
kind: Workspace
metadata: {{name: app}}
spec: {{repo: "{url}", ref: main}}
---
apiVersion: axon.io/v1alpha1
kind: Task
metadata: {{name: greet}}
spec:
  type: custom
  image: localhost/agent:1
  credentials: {{type: none}}
  workspaceRef: {{name: app}}
  branch: axon/greet
  prompt: |
    echo "hello from $(id -u)" > greeting
    git add greeting
    git commit --quiet --message greet
    git push --quiet origin HEAD
    echo "answer: 42" >> "$AXON_RESULTS_FILE"
---
apiVersion: axon.io/v1alpha1
kind: Task
metadata: {{name: after}}
spec:
  type: custom
  image: localhost/agent:1
  credentials: {{type: none}}
  dependsOn: [greet]
  prompt: |
    echo "left: $(cat "$AXON_DEPENDENCIES_FILE")" >> "$AXON_RESULTS_FILE"
"#
    )
}
