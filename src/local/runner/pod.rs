//! The life of one Pod on this node, from the moment it is seen until it is removed.
//!
//! One task per Pod. It alone writes the Pod's status; its containers tell it what happens.

mod pull;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::core::v1::PodStatus;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Node;
use super::container::Halt;
use super::container::Note;
use super::container::Runner;
use super::container::Slot;
use super::container::Update;
use super::plan;
use super::plan::Places;
use super::resume::Resume;
use super::resume::resume;
use super::sources::Wanted;
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

/// How many words of containers may wait for the Pod to hear them.
const UPDATES: usize = 16;
/// What Kubernetes gives a Pod to end when the Pod does not say.
const DEFAULT_GRACE: i64 = 30;
/// How long containers get when the whole node stops: a person waits for it.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(3);
/// Pauses between tries at volumes whose sources are missing.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_LAST: Duration = Duration::from_secs(5);

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
    if progress.is_some() && !worker.is_gone && worker.progress.phase().is_final() {
        let _ = worker.write().await;
    }
    volumes::clear(&worker.places.volumes(), &worker.pod);
    worker.linger().await;
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
        let spec = self.pod.spec.clone().unwrap_or_default();
        for (at, container) in spec.init_containers.into_iter().flatten().enumerate() {
            self.drive(vec![(Slot::Init(at), container)]).await;
            let ended_well = matches!(
                &self.progress.init[at].state,
                State::Ended(end) if end.code == 0
            );
            if !ended_well || self.is_halted() {
                return self.settle();
            }
        }
        let main = spec.containers.into_iter().enumerate();
        self.drive(main.map(|(at, it)| (Slot::Main(at), it)).collect())
            .await;
        self.settle();
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
            self.note("Scheduled", message, false);
        }
        self.write().await
    }

    /// Fills the volumes; waits for what is missing. False after a halt.
    async fn make_volumes(&mut self) -> bool {
        let mut pause = RETRY_FIRST;
        let mut last = String::new();
        loop {
            match self.fill().await {
                Ok(()) => return true,
                Err(why) if why != last => {
                    self.note("FailedMount", why.clone(), true);
                    last = why;
                }
                Err(_) => {}
            }
            let retry = Instant::now() + pause;
            pause = (pause * 2).min(RETRY_LAST);
            loop {
                tokio::select! {
                    () = tokio::time::sleep_until(retry) => break,
                    () = self.heed() => if self.is_halted() { return false },
                }
            }
        }
    }

    async fn fill(&self) -> Result<(), String> {
        let spec = self.pod.spec.as_ref();
        let wanted = Wanted::by_volumes(
            spec.and_then(|it| it.volumes.as_deref())
                .unwrap_or_default(),
        );
        let namespace = self.pod.metadata.namespace.as_deref().unwrap_or_default();
        let sources = wanted.read(&self.node.client, namespace).await;
        let sources = sources.map_err(|_| "cannot read from the API server".to_owned())?;
        let places = self.places.clone();
        let pod = self.pod.clone();
        let made = tokio::task::spawn_blocking(move || {
            plan::check_names(&pod)
                .and_then(|()| volumes::make(&places.volumes(), &pod, &sources))
                .map_err(|error| match std::error::Error::source(&error) {
                    Some(cause) => format!("{error}: {cause}"),
                    None => error.to_string(),
                })
        });
        made.await.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// Runs these containers to their ends.
    async fn drive(&mut self, containers: Vec<(Slot, v1::Container)>) {
        let (tell, mut updates) = mpsc::channel(UPDATES);
        let mut tasks = JoinSet::new();
        for (slot, spec) in containers {
            let runner = Runner {
                node: self.node.clone(),
                pod: self.pod.clone(),
                places: self.places.clone(),
                slot,
                spec,
                tell: tell.clone(),
                halt: self.halt.subscribe(),
            };
            tasks.spawn(runner.run());
        }
        drop(tell);
        loop {
            tokio::select! {
                update = updates.recv() => match update {
                    Some(update) => self.hear(update).await,
                    None => break,
                },
                () = self.heed() => {}
            }
        }
    }

    async fn hear(&mut self, update: Update) {
        match update {
            Update::Claim(answer) => self.claim(answer).await,
            Update::State(slot, state) => {
                let place = match slot {
                    Slot::Init(at) => self.progress.init.get_mut(at),
                    Slot::Main(at) => self.progress.main.get_mut(at),
                };
                if let Some(place) = place {
                    place.state = state;
                }
                // The end of all is written after the last word of all.
                if !self.progress.phase().is_final() {
                    let _ = self.write().await;
                }
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

    /// Waits for what changes the Pod's fate, and acts on it.
    async fn heed(&mut self) {
        let deadline = self.deadline();
        tokio::select! {
            changed = self.seen.changed(), if !self.is_gone => {
                let seen = match changed {
                    Ok(()) => self.seen.borrow_and_update().clone(),
                    Err(_) => Seen::Gone,
                };
                self.look(seen);
            }
            () = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                self.end_by(Verdict::Deadline, self.grace());
            }
            () = self.stop.cancelled(), if !self.is_stopping => {
                self.is_stopping = true;
                self.end_by(Verdict::Shutdown, self.grace().min(SHUTDOWN_GRACE));
            }
            else => std::future::pending().await,
        }
    }

    fn look(&mut self, seen: Seen) {
        match seen {
            Seen::Gone => {
                self.is_gone = true;
                self.end_by(Verdict::Deleted, Duration::ZERO);
            }
            Seen::Present(pod) => {
                self.pod = pod;
                let meta = &self.pod.metadata;
                if meta.deletion_timestamp.is_some() {
                    let grace = meta.deletion_grace_period_seconds;
                    let grace = grace.map_or_else(|| self.grace(), seconds);
                    self.end_by(Verdict::Deleted, grace);
                }
            }
        }
    }

    /// Asks all containers to end within `grace`. The first reason stays; the grace only shrinks.
    fn end_by(&mut self, verdict: Verdict, grace: Duration) {
        if self.progress.verdict.is_none() {
            self.progress.verdict = Some(verdict);
            let running = self.progress.all();
            for it in running.filter(|it| matches!(it.state, State::Running { .. })) {
                self.note("Killing", format!("Stopping container {}", it.name), false);
            }
        }
        let at = Instant::now() + grace;
        self.halt.send_if_modified(|halt| {
            let is_sooner = halt.is_none_or(|set| at < set);
            if is_sooner {
                *halt = Some(at);
            }
            is_sooner
        });
    }

    /// When the Pod's own deadline ends it; none when something else does already.
    fn deadline(&self) -> Option<Instant> {
        if self.is_halted() {
            return None;
        }
        let spec = self.pod.spec.as_ref()?;
        let allowed = spec.active_deadline_seconds?;
        Some(Instant::now() + left(self.progress.accepted, allowed, clock::now()))
    }

    fn grace(&self) -> Duration {
        let spec = self.pod.spec.as_ref();
        let named = spec.and_then(|it| it.termination_grace_period_seconds);
        seconds(named.unwrap_or(DEFAULT_GRACE))
    }

    fn is_halted(&self) -> bool {
        self.halt.borrow().is_some()
    }

    /// Gives every container that should have an end one: its task may have been lost.
    fn settle(&mut self) {
        let now = clock::now();
        let all = self.progress.init.iter_mut().chain(&mut self.progress.main);
        for container in all {
            if let State::Running { since } = container.state {
                container.state = State::Ended(End {
                    code: KILLED,
                    reason: UNKNOWN.to_owned(),
                    message: String::new(),
                    started: Some(since),
                    finished: now,
                });
            }
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

    fn note(&self, reason: &'static str, message: String, warning: bool) {
        let note = Note {
            warning,
            reason,
            message,
        };
        self.node.events.tell(&self.pod, note);
    }
}

fn seconds(count: i64) -> Duration {
    Duration::from_secs(u64::try_from(count).unwrap_or_default())
}

/// What is left of `allowed` seconds since `accepted`.
fn left(accepted: Timestamp, allowed: i64, now: Timestamp) -> Duration {
    let passed = now.duration_since(accepted);
    let passed = Duration::try_from(passed).unwrap_or_default();
    seconds(allowed).saturating_sub(passed)
}
