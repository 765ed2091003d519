//! The life of one container: wait until it can be configured, claim the Pod, run, tell the end.
//!
//! It tells its Pod what happens and writes nothing to the API server itself.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio::time::Instant;

use super::Node;
use super::launch::Launch;
use super::launch::Order;
use super::message;
use super::plan;
use super::plan::Places;
use super::process;
use super::process::Process;
use super::restart::Backoff;
use super::restart::Restarts;
use super::restart::go_duration;
use super::sources::Wanted;
use super::status;
use super::status::COMPLETED;
use super::status::CRASH_LOOP;
use super::status::CREATING;
use super::status::ERROR;
use super::status::End;
use super::status::START_ERROR;
use super::status::State;
use super::supervise::REFUSED;
use crate::local::clock;
use crate::local::events::Note;

/// Pauses between tries at something that another person may put right.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_LAST: Duration = Duration::from_secs(5);

/// Which container of the Pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Init(usize),
    Main(usize),
}

/// What a container tells its Pod.
pub(super) enum Update {
    /// It is about to start. It does so only after the answer, which says that the API server
    /// knows.
    Claim(oneshot::Sender<()>),
    State(Slot, State),
    /// Its process ended, and the next one starts after the state told.
    Again(Slot, End, State),
    Event(Note),
}

/// When a container is to be killed; it is asked to end as soon as this is set.
pub(super) type Halt = Option<Instant>;

/// All that one container needs.
pub(super) struct Runner {
    pub(super) node: Arc<Node>,
    pub(super) pod: Arc<Pod>,
    pub(super) places: Arc<Places>,
    pub(super) slot: Slot,
    pub(super) spec: v1::Container,
    pub(super) tell: mpsc::Sender<Update>,
    pub(super) halt: watch::Receiver<Halt>,
    pub(super) restarts: Restarts,
}

impl Runner {
    /// Runs the container to its end, as often as its restart policy says, or until a halt comes.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::default();
        while let Some(end) = self.run_once().await {
            if !self.restarts.after(end.code) || self.halt.borrow().is_some() {
                return self.state(State::Ended(end)).await;
            }
            let pause = backoff.after(&end);
            let waiting = self.between(pause).await;
            let again = Update::Again(self.slot, end, waiting);
            let _ = self.tell.send(again).await;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = halted(&mut self.halt) => return,
            }
        }
    }

    /// Runs one process. None after a halt that came before there was one.
    async fn run_once(&mut self) -> Option<End> {
        let image = self.spec.image.clone().unwrap_or_default();
        let pulled = format!(
            "Container image \"{image}\" already present on machine and can be accessed by the pod"
        );
        self.note(Note::normal("Pulled", pulled)).await;
        let launch = self.configured().await?;
        let (answer, claimed) = oneshot::channel();
        let told = self.tell.send(Update::Claim(answer)).await.is_ok();
        if !told || claimed.await.is_err() || self.halt.borrow().is_some() {
            return None;
        }
        self.note(Note::normal("Created", "Container created"))
            .await;
        let started = clock::now();
        match Process::start(&self.node.options.supervisor, &launch).await {
            Ok(process) => {
                drop(launch.env);
                self.state(State::Running { since: started }).await;
                self.note(Note::normal("Started", "Container started"))
                    .await;
                let code = self.attend(process).await;
                Some(self.end(code, started, &launch.log))
            }
            Err(error) => {
                let message = refusal(&error);
                self.note(Note::warning("Failed", format!("Error: {message}")))
                    .await;
                Some(End {
                    code: REFUSED,
                    reason: START_ERROR.to_owned(),
                    message,
                    started: None,
                    finished: clock::now(),
                })
            }
        }
    }

    /// Says why the next process does not start at once. The words are the kubelet's.
    async fn between(&self, pause: Duration) -> State {
        if pause.is_zero() {
            return status::waiting(CREATING);
        }
        let meta = &self.pod.metadata;
        let known = |it: &Option<String>| it.clone().unwrap_or_default();
        let pod = format!(
            "{}_{}({})",
            known(&meta.name),
            known(&meta.namespace),
            known(&meta.uid)
        );
        let name = &self.spec.name;
        let event = format!("Back-off restarting failed container {name} in pod {pod}");
        self.note(Note::warning("BackOff", event)).await;
        State::Waiting {
            reason: CRASH_LOOP,
            message: Some(format!(
                "back-off {} restarting failed container={name} pod={pod}",
                go_duration(pause)
            )),
        }
    }

    /// Tries until the container can be configured. None after a halt.
    async fn configured(&mut self) -> Option<Launch> {
        let mut pause = RETRY_FIRST;
        let mut last = None;
        loop {
            match self.configure().await {
                Ok(launch) => return Some(launch),
                Err(why) => {
                    if last.as_ref() != Some(&why) {
                        self.note(Note::warning("Failed", format!("Error: {}", why.message)))
                            .await;
                        self.state(State::Waiting {
                            reason: why.reason,
                            message: Some(why.message.clone()),
                        })
                        .await;
                        last = Some(why);
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(RETRY_LAST),
                () = halted(&mut self.halt) => return None,
            }
        }
    }

    async fn configure(&self) -> Result<Launch, plan::Waiting> {
        let image = self.spec.image.as_deref().unwrap_or_default();
        let image = (self.node.options.images)(image)
            .map_err(|why| plan::Waiting::image(&self.spec, why))?;
        let namespace = self.pod.metadata.namespace.as_deref().unwrap_or_default();
        let sources = Wanted::by_container(&self.spec)
            .read(&self.node.client, namespace)
            .await
            .map_err(|_| plan::Waiting::config("cannot read from the API server".to_owned()))?;
        let setting = plan::Setting {
            pod: &self.pod,
            image: &image,
            places: &self.places,
            options: &self.node.options,
        };
        plan::launch(&self.spec, &sources, &setting)
    }

    /// Waits for the end of a running container and brings it about when asked to.
    async fn attend(&mut self, mut process: Process) -> i32 {
        tokio::select! {
            code = process.ended() => return code,
            () = halted(&mut self.halt) => {}
        }
        process.order(Order::Terminate).await;
        loop {
            let at = self.halt.borrow_and_update().unwrap_or_else(Instant::now);
            tokio::select! {
                code = process.ended() => return code,
                () = tokio::time::sleep_until(at) => break,
                changed = self.halt.changed() => if changed.is_err() { break },
            }
        }
        process.order(Order::Kill).await;
        process.ended().await
    }

    fn end(&self, code: i32, started: jiff::Timestamp, log: &Path) -> End {
        let containers = self.pod.spec.as_ref().map_or(1, |spec| {
            spec.containers.len() + spec.init_containers.as_ref().map_or(0, Vec::len)
        });
        let falls_back =
            self.spec.termination_message_policy.as_deref() == Some("FallbackToLogsOnError");
        let log = (falls_back && code != 0).then_some(log);
        End {
            code,
            reason: if code == 0 { COMPLETED } else { ERROR }.to_owned(),
            message: message::read(
                &self.places.termination_log(&self.spec.name),
                log,
                message::limit(containers),
            ),
            started: Some(started),
            finished: clock::now(),
        }
    }

    async fn state(&self, state: State) {
        // A Pod that does not listen any more is being dropped, and this with it.
        let _ = self.tell.send(Update::State(self.slot, state)).await;
    }

    async fn note(&self, note: Note) {
        let _ = self.tell.send(Update::Event(note)).await;
    }
}

/// Waits until a halt is set, or nobody can set one any more.
async fn halted(halt: &mut watch::Receiver<Halt>) {
    let _ = halt.wait_for(Option::is_some).await;
}

/// The whole chain of an error in one line.
fn refusal(error: &process::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(it) = cause {
        text.push_str(": ");
        text.push_str(&it.to_string());
        cause = it.source();
    }
    text
}
