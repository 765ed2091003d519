//! A repository that somebody pushes to, and a RepoSync that follows it.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;

use crate::git_server;
use crate::node::Place;
use crate::node::eventually;

/// A clone on somebody's machine.
pub(crate) struct Laptop(PathBuf);

impl Laptop {
    /// A repository on the server, cloned over the network, and its URL. What its agents need is there.
    pub(crate) fn new(place: &Place) -> (Self, String) {
        let (repo, url) = place.repo("app.git");
        repo.commit(&[("README.md", "hello\n")]);
        let laptop = Self(repo.work().with_file_name("laptop"));
        let clone = git_server::command()
            .args(["clone", "--quiet", &url])
            .arg(&laptop.0)
            .status();
        assert!(clone.unwrap().success());
        let key = "--from-literal=AXON_API_KEY=key";
        place.kubectl(&["create", "secret", "generic", "agent-key", key]);
        (laptop, url)
    }

    /// Commits this `axon.yaml` and pushes it; gives the commit.
    pub(crate) fn push(&self, config: &str) -> String {
        fs::write(self.0.join("axon.yaml"), config).unwrap();
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message=change"]);
        self.publish()
    }

    /// Takes the last commit back.
    pub(crate) fn revert(&self) -> String {
        self.git(&["revert", "--no-edit", "HEAD"]);
        self.publish()
    }

    fn publish(&self) -> String {
        self.git(&["push", "--quiet", "origin", "HEAD"]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn git(&self, args: &[&str]) -> String {
        let output = git_server::command()
            .current_dir(&self.0)
            .args(args)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {args:?}: {told}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// How often the agent of a Task has run: each run pushes a ref of its own.
    pub(crate) fn runs(&self, task: &str) -> usize {
        let pattern = format!("refs/heads/ran/{task}/*");
        self.git(&["ls-remote", "origin", &pattern]).lines().count()
    }
}

/// An entry of `tasks:` whose agent runs for so many seconds, pushes a ref, and tells a result.
pub(crate) fn task(name: &str, seconds: u32) -> String {
    format!(
        r#"
  {name}:
    prompt: |
      sleep {seconds}
      echo work > "$AXON_TASK"
      git add --all
      git commit --quiet --message "$AXON_TASK"
      git push --quiet origin "HEAD:refs/heads/ran/$AXON_TASK/$(cat /proc/sys/kernel/random/uuid)"
      echo "answer: 42" >> "$AXON_RESULTS_FILE"
"#
    )
}

pub(crate) fn config(tasks: &[String], more: &str) -> String {
    format!(
        "apiVersion: axon.io/v1alpha1\nkind: Config\nsync: app\ndefaults:\n  type: custom\n  \
         image: localhost/agent:1\n  credentials: {{type: api-key, secretRef: {{name: agent-key}}}}\n  \
         workspace: here\nworkspaces:\n  here: {{}}\n{more}tasks:{}",
        tasks.concat()
    )
}

pub(crate) fn repo_sync(url: &str, more: &Value) -> String {
    let mut spec = json!({"repo": url, "ref": "main", "interval": "10s"});
    spec.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "RepoSync",
        "metadata": {"name": "app"}, "spec": spec,
    })
    .to_string()
}

/// Awaits that the RepoSync has applied a commit.
pub(crate) fn synced(place: &Place, commit: &str) {
    eventually(&format!("{commit} is applied"), || {
        let sync = place.get("reposync", "app")?;
        let revision = sync["status"]["lastAppliedRevision"].as_str()?;
        (revision.contains(commit) && ready(&sync)?["status"] == "True").then_some(())
    });
}

pub(crate) fn ready(sync: &Value) -> Option<&Value> {
    let conditions = sync["status"]["conditions"].as_array()?;
    conditions.iter().find(|it| it["type"] == "Ready")
}
