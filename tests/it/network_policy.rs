//! The `NetworkPolicy` of a namespace that runs Tasks.

use axon::api::Task;
use axon::controller;
use axon::controller::Options;
use axon::model::Namespace;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Api;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::api::PostParams;
use serde_json::Value;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::server::Context;
use crate::server::Kind;
use crate::server::eventually;

type Running = JoinHandle<Result<(), controller::Error>>;

crate::on_both_servers!(
    a_policy_is_there_before_the_first_job,
    a_policy_of_somebody_else_stays,
    a_policy_that_is_deleted_or_edited_comes_back,
);

/// A controller, and a Task that has its Job.
async fn begin_a_task(context: &Context) -> (CancellationToken, Running) {
    let task: Task = serde_json::from_value(json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "Task", "metadata": {"name": "a"},
        "spec": {"type": "claude-code", "prompt": "Fix it.", "credentials": {"type": "none"}},
    }))
    .unwrap();
    let tasks: Api<Task> = context.api();
    tasks.create(&PostParams::default(), &task).await.unwrap();
    let stop = CancellationToken::new();
    let options = Options {
        namespace: Some(Namespace::parse(&context.namespace).unwrap()),
        ..Options::default()
    };
    let running = controller::run(context.client.clone(), options, stop.clone());
    let running = tokio::spawn(running);
    let jobs: Api<Job> = context.api();
    eventually("a Job", || async { jobs.get_opt("a").await.unwrap() }).await;
    (stop, running)
}

/// Runs a controller until a Task has its Job.
async fn run_a_task(context: &Context) {
    let (stop, running) = begin_a_task(context).await;
    stop.cancel();
    running.await.unwrap().unwrap();
}

async fn a_policy_is_there_before_the_first_job(context: Context) {
    run_a_task(&context).await;
    let policies: Api<NetworkPolicy> = context.api();
    let policy = policies.get("axon-tasks").await.unwrap();
    let job = context.api::<Job>().get("a").await.unwrap();
    assert!(policy.creation_timestamp() <= job.creation_timestamp());
    let spec = serde_json::to_value(policy.spec.unwrap()).unwrap();
    let labels = job.spec.unwrap().template.metadata.unwrap().labels.unwrap();
    for (key, value) in spec["podSelector"]["matchLabels"].as_object().unwrap() {
        assert_eq!(labels.get(key).map(String::as_str), value.as_str(), "{key}");
    }
    assert_eq!(spec["policyTypes"], json!(["Ingress", "Egress"]));
    assert_eq!(spec["ingress"], Value::Null);
    let except = &spec["egress"][0]["to"][1]["ipBlock"]["except"];
    let except = except.as_array().unwrap();
    assert_eq!(except[0], "169.254.0.0/16");
    if context.server == Kind::Real {
        let services: Api<Service> = Api::namespaced(context.client.clone(), "default");
        let service = services.get("kubernetes").await.unwrap();
        let address = service.spec.unwrap().cluster_ip.unwrap();
        assert!(
            except.contains(&json!(format!("{address}/32"))),
            "{except:?}"
        );
        assert!(except.len() > 2, "the addresses behind it too: {except:?}");
    }
}

async fn a_policy_of_somebody_else_stays(context: Context) {
    let theirs: NetworkPolicy = serde_json::from_value(json!({
        "metadata": {"name": "axon-tasks"}, "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
    }))
    .unwrap();
    let policies: Api<NetworkPolicy> = context.api();
    let theirs = policies.create(&PostParams::default(), &theirs).await;
    run_a_task(&context).await;
    let after = policies.get("axon-tasks").await.unwrap();
    assert_eq!(after.resource_version(), theirs.unwrap().resource_version());
}

async fn a_policy_that_is_deleted_or_edited_comes_back(context: Context) {
    let (stop, running) = begin_a_task(&context).await;
    let policies: Api<NetworkPolicy> = context.api();
    let first = policies.get("axon-tasks").await.unwrap();
    let is_back = async |what: &str| {
        eventually(what, || async {
            let policy = policies.get_opt("axon-tasks").await.unwrap();
            policy.filter(|it| it.spec == first.spec)
        })
        .await
    };
    let parameters = DeleteParams::default();
    policies.delete("axon-tasks", &parameters).await.unwrap();
    let second = is_back("another policy").await;
    assert_ne!(first.metadata.uid, second.metadata.uid);
    let open = Patch::Merge(json!({"spec": {"egress": [{}]}}));
    let parameters = PatchParams::default();
    let edited = policies.patch("axon-tasks", &parameters, &open);
    assert_ne!(edited.await.unwrap().spec, first.spec);
    is_back("the policy as it was").await;

    stop.cancel();
    running.await.unwrap().unwrap();
}
