//! Real git repositories, served by `git http-backend` on a loopback port.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::BodyExt as _;
use http_body_util::Full;
use hyper::Request;
use hyper::Response;
use hyper::body::Bytes;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// A bare repository with a work tree beside it.
pub(crate) struct GitRepo {
    bare: PathBuf,
    work: PathBuf,
}

impl GitRepo {
    /// Makes `<dir>/<name>`; a name such as `acme/app.git`. The default branch is `main`.
    pub(crate) fn new(dir: &Path, name: &str) -> Self {
        let repo = Self {
            bare: dir.join(name),
            work: dir.join(format!("{name}.work")),
        };
        fs::create_dir_all(&repo.work).unwrap();
        let init = ["init", "--quiet", "--bare", "--initial-branch=main"];
        assert!(
            command()
                .args(init)
                .arg(&repo.bare)
                .status()
                .unwrap()
                .success()
        );
        repo.git(&["config", "http.receivepack", "true"]);
        repo
    }

    pub(crate) fn path(&self) -> &Path {
        &self.bare
    }

    pub(crate) fn work(&self) -> &Path {
        &self.work
    }

    /// Drops what no ref leads to.
    pub(crate) fn forget(&self) {
        fs::remove_file(self.bare.join("ORIG_HEAD")).ok();
        self.git(&["reflog", "expire", "--expire=now", "--all"]);
        self.git(&["gc", "--quiet", "--prune=now"]);
    }

    pub(crate) fn file_url(&self) -> String {
        format!("file://{}", self.bare.display())
    }

    /// Writes files and commits all there is; gives the commit.
    pub(crate) fn commit(&self, files: &[(&str, &str)]) -> String {
        for (path, text) in files {
            let path = self.work.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--allow-empty", "--quiet", "--message=change"]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Writes a tree object byte by byte, of modes, names and ids that git itself would refuse.
    pub(crate) fn tree(&self, entries: &[(&str, &str, &str)]) -> String {
        let mut bytes = Vec::new();
        for (mode, name, id) in entries {
            bytes.extend_from_slice(format!("{mode} {name}\0").as_bytes());
            bytes.extend((0..20).map(|n| u8::from_str_radix(&id[2 * n..2 * n + 2], 16).unwrap()));
        }
        let file = self.bare.join("tree");
        fs::write(&file, bytes).unwrap();
        let write = ["hash-object", "-t", "tree", "-w", "--literally"];
        self.git(&[&write[..], &[file.to_str().unwrap()]].concat())
    }

    /// Runs git on the repository and its work tree; gives what it prints.
    pub(crate) fn git(&self, args: &[&str]) -> String {
        let output = command()
            .env("GIT_DIR", &self.bare)
            .env("GIT_WORK_TREE", &self.work)
            .current_dir(&self.work)
            .args(args)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "git {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

/// git without the settings of whoever runs the tests.
pub(crate) fn command() -> Command {
    let mut git = Command::new("git");
    git.env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0");
    for who in ["AUTHOR", "COMMITTER"] {
        git.env(format!("GIT_{who}_NAME"), "Tester")
            .env(format!("GIT_{who}_EMAIL"), "tester@example.com");
    }
    git
}

/// One request that was served.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    /// Method, path and query.
    pub(crate) what: String,
    pub(crate) status: u16,
    pub(crate) authorization: Option<String>,
    pub(crate) request: Vec<u8>,
    pub(crate) response: Vec<u8>,
}

/// Serves all repositories below a directory until it is dropped.
pub(crate) struct GitServer {
    address: SocketAddr,
    state: Arc<State>,
    /// Dropped to stop it.
    _stop: oneshot::Sender<()>,
}

struct State {
    dir: PathBuf,
    /// The header that is asked for.
    authorization: Mutex<Option<String>>,
    served: Mutex<Vec<Served>>,
    /// How many packs are still to be broken off in the middle.
    broken: AtomicUsize,
}

impl GitServer {
    pub(crate) fn start(dir: &Path) -> Self {
        Self::start_at(dir, "127.0.0.1")
    }

    /// Listens on another address of this machine than its loopback: for Pods.
    pub(crate) fn start_at(dir: &Path, address: &str) -> Self {
        let listener = std::net::TcpListener::bind((address, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            dir: dir.to_owned(),
            authorization: Mutex::default(),
            served: Mutex::default(),
            broken: AtomicUsize::new(0),
        });
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&state);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    () = accept(&listener, &serving) => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            address,
            state,
            _stop: stop,
        }
    }

    /// From now on only who sends this user name and password gets in.
    pub(crate) fn require(&self, username: &str, password: &str) {
        let pair = STANDARD.encode(format!("{username}:{password}"));
        *self.state.authorization.lock().unwrap() = Some(format!("Basic {pair}"));
    }

    /// From now on only who sends this token with the user name `x-access-token` gets in.
    pub(crate) fn require_token(&self, token: &str) {
        self.require("x-access-token", token);
    }

    /// Breaks the next packs off in the middle.
    pub(crate) fn break_packs(&self, count: usize) {
        self.state.broken.store(count, Ordering::SeqCst);
    }

    /// URL of the directory; that of a repository is `<url>/<name>`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Takes what was served since the last call.
    pub(crate) fn served(&self) -> Vec<Served> {
        std::mem::take(&mut *self.state.served.lock().unwrap())
    }
}

async fn accept(listener: &TcpListener, state: &Arc<State>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let state = Arc::clone(state);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let state = Arc::clone(&state);
                async move { anyhow::Ok(serve(&state, request).await) }
            });
            // A client that goes away is no failure of the test.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn serve(state: &State, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let header = |name: &str| {
        head.headers
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
    };
    let body = body.collect().await.unwrap().to_bytes();
    let authorization = header("authorization");
    let wanted = state.authorization.lock().unwrap().clone();
    let mut response = Response::new(Full::default());
    if let Some(rest) = head.uri.to_string().strip_prefix("/moved/") {
        *response.status_mut() = hyper::StatusCode::MOVED_PERMANENTLY;
        let to = format!("/acme/{rest}").parse().unwrap();
        response.headers_mut().insert("location", to);
    } else if wanted.is_some() && wanted != authorization {
        *response.status_mut() = hyper::StatusCode::UNAUTHORIZED;
        response
            .headers_mut()
            .insert("www-authenticate", "Basic realm=git".parse().unwrap());
    } else {
        let mut backend = tokio::process::Command::from(command());
        backend
            .arg("http-backend")
            .env("GIT_PROJECT_ROOT", &state.dir)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("REMOTE_USER", "tester")
            .env("REQUEST_METHOD", head.method.as_str())
            .env("PATH_INFO", head.uri.path())
            .env("QUERY_STRING", head.uri.query().unwrap_or_default())
            .env("CONTENT_TYPE", header("content-type").unwrap_or_default())
            .env("CONTENT_LENGTH", body.len().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        for (name, variable) in [
            ("content-encoding", "HTTP_CONTENT_ENCODING"),
            ("git-protocol", "HTTP_GIT_PROTOCOL"),
        ] {
            if let Some(value) = header(name) {
                backend.env(variable, value);
            }
        }
        response = run(backend, &body).await;
    }
    let bytes = response.body_mut().collect().await.unwrap().to_bytes();
    let bytes = state.perhaps_broken(bytes);
    *response.body_mut() = Full::new(bytes.clone());
    state.served.lock().unwrap().push(Served {
        what: format!("{} {}", head.method, head.uri),
        status: response.status().as_u16(),
        authorization,
        request: body.to_vec(),
        response: bytes.to_vec(),
    });
    response
}

impl State {
    /// The half of a pack, if it is to be broken off.
    fn perhaps_broken(&self, mut bytes: Bytes) -> Bytes {
        let is_pack = bytes.windows(4).any(|it| it == b"PACK");
        let left = self.broken.load(Ordering::SeqCst);
        if is_pack && left > 0 {
            self.broken.store(left - 1, Ordering::SeqCst);
            bytes.truncate(bytes.len() / 2);
        }
        bytes
    }
}

/// Runs a CGI program.
async fn run(mut program: tokio::process::Command, body: &[u8]) -> Response<Full<Bytes>> {
    let mut child = program.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let write = async move {
        // A program that does not read all of it may be right.
        let _ = stdin.write_all(body).await;
    };
    let (output, ()) = tokio::join!(child.wait_with_output(), write);
    let output = output.unwrap().stdout;
    let end = output
        .windows(4)
        .position(|bytes| bytes == b"\r\n\r\n")
        .unwrap();
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(&output[end + 4..])));
    for line in std::str::from_utf8(&output[..end]).unwrap().lines() {
        let (name, value) = line.split_once(": ").unwrap();
        if name == "Status" {
            *response.status_mut() = value[..3].parse().unwrap();
        } else {
            let name: hyper::header::HeaderName = name.parse().unwrap();
            response.headers_mut().insert(name, value.parse().unwrap());
        }
    }
    response
}

/// Serves all repositories below a directory by `git://` until it is dropped.
pub(crate) struct GitDaemon {
    child: std::process::Child,
    address: SocketAddr,
}

impl GitDaemon {
    pub(crate) fn start(dir: &Path) -> Self {
        let address = free_address();
        let child = command()
            .args([
                "daemon",
                "--reuseaddr",
                "--export-all",
                "--informative-errors",
            ])
            .arg(format!("--listen={}", address.ip()))
            .arg(format!("--port={}", address.port()))
            .arg(format!("--base-path={}", dir.display()))
            .arg(dir)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_for(address);
        Self { child, address }
    }

    pub(crate) fn url(&self) -> String {
        format!("git://{}", self.address)
    }
}

impl Drop for GitDaemon {
    fn drop(&mut self) {
        // It is a parent of its own, so it is asked to end: it takes its child along.
        let pid = nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

/// An address of this machine that nobody listens on.
pub(crate) fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// Waits until somebody listens.
pub(crate) fn wait_for(address: SocketAddr) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while std::net::TcpStream::connect(address).is_err() {
        assert!(
            std::time::Instant::now() < deadline,
            "nobody listens on {address}"
        );
        thread::sleep(std::time::Duration::from_millis(20));
    }
}
