//! What a namespace holds, without what differs from run to run.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::ResourceExt as _;
use kube::api::ListParams;
use serde::Serialize;
use serde_json::Value;

use axon::api::Task;
use axon::api::TaskSpawner;
use axon::api::Workspace;

use crate::server::Context;

/// Fields that differ from run to run: identities, versions, times, and names that are made up.
const CHANGING: [&str; 15] = [
    "uid",
    "jobUID",
    "taskUID",
    "axon.io/task-uid",
    "controller-uid",
    "batch.kubernetes.io/controller-uid",
    "resourceVersion",
    "creationTimestamp",
    "time",
    "lastTransitionTime",
    "startTime",
    "completionTime",
    "claimed",
    "finished",
    "podName",
];

/// All that matters of a namespace, one object after the other.
pub(super) async fn of(context: &Context) -> Vec<String> {
    let records = ListParams::default().labels("axon.io/record=run");
    let mut all = Vec::new();
    all.extend(list::<Workspace>(context, &ListParams::default()).await);
    all.extend(list::<TaskSpawner>(context, &ListParams::default()).await);
    all.extend(list::<Task>(context, &ListParams::default()).await);
    all.extend(list::<ConfigMap>(context, &records).await);
    all.extend(list::<Job>(context, &ListParams::default()).await);
    // The Jobs of later attempts have names with a digest of the Task's UID.
    let jobs = context.api::<Job>().list(&ListParams::default()).await;
    for job in jobs.unwrap() {
        let (name, attempt) = (job.name_any(), &job.annotations()["axon.io/attempt"]);
        let task = &job.owner_references()[0].name;
        if name != *task {
            let settled = format!("{task}-{attempt}-UID");
            for line in &mut all {
                *line = line.replace(&name, &settled);
            }
        }
    }
    // Messages name Pods, whose names are made up.
    let pods = context.api::<Pod>().list(&ListParams::default()).await;
    for pod in pods.unwrap() {
        let name = pod.metadata.name.unwrap();
        for line in &mut all {
            *line = line.replace(&name, "POD");
        }
    }
    all.sort();
    all
}

async fn list<K>(context: &Context, which: &ListParams) -> Vec<String>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + Serialize
        + serde::de::DeserializeOwned,
{
    let api: Api<K> = context.api();
    let mut objects: Vec<String> = api
        .list(which)
        .await
        .unwrap()
        .items
        .iter()
        .map(|object| {
            let mut value = serde_json::to_value(object).unwrap();
            if K::kind(&()) == "Job" {
                // The cluster's own controller writes it, in its own time.
                value.as_object_mut().unwrap().remove("status");
                value["metadata"]
                    .as_object_mut()
                    .unwrap()
                    .remove("managedFields");
            }
            let entries = value["metadata"].get_mut("managedFields");
            if let Some(Value::Array(entries)) = entries {
                entries.sort_by_key(|it| {
                    [&it["manager"], &it["operation"], &it["subresource"]].map(ToString::to_string)
                });
            }
            settle(&mut value, &context.namespace);
            format!("{} {value}", K::kind(&()))
        })
        .collect();
    objects.sort();
    objects
}

fn settle(value: &mut Value, namespace: &str) {
    match value {
        Value::Object(fields) => {
            fields.retain(|key, _| !CHANGING.contains(&key.as_str()));
            fields.values_mut().for_each(|it| settle(it, namespace));
        }
        Value::Array(items) => items.iter_mut().for_each(|it| settle(it, namespace)),
        Value::String(text) => *text = text.replace(namespace, "NAMESPACE"),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
