//! The life of built-in objects, and what watches see of it. On both servers.

use futures::StreamExt as _;
use futures::TryStreamExt as _;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::Resource as _;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use kube::api::ListParams;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::api::PostParams;
use kube::api::PropagationPolicy;
use kube::api::WatchEvent;
use kube::api::WatchParams;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher;
use serde_json::Value;
use serde_json::json;

use super::config_map;
use super::from;
use super::status;
use crate::server::Context;
use crate::server::eventually;

crate::on_both_servers!(
    objects_live_and_die,
    a_watcher_sees_everything_from_the_start_in_both_ways,
    a_watch_goes_on_where_it_stopped,
    pages_of_a_list_show_one_moment,
    dependents_follow_their_owner,
    a_namespace_takes_its_content_along,
    a_job_is_completed_as_kubernetes_does,
    options_of_lists_and_watches_are_checked,
    a_collection_goes_but_for_what_holds,
);

async fn options_of_lists_and_watches_are_checked(it: Context) {
    let check = async |query: &str, problems: &[&str]| {
        let path = format!("/api/v1/namespaces/{}/configmaps?{query}", it.namespace);
        let request = http::Request::get(path).body(Vec::new()).unwrap();
        let told = status(it.client.request::<Value>(request).await.unwrap_err());
        assert_eq!((told.code, &*told.reason), (422, "Invalid"), "{query}");
        let causes = told.details.unwrap().causes;
        let causes: Vec<_> = causes
            .iter()
            .map(|it| format!("{}: {}", it.field, it.message))
            .collect();
        assert_eq!(causes, problems, "{query}");
    };
    check(
        "resourceVersionMatch=Exact",
        &["resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"],
    )
    .await;
    check(
        "resourceVersionMatch=Exact&resourceVersion=0",
        &["resourceVersionMatch: Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""],
    )
    .await;
    check(
        "resourceVersionMatch=Newest&resourceVersion=1&sendInitialEvents=true",
        &[
            "resourceVersionMatch: Unsupported value: \"Newest\": supported values: \"Exact\", \"NotOlderThan\", \"\"",
            "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list",
        ],
    )
    .await;
    check(
        "watch=true&sendInitialEvents=true",
        &["resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"],
    )
    .await;
    check(
        "watch=true&resourceVersionMatch=NotOlderThan",
        &["resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"],
    )
    .await;
}

async fn a_collection_goes_but_for_what_holds(it: Context) {
    let maps: Api<ConfigMap> = it.api();
    for at in 0..70 {
        let mut map = config_map(&format!("of-many-{at}"), json!({}));
        map.metadata.labels = Some([("many".into(), "yes".into())].into());
        if at == 7 {
            map.metadata.finalizers = Some(vec!["example.com/held".into()]);
        }
        maps.create(&PostParams::default(), &map).await.unwrap();
    }
    let all = ListParams::default().labels("many=yes");
    maps.delete_collection(&DeleteParams::default(), &all)
        .await
        .unwrap();
    let left = maps.list(&all).await.unwrap().items;
    let left: Vec<_> = left
        .iter()
        .map(|it| (it.name_any(), it.metadata.deletion_timestamp.is_some()))
        .collect();
    assert_eq!(left, [("of-many-7".to_owned(), true)]);
    let release = json!({"metadata": {"finalizers": null}});
    maps.patch("of-many-7", &PatchParams::default(), &Patch::Merge(release))
        .await
        .unwrap();
    assert!(maps.list(&all).await.unwrap().items.is_empty());
}

async fn objects_live_and_die(it: Context) {
    let maps: Api<ConfigMap> = it.api();
    let made = maps
        .create(&PostParams::default(), &config_map("a", json!({"k": "1"})))
        .await
        .unwrap();
    assert!(made.uid().is_some() && made.creation_timestamp().is_some());
    assert_eq!(made.metadata.generation, None);

    let again = maps
        .create(&PostParams::default(), &config_map("a", json!({})))
        .await;
    let again = status(again.unwrap_err());
    assert_eq!((again.code, &*again.reason), (409, "AlreadyExists"));
    assert_eq!(again.message, "configmaps \"a\" already exists");

    let mut stale = made.clone();
    stale.data = Some([("k".into(), "2".into())].into());
    let newer = maps
        .replace("a", &PostParams::default(), &stale)
        .await
        .unwrap();
    assert_ne!(newer.resource_version(), made.resource_version());
    let conflict = maps.replace("a", &PostParams::default(), &stale).await;
    let conflict = status(conflict.unwrap_err());
    assert_eq!((conflict.code, &*conflict.reason), (409, "Conflict"));
    assert_eq!(
        conflict.message,
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again"
    );

    let same = maps
        .patch(
            "a",
            &PatchParams::default(),
            &Patch::Merge(json!({"data": {"k": "2"}})),
        )
        .await
        .unwrap();
    assert_eq!(
        same.resource_version(),
        newer.resource_version(),
        "nothing changed"
    );
    let merged = maps
        .patch(
            "a",
            &PatchParams::default(),
            &Patch::Merge(json!({"data": {"k": null, "l": "3"}})),
        )
        .await
        .unwrap();
    assert_eq!(merged.data, Some([("l".into(), "3".into())].into()));

    maps.delete("a", &DeleteParams::default()).await.unwrap();
    let gone = status(maps.get("a").await.unwrap_err());
    assert_eq!((gone.code, &*gone.reason), (404, "NotFound"));
    assert_eq!(gone.message, "configmaps \"a\" not found");
}

async fn a_watcher_sees_everything_from_the_start_in_both_ways(it: Context) {
    let secrets: Api<Secret> = it.api();
    for streaming in [false, true] {
        let name = |what: &str| format!("{what}-{streaming}");
        secrets
            .create(&PostParams::default(), &secret(&name("first"), streaming))
            .await
            .unwrap();
        let config = watcher::Config::default().labels(&format!("streaming={streaming}"));
        let config = if streaming {
            config.streaming_lists()
        } else {
            config
        };
        let mut stream = watcher(secrets.clone(), config).applied_objects().boxed();
        let next = stream.try_next().await.unwrap().unwrap();
        assert_eq!(next.name_any(), name("first"));
        secrets
            .create(&PostParams::default(), &secret(&name("second"), streaming))
            .await
            .unwrap();
        let next = stream.try_next().await.unwrap().unwrap();
        assert_eq!(next.name_any(), name("second"));
    }
}

fn secret(name: &str, streaming: bool) -> Secret {
    let labels = json!({"streaming": streaming.to_string()});
    from(json!({"metadata": {"name": name, "labels": labels}}))
}

async fn a_watch_goes_on_where_it_stopped(it: Context) {
    let maps: Api<ConfigMap> = it.api();
    let labelled = |on: bool| json!({"metadata": {"labels": {"on": on.to_string()}}});
    let made = maps
        .create(&PostParams::default(), &config_map("a", json!({})))
        .await
        .unwrap();
    for on in [true, false] {
        maps.patch("a", &PatchParams::default(), &Patch::Merge(labelled(on)))
            .await
            .unwrap();
    }
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    let params = WatchParams::default().labels("on=true");
    let events = maps.watch(&params, &made.resource_version().unwrap()).await;
    let events: Vec<_> = events.unwrap().take(2).try_collect().await.unwrap();
    let kinds: Vec<_> = events
        .iter()
        .map(|event| match event {
            WatchEvent::Added(_) => "added",
            WatchEvent::Modified(_) => "modified",
            WatchEvent::Deleted(_) => "deleted",
            WatchEvent::Bookmark(_) => "bookmark",
            WatchEvent::Error(_) => "error",
        })
        .collect();
    assert_eq!(kinds, ["added", "deleted"], "what the selector sees");
}

async fn pages_of_a_list_show_one_moment(it: Context) {
    let maps: Api<Secret> = it.api();
    for name in ["a", "b", "c"] {
        maps.create(&PostParams::default(), &secret(name, true))
            .await
            .unwrap();
    }
    let first = maps.list(&ListParams::default().limit(2)).await.unwrap();
    assert_eq!(first.metadata.remaining_item_count, Some(1));
    maps.delete("c", &DeleteParams::default()).await.unwrap();
    maps.create(&PostParams::default(), &secret("d", true))
        .await
        .unwrap();
    let token = first.metadata.continue_.unwrap();
    let rest = maps
        .list(&ListParams::default().limit(2).continue_token(&token))
        .await
        .unwrap();
    let names: Vec<_> = rest.items.iter().map(kube::ResourceExt::name_any).collect();
    assert_eq!(names, ["c"], "as it was when the first page was taken");
    assert_eq!(rest.metadata.continue_, None);
}

async fn dependents_follow_their_owner(it: Context) {
    let maps: Api<ConfigMap> = it.api();
    let owner = maps
        .create(&PostParams::default(), &config_map("owner", json!({})))
        .await
        .unwrap();
    let child_of_owner = |name: &str| {
        let mut map = config_map(name, json!({}));
        let mut reference = owner.owner_ref(&()).unwrap();
        reference.block_owner_deletion = Some(true);
        map.metadata.owner_references = Some(vec![reference]);
        map
    };
    let exists = async |name: &str| maps.get_opt(name).await.unwrap().is_some();
    maps.create(&PostParams::default(), &child_of_owner("child"))
        .await
        .unwrap();
    let orphan = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Orphan),
        ..DeleteParams::default()
    };
    maps.delete("owner", &orphan).await.unwrap();
    eventually("the owner to go", async || {
        (!exists("owner").await).then_some(())
    })
    .await;
    let child = maps.get("child").await.unwrap();
    assert!(child.owner_references().is_empty(), "it was let go");

    let owner = maps
        .create(&PostParams::default(), &config_map("owner", json!({})))
        .await
        .unwrap();
    let mut second = config_map("second", json!({}));
    second.metadata.owner_references = Some(vec![owner.owner_ref(&()).unwrap()]);
    maps.create(&PostParams::default(), &second).await.unwrap();
    maps.delete("owner", &DeleteParams::background())
        .await
        .unwrap();
    eventually("the dependent to go", async || {
        (!exists("second").await).then_some(())
    })
    .await;
}

async fn a_namespace_takes_its_content_along(it: Context) {
    let namespaces: Api<Namespace> = Api::all(it.client.clone());
    let name = format!("{}-gone", it.namespace);
    let named: Namespace = from(json!({"metadata": {"name": name}}));
    let maps: Api<ConfigMap> = Api::namespaced(it.client.clone(), &name);
    let early = maps
        .create(&PostParams::default(), &config_map("a", json!({})))
        .await;
    assert_eq!(
        status(early.unwrap_err()).message,
        format!("namespaces \"{name}\" not found")
    );
    namespaces
        .create(&PostParams::default(), &named)
        .await
        .unwrap();
    maps.create(&PostParams::default(), &config_map("a", json!({})))
        .await
        .unwrap();
    namespaces
        .delete(&name, &DeleteParams::default())
        .await
        .unwrap();
    eventually("the namespace to go", async || {
        namespaces
            .get_opt(&name)
            .await
            .unwrap()
            .is_none()
            .then_some(())
    })
    .await;
    assert!(maps.get_opt("a").await.unwrap().is_none());
}

async fn a_job_is_completed_as_kubernetes_does(it: Context) {
    let jobs: Api<Job> = it.api();
    let job: Job = from(json!({
        "metadata": {"generateName": "j-"},
        "spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}],
        }}},
    }));
    let made = jobs.create(&PostParams::default(), &job).await.unwrap();
    let (name, uid) = (made.name_any(), made.uid().unwrap());
    assert_eq!(name.len(), 7);
    let spec = made.spec.unwrap();
    let labels = spec.template.metadata.unwrap().labels.unwrap();
    assert_eq!(labels["batch.kubernetes.io/controller-uid"], uid);
    assert_eq!(labels["batch.kubernetes.io/job-name"], name);
    assert_eq!(spec.backoff_limit, Some(6));
}
