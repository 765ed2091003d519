//! Writes of the Task controller that the API server refuses for good (422): told, not hammered, and gone on
//! with once they pass.

use std::time::Duration;

use http::Method;

use super::branch::create_workspace;
use super::pair::Line;
use super::pair::REFUSAL;
use super::*;

crate::on_both_servers!(
    a_write_that_is_refused_is_tried_again_and_doubles_nothing,
    a_claim_that_is_refused_is_told_and_goes_on,
    a_release_that_is_refused_is_told_and_goes_on,
    an_end_that_cannot_be_written_is_told_and_not_lost,
);

/// The writes from a Task's start to its end: (method, end of the path, how many like it pass first).
const WRITES: [(Method, &str, usize); 6] = [
    (Method::POST, "/leases", 0),
    (Method::POST, "/configmaps", 0),
    // The lock, that the Job was made, and the end.
    (Method::PATCH, "/status", 0),
    (Method::PATCH, "/status", 1),
    (Method::PATCH, "/status", 2),
    // The release.
    (Method::PATCH, "/jobs/t", 0),
];
/// The pause that has to come between two tries, and how many tries there may be before it: what happens to Jobs
/// and Pods meanwhile brings some, a tight loop would bring hundreds.
const PAUSE: Duration = Duration::from_millis(400);
const TRIES: usize = 30;

async fn a_write_that_is_refused_is_tried_again_and_doubles_nothing(context: Context) {
    create_secret(&context).await;
    create_workspace(&context).await;
    let line = Line::start(&context, Duration::ZERO).await;
    let controller = Controller::through(&context, line.client());
    for (n, (method, path, pass)) in WRITES.into_iter().enumerate() {
        let task = format!("t{n}");
        let what = format!("{method} {path} after {pass}");
        let end = match path {
            "/status" => format!("/tasks/{task}/status"),
            "/jobs/t" => format!("/jobs/{task}"),
            other => other.to_owned(),
        };
        line.refuse(method, &end, pass);
        let changes = json!({
            "metadata": {
                "annotations": {"axon.io/run": format!("v1-{n}")},
                "labels": {"axon.io/sync": "team"},
            },
            "spec": {"workspaceRef": {"name": "web"}, "branch": task},
        });
        create(&context, &task, changes).await;
        let awaited = format!("refusals of {what}");
        let refused = eventually(&awaited, || async {
            let at = line.refused();
            let pauses = at.windows(2).any(|two| two[1] - two[0] >= PAUSE);
            pauses.then_some(())
        });
        let agent = agent_ends(&context, &task, 0, DONE);
        let relented = async {
            refused.await;
            line.relent()
        };
        let (at, _) = tokio::join!(relented, agent);
        assert!(at.len() <= TRIES, "{what}: {at:?}");
        let done = ended(&context, &task).await;
        assert!(
            shows("Succeeded")(&status_of(&done)),
            "{what}: {}",
            said(&done)
        );
        assert_eq!(jobs_and_pods(&context).await, (n + 1, n + 1), "{what}");
    }
    controller.stop().await;
}

/// So far apart are two tries once a write was refused a few times.
const APART: Duration = Duration::from_millis(1500);
/// Tries until then: each change of a Job or Pod is worth one at once.
const FEW: usize = 15;

/// Waits until the tries to write have grown rare.
async fn tried_rarely(line: &Line) {
    let seen = eventually("two tries far apart", || async {
        let seen = line.refused();
        let is_rare = seen.windows(2).any(|it| it[1] - it[0] >= APART);
        is_rare.then_some(seen)
    })
    .await;
    assert!((3..FEW).contains(&seen.len()), "{seen:?}");
}

/// The words of the events of this reason about the Task.
async fn words_of(context: &Context, reason: &str) -> String {
    let all: Api<Event> = context.api();
    eventually(reason, || async {
        let all = all.list(&ListParams::default()).await.unwrap();
        let mut found = all.into_iter().filter(|it| {
            it.reason.as_deref() == Some(reason)
                && it.involved_object.name.as_deref() == Some("fix")
        });
        found.next().map(|it| it.message.unwrap_or_default())
    })
    .await
}

async fn a_claim_that_is_refused_is_told_and_goes_on(context: Context) {
    create_secret(&context).await;
    let line = Line::start(&context, Duration::ZERO).await;
    line.refuse(Method::PATCH, "/tasks/fix/status", 0);
    let controller = Controller::through(&context, line.client());
    create(&context, "fix", json!({})).await;
    tried_rarely(&line).await;
    let told = words_of(&context, "WriteRefused").await;
    assert!(told.contains(REFUSAL), "{told}");
    assert_eq!(jobs_and_pods(&context).await, (0, 0));
    line.relent();
    agent_ends(&context, "fix", 0, DONE).await;
    ended(&context, "fix").await;
    assert_eq!(jobs_and_pods(&context).await, (1, 1));
    controller.stop().await;
}

async fn a_release_that_is_refused_is_told_and_goes_on(context: Context) {
    create_secret(&context).await;
    let line = Line::start(&context, Duration::ZERO).await;
    line.refuse(Method::PATCH, "/jobs/fix", 0);
    let controller = Controller::through(&context, line.client());
    create(&context, "fix", json!({})).await;
    let waits = once(&context, "fix", "a refusal", shows("JobRefused")).await;
    assert_eq!(
        said(&waits),
        format!("JobRefused: the API server does not let Job \"fix\" start: {REFUSAL}")
    );
    assert_eq!(jobs_and_pods(&context).await, (1, 0));
    line.relent();
    agent_ends(&context, "fix", 0, DONE).await;
    ended(&context, "fix").await;
    assert_eq!(jobs_and_pods(&context).await, (1, 1));
    controller.stop().await;
}

async fn an_end_that_cannot_be_written_is_told_and_not_lost(context: Context) {
    create_secret(&context).await;
    let line = Line::start(&context, Duration::ZERO).await;
    let controller = Controller::through(&context, line.client());
    create(&context, "fix", json!({})).await;
    let pod = kubelet::pod_of(&context, "fix").await;
    kubelet::starts(&context, &pod).await;
    once(&context, "fix", "Running", is(TaskPhase::Running)).await;
    line.refuse(Method::PATCH, "/tasks/fix/status", 0);
    kubelet::ends(&context, &pod, 0, DONE).await;
    tried_rarely(&line).await;
    let told = words_of(&context, "WriteRefused").await;
    assert!(told.contains(REFUSAL), "{told}");
    line.relent();
    let done = status_of(&ended(&context, "fix").await);
    assert_eq!(done.phase, Some(TaskPhase::Succeeded));
    assert_eq!(done.outputs, ["branch: fix", "made it"]);
    assert_eq!(jobs_and_pods(&context).await, (1, 1));
    controller.stop().await;
}
