//! One run of an agent: start it, pass on what it prints, end it, say what came out.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::process::Child;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::unistd::AccessFlags;
use nix::unistd::access;
use signal_hook::consts::SIGCHLD;
use signal_hook::consts::SIGHUP;
use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGQUIT;
use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;

use crate::mask::Current;
use crate::mask::Masker;
use crate::options::Options;
use crate::options::USAGE_EXIT;
use crate::options::complain;
use crate::outcome::Outcome;
use crate::outcome::Piece;
use crate::outcome::Shared;
use crate::process::End;
use crate::process::Group;
use crate::prompt;
use crate::stream::AgentKind;

/// Exit code of a shell whose program is missing.
const NOT_FOUND_EXIT: i32 = 127;
/// Exit code of a shell whose program cannot be started.
const NOT_STARTED_EXIT: i32 = 126;
/// How much output is read at once.
const CHUNK: usize = 64 * 1024;
/// Children are also looked for without a signal, should one get lost.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After everything was killed only a slow reader of our output keeps a pipe open.
const LAST_OUTPUT: Duration = Duration::from_secs(5);
/// Longest time for each of the last steps when somebody waits for the end: with what comes before, all is
/// over some seconds before the kubelet's grace period is.
const LAST_STEP: Duration = Duration::from_secs(2);
/// Events that may wait; those of streams are dropped beyond that, and seen with the next.
const QUEUE: usize = 64;

/// What happens while the agent runs.
enum Event {
    Signal(i32),
    /// There are new outputs to tell.
    Outputs,
    /// One of the two streams has ended.
    Closed,
}

/// Runs the agent as the words after `run` say; gives the exit code.
pub fn main(args: impl Iterator<Item = OsString>) -> i32 {
    let options = match Options::parse(args) {
        Ok(options) => options,
        Err(problem) => {
            complain(&problem);
            return USAGE_EXIT;
        }
    };
    let values = options.mask.iter().filter_map(secret_value);
    let values = values.map(OsStringExt::into_vec).collect();
    let current = Arc::new(Current::new(values, &options.mask_dirs));
    let model = var("AXON_MODEL").and_then(|model| model.into_string().ok());
    let shared = Arc::new(Shared::new(options.agent, model.as_deref()));
    let outcome = Outcome {
        options: &options,
        current: &current,
        shared: &shared,
        codex_home: codex_home(&options),
        codex_session: Mutex::default(),
        model,
    };
    match run(&options, &current, &shared, &outcome) {
        Ok((end, stopped_by)) => outcome.finish(end, stopped_by),
        Err(error) => {
            let code = if error.kind() == io::ErrorKind::NotFound {
                NOT_FOUND_EXIT
            } else {
                NOT_STARTED_EXIT
            };
            outcome.not_started(&error, code)
        }
    }
}

fn run(
    options: &Options,
    current: &Arc<Current>,
    shared: &Arc<Shared>,
    outcome: &Outcome<'_>,
) -> io::Result<(End, Option<Signal>)> {
    let (sender, events) = mpsc::sync_channel(QUEUE);
    listen(sender.clone())?;
    let (group, child) = start(options)?;
    pass_on(child, options, current, shared, &sender);
    let mut agent = Agent {
        group,
        end: None,
        stop: None,
        open: 2,
    };
    agent.watch(&events, options, outcome);
    agent.group.kill_rest();
    agent.drain(&events, Instant::now() + agent.at_most(LAST_OUTPUT));
    // It was killed at the latest when its grace was over.
    Ok((
        agent.end.unwrap_or(End::Signalled(Signal::SIGKILL)),
        agent.stop.map(|stop| stop.asked),
    ))
}

/// Turns signals into events.
fn listen(sender: SyncSender<Event>) -> io::Result<()> {
    let mut signals = Signals::new([SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGQUIT])?;
    thread::spawn(move || {
        for signal in signals.forever() {
            if sender.send(Event::Signal(signal)).is_err() {
                return;
            }
        }
    });
    Ok(())
}

fn start(options: &Options) -> io::Result<(Group, Child)> {
    let prompt = prompt::argument(&options.prompt_file)
        .map_err(|error| io::Error::other(format!("cannot read the prompt: {error}")))?;
    let mut env = vec![(
        "AXON_PROMPT_FILE",
        options.prompt_file.clone().into_os_string(),
    )];
    for (name, file) in [
        ("AXON_RESULTS_FILE", &options.results_file),
        ("AXON_DEPENDENCIES_FILE", &options.dependencies_file),
    ] {
        env.extend(
            file.iter()
                .map(|file| (name, file.clone().into_os_string())),
        );
    }
    if let Some(home) = other_home(options) {
        env.push(("HOME", home));
    }
    match Group::start(&options.command, &prompt, &env) {
        // All arguments and variables together have a limit, too.
        Err(error) if error.kind() == io::ErrorKind::ArgumentListTooLong => Group::start(
            &options.command,
            &prompt::pointer(&options.prompt_file),
            &env,
        ),
        started => started,
    }
}

/// A home directory, if the agent's own is missing or not writable.
fn other_home(options: &Options) -> Option<OsString> {
    let writable =
        |home: &OsString| access(home.as_os_str(), AccessFlags::W_OK | AccessFlags::X_OK).is_ok();
    if var("HOME").is_some_and(|home| writable(&home)) {
        return None;
    }
    let home = options.home.as_ref()?;
    if let Err(error) = fs::create_dir_all(home) {
        complain(&format!(
            "cannot create the home directory {}: {error}",
            home.display()
        ));
    }
    Some(home.clone().into_os_string())
}

/// Where Codex keeps its sessions, if it is the agent.
fn codex_home(options: &Options) -> Option<PathBuf> {
    if options.agent != AgentKind::Codex {
        return None;
    }
    let named = var("CODEX_HOME").map(PathBuf::from);
    named.or_else(|| {
        let home = other_home(options).or_else(|| var("HOME"))?;
        Some(PathBuf::from(home).join(".codex"))
    })
}

/// Starts to read both streams of the agent.
fn pass_on(
    mut child: Child,
    options: &Options,
    current: &Arc<Current>,
    shared: &Arc<Shared>,
    events: &SyncSender<Event>,
) {
    let host = options.url_host.clone();
    let stream = |from: Box<dyn Read + Send>, to: Box<dyn Write + Send>, is_stderr: bool| {
        let (current, shared) = (Arc::clone(current), Arc::clone(shared));
        let (events, host) = (events.clone(), host.clone());
        thread::spawn(move || {
            pump(from, to, &current, |raw, shown| {
                let piece = Piece {
                    raw,
                    shown,
                    ended: raw.is_empty(),
                    is_stderr,
                };
                if shared.take(piece, host.as_deref()) {
                    // If the queue is full, someone will look soon anyway.
                    let _ = events.try_send(Event::Outputs);
                }
            });
            let _ = events.send(Event::Closed);
        })
    };
    // Both are there: `Group::start` asks for pipes.
    if let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) {
        stream(Box::new(stdout), Box::new(io::stdout()), false);
        stream(Box::new(stderr), Box::new(io::stderr()), true);
    }
}

/// Reads a stream to its end, masks it, hands it to `look` as it came and as it may be shown, and
/// passes it on; at the end nothing has come. A reader of ours that is gone does not stop the agent.
fn pump(
    mut from: impl Read,
    mut to: impl Write,
    current: &Current,
    mut look: impl FnMut(&[u8], &[u8]),
) {
    let mut masker = Masker::new(current.secrets());
    let mut chunk = vec![0; CHUNK];
    let mut shown = Vec::new();
    loop {
        let length = match from.read(&mut chunk) {
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => 0,
        };
        shown.clear();
        if length == 0 {
            masker.finish(&mut shown);
        } else {
            masker.renew(current.secrets());
            masker.push(&chunk[..length], &mut shown);
        }
        look(&chunk[..length], &shown);
        let _ = to.write_all(&shown).and_then(|()| to.flush());
        if length == 0 {
            return;
        }
    }
}

/// The agent while it runs.
struct Agent {
    group: Group,
    end: Option<End>,
    stop: Option<Stop>,
    /// Streams that have not ended.
    open: usize,
}

/// The agent is being stopped.
struct Stop {
    asked: Signal,
    since: Instant,
    sent: Signal,
}

impl Agent {
    /// Waits until the agent has ended and its output with it, or does not end in time.
    fn watch(&mut self, events: &Receiver<Event>, options: &Options, outcome: &Outcome<'_>) {
        let mut deadline = None;
        loop {
            let event = events.recv_timeout(self.patience(options, deadline));
            // First: a signal that comes after the agent's end does not change how it ended.
            self.end = self.end.or(self.group.reap());
            match event {
                Ok(Event::Signal(SIGCHLD)) | Err(_) => {}
                Ok(Event::Signal(_)) if self.end.is_some() => return,
                Ok(Event::Signal(signal)) => self.begin_stop(signal),
                Ok(Event::Outputs) => outcome.tell_progress(),
                Ok(Event::Closed) => self.open -= 1,
            }
            self.go_on_stopping(options);
            if self.end.is_some() {
                let until =
                    *deadline.get_or_insert_with(|| Instant::now() + self.at_most(options.drain));
                if self.open == 0 || Instant::now() >= until {
                    return;
                }
            }
        }
    }

    /// How long a last step may take that may take so long otherwise.
    fn at_most(&self, otherwise: Duration) -> Duration {
        match self.stop {
            Some(_) => otherwise.min(LAST_STEP),
            None => otherwise,
        }
    }

    /// How long nothing needs to be done.
    fn patience(&self, options: &Options, deadline: Option<Instant>) -> Duration {
        let next_step = self.stop.as_ref().and_then(|stop| match stop.sent {
            Signal::SIGINT => Some(stop.since + options.term_after.min(options.kill_after)),
            Signal::SIGTERM => Some(stop.since + options.kill_after),
            _ => None,
        });
        let next = next_step.into_iter().chain(deadline).min();
        next.map_or(LOOK_EVERY, |at| {
            at.saturating_duration_since(Instant::now()).min(LOOK_EVERY)
        })
    }

    /// SIGINT first, whatever was asked: only then agents tell what they cost.
    fn begin_stop(&mut self, signal: i32) {
        if self.stop.is_none() {
            let asked = Signal::try_from(signal).unwrap_or(Signal::SIGTERM);
            self.group.signal(Signal::SIGINT);
            self.stop = Some(Stop {
                asked,
                since: Instant::now(),
                sent: Signal::SIGINT,
            });
        }
    }

    fn go_on_stopping(&mut self, options: &Options) {
        let Some(stop) = &mut self.stop else {
            return;
        };
        let passed = stop.since.elapsed();
        let due = if passed >= options.kill_after {
            Signal::SIGKILL
        } else if passed >= options.term_after {
            Signal::SIGTERM
        } else {
            Signal::SIGINT
        };
        if due != stop.sent {
            stop.sent = due;
            self.group.signal(due);
        }
    }

    /// Waits for the rest of the output.
    fn drain(&mut self, events: &Receiver<Event>, until: Instant) {
        while self.open > 0 {
            match events.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Event::Closed) => self.open -= 1,
                Ok(Event::Signal(_) | Event::Outputs) => {}
                Err(_) => return,
            }
        }
    }
}

fn secret_value(name: &OsString) -> Option<OsString> {
    var(name.to_str()?)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the helper's environment is the agent's, read here alone"
)]
fn var(name: &str) -> Option<OsString> {
    env::var_os(name)
}
