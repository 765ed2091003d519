//! The agent's process group: start, signals, and the end of everything in it.

use std::ffi::OsStr;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use nix::sys::prctl;
use nix::sys::signal;
use nix::sys::signal::Signal;
use nix::sys::wait::WaitPidFlag;
use nix::sys::wait::WaitStatus;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

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
    /// Starts `command` with pipes for its output and nothing to read.
    pub(crate) fn start(
        command: &[OsString],
        prompt: &OsStr,
        env: &[(&str, OsString)],
    ) -> io::Result<(Self, Child)> {
        // What the agent starts and forgets becomes our child, to be reaped and in the end killed.
        prctl::set_child_subreaper(true)?;
        let child = Command::new(&command[0])
            .args(&command[1..])
            .arg(prompt)
            .envs(env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
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

    /// Reaps every child that has ended; the agent's end, if it was among them.
    pub(crate) fn reap(&self) -> Option<End> {
        let mut end = None;
        loop {
            match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) if pid == self.leader => {
                    end = Some(End::Exited(code));
                }
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid == self.leader => {
                    end = Some(End::Signalled(signal));
                }
                Ok(WaitStatus::StillAlive) | Err(_) => return end,
                Ok(_) => {}
            }
        }
    }

    /// Kills what is left: the group, and whatever else became our child meanwhile.
    pub(crate) fn kill_rest(&self) {
        self.signal(Signal::SIGKILL);
        let deadline = Instant::now() + GONE_WITHIN;
        loop {
            self.reap();
            let children = children();
            if children.is_empty() || Instant::now() > deadline {
                return;
            }
            for child in children {
                let _ = signal::kill(child, Signal::SIGKILL);
            }
            thread::sleep(LOOK_EVERY);
        }
    }
}

/// The processes whose parent we are.
fn children() -> Vec<Pid> {
    let own = std::process::id().to_string();
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let processes = entries.flatten().filter_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // "PID (NAME) STATE PARENT …": the name may hold anything, the last ")" ends it.
        let (_, rest) = stat.rsplit_once(") ")?;
        (rest.split(' ').nth(1)? == own).then_some(Pid::from_raw(pid))
    });
    processes.collect()
}
