//! Further attempts: after failures of the agent, and after Pods that were lost.

use super::*;

crate::on_both_servers!(
    a_failed_agent_runs_again,
    the_limit_is_the_end,
    the_wait_between_two_attempts_survives_a_restart,
    a_pod_that_was_lost_before_the_agent_began_runs_again,
    a_pod_that_was_lost_after_the_agent_began_runs_again_if_asked,
    a_pod_that_somebody_deleted_is_a_lost_one,
    a_next_attempt_that_was_broken_off_goes_on,
    a_next_attempt_is_not_in_the_way_of_another_task,
    what_is_left_of_a_pod_is_ended_before_the_next_attempt,
);

const FAILED: &str = r#"{"version":1,"outputs":[],"results":{},"exitCode":3,"succeeded":false,"message":"no luck","usage":{"costUSD":0.25,"inputTokens":9,"outputTokens":1,"turns":1}}"#;

fn retries(limit: i32, backoff: &str) -> Value {
    json!({"spec": {"retry": {"limit": limit, "backoff": backoff}}})
}

async fn a_failed_agent_runs_again(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    create(&context, "fix", retries(2, "0")).await;
    let first = agent_ends(&context, "fix", 3, FAILED).await;
    let again = attempt_of(&context, "fix", 2).await;
    let second = agent_ends(&context, &again, 0, DONE).await;
    let done = status_of(&ended(&context, "fix").await);
    assert_eq!(done.phase, Some(TaskPhase::Succeeded));
    assert_eq!((done.attempts, done.disruptions), (Some(2), None));
    assert_eq!(done.job_name.as_deref(), Some(again.as_str()));
    assert_eq!(done.pod_name, second.metadata.name);
    assert_ne!(first.metadata.name, second.metadata.name);
    assert_eq!(done.outputs, ["branch: fix", "made it"]);
    assert_eq!(done.retry_time, None);
    assert_eq!(jobs_and_pods(&context).await, (2, 2));
    let reasons = events(&context, "fix").await;
    for (reason, expected) in [("WaitingForRetry", 1), ("AgentStarted", 2)] {
        let times = reasons.iter().filter(|it| *it == reason).count();
        assert_eq!(times, expected, "{reason} in {reasons:?}");
    }
    controller.stop().await;
}

async fn the_limit_is_the_end(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    create(&context, "fix", retries(1, "0")).await;
    agent_ends(&context, "fix", 3, FAILED).await;
    let again = attempt_of(&context, "fix", 2).await;
    agent_ends(&context, &again, 3, FAILED).await;
    let failed = ended(&context, "fix").await;
    assert_eq!(
        said(&failed),
        "AgentFailed: container \"claude-code\" failed with exit code 3: no luck (attempt 2)"
    );
    let usage = status_of(&failed).usage.unwrap();
    let told = (usage.cost_usd, usage.input_tokens, usage.turns);
    assert_eq!(told, (Some(0.5), Some(18), Some(2)), "of both attempts");
    assert_eq!(jobs_and_pods(&context).await, (2, 2));
    controller.stop().await;
}

async fn the_wait_between_two_attempts_survives_a_restart(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    create(&context, "fix", retries(1, "1h")).await;
    agent_ends(&context, "fix", 3, FAILED).await;
    let waiting = once(&context, "fix", "a wait", shows("WaitingForRetry")).await;
    let text = said(&waiting);
    assert!(
        text.starts_with("WaitingForRetry: attempt 1 failed: container \"claude-code\" failed with exit code 3: no luck; the next one starts at "),
        "{text}"
    );
    assert_eq!(status_of(&waiting).phase, Some(TaskPhase::Pending));
    controller.stop().await;

    let controller = Controller::start(&context);
    // A second Task shows that it was there.
    create(&context, "other", json!({})).await;
    agent_ends(&context, "other", 0, DONE).await;
    ended(&context, "other").await;
    let tasks: Api<Task> = context.api();
    assert_eq!(tasks.get("fix").await.unwrap().status, waiting.status);
    assert_eq!(jobs_and_pods(&context).await, (2, 2));
    // The time has come.
    let due = json!({"retryTime": "2026-01-01T00:00:00Z"});
    write_status(&context, "fix", due).await;
    let again = attempt_of(&context, "fix", 2).await;
    agent_ends(&context, &again, 0, DONE).await;
    let done = status_of(&ended(&context, "fix").await);
    assert_eq!(done.phase, Some(TaskPhase::Succeeded));
    controller.stop().await;
}

/// The node's word that it wants its room back.
fn evicted() -> Value {
    json!({
        "phase": "Failed", "reason": "Evicted", "message": "The node was low on memory.",
        "conditions": [
            {"type": "PodScheduled", "status": "True"},
            {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"},
        ],
    })
}

async fn a_pod_that_was_lost_before_the_agent_began_runs_again(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    create(
        &context,
        "fix",
        json!({"spec": {"retry": {"backoff": "0"}}}),
    )
    .await;
    let pod = kubelet::pod_of(&context, "fix").await;
    kubelet::says(&context, &pod, evicted()).await;
    let again = attempt_of(&context, "fix", 2).await;
    let pod = kubelet::pod_of(&context, &again).await;
    let again = once(&context, "fix", "a second attempt", |it| {
        it.attempts == Some(2)
    })
    .await;
    assert_eq!(status_of(&again).disruptions, Some(1));
    // Now it has begun: to run it again would be to pay for it again.
    kubelet::starts(&context, &pod).await;
    once(&context, "fix", "Running", is(TaskPhase::Running)).await;
    kubelet::says(&context, &pod, evicted()).await;
    let lost = ended(&context, "fix").await;
    assert!(said(&lost).starts_with("Evicted: Pod"), "{}", said(&lost));
    assert_eq!(jobs_and_pods(&context).await, (2, 2));
    controller.stop().await;
}

async fn a_pod_that_was_lost_after_the_agent_began_runs_again_if_asked(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    let always = json!({"spec": {"retry": {"backoff": "0", "onDisruption": "Always"}}});
    create(&context, "fix", always).await;
    for attempt in [1, 2] {
        let job = attempt_of(&context, "fix", attempt).await;
        let pod = kubelet::pod_of(&context, &job).await;
        kubelet::starts(&context, &pod).await;
        once(&context, "fix", "Running", is(TaskPhase::Running)).await;
        let mut lost = evicted();
        lost["reason"] = Value::Null;
        lost["conditions"][1]["reason"] = json!("PreemptionByScheduler");
        kubelet::says(&context, &pod, lost).await;
    }
    let last = attempt_of(&context, "fix", 3).await;
    agent_ends(&context, &last, 0, DONE).await;
    let done = status_of(&ended(&context, "fix").await);
    assert_eq!(done.phase, Some(TaskPhase::Succeeded));
    assert_eq!((done.attempts, done.disruptions), (Some(3), Some(2)));
    controller.stop().await;
}

async fn a_pod_that_somebody_deleted_is_a_lost_one(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    create(
        &context,
        "fix",
        json!({"spec": {"retry": {"backoff": "0"}}}),
    )
    .await;
    let pod = kubelet::pod_of(&context, "fix").await;
    let pods: Api<Pod> = context.api();
    let name = pod.name_any();
    pods.delete(&name, &DeleteParams::default()).await.unwrap();
    // What its node, or the collector of Pods without one, writes then.
    kubelet::says(&context, &pod, json!({"phase": "Failed"})).await;
    let again = attempt_of(&context, "fix", 2).await;
    agent_ends(&context, &again, 0, DONE).await;
    let done = status_of(&ended(&context, "fix").await);
    assert_eq!((done.attempts, done.disruptions), (Some(2), Some(1)));
    controller.stop().await;
}

async fn a_next_attempt_that_was_broken_off_goes_on(context: Context) {
    create_secret(&context).await;
    let task = create(&context, "fix", retries(3, "0")).await;
    // After the claim of the second attempt; the first one's Pod is still there.
    create_job(&context, "fix", Some(&task)).await;
    let old = kubelet::pod_of(&context, "fix").await;
    kubelet::ends(&context, &old, 3, FAILED).await;
    // By a controller that gave the second Job a name of this form.
    let mut status = claimed("fix-2");
    status["attempts"] = json!(1);
    write_status(&context, "fix", status).await;
    let controller = Controller::start(&context);
    agent_ends(&context, "fix-2", 0, DONE).await;
    let done = status_of(&ended(&context, "fix").await);
    assert_eq!(done.phase, Some(TaskPhase::Succeeded));
    assert_eq!(done.attempts, Some(2));
    assert_eq!(jobs_and_pods(&context).await, (2, 2));
    controller.stop().await;
}

async fn a_next_attempt_is_not_in_the_way_of_another_task(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    create(&context, "fix", retries(1, "0")).await;
    create(&context, "fix-2", json!({})).await;
    job_of(&context, "fix-2").await;
    agent_ends(&context, "fix", 3, FAILED).await;
    let again = attempt_of(&context, "fix", 2).await;
    for job in [again.as_str(), "fix-2"] {
        agent_ends(&context, job, 0, DONE).await;
    }
    for task in ["fix", "fix-2"] {
        let done = ended(&context, task).await;
        assert!(shows("Succeeded")(&status_of(&done)), "{}", said(&done));
    }
    controller.stop().await;
}

async fn what_is_left_of_a_pod_is_ended_before_the_next_attempt(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    create(&context, "fix", retries(1, "0")).await;
    let pod = kubelet::pod_of(&context, "fix").await;
    let mut status = json!({
        "phase": "Running",
        "conditions": [{"type": "PodScheduled", "status": "True"}],
        "containerStatuses": [
            {"name": "claude-code", "image": "x", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"terminated": {"exitCode": 3, "message": FAILED,
                    "startedAt": "2026-01-01T00:00:05Z", "finishedAt": "2026-01-01T00:01:00Z"}}},
            {"name": "proxy", "image": "x", "imageID": "", "ready": true, "restartCount": 0,
                "state": {"running": {"startedAt": "2026-01-01T00:00:05Z"}}},
        ],
    });
    kubelet::says(&context, &pod, status.clone()).await;
    let waiting = once(&context, "fix", "a wait", shows("WaitingForRetry")).await;
    let text = said(&waiting);
    assert!(
        text.contains("no luck; the next one waits for the end of Pod \"fix-"),
        "{text}"
    );
    let pods: Api<Pod> = context.api();
    eventually("a deadline", || async {
        let pod = pods.get(&pod.name_any()).await.unwrap();
        let deadline = pod.spec.unwrap().active_deadline_seconds;
        (deadline == Some(1)).then_some(())
    })
    .await;
    assert_eq!(jobs_and_pods(&context).await, (1, 1));
    status["phase"] = json!("Failed");
    status["reason"] = json!("DeadlineExceeded");
    kubelet::says(&context, &pod, status).await;
    let again = attempt_of(&context, "fix", 2).await;
    agent_ends(&context, &again, 0, DONE).await;
    let done = status_of(&ended(&context, "fix").await);
    assert_eq!(done.phase, Some(TaskPhase::Succeeded));
    assert_eq!((done.attempts, done.disruptions), (Some(2), None));
    controller.stop().await;
}
