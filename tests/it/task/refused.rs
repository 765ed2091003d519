//! Each write of a Task's life is refused for good (422), and then no more.

use std::time::Duration;

use http::Method;

use super::branch::create_workspace;
use super::pair::Line;
use super::*;

crate::on_both_servers!(a_write_that_is_refused_is_tried_again_and_doubles_nothing);

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
