//! `podOverrides` on an API server: what it takes, what it refuses, and the Jobs that come of it.

use axon::api::Task;
use axon::controller;
use axon::controller::Options;
use axon::model::Namespace;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::core::v1::Event;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::ApiResource;
use kube::api::DynamicObject;
use kube::api::ListParams;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::api::PostParams;
use serde_json::Value;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::server::Context;
use crate::server::eventually;

crate::on_both_servers!(
    every_override_reaches_the_pod,
    what_is_not_for_users_is_refused,
    the_largest_task_gives_a_job,
    overrides_stay_as_they_are_once_there_is_a_job,
);

fn task(name: &str, overrides: &Value) -> Task {
    serde_json::from_value(json!({
        "apiVersion": "axon.io/v1alpha1",
        "kind": "Task",
        "metadata": {"name": name},
        "spec": {
            "type": "claude-code", "prompt": "Fix it.", "credentials": {"type": "none"},
            "podOverrides": overrides,
        },
    }))
    .unwrap()
}

async fn create(context: &Context, task: &Task) {
    let tasks: Api<Task> = context.api();
    tasks.create(&PostParams::default(), task).await.unwrap();
}

/// Runs a controller until it has made the Job of that name.
async fn job_of(context: &Context, name: &str) -> Job {
    let stop = CancellationToken::new();
    let options = Options {
        namespace: Some(Namespace::parse(&context.namespace).unwrap()),
        ..Options::default()
    };
    let running = tokio::spawn(controller::run(
        context.client.clone(),
        options,
        stop.clone(),
    ));
    let jobs: Api<Job> = context.api();
    let tasks: Api<Task> = context.api();
    let job = eventually(&format!("Job {name}"), || async {
        if let Some(job) = jobs.get_opt(name).await.unwrap() {
            return Some(job);
        }
        let status = tasks.get(name).await.unwrap().status.unwrap_or_default();
        assert_eq!(status.completion_time, None, "{status:?}");
        None
    })
    .await;
    stop.cancel();
    running.await.unwrap().unwrap();
    job
}

fn everything() -> Value {
    let selector = json!({"matchLabels": {"app": "db"}});
    json!({
        "resources": {"requests": {"cpu": "100m"}},
        "activeDeadlineSeconds": 600,
        "env": [{"name": "A", "value": "x"}, {"name": "AXON_TASK", "value": "mine"}],
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [
            {"key": "spot", "operator": "Exists", "effect": "NoSchedule"},
            {"key": "gpu", "operator": "Equal", "value": "a", "effect": "NoExecute", "tolerationSeconds": 5},
        ],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                    {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}]},
                ]},
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 1, "preference": {"matchExpressions": [{"key": "x", "operator": "Exists"}]}},
                ],
            },
            "podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 5, "podAffinityTerm": {"labelSelector": selector, "topologyKey": "zone"}},
            ]},
            "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
                {"labelSelector": selector, "topologyKey": "kubernetes.io/hostname"},
            ]},
        },
        "serviceAccountName": "ci",
        "priorityClassName": "system-node-critical",
        "runtimeClassName": "gvisor",
        "imagePullSecrets": [{"name": "registry"}],
        "labels": {"team": "web", "example.com/cost": "7"},
        "annotations": {"example.com/note": "any text"},
        "volumes": [
            {"name": "scratch", "emptyDir": {"sizeLimit": "1Gi", "medium": "Memory"}},
            {"name": "settings", "configMap": {"name": "settings", "items": [{"key": "a", "path": "b"}]}},
            {"name": "keys", "secret": {"secretName": "keys", "defaultMode": 256}},
            {"name": "cache", "persistentVolumeClaim": {"claimName": "cache"}},
        ],
        "volumeMounts": [
            {"name": "scratch", "mountPath": "/scratch"},
            {"name": "settings", "mountPath": "/etc/settings", "readOnly": true},
            {"name": "keys", "mountPath": "/etc/keys"},
            {"name": "cache", "mountPath": "/workspace/home/.cache", "subPath": "team"},
        ],
    })
}

async fn every_override_reaches_the_pod(it: Context) {
    let mut overrides = everything();
    let maps: Api<ConfigMap> = it.api();
    let settings = json!({"metadata": {"name": "settings"}, "data": {"a": "x"}});
    let settings = serde_json::from_value(settings).unwrap();
    maps.create(&PostParams::default(), &settings)
        .await
        .unwrap();
    let secrets: Api<Secret> = it.api();
    let keys = serde_json::from_value(json!({"metadata": {"name": "keys"}})).unwrap();
    secrets.create(&PostParams::default(), &keys).await.unwrap();
    create(&it, &task("all", &overrides)).await;
    let job = job_of(&it, "all").await;
    let template = job.spec.unwrap().template;
    let metadata = template.metadata.unwrap();
    assert_eq!(metadata.labels.as_ref().unwrap()["team"], "web");
    assert_eq!(metadata.labels.as_ref().unwrap()["axon.io/task"], "all");
    assert_eq!(
        metadata.annotations.unwrap()["example.com/note"],
        "any text"
    );
    let pod = serde_json::to_value(template.spec.unwrap()).unwrap();
    // What a server adds of its own.
    overrides["volumes"][1]["configMap"]["defaultMode"] = json!(420);
    for field in [
        "activeDeadlineSeconds",
        "nodeSelector",
        "tolerations",
        "affinity",
        "serviceAccountName",
        "priorityClassName",
        "runtimeClassName",
        "imagePullSecrets",
    ] {
        assert_eq!(pod[field], overrides[field], "{field}");
    }
    let tail = |list: &Value| list.as_array().unwrap()[2..].to_vec();
    let mut volumes = tail(&pod["volumes"]);
    if volumes[1]["configMap"].get("defaultMode").is_none() {
        volumes[1]["configMap"]["defaultMode"] = json!(420);
    }
    assert_eq!(json!(volumes), overrides["volumes"]);
    let agent = &pod["containers"][0];
    assert_eq!(
        json!(tail(&agent["volumeMounts"])),
        overrides["volumeMounts"]
    );
    assert_eq!(pod["automountServiceAccountToken"], Value::Null);
    let events: Api<Event> = it.api();
    eventually("the event of the ignored variable", || async {
        let all = events.list(&ListParams::default()).await.unwrap();
        let told = all
            .into_iter()
            .find(|it| it.reason.as_deref() == Some("EnvIgnored"))?;
        assert!(told.message.unwrap().contains("\"AXON_TASK\""));
        Some(())
    })
    .await;
}

/// Overrides that are refused, and words of the refusal.
fn refused() -> Vec<(Value, &'static str)> {
    let volume = json!({"name": "a", "emptyDir": {}});
    let mount = |path: &str| json!({"volumes": [volume], "volumeMounts": [{"name": "a", "mountPath": path}]});
    vec![
        (
            json!({"labels": {"axon.io/task": "b"}}),
            "are not for users",
        ),
        (
            json!({"labels": {"app.kubernetes.io/name": "b"}}),
            "are not for users",
        ),
        (
            json!({"labels": {"batch.kubernetes.io/job-name": "b"}}),
            "are not for users",
        ),
        (
            json!({"annotations": {"axon.io/task-uid": "b"}}),
            "are not for users",
        ),
        (
            json!({"volumes": [{"name": "a", "hostPath": {"path": "/"}}]}),
            "a volume is one of",
        ),
        (
            json!({"volumes": [{"name": "a", "emptyDir": {}, "configMap": {"name": "b"}}]}),
            "a volume is one of",
        ),
        (
            json!({"volumes": [{"name": "axon-git", "emptyDir": {}}]}),
            "are Axon's own",
        ),
        (
            json!({"volumes": [{"name": "workspace", "emptyDir": {}}]}),
            "are Axon's own",
        ),
        (
            json!({"volumeMounts": [{"name": "b", "mountPath": "/b"}]}),
            "names one of volumes",
        ),
        (mount("/axon"), "Axon's own files"),
        (mount("/axon/axon-helper"), "Axon's own files"),
        (mount("/run/axon/git"), "Axon's own files"),
        (mount("/workspace"), "Axon's own files"),
        (mount("/workspace/repo"), "Axon's own files"),
        (mount("/dev/termination-log"), "Axon's own files"),
        (mount("/x/../axon"), "should match"),
        (mount("relative"), "should match"),
        (
            json!({"tolerations": [{"operator": "Maybe"}]}),
            "Unsupported value",
        ),
        (json!({"serviceAccountName": "../x"}), "should match"),
    ]
}

async fn what_is_not_for_users_is_refused(it: Context) {
    let kind = ApiResource::erase::<Task>(&());
    let tasks: Api<DynamicObject> = Api::namespaced_with(it.client.clone(), &it.namespace, &kind);
    for (overrides, why) in refused() {
        let mut object = serde_json::to_value(task("bad", &json!({}))).unwrap();
        object["spec"]["podOverrides"] = overrides.clone();
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let refusal = tasks.create(&PostParams::default(), &object).await;
        let Err(kube::Error::Api(status)) = refusal else {
            panic!("{overrides} was taken");
        };
        assert_eq!(status.code, 422, "{overrides}: {}", status.message);
        assert!(
            status.message.contains(why),
            "{overrides}: {}",
            status.message
        );
    }
}

async fn the_largest_task_gives_a_job(it: Context) {
    let variables: Vec<Value> = (0..100)
        .map(|n| json!({"name": format!("VARIABLE_{n}"), "value": "x".repeat(2048)}))
        .collect();
    let mut largest = task("large", &json!({"env": variables}));
    // Each "$" is guarded by another.
    largest.spec.prompt = "$".repeat(128 * 1024);
    create(&it, &largest).await;
    let job = job_of(&it, "large").await;
    let pod = job.spec.unwrap().template.spec.unwrap();
    assert!(pod.containers[0].env.as_ref().unwrap().len() >= 100);
    let parts = pod.init_containers.unwrap().remove(0).env.unwrap();
    let prompt: String = parts
        .iter()
        .filter(|it| it.name.starts_with("AXON_PROMPT_"))
        .map(|it| it.value.clone().unwrap())
        .collect();
    assert!(prompt == "$".repeat(256 * 1024));
}

async fn overrides_stay_as_they_are_once_there_is_a_job(it: Context) {
    create(&it, &task("fixed", &everything())).await;
    let tasks: Api<Task> = it.api();
    let claimed = json!({"status": {"phase": "Pending", "jobName": "fixed"}});
    let change = |patch: Value| Patch::Merge(patch);
    tasks
        .patch_status("fixed", &PatchParams::default(), &change(claimed))
        .await
        .unwrap();
    for changed in [
        json!({"tolerations": []}),
        json!({"affinity": {"podAffinity": null}}),
        json!({"affinity": null}),
        json!({"labels": {"team": "api"}}),
        json!({"volumes": [], "volumeMounts": []}),
        json!({"serviceAccountName": null}),
    ] {
        let patch = json!({"spec": {"podOverrides": changed}});
        let refusal = tasks
            .patch("fixed", &PatchParams::default(), &change(patch))
            .await;
        let Err(kube::Error::Api(status)) = refusal else {
            panic!("{changed} was taken");
        };
        assert!(
            status.message.contains("podOverrides cannot change"),
            "{}",
            status.message
        );
    }
    let allowed = json!({"spec": {"cancelled": true, "ttlSecondsAfterFinished": 5}});
    tasks
        .patch("fixed", &PatchParams::default(), &change(allowed))
        .await
        .unwrap();
}
