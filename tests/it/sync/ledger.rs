//! Declared Tasks run once: syncs and the Task controller together. The tests play the kubelet.

use std::collections::BTreeSet;

use axon::controller;
use axon::model::Namespace;
use axon::model::SyncId;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::ResourceExt;
use kube::api::ListParams;
use kube::api::PostParams;
use serde_json::Value;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::fixture::Sync;
use super::fixture::lines;
use crate::on_both_servers;
use crate::server::Context;
use crate::server::eventually;
use crate::server::kubelet;

on_both_servers!(
    a_task_that_goes_at_once_leaves_its_whole_record,
    a_running_task_that_is_replaced_ends_before_its_successor_begins,
    a_running_task_keeps_its_run_when_its_sync_is_renamed,
    a_task_deleted_by_hand_does_not_run_again,
    records_of_names_that_left_go_in_their_time,
);

const DONE: &str =
    r#"{"version":1,"outputs":["made it"],"results":{},"exitCode":0,"succeeded":true}"#;
const ONE: &str = "apiVersion: axon.io/v1alpha1\nkind: Config\nsync: app\n\
    defaults: {type: claude-code, credentials: {type: none}}\n\
    tasks:\n  fix: {prompt: a}\n";

struct Controller {
    stop: CancellationToken,
    running: JoinHandle<Result<(), controller::Error>>,
}

impl Controller {
    fn start(context: &Context) -> Self {
        let options = controller::Options {
            namespace: Some(Namespace::parse(&context.namespace).unwrap()),
            ..controller::Options::default()
        };
        let stop = CancellationToken::new();
        let running = controller::run(context.client.clone(), options, stop.clone());
        Self {
            stop,
            running: tokio::spawn(running),
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
    }
}

async fn outcomes(context: &Context, sync: &str) -> Vec<Option<String>> {
    let records = context.records(sync).await;
    records.into_iter().map(|(_, outcome)| outcome).collect()
}

async fn ended_as(context: &Context, sync: &str, outcome: &str) {
    eventually(&format!("a record that says {outcome}"), async || {
        let all = outcomes(context, sync).await;
        all.contains(&Some(outcome.to_owned())).then_some(())
    })
    .await;
}

async fn job_uids(context: &Context) -> BTreeSet<String> {
    let jobs: Api<Job> = context.api();
    let jobs = jobs.list(&ListParams::default()).await.unwrap();
    jobs.into_iter().filter_map(|it| it.uid()).collect()
}

async fn a_task_that_goes_at_once_leaves_its_whole_record(context: Context) {
    let controller = Controller::start(&context);
    let sync = Sync::new(&context);
    let config = ONE.replace("prompt: a", "prompt: a, ttlSecondsAfterFinished: 0");
    sync.apply(&sync.plan(&config).await).await;
    let pod = kubelet::pod_of(&context, "fix").await;
    kubelet::ends(&context, &pod, 0, DONE).await;
    context.await_gone("Task", "fix").await;
    assert_eq!(
        outcomes(&context, "app").await,
        [Some("Succeeded".to_owned())]
    );
    let plan = sync.plan(&config).await;
    assert!(
        lines(&plan)[0].starts_with("Task/fix ran Succeeded 20"),
        "{:?}",
        lines(&plan)
    );
    assert!(!plan.summary().has_changes());
    controller.stop().await;
}

async fn a_running_task_that_is_replaced_ends_before_its_successor_begins(context: Context) {
    let controller = Controller::start(&context);
    let sync = Sync::new(&context);
    sync.converge(ONE).await;
    let pod = kubelet::pod_of(&context, "fix").await;
    kubelet::starts(&context, &pod).await;
    let before = job_uids(&context).await;
    let edited = ONE.replace("prompt: a", "prompt: b");
    let plan = sync.plan(&edited).await;
    assert_eq!(lines(&plan), ["Task/fix replace"]);
    assert!(sync.apply(&plan).await.is_complete());
    assert!(
        outcomes(&context, "app")
            .await
            .contains(&Some("Cancelled".to_owned()))
    );
    // The Job of the first went before the second was created.
    let pod = eventually("the second Pod", async || {
        let jobs = job_uids(&context).await;
        if jobs.is_empty() || !jobs.is_disjoint(&before) {
            return None;
        }
        Some(kubelet::pod_of(&context, "fix").await)
    })
    .await;
    kubelet::ends(&context, &pod, 0, DONE).await;
    ended_as(&context, "app", "Succeeded").await;
    assert!(!sync.plan(&edited).await.summary().has_changes());
    controller.stop().await;
}

async fn a_running_task_keeps_its_run_when_its_sync_is_renamed(context: Context) {
    let controller = Controller::start(&context);
    let sync = Sync::new(&context);
    sync.converge(ONE).await;
    let pod = kubelet::pod_of(&context, "fix").await;
    kubelet::starts(&context, &pod).await;
    let before = job_uids(&context).await;
    let renamed = ONE.replace("sync: app", "sync: new");
    let old = SyncId::parse("app").unwrap();
    let told = sync.with(|options| options.take_over = Some(old));
    told.converge(&renamed).await;
    kubelet::ends(&context, &pod, 0, DONE).await;
    ended_as(&context, "new", "Succeeded").await;
    assert_eq!(job_uids(&context).await, before);
    context.delete("Task", "fix").await;
    let plan = sync.plan(&renamed).await;
    assert!(
        lines(&plan)[0].starts_with("Task/fix ran Succeeded"),
        "{:?}",
        lines(&plan)
    );
    assert!(outcomes(&context, "app").await.is_empty());
    controller.stop().await;
}

async fn a_task_deleted_by_hand_does_not_run_again(context: Context) {
    let controller = Controller::start(&context);
    let sync = Sync::new(&context);
    sync.converge(ONE).await;
    kubelet::pod_of(&context, "fix").await;
    context.delete("Task", "fix").await;
    let plan = sync.plan(ONE).await;
    assert_eq!(lines(&plan), ["Task/fix ran Unknown -"]);
    assert!(sync.apply(&plan).await.done.is_empty());
    // Unless it is asked for.
    let again = ONE.replace("prompt: a", "prompt: a, rerun: 1");
    let plan = sync.plan(&again).await;
    assert_eq!(
        (lines(&plan), plan.summary().reruns),
        (vec!["Task/fix create again".to_owned()], 1)
    );
    controller.stop().await;
}

async fn records_of_names_that_left_go_in_their_time(context: Context) {
    let record = async |name: &str, marks: Value| {
        let record: ConfigMap = serde_json::from_value(json!({
            "metadata": {
                "name": name,
                "labels": {"axon.io/record": "run", "axon.io/sync": "app"},
            },
            "data": {"task": name, "run": "v1-x"},
        }))
        .unwrap();
        let mut record = serde_json::to_value(record).unwrap();
        json_patch::merge(&mut record, &json!({"metadata": marks}));
        let record = serde_json::from_value(record).unwrap();
        let records: Api<ConfigMap> = context.api();
        records
            .create(&PostParams::default(), &record)
            .await
            .unwrap();
    };
    let left = json!({"labels": {"axon.io/left": "true"}});
    let until = |time: &str| {
        let mut marks = left.clone();
        marks["annotations"] = json!({"axon.io/forget-after": time});
        marks
    };
    record("current", json!({})).await;
    record("leaving", left.clone()).await;
    record("old", until("2020-01-01T00:00:00Z")).await;
    record("young", until("2999-01-01T00:00:00Z")).await;
    let controller = Controller::start(&context);
    let stamped = eventually("a mark that has its time", async || {
        let all = context.labelled_records("app,axon.io/left=true").await;
        let leaving = all.iter().find(|it| it.name_any() == "leaving")?;
        leaving.annotations().get("axon.io/forget-after").cloned()
    })
    .await;
    assert!(stamped.starts_with("20"), "{stamped}");
    let names = eventually("the old record is gone", async || {
        let all = context.labelled_records("app").await;
        let names: Vec<String> = all.iter().map(ResourceExt::name_any).collect();
        (!names.contains(&"old".to_owned())).then_some(names)
    })
    .await;
    assert_eq!(names, ["current", "leaving", "young"]);
    controller.stop().await;
}
