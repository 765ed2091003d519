//! Containers that are kept from the machine: what they see, what they cannot do, and that nothing of them is
//! left, whoever dies first. Where the kernel does not allow it, the tests say so.

use std::fs;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use axon::local::runner::isolation::probe;
use serde_json::Value;
use serde_json::json;

use crate::dev::Place;
use crate::dev::config;
use crate::dev::text;
use crate::git_server::GitRepo;
use crate::git_server::GitServer;
use crate::supervise::until;

/// Whether this machine allows it; says so if not.
pub(crate) fn is_possible() -> bool {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    match runtime.block_on(probe(Path::new(env!("CARGO_BIN_EXE_axon")))) {
        Ok(()) => true,
        Err(why) => {
            eprintln!("left out: {why}");
            false
        }
    }
}

/// A confined container, by its supervisor.
struct Confined {
    supervisor: Child,
    reports: BufReader<std::process::ChildStdout>,
    /// What only processes of this container have in their command line.
    mark: String,
    dir: tempfile::TempDir,
}

impl Confined {
    /// Runs a script that knows its mark as `$MARK` and may write to `/v`.
    fn script(script: &str) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let dir = tempfile::tempdir().unwrap();
        let volume = dir.path().canonicalize().unwrap().join("v");
        fs::create_dir(&volume).unwrap();
        fs::set_permissions(&volume, fs::Permissions::from_mode(0o777)).unwrap();
        let count = NEXT.fetch_add(1, Ordering::Relaxed);
        let mark = format!("300.{:07}{count:04}", std::process::id());
        let shown = |at: &str| match fs::read_link(at) {
            Ok(target) => json!({"at": at, "shows": {"Link": target}}),
            Err(_) => json!({"at": at, "shows": {"ReadOnly": at}}),
        };
        let system = ["/usr", "/bin", "/lib", "/lib64", "/etc"];
        let mut places: Vec<Value> = system
            .into_iter()
            .filter(|it| Path::new(it).exists())
            .map(shown)
            .collect();
        places.push(json!({"at": "/v", "shows": {"Writable": volume}}));
        let env = json!({"PATH": "/usr/bin:/bin", "MARK": mark});
        let launch = json!({"program": "sh", "args": ["-c", script], "env": env, "dir": "/v",
            "log": dir.path().join("log"), "log_limit": 10_000, "sandbox": places});
        let mut supervisor = Command::new(env!("CARGO_BIN_EXE_axon"))
            .arg("internal-supervise")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(supervisor.stdin.as_ref().unwrap(), "{launch}").unwrap();
        Self {
            reports: BufReader::new(supervisor.stdout.take().unwrap()),
            supervisor,
            mark,
            dir,
        }
    }

    fn order(&mut self, order: &str) {
        writeln!(self.supervisor.stdin.as_ref().unwrap(), "\"{order}\"").unwrap();
    }

    fn exit_code(&mut self) -> i64 {
        loop {
            let mut line = String::new();
            self.reports.read_line(&mut line).unwrap();
            let report: Value = serde_json::from_str(&line).unwrap();
            if let Some(code) = report["Exited"]["code"].as_i64() {
                return code;
            }
            assert!(report["Started"].is_object(), "{report}");
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    /// How many processes of the container there are.
    fn processes(&self) -> usize {
        let all = fs::read_dir("/proc").unwrap().flatten();
        let marked = all.filter(|it| {
            let line = fs::read(it.path().join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(&self.mark)
        });
        marked.count()
    }
}

/// Three processes: the first, a child, and one in a session of its own.
const FAMILY: &str = "sleep $MARK & setsid sleep $MARK & exec sleep $MARK";

#[test]
fn a_container_is_the_first_process_and_has_no_rights() {
    if !is_possible() {
        return;
    }
    let script = "id -u; id -g; echo $$; ls /proc | grep -c '^[0-9]'; grep NoNewPrivs /proc/self/status;
        ls /; echo x >f && cat f; echo x >/etc/f; echo x >/f; echo x >/dev/shm/f && echo shm; :>/dev/null && echo null;
        kill -0 1 && echo own; unshare --user --map-root-user mount -t tmpfs none /v 2>/dev/null || echo no mounts";
    let mut run = Confined::script(script);
    assert_eq!(run.exit_code(), 0);
    let log = run.log();
    let told: Vec<_> = log
        .lines()
        .filter(|it| !it.contains("denied") && !it.contains("ermitted"))
        .collect();
    let head = ["61100", "61100", "1", "3", "NoNewPrivs:\t1"];
    assert_eq!(told[..head.len()], head, "{log}");
    let tail = ["x", "shm", "null", "own", "no mounts"];
    assert!(told.ends_with(&tail), "{log}");
    let folders = &told[head.len()..told.len() - tail.len()];
    assert!(folders.contains(&"usr") && folders.contains(&"v"), "{log}");
    for hidden in ["home", "root", "work", "run"] {
        assert!(!folders.contains(&hidden), "{log}");
    }
    assert!(!Path::new("/etc/f").exists());
}

#[test]
fn the_end_of_the_first_process_is_the_end_of_all() {
    if !is_possible() {
        return;
    }
    let mut run = Confined::script("sleep $MARK & setsid sleep $MARK & exit 3");
    assert_eq!(run.exit_code(), 3);
    assert_eq!(run.processes(), 0, "all are gone when it says so");
}

#[test]
fn nothing_outlives_a_supervisor_that_is_killed() {
    if !is_possible() {
        return;
    }
    let mut run = Confined::script(FAMILY);
    until(|| run.processes() == 3);
    run.supervisor.kill().unwrap();
    run.supervisor.wait().unwrap();
    until(|| run.processes() == 0);
}

#[test]
fn nothing_outlives_a_runner_that_is_gone() {
    if !is_possible() {
        return;
    }
    let mut run = Confined::script(FAMILY);
    until(|| run.processes() == 3);
    drop(run.supervisor.stdin.take());
    until(|| run.processes() == 0);
    run.supervisor.wait().unwrap();
}

/// As in Kubernetes the first process is asked, and nobody else.
#[test]
fn only_the_first_process_is_asked_to_end() {
    if !is_possible() {
        return;
    }
    let mut run = Confined::script("trap 'echo asked; exit 4' TERM; sleep $MARK & wait; wait");
    until(|| run.processes() == 1);
    run.order("Terminate");
    assert_eq!(run.exit_code(), 4);
    assert_eq!(run.log(), "asked\n");
    // One that does not listen ends by the kill that comes after.
    let mut run = Confined::script("exec sleep $MARK");
    until(|| run.processes() == 1);
    run.order("Terminate");
    run.order("Kill");
    assert_eq!(run.exit_code(), 128 + 9);
}

/// Commits, pushes, and tells what it can see of the machine.
const AGENT: &str = "#!/bin/sh
set -eu
id -u
for secret in \"$SECRET_HOME/.ssh/id\" \"$APP/.axon/kubeconfig\" \"$APP/private\"; do
    if cat \"$secret\" 2>/dev/null; then echo \"seen: $secret\"; fi
done
if { echo broken >\"$APP/.git/objects/x\"; } 2>/dev/null; then echo wrote to the copy; fi
if { echo broken >>\"$0\"; } 2>/dev/null; then echo changed itself; fi
echo '[core]' >>\"$APP/.git/config\" || true
echo done >>work.txt
git add work.txt
git commit --quiet --message work
git push --quiet origin HEAD
echo ---AXON_OUTPUTS_START---
echo wrote work.txt
echo ---AXON_OUTPUTS_END---
";

/// A repository, an agent and a home with secrets.
fn place() -> Place {
    let place = Place::new();
    let home = place.dir.path().join("home");
    fs::create_dir_all(home.join(".ssh")).unwrap();
    fs::write(home.join(".ssh/id"), "canary").unwrap();
    fs::create_dir_all(place.bin()).unwrap();
    let values = format!(
        "#!/bin/sh\nSECRET_HOME='{}'\nAPP='{}'\n",
        home.display(),
        place.work.display()
    );
    let agent = place.bin().join("agent");
    fs::write(&agent, AGENT.replace("#!/bin/sh\n", &values)).unwrap();
    fs::set_permissions(&agent, fs::Permissions::from_mode(0o755)).unwrap();
    place.commit(&config("  fix: {prompt: mend it, branch: axon/fix}\n"));
    fs::write(place.work.join("private"), "canary").unwrap();
    place
}

fn run(place: &Place, args: &[&str]) -> std::process::Output {
    let mut command = place.axon(args);
    command.env("HOME", place.dir.path().join("home"));
    command.output().unwrap()
}

#[test]
fn an_agent_sees_nothing_that_is_private_and_its_branch_comes_back() {
    if !is_possible() {
        return;
    }
    let place = place();
    let output = run(&place, &["dev", "--once", "app"]);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{out}{err}");
    assert!(out.contains("wrote work.txt"), "{out}{err}");
    let logs = Command::new("grep")
        .args(["-r", "", ".axon/logs"])
        .current_dir(&place.work)
        .output()
        .unwrap();
    let log = text(&logs.stdout);
    assert!(log.contains(":61100"), "{log}");
    for never in ["canary", "seen:", "changed itself"] {
        assert!(!log.contains(never), "{log}");
    }
    let show = |args: &[&str]| {
        let mut git = crate::git_server::command();
        text(
            &git.args(args)
                .current_dir(&place.work)
                .output()
                .unwrap()
                .stdout,
        )
    };
    assert_eq!(show(&["show", "axon/fix:work.txt"]), "done\n", "{err}");
    assert_eq!(show(&["branch", "--show-current"]), "main\n");
    assert!(!place.work.join("work.txt").exists(), "it was checked out");
    assert!(!place.work.join(".git/objects/x").exists());
    let config = fs::read_to_string(place.work.join(".git/config")).unwrap();
    assert_eq!(config.matches("[core]").count(), 1, "{config}");
}

#[test]
fn a_git_url_runs_without_more_ado_where_agents_are_confined() {
    if !is_possible() {
        return;
    }
    let place = place();
    let repo = GitRepo::new(place.dir.path(), "acme/app.git");
    repo.commit(&[("axon.yaml", &config("  one: {prompt: first}\n"))]);
    let server = GitServer::start(place.dir.path());
    let url = format!("{}/acme/app.git", server.url());
    let output = run(&place, &["dev", "--once", &url]);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(out.contains("Task/one"), "{out}{err}");
    assert!(!err.contains("isolation"), "{err}");
}

/// In a user namespace of its own root cannot become another user.
#[test]
fn what_is_missing_is_told_or_refused() {
    let mut can = Command::new("unshare");
    if !can
        .args(["--user", "--map-root-user", "true"])
        .status()
        .is_ok_and(|it| it.success())
    {
        eprintln!("left out: no user namespaces");
        return;
    }
    let place = place();
    let check = |args: &[&str], code: i32, expected: &[&str]| {
        let axon = place.axon(args);
        let mut command = Command::new("unshare");
        command
            .args(["--user", "--map-root-user"])
            .arg(axon.get_program())
            .args(args)
            .envs(
                axon.get_envs()
                    .filter_map(|(key, value)| Some((key, value?))),
            )
            .env("HOME", place.dir.path().join("home"))
            .current_dir(place.dir.path());
        let output = command.output().unwrap();
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {err}");
        for part in expected {
            assert!(err.contains(part), "{args:?}: {part} is missing:\n{err}");
        }
    };
    let why = "cannot become user 61100";
    let url = "https://example.com/a.git";
    check(
        &["dev", url],
        1,
        &["without isolation", why, "--unconfined"],
    );
    let refused = ["without isolation", why];
    check(&["dev", "--require-isolation", "app"], 1, &refused);
    fs::write(place.bin().join("agent"), "#!/bin/sh\n").unwrap();
    let warned = [
        "warning: agents run without isolation",
        why,
        "read and change",
    ];
    check(&["dev", "--once", "app"], 0, &warned);
}
