//! The agent's process group: start, signals, and the end of everything in it.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal;
use nix::sys::signal::Signal;
use nix::sys::wait::Id;
use nix::sys::wait::WaitPidFlag;
use nix::sys::wait::WaitStatus;
use nix::sys::wait::waitid;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use nix::unistd::getppid;

use crate::NAME;

/// The word that makes this executable call [`exec`] with what follows it.
pub(crate) const EXEC: &str = "exec";
/// This very executable, even when its file was replaced since.
const OWN_EXECUTABLE: &str = "/proc/self/exe";
/// Exit code of a step that could not become the agent; nobody looks at it.
const NO_AGENT_EXIT: i32 = 126;

/// How long killed processes may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(2);
/// How often is looked whether they are.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How the agent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Exited(i32),
    Signalled(Signal),
}

impl End {
    /// The exit code as a shell tells it.
    pub(crate) fn code(self) -> i32 {
        match self {
            Self::Exited(code) => code,
            Self::Signalled(signal) => 128 + signal as i32,
        }
    }
}

/// The agent, in a process group of its own.
#[derive(Debug)]
pub(crate) struct Group {
    leader: Pid,
}

impl Group {
    /// Starts `command` with pipes for its output and nothing to read. It dies with this process,
    /// even if that is killed: a step of this executable asks the kernel for it, see [`exec`].
    pub(crate) fn start(
        command: &[OsString],
        prompt: &OsStr,
        env: &[(&str, OsString)],
    ) -> io::Result<(Self, Child)> {
        // What the agent starts and forgets becomes our child, to be reaped and in the end killed.
        prctl::set_child_subreaper(true)?;
        let (mut failure, failed) = io::pipe()?;
        let mut child = Command::new(OWN_EXECUTABLE)
            .arg0(NAME)
            .arg(EXEC)
            .arg(std::process::id().to_string())
            .args(command)
            .arg(prompt)
            .envs(env.iter().map(|(name, value)| (name, value)))
            .stdin(failed)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let mut code = [0; size_of::<i32>()];
        // The pipe ends without a word when the step has become the agent.
        if failure.read_exact(&mut code).is_ok() {
            child.wait()?;
            return Err(io::Error::from_raw_os_error(i32::from_ne_bytes(code)));
        }
        let leader = i32::try_from(child.id()).map_err(io::Error::other)?;
        Ok((
            Self {
                leader: Pid::from_raw(leader),
            },
            child,
        ))
    }

    /// Sends a signal to all processes of the group. That there is none any more is no failure.
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = signal::killpg(self.leader, signal);
    }

    /// Reaps children that have ended, up to the agent: its end is told, but it is left unburied,
    /// so that the number of its group stays its own until [`Group::kill_rest`].
    pub(crate) fn reap(&self) -> Option<End> {
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        loop {
            match waitid(Id::All, look) {
                Ok(WaitStatus::Exited(pid, code)) if pid == self.leader => {
                    return Some(End::Exited(code));
                }
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid == self.leader => {
                    return Some(End::Signalled(signal));
                }
                Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..)) => {
                    let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
                }
                Ok(_) | Err(_) => return None,
            }
        }
    }

    /// Kills what is left: the group, and whatever else descends from us.
    pub(crate) fn kill_rest(&self) {
        self.signal(Signal::SIGKILL);
        let deadline = Instant::now() + GONE_WITHIN;
        loop {
            if std::process::id() == 1 {
                // Everything else in the container, at once: nobody can fork away from it.
                let _ = signal::kill(Pid::from_raw(-1), Signal::SIGKILL);
            }
            bury_all();
            let left = descendants();
            if left.is_empty() || Instant::now() > deadline {
                return;
            }
            for process in left {
                let _ = signal::kill(process, Signal::SIGKILL);
            }
            thread::sleep(LOOK_EVERY);
        }
    }
}

/// Becomes the agent, in its own process: the words are the helper's process number, the program
/// and its arguments. Standard input takes the number of the error if that fails.
pub(crate) fn exec(mut args: impl Iterator<Item = OsString>) -> i32 {
    let helper = args
        .next()
        .and_then(|word| word.to_str().and_then(|word| word.parse().ok()));
    let (Some(helper), Some(program)) = (helper, args.next()) else {
        return NO_AGENT_EXIT;
    };
    // A copy, which the agent does not inherit.
    let Ok(failed) = io::stdin().as_fd().try_clone_to_owned() else {
        return NO_AGENT_EXIT;
    };
    // Asked for first, looked at second: a helper that died in between is noticed.
    let bound = prctl::set_pdeathsig(Signal::SIGKILL);
    if getppid() != Pid::from_raw(helper) {
        return NO_AGENT_EXIT;
    }
    let error = match bound {
        Ok(()) => Command::new(program).args(args).stdin(Stdio::null()).exec(),
        Err(error) => error.into(),
    };
    let code = error.raw_os_error().unwrap_or(Errno::EINVAL as i32);
    // Whoever would read it is gone, and this process with it.
    let _ = fs::File::from(failed).write_all(&code.to_ne_bytes());
    NO_AGENT_EXIT
}

/// Reaps every child that has ended.
fn bury_all() {
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        if status == WaitStatus::StillAlive {
            return;
        }
    }
}

/// The processes that we started, those that they started, and so on.
fn descendants() -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let mut others: Vec<(u32, u32)> = entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // "PID (NAME) STATE PARENT …": the name may hold anything, the last ")" ends it.
            let (_, rest) = stat.rsplit_once(") ")?;
            Some((pid, rest.split(' ').nth(1)?.parse().ok()?))
        })
        .collect();
    let mut found = vec![std::process::id()];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        let (children, rest) = others.into_iter().partition(|(_, of)| *of == parent);
        others = rest;
        let children: Vec<(u32, u32)> = children;
        found.extend(children.iter().map(|(pid, _)| *pid));
        at += 1;
    }
    let numbers = found[1..].iter().filter_map(|pid| i32::try_from(*pid).ok());
    numbers.map(Pid::from_raw).collect()
}
