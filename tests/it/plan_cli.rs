//! `axon plan` and `axon apply` as they are typed: what goes wrong before a cluster answers.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

const CONFIG: &str = "apiVersion: axon.io/v1alpha1\nkind: Config\nsync: app\n\
    workspaces: {app: {repo: \"https://example.com/acme/app.git\"}}\n";
/// A server that nobody is at: port 1 of this machine.
const KUBECONFIG: &str = "apiVersion: v1\nkind: Config\ncurrent-context: x\n\
    clusters: [{name: x, cluster: {server: \"http://127.0.0.1:1\"}}]\n\
    contexts: [{name: x, context: {cluster: x, user: x}}]\nusers: [{name: x, user: {}}]\n";

fn axon(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_axon"))
        .args(["--kubeconfig", "kubeconfig"])
        .args(arguments)
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn check(arguments: &[&str], code: i32, told: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("axon.yaml"), CONFIG).unwrap();
    fs::write(
        dir.path().join("broken.yaml"),
        "kind: Config\nnonsense: 1\n",
    )
    .unwrap();
    fs::write(dir.path().join("kubeconfig"), KUBECONFIG).unwrap();
    let output = axon(dir.path(), arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    for text in told {
        assert!(stderr.contains(text), "{arguments:?}: {stderr}");
    }
}

#[test]
fn wrong_usage_exits_64_and_says_what_is_right() {
    check(
        &["apply"],
        64,
        &["error: there is no terminal to ask on", "--yes"],
    );
    check(&["plan", "--ref", "main", "."], 64, &["needs a repository"]);
    check(&["plan", "--allow-delete", "many"], 64, &["--allow-delete"]);
    check(&["apply", "--wait=forever", "--yes"], 64, &["finished"]);
}

#[test]
fn what_cannot_be_read_exits_1_with_place_and_cause() {
    check(
        &["plan", "nowhere"],
        1,
        &["error: cannot read \"nowhere\"", "caused by"],
    );
    check(
        &["plan", "--path", "other.yaml"],
        1,
        &["there is no file \"other.yaml\""],
    );
    check(
        &["plan", "--path", "../axon.yaml"],
        1,
        &["not a path inside the repository"],
    );
    check(
        &["plan", "broken.yaml"],
        1,
        &["broken.yaml:", "error: cannot load \"broken.yaml\""],
    );
    check(
        &["plan", "https://bob:CANARY@example.invalid/x"],
        1,
        &["cannot use \"example.invalid/x\""],
    );
}

#[test]
fn a_server_that_is_not_there_is_an_error_with_a_hint() {
    for (command, code) in [(&["plan"][..], 1), (&["apply", "--yes"], 1), (&["diff"], 2)] {
        check(
            command,
            code,
            &[
                "cannot read from namespace",
                "cannot reach the API server",
                "hint: check --kubeconfig",
            ],
        );
    }
}
