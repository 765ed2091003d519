//! What the rights of others make of a sync: impersonation, admission, a namespace that goes. The
//! embedded cluster has no rights to lack.

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::Client;
use kube::api::ApiResource;
use kube::api::DeleteParams;
use kube::api::DynamicObject;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::core::GroupVersionKind;
use serde_json::Value;
use serde_json::json;

use super::stage::Running;
use super::stage::Stage;
use super::stage::message;
use super::stage::ready;
use crate::server::Context;
use crate::server::Kind;
use crate::server::eventually;
use crate::server::run;

#[test]
fn a_service_account_limits_what_git_can_do() {
    run(Kind::Real, service_account);
}

#[test]
fn a_policy_that_refuses_one_object_stops_no_other() {
    run(Kind::Real, policy);
}

#[test]
fn a_finalizer_holds_no_namespace_up() {
    run(Kind::Real, namespace_goes);
}

const CONFIG: &str = "\
apiVersion: axon.io/v1alpha1
kind: Config
sync: app
defaults: {type: codex, credentials: {type: api-key, secretRef: {name: none}}, workspace: a}
workspaces: {a: {repo: 'https://example.com/a.git'}}
spawners:
  nightly: {when: {cron: {schedule: '0 3 * * *'}}, prompt: x}
tasks:
  port: {prompt: x}
";

async fn service_account(context: Context) {
    let stage = Stage::new(&context);
    let revision = stage.repo.commit(&[("axon.yaml", CONFIG)]);
    let namespace = &context.namespace;
    let few = ["workspaces", "taskspawners"];
    account(&context, &few).await;
    let controller = Running::start(&context);
    let spec = json!({"serviceAccountName": "agents-sync", "deletionPolicy": "Delete"});
    stage.create("app", spec).await;
    let status = stage.reason("app", "ApplyFailed").await;
    let told = message(&status);
    assert!(
        told.contains("Task/port: ") && told.contains("forbidden"),
        "{told}"
    );
    assert!(told.contains("system:serviceaccount:"), "{told}");
    assert_eq!(status.history[0].objects.unwrap().created, 2, "{status:?}");
    // Trying it every few seconds would be of no use.
    assert_eq!(status.conditions[1].type_, "Stalled");

    account(&context, &["workspaces", "taskspawners", "tasks"]).await;
    stage.call("app").await;
    stage.applied("app", &revision).await;

    // The rights go: the RepoSync goes all the same, and says what it left.
    let bindings: Api<DynamicObject> = api(&context.client, Some(namespace), BINDING);
    bindings
        .delete("sync", &DeleteParams::default())
        .await
        .unwrap();
    stage.delete("app").await;
    eventually("the RepoSync is gone", || async {
        stage
            .syncs()
            .get_opt("app")
            .await
            .unwrap()
            .is_none()
            .then_some(())
    })
    .await;
    assert_eq!(stage.workspaces().await.len(), 1);
    let events = stage.events("app").await;
    assert!(events.contains(&"DeletionGivenUp".to_owned()), "{events:?}");
    controller.stop().await;
}

const RBAC: &str = "rbac.authorization.k8s.io";
const BINDING: (&str, &str, &str) = (RBAC, "v1", "RoleBinding");

/// Makes the ServiceAccount `agents-sync`, which may write these kinds and no others.
async fn account(context: &Context, kinds: &[&str]) {
    let (client, namespace) = (&context.client, Some(context.namespace.as_str()));
    let account = ("", "v1", "ServiceAccount");
    apply(client, namespace, account, "agents-sync", json!({})).await;
    let rules = json!({"rules": [{
        "apiGroups": ["axon.io"], "resources": kinds,
        "verbs": ["get", "create", "patch", "delete"],
    }]});
    apply(client, namespace, (RBAC, "v1", "Role"), "sync", rules).await;
    let subject = json!({
        "kind": "ServiceAccount", "name": "agents-sync", "namespace": context.namespace,
    });
    let binding = json!({
        "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": "sync"},
        "subjects": [subject],
    });
    apply(client, namespace, BINDING, "sync", binding).await;
}

async fn policy(context: Context) {
    let stage = Stage::new(&context);
    let revision = stage.repo.commit(&[("axon.yaml", CONFIG)]);
    let name = format!("no-spawners-{}", context.namespace);
    let group = "admissionregistration.k8s.io";
    let policy = json!({"spec": {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [{
            "apiGroups": ["axon.io"], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"],
            "resources": ["taskspawners"],
        }]},
        "validations": [{"expression": "false", "message": "no spawners in this house"}],
    }});
    let kind = (group, "v1", "ValidatingAdmissionPolicy");
    apply(&context.client, None, kind, &name, policy).await;
    let binding = json!({"spec": {
        "policyName": name,
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": {"matchLabels": {
            "kubernetes.io/metadata.name": context.namespace,
        }}},
    }});
    let bound = (group, "v1", "ValidatingAdmissionPolicyBinding");
    apply(&context.client, None, bound, &name, binding).await;
    policy_is(&context, true).await;

    let controller = Running::start(&context);
    stage.create("app", json!({})).await;
    let status = stage.reason("app", "InvalidConfig").await;
    let told = message(&status);
    assert!(
        told.contains("TaskSpawner/nightly: ") && told.contains("no spawners in this house"),
        "{told}"
    );
    assert_eq!(status.conditions[1].type_, "Stalled");
    assert_eq!(stage.workspaces().await.len(), 1);
    // Once the policy is gone, the next look is enough.
    for kind in [bound, kind] {
        let api: Api<DynamicObject> = api(&context.client, None, kind);
        api.delete(&name, &DeleteParams::default()).await.unwrap();
    }
    policy_is(&context, false).await;
    stage.call("app").await;
    let status = stage.applied("app", &revision).await;
    assert_eq!(ready(&status).unwrap().reason, "Synced");
    controller.stop().await;
}

/// A policy takes a moment, and so does its end: awaits that a dry run is refused, or is not.
async fn policy_is(context: &Context, in_force: bool) {
    let kind = ("axon.io", "v1alpha1", "TaskSpawner");
    let spawners: Api<DynamicObject> = api(&context.client, Some(&context.namespace), kind);
    let spawner = json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "TaskSpawner", "metadata": {"name": "probe"},
        "spec": {
            "when": {"cron": {"schedule": "0 3 * * *"}},
            "taskTemplate": {"type": "codex", "credentials": {"type": "none"}},
        },
    });
    let params = PatchParams::apply("probe").dry_run();
    eventually("the policy is in force, or gone", || async {
        let tried = spawners
            .patch("probe", &params, &Patch::Apply(&spawner))
            .await;
        let refused = match tried {
            Ok(_) => false,
            Err(kube::Error::Api(status)) => status.message.contains("no spawners"),
            Err(_) => return None,
        };
        (refused == in_force).then_some(())
    })
    .await;
}

async fn namespace_goes(context: Context) {
    let stage = Stage::new(&context);
    let revision = stage.commit(&[("a", "main")]);
    let controller = Running::start(&context);
    stage
        .create("app", json!({"deletionPolicy": "Delete"}))
        .await;
    stage.applied("app", &revision).await;
    let namespaces: Api<Namespace> = Api::all(context.client.clone());
    let params = DeleteParams::default();
    namespaces
        .delete(&context.namespace, &params)
        .await
        .unwrap();
    eventually("the namespace is gone", || async {
        let there = namespaces.get_opt(&context.namespace).await.unwrap();
        there.is_none().then_some(())
    })
    .await;
    controller.stop().await;
}

fn api(client: &Client, namespace: Option<&str>, kind: (&str, &str, &str)) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(kind.0, kind.1, kind.2));
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

async fn apply(
    client: &Client,
    namespace: Option<&str>,
    kind: (&str, &str, &str),
    name: &str,
    mut object: Value,
) {
    let version = match kind.0 {
        "" => kind.1.to_owned(),
        group => format!("{group}/{}", kind.1),
    };
    object["apiVersion"] = version.into();
    object["kind"] = kind.2.into();
    object["metadata"] = json!({"name": name});
    let params = PatchParams::apply("test").force();
    let api = api(client, namespace, kind);
    api.patch(name, &params, &Patch::Apply(&object))
        .await
        .unwrap();
}
