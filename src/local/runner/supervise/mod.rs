//! The process between the runner and a container: sees to it that nothing of the container is
//! left when its main process ended, or when the runner is gone, for whatever reason.
//!
//! It is the own executable, run with a hidden subcommand. A confined container has a PID namespace,
//! whose first process is the container's own: the kernel ends all others with it, and it asks the
//! kernel to be killed should the supervisor die. Without one, the supervisor adopts every orphan (as a
//! "subreaper"), so a process cannot get away by leaving the group. Single-purpose and without a
//! runtime; prints nothing for people.

mod enter;
mod identity;
mod init;
mod log;
mod root;
mod sandbox;
mod tree;

use std::ffi::OsString;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::process::Stdio;
use std::thread;

use nix::sys::prctl;
use nix::unistd::Pid;
use serde::Deserialize;
use serde::Serialize;

use self::identity::Identity;
use super::launch::LINE_LIMIT;
use super::launch::Launch;
use super::launch::Order;
use super::launch::Report;

pub(super) use identity::CONTAINER_USER;
pub(super) use tree::kill_orphans;

/// The word that makes the executable call [`main`] with what follows it.
pub const SUBCOMMAND: &str = "internal-supervise";

/// This very executable, even when its file was replaced since.
const OWN_EXECUTABLE: &str = "/proc/self/exe";

/// The argument that asks for new namespaces and a first process in them.
const ENTER: &str = "enter";
/// The argument that asks to become the container; how follows it.
const INIT: &str = "init";
/// The argument that asks for nothing: what a trial container runs.
pub(super) const NOTHING: &str = "nothing";

/// The exit code of a container that could not be started.
pub(super) const REFUSED: i32 = 128;

/// What the processes on the way to a container say to the supervisor.
#[derive(Serialize, Deserialize)]
enum Step {
    /// The namespaces are there, and this is their first process.
    Entered {
        pid: i32,
    },
    /// All that is left is to become the program; it waits for a line to do so.
    Ready,
    Refused {
        reason: String,
    },
}

/// Runs the supervisor; `args` are those after [`SUBCOMMAND`]. Gives the exit code of the process.
pub fn main(args: impl IntoIterator<Item = OsString>) -> u8 {
    let mut args = args.into_iter();
    let word = args.next();
    match word.as_ref().map(|it| it.to_str()) {
        None => u8::from(supervise().is_err()),
        Some(Some(ENTER)) => enter::main(),
        Some(Some(INIT)) => match args.next().and_then(|it| Identity::read(&it)) {
            Some(identity) => init::main(identity),
            None => 2,
        },
        Some(Some(NOTHING)) => 0,
        Some(_) => 2,
    }
}

fn supervise() -> io::Result<()> {
    prctl::set_child_subreaper(true)?;
    let mut input = BufReader::new(io::stdin());
    let text = line(&mut input)?;
    let launch: Launch = serde_json::from_str(&text)?;
    let (log, limit) = (launch.log, launch.log_limit);
    let is_confined = launch.sandbox.is_some();
    // The values of the environment are not needed here.
    drop(launch.env);
    let (output, writer) = io::pipe()?;
    let pid = match start(&text, is_confined, writer) {
        Ok(pid) => pid,
        Err(reason) => return tell(&mut io::stdout(), &Report::Refused { reason }),
    };
    drop(text);
    let copy = thread::spawn(move || log::copy(output, &log, limit));
    thread::spawn(move || obey(input, pid, is_confined));
    tell(&mut io::stdout(), &Report::Started { pid: pid.as_raw() })?;
    let code = tree::wait_for(pid)?;
    tree::kill_all(pid);
    let _ = copy.join();
    tell(&mut io::stdout(), &Report::Exited { code })
}

/// Starts the container's main process, and returns when it has become the program.
fn start(launch: &str, is_confined: bool, log: io::PipeWriter) -> Result<Pid, String> {
    attempt(launch, is_confined, log)
        .unwrap_or_else(|error| Err(format!("the container ended before it began: {error}")))
}

fn attempt(
    launch: &str,
    is_confined: bool,
    log: io::PipeWriter,
) -> io::Result<Result<Pid, String>> {
    let (steps, teller) = io::pipe()?;
    let mut steps = BufReader::new(steps);
    let mut command = Command::new(OWN_EXECUTABLE);
    command.arg(SUBCOMMAND);
    if is_confined {
        command.arg(ENTER);
    } else {
        command.args([INIT, Identity::Same.word()]).process_group(0);
    }
    let mut child = command
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(teller)
        .stderr(log)
        .spawn()?;
    drop(command);
    let mut line_in = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let mut pid = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
    if is_confined {
        match step(&mut steps)? {
            Step::Entered { pid: first } => pid = Pid::from_raw(first),
            Step::Refused { reason } => return Ok(Err(reason)),
            Step::Ready => return Err(io::ErrorKind::InvalidData.into()),
        }
        // Who made the namespaces is gone: their first process is a child of this one from here on.
        child.wait()?;
    }
    line_in.write_all(launch.as_bytes())?;
    match step(&mut steps)? {
        Step::Ready => {}
        Step::Refused { reason } => return Ok(Err(reason)),
        Step::Entered { .. } => return Err(io::ErrorKind::InvalidData.into()),
    }
    line_in.write_all(b"go\n")?;
    // The pipe is closed by becoming the program.
    match step(&mut steps) {
        Ok(Step::Refused { reason }) => Ok(Err(reason)),
        Ok(Step::Ready | Step::Entered { .. }) => Err(io::ErrorKind::InvalidData.into()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Ok(pid)),
        Err(error) => Err(error),
    }
}

fn step(steps: &mut impl BufRead) -> io::Result<Step> {
    Ok(serde_json::from_str(&line(steps)?)?)
}

/// Obeys the runner until it is gone.
fn obey(mut input: impl BufRead, pid: Pid, is_confined: bool) {
    loop {
        let order = line(&mut input)
            .ok()
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or(Order::Kill);
        match order {
            Order::Terminate if is_confined => tree::ask(pid),
            Order::Terminate => tree::terminate(pid),
            Order::Kill => {
                tree::kill_now(pid);
                // The other thread sees the end and clears what is left.
                return;
            }
        }
    }
}

/// One line; the end of the input is an error.
fn line(input: &mut impl BufRead) -> io::Result<String> {
    let mut text = String::new();
    input.by_ref().take(LINE_LIMIT).read_line(&mut text)?;
    if text.ends_with('\n') {
        return Ok(text);
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

fn tell(out: &mut impl Write, what: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_string(what)?;
    text.push('\n');
    out.write_all(text.as_bytes())?;
    out.flush()
}
