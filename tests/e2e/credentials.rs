//! Agents get into their repository by what its Workspace names, and only by that.

use serde_json::Value;
use serde_json::json;

use crate::git_server::GitRepo;
use crate::node;
use crate::node::Place;
use crate::node::eventually;
use crate::ssh_server::Sshd;
use crate::tls::Tls;

const FIRST: &str = "canary-token-one-51c0";
const SECOND: &str = "canary-token-two-93fe";

/// Commits and pushes, then does so again once the mounted token is another one.
const PUSHES_TWICE: &str = r#"
echo one > work; git add work; git commit --quiet --message one
git push --quiet origin HEAD:refs/heads/first
echo "said: $(cat /run/axon/git/GITHUB_TOKEN)"
before=$(cat /run/axon/git/GITHUB_TOKEN)
while [ "$(cat /run/axon/git/GITHUB_TOKEN)" = "$before" ]; do sleep 1; done
echo two > work; git add work; git commit --quiet --message two
git push --quiet origin HEAD:refs/heads/second
echo "said: $(cat /run/axon/git/GITHUB_TOKEN)"
"#;

const PUSHES: &str = "echo one > work; git add work; git commit --quiet --message one\n\
    git push --quiet origin HEAD:refs/heads/by-ssh\n";

pub(crate) fn workspace(place: &Place, name: &str, url: &str, keys: &[(&str, &str)]) {
    let data: serde_json::Map<_, _> = keys
        .iter()
        .map(|(key, value)| ((*key).to_owned(), Value::from(*value)))
        .collect();
    place.create(&json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data,
    }));
    place.create(&json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "Workspace", "metadata": {"name": name},
        "spec": {"repo": url, "ref": "main", "secretRef": {"name": name}},
    }));
}

pub(crate) fn task(place: &Place, workspace: &str, script: &str) {
    place.create(&json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "Task", "metadata": {"name": workspace},
        "spec": {
            "type": "custom", "image": "localhost/agent:1", "prompt": script,
            "credentials": {"type": "none"}, "workspaceRef": {"name": workspace},
            "podOverrides": {"resources": {"requests": {"cpu": "10m"}}},
        },
    }));
}

pub(crate) fn has(repo: &GitRepo, branch: &str) -> bool {
    !repo.git(&["branch", "--list", branch]).is_empty()
}

#[test]
fn a_token_that_is_changed_in_mid_run_still_lets_the_agent_push() {
    node::run(|place| {
        let (repo, _) = place.repo("app.git");
        repo.commit(&[("README.md", "hello\n")]);
        place.git.require_token(FIRST);
        let tls = Tls::in_front_of(&place.git.url(), place.address());
        let url = format!("{}/app.git", tls.url());
        workspace(place, "by-https", &url, &[("GITHUB_TOKEN", FIRST)]);
        task(place, "by-https", PUSHES_TWICE);
        eventually("the first push", || has(&repo, "first").then_some(()));
        place.git.require_token(SECOND);
        place.node.apply(
            &place.namespace,
            &json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "by-https"},
                "stringData": {"GITHUB_TOKEN": SECOND},
            })
            .to_string(),
        );
        place.succeeded("by-https");
        assert!(has(&repo, "second"));
        let pods = place.kubectl(&["get", "pods,jobs,tasks,events", "-o", "yaml"]);
        let logs = ["logs", "-l", "axon.io/task=by-https", "--all-containers"];
        let logs = place.kubectl(&logs);
        for canary in [FIRST, SECOND] {
            assert!(!pods.contains(canary) && !logs.contains(canary), "{logs}");
        }
        assert_eq!(logs.matches("said: ***").count(), 2, "{logs}");
    });
}

#[test]
fn an_agent_pushes_by_ssh() {
    node::run(|place| {
        let (repo, _) = place.repo("app.git");
        repo.commit(&[("README.md", "hello\n")]);
        let sshd = Sshd::start_at(place.dir(), place.address()).expect("sshd is installed");
        let (key, known) = (sshd.key("client"), sshd.known("host"));
        let keys = [("ssh-privatekey", &key[..]), ("known_hosts", &known[..])];
        workspace(place, "by-ssh", &sshd.url(repo.path()), &keys);
        task(place, "by-ssh", PUSHES);
        place.succeeded("by-ssh");
        assert!(has(&repo, "by-ssh"));
    });
}
