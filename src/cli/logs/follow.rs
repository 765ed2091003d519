//! Follows what a Task's agent prints: waits for its start, reads on across cuts, ends with the Task.
//!
//! Says what it finds by [`Told`]; prints nothing.

use std::time::Duration;

use axon_helper::stream::AgentKind;
use axon_helper::stream::Event;
use axon_helper::stream::Stream;
use futures::AsyncReadExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::Client;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::sleep_until;

use super::pod::Sight;
use super::pod::Source;
use super::pod::Trouble;
use super::position::Position;
use super::watch::Watched;
use crate::cli::inspect::Item;
use crate::cli::inspect::Reader;
use crate::cli::inspect::Standing;
use crate::cli::screen;
use crate::cli::ui::Failure;
use crate::model::ObjectName;

/// How much is read at once.
const CHUNK: usize = 32 << 10;
/// First and longest pause before a log is read again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How often the rest of a log is asked for in vain once its container has ended: half a minute.
const MAX_IN_VAIN: u32 = 10;
/// How long a log may go on after its Task: its server has the end by then, or never will.
const LINGER: Duration = Duration::from_secs(5);
/// Longest silence of a log that is not followed.
const SILENCE: Duration = Duration::from_secs(30);

/// What is found on the way.
#[derive(Debug)]
pub(in crate::cli) enum Told<'a> {
    /// The Task waits, for this.
    Waits(&'a str),
    /// The agent runs: what comes is of this attempt.
    Begins,
    /// As it was printed.
    Raw(&'a [u8]),
    Event(AgentKind, Event),
    /// The beginning, or the rest, of what a checkout printed that failed.
    Checkout(&'a str),
    /// Something that a person should know.
    Note(&'a str),
}

/// Follows one Task.
pub(in crate::cli) struct Follower {
    pub(in crate::cli) client: Client,
    pub(in crate::cli) reader: Reader,
    pub(in crate::cli) name: ObjectName,
    /// Whether to go on until the Task has ended.
    pub(in crate::cli) follow: bool,
    pub(in crate::cli) raw: bool,
}

impl Follower {
    /// Shows the run of `task`; gives the Task as it is then.
    pub(in crate::cli) async fn run(
        &self,
        task: Item,
        tell: &mut impl FnMut(Told<'_>),
    ) -> Result<Item, Failure> {
        let mut watched = Watched::new(&self.reader, &self.name, task);
        let mut shown = None;
        loop {
            let task = &watched.task;
            let (is_over, pod) = (task.is_finished(), task.text("/status/podName"));
            let pod = pod.map(str::to_owned);
            let is_running = task.text("/status/phase") == Some("Running");
            if (is_over || is_running)
                && let Some(name) = &pod
                && shown != pod
            {
                self.show(name, &mut watched, tell).await?;
                shown = pod;
                continue;
            }
            if is_over || (!self.follow && shown.is_some()) {
                return Ok(watched.task);
            }
            let why = waits_for(task);
            if watched.is_gone {
                return Err(Failure::plain(format!("{} was deleted", task.key())));
            }
            if !is_running {
                tell(Told::Waits(&why));
            }
            watched.changed().await?;
        }
    }

    /// Shows what the Pod's agent prints, or why there is none.
    async fn show(
        &self,
        pod: &str,
        watched: &mut Watched,
        tell: &mut impl FnMut(Told<'_>),
    ) -> Result<(), Failure> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), watched.task.namespace());
        let source = Source {
            pods,
            name: pod.to_owned(),
        };
        let mut tries = 0;
        loop {
            match source.look().await {
                Ok(Sight::Gone) => {
                    let gone = format!("Pod \"{pod}\" is gone, and its log with it");
                    tell(Told::Note(&gone));
                    return Ok(());
                }
                Ok(Sight::Agent { container, .. }) => {
                    return self.agent(&source, &container, watched, tell).await;
                }
                Ok(Sight::Checkout { container }) => {
                    return self.checkout(&source, &container, watched, tell).await;
                }
                Ok(Sight::Nothing) if watched.task.is_finished() => return Ok(()),
                Ok(Sight::Nothing) if self.follow => {}
                Ok(Sight::Nothing) => tries += 1,
                Err(trouble) => self.heed(trouble, &mut tries, tell)?,
            }
            if tries > MAX_IN_VAIN && (!self.follow || watched.task.is_finished()) {
                return Ok(());
            }
            pause(tries, watched).await?;
        }
    }

    async fn agent(
        &self,
        source: &Source,
        container: &str,
        watched: &mut Watched,
        tell: &mut impl FnMut(Told<'_>),
    ) -> Result<(), Failure> {
        tell(Told::Begins);
        let kind = watched.task.text("/spec/type");
        let kind = kind.and_then(AgentKind::from_name);
        let kind = kind.unwrap_or(AgentKind::Custom);
        let mut stream = Stream::new(kind);
        let raw = self.raw;
        let mut heard = |heard: Heard<'_>| match heard {
            Heard::Bytes(bytes) if raw => tell(Told::Raw(bytes)),
            Heard::Bytes(bytes) => {
                stream.push(bytes, &mut |event| tell(Told::Event(kind, event)));
            }
            Heard::Note(note) => tell(Told::Note(note)),
        };
        let is_whole = self.read(source, container, watched, &mut heard).await?;
        if is_whole && !raw {
            stream.finish(&mut |event| tell(Told::Event(kind, event)));
        }
        Ok(())
    }

    async fn checkout(
        &self,
        source: &Source,
        container: &str,
        watched: &mut Watched,
        tell: &mut impl FnMut(Told<'_>),
    ) -> Result<(), Failure> {
        tell(Told::Note(
            "the workspace could not be checked out; the log of that:",
        ));
        let mut heard = |heard: Heard<'_>| match heard {
            Heard::Bytes(bytes) => tell(Told::Checkout(&String::from_utf8_lossy(bytes))),
            Heard::Note(note) => tell(Told::Note(note)),
        };
        self.read(source, container, watched, &mut heard).await?;
        Ok(())
    }

    /// Reads a log to its end, or as far as it is now. Gives whether that is its end.
    async fn read(
        &self,
        source: &Source,
        container: &str,
        watched: &mut Watched,
        heard: &mut impl FnMut(Heard<'_>),
    ) -> Result<bool, Failure> {
        let mut position = Position::default();
        let mut in_vain = 0;
        loop {
            // Looked at before reading: what was printed until the end is read below.
            let has_ended = match source.look().await {
                Ok(Sight::Agent { has_ended, .. }) => has_ended,
                Ok(Sight::Checkout { .. }) => true,
                Ok(Sight::Gone) => {
                    let gone = format!("Pod \"{}\" is gone: its log may end early", source.name);
                    heard(Heard::Note(&gone));
                    return Ok(true);
                }
                Ok(Sight::Nothing) | Err(_) => false,
            };
            let is_over = has_ended || watched.task.is_finished();
            let goes_on = self.follow && !is_over;
            let reading = Reading {
                source,
                container,
                goes_on,
            };
            let before = position.marker();
            let ended = reading.read(&mut position, watched, heard).await?;
            match ended {
                Ok(()) if !goes_on => return Ok(is_over),
                Ok(()) => {}
                Err(Trouble::Unserved) if position.is_at_start() => {
                    position.other();
                    in_vain += 1;
                }
                Err(trouble) => {
                    let mut tell = |told: Told<'_>| {
                        if let Told::Note(note) = told {
                            heard(Heard::Note(note));
                        }
                    };
                    self.heed(trouble, &mut in_vain, &mut tell)?;
                }
            }
            if position.marker() != before {
                in_vain = 0;
            }
            if in_vain > MAX_IN_VAIN && !goes_on {
                heard(Heard::Note("the rest of the log cannot be read"));
                return Ok(is_over);
            }
            // Asking in the other way needs no wait.
            if in_vain != 1 {
                pause(in_vain, watched).await?;
            }
        }
    }

    /// What is not mended by another attempt ends it; of the rest the first is told.
    fn heed(
        &self,
        trouble: Trouble,
        in_vain: &mut u32,
        tell: &mut impl FnMut(Told<'_>),
    ) -> Result<(), Failure> {
        *in_vain += 1;
        let why = match trouble {
            Trouble::Refused(why) => {
                let tried = format!("cannot read the log of Task \"{}\"", self.name);
                let mut failure = Failure::plain(tried);
                failure.causes = vec![why];
                return Err(failure.hint("it needs the right to get \"pods\" and \"pods/log\""));
            }
            Trouble::Gone | Trouble::Unserved => return Ok(()),
            Trouble::Passing(why) => why,
        };
        if *in_vain == 3 {
            let why = screen::line(&why);
            tell(Told::Note(&format!(
                "cannot read the log: {why}; trying again"
            )));
        }
        Ok(())
    }
}

/// What comes of reading.
enum Heard<'a> {
    Bytes(&'a [u8]),
    Note(&'a str),
}

/// One request for a log.
struct Reading<'a> {
    source: &'a Source,
    container: &'a str,
    goes_on: bool,
}

impl Reading<'_> {
    /// Reads until the answer ends, or cannot be awaited any longer.
    async fn read(
        &self,
        position: &mut Position,
        watched: &mut Watched,
        heard: &mut impl FnMut(Heard<'_>),
    ) -> Result<Result<(), Trouble>, Failure> {
        let params = position.ask(self.container, self.goes_on);
        let stream = match self.source.open(&params).await {
            Ok(stream) => stream,
            Err(trouble) => return Ok(Err(trouble)),
        };
        let mut stream = std::pin::pin!(stream);
        let mut chunk = vec![0; CHUNK];
        let mut deadline = (!self.goes_on).then(|| Instant::now() + SILENCE);
        loop {
            tokio::select! {
                read = stream.read(&mut chunk) => match read {
                    Ok(0) => return Ok(Ok(())),
                    Ok(length) => {
                        position.take(&chunk[..length], &mut |bytes| heard(Heard::Bytes(bytes)));
                        if !self.goes_on {
                            deadline = Some(Instant::now() + SILENCE);
                        }
                    }
                    Err(error) => return Ok(Err(Trouble::Passing(error.to_string()))),
                },
                changed = watched.changed() => {
                    changed?;
                    let is_over = watched.task.is_finished() || watched.is_gone;
                    if self.goes_on && is_over {
                        deadline.get_or_insert(Instant::now() + LINGER);
                    }
                }
                () = until(deadline) => {
                    let why = "the server sends nothing".to_owned();
                    return Ok(if self.goes_on { Ok(()) } else { Err(Trouble::Passing(why)) });
                }
            }
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Waits before another attempt, hearing what becomes of the Task.
async fn pause(in_vain: u32, watched: &mut Watched) -> Result<(), Failure> {
    let (first, longest) = PAUSE;
    let mut over = std::pin::pin!(sleep(
        (first * 2_u32.saturating_pow(in_vain.min(10))).min(longest)
    ));
    loop {
        tokio::select! {
            () = &mut over => return Ok(()),
            changed = watched.changed() => changed?,
        }
    }
}

/// Why a Task has not started.
fn waits_for(task: &Item) -> String {
    let started = task.condition("Started").filter(|it| !it.is_true());
    let why = started.map_or_else(
        || Standing::of(task).message,
        |it| format!("{}: {}", it.reason, it.message),
    );
    if why.is_empty() {
        "the controller has not said why".to_owned()
    } else {
        screen::line(&why)
    }
}
