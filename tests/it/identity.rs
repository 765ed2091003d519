//! One configuration is one and the same to everybody: to a sync that reads its repository by URL,
//! and to people who stand somewhere in a clone of it.

use std::path::Path;
use std::path::PathBuf;
use std::process::Stdio;

use axon::api::Workspace;
use kube::Api;
use serde_json::Value;
use tokio::process::Command;

use crate::git_server;
use crate::git_server::GitRepo;
use crate::git_server::GitServer;
use crate::on_both_servers;
use crate::server::Context;

on_both_servers!(a_clone_plans_what_its_repository_declares);

const ROOT: &str = "\
apiVersion: axon.io/v1alpha1
kind: Config
include: [agents/*.yaml]
defaults: {type: codex, credentials: {type: none}}
workspaces: {here: {}}
";
const INCLUDED: &str = "\
apiVersion: axon.io/v1alpha1
kind: Config
spawners:
  nightly: {when: {cron: {schedule: '0 3 * * *'}}, prompt: look, workspace: here}
";

async fn axon(context: &Context, dir: &Path, args: &[&str], code: i32) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_axon"))
        .args(args)
        .args(["--namespace", &context.namespace, "--kubeconfig"])
        .arg(&context.kubeconfig)
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let (out, err) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    assert_eq!(output.status.code(), Some(code), "{args:?}\n{out}\n{err}");
    format!("{out}{err}")
}

fn clone(dir: &Path, url: &str, name: &str) -> PathBuf {
    let cloned = git_server::command()
        .args(["clone", "--quiet", url, name])
        .current_dir(dir)
        .status()
        .unwrap();
    assert!(cloned.success());
    dir.join(name)
}

async fn a_clone_plans_what_its_repository_declares(context: Context) {
    let dir = tempfile::tempdir().unwrap();
    let repo = GitRepo::new(dir.path(), "acme/app.git");
    repo.commit(&[
        ("deploy/axon.yaml", ROOT),
        ("deploy/agents/a.yaml", INCLUDED),
        ("agents/stray.yaml", "not: ours\n"),
    ]);
    let server = GitServer::start(dir.path());
    let url = format!("{}/acme/app.git", server.url());
    let by_url = ["--path", "deploy/axon.yaml"];
    let by = |command: &'static [&'static str]| [command, &[&url[..]], &by_url[..]].concat();
    axon(&context, dir.path(), &by(&["apply", "--yes"]), 0).await;
    let workspaces: Api<Workspace> = context.api();
    let applied = workspaces.get("here").await.unwrap().spec.repo;
    assert_eq!(applied, url);

    // The clone's origin is another URL of the same repository, as some tools write it.
    let work = &clone(dir.path(), &format!("{}/acme/app", server.url()), "app");
    let deploy = work.join("deploy");
    for (from, words) in [
        (work, &["deploy"][..]),
        (work, &["deploy/axon.yaml"]),
        (work, &[".", "--path", "deploy/axon.yaml"]),
        (&deploy, &[]),
        (&deploy.join("agents"), &[".."]),
    ] {
        let told = axon(&context, from, &[&["plan"], words].concat(), 0).await;
        assert!(told.contains("No changes."), "{words:?}: {told}");
    }
    let plan = axon(&context, &deploy, &["plan", "-o", "json"], 0).await;
    let plan: Value = serde_json::from_str(&plan).unwrap();
    assert_eq!(
        plan["sync"].as_str().unwrap().split('-').next(),
        Some("app")
    );

    // Another repository declares the same: it is not the same.
    let other = GitRepo::new(dir.path(), "acme/web.git");
    other.commit(&[
        ("deploy/axon.yaml", ROOT),
        ("deploy/agents/a.yaml", INCLUDED),
    ]);
    let web = clone(dir.path(), &format!("{}/acme/web.git", server.url()), "web");
    let told = axon(&context, &web, &["plan", "deploy"], 5).await;
    assert!(told.contains("it belongs to sync"), "{told}");

    // Places are told as seen from where the command runs.
    std::fs::write(deploy.join("agents/a.yaml"), "kind: Config\nnonsense: 1\n").unwrap();
    let told = axon(&context, &deploy, &["plan"], 1).await;
    assert!(told.contains(" agents/a.yaml:"), "{told}");
    let told = axon(&context, work, &["validate", "deploy"], 1).await;
    assert!(told.contains(" deploy/agents/a.yaml:"), "{told}");
}
