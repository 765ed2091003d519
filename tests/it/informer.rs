//! A client that we did not write: client-go's shared informer, and kube's reflector, on both servers.

use std::process::Stdio;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::DeleteParams;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::api::PostParams;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::reflector;
use kube::runtime::watcher;
use serde_json::Value;
use serde_json::json;
use tokio::io::AsyncBufReadExt as _;
use tokio::io::BufReader;
use tokio::io::Lines;
use tokio::process::ChildStdout;
use tokio::process::Command;

use crate::on_both_servers;
use crate::server::Context;
use crate::server::eventually;

on_both_servers!(client_go_sees_what_happens, a_reflector_holds_what_is_there);

/// How long the informer may take to tell what happened.
const DEADLINE: Duration = Duration::from_mins(1);

fn map(name: &str, number: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}, "data": {"n": number}})).unwrap()
}

async fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> String {
    let line = tokio::time::timeout(DEADLINE, lines.next_line()).await;
    line.unwrap().unwrap().unwrap()
}

async fn client_go_sees_what_happens(context: Context) {
    let Some(kubectl) = crate::kubectl::program() else {
        return;
    };
    let maps: Api<ConfigMap> = context.api();
    let params = PostParams::default();
    maps.create(&params, &map("early", "1")).await.unwrap();
    let mut informer = Command::new(&kubectl[0])
        .args(["informer", "--namespace", &context.namespace, "--resync=2s"])
        .arg("--kubeconfig")
        .arg(&context.kubeconfig)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(informer.stdout.take().unwrap()).lines();
    // In either order: the handler runs beside the informer.
    let mut first = [next(&mut lines).await, next(&mut lines).await];
    first.sort();
    assert_eq!(first, ["add early 1", "synced"]);
    // What is told again because time has passed comes in between.
    let mut expect = async |line: &str| loop {
        let told = next(&mut lines).await;
        if !told.starts_with("resync ") || line.starts_with("resync ") {
            break assert_eq!(told, line);
        }
    };
    maps.create(&params, &map("late", "1")).await.unwrap();
    expect("add late 1").await;
    for number in ["2", "3", "4"] {
        let change = Patch::Merge(json!({"data": {"n": number}}));
        maps.patch("late", &PatchParams::default(), &change)
            .await
            .unwrap();
        expect(&format!("update late {number}")).await;
    }
    maps.delete("early", &DeleteParams::default())
        .await
        .unwrap();
    expect("delete early 1").await;
    expect("resync late 4").await;
    informer.kill().await.unwrap();
}

async fn a_reflector_holds_what_is_there(context: Context) {
    let maps: Api<ConfigMap> = context.api();
    for streaming in [false, true] {
        let name = if streaming { "streamed" } else { "listed" };
        maps.create(&PostParams::default(), &map(name, "1"))
            .await
            .unwrap();
        let config = watcher::Config::default();
        let config = if streaming {
            config.streaming_lists()
        } else {
            config
        };
        let (store, writer) = reflector::store();
        let stream = watcher(maps.clone(), config)
            .reflect(writer)
            .applied_objects();
        let running = tokio::spawn(stream.for_each(async |event| drop(event.unwrap())));
        store.wait_until_ready().await.unwrap();
        let key = reflector::ObjectRef::new(name).within(&context.namespace);
        let held = || {
            store
                .get(&key)
                .map(|it| serde_json::to_value(&it.data).unwrap())
        };
        let first = async || held().filter(|it: &Value| it["n"] == "1");
        eventually("what was there", first).await;
        let change = Patch::Merge(json!({"data": {"n": "2"}}));
        maps.patch(name, &PatchParams::default(), &change)
            .await
            .unwrap();
        let changed = async || held().filter(|it: &Value| it["n"] == "2");
        eventually("the change", changed).await;
        maps.delete(name, &DeleteParams::default()).await.unwrap();
        eventually("the deletion", async || held().is_none().then_some(())).await;
        running.abort();
    }
}
