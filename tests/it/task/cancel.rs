//! Tasks that are cancelled, wherever they are.

use super::*;

crate::on_both_servers!(
    what_waits_is_cancelled_at_once,
    what_runs_ends_by_its_deadline_and_is_heard,
    what_no_node_has_taken_is_deleted,
    what_is_held_back_is_never_released,
    what_waits_for_another_attempt_is_cancelled,
    a_cancelled_run_has_its_record,
);

fn cancelled() -> Value {
    json!({"spec": {"cancelled": true}})
}

async fn what_waits_is_cancelled_at_once(context: Context) {
    let controller = Controller::start(&context);
    create(&context, "fix", json!({})).await;
    once(&context, "fix", "no Secret", shows("SecretNotFound")).await;
    edit(&context, "fix", cancelled()).await;
    let end = ended(&context, "fix").await;
    assert_eq!(said(&end), "Cancelled: cancelled before it started");
    assert_eq!(status_of(&end).phase, Some(TaskPhase::Failed));
    assert_eq!(jobs_and_pods(&context).await, (0, 0));
    controller.stop().await;
}

async fn what_runs_ends_by_its_deadline_and_is_heard(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    create(&context, "fix", json!({"spec": {"retry": {"limit": 5}}})).await;
    let pod = kubelet::pod_of(&context, "fix").await;
    let scheduled = json!({"conditions": [{"type": "PodScheduled", "status": "True"}]});
    kubelet::says(&context, &pod, scheduled).await;
    kubelet::starts(&context, &pod).await;
    once(&context, "fix", "Running", is(TaskPhase::Running)).await;
    edit(&context, "fix", cancelled()).await;
    let pods: Api<Pod> = context.api();
    eventually("a deadline", || async {
        let pod = pods.get(&pod.name_any()).await.unwrap();
        let deadline = pod.spec.unwrap().active_deadline_seconds;
        (deadline == Some(1)).then_some(())
    })
    .await;
    let report = r#"{"version":1,"outputs":["branch: fix"],"results":{},"exitCode":130,"succeeded":false,"message":"interrupted","usage":{"inputTokens":5,"turns":1}}"#;
    kubelet::ends(&context, &pod, 130, report).await;
    let why = json!({"phase": "Failed", "reason": "DeadlineExceeded", "message": "too long"});
    kubelet::says(&context, &pod, why).await;
    let end = ended(&context, "fix").await;
    assert!(
        said(&end).starts_with("Cancelled: cancelled; ") && said(&end).ends_with("interrupted"),
        "{}",
        said(&end)
    );
    let status = status_of(&end);
    assert_eq!(status.outputs, ["branch: fix"]);
    assert_eq!(status.usage.unwrap().input_tokens, Some(5));
    assert_eq!(jobs_and_pods(&context).await, (1, 1));
    controller.stop().await;
}

async fn what_no_node_has_taken_is_deleted(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    create(&context, "fix", json!({})).await;
    kubelet::pod_of(&context, "fix").await;
    once(&context, "fix", "a Pod", |it| it.pod_name.is_some()).await;
    edit(&context, "fix", cancelled()).await;
    let end = ended(&context, "fix").await;
    assert!(
        said(&end).starts_with("Cancelled: cancelled; "),
        "{}",
        said(&end)
    );
    gone::<Job>(&context, "fix").await;
    controller.stop().await;
}

async fn what_is_held_back_is_never_released(context: Context) {
    create_secret(&context).await;
    // A controller died before it released the Jobs: one is written down, one is not.
    for (name, attempts) in [("fix-a", None), ("fix-b", Some(1))] {
        let task = create(&context, name, cancelled()).await;
        let mut status = claimed(name);
        status["attempts"] = json!(attempts);
        write_status(&context, name, status).await;
        hold_back(&context, name, &task).await;
    }
    let controller = Controller::start(&context);
    for name in ["fix-a", "fix-b"] {
        let end = ended(&context, name).await;
        assert!(said(&end).starts_with("Cancelled"), "{}", said(&end));
        gone::<Job>(&context, name).await;
    }
    assert_eq!(jobs_and_pods(&context).await, (0, 0));
    controller.stop().await;
}

/// A Job of the Task as the controller makes it: held back.
async fn hold_back(context: &Context, name: &str, task: &Task) {
    let job: Job = serde_json::from_value(json!({
        "metadata": {
            "name": name,
            "labels": {"axon.io/task": name},
            "annotations": {"axon.io/released": "false"},
            "ownerReferences": [task.controller_owner_ref(&()).unwrap()],
        },
        "spec": {"backoffLimit": 0, "suspend": true, "template": {"spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "claude-code", "image": "claude:1"}],
        }}},
    }))
    .unwrap();
    let jobs: Api<Job> = context.api();
    jobs.create(&PostParams::default(), &job).await.unwrap();
}

async fn what_waits_for_another_attempt_is_cancelled(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    let retries = json!({"spec": {"retry": {"limit": 5, "backoff": "1h"}}});
    create(&context, "fix", retries).await;
    agent_ends(&context, "fix", 3, "").await;
    once(&context, "fix", "a wait", shows("WaitingForRetry")).await;
    edit(&context, "fix", cancelled()).await;
    let end = ended(&context, "fix").await;
    let told = said(&end);
    let start = "Cancelled: cancelled between two attempts: attempt 1 failed: ";
    assert!(told.starts_with(start), "{told}");
    assert!(
        !told.contains("next one") && !told.contains("attempt 2"),
        "{told}"
    );
    assert_eq!(jobs_and_pods(&context).await, (1, 1));
    controller.stop().await;
}

async fn a_cancelled_run_has_its_record(context: Context) {
    let controller = Controller::start(&context);
    let mut run = life::declared();
    run["spec"] = cancelled()["spec"].clone();
    create(&context, "fix", run).await;
    ended(&context, "fix").await;
    let record = life::record_of(&context, "fix").await.unwrap();
    assert_eq!(record.data.unwrap()["outcome"], "Cancelled");
    controller.stop().await;
}
