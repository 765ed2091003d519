//! Tasks that wait for others, and use what they left.

use super::*;

crate::on_both_servers!(
    a_task_starts_when_those_before_it_have_succeeded,
    a_failed_task_fails_those_after_it,
    a_cycle_is_told_on_each_that_is_on_it,
    a_task_that_is_not_there_may_come_later,
    a_task_that_others_depend_on_outlives_its_time,
    many_wait_for_one,
);

fn after(others: &[&str]) -> Value {
    json!({"spec": {"dependsOn": others}})
}

/// A variable of the container that checks the workspace out.
fn variable(job: &Job, name: &str) -> Option<String> {
    let pod = job.spec.as_ref()?.template.spec.as_ref()?;
    let env = pod.init_containers.as_ref()?[0].env.as_ref()?;
    env.iter().find(|it| it.name == name)?.value.clone()
}

async fn a_task_starts_when_those_before_it_have_succeeded(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    let mut deploy = after(&["build", "run-tests"]);
    deploy["spec"]["promptSyntax"] = json!("GoTemplate");
    deploy["spec"]["prompt"] = json!(
        "Deploy {{index .Deps.build.Outputs 0}}: {{(index .Deps \"run-tests\").Results.tests}}"
    );
    create(&context, "deploy", deploy).await;
    create(&context, "build", json!({})).await;
    create(&context, "run-tests", json!({})).await;
    let waiting = once(&context, "deploy", "a wait", shows("WaitingForDependency")).await;
    assert!(
        said(&waiting).contains("Task \"build\""),
        "{}",
        said(&waiting)
    );
    agent_ends(&context, "build", 0, DONE).await;
    ended(&context, "build").await;
    let jobs: Api<Job> = context.api();
    assert!(jobs.get_opt("deploy").await.unwrap().is_none());
    agent_ends(&context, "run-tests", 0, DONE).await;

    let job = job_of(&context, "deploy").await;
    let left = variable(&job, "AXON_DEPENDENCIES_0").unwrap();
    let left: Value = serde_json::from_str(&left).unwrap();
    assert_eq!(left["build"]["phase"], "Succeeded");
    assert_eq!(left["build"]["outputs"], json!(["branch: fix", "made it"]));
    assert_eq!(left["run-tests"]["results"]["tests"], "12");
    let prompt = variable(&job, "AXON_PROMPT_0").unwrap();
    assert_eq!(prompt, "Deploy branch: fix: 12");
    agent_ends(&context, "deploy", 0, DONE).await;
    ended(&context, "deploy").await;
    controller.stop().await;
}

async fn a_failed_task_fails_those_after_it(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    create(&context, "c", after(&["b"])).await;
    create(&context, "b", after(&["a"])).await;
    create(&context, "a", json!({})).await;
    agent_ends(&context, "a", 3, "").await;
    let b = ended(&context, "b").await;
    assert_eq!(
        said(&b),
        "DependencyFailed: Task \"a\" has failed: container \"claude-code\" failed with exit code 3"
    );
    let c = ended(&context, "c").await;
    assert!(said(&c).starts_with("DependencyFailed: Task \"b\" has failed"));
    assert_eq!(jobs_and_pods(&context).await, (1, 1));
    controller.stop().await;
}

async fn a_cycle_is_told_on_each_that_is_on_it(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    create(&context, "a", after(&["b"])).await;
    create(&context, "b", after(&["c"])).await;
    create(&context, "outside", after(&["a"])).await;
    create(&context, "c", after(&["a"])).await;
    for (name, way) in [("a", "abca"), ("b", "bcab"), ("c", "cabc")] {
        let end = ended(&context, name).await;
        let way: Vec<String> = way.chars().map(|it| format!("\"{it}\"")).collect();
        let expected = format!("InvalidSpec: spec.dependsOn: a cycle: {}", way.join(" → "));
        assert_eq!(said(&end), expected);
    }
    let outside = ended(&context, "outside").await;
    assert!(
        said(&outside).starts_with("DependencyFailed"),
        "{}",
        said(&outside)
    );
    controller.stop().await;
}

async fn a_task_that_is_not_there_may_come_later(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    create(&context, "b", after(&["a"])).await;
    let waiting = once(&context, "b", "a wait", shows("WaitingForDependency")).await;
    assert!(
        said(&waiting).contains("Task \"a\" (not there"),
        "{}",
        said(&waiting)
    );
    create(&context, "a", json!({})).await;
    agent_ends(&context, "a", 0, DONE).await;
    agent_ends(&context, "b", 0, DONE).await;
    ended(&context, "b").await;
    controller.stop().await;
}

async fn a_task_that_others_depend_on_outlives_its_time(context: Context) {
    create_secret(&context).await;
    let controller = Controller::start(&context);
    create(&context, "b", after(&["a", "x"])).await;
    let at_once = json!({"spec": {"ttlSecondsAfterFinished": 0}});
    create(&context, "a", at_once.clone()).await;
    create(&context, "alone", at_once).await;
    agent_ends(&context, "a", 0, DONE).await;
    ended(&context, "a").await;
    agent_ends(&context, "alone", 0, DONE).await;
    gone::<Task>(&context, "alone").await;
    assert!(context.api::<Task>().get_opt("a").await.unwrap().is_some());
    create(&context, "x", json!({})).await;
    agent_ends(&context, "x", 0, DONE).await;
    let job = job_of(&context, "b").await;
    assert!(
        variable(&job, "AXON_DEPENDENCIES_0")
            .unwrap()
            .contains("made it")
    );
    agent_ends(&context, "b", 0, DONE).await;
    ended(&context, "b").await;
    gone::<Task>(&context, "a").await;
    controller.stop().await;
}

async fn many_wait_for_one(context: Context) {
    const MANY: usize = 30;
    create_secret(&context).await;
    let controller = Controller::start(&context);
    for n in 0..MANY {
        create(&context, &format!("t{n}"), after(&["one"])).await;
    }
    create(&context, "one", json!({})).await;
    agent_ends(&context, "one", 0, DONE).await;
    for n in 0..MANY {
        job_of(&context, &format!("t{n}")).await;
    }
    controller.stop().await;
}
