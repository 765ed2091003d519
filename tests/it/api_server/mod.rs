//! The embedded API server through the client that everything else uses.
//!
//! What is Kubernetes' truth is asked of both servers, in the modules; here is what only this one has.
#![expect(
    clippy::needless_pass_by_value,
    clippy::panic,
    reason = "literals read better; a wrong answer is a failed test"
)]

mod apply;
mod compared;
mod definitions;
mod limits;
mod objects;
mod owners;
mod watchers;
mod widgets;

use std::path::Path;
use std::time::Duration;

use axon::local::Cluster;
use axon::local::Options;
use futures::StreamExt as _;
use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::Client;
use kube::ResourceExt as _;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::api::PostParams;
use kube::api::WatchEvent;
use kube::api::WatchParams;
use kube::core::Status;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::json;

/// How long anything may take before a test fails.
const DEADLINE: Duration = Duration::from_secs(20);

struct Fixture {
    cluster: Cluster,
    client: Client,
    _dir: tempfile::TempDir,
}

async fn start() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let cluster = open(dir.path(), true).await;
    let client = cluster.client();
    Fixture {
        cluster,
        client,
        _dir: dir,
    }
}

async fn open(dir: &Path, ephemeral: bool) -> Cluster {
    Cluster::start(options(dir, ephemeral)).await.unwrap()
}

fn options(dir: &Path, ephemeral: bool) -> Options {
    Options {
        dir: dir.to_path_buf(),
        ephemeral,
        node: None,
        listen: false,
    }
}

fn from<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn config_map(name: &str, data: Value) -> ConfigMap {
    from(json!({"metadata": {"name": name}, "data": data}))
}

fn status(error: kube::Error) -> Status {
    match error {
        kube::Error::Api(status) => *status,
        other => panic!("no answer of the server: {other}"),
    }
}

#[tokio::test]
async fn one_directory_has_one_cluster_though_it_keeps_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for (first, second) in [(true, true), (true, false), (false, true)] {
        let running = open(dir.path(), first).await;
        let taken = Cluster::start(options(dir.path(), second)).await;
        let taken = anyhow::Error::from(taken.err().unwrap());
        assert!(format!("{taken:#}").contains("in use by another process"));
        running.stop().await;
    }
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path(), false).await;
    let maps: Api<ConfigMap> = Api::namespaced(first.client(), "default");
    let made = maps
        .create(&PostParams::default(), &config_map("a", json!({"k": "v"})))
        .await
        .unwrap();
    let taken = Cluster::start(options(dir.path(), false)).await;
    let taken = taken
        .err()
        .map(|it| format!("{:#}", anyhow::Error::from(it)));
    assert!(taken.unwrap().contains("in use by another process"));

    // What a `kill -9` leaves behind: the files as they are, nothing closed.
    let copy = tempfile::tempdir().unwrap();
    for file in ["store.db", "store.db-wal"] {
        std::fs::copy(dir.path().join(file), copy.path().join(file)).unwrap();
    }
    let second = open(copy.path(), false).await;
    let maps: Api<ConfigMap> = Api::namespaced(second.client(), "default");
    let found = maps.get("a").await.unwrap();
    assert_eq!(found, made);
    let next = maps
        .create(&PostParams::default(), &config_map("b", json!({})))
        .await
        .unwrap();
    let revision = |map: &ConfigMap| map.resource_version().unwrap().parse::<u64>().unwrap();
    assert!(revision(&next) > revision(&made));
    second.stop().await;
    first.stop().await;
}

#[tokio::test]
async fn a_damaged_store_is_said_and_not_served() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path(), false).await;
    let secrets: Api<Secret> = Api::namespaced(first.client(), "default");
    let secret: Secret =
        from(json!({"metadata": {"name": "s"}, "stringData": {"k": "needle-needle"}}));
    let made = secrets
        .create(&PostParams::default(), &secret)
        .await
        .unwrap();
    assert_eq!(made.data.unwrap()["k"].0, b"needle-needle");
    first.stop().await;
    let path = dir.path().join("store.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let needle = b"\"Opaque\"";
    let at = bytes
        .windows(needle.len())
        .position(|it| it == needle)
        .unwrap();
    bytes[at + 1] = b'X';
    std::fs::write(&path, bytes).unwrap();
    let options = options(dir.path(), false);
    let error = Cluster::start(options).await.err().map(anyhow::Error::from);
    let error = format!("{:#}", error.unwrap());
    assert!(error.contains("is damaged"), "{error}");
}

#[tokio::test]
async fn https_serves_nothing_without_certificate_or_token() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path(), true);
    options.listen = true;
    let cluster = Cluster::start(options).await.unwrap();
    let mode = |path: &Path| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    };
    assert_eq!(mode(cluster.kubeconfig()), 0o600);
    assert_eq!(
        std::fs::read_to_string(dir.path().join(".gitignore")).unwrap(),
        "*\n"
    );
    let whole = kube::config::Kubeconfig::read_from(cluster.kubeconfig()).unwrap();
    let allowed = async |change: fn(&mut kube::config::AuthInfo)| {
        let mut kubeconfig = whole.clone();
        change(kubeconfig.auth_infos[0].auth_info.as_mut().unwrap());
        let options = kube::config::KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .unwrap();
        let client = Client::try_from(config).unwrap();
        client
            .apiserver_version()
            .await
            .map_err(status)
            .map_err(|it| it.code)
    };
    assert!(allowed(|_| ()).await.is_ok());
    assert!(
        allowed(|it| it.token = None).await.is_ok(),
        "the certificate is enough"
    );
    let without_certificate = |it: &mut kube::config::AuthInfo| {
        it.client_certificate_data = None;
        it.client_key_data = None;
    };
    assert!(
        allowed(without_certificate).await.is_ok(),
        "the token is enough"
    );
    let neither = allowed(|it| {
        it.client_certificate_data = None;
        it.client_key_data = None;
        it.token = None;
    });
    assert_eq!(neither.await.unwrap_err(), 401);
    cluster.stop().await;
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story of a log")]
async fn logs_are_read_followed_and_cut() {
    let it = start().await;
    let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(it.client.clone(), "default");
    let pod = from(json!({
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }));
    let made = pods.create(&PostParams::default(), &pod).await.unwrap();
    let params = kube::api::LogParams::default();
    let early = status(pods.logs("p", &params).await.unwrap_err());
    assert_eq!(
        early.message,
        "container \"c\" in pod \"p\" is waiting to start: ContainerCreating"
    );
    let path = it
        .cluster
        .logs()
        .container("default", "p", &made.uid().unwrap(), "c")
        .unwrap();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "one\ntwo\nthree\n").unwrap();
    let state = |state: Value| {
        Patch::Merge(json!({"status": {"containerStatuses": [
            {"name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state},
        ]}}))
    };
    let running = state(json!({"running": {}}));
    pods.patch_status("p", &PatchParams::default(), &running)
        .await
        .unwrap();
    assert_eq!(pods.logs("p", &params).await.unwrap(), "one\ntwo\nthree\n");
    let last = kube::api::LogParams {
        tail_lines: Some(2),
        limit_bytes: Some(5),
        ..params.clone()
    };
    assert_eq!(pods.logs("p", &last).await.unwrap(), "two\nt");
    let follow = kube::api::LogParams {
        follow: true,
        ..params
    };
    let mut stream = std::pin::pin!(pods.log_stream("p", &follow).await.unwrap());
    let mut seen = [0; 14];
    futures::AsyncReadExt::read_exact(&mut stream, &mut seen)
        .await
        .unwrap();
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap();
    std::io::Write::write_all(&mut file, b"four\n").unwrap();
    let ended = state(json!({"terminated": {"exitCode": 0}}));
    pods.patch_status("p", &PatchParams::default(), &ended)
        .await
        .unwrap();
    let mut rest = String::new();
    let reading = futures::AsyncReadExt::read_to_string(&mut stream, &mut rest);
    tokio::time::timeout(DEADLINE, reading)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(rest, "four\n");
    it.cluster.stop().await;
}

#[tokio::test]
async fn a_watch_from_too_long_ago_is_told_that_it_cannot_go_on() {
    let it = start().await;
    let maps: Api<ConfigMap> = Api::namespaced(it.client.clone(), "default");
    let made = maps
        .create(&PostParams::default(), &config_map("busy", json!({})))
        .await
        .unwrap();
    for index in 0..2100 {
        let data = json!({"data": {"n": index.to_string()}});
        maps.patch("busy", &PatchParams::default(), &Patch::Merge(data))
            .await
            .unwrap();
    }
    let late = maps
        .watch(&WatchParams::default(), &made.resource_version().unwrap())
        .await;
    let late = match late {
        Ok(stream) => match stream.boxed().try_next().await {
            Ok(Some(WatchEvent::Error(status))) => status.code,
            other => panic!("{other:?}"),
        },
        Err(error) => status(error).code,
    };
    assert_eq!(late, 410);
}
