//! All processes that came of a container. Orphans are adopted by the supervisor, so every one of
//! them is, sooner or later, a child of this process.

use std::fs;
use std::io;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::signal;
use nix::sys::signal::Signal;
use nix::sys::wait;
use nix::sys::wait::WaitPidFlag;
use nix::sys::wait::WaitStatus;
use nix::unistd::Pid;

/// How long a killed process may take to go, before it is left to the kernel (it hangs in a
/// system call that nothing interrupts).
const LEAVE_WITHIN: Duration = Duration::from_secs(10);
/// Between two looks at who is left.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Waits until `main` ends, burying adopted orphans meanwhile. Gives its exit code.
pub(super) fn wait_for(main: Pid) -> io::Result<i32> {
    loop {
        match wait::waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == main => return Ok(code),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == main => {
                return Ok(128 + signal as i32);
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// SIGTERM to the main process alone.
pub(super) fn ask(main: Pid) {
    // Once it is buried, its number may be a stranger's.
    if descendants(Pid::this()).contains(&main) {
        let _ = signal::kill(main, Signal::SIGTERM);
    }
}

/// SIGTERM to the group.
pub(super) fn terminate(group: Pid) {
    signal_group(group, Signal::SIGTERM);
}

/// SIGKILL to the group and to whoever left it.
pub(super) fn kill_now(group: Pid) {
    signal_group(group, Signal::SIGKILL);
    for pid in descendants(Pid::this()) {
        let _ = signal::kill(pid, Signal::SIGKILL);
    }
}

/// Kills until no child is left.
pub(super) fn kill_all(group: Pid) {
    let until = Instant::now() + LEAVE_WITHIN;
    signal_group(group, Signal::SIGKILL);
    while Instant::now() < until {
        match wait::waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::ECHILD) => return,
            Ok(WaitStatus::StillAlive) => {
                for pid in descendants(Pid::this()) {
                    let _ = signal::kill(pid, Signal::SIGKILL);
                }
                thread::sleep(LOOK_EVERY);
            }
            Ok(_) | Err(_) => {}
        }
    }
}

/// Once its leader is buried, the number of a group may be used again by strangers: a signal goes
/// only to a group that somebody of ours is in.
fn signal_group(group: Pid, signal: Signal) {
    let is_ours = descendants(Pid::this())
        .into_iter()
        .any(|pid| nix::unistd::getpgid(Some(pid)) == Ok(group));
    if is_ours {
        // Fails only when nobody is left there.
        let _ = signal::killpg(group, signal);
    }
}

/// SIGKILL to a group whose supervisor is gone. Its leader may be buried by now: as every container
/// runs in the session of the runner, a group in another one is a stranger's.
pub(in crate::local::runner) fn kill_orphans(group: Pid) {
    let Ok(session) = nix::unistd::getsid(None) else {
        return;
    };
    let is_ours = parents().into_iter().any(|(pid, _)| {
        nix::unistd::getpgid(Some(pid)) == Ok(group)
            && nix::unistd::getsid(Some(pid)) == Ok(session)
    });
    if is_ours {
        let _ = signal::killpg(group, Signal::SIGKILL);
    }
}

/// The children of `root`, their children, and so on.
fn descendants(root: Pid) -> Vec<Pid> {
    let parents = parents();
    let mut found = vec![root];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        at += 1;
        let children = parents.iter().filter(|(_, of)| *of == parent);
        found.extend(children.map(|(pid, _)| *pid));
    }
    found.remove(0);
    found
}

/// Every process of this machine and its parent.
fn parents() -> Vec<(Pid, Pid)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read(entry.path().join("stat")).ok()?;
            Some((Pid::from_raw(pid), Pid::from_raw(parent(&stat)?)))
        })
        .collect()
}

/// The parent in a line of `/proc/PID/stat`. The name in it may hold anything, so it is
/// skipped up to its last bracket.
fn parent(stat: &[u8]) -> Option<i32> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&stat[end + 1..]).ok()?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::*;

    fn check(stat: &str, expected: Option<i32>) {
        assert_eq!(parent(stat.as_bytes()), expected, "{stat}");
    }

    #[test]
    fn the_parent_is_found_behind_any_name() {
        check("12 (sh) S 7 12 12 0", Some(7));
        check("12 (a) S 9 (b)) R 7 12", Some(7));
        check("12 (sh", None);
        check("12 (sh) S", None);
    }

    #[test]
    fn this_process_has_a_parent() {
        let own = Pid::this();
        assert!(parents().contains(&(own, nix::unistd::getppid())));
    }

    #[test]
    fn orphans_are_killed_and_strangers_are_not() {
        let mut own = Command::new("sleep")
            .arg("300")
            .process_group(0)
            .spawn()
            .unwrap();
        let mut stranger = Command::new("setsid")
            .args(["sleep", "300"])
            .spawn()
            .unwrap();
        let pid = |id: u32| Pid::from_raw(i32::try_from(id).unwrap());
        let until = Instant::now() + LEAVE_WITHIN;
        while nix::unistd::getsid(Some(pid(stranger.id()))) != Ok(pid(stranger.id())) {
            assert!(Instant::now() < until, "it did not get its own session");
            thread::sleep(LOOK_EVERY);
        }
        kill_orphans(pid(own.id()));
        kill_orphans(pid(stranger.id()));
        assert!(!own.wait().unwrap().success());
        assert_eq!(stranger.try_wait().unwrap(), None);
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    }
}
