//! The process between the runner and a container: sees to it that nothing of the container is
//! left when its main process ended, or when the runner is gone, for whatever reason.
//!
//! It is the own executable, run with a hidden subcommand. It adopts every orphan of the container
//! (as a "subreaper"), so a process cannot get away by leaving the group. The container itself is
//! started through a second step of the same executable, which asks the kernel to be killed
//! should the supervisor die. Single-purpose and without a runtime; prints nothing for people.

mod log;
mod tree;

use std::ffi::OsString;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::thread;

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::AccessFlags;
use nix::unistd::Pid;

use super::launch::LINE_LIMIT;
use super::launch::Launch;
use super::launch::Order;
use super::launch::Report;

pub(super) use tree::kill_orphans;

/// The word that makes the executable call [`main`] with what follows it.
pub const SUBCOMMAND: &str = "internal-supervise";

/// This very executable, even when its file was replaced since.
const OWN_EXECUTABLE: &str = "/proc/self/exe";

/// The argument that asks for the second step.
const EXEC: &str = "exec";

/// The exit code of a container that could not be started.
pub(super) const REFUSED: i32 = 128;

/// Runs the supervisor; `args` are those after [`SUBCOMMAND`]. Gives the exit code of the process.
pub fn main(args: impl IntoIterator<Item = OsString>) -> u8 {
    let mut args = args.into_iter();
    match args.next() {
        None => u8::from(supervise().is_err()),
        Some(word) if word == EXEC => become_container(args),
        Some(_) => 2,
    }
}

fn supervise() -> io::Result<()> {
    prctl::set_child_subreaper(true)?;
    let mut input = BufReader::new(io::stdin());
    let launch: Launch = serde_json::from_str(&line(&mut input)?)?;
    let (output, writer) = io::pipe()?;
    let started = start(&launch, writer);
    let pid = match started {
        Ok(pid) => pid,
        Err(reason) => return tell(&Report::Refused { reason }),
    };
    let log = launch.log.clone();
    let limit = launch.log_limit;
    let copy = thread::spawn(move || log::copy(output, &log, limit));
    // The values of the environment are not needed any more.
    drop(launch);
    thread::spawn(move || obey(input, pid));
    tell(&Report::Started { pid: pid.as_raw() })?;
    let code = tree::wait_for(pid)?;
    tree::kill_all(pid);
    let _ = copy.join();
    tell(&Report::Exited { code })
}

/// Starts the container's main process at the head of its own group.
fn start(launch: &Launch, output: io::PipeWriter) -> Result<Pid, String> {
    let program = find(&launch.program, launch.env.get("PATH"), &launch.dir)?;
    let errors = output.try_clone().map_err(|error| error.to_string())?;
    let child = Command::new(OWN_EXECUTABLE)
        .arg(SUBCOMMAND)
        .arg(EXEC)
        .arg(Pid::this().to_string())
        .arg(program)
        .arg(&launch.program)
        .args(&launch.args)
        .env_clear()
        .envs(&launch.env)
        .current_dir(&launch.dir)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .process_group(0)
        .spawn()
        .map_err(|error| {
            let dir = launch.dir.display();
            format!("cannot start \"{}\" in \"{dir}\": {error}", launch.program)
        })?;
    i32::try_from(child.id())
        .map(Pid::from_raw)
        .map_err(|error| error.to_string())
}

/// The second step: in the container's own process, becomes the program.
fn become_container(mut args: impl Iterator<Item = OsString>) -> u8 {
    let supervisor = args
        .next()
        .and_then(|it| it.to_str().and_then(|it| it.parse().ok()));
    let (Some(supervisor), Some(program), Some(name)) = (supervisor, args.next(), args.next())
    else {
        return 2;
    };
    // Asked for first, looked at second: a supervisor that died in between is noticed.
    let bound = prctl::set_pdeathsig(Signal::SIGKILL).is_ok();
    if !bound || nix::unistd::getppid() != Pid::from_raw(supervisor) {
        return 2;
    }
    let error = Command::new(&program).arg0(&name).args(args).exec();
    // Standard error is the container's log.
    let _ = writeln!(
        io::stderr(),
        "exec \"{}\": {error}",
        Path::new(&name).display()
    );
    u8::try_from(REFUSED).unwrap_or(u8::MAX)
}

/// The file that a command names, by the rules of `exec` in a container.
fn find(program: &str, path: Option<&String>, dir: &Path) -> Result<PathBuf, String> {
    if program.is_empty() {
        return Err("no command specified".to_owned());
    }
    if program.contains('/') {
        let file = dir.join(program);
        return usable(&file)
            .map(|()| file)
            .map_err(|error| format!("exec: \"{program}\": {error}"));
    }
    let mut refusal = "executable file not found in $PATH";
    for folder in path.map_or("", String::as_str).split(':') {
        let file = dir.join(folder).join(program);
        match usable(&file) {
            Ok(()) => return Ok(file),
            Err(nix::Error::EACCES) => refusal = "permission denied",
            Err(_) => {}
        }
    }
    Err(format!("exec: \"{program}\": {refusal}"))
}

fn usable(file: &Path) -> Result<(), nix::Error> {
    if file.is_dir() {
        return Err(nix::Error::EACCES);
    }
    nix::unistd::access(file, AccessFlags::X_OK)
}

/// Obeys the runner until it is gone.
fn obey(mut input: impl BufRead, pid: Pid) {
    loop {
        let order = line(&mut input)
            .ok()
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or(Order::Kill);
        match order {
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

fn tell(report: &Report) -> io::Result<()> {
    let mut text = serde_json::to_string(report)?;
    text.push('\n');
    let mut out = io::stdout();
    out.write_all(text.as_bytes())?;
    out.flush()
}
