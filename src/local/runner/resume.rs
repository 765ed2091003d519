//! What to do with a Pod that this node finds when it starts, or meets for the first time.
//!
//! A Pod of which a process may have been started is never started again: the node that ran it is
//! gone, whatever the reason. That is what keeps a run from happening twice.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ContainerStatus;
use k8s_openapi::api::core::v1::Pod;

use super::conditions;
use super::status::Container;
use super::status::End;
use super::status::KILLED;
use super::status::Progress;
use super::status::State;
use super::status::UNKNOWN;
use super::status::Verdict;

#[derive(Debug, PartialEq)]
pub(super) enum Resume {
    Start(Progress),
    Lost(Progress),
    Finished,
}

/// Decides by what the API server knows of the Pod.
pub(super) fn resume(pod: &Pod, now: Timestamp) -> Resume {
    let status = pod.status.clone().unwrap_or_default();
    let mut progress = Progress::new(pod, now);
    if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
        return Resume::Finished;
    }
    let init = status.init_container_statuses.unwrap_or_default();
    let main = status.container_statuses.unwrap_or_default();
    let is_claimed = status
        .conditions
        .iter()
        .flatten()
        .any(|it| it.type_ == conditions::BEGUN && it.status == "True");
    let has_started = init.iter().chain(&main).any(has_started);
    if !is_claimed && !has_started && status.phase.as_deref() != Some("Running") {
        return Resume::Start(progress);
    }
    progress.begun = true;
    progress.verdict = Some(Verdict::Lost);
    restore(&mut progress.init, &init, now);
    restore(&mut progress.main, &main, now);
    Resume::Lost(progress)
}

fn has_started(status: &ContainerStatus) -> bool {
    status
        .state
        .as_ref()
        .is_some_and(|it| it.running.is_some() || it.terminated.is_some())
}

/// What ended stays as it was written; what ran has an end that nobody saw.
fn restore(containers: &mut [Container], written: &[ContainerStatus], now: Timestamp) {
    for container in containers {
        let found = written.iter().find(|it| it.name == container.name);
        let Some((found, state)) = found.and_then(|it| Some((it, it.state.as_ref()?))) else {
            continue;
        };
        let last = found
            .last_state
            .as_ref()
            .and_then(|it| it.terminated.as_ref());
        container.last = last.map(|it| End::read(it, now));
        container.restarts = found.restart_count;
        if let Some(end) = &state.terminated {
            container.state = State::Ended(End::read(end, now));
        } else if let Some(running) = &state.running {
            container.state = State::Ended(End {
                code: KILLED,
                reason: UNKNOWN.to_owned(),
                message: "The container could not be located when the pod was terminated"
                    .to_owned(),
                started: running.started_at.as_ref().map(|it| it.0),
                finished: now,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json;

    use super::*;
    use crate::local::runner::status::Phase;

    fn resumed(status: &Value) -> Resume {
        let pod = json!({"metadata": {"name": "p", "uid": "u"}, "status": status, "spec": {
            "initContainers": [{"name": "first"}], "containers": [{"name": "a"}]}});
        resume(
            &serde_json::from_value(pod).unwrap(),
            Timestamp::from_second(7).unwrap(),
        )
    }

    fn check_lost(status: &Value, codes: [Option<i32>; 2]) {
        let Resume::Lost(progress) = resumed(status) else {
            panic!("not lost");
        };
        let found: Vec<_> = progress
            .all()
            .map(|it| match &it.state {
                State::Ended(end) => Some(end.code),
                State::Waiting { .. } | State::Running { .. } => None,
            })
            .collect();
        assert_eq!(found, codes);
        assert_eq!(progress.phase(), Phase::Failed);
    }

    #[test]
    fn what_never_began_begins() {
        assert!(matches!(resumed(&json!({})), Resume::Start(_)));
        let waiting = json!({"phase": "Pending",
            "conditions": [{"type": "PodReadyToStartContainers", "status": "False"}],
            "containerStatuses": [{"name": "a", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"waiting": {"reason": "CreateContainerConfigError"}}}]});
        assert!(matches!(resumed(&waiting), Resume::Start(_)));
    }

    #[test]
    fn what_may_have_begun_never_begins_again() {
        check_lost(
            &json!({"phase": "Pending",
                "conditions": [{"type": "PodReadyToStartContainers", "status": "True"}]}),
            [None, None],
        );
        let state = |name, state: Value| {
            json!({"name": name, "image": "", "imageID": "",
            "ready": false, "restartCount": 0, "state": state})
        };
        check_lost(
            &json!({"phase": "Running",
                "initContainerStatuses": [state("first", json!({"terminated": {"exitCode": 0}}))],
                "containerStatuses": [state("a", json!({"running": {}}))]}),
            [Some(0), Some(KILLED)],
        );
    }

    #[test]
    fn finished_stays_finished() {
        assert_eq!(resumed(&json!({"phase": "Succeeded"})), Resume::Finished);
        assert_eq!(resumed(&json!({"phase": "Failed"})), Resume::Finished);
    }
}
