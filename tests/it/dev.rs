//! `axon dev` as a person runs it: the program itself, real repositories, real processes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::git_server;
use crate::git_server::GitRepo;
use crate::git_server::GitServer;

/// How long any condition may take to come true.
const DEADLINE: Duration = Duration::from_mins(1);
/// A value that must appear nowhere.
const CANARY: &str = "canary-5f1c-secret-value";

/// A repository with an agent, whose runs leave a line each in `runs`.
pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
    /// A repository with a work tree.
    pub(crate) work: PathBuf,
}

impl Place {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let work = dir.path().join("app");
        fs::create_dir(&work).unwrap();
        let place = Self { dir, work };
        place.git(&["init", "--quiet", "--initial-branch=main"]);
        place
    }

    pub(crate) fn git(&self, args: &[&str]) {
        assert!(
            git_server::command()
                .current_dir(&self.work)
                .args(args)
                .status()
                .unwrap()
                .success()
        );
    }

    /// Commits this `axon.yaml`.
    pub(crate) fn commit(&self, config: &str) {
        fs::write(self.work.join("axon.yaml"), config).unwrap();
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message=change"]);
    }

    /// Puts a program `agent` where the tests' `PATH` finds it.
    fn agent(&self, script: &str) {
        let file = self.bin().join("agent");
        fs::create_dir_all(self.bin()).unwrap();
        let runs = self.runs_file();
        fs::write(
            &file,
            format!(
                "#!/bin/sh\nset -eu\necho \"$1\" >>{}\n{script}",
                runs.display()
            ),
        )
        .unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn bin(&self) -> PathBuf {
        self.dir.path().join("bin")
    }

    fn runs_file(&self) -> PathBuf {
        self.dir.path().join("runs")
    }

    /// The prompts of all runs that ever began.
    fn runs(&self) -> Vec<String> {
        let text = fs::read_to_string(self.runs_file()).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    pub(crate) fn axon(&self, args: &[&str]) -> Command {
        let path = format!("{}:{}", self.bin().display(), inherited_path());
        let mut command = Command::new(env!("CARGO_BIN_EXE_axon"));
        command
            .args(args)
            .env("PATH", path)
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        command
    }

    /// `axon dev --once` on the work tree.
    fn once(&self, more: &[&str]) -> Output {
        let mut args = vec!["dev", "--once", "--unconfined", "app"];
        args.extend(more);
        self.axon(&args)
            .env("AXON_CANARY", CANARY)
            .output()
            .unwrap()
    }
}

#[expect(clippy::disallowed_methods, reason = "the test's own PATH")]
fn inherited_path() -> String {
    std::env::var("PATH").unwrap()
}

pub(crate) fn config(tasks: &str) -> String {
    format!(
        "apiVersion: axon.io/v1alpha1\nkind: Config\nsync: app\n\
         defaults: {{type: custom, image: 'local:agent', credentials: {{type: none}}, workspace: here}}\n\
         workspaces: {{here: {{}}}}\n\
         tasks:\n{tasks}"
    )
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn await_that(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < end, "not seen within {DEADLINE:?}: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A program that is ended with the test, however the test ends.
struct Running(Child);

impl Running {
    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.0.id()).unwrap()), signal).unwrap();
    }

    fn exit_code(&mut self) -> Option<i32> {
        let mut code = None;
        await_that("the program ends", || {
            self.0
                .try_wait()
                .unwrap()
                .map(|status| code = status.code())
                .is_some()
        });
        code
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

const COMMITS: &str = "\
echo done >>work.txt
git add work.txt
git commit --quiet --message work
echo ---AXON_OUTPUTS_START---
echo wrote work.txt
echo ---AXON_OUTPUTS_END---
echo 'answer: 42' >>\"$AXON_RESULTS_FILE\"
";

#[test]
fn a_task_runs_to_its_outputs_and_never_again() {
    let place = Place::new();
    place.agent(COMMITS);
    place.commit(&config("  fix: {prompt: mend it, branch: axon/fix}\n"));

    let first = place.once(&[]);
    let (out, err) = (text(&first.stdout), text(&first.stderr));
    assert_eq!(first.status.code(), Some(0), "{out}{err}");
    for expected in [
        "Task/fix  Succeeded",
        "branch: axon/fix",
        "commit: ",
        "wrote work.txt",
        "answer: 42",
    ] {
        assert!(out.contains(expected), "{expected} is missing:\n{out}{err}");
    }
    assert_eq!(place.runs(), ["mend it"]);

    let second = place.once(&[]);
    assert_eq!(second.status.code(), Some(0), "{}", text(&second.stderr));
    assert!(text(&second.stdout).contains("Task/fix  Succeeded"));
    assert_eq!(place.runs(), ["mend it"], "it ran again");
}

#[test]
fn an_agent_reads_what_the_tasks_before_it_left() {
    let place = Place::new();
    let left = place.dir.path().join("left");
    place.agent(&format!(
        "if [ \"$1\" = build ]; then echo 'tests: 12' >>\"$AXON_RESULTS_FILE\"
         else cat \"$AXON_DEPENDENCIES_FILE\" >{}; fi",
        left.display()
    ));
    place.commit(&config(
        "  build: {prompt: build}\n  deploy: {prompt: deploy, dependsOn: [build]}\n",
    ));
    let output = place.once(&[]);
    let told = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{told}");
    let left: serde_json::Value = serde_json::from_slice(&fs::read(left).unwrap()).unwrap();
    assert_eq!(left["build"]["results"]["tests"], "12", "{left:#}");
    assert_eq!(left["build"]["phase"], "Succeeded");
}

/// A directory without an origin has its name for a source, and so for an id.
#[test]
fn a_directory_that_gets_an_origin_or_another_id_goes_on_with_its_objects() {
    let place = Place::new();
    place.agent(COMMITS);
    let tasks = "  fix: {prompt: mend it}\n";
    let plain = config(tasks).replace("sync: app\n", "");
    place.commit(&plain);
    assert_eq!(place.once(&[]).status.code(), Some(0));
    let goes_on = |what: &str| {
        let output = place.once(&[]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{what}: {told}");
        assert!(!told.contains("conflict"), "{what}: {told}");
        assert_eq!(place.runs(), ["mend it"], "{what}: it ran again");
        told
    };
    let url = "https://github.com/acme/app.git";
    place.git(&["remote", "add", "origin", url]);
    let told = goes_on("an origin");
    assert!(told.contains("~ Task/fix"), "{told}");
    place.commit(&config(tasks).replace("{here: {}}", "{here: {}, spare: {}}"));
    goes_on("an id");
    // What leaves with the next step is still its own.
    place.commit(&plain);
    let told = goes_on("another id");
    assert!(told.contains("- Workspace/spare"), "{told}");
}

#[test]
fn a_task_that_its_time_to_live_removed_does_not_run_again() {
    let place = Place::new();
    place.agent(COMMITS);
    let tasks = "  fix: {prompt: mend it, ttlSecondsAfterFinished: 0}\n";
    place.commit(&config(tasks));
    assert_eq!(place.once(&[]).status.code(), Some(0));
    // The first run after the end may still find the Task on its way out.
    await_that("the Task is gone, and known to have run", || {
        let again = place.once(&[]);
        assert_eq!(again.status.code(), Some(0), "{}", text(&again.stderr));
        text(&again.stderr).contains("> Task/fix                  already ran (Succeeded")
    });
    assert_eq!(place.runs(), ["mend it"], "it ran again");
}

#[test]
fn a_failing_agent_fails_the_command_and_says_why() {
    let place = Place::new();
    place.agent("echo the model is on holiday >&2\nexit 3\n");
    place.commit(&config("  fix: {prompt: x}\n"));
    let output = place.once(&[]);
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{out}");
    assert!(
        out.contains("Failed") && out.contains("the model is on holiday"),
        "{out}"
    );
    assert!(out.contains('3'), "the exit code is missing: {out}");
}

#[test]
fn no_secret_is_told() {
    let place = Place::new();
    place.agent("echo \"key: $CODEX_API_KEY\"\necho \"$CODEX_API_KEY\" >&2\nprintf 'k: %s\\n' \"$CODEX_API_KEY\" >>\"$AXON_RESULTS_FILE\"\nexit 1\n");
    let config = config(
        "  fix: {prompt: x, type: codex, credentials: {type: api-key, secretRef: {name: codex}}}\n",
    );
    place.commit(&config);
    let output = place.once(&["--secret", "codex=CODEX_API_KEY:AXON_CANARY", "-vv"]);
    let told = text(&output.stdout) + &text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert_eq!(place.runs(), ["x"]);
    assert!(!told.contains(CANARY), "{told}");
    for file in files(&place.work.join(".axon/logs")) {
        let log = text(&fs::read(&file).unwrap());
        assert!(log.contains("key: ***"), "{log}");
        assert!(!log.contains(CANARY), "{}: {log}", file.display());
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("codex"))
        {
            found.push(path);
        }
    }
    found
}

#[test]
fn killed_in_the_middle_nothing_is_left_and_nothing_runs_twice() {
    let place = Place::new();
    let pid_file = place.dir.path().join("pid");
    place.agent(&format!(
        "echo $$ >{}\nexec sleep 600\n",
        pid_file.display()
    ));
    place.commit(&config("  fix: {prompt: x}\n"));
    let mut running = Running(
        place
            .axon(&["dev", "--unconfined", "app"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let agent_pid = || {
        fs::read_to_string(&pid_file)
            .ok()
            .filter(|text| text.ends_with('\n'))
    };
    await_that("the agent runs", || agent_pid().is_some());
    running.signal(Signal::SIGKILL);
    running.exit_code();
    let process = PathBuf::from(format!("/proc/{}", agent_pid().unwrap().trim()));
    await_that("the agent is gone", || !process.exists());

    let output = place.once(&[]);
    let out = text(&output.stdout);
    assert_eq!(
        output.status.code(),
        Some(1),
        "{out}{}",
        text(&output.stderr)
    );
    assert!(out.contains("Task/fix  Failed  NodeLost"), "{out}");
    assert_eq!(place.runs(), ["x"], "it ran again");
}

#[test]
fn ctrl_c_ends_it_and_the_agent() {
    let place = Place::new();
    let pid_file = place.dir.path().join("pid");
    place.agent(&format!(
        "echo $$ >{}\nexec sleep 600\n",
        pid_file.display()
    ));
    place.commit(&config("  fix: {prompt: x}\n"));
    let mut running = Running(
        place
            .axon(&["dev", "--unconfined", "app"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let agent_pid = || {
        fs::read_to_string(&pid_file)
            .ok()
            .filter(|text| text.ends_with('\n'))
    };
    await_that("the agent runs", || agent_pid().is_some());
    running.signal(Signal::SIGINT);
    assert_eq!(running.exit_code(), Some(0));
    assert!(!Path::new(&format!("/proc/{}", agent_pid().unwrap().trim())).exists());
}

#[test]
fn a_commit_behind_a_git_url_is_applied() {
    let place = Place::new();
    place.agent(COMMITS);
    let repo = GitRepo::new(place.dir.path(), "acme/app.git");
    repo.commit(&[("axon.yaml", &config("  one: {prompt: first}\n"))]);
    let server = GitServer::start(place.dir.path());
    let url = format!("{}/acme/app.git", server.url());
    let args = ["dev", &url, "--unconfined", "--interval", "1s"];
    let mut running = Running(place.axon(&args).stderr(Stdio::null()).spawn().unwrap());
    await_that("the first task runs", || place.runs() == ["first"]);
    repo.commit(&[(
        "axon.yaml",
        &config("  one: {prompt: first}\n  two: {prompt: second}\n"),
    )]);
    await_that("the second task runs", || {
        place.runs() == ["first", "second"]
    });
    running.signal(Signal::SIGINT);
    assert_eq!(running.exit_code(), Some(0));
}

#[test]
fn a_saved_file_is_applied() {
    let place = Place::new();
    place.agent(COMMITS);
    place.commit(&config("  one: {prompt: first}\n"));
    let mut running = Running(
        place
            .axon(&["dev", "--unconfined", "app"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    await_that("the first task runs", || place.runs() == ["first"]);
    let file = place.work.join("axon.yaml");
    fs::write(&file, "tasks: [broken").unwrap();
    fs::write(
        &file,
        config("  one: {prompt: first}\n  two: {prompt: second}\n"),
    )
    .unwrap();
    await_that("the second task runs", || {
        place.runs() == ["first", "second"]
    });
    running.signal(Signal::SIGTERM);
    assert_eq!(running.exit_code(), Some(0));
}

#[test]
fn what_is_missing_is_said() {
    let place = Place::new();
    place.commit(&config("  fix: {prompt: x}\n"));
    let told = place.dir.path().join("told");
    let stderr = fs::File::create(&told).unwrap();
    let mut running = Running(
        place
            .axon(&["dev", "--unconfined", "app"])
            .stderr(stderr)
            .spawn()
            .unwrap(),
    );
    let says = |what: &str| fs::read_to_string(&told).unwrap().contains(what);
    await_that("the missing agent is told", || {
        says("ImagePullFailed") && says("no program \"agent\" on PATH")
    });
    running.signal(Signal::SIGINT);
    assert_eq!(running.exit_code(), Some(0));
    // With --once nobody is waited for.
    let output = place.once(&[]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("no program \"agent\" on PATH"));
    // It appears, and the Task runs after all.
    place.agent(COMMITS);
    let output = place.once(&[]);
    assert_eq!(place.runs(), ["x"], "{}", text(&output.stderr));
}

#[test]
fn what_cannot_work_is_refused_with_a_hint() {
    let place = Place::new();
    let check = |args: &[&str], code: i32, expected: &[&str]| {
        let output = place.axon(args).output().unwrap();
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {err}");
        for part in expected {
            assert!(err.contains(part), "{args:?}: {part} is missing:\n{err}");
        }
    };
    check(
        &["dev", ".", "--unconfined", "--require-isolation"],
        64,
        &["--require-isolation"],
    );
    check(&["dev", "no/such/dir"], 1, &["no/such/dir"]);
    check(
        &["dev", "--once", "https://bob:hunter2@example.com/a.git"],
        1,
        &["example.com"],
    );
    check(&["dev", "--secret", "x"], 64, &["NAME=KEY"]);
    check(
        &["dev", "--secret", "x=AXON_NOT_SET"],
        64,
        &["AXON_NOT_SET"],
    );
    let output = place
        .axon(&["dev", "--once", "https://bob:hunter2@example.com/a.git"])
        .output()
        .unwrap();
    assert!(!text(&output.stderr).contains("hunter2"));

    fs::write(place.work.join("axon.yaml"), "kind: Config\n").unwrap();
    let broken = place.once(&["--ephemeral"]);
    assert_eq!(broken.status.code(), Some(1), "{}", text(&broken.stderr));
    assert!(
        text(&broken.stderr).contains("axon.yaml:1"),
        "{}",
        text(&broken.stderr)
    );

    fs::remove_dir_all(place.work.join(".axon")).unwrap();
    fs::write(place.work.join(".axon"), "in the way").unwrap();
    let blocked = place.once(&[]);
    assert_eq!(blocked.status.code(), Some(1));
    assert!(
        text(&blocked.stderr).contains(".axon"),
        "{}",
        text(&blocked.stderr)
    );
}
