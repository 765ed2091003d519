//! A helper around a script, and what came of it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use axon_helper::report::Report;
use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(20);

/// A helper around a script.
pub(crate) struct Run {
    pub(crate) dir: TempDir,
    command: Command,
}

impl Run {
    pub(crate) fn of(script: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir(path("repo")).unwrap();
        fs::write(path("prompt"), "do it").unwrap();
        fs::write(path("entry"), format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(path("entry"), fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_axon-helper"));
        command
            .arg("run")
            .stdin(Stdio::null())
            .current_dir(path("repo"));
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", dir.path())
            .env("DIR", dir.path());
        for (flag, file) in [
            ("--prompt-file", "prompt"),
            ("--base-file", "base"),
            ("--repo-dir", "repo"),
            ("--home", "home"),
            ("--results-file", "results"),
            ("--dependencies-file", "dependencies"),
            ("--termination-log", "log"),
        ] {
            command.arg(flag).arg(path(file));
        }
        Self { dir, command }
    }

    pub(crate) fn prompt(self, prompt: &[u8]) -> Self {
        fs::write(self.dir.path().join("prompt"), prompt).unwrap();
        self
    }

    pub(crate) fn args(mut self, args: &[&str]) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn start(mut self) -> Running {
        let entry = self.dir.path().join("entry");
        self.command
            .arg("--")
            .arg(entry)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = self.command.spawn().unwrap();
        Running {
            dir: self.dir,
            child,
        }
    }

    pub(crate) fn end(self) -> Ended {
        self.start().end()
    }
}

pub(crate) struct Running {
    pub(crate) dir: TempDir,
    pub(crate) child: Child,
}

impl Running {
    pub(crate) fn await_file(&self, name: &str) {
        await_that(name, || self.dir.path().join(name).exists());
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    pub(crate) fn report(&self) -> Option<Report> {
        Report::parse(&fs::read(self.dir.path().join("log")).ok()?)
    }

    pub(crate) fn end(self) -> Ended {
        let output = self.child.wait_with_output().unwrap();
        let report = Report::parse(&fs::read(self.dir.path().join("log")).unwrap()).unwrap();
        Ended {
            dir: self.dir,
            output,
            report,
        }
    }
}

pub(crate) struct Ended {
    pub(crate) dir: TempDir,
    pub(crate) output: Output,
    pub(crate) report: Report,
}

impl Ended {
    pub(crate) fn code(&self) -> i32 {
        self.output.status.code().unwrap()
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8(self.output.stdout.clone()).unwrap()
    }

    pub(crate) fn message(&self) -> &str {
        self.report.message.as_deref().unwrap()
    }

    pub(crate) fn file(&self, name: &str) -> Vec<u8> {
        fs::read(self.dir.path().join(name)).unwrap()
    }
}

pub(crate) fn await_that(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}
