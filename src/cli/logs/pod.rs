//! Which container's log tells what a Task does, and requests for it.

use std::time::Duration;

use futures::AsyncRead;
use k8s_openapi::api::core::v1::ContainerStatus;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::LogParams;
use tokio::time::timeout;

/// Longest time for an answer to begin.
const LIMIT: Duration = Duration::from_secs(30);

/// A Pod of a Task.
pub(super) struct Source {
    pub(super) pods: Api<Pod>,
    pub(super) name: String,
}

/// What a Pod's containers have come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    Gone,
    /// No container has begun, and none has failed.
    Nothing,
    Agent {
        container: String,
        has_ended: bool,
    },
    /// The checkout failed: there will be no agent.
    Checkout {
        container: String,
    },
}

/// Why a log is not read on.
#[derive(Debug)]
pub(super) enum Trouble {
    /// There is no such Pod.
    Gone,
    /// The server cannot do as asked: the container has not begun, or the option is unknown.
    Unserved,
    Refused(String),
    /// It may be better another time.
    Passing(String),
}

impl Source {
    pub(super) async fn look(&self) -> Result<Sight, Trouble> {
        match timeout(LIMIT, self.pods.get_opt(&self.name)).await {
            Ok(Ok(None)) => Ok(Sight::Gone),
            Ok(Ok(Some(pod))) => Ok(sight(&pod)),
            Ok(Err(error)) => Err(trouble(error)),
            Err(_) => Err(slow()),
        }
    }

    pub(super) async fn open(&self, params: &LogParams) -> Result<impl AsyncRead + use<>, Trouble> {
        match timeout(LIMIT, self.pods.log_stream(&self.name, params)).await {
            Ok(opened) => opened.map_err(trouble),
            Err(_) => Err(slow()),
        }
    }
}

/// What `pod` shows.
fn sight(pod: &Pod) -> Sight {
    let status = pod.status.clone().unwrap_or_default();
    let of_pod = status.phase.as_deref();
    let is_over = matches!(of_pod, Some("Succeeded" | "Failed"));
    let main = status.container_statuses.unwrap_or_default();
    if let Some(agent) = main.into_iter().find(has_begun) {
        return Sight::Agent {
            has_ended: is_over || has_ended(&agent),
            container: agent.name,
        };
    }
    let init = status.init_container_statuses.unwrap_or_default();
    let mut failed = init.into_iter().filter(|it| {
        let ended = it.state.as_ref().and_then(|it| it.terminated.as_ref());
        ended.is_some_and(|it| it.exit_code != 0)
    });
    match failed.next() {
        Some(checkout) => Sight::Checkout {
            container: checkout.name,
        },
        None => Sight::Nothing,
    }
}

fn has_begun(container: &ContainerStatus) -> bool {
    let state = container.state.as_ref();
    let begun = |it: &k8s_openapi::api::core::v1::ContainerState| {
        // A node that was lost tells an end without a beginning.
        let ended = it.terminated.as_ref();
        it.running.is_some() || ended.is_some_and(|it| it.started_at.is_some())
    };
    state.is_some_and(begun)
}

fn has_ended(container: &ContainerStatus) -> bool {
    let state = container.state.as_ref();
    state.is_some_and(|it| it.terminated.is_some())
}

fn slow() -> Trouble {
    Trouble::Passing(format!("no answer within {} s", LIMIT.as_secs()))
}

fn trouble(error: kube::Error) -> Trouble {
    match error {
        kube::Error::Api(status) => match status.code {
            404 => Trouble::Gone,
            400 => Trouble::Unserved,
            401 | 403 => Trouble::Refused(status.message.clone()),
            _ => Trouble::Passing(status.message.clone()),
        },
        kube::Error::Service(source) => Trouble::Passing(source.to_string()),
        other => Trouble::Passing(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json;

    use super::*;

    fn check(status: &Value, expected: &Sight) {
        let pod: Pod = serde_json::from_value(json!({"metadata": {}, "status": status})).unwrap();
        assert_eq!(&sight(&pod), expected, "{status}");
    }

    fn container(name: &str, state: &Value) -> Value {
        json!([{"name": name, "state": state, "ready": false, "restartCount": 0, "image": "", "imageID": ""}])
    }

    #[test]
    fn the_container_that_tells() {
        let waiting = json!({"waiting": {"reason": "PodInitializing"}});
        let running = json!({"running": {}});
        let ended = json!({"terminated": {"exitCode": 1, "startedAt": "2026-01-01T00:00:00Z"}});
        let never = json!({"terminated": {"exitCode": 137}});
        check(&json!({}), &Sight::Nothing);
        check(
            &json!({"initContainerStatuses": container("checkout", &running), "containerStatuses": container("codex", &waiting)}),
            &Sight::Nothing,
        );
        check(
            &json!({"initContainerStatuses": container("checkout", &ended), "containerStatuses": container("codex", &waiting)}),
            &Sight::Checkout {
                container: "checkout".into(),
            },
        );
        let agent = |has_ended| Sight::Agent {
            container: "codex".into(),
            has_ended,
        };
        check(
            &json!({"containerStatuses": container("codex", &running)}),
            &agent(false),
        );
        check(
            &json!({"containerStatuses": container("codex", &ended)}),
            &agent(true),
        );
        check(
            &json!({"phase": "Failed", "containerStatuses": container("codex", &running)}),
            &agent(true),
        );
        check(
            &json!({"containerStatuses": container("codex", &never)}),
            &Sight::Nothing,
        );
    }
}
