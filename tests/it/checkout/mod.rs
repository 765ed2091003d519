//! The checkout as it runs in a Pod, from real repositories, and the helper after it.

mod credentials;
mod hostile;
mod references;
mod submodules;

use std::fs;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;

use axon_helper::report::Report;
use nix::sys::signal;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::git_server;
use crate::git_server::GitRepo;
use crate::git_server::GitServer;

const TOKEN: &str = "hunter2secret";

/// What a Pod has: the volumes and the environment of its init container.
pub(super) struct Pod {
    dir: TempDir,
    env: Vec<(String, String)>,
}

impl Pod {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            env: Vec::new(),
        }
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Mounts a Secret with this key, or changes it, as the kubelet does: all keys at once.
    fn secret(self, key: &str, value: &str) -> Self {
        self.rotate(&[(key, value)]);
        self
    }

    fn rotate(&self, values: &[(&str, &str)]) {
        let dir = self.path("git");
        let number = fs::read_dir(&dir).map_or(0, Iterator::count);
        let generation = format!("..{number}");
        fs::create_dir_all(dir.join(&generation)).unwrap();
        let old = dir.join("..data");
        for entry in fs::read_dir(&old).into_iter().flatten() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), dir.join(&generation).join(entry.file_name())).unwrap();
        }
        for (key, value) in values {
            fs::write(dir.join(&generation).join(key), value).unwrap();
            let link = dir.join(key);
            if !link.is_symlink() {
                symlink(format!("..data/{key}"), link).unwrap();
            }
        }
        let new = dir.join("..new");
        symlink(&generation, &new).unwrap();
        fs::rename(new, old).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn checkout(&self, words: &[&str]) -> Output {
        self.checkout_by(Path::new(env!("CARGO_BIN_EXE_axon")), words)
    }

    fn checkout_by(&self, axon: &Path, words: &[&str]) -> Output {
        self.command(axon, words).output().unwrap()
    }

    fn command(&self, axon: &Path, words: &[&str]) -> Command {
        let mut command = Command::new(axon);
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .args(["agent", "checkout"]);
        for (flag, name) in [
            ("--repo-dir", "repo"),
            ("--home", "home"),
            ("--axon-dir", "axon"),
            ("--termination-log", "log"),
        ] {
            command.arg(flag).arg(self.path(name));
        }
        if self.path("git").exists() {
            command.arg("--credentials-dir").arg(self.path("git"));
        }
        command
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .args(words);
        command
    }

    fn checked_out(&self, words: &[&str]) {
        let output = self.checkout(words);
        assert!(
            output.status.success(),
            "{words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(!self.path("log").exists());
    }

    /// What a failing checkout says, to the log and in its report.
    fn refused(&self, words: &[&str]) -> String {
        let output = self.checkout(words);
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        let report = Report::parse(&fs::read(self.path("log")).unwrap()).unwrap();
        assert_eq!((report.succeeded, report.exit_code), (false, Some(1)));
        let message = report.message.unwrap();
        assert_eq!(
            String::from_utf8(output.stderr)
                .unwrap()
                .lines()
                .last()
                .unwrap(),
            format!("axon: {message}")
        );
        message
    }

    /// Runs git as the agent would.
    fn git(&self, args: &[&str]) -> String {
        let output = self.try_git(args);
        assert!(
            output.status.success(),
            "git {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn try_git(&self, args: &[&str]) -> Output {
        let mut git = git_server::command();
        for who in ["AUTHOR", "COMMITTER"] {
            git.env_remove(format!("GIT_{who}_NAME"))
                .env_remove(format!("GIT_{who}_EMAIL"));
        }
        git.envs(self.env.iter().map(|(name, value)| (name, value)));
        git.env("HOME", self.path("home"))
            .current_dir(self.path("repo"))
            .args(args)
            .output()
            .unwrap()
    }
}

struct Fixture {
    dir: TempDir,
    repo: GitRepo,
    server: GitServer,
    first: String,
    second: String,
}

impl Fixture {
    /// Two commits on `main`, the first one tagged and on `old`.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let repo = GitRepo::new(dir.path(), "acme/app.git");
        let first = repo.commit(&[("file", "one")]);
        repo.git(&["tag", "v1"]);
        repo.git(&["tag", "--annotate", "--message=x", "v1-signed"]);
        repo.git(&["branch", "old"]);
        let script = repo.work().join("run.sh");
        fs::write(&script, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        symlink("file", repo.work().join("link")).unwrap();
        let second = repo.commit(&[("file", "two"), ("deep/er/file", "x")]);
        let server = GitServer::start(dir.path());
        Self {
            dir,
            repo,
            server,
            first,
            second,
        }
    }

    fn url(&self) -> String {
        format!("{}/acme/app.git", self.server.url())
    }
}

#[test]
fn without_a_workspace() {
    let prompt = "$(X) $$ \"quotes\"\nü🦀 ";
    let (one, two) = prompt.split_at(7);
    let pod = Pod::new()
        .env("AXON_PROMPT_0", one)
        .env("AXON_PROMPT_1", two)
        .env("AXON_PROMPT_3", "not this")
        .env("AXON_DEPENDENCIES_0", "{\"build\"")
        .env("AXON_DEPENDENCIES_1", ":{}}");
    pod.checked_out(&[]);
    assert_eq!(pod.text("axon/dependencies.json"), "{\"build\":{}}");
    assert_eq!(pod.text("axon/prompt"), prompt);
    assert_eq!(fs::read_dir(pod.path("repo")).unwrap().count(), 0);
    assert!(pod.path("home").is_dir() && !pod.path("axon/base").exists());
}

#[test]
fn a_clone_to_work_in() {
    let fixture = Fixture::new();
    let pod = Pod::new();
    pod.checked_out(&["--url", &fixture.url()]);
    assert_eq!(
        pod.git(&["rev-list", "--count", "HEAD"]),
        "1",
        "history that nobody needs"
    );
    assert_eq!(pod.git(&["config", "remote.origin.url"]), fixture.url());
    assert_eq!(
        fs::read_link(pod.path("repo/link")).unwrap(),
        Path::new("file")
    );
    assert_eq!(
        fs::metadata(pod.path("repo/run.sh"))
            .unwrap()
            .permissions()
            .mode()
            & 0o111,
        0o111
    );
    fs::write(pod.path("repo/new"), "x").unwrap();
    pod.git(&["switch", "--quiet", "--create", "fix"]);
    pod.git(&["add", "new"]);
    pod.git(&["commit", "--quiet", "--message=new"]);
    assert_eq!(
        pod.git(&["log", "-1", "--format=%an <%ae>"]),
        "Axon <axon@users.noreply.github.com>"
    );
    pod.git(&["push", "--quiet", "origin", "fix"]);
    assert_eq!(
        fixture.repo.git(&["rev-parse", "fix"]),
        pod.git(&["rev-parse", "HEAD"])
    );
    // What it does not have yet it can fetch.
    pod.git(&["fetch", "--quiet", "origin", "old"]);
    assert_eq!(pod.git(&["rev-parse", "FETCH_HEAD"]), fixture.first);
}

#[test]
fn failures_are_told_without_the_token() {
    let fixture = Fixture::new();
    let url = fixture.url();
    let check = |words: &[&str], expected: &str| {
        let message = Pod::new().secret("GITHUB_TOKEN", TOKEN).refused(words);
        assert!(message.starts_with(expected), "{words:?}: {message}");
        assert!(!message.contains(TOKEN));
    };
    check(
        &["--url", &url, "--ref", "nope"],
        &format!("cannot check out \"{url}\": there is no branch, tag or commit \"nope\""),
    );
    let unknown = "1".repeat(40);
    check(
        &["--url", &url, "--ref", &unknown],
        &format!("cannot check out \"{url}\": there is no branch, tag or commit \"111"),
    );
    let missing = format!("{}/acme/nope.git", fixture.server.url());
    check(
        &["--url", &missing],
        &format!("cannot check out \"{missing}\": there is no repository"),
    );
    check(
        &["--url", "file:///nowhere"],
        "cannot check out \"file:///nowhere\": there is no repository",
    );
    check(
        &["--url", "http://example.invalid/a/b"],
        "cannot check out \"http://example.invalid/a/b\": there is no fitting credential for",
    );
    check(
        &["--url", "http://127.0.0.1:9/a/b"],
        "cannot check out \"http://127.0.0.1:9/a/b\": cannot reach",
    );
    fixture.server.require_token("another");
    check(
        &["--url", &url],
        &format!("cannot check out \"{url}\": \"{url}\" wants another credential"),
    );
}

#[test]
fn what_a_server_repeats_is_not_told() {
    // It takes the credential and then says it back, as no server should.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/a/b", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let mut asked = Vec::new();
        for connection in listener.incoming().take(1) {
            let mut connection = connection.unwrap();
            let mut head = [0; 4096];
            let length = connection.read(&mut head).unwrap();
            asked.push(String::from_utf8_lossy(&head[..length]).into_owned());
            let said = format!("ERR no luck with token {TOKEN}");
            let line = format!("{:04x}{said}", said.len() + 4);
            let body = format!("001e# service=git-upload-pack\n0000{line}");
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/x-git-upload-pack-advertisement\r\n\
                 content-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            connection.write_all(answer.as_bytes()).unwrap();
        }
        asked
    });
    let pod = Pod::new().secret("GITHUB_TOKEN", TOKEN);
    let message = pod.refused(&["--url", &url]);
    assert!(
        message.contains("no luck with token (sensitive)"),
        "{message}"
    );
    assert!(!message.contains(TOKEN), "{message}");
    assert!(server.join().unwrap()[0].starts_with("GET /a/b/info/refs"));
}

#[test]
fn a_repository_on_this_machine_needs_git() {
    let fixture = Fixture::new();
    let url = fixture.repo.file_url();
    let message = Pod::new().env("PATH", "/nowhere").refused(&["--url", &url]);
    assert!(
        message.ends_with("the program \"git\" is missing"),
        "{message}"
    );
    let elsewhere = format!("file://{}", fixture.repo.work().join("deep").display());
    let message = Pod::new().refused(&["--url", &elsewhere]);
    assert!(message.contains("there is no repository"), "{message}");
}

#[test]
fn a_stop_ends_it_at_once() {
    // A server that takes the connection and then says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/a/b", listener.local_addr().unwrap());
    let pod = Pod::new();
    let mut child = pod
        .command(Path::new(env!("CARGO_BIN_EXE_axon")), &["--url", &url])
        .spawn()
        .unwrap();
    let connection = listener.accept().unwrap();
    let pid = Pid::from_raw(child.id().try_into().unwrap());
    signal::kill(pid, Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    drop(connection);
}

#[test]
fn wrong_words() {
    for (words, expected) in [
        (
            ["--url", "https://bob:hunter2secret@host/a"],
            "cannot use the repository's URL",
        ),
        (["--ref", "a..b"], "cannot use the reference"),
        (["--branch", "-x y"], "cannot use the reference"),
        (["--depth", "-1"], "\"--depth\" must be"),
        (["--git-name", "a\nb"], "the name and address for commits"),
        (["--what", "x"], "unknown flag \"--what\""),
    ] {
        let pod = Pod::new();
        let output = pod.checkout(&words);
        assert_eq!(output.status.code(), Some(64));
        let message = Report::parse(&fs::read(pod.path("log")).unwrap())
            .unwrap()
            .message
            .unwrap();
        assert!(
            message.starts_with(expected) && !message.contains(TOKEN),
            "{message}"
        );
    }
}

#[test]
fn a_directory_that_is_not_empty_is_left_alone() {
    let fixture = Fixture::new();
    let pod = Pod::new();
    fs::create_dir(pod.path("repo")).unwrap();
    fs::write(pod.path("repo/mine"), "x").unwrap();
    assert!(
        pod.refused(&["--url", &fixture.url()])
            .ends_with("is not empty")
    );
    assert_eq!(pod.text("repo/mine"), "x");
}

#[test]
fn the_helper_goes_on_where_the_checkout_ended() {
    let fixture = Fixture::new();
    let pod = Pod::new().env("AXON_PROMPT_0", "add a file");
    // A program without the helper beside it is the helper itself.
    let bin = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let axon = bin.path().join("axon");
    fs::hard_link(env!("CARGO_BIN_EXE_axon"), &axon).unwrap();
    let output = pod.checkout_by(&axon, &["--url", &fixture.url(), "--branch", "fix/1"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let script = r#"echo "$1" > new; git add new; git commit --quiet --message=new; echo done"#;
    let mut helper = Command::new(pod.path("axon/axon-helper"));
    helper
        .arg("run")
        .current_dir(pod.path("repo"))
        .env("HOME", pod.path("home"));
    for (flag, name) in [
        ("--prompt-file", "axon/prompt"),
        ("--base-file", "axon/base"),
        ("--repo-dir", "repo"),
        ("--home", "home"),
        ("--termination-log", "log"),
    ] {
        helper.arg(flag).arg(pod.path(name));
    }
    let output = helper
        .args(["--", "sh", "-c", script, "agent"])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "done\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report = Report::parse(&fs::read(pod.path("log")).unwrap()).unwrap();
    let head = pod.git(&["rev-parse", "HEAD"]);
    assert_ne!(head, fixture.second);
    assert_eq!(
        report.outputs,
        ["branch: fix/1".to_owned(), format!("commit: {head}")]
    );
    assert!(report.succeeded);
    assert_eq!(pod.text("repo/new"), "add a file\n");
}

fn each_file(dir: &Path, visit: &mut impl FnMut(&Path, &[u8])) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            each_file(&path, visit);
        } else if !path.ends_with("axon-helper") {
            visit(&path, &fs::read(&path).unwrap());
        }
    }
}
