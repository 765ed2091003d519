//! The embedded API server through the client that everything else uses.
#![expect(
    clippy::needless_pass_by_value,
    clippy::panic,
    reason = "literals read better; a wrong answer is a failed test"
)]

use std::path::Path;
use std::time::Duration;

use axon::local::Cluster;
use axon::local::Options;
use futures::StreamExt as _;
use futures::TryStreamExt as _;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::Client;
use kube::Resource;
use kube::ResourceExt as _;
use kube::api::ApiResource;
use kube::api::DeleteParams;
use kube::api::DynamicObject;
use kube::api::ListParams;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::api::PostParams;
use kube::api::PropagationPolicy;
use kube::api::WatchEvent;
use kube::api::WatchParams;
use kube::core::GroupVersionKind;
use kube::core::Status;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::json;

/// How long anything may take before a test fails.
const DEADLINE: Duration = Duration::from_secs(20);

struct Fixture {
    cluster: Cluster,
    client: Client,
    dir: tempfile::TempDir,
}

async fn start() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let cluster = open(dir.path(), true).await;
    let client = cluster.client();
    Fixture {
        cluster,
        client,
        dir,
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

async fn eventually<F: Future<Output = bool>>(what: &str, mut check: impl FnMut() -> F) {
    let waiting = async {
        while !check().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(
        tokio::time::timeout(DEADLINE, waiting).await.is_ok(),
        "not in time: {what}"
    );
}

/// A definition with a schema that defaults, prunes and refuses.
fn widgets_crd() -> CustomResourceDefinition {
    from(json!({
        "metadata": {"name": "widgets.test.io"},
        "spec": {
            "group": "test.io", "scope": "Namespaced",
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wd"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "properties": {
                        "spec": {
                            "type": "object",
                            "required": ["size"],
                            "properties": {
                                "size": {"type": "integer", "minimum": 1},
                                "color": {"type": "string", "default": "red", "enum": ["red", "blue"]},
                                "name": {"type": "string", "maxLength": 5, "pattern": "^[a-z]+$"},
                                "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
                                "parts": {
                                    "type": "array",
                                    "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"],
                                    "items": {"type": "object", "required": ["id"], "properties": {
                                        "id": {"type": "string"}, "count": {"type": "integer", "default": 1},
                                    }},
                                },
                                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                                "limits": {"type": "object", "additionalProperties": {"type": "string"}},
                            },
                            "x-kubernetes-validations": [
                                {"rule": "!has(self.name) || self.name != 'bad'", "message": "bad is bad"},
                                {"rule": "self.size >= oldSelf.size", "message": "a widget never shrinks"},
                            ],
                        },
                        "status": {"type": "object", "properties": {"ready": {"type": "boolean"}}},
                    },
                }},
            }],
        },
    }))
}

fn widget_api(client: &Client) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("test.io", "v1", "Widget");
    let resource = ApiResource::from_gvk_with_plural(&kind, "widgets");
    Api::namespaced_with(client.clone(), "default", &resource)
}

async fn with_widgets(client: &Client) -> Api<DynamicObject> {
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    crds.create(&PostParams::default(), &widgets_crd())
        .await
        .unwrap();
    widget_api(client)
}

fn widget(name: &str, spec: Value) -> DynamicObject {
    from(
        json!({"apiVersion": "test.io/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec}),
    )
}

#[tokio::test]
async fn objects_live_and_die() {
    let it = start().await;
    let maps: Api<ConfigMap> = Api::namespaced(it.client.clone(), "default");
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
    it.cluster.stop().await;
    drop(it.dir);
}

#[tokio::test]
async fn a_watcher_sees_everything_from_the_start_in_both_ways() {
    for streaming in [false, true] {
        let it = start().await;
        let maps: Api<ConfigMap> = Api::namespaced(it.client.clone(), "default");
        maps.create(&PostParams::default(), &config_map("first", json!({})))
            .await
            .unwrap();
        let config = if streaming {
            watcher::Config::default().streaming_lists()
        } else {
            watcher::Config::default()
        };
        let mut stream = watcher(maps.clone(), config).applied_objects().boxed();
        let next = stream.try_next().await.unwrap().unwrap();
        assert_eq!(next.name_any(), "first");
        maps.create(&PostParams::default(), &config_map("second", json!({})))
            .await
            .unwrap();
        let next = stream.try_next().await.unwrap().unwrap();
        assert_eq!(next.name_any(), "second");
        it.cluster.stop().await;
    }
}

#[tokio::test]
async fn a_watch_goes_on_where_it_stopped_or_is_told_that_it_cannot() {
    let it = start().await;
    let maps: Api<ConfigMap> = Api::namespaced(it.client.clone(), "default");
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
    let params = WatchParams::default().labels("on=true").timeout(1);
    let events = maps.watch(&params, &made.resource_version().unwrap()).await;
    let events: Vec<_> = events.unwrap().try_collect().await.unwrap();
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

    for index in 0..2100 {
        let data = json!({"data": {"n": index.to_string()}});
        if index == 0 {
            maps.create(&PostParams::default(), &config_map("busy", json!({})))
                .await
                .unwrap();
        }
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
    it.cluster.stop().await;
}

#[tokio::test]
async fn pages_of_a_list_show_one_moment() {
    let it = start().await;
    let maps: Api<ConfigMap> = Api::namespaced(it.client.clone(), "default");
    for name in ["a", "b", "c"] {
        maps.create(&PostParams::default(), &config_map(name, json!({})))
            .await
            .unwrap();
    }
    let first = maps.list(&ListParams::default().limit(2)).await.unwrap();
    assert_eq!(first.metadata.remaining_item_count, Some(1));
    maps.delete("c", &DeleteParams::default()).await.unwrap();
    maps.create(&PostParams::default(), &config_map("d", json!({})))
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
    it.cluster.stop().await;
}

#[tokio::test]
async fn dependents_follow_their_owner() {
    let it = start().await;
    let maps: Api<ConfigMap> = Api::namespaced(it.client.clone(), "default");
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
    eventually("the owner to go", || async { !exists("owner").await }).await;
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
    eventually("the dependent to go", || async { !exists("second").await }).await;
    it.cluster.stop().await;
}

#[tokio::test]
async fn a_namespace_takes_its_content_along() {
    let it = start().await;
    let namespaces: Api<Namespace> = Api::all(it.client.clone());
    let named: Namespace = from(json!({"metadata": {"name": "gone"}}));
    let maps: Api<ConfigMap> = Api::namespaced(it.client.clone(), "gone");
    let early = maps
        .create(&PostParams::default(), &config_map("a", json!({})))
        .await;
    assert_eq!(
        status(early.unwrap_err()).message,
        "namespaces \"gone\" not found"
    );
    namespaces
        .create(&PostParams::default(), &named)
        .await
        .unwrap();
    maps.create(&PostParams::default(), &config_map("a", json!({})))
        .await
        .unwrap();
    namespaces
        .delete("gone", &DeleteParams::default())
        .await
        .unwrap();
    eventually("the namespace to go", || async {
        namespaces.get_opt("gone").await.unwrap().is_none()
    })
    .await;
    assert!(maps.get_opt("a").await.unwrap().is_none());
    it.cluster.stop().await;
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
async fn a_definition_serves_its_objects_at_once() {
    let it = start().await;
    let widgets = with_widgets(&it.client).await;
    let made = widgets
        .create(&PostParams::default(), &widget("a", json!({"size": 1})))
        .await
        .unwrap();
    assert_eq!(made.metadata.generation, Some(1));
    let ready = json!({"status": {"ready": true}, "spec": {"size": 9}});
    let updated = widgets
        .patch_status("a", &PatchParams::default(), &Patch::Merge(ready))
        .await
        .unwrap();
    assert_eq!(updated.data["status"]["ready"], true);
    assert_eq!(
        updated.data["spec"]["size"], 1,
        "status writes nothing else"
    );
    assert_eq!(updated.metadata.generation, Some(1));
    let grown = json!({"spec": {"size": 2}, "status": {"ready": false}});
    let grown = widgets
        .patch("a", &PatchParams::default(), &Patch::Merge(grown))
        .await
        .unwrap();
    assert_eq!(grown.data["status"]["ready"], true);
    assert_eq!(grown.metadata.generation, Some(2));
    let gone = widgets.get("b").await.unwrap_err();
    assert_eq!(status(gone).message, "widgets.test.io \"b\" not found");
    it.cluster.stop().await;
}

#[tokio::test]
async fn a_job_is_completed_as_kubernetes_does() {
    let it = start().await;
    let jobs: Api<Job> = Api::namespaced(it.client.clone(), "default");
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
    it.cluster.stop().await;
}

fn applied(name: &str, spec: Value) -> Patch<Value> {
    Patch::Apply(json!({
        "apiVersion": "test.io/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec,
    }))
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story of two managers")]
async fn apply_creates_shares_conflicts_and_removes() {
    let it = start().await;
    let widgets = with_widgets(&it.client).await;
    let by = PatchParams::apply;
    let made = widgets
        .patch(
            "a",
            &by("one"),
            &applied("a", json!({"size": 1, "tags": ["x"], "name": "n"})),
        )
        .await
        .unwrap();
    let entries = made.managed_fields();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].manager.as_deref(), Some("one"));
    assert_eq!(entries[0].operation.as_deref(), Some("Apply"));

    let again = widgets
        .patch(
            "a",
            &by("one"),
            &applied("a", json!({"size": 1, "tags": ["x"], "name": "n"})),
        )
        .await
        .unwrap();
    assert_eq!(
        again.resource_version(),
        made.resource_version(),
        "nothing changed"
    );

    let refused = widgets
        .patch(
            "a",
            &by("two"),
            &applied("a", json!({"size": 2, "tags": ["y"]})),
        )
        .await;
    let refused = status(refused.unwrap_err());
    assert_eq!((refused.code, &*refused.reason), (409, "Conflict"));
    assert_eq!(
        refused.message,
        "Apply failed with 1 conflict: conflict with \"one\": .spec.size"
    );
    let cause = &refused.details.unwrap().causes[0];
    assert_eq!(
        (&*cause.reason, &*cause.field),
        ("FieldManagerConflict", ".spec.size")
    );

    let forced = widgets
        .patch(
            "a",
            &by("two").force(),
            &applied("a", json!({"size": 2, "tags": ["y"]})),
        )
        .await
        .unwrap();
    assert_eq!(forced.data["spec"]["tags"], json!(["x", "y"]));
    assert_eq!(forced.data["spec"]["size"], 2);
    let less = widgets
        .patch("a", &by("one"), &applied("a", json!({"tags": ["x"]})))
        .await
        .unwrap();
    assert_eq!(
        less.data["spec"],
        json!({"color": "red", "size": 2, "tags": ["x", "y"]})
    );

    widgets
        .patch_status(
            "a",
            &PatchParams::apply("ctrl"),
            &Patch::Apply(json!({
                "apiVersion": "test.io/v1", "kind": "Widget", "status": {"ready": true},
            })),
        )
        .await
        .unwrap();
    let edited = widgets
        .patch(
            "a",
            &PatchParams::default(),
            &Patch::Merge(json!({"spec": {"size": 3}})),
        )
        .await
        .unwrap();
    let entry = |name: &str| {
        let entries = edited.managed_fields().iter();
        let mut found = entries.filter(|it| it.manager.as_deref() == Some(name));
        found
            .next()
            .map(|it| (it.operation.clone().unwrap(), it.subresource.clone()))
    };
    assert_eq!(entry("ctrl"), Some(("Apply".into(), Some("status".into()))));
    assert_eq!(entry("unknown"), Some(("Update".into(), None)));
    let late = widgets
        .patch(
            "a",
            &by("two"),
            &applied("a", json!({"size": 2, "tags": ["y"]})),
        )
        .await;
    let late = status(late.unwrap_err());
    assert_eq!(
        late.message,
        "Apply failed with 1 conflict: conflict with \"unknown\" using test.io/v1: .spec.size"
    );
    it.cluster.stop().await;
}

#[tokio::test]
async fn an_apply_to_an_object_that_went_does_not_make_another() {
    let it = start().await;
    let widgets = with_widgets(&it.client).await;
    let patch = Patch::Apply(json!({
        "apiVersion": "test.io/v1", "kind": "Widget",
        "metadata": {"name": "a", "uid": "11111111-1111-1111-1111-111111111111"}, "spec": {"size": 1},
    }));
    let refused = widgets.patch("a", &PatchParams::apply("one"), &patch).await;
    assert_eq!(status(refused.unwrap_err()).code, 409);
    let dry = PatchParams::apply("one").dry_run();
    widgets
        .patch("b", &dry, &applied("b", json!({"size": 1})))
        .await
        .unwrap();
    assert!(widgets.get_opt("b").await.unwrap().is_none());
    it.cluster.stop().await;
}

#[tokio::test]
async fn a_schema_defaults_prunes_and_refuses() {
    let it = start().await;
    let widgets = with_widgets(&it.client).await;
    let create = async |name: &str, spec: Value| {
        widgets
            .create(&PostParams::default(), &widget(name, spec))
            .await
    };
    let spec = json!({"size": 1, "unknown": 1, "parts": [{"id": "p"}], "free": {"any": [1]}});
    let made = create("a", spec).await.unwrap();
    let expected = json!({
        "color": "red", "size": 1, "parts": [{"id": "p", "count": 1}], "free": {"any": [1]},
    });
    assert_eq!(made.data["spec"], expected);

    let refused = status(
        create("b", json!({"size": 0, "color": "green"}))
            .await
            .unwrap_err(),
    );
    assert_eq!((refused.code, &*refused.reason), (422, "Invalid"));
    assert_eq!(
        refused.message,
        "Widget.test.io \"b\" is invalid: [spec.color: Unsupported value: \"green\": supported values: \"red\", \"blue\", spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1, <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation]"
    );
    let causes = refused.details.unwrap().causes;
    assert_eq!(causes[0].field, "spec.color");
    assert_eq!(causes[0].reason, "FieldValueNotSupported");

    let refused = status(
        create("b", json!({"size": 1, "name": "bad"}))
            .await
            .unwrap_err(),
    );
    assert_eq!(
        refused.message,
        "Widget.test.io \"b\" is invalid: spec: Invalid value: \"object\": bad is bad"
    );
    let size = |size: i64| Patch::Merge(json!({"spec": {"size": size}}));
    widgets
        .patch("a", &PatchParams::default(), &size(3))
        .await
        .unwrap();
    let shrunk = widgets.patch("a", &PatchParams::default(), &size(2)).await;
    assert_eq!(
        status(shrunk.unwrap_err()).message,
        "Widget.test.io \"a\" is invalid: spec: Invalid value: \"object\": a widget never shrinks"
    );
    let mut stale = widgets.get("a").await.unwrap();
    stale.metadata.resource_version = None;
    let unversioned = widgets.replace("a", &PostParams::default(), &stale).await;
    assert_eq!(
        status(unversioned.unwrap_err()).message,
        "widgets.test.io \"a\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update"
    );
    it.cluster.stop().await;
}

#[tokio::test]
async fn a_definition_takes_its_objects_along() {
    let it = start().await;
    let widgets = with_widgets(&it.client).await;
    let made = widget("a", json!({"size": 1}));
    widgets.create(&PostParams::default(), &made).await.unwrap();
    let crds: Api<CustomResourceDefinition> = Api::all(it.client.clone());
    crds.delete("widgets.test.io", &DeleteParams::default())
        .await
        .unwrap();
    eventually("the definition to go", || async {
        crds.get_opt("widgets.test.io").await.unwrap().is_none()
    })
    .await;
    assert_eq!(status(widgets.get("a").await.unwrap_err()).code, 404);
    crds.create(&PostParams::default(), &widgets_crd())
        .await
        .unwrap();
    assert!(
        widgets.get_opt("a").await.unwrap().is_none(),
        "nothing came back"
    );
    it.cluster.stop().await;
}

#[tokio::test]
async fn our_own_definitions_are_served() {
    let it = start().await;
    let crds: Api<CustomResourceDefinition> = Api::all(it.client.clone());
    for crd in axon::api::crds() {
        let made = crds.create(&PostParams::default(), &crd).await.unwrap();
        let conditions = made.status.unwrap().conditions.unwrap();
        assert!(
            conditions
                .iter()
                .any(|it| it.type_ == "Established" && it.status == "True")
        );
    }
    let tasks: Api<axon::api::Task> = Api::namespaced(it.client.clone(), "default");
    let task = |agent: &str| -> axon::api::Task {
        from(json!({
            "apiVersion": "axon.io/v1alpha1", "kind": "Task", "metadata": {"name": "t"},
            "spec": {"type": agent, "prompt": "do it", "credentials": {"type": "none"}},
        }))
    };
    let refused = tasks.create(&PostParams::default(), &task("custom")).await;
    let refused = status(refused.unwrap_err());
    assert_eq!(
        refused.message,
        "Task.axon.io \"t\" is invalid: spec: Invalid value: \"object\": an agent of type custom or cursor needs spec.image"
    );
    tasks
        .create(&PostParams::default(), &task("codex"))
        .await
        .unwrap();
    let prompt = |text: &str| Patch::Merge(json!({"spec": {"prompt": text}}));
    tasks
        .patch("t", &PatchParams::default(), &prompt("do that"))
        .await
        .unwrap();
    let started = Patch::Merge(json!({"status": {"jobName": "j"}}));
    tasks
        .patch_status("t", &PatchParams::default(), &started)
        .await
        .unwrap();
    let late = tasks
        .patch("t", &PatchParams::default(), &prompt("do more"))
        .await;
    let late = status(late.unwrap_err()).message;
    assert!(
        late.contains("spec.prompt cannot change once the Task has a Job"),
        "{late}"
    );
    it.cluster.stop().await;
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
async fn tables_show_printer_columns() {
    let it = start().await;
    let crds: Api<CustomResourceDefinition> = Api::all(it.client.clone());
    for crd in axon::api::crds() {
        crds.create(&PostParams::default(), &crd).await.unwrap();
    }
    let tasks: Api<axon::api::Task> = Api::namespaced(it.client.clone(), "default");
    let task = from(json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "Task", "metadata": {"name": "t"},
        "spec": {"type": "codex", "prompt": "do it", "credentials": {"type": "none"}},
    }));
    tasks.create(&PostParams::default(), &task).await.unwrap();
    let request = http::Request::get("/apis/axon.io/v1alpha1/namespaces/default/tasks")
        .header(
            "accept",
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
        )
        .body(Vec::new())
        .unwrap();
    let table: Value = it.client.request(request).await.unwrap();
    let columns = table["columnDefinitions"].as_array().unwrap().iter();
    let columns: Vec<_> = columns.map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(columns, ["Name", "Type", "Phase", "Reason", "Age"]);
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    assert_eq!(
        cells[..4],
        [json!("t"), json!("codex"), Value::Null, Value::Null]
    );
    it.cluster.stop().await;
}

#[tokio::test]
async fn kubectl_learns_what_it_needs_before_it_applies() {
    let it = start().await;
    with_widgets(&it.client).await;
    let get = async |path: &str| -> Value {
        let request = http::Request::get(path).body(Vec::new()).unwrap();
        it.client.request(request).await.unwrap()
    };
    let index = get("/openapi/v3").await;
    let url = index["paths"]["apis/test.io/v1"]["serverRelativeURL"]
        .as_str()
        .unwrap();
    let document = get(url).await;
    let schema = &document["components"]["schemas"]["io.test.v1.Widget"];
    assert_eq!(
        schema["x-kubernetes-group-version-kind"][0]["kind"],
        "Widget"
    );
    assert_eq!(
        schema["properties"]["spec"]["properties"]["size"]["type"],
        "integer"
    );
    let core = get("/openapi/v3/api/v1").await;
    let patch = &core["paths"]["/api/v1/namespaces/{name}"]["patch"];
    let parameters = patch["parameters"].as_array().unwrap();
    assert!(parameters.iter().any(|it| it["name"] == "fieldValidation"));
    it.cluster.stop().await;
}
