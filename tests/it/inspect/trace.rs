//! `axon trace`: with a repository beside it.

use std::fs;
use std::process::Command;

use serde_json::Value;
use serde_json::json;

use super::world::World;
use super::world::end;
use super::world::repo_sync;
use super::world::task;
use super::world::told;
use crate::git_server::GitRepo;
use crate::git_server::GitServer;
use crate::on_both_servers;
use crate::server::Context;

const CONFIG: &str = "apiVersion: axon.io/v1alpha1\nkind: Config\ndefaults: {type: codex, credentials: {type: none}}\n\
    tasks:\n  other: {prompt: y}\n  port:\n    prompt: x\n";

on_both_servers!(
    an_object_is_traced_to_its_line,
    a_line_is_found_in_the_clone_that_one_stands_in,
    what_no_file_declares_is_traced_to_what_made_it,
    a_credential_is_shown_to_hosts_of_this_user_alone,
);

fn declared(source: &str, mut object: Value) -> Value {
    let key = format!(
        "{}/{}",
        object["kind"].as_str().unwrap(),
        object["metadata"]["name"].as_str().unwrap()
    );
    object["metadata"]["labels"] = json!({"axon.io/sync": "app-1"});
    object["metadata"]["annotations"] =
        json!({"axon.io/origin": format!("{source}#axon.yaml#{key}")});
    object
}

/// A repository whose configuration was applied and has moved on since, and a Task that it declares.
struct Applied {
    url: String,
    commit: String,
    _dir: tempfile::TempDir,
}

async fn applied(world: &World) -> Applied {
    let dir = tempfile::tempdir().unwrap();
    let repo = GitRepo::new(dir.path(), "app.git");
    let commit = repo.commit(&[("axon.yaml", CONFIG)]);
    repo.commit(&[("axon.yaml", &format!("# moved\n\n\n{CONFIG}"))]);
    let url = repo.file_url();
    let source = url.trim_start_matches("file://").trim_end_matches(".git");
    let mut port = declared(source, task("port"));
    port["status"] = json!({"phase": "Running", "jobName": "port-job", "podName": "../port"});
    world.make(port).await;
    Applied {
        url,
        commit,
        _dir: dir,
    }
}

async fn follow(world: &World, applied: &Applied) {
    let Applied { url, commit, _dir } = applied;
    let mut sync = repo_sync("app", url);
    let mut status = told(true, "Synced", "");
    status["sync"] = json!("app-1");
    status["lastAppliedRevision"] = json!(commit);
    status["history"] =
        json!([{"revision": commit, "time": "2026-01-01T00:00:00Z", "reason": "Synced"}]);
    sync["status"] = status;
    world.make(sync).await;
}

async fn an_object_is_traced_to_its_line(context: Context) {
    let world = World::of(context).await;
    let applied = applied(&world).await;
    // Without a RepoSync there is no revision, and this directory is no clone.
    let said = world.axon(&["trace", "task/port"]).await;
    said.check(
        1,
        &[
            "sync app-1  applied by axon apply",
            "line not known: it was applied from a directory",
            "Job/port-job  not seen: gone",
        ],
    );
    follow(&world, &applied).await;
    let said = world.axon(&["trace", "task/port"]).await;
    let revision = format!("revision  {}, applied ", applied.commit);
    said.check(
        0,
        &[
            &revision,
            "declared  axon.yaml:6:3\n",
            "RepoSync/app  Ready\n",
            "Task/port  Running\n",
        ],
    );
    let of_sync = world.axon(&["trace", "sync/app", "-o", "json"]).await;
    of_sync.check(0, &["Repository file://", &applied.commit]);
}

async fn a_line_is_found_in_the_clone_that_one_stands_in(context: Context) {
    let world = World::of(context).await;
    let applied = applied(&world).await;
    follow(&world, &applied).await;
    let trace = ["trace", "task", "port", "--no-fetch"];
    world.axon(&trace).await.check(1, &["line not known"]);
    let clone = world.dir().join("clone");
    let mut git = Command::new("git");
    git.args(["clone", "--quiet", &applied.url]).arg(&clone);
    assert!(git.status().unwrap().success());
    // Below its top, and its files are others by now.
    let below = clone.join("docs");
    fs::create_dir(&below).unwrap();
    let started = world.command(&trace).current_dir(&below).spawn().unwrap();
    end(started).await.check(0, &["declared  axon.yaml:6:3\n"]);
}

async fn what_no_file_declares_is_traced_to_what_made_it(context: Context) {
    let world = World::of(context).await;
    let mut run = task("bugs-7");
    run["metadata"]["labels"] = json!({"axon.io/taskspawner": "bugs"});
    run["metadata"]["annotations"] = json!({"axon.io/item-url": "https://example.com/issues/7"});
    world.make(run).await;
    let said = world.axon(&["trace", "task/bugs-7"]).await;
    said.check(
        0,
        &[
            "TaskSpawner/bugs  not seen: gone",
            "https://example.com/issues/7",
        ],
    );
    world.make(task("hand")).await;
    let said = world.axon(&["trace", "task/hand"]).await;
    said.check(0, &["made by hand"]);
    let said = world.axon(&["trace", "task/nope"]).await;
    said.check(1, &["Task/nope is not in namespace", "axon tree"]);
    world
        .axon(&["trace", "secret/x"])
        .await
        .check(64, &["not a kind"]);
}

async fn a_credential_is_shown_to_hosts_of_this_user_alone(context: Context) {
    let world = World::of(context).await;
    let dir = tempfile::tempdir().unwrap();
    let repo = GitRepo::new(dir.path(), "acme/app.git");
    let commit = repo.commit(&[("axon.yaml", CONFIG)]);
    let server = GitServer::start(dir.path());
    server.require_token("CANARY");
    let url = format!("{}/acme/app.git", server.url());
    let host = server.url().replace("http://", "");
    let port = declared(&format!("{host}/acme/app"), task("port"));
    world.make(port).await;
    let dir = tempfile::tempdir().unwrap();
    let applied = Applied {
        url: url.clone(),
        commit,
        _dir: dir,
    };
    follow(&world, &applied).await;
    let trace = async |more: &[&str], within: &std::path::Path| {
        let mut command = world.command(&[&["trace", "task/port"], more].concat());
        command.env("AXON_GIT_TOKEN", "CANARY").current_dir(within);
        end(command.spawn().unwrap()).await
    };
    let said = trace(&[], world.dir()).await;
    let told = format!("the credential is not shown to {host}; --git-host allows it");
    said.check(1, &["line not known", &told]);
    assert!(server.served().iter().all(|it| it.authorization.is_none()));
    let said = trace(&["--git-host", &host], world.dir()).await;
    said.check(0, &["declared  axon.yaml:6:3\n"]);
    // In a clone of any repository of that host.
    let clone = world.dir().join("clone");
    for args in [
        &["init", "--quiet"][..],
        &["remote", "add", "origin", &url.replace("/app", "/other")],
    ] {
        fs::create_dir_all(&clone).unwrap();
        let mut git = Command::new("git");
        git.current_dir(&clone).args(args);
        assert!(git.status().unwrap().success());
    }
    let said = trace(&[], &clone).await;
    said.check(0, &["declared  axon.yaml:6:3\n"]);
}
