//! Kinds that a definition adds: defaults, validation, the way to clients. On both servers.

use std::fs;
use std::path::Path;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::ResourceExt as _;
use kube::api::ApiResource;
use kube::api::DeleteParams;
use kube::api::DynamicObject;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::api::PostParams;
use kube::core::GroupVersionKind;
use serde_json::Value;
use serde_json::json;

use super::from;
use super::status;
use super::widgets::Widgets;
use crate::server::Context;
use crate::server::eventually;

crate::on_both_servers!(
    a_definition_serves_its_objects_at_once,
    a_schema_defaults_prunes_and_refuses,
    rules_refuse_with_their_own_words,
    a_definition_takes_its_objects_along,
    our_own_definitions_are_served,
    tables_show_printer_columns,
    kubectl_learns_what_it_needs_before_it_applies,
    the_manifests_of_the_examples_are_accepted,
);

async fn a_definition_serves_its_objects_at_once(it: Context) {
    let kind = Widgets::serve(&it).await;
    let widgets = &kind.api;
    let made = widgets
        .create(
            &PostParams::default(),
            &kind.object("a", json!({"size": 1})),
        )
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
    assert_eq!(
        status(gone).message,
        format!("{} \"b\" not found", kind.name())
    );
}

async fn a_schema_defaults_prunes_and_refuses(it: Context) {
    let kind = Widgets::serve(&it).await;
    let group = &kind.group;
    let widgets = &kind.api;
    let create = async |name: &str, spec: Value| {
        widgets
            .create(&PostParams::default(), &kind.object(name, spec))
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
    let unchecked = "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation]";
    for expected in [
        &format!("Widget.{group} \"b\" is invalid: ["),
        "spec.color: Unsupported value: \"green\": supported values: \"red\", \"blue\", ",
        "spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1, ",
        unchecked,
    ] {
        assert!(refused.message.contains(expected), "{}", refused.message);
    }
    let causes = refused.details.unwrap().causes;
    let mut causes: Vec<_> = causes.iter().map(|it| (&*it.field, &*it.reason)).collect();
    // Kubernetes names the fields in no order.
    causes.sort_unstable();
    let expected = [
        ("<nil>", "FieldValueInvalid"),
        ("spec.color", "FieldValueNotSupported"),
        ("spec.size", "FieldValueInvalid"),
    ];
    assert_eq!(causes, expected);
}

async fn rules_refuse_with_their_own_words(it: Context) {
    let kind = Widgets::serve(&it).await;
    let group = &kind.group;
    let widgets = &kind.api;
    let create = async |name: &str, spec: Value| {
        let made = kind.object(name, spec);
        widgets.create(&PostParams::default(), &made).await
    };
    create("a", json!({"size": 1})).await.unwrap();
    let refused = status(
        create("b", json!({"size": 1, "name": "bad"}))
            .await
            .unwrap_err(),
    );
    assert_eq!(
        refused.message,
        format!("Widget.{group} \"b\" is invalid: spec: Invalid value: bad is bad")
    );
    let size = |size: i64| Patch::Merge(json!({"spec": {"size": size}}));
    widgets
        .patch("a", &PatchParams::default(), &size(3))
        .await
        .unwrap();
    let shrunk = widgets.patch("a", &PatchParams::default(), &size(2)).await;
    assert_eq!(
        status(shrunk.unwrap_err()).message,
        format!("Widget.{group} \"a\" is invalid: spec: Invalid value: a widget never shrinks")
    );
    let reserved = create("c", json!({"size": 13})).await;
    assert_eq!(
        status(reserved.unwrap_err()).message,
        format!("Widget.{group} \"c\" is invalid: spec.size: Invalid value: 13: no luck")
    );
    let mut stale = widgets.get("a").await.unwrap();
    stale.metadata.resource_version = None;
    let unversioned = widgets.replace("a", &PostParams::default(), &stale).await;
    assert_eq!(
        status(unversioned.unwrap_err()).message,
        format!(
            "widgets.{group} \"a\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update"
        )
    );
}

async fn a_definition_takes_its_objects_along(it: Context) {
    let kind = Widgets::serve(&it).await;
    let widgets = &kind.api;
    let made = kind.object("a", json!({"size": 1}));
    widgets.create(&PostParams::default(), &made).await.unwrap();
    let crds: Api<CustomResourceDefinition> = Api::all(it.client.clone());
    crds.delete(&kind.name(), &DeleteParams::default())
        .await
        .unwrap();
    eventually("the definition to go", async || {
        crds.get_opt(&kind.name())
            .await
            .unwrap()
            .is_none()
            .then_some(())
    })
    .await;
    assert_eq!(status(widgets.get("a").await.unwrap_err()).code, 404);
    kind.define(&it).await;
    assert!(
        widgets.get_opt("a").await.unwrap().is_none(),
        "nothing came back"
    );
}

async fn our_own_definitions_are_served(it: Context) {
    let crds: Api<CustomResourceDefinition> = Api::all(it.client.clone());
    for crd in axon::api::crds() {
        let served = crds.get(&crd.name_any()).await.unwrap();
        let conditions = served.status.unwrap().conditions.unwrap();
        assert!(
            conditions
                .iter()
                .any(|it| it.type_ == "Established" && it.status == "True")
        );
    }
    let tasks: Api<axon::api::Task> = it.api();
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
        "Task.axon.io \"t\" is invalid: spec: Invalid value: an agent of type custom or cursor needs spec.image"
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
}

async fn tables_show_printer_columns(it: Context) {
    let tasks: Api<axon::api::Task> = it.api();
    let task = from(json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "Task", "metadata": {"name": "t"},
        "spec": {"type": "codex", "prompt": "do it", "credentials": {"type": "none"}},
    }));
    tasks.create(&PostParams::default(), &task).await.unwrap();
    let request = http::Request::get(format!(
        "/apis/axon.io/v1alpha1/namespaces/{}/tasks",
        it.namespace
    ))
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
}

async fn kubectl_learns_what_it_needs_before_it_applies(it: Context) {
    let kind = Widgets::serve(&it).await;
    let get = async |path: &str| -> Option<Value> {
        let request = http::Request::get(path).body(Vec::new()).unwrap();
        it.client.request(request).await.ok()
    };
    let document = eventually("the schema to be published", async || {
        let index = get("/openapi/v3").await?;
        let path = format!("apis/{}", kind.api_version());
        let url = index["paths"][path]["serverRelativeURL"]
            .as_str()?
            .to_owned();
        get(&url).await
    })
    .await;
    let name = format!("io.test.{}.v1.Widget", it.namespace);
    let schema = &document["components"]["schemas"][name];
    assert_eq!(
        schema["x-kubernetes-group-version-kind"][0]["kind"],
        "Widget"
    );
    assert_eq!(
        schema["properties"]["spec"]["properties"]["size"]["type"],
        "integer"
    );
    let core = get("/openapi/v3/api/v1").await.unwrap();
    let patch = &core["paths"]["/api/v1/namespaces/{name}"]["patch"];
    let parameters = patch["parameters"].as_array().unwrap();
    assert!(parameters.iter().any(|it| it["name"] == "fieldValidation"));
}

/// Nothing is filled in: the names in them are as good as any.
async fn the_manifests_of_the_examples_are_accepted(it: Context) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let files = fs::read_dir(dir).unwrap().map(|it| it.unwrap().path());
    let is_manifest = |it: &Path| {
        it.extension().is_some_and(|it| it == "yaml")
            && !fs::read_to_string(it).unwrap().contains("kind: Config")
    };
    let mut files: Vec<_> = files.filter(|it| is_manifest(it)).collect();
    files.sort();
    assert_eq!(files.len(), 5, "{files:?}");
    for file in files {
        for document in fs::read_to_string(&file).unwrap().split("\n---\n") {
            let object: DynamicObject = serde_saphyr::from_str(document).unwrap();
            let kind = GroupVersionKind::try_from(object.types.as_ref().unwrap()).unwrap();
            let api: Api<DynamicObject> = Api::namespaced_with(
                it.client.clone(),
                &it.namespace,
                &ApiResource::from_gvk(&kind),
            );
            let params = PatchParams::apply("examples").validation_strict();
            let (name, patch) = (object.name_any(), Patch::Apply(&object));
            let made = api.patch(&name, &params, &patch).await;
            made.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        }
    }
}
