//! What goes wrong while a person works: a repository that cannot be read, a cluster that is not
//! ready or goes away, an interruption. Each time the program itself, as it is typed.

use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::io::Write as _;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;

use axon::api::Task;
use axon::local;
use kube::Api;
use kube::Client;
use kube::ResourceExt as _;
use kube::api::ApiResource;
use kube::api::DeleteParams;
use kube::api::DynamicObject;
use kube::api::ListParams;
use kube::api::Patch;
use kube::api::PatchParams;
use kube::config::KubeConfigOptions;
use kube::config::Kubeconfig;
use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde_json::json;

use crate::git_server::GitRepo;
use crate::git_server::GitServer;
use crate::server;
use crate::server::Kind;

/// Values that must appear nowhere.
const TOKEN: &str = "canary-token-81f3";
const VALUE: &str = "canary-value-27ac";
/// As many objects as an apply is certainly not done with while it is interrupted.
const MANY: usize = 400;

/// A directory, and the program run in it.
struct Place {
    dir: tempfile::TempDir,
    kubeconfig: PathBuf,
    namespace: String,
}

struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Place {
    fn new(kubeconfig: &Path, namespace: &str) -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            kubeconfig: kubeconfig.to_path_buf(),
            namespace: namespace.to_owned(),
        }
    }

    fn write(&self, config: &str) {
        fs::write(self.dir.path().join("axon.yaml"), config).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_axon"));
        command
            .args(arguments)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(["--namespace", &self.namespace])
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn axon(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command(arguments).output().unwrap())
    }

    /// Runs it and compares how it ends; gives what it said.
    fn check(&self, arguments: &[&str], code: i32, told: &[&str]) -> String {
        let ended = self.axon(arguments);
        let all = ended.out + &ended.err;
        assert_eq!(ended.code, Some(code), "{arguments:?}: {all}");
        for text in told {
            assert!(all.contains(text), "{arguments:?} lacks {text:?}: {all}");
        }
        for secret in [TOKEN, VALUE] {
            assert!(!all.contains(secret), "{arguments:?} tells a secret: {all}");
        }
        all
    }
}

impl Ended {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

fn config(body: &str) -> String {
    format!(
        "apiVersion: axon.io/v1alpha1\nkind: Config\nsync: app\n\
         defaults: {{type: custom, image: 'local:agent', credentials: {{type: none}}}}\n{body}"
    )
}

fn many() -> String {
    let mut text = config("tasks:\n");
    for number in 0..MANY {
        writeln!(text, "  t{number}: {{prompt: x}}").unwrap();
    }
    text
}

/// Runs `test` with a kubeconfig of a server of this kind, and a namespace on it.
fn on(kind: Kind, test: impl FnOnce(&Client, &mut Place)) {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (kubeconfig, cluster) = match kind {
        Kind::Real => match server::real_kubeconfig() {
            Some(path) => (path, None),
            None => return,
        },
        Kind::Embedded => {
            let options = local::Options {
                listen: true,
                ..local::Options::control_plane(dir.path())
            };
            let cluster = runtime.block_on(local::Cluster::start(options)).unwrap();
            (cluster.kubeconfig().to_path_buf(), Some(cluster))
        }
    };
    let namespace = server::free_namespace();
    let client = runtime.block_on(async {
        let client = client(&kubeconfig).await;
        axon::cluster::install(&client).await.unwrap();
        server::create_namespace(&client, &namespace).await;
        client
    });
    let entered = runtime.enter();
    test(&client, &mut Place::new(&kubeconfig, &namespace));
    drop(entered);
    if let Some(cluster) = cluster {
        runtime.block_on(cluster.stop());
    }
}

async fn client(kubeconfig: &Path) -> Client {
    let file = Kubeconfig::read_from(kubeconfig).unwrap();
    let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
    Client::try_from(config.unwrap()).unwrap()
}

/// Awaits from a test's own thread.
fn now<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Handle::current().block_on(work)
}

/// Makes of each named function two tests.
macro_rules! on_both {
    ($($test:ident),+ $(,)?) => {
        mod embedded {
            $(#[test] fn $test() { super::on(crate::server::Kind::Embedded, super::$test); })+
        }
        mod real {
            $(#[test] fn $test() { super::on(crate::server::Kind::Real, super::$test); })+
        }
    };
}

on_both!(
    every_exit_code_is_seen,
    what_the_cluster_lacks_is_named,
    an_interrupted_apply_goes_on_where_it_was,
    an_interrupted_wait_ends,
    a_server_that_vanishes_ends_the_apply,
    no_secret_is_told_or_kept,
);

/// 0, 1, 2, 3, 5, 6 and 64; 130 has a test of its own.
fn every_exit_code_is_seen(client: &Client, place: &mut Place) {
    let three = "workspaces: {a: {repo: 'https://example.com/a.git'}}\n\
                 tasks: {one: {prompt: x}, two: {prompt: x}, three: {prompt: x}, four: {prompt: x}}\n";
    place.write(&config(three));
    place.check(&["plan"], 0, &["5 to create"]);
    place.check(&["plan", "--detailed-exitcode"], 2, &["5 to create"]);
    place.check(&["apply"], 64, &["no terminal to ask on", "--yes"]);
    place.check(&["apply", "--yes"], 0, &["5 created"]);
    place.check(&["plan", "--detailed-exitcode"], 0, &["No changes"]);
    let late = ["apply", "--yes", "--wait", "--timeout", "1s"];
    place.check(&late, 6, &["not all Tasks have finished within 1s"]);

    place.write(&config("tasks: {}\n"));
    place.check(&["plan"], 3, &["the plan is refused", "--allow-delete=5"]);
    place.check(&["apply", "--yes"], 3, &["the plan is refused"]);
    place.check(&["apply", "--yes", "--allow-delete=4"], 3, &["refused"]);
    place.check(&["apply", "--yes", "--allow-delete=5"], 0, &["5 deleted"]);

    let resource = ApiResource::erase::<axon::api::Workspace>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &place.namespace, &resource);
    let theirs = json!({"apiVersion": "axon.io/v1alpha1", "kind": "Workspace",
        "metadata": {"name": "b"}, "spec": {"repo": "https://example.com/theirs.git"}});
    now(api.patch("b", &PatchParams::apply("them"), &Patch::Apply(&theirs))).unwrap();
    place.write(&config(
        "workspaces: {b: {repo: 'https://example.com/ours.git'}}\n",
    ));
    place.check(&["plan"], 5, &["Workspace/b"]);
    place.check(&["apply", "--yes"], 5, &["Workspace/b"]);
    place.write("kind: Config\n");
    place.check(&["apply", "--yes"], 1, &["axon.yaml:1:1"]);
}

fn what_the_cluster_lacks_is_named(_: &Client, place: &mut Place) {
    place.write(&config(
        "workspaces: {there: {repo: 'https://example.com/a.git'}}\n",
    ));
    place.check(&["apply", "--yes"], 0, &[]);
    place.write(&config("tasks: {one: {prompt: x, workspace: their}}\n"));
    for command in [&["plan"][..], &["apply", "--yes"]] {
        place.check(
            command,
            1,
            &[
                "axon.yaml:5:37",
                "Workspace \"their\" is neither declared nor in the cluster",
                "Workspaces there: \"there\"",
            ],
        );
    }
    place.write(&config("tasks: {one: {prompt: x}}\n"));
    place.namespace = "not-there".into();
    place.check(
        &["plan"],
        1,
        &["namespace \"not-there\" does not exist", "hint: create it"],
    );
    place.check(
        &["apply", "--yes"],
        1,
        &["namespace \"not-there\" does not exist"],
    );
    let file = fs::read_to_string(&place.kubeconfig).unwrap();
    place.kubeconfig = place.dir.path().join("other");
    let strange: String = file
        .lines()
        .filter(|line| !line.trim_start().starts_with("client-"))
        .map(|line| match line.split_once("token:") {
            Some((before, after)) => {
                let rest = after.find('}').map_or("", |at| &after[at..]);
                format!("{before}token: wrong{rest}\n")
            }
            None => format!("{line}\n"),
        })
        .collect();
    fs::write(&place.kubeconfig, strange).unwrap();
    place.check(
        &["plan"],
        1,
        &[
            "does not accept the credentials",
            "hint: check the credentials",
        ],
    );
    place.check(
        &["plan", "--context", "nope"],
        1,
        &["nope", "hint: its contexts: \""],
    );
}

fn an_interrupted_apply_goes_on_where_it_was(client: &Client, place: &mut Place) {
    place.write(&many());
    let tasks: Api<Task> = Api::namespaced(client.clone(), &place.namespace);
    let running = place.command(&["apply", "--yes"]).spawn().unwrap();
    now(server::eventually("the first Tasks are there", || async {
        let some = tasks.list(&ListParams::default().limit(1)).await.unwrap();
        (!some.items.is_empty()).then_some(())
    }));
    interrupt(&running);
    let ended = Ended::of(running.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(130), "{}", ended.err);
    assert!(ended.err.contains(": interrupted"), "{}", ended.err);
    let made = now(tasks.list(&ListParams::default())).unwrap().items.len();
    assert!(made < MANY, "nothing was left to do");
    assert!(
        ended.out.contains(&format!("{made} created")),
        "{}",
        ended.out
    );
    let rest = format!("{} created, {made} unchanged", MANY - made);
    place.check(&["apply", "--yes"], 0, &[&rest]);
}

fn an_interrupted_wait_ends(_: &Client, place: &mut Place) {
    place.write(&config("tasks: {one: {prompt: x}}\n"));
    let mut running = place
        .command(&["apply", "--yes", "--wait"])
        .spawn()
        .unwrap();
    let mut out = String::new();
    // The summary is the last thing that is printed before it waits.
    let mut pipe = running.stdout.take().unwrap();
    while !out.contains("1 created") {
        let mut some = [0; 512];
        let count = pipe.read(&mut some).unwrap();
        assert!(count > 0, "it ended by itself: {out}");
        out.push_str(&String::from_utf8_lossy(&some[..count]));
    }
    interrupt(&running);
    let ended = Ended::of(running.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(130), "{out}{}", ended.err);
}

fn interrupt(child: &Child) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    kill(pid, Signal::SIGINT).unwrap();
}

fn a_server_that_vanishes_ends_the_apply(client: &Client, place: &mut Place) {
    place.write(&many());
    let direct = place.kubeconfig.clone();
    let file = fs::read_to_string(&direct).unwrap();
    let begin = file.find("https://127.0.0.1:").unwrap() + "https://".len();
    let length = file[begin..].find(|c: char| c != '.' && c != ':' && !c.is_ascii_digit());
    let address = &file[begin..begin + length.unwrap()];
    let proxy = Proxy::start(address.parse().unwrap());
    place.kubeconfig = place.dir.path().join("proxied");
    let proxied = file.replace(address, &proxy.to_string());
    fs::write(&place.kubeconfig, proxied).unwrap();

    let told = place.check(
        &["apply", "--yes"],
        1,
        &["cannot reach the API server", "cannot be reached any more"],
    );
    let tasks: Api<Task> = Api::namespaced(client.clone(), &place.namespace);
    let made = now(tasks.list(&ListParams::default())).unwrap().items.len();
    assert!((1..MANY).contains(&made), "{made} were made: {told}");
    place.check(
        &["plan"],
        1,
        &["cannot reach the API server", "hint: check"],
    );
    place.kubeconfig = direct;
    let rest = format!("{} created, {made} unchanged", MANY - made);
    place.check(&["apply", "--yes"], 0, &[&rest]);
}

/// Passes connections on until so many bytes were sent; then all of them break, and none is taken.
struct Proxy;

impl Proxy {
    /// Enough for the lists of a plan and a part of an apply.
    const BYTES: usize = 40_000;

    fn start(to: SocketAddr) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let left = Arc::new(AtomicUsize::new(Self::BYTES));
        thread::spawn(move || {
            for client in listener.incoming() {
                if left.load(Ordering::SeqCst) == 0 {
                    return;
                }
                let client = client.unwrap();
                let server = TcpStream::connect(to).unwrap();
                let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
                let count = Arc::clone(&left);
                thread::spawn(move || pass(client, server, &count));
                let count = Arc::clone(&left);
                thread::spawn(move || pass(back.0, back.1, &count));
            }
        });
        address
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, left: &AtomicUsize) {
    let mut some = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut some) {
        let before = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            Some(left.saturating_sub(count))
        });
        if before.unwrap() <= count || to.write_all(&some[..count]).is_err() {
            break;
        }
    }
    from.shutdown(Shutdown::Both).ok();
    to.shutdown(Shutdown::Both).ok();
}

fn no_secret_is_told_or_kept(client: &Client, place: &mut Place) {
    place.write(&config(&format!(
        "workspaces: {{a: {{repo: 'https://bob:{TOKEN}@example.com/a.git'}}}}\n"
    )));
    for command in [
        &["validate"][..],
        &["render"],
        &["plan"],
        &["apply", "--yes"],
    ] {
        place.check(command, 1, &["axon.yaml:5:", "must not carry a user name"]);
    }
    let with = |value: &str| {
        config(&format!(
            "tasks: {{one: {{prompt: x, podOverrides: {{env: [{{name: API_TOKEN, value: {value}}}]}}}}}}\n"
        ))
    };
    place.write(&with(VALUE));
    place.check(&["validate"], 0, &[]);
    place.check(&["plan", "-vv"], 0, &["1 to create"]);
    place.check(&["apply", "--yes", "-vv"], 0, &["1 created"]);
    place.write(&with("another"));
    place.check(&["plan", "-vv"], 0, &["value: (sensitive) -> (sensitive)"]);
    // Only its own specification holds it.
    let tasks: Api<Task> = Api::namespaced(client.clone(), &place.namespace);
    let task = now(tasks.get("one")).unwrap();
    assert!(
        !serde_json::to_string(&(&task.metadata.annotations, &task.status))
            .unwrap()
            .contains(VALUE)
    );
    now(tasks.delete(&task.name_any(), &DeleteParams::default())).unwrap();
}

#[test]
fn a_cluster_without_our_resources_says_how_to_install_them() {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let options = local::Options {
        listen: true,
        ..local::Options::control_plane(dir.path())
    };
    let cluster = runtime.block_on(local::Cluster::start(options)).unwrap();
    let place = Place::new(cluster.kubeconfig(), "default");
    place.write(&config("tasks: {one: {prompt: x}}\n"));
    let told = [
        "the cluster does not know",
        "hint: install Axon's resources",
    ];
    place.check(&["plan"], 1, &told);
    place.check(&["plan", "--no-dry-run"], 1, &told);
    place.check(&["apply", "--yes"], 1, &told);
    runtime.block_on(cluster.stop());
}

#[test]
fn a_repository_that_cannot_be_read_is_told_with_a_hint() {
    let dir = tempfile::tempdir().unwrap();
    let repo = GitRepo::new(dir.path(), "acme/app.git");
    repo.commit(&[("axon.yaml", &config("tasks: {}\n"))]);
    let server = GitServer::start(dir.path());
    let url = format!("{}/acme/app.git", server.url());
    let place = Place::new(Path::new("/dev/null"), "default");
    let dev = ["dev", "--once", "--ephemeral", "--unconfined"];
    let check = |arguments: &[&str], told: &[&str]| {
        place.check(&[&["plan"], arguments].concat(), 1, told);
        place.check(&[&dev, arguments].concat(), 1, told);
    };
    check(
        &[&url, "--ref", "gone"],
        &["no branch, tag or commit \"gone\"", "hint: check --ref"],
    );
    check(
        &[&url, "--path", "gone.yaml"],
        &[
            "no file \"gone.yaml\"",
            "hint: write one, or name another file with --path",
        ],
    );
    check(
        &[&format!("{}/acme/gone.git", server.url())],
        &["there is no repository at", "hint: give a token"],
    );
    check(
        &["http://127.0.0.1:1/a.git"],
        &["cannot reach", "hint: check the URL and the network"],
    );
    server.require_token(TOKEN);
    check(&[&url], &["wants another credential", "--git-token-file"]);
    let wrong = place.dir.path().join("token");
    fs::write(&wrong, "wrong").unwrap();
    check(
        &[&url, "--git-token-file", wrong.to_str().unwrap()],
        &["wants another credential", "--git-token-file"],
    );
    let absent = place.dir.path().join("absent");
    check(
        &[&url, "--git-token-file", absent.to_str().unwrap()],
        &["cannot read the token in", "absent"],
    );
    let embedded = url.replace("http://", &format!("http://bob:{TOKEN}@"));
    check(&[&embedded], &["cannot use"]);
}

#[test]
fn every_command_places_what_is_wrong_with_a_file() {
    let place = Place::new(Path::new("/dev/null"), "default");
    fs::create_dir(place.dir.path().join("sub")).unwrap();
    let file = place.dir.path().join("sub/axon.yaml");
    for (content, told) in [
        (&b"tasks: [1,\n b: }\n"[..], "broken YAML"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"kind: Config\n", "\"apiVersion\" is missing"),
    ] {
        fs::write(&file, content).unwrap();
        for command in [
            &["validate"][..],
            &["render"],
            &["plan"],
            &["apply", "--yes"],
            &["dev", "--once", "--ephemeral"],
        ] {
            let arguments = [command, &["sub"]].concat();
            place.check(&arguments, 1, &[told, "--> sub/axon.yaml:1:"]);
        }
    }
    fs::remove_file(&file).unwrap();
    for command in [
        &["validate"][..],
        &["render"],
        &["plan"],
        &["apply", "--yes"],
    ] {
        let arguments = [command, &["sub"]].concat();
        place.check(&arguments, 1, &["there is no file \"axon.yaml\""]);
    }
    place.check(
        &["dev", "sub", "--ref", "main"],
        64,
        &["needs a repository"],
    );
}
