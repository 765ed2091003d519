//! A Task that is not disturbed, or by no more than a restart.

use super::*;

crate::on_both_servers!(
    a_task_runs_to_its_outputs,
    a_failed_agent_is_told_in_words,
    what_is_missing_is_waited_for,
    two_controllers_make_one_job_of_each_task,
    a_run_that_has_a_record_does_not_happen_again,
    of_two_tasks_with_one_run_one_runs,
    a_start_that_was_broken_off_goes_on,
    a_pod_left_of_a_broken_start_is_the_run,
    an_end_that_nobody_saw_is_read_later,
    a_finished_task_stays_finished,
    a_job_deleted_by_hand_is_lost,
    a_job_of_the_same_name_is_left_alone,
    a_task_that_ran_out_of_its_time_is_deleted_with_its_job,
    a_replica_that_stops_hands_over_at_once,
    a_deleted_task_takes_its_job_with_it,
);

// The embedded server does not check a Pod's resources.
crate::on_the_real_server!(a_job_that_the_server_refuses_ends_the_task,);

async fn a_task_runs_to_its_outputs(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    let task = create(&context, "fix", json!({})).await;

    let job = job_of(&context, "fix").await;
    assert_eq!(job.owner_references()[0].uid, task.uid().unwrap());
    assert_eq!(job.labels()["axon.io/task"], "fix");
    let waiting = once(&context, "fix", "Pending", is(TaskPhase::Pending)).await;
    assert_eq!(status_of(&waiting).job_name.as_deref(), Some("fix"));

    let pod = kubelet::pod_of(&context, "fix").await;
    kubelet::starts(&context, &pod).await;
    let running = status_of(&once(&context, "fix", "Running", is(TaskPhase::Running)).await);
    assert_eq!(running.pod_name, pod.metadata.name);
    assert!(running.start_time.is_some() && running.completion_time.is_none());

    kubelet::ends(&context, &pod, 0, DONE).await;
    let done = status_of(&once(&context, "fix", "Succeeded", is(TaskPhase::Succeeded)).await);
    assert_eq!(done.outputs, ["branch: fix", "made it"]);
    assert_eq!(done.results["tests"], "12");
    assert_eq!(done.exit_code, Some(0));
    assert!(done.completion_time.is_some() && shows("Succeeded")(&done));

    let reasons = eventually("events", || async {
        let reasons = events(&context, "fix").await;
        reasons.contains(&"Succeeded".to_owned()).then_some(reasons)
    })
    .await;
    for reason in ["AgentStarted", "Succeeded"] {
        let times = reasons.iter().filter(|it| *it == reason).count();
        assert_eq!(times, 1, "{reason} in {reasons:?}");
    }
    controller.stop().await;
}

async fn a_failed_agent_is_told_in_words(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    create(&context, "fix", json!({})).await;
    let report = r#"{"version":1,"outputs":[],"results":{},"exitCode":3,"succeeded":false,"message":"no such model"}"#;
    agent_ends(&context, "fix", 3, report).await;
    let failed = status_of(&once(&context, "fix", "Failed", is(TaskPhase::Failed)).await);
    assert!(shows("AgentFailed")(&failed), "{failed:?}");
    assert_eq!(
        failed.message.as_deref(),
        Some("container \"claude-code\" failed with exit code 3: no such model")
    );
    assert_eq!(failed.exit_code, Some(3));
    controller.stop().await;
}

async fn what_is_missing_is_waited_for(context: Context) {
    let controller = Controller::start(&context);
    create(
        &context,
        "fix",
        json!({"spec": {"workspaceRef": {"name": "web"}}}),
    )
    .await;
    let waiting = once(&context, "fix", "no Workspace", shows("WorkspaceNotFound")).await;
    assert_eq!(status_of(&waiting).phase, Some(TaskPhase::Pending));

    let workspace: Workspace = serde_json::from_value(json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "Workspace",
        "metadata": {"name": "web"}, "spec": {"repo": "https://example.com/acme/web.git"},
    }))
    .unwrap();
    let workspaces: Api<Workspace> = context.api();
    workspaces
        .create(&PostParams::default(), &workspace)
        .await
        .unwrap();
    once(&context, "fix", "no Secret", shows("SecretNotFound")).await;

    let empty: Secret = serde_json::from_value(json!({"metadata": {"name": "key"}})).unwrap();
    let secrets: Api<Secret> = context.api();
    secrets
        .create(&PostParams::default(), &empty)
        .await
        .unwrap();
    once(&context, "fix", "no key", shows("SecretKeyMissing")).await;

    let key = Patch::Merge(json!({"stringData": {"ANTHROPIC_API_KEY": "canary-value"}}));
    secrets
        .patch("key", &PatchParams::default(), &key)
        .await
        .unwrap();
    job_of(&context, "fix").await;
    let task = context.api::<Task>().get("fix").await.unwrap();
    assert!(!serde_json::to_string(&task).unwrap().contains("canary"));
    controller.stop().await;
}

async fn two_controllers_make_one_job_of_each_task(context: Context) {
    const TASKS: usize = 12;
    create_secret(&context).await;
    let pair = [Controller::start(&context), Controller::start(&context)];
    let names: Vec<String> = (0..TASKS).map(|n| format!("fix-{n}")).collect();
    for name in &names {
        let run = json!({"metadata": {
            "annotations": {"axon.io/run": "v1-x"}, "labels": {"axon.io/sync": "team"},
        }});
        create(&context, name, run).await;
    }
    for name in &names {
        agent_ends(&context, name, 0, DONE).await;
    }
    for name in &names {
        let done = once(&context, name, "an end", |it| it.completion_time.is_some()).await;
        assert_eq!(
            status_of(&done).phase,
            Some(TaskPhase::Succeeded),
            "{done:?}"
        );
    }
    let pods: Api<Pod> = context.api();
    let made = pods
        .list(&ListParams::default().labels("axon.io/task"))
        .await
        .unwrap();
    assert_eq!(made.items.len(), TASKS);
    let records: Api<ConfigMap> = context.api();
    let kept = records
        .list(&ListParams::default().labels("axon.io/record=run"))
        .await
        .unwrap();
    assert_eq!(kept.items.len(), TASKS);
    for controller in pair {
        controller.stop().await;
    }
}

/// The record of the run "v1-x" of a declared Task.
pub(super) async fn record_of(context: &Context, task: &str) -> Option<ConfigMap> {
    let scope = RunScope::Sync {
        sync: "team".into(),
        task: task.into(),
    };
    let name = record_name(&scope, &RunDigest::from_annotation("v1-x"));
    context.api::<ConfigMap>().get_opt(&name).await.unwrap()
}

pub(super) fn declared() -> Value {
    json!({
        "metadata": {"annotations": {"axon.io/run": "v1-x"}, "labels": {"axon.io/sync": "team"}},
        "spec": {"ttlSecondsAfterFinished": 0},
    })
}

async fn a_run_that_has_a_record_does_not_happen_again(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    let first = create(&context, "fix", declared()).await;
    agent_ends(&context, "fix", 0, DONE).await;
    gone::<Task>(&context, "fix").await;
    let record = record_of(&context, "fix").await.unwrap().data.unwrap();
    assert_eq!(record["taskUID"], first.uid().unwrap());
    assert_eq!(record["outcome"], "Succeeded");
    assert!(record.contains_key("finished"));

    let mut again = declared();
    again["spec"] = json!({});
    create(&context, "fix", again).await;
    let refused = once(&context, "fix", "an end", is(TaskPhase::Failed)).await;
    assert!(shows("AlreadyRan")(&status_of(&refused)), "{refused:?}");
    assert_eq!(status_of(&refused).job_name, None);
    let record = record_of(&context, "fix").await.unwrap().data.unwrap();
    assert_eq!(record["outcome"], "Succeeded");
    controller.stop().await;
}

async fn of_two_tasks_with_one_run_one_runs(context: Context) {
    create_secret(&context).await;
    let spawned = json!({"metadata": {
        "annotations": {"axon.io/run": "item-v1-x", "axon.io/item": "github.com/a/b#1"},
        "labels": {"axon.io/taskspawner": "triage"},
    }});
    create(&context, "triage-1", spawned.clone()).await;
    create(&context, "triage-2", spawned).await;
    let pair = [Controller::start(&context), Controller::start(&context)];
    let one = once(&context, "triage-1", "a claim", |it| it.phase.is_some()).await;
    let other = once(&context, "triage-2", "a claim", |it| it.phase.is_some()).await;
    let refused = |task: &Task| shows("AlreadyRan")(&status_of(task));
    assert!(refused(&one) != refused(&other), "{one:?} {other:?}");
    let jobs = context
        .api::<Job>()
        .list(&ListParams::default())
        .await
        .unwrap();
    assert!(jobs.items.len() <= 1);
    for controller in pair {
        controller.stop().await;
    }
}

async fn a_start_that_was_broken_off_goes_on(context: Context) {
    create_secret(&context).await;
    // After the record; after the claim of the name; after the Job.
    for (name, writes) in [("fix-1", 1), ("fix-2", 2), ("fix-3", 3)] {
        let mut run = declared();
        run["spec"] = json!({});
        let task = create(&context, name, run).await;
        create_record(&context, &task).await;
        if writes > 1 {
            write_status(&context, name, claimed(name)).await;
        }
        if writes > 2 {
            create_job(&context, name, Some(&task)).await;
        }
    }
    let jobs: Api<Job> = context.api();
    let before = jobs.get("fix-3").await.unwrap().uid();
    let controller = Controller::start(&context);
    for name in ["fix-1", "fix-2", "fix-3"] {
        agent_ends(&context, name, 0, DONE).await;
        let done = once(&context, name, "an end", |it| it.completion_time.is_some()).await;
        assert_eq!(
            status_of(&done).phase,
            Some(TaskPhase::Succeeded),
            "{done:?}"
        );
        let record = record_of(&context, name).await.unwrap().data.unwrap();
        assert_eq!(record["outcome"], "Succeeded");
    }
    assert_eq!(jobs.get("fix-3").await.unwrap().uid(), before);
    controller.stop().await;
}

async fn create_record(context: &Context, task: &Task) {
    let scope = RunScope::Sync {
        sync: "team".into(),
        task: task.name_any(),
    };
    let record: ConfigMap = serde_json::from_value(json!({
        "metadata": {
            "name": record_name(&scope, &RunDigest::from_annotation("v1-x")),
            "labels": {"axon.io/record": "run", "axon.io/sync": "team"},
        },
        "data": {"task": task.name_any(), "taskUID": task.uid(), "run": "v1-x"},
    }))
    .unwrap();
    let records: Api<ConfigMap> = context.api();
    records
        .create(&PostParams::default(), &record)
        .await
        .unwrap();
}

async fn a_pod_left_of_a_broken_start_is_the_run(context: Context) {
    create_secret(&context).await;
    let task = create(&context, "fix", json!({})).await;
    write_status(&context, "fix", claimed("fix")).await;
    create_job(&context, "fix", Some(&task)).await;
    let pod = kubelet::pod_of(&context, "fix").await;
    kubelet::starts(&context, &pod).await;
    let jobs: Api<Job> = context.api();
    jobs.delete("fix", &DeleteParams::orphan()).await.unwrap();
    gone::<Job>(&context, "fix").await;

    let controller = Controller::start(&context);
    let running = status_of(&once(&context, "fix", "Running", is(TaskPhase::Running)).await);
    assert_eq!(running.pod_name, pod.metadata.name);
    kubelet::ends(&context, &pod, 0, DONE).await;
    once(&context, "fix", "Succeeded", is(TaskPhase::Succeeded)).await;
    assert!(jobs.get_opt("fix").await.unwrap().is_none());
    controller.stop().await;
}

async fn an_end_that_nobody_saw_is_read_later(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    create(&context, "fix", json!({})).await;
    let pod = kubelet::pod_of(&context, "fix").await;
    kubelet::starts(&context, &pod).await;
    once(&context, "fix", "Running", is(TaskPhase::Running)).await;
    controller.stop().await;
    kubelet::ends(&context, &pod, 0, DONE).await;
    let controller = Controller::start(&context);
    let done = once(&context, "fix", "Succeeded", is(TaskPhase::Succeeded)).await;
    assert_eq!(status_of(&done).outputs, ["branch: fix", "made it"]);
    controller.stop().await;
}

async fn a_finished_task_stays_finished(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    create(&context, "fix", json!({})).await;
    agent_ends(&context, "fix", 0, DONE).await;
    let done = once(&context, "fix", "Succeeded", is(TaskPhase::Succeeded)).await;

    let jobs: Api<Job> = context.api();
    jobs.delete("fix", &DeleteParams::background())
        .await
        .unwrap();
    gone::<Job>(&context, "fix").await;
    let label = Patch::Merge(json!({"metadata": {"labels": {"seen": "yes"}}}));
    let tasks: Api<Task> = context.api();
    tasks
        .patch("fix", &PatchParams::default(), &label)
        .await
        .unwrap();
    controller.stop().await;

    // One that starts anew knows no more than the Task says. A second Task shows that it was there.
    let controller = Controller::start(&context);
    create(&context, "other", json!({})).await;
    agent_ends(&context, "other", 0, DONE).await;
    once(&context, "other", "Succeeded", is(TaskPhase::Succeeded)).await;
    assert_eq!(tasks.get("fix").await.unwrap().status, done.status);
    assert!(jobs.get_opt("fix").await.unwrap().is_none());
    controller.stop().await;
}

async fn a_job_deleted_by_hand_is_lost(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    create(&context, "fix", json!({})).await;
    kubelet::pod_of(&context, "fix").await;
    once(&context, "fix", "a Pod", |it| it.pod_name.is_some()).await;
    let jobs: Api<Job> = context.api();
    jobs.delete("fix", &DeleteParams::background())
        .await
        .unwrap();
    let lost = once(&context, "fix", "an end", is(TaskPhase::Failed)).await;
    assert!(shows("JobLost")(&status_of(&lost)), "{lost:?}");
    assert!(jobs.get_opt("fix").await.unwrap().is_none());
    controller.stop().await;
}

async fn a_job_of_the_same_name_is_left_alone(context: Context) {
    create_secret(&context).await;
    let foreign = create_job(&context, "fix", None).await;
    let controller = Controller::start(&context);
    create(&context, "fix", json!({})).await;
    let refused = once(&context, "fix", "an end", is(TaskPhase::Failed)).await;
    assert!(shows("NameTaken")(&status_of(&refused)), "{refused:?}");
    let jobs: Api<Job> = context.api();
    assert_eq!(jobs.get("fix").await.unwrap().uid(), foreign.uid());
    controller.stop().await;
}

async fn a_task_that_ran_out_of_its_time_is_deleted_with_its_job(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    // The kubelet's times lie in the past, so that no test has to wait for this one's.
    create(
        &context,
        "short",
        json!({"spec": {"ttlSecondsAfterFinished": 30}}),
    )
    .await;
    create(
        &context,
        "long",
        json!({"spec": {"ttlSecondsAfterFinished": i32::MAX}}),
    )
    .await;
    agent_ends(&context, "long", 0, DONE).await;
    once(&context, "long", "Succeeded", is(TaskPhase::Succeeded)).await;
    agent_ends(&context, "short", 0, DONE).await;
    gone::<Task>(&context, "short").await;
    gone::<Job>(&context, "short").await;
    assert!(
        context
            .api::<Task>()
            .get_opt("long")
            .await
            .unwrap()
            .is_some()
    );
    controller.stop().await;
}

async fn a_job_that_the_server_refuses_ends_the_task(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    for (name, resources) in [
        (
            "more",
            json!({"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}),
        ),
        ("odd", json!({"limits": {"memory": "two"}})),
    ] {
        let wrong = json!({"spec": {"podOverrides": {"resources": resources}}});
        create(&context, name, wrong).await;
        let refused = once(&context, name, "an end", is(TaskPhase::Failed)).await;
        assert!(shows("InvalidSpec")(&status_of(&refused)), "{refused:?}");
    }
    controller.stop().await;
}

async fn a_replica_that_stops_hands_over_at_once(context: Context) {
    create_secret(&context).await;
    let first = Controller::candidate(&context, "first");
    leader_is(&context, Some("first")).await;
    let second = Controller::candidate(&context, "second");
    create(&context, "fix-1", json!({})).await;
    job_of(&context, "fix-1").await;
    first.stop().await;
    leader_is(&context, Some("second")).await;
    create(&context, "fix-2", json!({})).await;
    job_of(&context, "fix-2").await;
    second.stop().await;
    leader_is(&context, None).await;
}

async fn leader_is(context: &Context, expected: Option<&str>) {
    let leases: Api<Lease> = context.api();
    eventually(&format!("leader {expected:?}"), || async {
        let lease = leases.get_opt("axon-controller").await.unwrap()?;
        let holder = lease.spec.and_then(|it| it.holder_identity);
        (holder.as_deref() == expected).then_some(())
    })
    .await;
}

async fn a_deleted_task_takes_its_job_with_it(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    create(&context, "fix", json!({})).await;
    let pod = kubelet::pod_of(&context, "fix").await;
    let tasks: Api<Task> = context.api();
    tasks
        .delete("fix", &DeleteParams::background())
        .await
        .unwrap();
    gone::<Task>(&context, "fix").await;
    gone::<Job>(&context, "fix").await;
    gone::<Pod>(&context, &pod.name_any()).await;
    controller.stop().await;
}
