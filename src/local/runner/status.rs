//! The status of a Pod as a kubelet writes it, from what is known of its containers.
//!
//! Pure: `now` comes in, nothing is sent.

use jiff::Timestamp;
use k8s_openapi::api::core::v1;
use k8s_openapi::api::core::v1::ContainerState;
use k8s_openapi::api::core::v1::ContainerStateRunning;
use k8s_openapi::api::core::v1::ContainerStateTerminated;
use k8s_openapi::api::core::v1::ContainerStateWaiting;
use k8s_openapi::api::core::v1::ContainerStatus;
use k8s_openapi::api::core::v1::HostIP;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::core::v1::PodIP;
use k8s_openapi::api::core::v1::PodStatus;
use k8s_openapi::api::core::v1::VolumeMountStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::conditions;
use super::container::Slot;
use super::fields::ADDRESS;

/// What is known of a Pod on this node.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Progress {
    pub(super) uid: String,
    /// Of the Pod's spec as it was seen last.
    pub(super) generation: Option<i64>,
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
    mounts: Option<Vec<VolumeMountStatus>>,
    resources: Option<v1::ResourceRequirements>,
    /// Whether it initializes by running, and goes on beside the others: an init container that is always
    /// started again.
    pub(super) is_sidecar: bool,
    pub(super) state: State,
    /// How its process before this one ended.
    pub(super) last: Option<End>,
    pub(super) restarts: i32,
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

/// What is said of a Pod that its own deadline ended.
pub(super) const DEADLINE_EXCEEDED: &str =
    "Pod was active on the node longer than the specified deadline";
pub(super) const CREATING: &str = "ContainerCreating";
pub(super) const INITIALIZING: &str = "PodInitializing";
pub(super) const CRASH_LOOP: &str = "CrashLoopBackOff";
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
        let listed = |containers: Vec<v1::Container>| {
            containers
                .into_iter()
                .map(|it| Container {
                    is_sidecar: is_sidecar(&it),
                    mounts: mounts(&it),
                    resources: it.resources,
                    name: it.name,
                    image: it.image.unwrap_or_default(),
                    state: waiting(first),
                    last: None,
                    restarts: 0,
                })
                .collect()
        };
        let accepted = pod.status.as_ref().and_then(|it| it.start_time.as_ref());
        Self {
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            generation: pod.metadata.generation,
            accepted: accepted.map_or(now, |it| it.0),
            begun: false,
            init: listed(init),
            main: listed(spec.containers),
            verdict: None,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        let stopped = !self.all().any(Container::is_running);
        let codes: Option<Vec<i32>> = self.main.iter().map(Container::code).collect();
        let ended_well = codes.as_ref().map(|all| all.iter().all(|code| *code == 0));
        let has_failed = |it: &Container| it.code().is_some_and(|code| code != 0);
        let failed_init = self.init.iter().any(|it| !it.is_sidecar && has_failed(it));
        match (self.verdict, ended_well) {
            (Some(Verdict::Deadline | Verdict::Shutdown | Verdict::Lost), _) if stopped => {
                Phase::Failed
            }
            // Sidecars are the last to end.
            (_, Some(true)) if stopped => Phase::Succeeded,
            (_, Some(false)) | (Some(Verdict::Deleted), None) if stopped => Phase::Failed,
            (_, Some(_)) => Phase::Running,
            (_, None) if failed_init && stopped => Phase::Failed,
            (_, None) if self.main.iter().all(Container::has_started) => Phase::Running,
            (_, None) => Phase::Pending,
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Container> {
        self.init.iter().chain(&self.main)
    }

    pub(super) fn at(&mut self, slot: Slot) -> &mut Container {
        match slot {
            Slot::Init(at) => &mut self.init[at],
            Slot::Main(at) => &mut self.main[at],
        }
    }

    pub(super) fn is_sidecar(&self, slot: Slot) -> bool {
        match slot {
            Slot::Init(at) => self.init[at].is_sidecar,
            Slot::Main(_) => false,
        }
    }

    /// Whether all init containers did what they were to do.
    pub(super) fn initialized(&self) -> bool {
        self.init.iter().all(Container::has_initialized)
    }

    /// The whole status. `before` is the one that it replaces.
    pub(super) fn status(&self, before: Option<&PodStatus>, now: Timestamp) -> PodStatus {
        let known = before.and_then(|it| it.conditions.as_deref());
        let address = || Some(ADDRESS.to_owned());
        let listed = |containers: &[Container], done_is_ready: bool| {
            let shown = |it: &Container| it.status(&self.uid, done_is_ready && !it.is_sidecar);
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
            observed_generation: self.generation,
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
            Some(Verdict::Deadline) => (Some("DeadlineExceeded"), Some(DEADLINE_EXCEEDED)),
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

    pub(super) fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }

    /// Whether a process of it runs, or did.
    fn has_started(&self) -> bool {
        self.last.is_some() || !matches!(self.state, State::Waiting { .. })
    }

    /// Whether the next container may start.
    pub(super) fn has_initialized(&self) -> bool {
        self.code() == Some(0) || (self.is_sidecar && self.has_started())
    }

    /// A container that ended well counts as ready where `done_is_ready`: as one that initializes.
    fn status(&self, uid: &str, done_is_ready: bool) -> ContainerStatus {
        let id = self
            .has_started()
            .then(|| format!("local://{uid}/{}", self.name));
        let running = self.is_running();
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
                state.terminated = Some(end.terminated(id.clone()));
            }
        }
        let last = self.last.as_ref().map(|end| ContainerState {
            terminated: Some(end.terminated(id.clone())),
            ..ContainerState::default()
        });
        ContainerStatus {
            name: self.name.clone(),
            image: self.image.clone(),
            image_id: id.as_ref().map(|_| self.image.clone()).unwrap_or_default(),
            volume_mounts: self.mounts.clone(),
            allocated_resources: id.as_ref().and_then(|_| self.resources.clone()?.requests),
            resources: id.as_ref().and_then(|_| self.resources.clone()),
            container_id: id,
            ready,
            started: Some(running),
            state: Some(state),
            last_state: Some(last.unwrap_or_default()),
            restart_count: self.restarts,
            ..ContainerStatus::default()
        }
    }
}

impl End {
    fn terminated(&self, container_id: Option<String>) -> ContainerStateTerminated {
        // As the kubelet has it of what never ran.
        let never = (self.reason == START_ERROR).then_some(Timestamp::UNIX_EPOCH);
        let started = self.started.or(never);
        ContainerStateTerminated {
            exit_code: self.code,
            reason: Some(self.reason.clone()),
            message: (!self.message.is_empty()).then(|| self.message.clone()),
            started_at: started.map(Time),
            finished_at: Some(Time(self.finished)),
            container_id,
            signal: None,
        }
    }

    /// What was written of an end; `now` stands for a time that was not.
    pub(super) fn read(written: &ContainerStateTerminated, now: Timestamp) -> Self {
        Self {
            code: written.exit_code,
            reason: written.reason.clone().unwrap_or_default(),
            message: written.message.clone().unwrap_or_default(),
            started: written.started_at.as_ref().map(|it| it.0),
            finished: written.finished_at.as_ref().map_or(now, |it| it.0),
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

/// Whether an init container is one that runs beside the others.
pub(super) fn is_sidecar(container: &v1::Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// What the status tells of a container's mounts.
fn mounts(container: &v1::Container) -> Option<Vec<VolumeMountStatus>> {
    let all = container.volume_mounts.as_ref()?.iter();
    let told = all.map(|it| VolumeMountStatus {
        name: it.name.clone(),
        mount_path: it.mount_path.clone(),
        read_only: it.read_only.filter(|it| *it),
        recursive_read_only: it.read_only.filter(|it| *it).map(|_| "Disabled".to_owned()),
    });
    Some(told.collect())
}

pub(super) fn waiting(reason: &'static str) -> State {
    State::Waiting {
        reason,
        message: None,
    }
}

#[cfg(test)]
mod tests;
