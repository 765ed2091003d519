//! The embedded cluster beside kube-apiserver and etcd: the same requests to both, in one run, over HTTPS. Prints
//! figures; nothing here passes or fails by them. The embedded cluster writes each change to disk before it says so;
//! the etcd of the tests does not.
//!
//! `make bench` runs it with `AXON_TEST_KUBECONFIG` set.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "it prints figures, and a request that fails ends it"
)]

use std::fs;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use futures::AsyncBufReadExt as _;
use futures::StreamExt as _;
use futures::TryStreamExt as _;
use futures::stream;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::Client;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::api::PostParams;
use kube::config::KubeConfigOptions;
use kube::config::Kubeconfig;
use serde_json::json;

/// Requests that are under way at a time.
const AT_A_TIME: usize = 8;
/// Objects there are when lists are taken and memory is looked at.
const OBJECTS: u32 = 10_000;
/// Requests of each other kind.
const REQUESTS: u32 = 1_000;
const LISTS: u32 = 5;
const WATCHERS: usize = 500;
/// Events that each of them sees.
const EVENTS: usize = 20;
const NAMESPACE: &str = "bench-servers";
/// What the embedded cluster's `axon.yaml` declares.
const WORKSPACE: &str = "/apis/axon.io/v1alpha1/namespaces/default/workspaces/w";

/// What was measured on one server: a row's name and its figure, in the same order on both.
type Figures = Vec<(&'static str, f64)>;

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (mut program, client, start) = runtime.block_on(embedded(dir.path()));
    let mut ours = runtime.block_on(measure(&client));
    ours.push(("memory, MB", memory(&[program.id()])));
    program.kill().unwrap();
    program.wait().unwrap();
    let theirs = runtime.block_on(async {
        let client = connect(&var("AXON_TEST_KUBECONFIG").unwrap()).await;
        let mut theirs = measure(&client).await;
        theirs.push((
            "memory, MB",
            memory(&[running("kube-apiserver"), running("etcd")]),
        ));
        theirs
    });
    println!(
        "{:34} {:>10} {:>10} {:>7}",
        "", "embedded", "Kubernetes", "ratio"
    );
    for ((what, ours), (_, theirs)) in ours.iter().zip(&theirs) {
        println!("{what:34} {ours:10.2} {theirs:10.2} {:7.2}", theirs / ours);
    }
    println!("{:34} {:10.2}", "start to first answer, ms", ms(start, 1));
}

/// Starts `axon dev`; gives how long it took until it answered.
async fn embedded(dir: &Path) -> (Child, Client, Duration) {
    let config = "apiVersion: axon.io/v1alpha1\nkind: Config\nworkspaces: {w: {repo: \"https://127.0.0.1/a.git\"}}\n";
    fs::write(dir.join("axon.yaml"), config).unwrap();
    let began = Instant::now();
    let program = Command::new(env!("CARGO_BIN_EXE_axon"))
        .args(["dev", "."])
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let kubeconfig = dir.join(".axon/kubeconfig");
    while !kubeconfig.exists() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let client = connect(kubeconfig.to_str().unwrap()).await;
    client.apiserver_version().await.unwrap();
    let start = began.elapsed();
    // What it does at its start is not to be measured with the requests.
    while client.request_text(get(WORKSPACE.into())).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    (program, client, start)
}

async fn connect(kubeconfig: &str) -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .unwrap();
    config.read_timeout = None;
    Client::try_from(config).unwrap()
}

async fn measure(client: &Client) -> Figures {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = serde_json::from_value(json!({"metadata": {"name": NAMESPACE}})).unwrap();
    namespaces
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
    let create = async |at: u32| {
        maps.create(&PostParams::default(), &map(&format!("made-{at}")))
            .await
            .unwrap();
    };
    let created = each(0..REQUESTS, create).await;
    each(REQUESTS..OBJECTS, create).await;
    let get = async |at: u32| {
        maps.get(&format!("made-{at}")).await.unwrap();
    };
    let got = each(0..REQUESTS, get).await;
    let listed = lists(client).await;
    let parameters = PatchParams::apply("bench");
    let apply = async |at: u32| {
        let name = format!("applied-{at}");
        maps.patch(&name, &parameters, &Patch::Apply(map(&name)))
            .await
            .unwrap();
    };
    let applied = each(0..REQUESTS, apply).await;
    let again = each(0..REQUESTS, apply).await;
    let fanned = fan_out(client, &maps).await;
    vec![
        ("create, ms each", ms(created, REQUESTS)),
        ("get, ms each", ms(got, REQUESTS)),
        ("list of 10,000, ms", ms(listed, LISTS)),
        ("apply, ms each", ms(applied, REQUESTS)),
        ("apply of no change, ms each", ms(again, REQUESTS)),
        ("20 events to 500 watchers, ms", ms(fanned, 1)),
    ]
}

/// Milliseconds for each of so many.
fn ms(took: Duration, count: u32) -> f64 {
    (took / count).as_secs_f64() * 1e3
}

fn map(name: &str) -> ConfigMap {
    let value = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"app": "bench"}},
        "data": {"text": "x".repeat(200)},
    });
    serde_json::from_value(value).unwrap()
}

async fn each(all: std::ops::Range<u32>, request: impl AsyncFn(u32)) -> Duration {
    let began = Instant::now();
    stream::iter(all)
        .for_each_concurrent(AT_A_TIME, |at| request(at))
        .await;
    began.elapsed()
}

/// Whole lists, as bytes: what a client makes of them is not the server's time.
async fn lists(client: &Client) -> Duration {
    let began = Instant::now();
    for _ in 0..LISTS {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/configmaps");
        let text = client.request_text(get(path)).await.unwrap();
        assert!(text.len() > 200 * usize::try_from(OBJECTS).unwrap());
    }
    began.elapsed()
}

/// From the first of some changes until every watcher has seen the last.
async fn fan_out(client: &Client, maps: &Api<ConfigMap>) -> Duration {
    let version = maps
        .list_metadata(&kube::api::ListParams::default().limit(1))
        .await
        .unwrap();
    let version = version.metadata.resource_version.unwrap();
    let watches = stream::iter(0..WATCHERS).map(async |_| {
        let path = format!(
            "/api/v1/namespaces/{NAMESPACE}/configmaps?watch=true&timeoutSeconds=600&resourceVersion={version}"
        );
        client.request_stream(get(path)).await.unwrap().lines()
    });
    let watches: Vec<_> = watches.buffer_unordered(64).collect().await;
    let began = Instant::now();
    let write = async {
        for at in 0..EVENTS {
            let name = format!("seen-{at}");
            maps.create(&PostParams::default(), &map(&name))
                .await
                .unwrap();
        }
    };
    let see = stream::iter(watches).for_each_concurrent(None, async |mut lines| {
        for _ in 0..EVENTS {
            let line = lines.try_next().await.unwrap().unwrap();
            assert!(line.contains("ADDED"), "{line}");
        }
    });
    futures::join!(write, see);
    began.elapsed()
}

fn get(path: String) -> http::Request<Vec<u8>> {
    http::Request::get(path).body(Vec::new()).unwrap()
}

/// Resident memory of some processes, in MB.
fn memory(processes: &[u32]) -> f64 {
    let of = |process: &u32| {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let line = status.lines().find(|it| it.starts_with("VmRSS:")).unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<f64>()
            .unwrap()
    };
    processes.iter().map(of).sum::<f64>() / 1024.0
}

/// The newest process that runs a part of the control plane.
fn running(part: &str) -> u32 {
    let all = fs::read_dir("/proc").unwrap();
    let processes = all.filter_map(|it| it.unwrap().file_name().to_str()?.parse::<u32>().ok());
    let runs = |process: &u32| {
        let line = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        line.split(|it| *it == 0).nth(1) == Some(part.as_bytes())
    };
    processes.filter(runs).max().unwrap()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the harness speaks to the bench through the environment"
)]
fn var(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
