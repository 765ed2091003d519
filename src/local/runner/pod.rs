//! The life of one Pod on this node, from the moment it is seen until it is removed.
//!
//! One task per Pod. It alone writes the Pod's status; its containers tell it what happens.

mod fate;
mod fill;
mod pull;

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::core::v1::PodStatus;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio::task;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio::time::MissedTickBehavior;
use tokio::time::interval_at;
use tokio_util::sync::CancellationToken;

use super::Node;
use super::container::Halt;
use super::container::Runner;
use super::container::Slot;
use super::container::Update;
use super::plan::Places;
use super::restart::Restarts;
use super::resume::Resume;
use super::resume::resume;
use super::status::End;
use super::status::KILLED;
use super::status::Progress;
use super::status::State;
use super::status::UNKNOWN;
use super::status::Verdict;
use super::volumes;
use super::writer::Error;
use super::writer::Writer;
use crate::local::clock;
use crate::local::events::Note;

/// How many words of containers may wait for the Pod to hear them.
const UPDATES: usize = 16;
/// Pauses between tries at volumes whose sources are missing.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_LAST: Duration = Duration::from_secs(5);
/// How often copies of Secrets and the like in volumes are compared with the objects. A kubelet takes about a minute.
const REFRESH: Duration = Duration::from_secs(10);

/// What the API server says about the Pod.
#[derive(Clone)]
pub(super) enum Seen {
    Present(Arc<Pod>),
    Gone,
}

pub(super) struct Worker {
    node: Arc<Node>,
    stop: CancellationToken,
    seen: watch::Receiver<Seen>,
    pod: Arc<Pod>,
    places: Arc<Places>,
    writer: Writer,
    progress: Progress,
    written: Option<PodStatus>,
    halt: watch::Sender<Halt>,
    /// Sidecars end after all others.
    sidecar_halt: watch::Sender<Halt>,
    is_gone: bool,
    is_stopping: bool,
}

/// Looks after the Pod until its object is gone, or the node stops.
pub(super) async fn look_after(
    node: Arc<Node>,
    pod: Arc<Pod>,
    places: Places,
    seen: watch::Receiver<Seen>,
    stop: CancellationToken,
) {
    let now = clock::now();
    let (progress, starts) = match resume(&pod, now) {
        Resume::Start(progress) => (Some(progress), true),
        Resume::Lost(progress) => (Some(progress), false),
        Resume::Finished => (None, false),
    };
    let mut worker = Worker {
        writer: Writer::new(&node.client, &pod),
        written: pod.status.clone(),
        progress: progress.clone().unwrap_or_else(|| Progress::new(&pod, now)),
        node,
        stop,
        seen,
        pod,
        places: Arc::new(places),
        halt: watch::Sender::new(None),
        sidecar_halt: watch::Sender::new(None),
        is_gone: false,
        is_stopping: false,
    };
    if starts {
        worker.look(Seen::Present(worker.pod.clone()));
        worker.live().await;
    }
    if worker.is_stopping && !worker.progress.begun && !worker.is_gone {
        // Nothing of it ever ran: the next node takes it up.
        return;
    }
    if progress.is_some() && worker.progress.begun {
        worker.give_back().await;
    }
    if progress.is_some() && !worker.is_gone && worker.progress.phase().is_final() {
        let _ = worker.write().await;
    }
    volumes::clear(&worker.places.volumes(), &worker.pod);
    worker.linger().await;
}

/// The containers of a Pod that are at work.
struct Crew {
    tasks: JoinSet<()>,
    slots: HashMap<task::Id, Slot>,
    tell: mpsc::Sender<Update>,
}

impl Crew {
    fn new() -> (Self, mpsc::Receiver<Update>) {
        let (tell, updates) = mpsc::channel(UPDATES);
        let crew = Self {
            tasks: JoinSet::new(),
            slots: HashMap::new(),
            tell,
        };
        (crew, updates)
    }
}

impl Worker {
    /// From acceptance to the last container's end.
    async fn live(&mut self) {
        if self.is_halted() {
            return;
        }
        let node = self.node.clone();
        let slots = node.slots.clone();
        let permit = {
            let mut waiting = pin!(slots.acquire_owned());
            loop {
                tokio::select! {
                    permit = &mut waiting => break permit,
                    () = self.heed() => if self.is_halted() { return self.settle() },
                }
            }
        };
        let Ok(_permit) = permit else { return };
        if self.schedule().await.is_err() || !self.find_images().await || !self.make_volumes().await
        {
            return self.settle();
        }
        let (mut crew, mut updates) = Crew::new();
        self.initialize(&mut crew, &mut updates).await;
        if self.progress.initialized() && !self.is_halted() {
            let spec = self.pod.spec.clone().unwrap_or_default();
            let restarts = Restarts::of_main(&spec);
            for (at, it) in spec.containers.into_iter().enumerate() {
                self.start(&mut crew, Slot::Main(at), it, restarts);
            }
        }
        let only_sidecars = |worker: &Self, crew: &Crew| {
            let mut slots = crew.slots.values();
            slots.all(|slot| worker.progress.is_sidecar(*slot))
        };
        self.drive(&mut crew, &mut updates, only_sidecars).await;
        self.dismiss_sidecars();
        self.drive(&mut crew, &mut updates, |_, crew| crew.slots.is_empty())
            .await;
        self.settle();
    }

    /// Runs the init containers, one after the other.
    async fn initialize(&mut self, crew: &mut Crew, updates: &mut mpsc::Receiver<Update>) {
        let spec = self.pod.spec.clone().unwrap_or_default();
        for (at, it) in spec.init_containers.iter().flatten().enumerate() {
            let restarts = Restarts::of_init(&spec, it);
            self.start(crew, Slot::Init(at), it.clone(), restarts);
            let passed = |worker: &Self, crew: &Crew| {
                let is_up = worker.progress.init[at].is_sidecar
                    && worker.progress.init[at].has_initialized();
                let is_over = !crew.slots.values().any(|slot| *slot == Slot::Init(at));
                is_up || is_over || worker.is_halted()
            };
            self.drive(crew, updates, passed).await;
            if !self.progress.init[at].has_initialized() || self.is_halted() {
                return;
            }
        }
    }

    /// Says on which node the Pod is, and that it is seen.
    async fn schedule(&mut self) -> Result<(), Error> {
        let name = self.node.options.node.clone();
        if self
            .pod
            .spec
            .as_ref()
            .and_then(|it| it.node_name.as_ref())
            .is_none()
        {
            self.writer.bind(&name).await?;
            let meta = &self.pod.metadata;
            let message = format!(
                "Successfully assigned {}/{} to {name}",
                meta.namespace.as_deref().unwrap_or_default(),
                meta.name.as_deref().unwrap_or_default()
            );
            self.note(Note::normal("Scheduled", message));
        }
        self.write().await
    }

    fn start(&self, crew: &mut Crew, slot: Slot, spec: v1::Container, restarts: Restarts) {
        let halt = if self.progress.is_sidecar(slot) {
            &self.sidecar_halt
        } else {
            &self.halt
        };
        let runner = Runner {
            node: self.node.clone(),
            pod: self.pod.clone(),
            places: self.places.clone(),
            slot,
            spec,
            tell: crew.tell.clone(),
            halt: halt.subscribe(),
            restarts,
        };
        let task = crew.tasks.spawn(runner.run()).id();
        crew.slots.insert(task, slot);
    }

    /// Hears what the containers say, and heeds what comes from outside, until `enough`.
    async fn drive(
        &mut self,
        crew: &mut Crew,
        updates: &mut mpsc::Receiver<Update>,
        enough: impl Fn(&Self, &Crew) -> bool,
    ) {
        let mut refresh = interval_at(Instant::now() + REFRESH, REFRESH);
        refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !enough(self, crew) {
            tokio::select! {
                Some(update) = updates.recv() => self.hear(update).await,
                Some(ended) = crew.tasks.join_next_with_id() => {
                    // All of its words come before its end.
                    while let Ok(update) = updates.try_recv() {
                        self.hear(update).await;
                    }
                    let task = ended.map_or_else(|lost| lost.id(), |(task, ())| task);
                    crew.slots.remove(&task);
                }
                () = self.heed() => {}
                _ = refresh.tick() => self.refresh().await,
            }
        }
    }

    async fn hear(&mut self, update: Update) {
        match update {
            Update::Claim(answer) => self.claim(answer).await,
            Update::State(slot, state) => {
                let place = self.progress.at(slot);
                let is_again = place.last.is_some() && matches!(place.state, State::Waiting { .. });
                if is_again && !matches!(state, State::Waiting { .. }) {
                    place.restarts += 1;
                }
                place.state = state;
                self.write_unless_over().await;
            }
            Update::Again(slot, end, waiting) => {
                let place = self.progress.at(slot);
                place.last = Some(end);
                place.state = waiting;
                self.write_unless_over().await;
            }
            Update::Event(note) => self.node.events.tell(&self.pod, note),
        }
    }

    /// Lets a container start once the API server knows that one may have started.
    async fn claim(&mut self, answer: oneshot::Sender<()>) {
        let is_known = self.progress.begun;
        self.progress.begun = true;
        if is_known || self.write().await.is_ok() {
            let _ = answer.send(());
        } else {
            self.progress.begun = is_known;
            tracing::warn!(
                pod = self.pod.metadata.name,
                "not started: nothing could be written"
            );
        }
    }

    /// Gives every container that should have an end one: its task may have been lost.
    fn settle(&mut self) {
        let now = clock::now();
        let all = self.progress.init.iter_mut().chain(&mut self.progress.main);
        for container in all {
            match (&container.state, container.last.take()) {
                (State::Running { since }, last) => {
                    container.state = State::Ended(End {
                        code: KILLED,
                        reason: UNKNOWN.to_owned(),
                        message: String::new(),
                        started: Some(*since),
                        finished: now,
                    });
                    container.last = last;
                }
                // It was to start again.
                (State::Waiting { .. }, Some(last)) => container.state = State::Ended(last),
                (State::Waiting { .. } | State::Ended(_), last) => container.last = last,
            }
        }
    }

    /// The end of all is written after the last word of all.
    async fn write_unless_over(&mut self) {
        if !self.progress.phase().is_final() {
            let _ = self.write().await;
        }
    }

    async fn write(&mut self) -> Result<(), Error> {
        if self.is_gone {
            return Err(Error::Gone);
        }
        let known = self.pod.status.as_ref().or(self.written.as_ref());
        let status = self.progress.status(known, clock::now());
        if self.written.as_ref() == Some(&status) {
            return Ok(());
        }
        match self.writer.status(&status).await {
            Ok(_) => {
                self.written = Some(status);
                Ok(())
            }
            Err(error) => {
                if matches!(error, Error::Gone) {
                    self.is_gone = true;
                    self.end_by(Verdict::Deleted, Duration::ZERO);
                } else {
                    let pod = self.pod.metadata.name.as_deref();
                    tracing::warn!(%error, pod, "the status of a Pod could not be written");
                }
                Err(error)
            }
        }
    }

    /// After the end: waits until the Pod is deleted, and lets its object go.
    async fn linger(mut self) {
        let mut is_let_go = false;
        while !self.is_gone {
            if self.pod.metadata.deletion_timestamp.is_some() && !is_let_go {
                is_let_go = self.writer.remove().await.is_ok();
            }
            tokio::select! {
                changed = self.seen.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let seen = self.seen.borrow_and_update().clone();
                    self.look(seen);
                }
                () = self.stop.cancelled() => return,
            }
        }
        let places = self.places.clone();
        let removed = tokio::task::spawn_blocking(move || places.remove());
        if let Ok(Err(error)) = removed.await {
            tracing::warn!(%error, "the directory of a Pod could not be removed");
        }
    }

    fn note(&self, note: Note) {
        self.node.events.tell(&self.pod, note);
    }
}
