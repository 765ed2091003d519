//! The process that is killed: a server, its writers, and a watch, which tell what they know.
//!
//! What it prints before it dies stays in the pipe: whoever reads it knows what was acknowledged.

use std::io::Write as _;
use std::path::Path;

use axon::local::Cluster;
use axon::local::Options;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::Client;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use kube::api::ListParams;
use kube::api::PostParams;
use kube::api::WatchEvent;
use kube::api::WatchParams;
use serde_json::json;

/// Names the directory to the process.
pub(super) const DIR: &str = "AXON_TEST_STORE_DIR";
/// Which round it is.
pub(super) const ROUND: &str = "AXON_TEST_STORE_ROUND";
/// The revision of the newest event that the last process told.
pub(super) const SEEN: &str = "AXON_TEST_STORE_SEEN";
/// Begins what is told.
pub(super) const MARK: &str = "@";
/// How many write at once, each its own object.
pub(super) const WRITERS: u64 = 6;

/// The object of one writer.
pub(super) fn name(writer: u64) -> String {
    format!("w{writer}")
}

/// The number of each writer's first write in a round.
pub(super) fn first(round: u64) -> u64 {
    round * 1_000_000
}

/// Whether write `number` deletes what is there.
pub(super) fn deletes(number: u64) -> bool {
    number % 5 == 3
}

/// One write of the pipe each, so that lines stay whole.
fn tell(line: &str) {
    let line = format!("\n{MARK}{line};\n");
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).unwrap();
    out.flush().unwrap();
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test speaks to itself through the environment"
)]
fn number(name: &str) -> u64 {
    std::env::var(name).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a part of the test that kills it"]
#[expect(
    clippy::disallowed_methods,
    reason = "the test speaks to itself through the environment"
)]
async fn host() {
    let Some(dir) = std::env::var_os(DIR) else {
        return;
    };
    let options = Options {
        ephemeral: false,
        ..Options::control_plane(Path::new(&dir))
    };
    let cluster = Cluster::start(options).await.unwrap();
    let client = cluster.client();
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let list = maps.list(&ListParams::default()).await.unwrap();
    for map in &list.items {
        let (revision, value) = (map.resource_version().unwrap(), value(map));
        tell(&format!("have {} {revision} {value}", map.name_any()));
    }
    let revision = list.metadata.resource_version.unwrap();
    tell(&format!("list {revision}"));
    tokio::spawn(watch(client.clone(), number(SEEN), revision));
    for writer in 0..WRITERS {
        let name = name(writer);
        let there = list.items.iter().find(|map| map.name_any() == name);
        tokio::spawn(write(client.clone(), name, there.cloned()));
    }
    std::future::pending::<()>().await;
}

fn value(map: &ConfigMap) -> &str {
    &map.data.as_ref().unwrap()["n"]
}

/// Creates, replaces and deletes one object, each write after the last.
async fn write(client: Client, name: String, mut there: Option<ConfigMap>) {
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    for number in first(number(ROUND)).. {
        let mut map: ConfigMap = serde_json::from_value(json!({
            "metadata": {"name": name}, "data": {"n": number.to_string()},
        }))
        .unwrap();
        let params = PostParams::default();
        there = match there {
            Some(_) if deletes(number) => {
                maps.delete(&name, &DeleteParams::default()).await.unwrap();
                tell(&format!("delete {name} {number}"));
                None
            }
            Some(old) => {
                map.metadata.resource_version = old.resource_version();
                Some(maps.replace(&name, &params, &map).await.unwrap())
            }
            None => Some(maps.create(&params, &map).await.unwrap()),
        };
        if let Some(map) = &there {
            let revision = map.resource_version().unwrap();
            tell(&format!("write {name} {revision} {number}"));
        }
    }
}

/// Watches from what was seen before; if that is too long ago, from the list.
async fn watch(client: Client, seen: u64, listed: String) {
    let maps: Api<ConfigMap> = Api::default_namespaced(client);
    if seen > 0 {
        if events(&maps, &seen.to_string(), "resumed").await {
            return;
        }
        tell("gone");
    }
    events(&maps, &listed, "list").await;
}

/// False if it is told to start anew.
async fn events(maps: &Api<ConfigMap>, from: &str, began: &str) -> bool {
    let params = WatchParams::default();
    let mut events = match maps.watch(&params, from).await {
        Ok(events) => events.boxed(),
        Err(kube::Error::Api(status)) if status.code == 410 => return false,
        Err(error) => panic!("{error}"),
    };
    let mut is_new = began == "resumed";
    while let Some(event) = events.next().await {
        let map = match event.unwrap() {
            WatchEvent::Added(map) | WatchEvent::Modified(map) | WatchEvent::Deleted(map) => map,
            WatchEvent::Bookmark(_) => continue,
            WatchEvent::Error(status) if status.code == 410 => return false,
            WatchEvent::Error(status) => panic!("{status:?}"),
        };
        if std::mem::take(&mut is_new) {
            tell(began);
        }
        tell(&format!("event {}", map.resource_version().unwrap()));
    }
    true
}
