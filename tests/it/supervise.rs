//! The process between the runner and a container: nothing is left, whoever dies first.

use std::collections::BTreeMap;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::path::Path;
use std::process::Child;
use std::process::ChildStdin;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(20);

struct Supervised {
    child: Child,
    orders: Option<ChildStdin>,
    reports: BufReader<ChildStdout>,
    dir: TempDir,
}

impl Supervised {
    /// Runs a shell script. A line in its `pids` file names each process that is to be gone.
    fn script(script: &str) -> Self {
        let env = BTreeMap::from([("PATH", "/usr/bin:/bin"), ("NAME", "value")]);
        Self::launch("sh", &["-c", script], &env)
    }

    fn launch(program: &str, args: &[&str], env: &BTreeMap<&str, &str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_axon"))
            .arg("internal-supervise")
            .env("CANARY", "of-the-parent")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut orders = child.stdin.take().unwrap();
        let launch = json!({"program": program, "args": args, "env": env, "dir": dir.path(),
            "log": dir.path().join("log"), "log_limit": 1000});
        writeln!(orders, "{launch}").unwrap();
        let reports = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            orders: Some(orders),
            reports,
            dir,
        }
    }

    fn report(&mut self) -> Value {
        let mut line = String::new();
        self.reports.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn order(&mut self, order: &str) {
        writeln!(self.orders.as_ref().unwrap(), "\"{order}\"").unwrap();
    }

    fn exit_code(&mut self) -> i64 {
        loop {
            if let Some(code) = self.report()["Exited"]["code"].as_i64() {
                return code;
            }
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    /// The processes that the script named, once there are `count`.
    fn pids(&self, count: usize) -> Vec<String> {
        let file = self.dir.path().join("pids");
        let mut found = Vec::new();
        until(|| {
            let text = fs::read_to_string(&file).unwrap_or_default();
            found = text.lines().map(str::to_owned).collect();
            found.len() == count
        });
        found
    }
}

pub(crate) fn until(mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "it did not come to pass");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A process counts as gone when it is not there or only waits to be buried.
pub(crate) fn is_gone(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
    stat.rsplit(')').next().is_none_or(|rest| {
        let state = rest.split_whitespace().next();
        state.is_none_or(|it| it == "Z" || it == "X")
    })
}

pub(crate) fn until_gone(pids: &[String]) {
    until(|| pids.iter().all(|pid| is_gone(pid)));
}

/// One process in the group, and one that left it with a session of its own.
pub(crate) const FAMILY: &str = "echo $$ >> pids; sleep 300 & echo $! >> pids;
    setsid sh -c 'echo $$ >> pids; exec sleep 300' &";

#[test]
fn the_exit_code_and_the_output_come_back() {
    let mut run = Supervised::script("echo out; echo err >&2; exit 3");
    assert!(run.report()["Started"]["pid"].is_i64());
    assert_eq!(run.exit_code(), 3);
    assert_eq!(run.log(), "out\nerr\n");
    assert!(run.child.wait().unwrap().success());
}

#[test]
fn the_environment_is_what_was_given() {
    let env = BTreeMap::from([("NAME", "value")]);
    let mut run = Supervised::launch("/usr/bin/env", &[], &env);
    assert_eq!(run.exit_code(), 0);
    assert_eq!(run.log(), "NAME=value\n");
}

#[test]
fn what_cannot_start_is_refused_with_the_reason() {
    let env = BTreeMap::from([("PATH", "/usr/bin:/bin")]);
    let mut run = Supervised::launch("no-such-program", &[], &env);
    assert_eq!(
        run.report()["Refused"]["reason"],
        "exec: \"no-such-program\": executable file not found in $PATH"
    );
    let mut run = Supervised::launch("/dev/null", &[], &env);
    assert_eq!(
        run.report()["Refused"]["reason"],
        "exec: \"/dev/null\": EACCES: Permission denied"
    );
}

#[test]
fn the_end_of_the_main_process_is_the_end_of_all() {
    let mut run = Supervised::script(&format!(
        "{FAMILY} until test $(wc -l < pids) = 3; do :; done"
    ));
    let pids = run.pids(3);
    assert_eq!(run.exit_code(), 0);
    assert!(
        pids.iter().all(|pid| is_gone(pid)),
        "all are gone when it says so"
    );
}

#[test]
fn a_signal_reaches_the_whole_group_and_a_kill_everyone() {
    let script =
        format!("trap 'echo asked >> log' TERM; {FAMILY} while :; do sleep 300 & wait; done");
    let mut run = Supervised::script(&script);
    let pids = run.pids(3);
    run.order("Terminate");
    until_gone(&pids[1..2]);
    until(|| run.log().contains("asked"));
    assert!(!is_gone(&pids[0]), "it ignores the signal");
    run.order("Kill");
    assert_eq!(run.exit_code(), 128 + 9);
    assert!(pids.iter().all(|pid| is_gone(pid)));
}

#[test]
fn the_end_of_the_runner_is_the_end_of_all() {
    let mut run = Supervised::script(&format!("trap '' TERM; {FAMILY} sleep 300"));
    let pids = run.pids(3);
    drop(run.orders.take());
    until_gone(&pids);
    run.child.wait().unwrap();
}

#[test]
fn the_main_process_does_not_outlive_its_supervisor() {
    let mut run = Supervised::script("echo $$ > pids; exec sleep 300");
    let pids = run.pids(1);
    run.child.kill().unwrap();
    run.child.wait().unwrap();
    until_gone(&pids);
}
