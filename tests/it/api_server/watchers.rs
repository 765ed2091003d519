//! Hundreds of watchers at once, and one that does not read.

use futures::StreamExt as _;
use futures::TryStreamExt as _;
use futures::stream;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::ResourceExt as _;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::api::PostParams;
use kube::api::WatchEvent;
use kube::api::WatchParams;
use serde_json::json;

use super::DEADLINE;
use super::config_map;
use super::from;
use super::start;
use crate::on_both_servers;
use crate::server::Context;

on_both_servers!(five_hundred_watchers_see_every_event_in_order);

const WATCHERS: usize = 500;
const CHANGES: usize = 40;

/// Over TLS on both servers.
async fn five_hundred_watchers_see_every_event_in_order(context: Context) {
    let file = kube::config::Kubeconfig::read_from(&context.kubeconfig).unwrap();
    let options = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(file, &options)
        .await
        .unwrap();
    let client = kube::Client::try_from(config).unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(client, &context.namespace);
    let made = maps
        .create(&PostParams::default(), &config_map("a", json!({})))
        .await
        .unwrap();
    let from_there = made.resource_version().unwrap();
    let opened = stream::iter(0..WATCHERS).map(|_| async {
        let params = WatchParams::default().fields("metadata.name=a");
        maps.watch(&params, &from_there).await.unwrap().boxed()
    });
    let watches: Vec<_> = opened.buffer_unordered(16).collect().await;
    for number in 0..CHANGES {
        let data = Patch::Merge(json!({"data": {"n": number.to_string()}}));
        maps.patch("a", &PatchParams::default(), &data)
            .await
            .unwrap();
    }
    let seen = stream::iter(watches).map(|watch| async move {
        let numbers = watch.take(CHANGES).map(|event| match event.unwrap() {
            WatchEvent::Modified(map) => map.data.unwrap()["n"].clone(),
            other => panic!("{other:?}"),
        });
        numbers.collect::<Vec<_>>().await
    });
    let seen = seen.buffer_unordered(WATCHERS).collect::<Vec<_>>();
    let seen = tokio::time::timeout(DEADLINE * 3, seen).await.unwrap();
    let expected: Vec<_> = (0..CHANGES).map(|it| it.to_string()).collect();
    assert!(seen.iter().all(|it| *it == expected));
    assert_eq!(seen.len(), WATCHERS);
}

/// It is told 410 when it comes back; nothing was kept for it meanwhile.
#[tokio::test]
async fn a_watcher_that_is_too_slow_is_cut_off() {
    let it = start().await;
    let maps: Api<ConfigMap> = Api::namespaced(it.client.clone(), "default");
    let made = maps
        .create(&PostParams::default(), &config_map("a", json!({})))
        .await
        .unwrap();
    let from_there = made.resource_version().unwrap();
    let watch = maps
        .watch(&WatchParams::default(), &from_there)
        .await
        .unwrap();
    // More than the history of one resource holds, in objects that fill what lies between.
    for number in 0..60 {
        let map: ConfigMap = from(json!({
            "metadata": {"name": "a"}, "data": {"n": number.to_string(), "k": "v".repeat(400_000)},
        }));
        maps.replace("a", &PostParams::default(), &map)
            .await
            .unwrap();
    }
    let mut watch = watch.boxed();
    let mut seen = 0;
    let ended = loop {
        match watch.try_next().await.unwrap() {
            Some(WatchEvent::Modified(_)) => seen += 1,
            Some(WatchEvent::Error(status)) => break status.code,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ended, 410);
    assert!(seen < 60, "{seen}");
    assert!(
        watch.try_next().await.unwrap().is_none(),
        "the watch goes on"
    );
    it.cluster.stop().await;
}
