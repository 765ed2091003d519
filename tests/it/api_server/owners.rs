//! What becomes of dependents when one of their owners goes. On both servers.

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::Api;
use kube::Resource as _;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::api::PostParams;
use serde_json::json;

use super::config_map;
use super::from;
use crate::server::Context;
use crate::server::eventually;

crate::on_both_servers!(
    a_shared_dependent_outlives_one_of_its_owners,
    foreground_deletion_waits_for_what_blocks_it,
    a_circle_of_owners_goes_as_a_whole,
    a_cluster_wide_dependent_of_a_namespaced_owner_is_kept,
);

struct Maps(Api<ConfigMap>);

impl Maps {
    /// Makes `name` with owners, each of which it holds up.
    async fn make(&self, name: &str, owners: &[&ConfigMap]) -> ConfigMap {
        let mut map = config_map(name, json!({}));
        let references = owners.iter().map(|owner| {
            let mut reference = owner.owner_ref(&()).unwrap();
            reference.block_owner_deletion = Some(true);
            reference
        });
        map.metadata.owner_references = Some(references.collect());
        self.0.create(&PostParams::default(), &map).await.unwrap()
    }

    async fn patch(&self, name: &str, patch: serde_json::Value) {
        let params = PatchParams::default();
        let patch = Patch::Merge(patch);
        self.0.patch(name, &params, &patch).await.unwrap();
    }

    async fn delete_foreground(&self, name: &str) {
        let params = DeleteParams::foreground();
        self.0.delete(name, &params).await.unwrap();
    }

    async fn is_gone(&self, name: &str) {
        let gone = async || self.0.get_opt(name).await.unwrap().is_none().then_some(());
        eventually(&format!("{name} to go"), gone).await;
    }
}

async fn a_shared_dependent_outlives_one_of_its_owners(it: Context) {
    let maps = Maps(it.api());
    let one = maps.make("one", &[]).await;
    let two = maps.make("two", &[]).await;
    maps.make("shared", &[&one, &two]).await;
    maps.make("own", &[&one]).await;
    maps.delete_foreground("one").await;
    maps.is_gone("own").await;
    maps.is_gone("one").await;
    let shared = maps.0.get("shared").await.unwrap();
    assert!(shared.metadata.deletion_timestamp.is_none());
    let owners: Vec<_> = shared.owner_references().iter().map(|it| &it.uid).collect();
    assert_eq!(owners, [&two.uid().unwrap()]);

    maps.delete_foreground("two").await;
    maps.is_gone("shared").await;
    maps.is_gone("two").await;
}

async fn foreground_deletion_waits_for_what_blocks_it(it: Context) {
    let maps = Maps(it.api());
    let owner = maps.make("owner", &[]).await;
    let child = maps.make("child", &[&owner]).await;
    maps.make("grandchild", &[&child]).await;
    let held = json!({"metadata": {"finalizers": ["test.io/held"]}});
    maps.patch("grandchild", held).await;
    maps.delete_foreground("owner").await;
    let marked = async || {
        let map = maps.0.get("grandchild").await.unwrap();
        map.metadata.deletion_timestamp
    };
    eventually("the grandchild to be marked", marked).await;
    for name in ["owner", "child"] {
        let waiting = maps.0.get(name).await.unwrap();
        assert!(waiting.metadata.deletion_timestamp.is_some(), "{name}");
        assert_eq!(waiting.finalizers(), ["foregroundDeletion"], "{name}");
    }
    let free = json!({"metadata": {"finalizers": null}});
    maps.patch("grandchild", free).await;
    for name in ["grandchild", "child", "owner"] {
        maps.is_gone(name).await;
    }
}

async fn a_circle_of_owners_goes_as_a_whole(it: Context) {
    let maps = Maps(it.api());
    let one = maps.make("one", &[]).await;
    let two = maps.make("two", &[&one]).await;
    let mut reference = two.owner_ref(&()).unwrap();
    reference.block_owner_deletion = Some(true);
    let circle = json!({"metadata": {"ownerReferences": [reference]}});
    maps.patch("one", circle).await;
    maps.delete_foreground("one").await;
    maps.is_gone("one").await;
    maps.is_gone("two").await;
}

async fn a_cluster_wide_dependent_of_a_namespaced_owner_is_kept(it: Context) {
    let maps = Maps(it.api());
    let roles: Api<ClusterRole> = Api::all(it.client.clone());
    let owner = maps.make("owner", &[]).await;
    maps.make("child", &[&owner]).await;
    let name = format!("role-of-{}", it.namespace);
    let role: ClusterRole = from(json!({
        "metadata": {"name": name, "ownerReferences": [owner.owner_ref(&()).unwrap()]}, "rules": [],
    }));
    let params = PostParams::default();
    roles.create(&params, &role).await.unwrap();
    let background = DeleteParams::background();
    maps.0.delete("owner", &background).await.unwrap();
    // What is looked at before or after the role goes.
    maps.is_gone("child").await;
    let later = maps.make("later", &[&owner]).await;
    maps.is_gone(&later.name_any()).await;
    let kept = roles.get(&name).await.unwrap();
    assert_eq!(kept.owner_references().len(), 1);
    roles.delete(&name, &DeleteParams::default()).await.unwrap();
}
