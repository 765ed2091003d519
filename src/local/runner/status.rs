//! The status of a Pod as a kubelet writes it, from what is known of its containers.
//!
//! Pure: `now` comes in, nothing is sent.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ContainerState;
use k8s_openapi::api::core::v1::ContainerStateRunning;
use k8s_openapi::api::core::v1::ContainerStateTerminated;
use k8s_openapi::api::core::v1::ContainerStateWaiting;
use k8s_openapi::api::core::v1::ContainerStatus;
use k8s_openapi::api::core::v1::HostIP;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::core::v1::PodIP;
use k8s_openapi::api::core::v1::PodStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::conditions;
use super::fields::ADDRESS;

/// What is known of a Pod on this node.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Progress {
    pub(super) uid: String,
    pub(super) accepted: Timestamp,
    /// Whether a process of the Pod may have been started. It never goes back.
    pub(super) begun: bool,
    pub(super) init: Vec<Container>,
    pub(super) main: Vec<Container>,
    pub(super) verdict: Option<Verdict>,
}

/// One container and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) state: State,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum State {
    Waiting {
        reason: &'static str,
        message: Option<String>,
    },
    Running {
        since: Timestamp,
    },
    Ended(End),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct End {
    pub(super) code: i32,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) started: Option<Timestamp>,
    pub(super) finished: Timestamp,
}

/// Why a Pod ends otherwise than by its containers. It takes effect when all of them stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Deleted,
    Deadline,
    Shutdown,
    Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Pending,
    Running,
    Succeeded,
    Failed,
}

pub(super) const CREATING: &str = "ContainerCreating";
pub(super) const INITIALIZING: &str = "PodInitializing";
pub(super) const COMPLETED: &str = "Completed";
pub(super) const ERROR: &str = "Error";
pub(super) const START_ERROR: &str = "StartError";
/// What a container is called whose end nobody saw.
pub(super) const UNKNOWN: &str = "ContainerStatusUnknown";
/// The exit code of one that was killed, or is taken to be.
pub(super) const KILLED: i32 = 137;

impl Progress {
    /// A Pod of which nothing was started yet.
    pub(super) fn new(pod: &Pod, now: Timestamp) -> Self {
        let spec = pod.spec.clone().unwrap_or_default();
        let init = spec.init_containers.unwrap_or_default();
        let first = if init.is_empty() {
            CREATING
        } else {
            INITIALIZING
        };
        let listed = |containers: Vec<k8s_openapi::api::core::v1::Container>| {
            containers
                .into_iter()
                .map(|it| Container {
                    name: it.name,
                    image: it.image.unwrap_or_default(),
                    state: waiting(first),
                })
                .collect()
        };
        let accepted = pod.status.as_ref().and_then(|it| it.start_time.as_ref());
        Self {
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            accepted: accepted.map_or(now, |it| it.0),
            begun: false,
            init: listed(init),
            main: listed(spec.containers),
            verdict: None,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        let stopped = self
            .all()
            .all(|it| !matches!(it.state, State::Running { .. }));
        let codes: Option<Vec<i32>> = self.main.iter().map(Container::code).collect();
        let failed_init = self
            .init
            .iter()
            .any(|it| it.code().is_some_and(|code| code != 0));
        match (self.verdict, codes) {
            (Some(Verdict::Deadline | Verdict::Shutdown | Verdict::Lost), _) if stopped => {
                Phase::Failed
            }
            (_, Some(codes)) if codes.iter().all(|code| *code == 0) => Phase::Succeeded,
            (_, Some(_)) => Phase::Failed,
            (Some(Verdict::Deleted), None) if stopped => Phase::Failed,
            (_, None) if failed_init => Phase::Failed,
            (_, None) if self.main.iter().any(Container::has_started) => Phase::Running,
            (_, None) => Phase::Pending,
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Container> {
        self.init.iter().chain(&self.main)
    }

    /// Whether all init containers ended well.
    pub(super) fn initialized(&self) -> bool {
        self.init.iter().all(|it| it.code() == Some(0))
    }

    /// The whole status. `before` is the one that it replaces.
    pub(super) fn status(&self, before: Option<&PodStatus>, now: Timestamp) -> PodStatus {
        let known = before.and_then(|it| it.conditions.as_deref());
        let address = || Some(ADDRESS.to_owned());
        let listed = |containers: &[Container], done_is_ready: bool| {
            let shown = |it: &Container| it.status(&self.uid, done_is_ready);
            let all: Vec<_> = containers.iter().map(shown).collect();
            (!all.is_empty()).then_some(all)
        };
        let (reason, message) = self.said();
        PodStatus {
            phase: Some(self.phase().name().to_owned()),
            reason: reason.map(str::to_owned),
            message: message.map(str::to_owned),
            conditions: Some(conditions::of(self, known.unwrap_or_default(), now)),
            start_time: Some(Time(self.accepted)),
            host_ip: address(),
            host_ips: Some(vec![HostIP {
                ip: ADDRESS.to_owned(),
            }]),
            pod_ip: self.begun.then(address).flatten(),
            pod_ips: self.begun.then(|| {
                vec![PodIP {
                    ip: ADDRESS.to_owned(),
                }]
            }),
            qos_class: before
                .and_then(|it| it.qos_class.clone())
                .or_else(|| Some("BestEffort".to_owned())),
            init_container_statuses: listed(&self.init, true),
            container_statuses: listed(&self.main, false),
            ..PodStatus::default()
        }
    }

    /// Reason and message of the Pod as a whole.
    fn said(&self) -> (Option<&'static str>, Option<&'static str>) {
        match self.verdict.filter(|_| self.phase() == Phase::Failed) {
            None | Some(Verdict::Deleted) => (None, None),
            Some(Verdict::Deadline) => (
                Some("DeadlineExceeded"),
                Some("Pod was active on the node longer than the specified deadline"),
            ),
            Some(Verdict::Shutdown) => (
                Some("Terminated"),
                Some("Pod was terminated in response to imminent node shutdown."),
            ),
            Some(Verdict::Lost) => (
                Some("NodeLost"),
                Some("The node that ran the Pod went away before the Pod ended."),
            ),
        }
    }
}

impl Container {
    fn code(&self) -> Option<i32> {
        match &self.state {
            State::Ended(end) => Some(end.code),
            State::Waiting { .. } | State::Running { .. } => None,
        }
    }

    fn has_started(&self) -> bool {
        !matches!(self.state, State::Waiting { .. })
    }

    /// A container that ended well counts as ready where `done_is_ready`: as one that initializes.
    fn status(&self, uid: &str, done_is_ready: bool) -> ContainerStatus {
        let id = self
            .has_started()
            .then(|| format!("local://{uid}/{}", self.name));
        let running = matches!(self.state, State::Running { .. });
        let ready = running || (done_is_ready && self.code() == Some(0));
        let mut state = ContainerState::default();
        match &self.state {
            State::Waiting { reason, message } => {
                state.waiting = Some(ContainerStateWaiting {
                    reason: Some((*reason).to_owned()),
                    message: message.clone(),
                });
            }
            State::Running { since } => {
                state.running = Some(ContainerStateRunning {
                    started_at: Some(Time(*since)),
                });
            }
            State::Ended(end) => {
                state.terminated = Some(ContainerStateTerminated {
                    exit_code: end.code,
                    reason: Some(end.reason.clone()),
                    message: (!end.message.is_empty()).then(|| end.message.clone()),
                    started_at: end.started.map(Time),
                    finished_at: Some(Time(end.finished)),
                    container_id: id.clone(),
                    signal: None,
                });
            }
        }
        ContainerStatus {
            name: self.name.clone(),
            image: self.image.clone(),
            image_id: String::new(),
            container_id: id,
            ready,
            started: Some(running),
            state: Some(state),
            last_state: Some(ContainerState::default()),
            ..ContainerStatus::default()
        }
    }
}

impl Phase {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        }
    }

    pub(super) fn is_final(self) -> bool {
        match self {
            Self::Succeeded | Self::Failed => true,
            Self::Pending | Self::Running => false,
        }
    }
}

pub(super) fn waiting(reason: &'static str) -> State {
    State::Waiting {
        reason,
        message: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn progress() -> Progress {
        let pod = json!({"metadata": {"name": "p", "uid": "u"}, "spec": {
            "initContainers": [{"name": "first", "image": "i"}],
            "containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]}});
        Progress::new(&serde_json::from_value(pod).unwrap(), at(1))
    }

    fn running() -> State {
        State::Running { since: at(2) }
    }

    fn ended(code: i32) -> State {
        State::Ended(End {
            code,
            reason: if code == 0 { COMPLETED } else { ERROR }.to_owned(),
            message: String::new(),
            started: Some(at(2)),
            finished: at(3),
        })
    }

    fn check(init: State, main: [State; 2], verdict: Option<Verdict>, expected: Phase) {
        let mut progress = progress();
        progress.init[0].state = init;
        let [a, b] = main;
        progress.main[0].state = a;
        progress.main[1].state = b;
        progress.verdict = verdict;
        assert_eq!(progress.phase(), expected, "{progress:?}");
    }

    #[test]
    fn the_phase_follows_the_containers() {
        let none = || waiting(INITIALIZING);
        check(none(), [none(), none()], None, Phase::Pending);
        check(running(), [none(), none()], None, Phase::Pending);
        check(ended(1), [none(), none()], None, Phase::Failed);
        check(ended(0), [running(), none()], None, Phase::Running);
        check(ended(0), [ended(1), running()], None, Phase::Running);
        check(ended(0), [ended(0), ended(1)], None, Phase::Failed);
        check(ended(0), [ended(0), ended(0)], None, Phase::Succeeded);
    }

    #[test]
    fn a_verdict_waits_for_the_last_container() {
        let none = || waiting(INITIALIZING);
        let deleted = Some(Verdict::Deleted);
        check(running(), [none(), none()], deleted, Phase::Pending);
        check(none(), [none(), none()], deleted, Phase::Failed);
        check(ended(0), [ended(0), running()], deleted, Phase::Running);
        check(ended(0), [ended(0), ended(0)], deleted, Phase::Succeeded);
        let late = Some(Verdict::Deadline);
        check(ended(0), [running(), running()], late, Phase::Running);
        check(ended(0), [ended(0), ended(0)], late, Phase::Failed);
    }

    #[test]
    fn the_status_reads_as_a_kubelet_s() {
        let mut progress = progress();
        progress.begun = true;
        progress.init[0].state = ended(0);
        progress.main[0].state = running();
        progress.main[1].state = State::Waiting {
            reason: "ImagePullBackOff",
            message: Some("no such program".to_owned()),
        };
        let first = progress.status(None, at(5));
        let later = progress.status(Some(&first), at(9));
        assert_eq!(first, later, "times of conditions stay");
        let shown = serde_json::to_value(&first).unwrap();
        assert_eq!(shown["phase"], "Running");
        let conditions: Vec<_> = shown["conditions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| format!("{}={}", it["type"], it["status"]).replace('"', ""))
            .collect();
        insta::assert_snapshot!(conditions.join(" "), @"PodReadyToStartContainers=True Initialized=True Ready=False ContainersReady=False PodScheduled=True");
        insta::assert_snapshot!(shown["containerStatuses"][1]["state"], @r#"{"waiting":{"message":"no such program","reason":"ImagePullBackOff"}}"#);
        insta::assert_snapshot!(shown["initContainerStatuses"][0]["state"]["terminated"]["reason"], @r#""Completed""#);
    }

    #[test]
    fn foreign_conditions_are_kept() {
        let mut before = progress().status(None, at(5));
        before.conditions.get_or_insert_default().push(
            serde_json::from_value(json!({"type": "example.com/mine", "status": "True"})).unwrap(),
        );
        let after = progress().status(Some(&before), at(9));
        let kinds = after.conditions.unwrap_or_default();
        assert!(kinds.iter().any(|it| it.type_ == "example.com/mine"));
    }

    #[test]
    fn a_lost_pod_is_a_disrupted_one() {
        let mut progress = progress();
        progress.verdict = Some(Verdict::Lost);
        let shown = serde_json::to_value(progress.status(None, at(5))).unwrap();
        assert_eq!(shown["reason"], "NodeLost");
        let conditions = shown["conditions"].as_array().unwrap();
        let disrupted = |it: &&serde_json::Value| it["type"] == "DisruptionTarget";
        assert_eq!(conditions.iter().find(disrupted).unwrap()["status"], "True");
    }
}
