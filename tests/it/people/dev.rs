//! Agents that really run, by `axon dev`, and what is told of them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// How long any condition may take to come true.
const DEADLINE: Duration = Duration::from_mins(1);
/// Lines that the slow agent prints.
const LINES: usize = 700;

/// A directory with agents, and `axon dev` on it.
struct Dev {
    dir: tempfile::TempDir,
    child: std::process::Child,
}

impl Dev {
    /// Each task is a name, an agent's type and a script.
    fn start(tasks: &[(&str, &str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config =
            "apiVersion: axon.io/v1alpha1\nkind: Config\nsync: app\ntasks:\n".to_owned();
        for (name, kind, script) in tasks {
            let file = dir.path().join(format!("{name}.sh"));
            fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
            let settings = "prompt: x, credentials: {type: none}";
            let image = format!("image: 'local:./{name}.sh'");
            let line = format!("  {name}: {{type: {kind}, {image}, {settings}}}\n");
            config.push_str(&line);
        }
        fs::write(dir.path().join("axon.yaml"), config).unwrap();
        let err = fs::File::create(dir.path().join("dev.err")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_axon"))
            // They read captures of this checkout.
            .args(["dev", "--unconfined", "."])
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(err)
            .spawn()
            .unwrap();
        Self { dir, child }
    }

    fn kubeconfig(&self) -> PathBuf {
        self.dir.path().join(".axon/kubeconfig")
    }

    fn axon(&self, kubeconfig: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_axon"));
        command
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .args(arguments)
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        command
    }

    /// `axon` once the Task is known.
    fn told(&self, task: &str, arguments: &[&str]) -> Output {
        self.await_task(task);
        self.axon(&self.kubeconfig(), arguments).output().unwrap()
    }

    fn await_task(&self, task: &str) {
        let end = Instant::now() + DEADLINE;
        loop {
            if self.kubeconfig().exists() {
                let seen = self
                    .axon(&self.kubeconfig(), &["get", "task", task])
                    .output()
                    .unwrap();
                if seen.status.success() {
                    return;
                }
            }
            assert!(Instant::now() < end, "{}", self.err());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn err(&self) -> String {
        fs::read_to_string(self.dir.path().join("dev.err")).unwrap()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).ok();
        self.child.wait().ok();
    }
}

fn capture(path: &str) -> String {
    let root = env!("CARGO_MANIFEST_DIR");
    format!("cat {root}/helper/tests/captures/{path}")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_run_is_told_to_its_end() {
    let dev = Dev::start(&[
        ("claude", "claude-code", &capture("claude/ok.jsonl")),
        ("codex", "codex", &capture("codex/ok.jsonl")),
        ("fails", "custom", "echo half way; echo broken >&2; exit 3"),
    ]);
    let told = dev.told("claude", &["logs", "-f", "claude"]);
    let (out, err) = (text(&told.stdout), text(&told.stderr));
    assert_eq!(told.status.code(), Some(0), "{out}{err}{}", dev.err());
    assert_eq!(out, "I will write the file.\nDone.\n", "{err}");
    for expected in [
        "claude-code, model claude-sonnet-4-5",
        "Bash  echo hello > hello.txt",
        "5f5d2a8 hello",
        "2300 tokens in (300 cached), 55 out, $0.0069",
        "Task/claude  Succeeded",
    ] {
        assert!(err.contains(expected), "{expected} is not in {err}");
    }
    let raw = dev.told("codex", &["logs", "codex", "-f", "--raw"]);
    let file = fs::read(format!(
        "{}/helper/tests/captures/codex/ok.jsonl",
        env!("CARGO_MANIFEST_DIR")
    ))
    .unwrap();
    assert_eq!(text(&raw.stdout), text(&file));

    let failed = dev.told("fails", &["logs", "-f", "fails"]);
    assert_eq!(failed.status.code(), Some(1), "{}", text(&failed.stderr));
    assert!(text(&failed.stdout).contains("half way"));
    let err = text(&failed.stderr);
    assert!(err.contains("Task/fails  Failed  AgentFailed"), "{err}");

    let all = dev.told("fails", &["logs", "claude", "codex"]);
    let out = text(&all.stdout);
    assert!(
        out.contains("claude │ Done.\n") && out.contains("codex  │ Done.\n"),
        "{out}"
    );
    // `axon dev` itself tells the same, beside the other Tasks.
    let end = Instant::now() + DEADLINE;
    while !(dev.err().contains("claude │ Done.") && dev.err().contains("▸ Bash  echo hello")) {
        assert!(Instant::now() < end, "{}", dev.err());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_log_that_is_cut_again_and_again_is_whole() {
    let script =
        format!("i=0; while [ $i -lt {LINES} ]; do i=$((i+1)); echo line $i; sleep 0.02; done");
    let dev = Dev::start(&[("slow", "custom", &script)]);
    dev.await_task("slow");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let kubeconfig = fs::read_to_string(dev.kubeconfig()).unwrap();
    let at = kubeconfig.find("https://").unwrap();
    let server = kubeconfig[at..]
        .split_whitespace()
        .next()
        .unwrap()
        .trim_matches('"');
    let target = server.trim_start_matches("https://").to_owned();
    let proxy = runtime.block_on(Proxy::start(target));
    let through = dev.dir.path().join("through");
    let address = format!("https://127.0.0.1:{}", proxy.port);
    fs::write(&through, kubeconfig.replace(server, &address)).unwrap();

    let reading = dev
        .axon(&through, &["logs", "-f", "slow"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    let output = std::thread::scope(|scope| {
        let cutting = scope.spawn(|| {
            let mut cuts = 0;
            while !done.load(std::sync::atomic::Ordering::SeqCst) && cuts < 8 {
                // Time for some lines; what comes is whole whenever it is cut.
                std::thread::sleep(Duration::from_millis(350));
                cuts += usize::from(proxy.cut());
            }
            cuts
        });
        let output = reading.wait_with_output().unwrap();
        done.store(true, std::sync::atomic::Ordering::SeqCst);
        assert!(cutting.join().unwrap() >= 3, "it was hardly cut");
        output
    });
    let expected: Vec<String> = (1..=LINES).map(|i| format!("line {i}\n")).collect();
    let expected = expected.concat();
    assert_eq!(text(&output.stdout), expected, "{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

/// Passes bytes on until it is told to cut.
struct Proxy {
    port: u16,
    open: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Proxy {
    async fn start(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let open: Arc<Mutex<Vec<JoinHandle<()>>>> = Arc::default();
        let lines = Arc::clone(&open);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let target = target.clone();
                let line = tokio::spawn(async move {
                    let Ok(mut server) = TcpStream::connect(target).await else {
                        return;
                    };
                    tokio::io::copy_bidirectional(&mut client, &mut server)
                        .await
                        .ok();
                    client.shutdown().await.ok();
                });
                lines.lock().unwrap().push(line);
            }
        });
        Self { port, open }
    }

    /// Cuts what is open; gives whether there was anything.
    fn cut(&self) -> bool {
        let open: Vec<JoinHandle<()>> = self.open.lock().unwrap().drain(..).collect();
        let alive = open.iter().filter(|it| !it.is_finished()).count();
        for line in &open {
            line.abort();
        }
        alive > 0
    }
}
