//! The embedded cluster: API server, Job controller, runner. Knows Kubernetes and nothing of Axon.
//!
//! An embedded default, not a second engine: whoever uses it holds a `kube::Client` and cannot
//! tell it from a real cluster.

mod api_server;
mod clock;
mod events;
pub mod images;
pub mod jobs;
mod kubeconfig;
pub mod logs;
pub mod runner;
mod store;
mod tls;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use http::HeaderValue;
use http::header::USER_AGENT;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use self::api_server::Server;
use self::images::Lender;
use self::logs::LogDir;
use self::runner::isolation::Isolation;
use self::store::Store;
use self::tls::Identity;

/// How an embedded cluster is to run.
#[derive(Clone)]
pub struct Options {
    /// Where it keeps its state. Made, with mode 0700, if it is missing.
    pub dir: PathBuf,
    /// Whether objects are kept in memory only. Logs and the kubeconfig are files all the same.
    pub ephemeral: bool,
    /// What runs Pods. None: a control plane alone, whose Pods wait for a node.
    pub node: Option<Node>,
    /// Whether it is also served by HTTPS on 127.0.0.1.
    pub listen: bool,
}

impl Options {
    /// A control plane in memory: for whoever plays the node themselves.
    pub fn control_plane(dir: &Path) -> Self {
        Self {
            dir: dir.to_path_buf(),
            ephemeral: true,
            node: None,
            listen: false,
        }
    }
}

/// The one node of an embedded cluster: this machine.
#[derive(Clone)]
pub struct Node {
    /// What the images of containers stand for.
    pub images: images::Resolver,
    /// The executable that answers to [`runner::supervise::SUBCOMMAND`].
    pub supervisor: PathBuf,
    /// What containers find in their environment unless their Pods say otherwise: `PATH`, and
    /// `HOME` if it is to be shared. Nothing else of this process is visible to them.
    pub env: BTreeMap<String, String>,
    /// Whether containers are kept from this machine.
    pub isolation: Isolation,
    /// Who lends Pods what is of this machine.
    pub lender: Option<Arc<dyn Lender>>,
}

/// How many Pods run at a time: each may be an agent that keeps a machine busy.
const MAX_PODS: usize = 16;
/// Mode of the directory of a cluster's state.
const PRIVATE: u32 = 0o700;
/// How the node is called.
const NODE_NAME: &str = "local";

/// Why an embedded cluster cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot use the directory \"{}\"", path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error("cannot open the store of the embedded cluster")]
    Store(#[source] store::Error),
    #[error("cannot prepare the embedded cluster: {0}")]
    Prepare(String),
    #[error("cannot make the keys of the embedded cluster")]
    Keys(#[source] tls::Error),
    #[error("cannot listen on 127.0.0.1")]
    Listen(#[source] io::Error),
    #[error("cannot write \"{}\"", path.display())]
    Kubeconfig { path: PathBuf, source: io::Error },
}

impl Error {
    /// Whether what was stored is lost, altered or of another version, so that only a person can go on.
    pub fn is_damaged_store(&self) -> bool {
        use store::Error::Corrupt;
        use store::Error::Layout;
        matches!(self, Self::Store(Corrupt { .. } | Layout { .. }))
    }
}

/// A running embedded cluster.
pub struct Cluster {
    server: Server,
    store: Arc<Store>,
    logs: LogDir,
    kubeconfig: PathBuf,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    /// Stops what works through the server, before the server itself.
    stop_work: CancellationToken,
    work: Vec<JoinHandle<()>>,
    /// Keeps others out of the directory; a store of its own does that itself.
    _lock: Option<store::Lock>,
}

impl Cluster {
    /// Starts it and waits until it serves.
    pub async fn start(options: Options) -> Result<Self, Error> {
        make_private(&options.dir)?;
        let dir = (!options.ephemeral).then_some(options.dir.as_path());
        // What is not stored lies there too: folders of Pods, the kubeconfig.
        let lock = options.ephemeral.then(|| store::lock(&options.dir));
        let lock = lock.transpose().map_err(Error::Store)?;
        let store = Arc::new(Store::open(dir).map_err(Error::Store)?);
        let logs = LogDir::new(options.dir.join("logs"));
        let stop = CancellationToken::new();
        let server = Server::new(Arc::clone(&store), logs.clone(), stop.clone());
        let prepared = server.prepare().await;
        prepared.map_err(|error| Error::Prepare(error.message))?;
        let mut tasks = vec![tokio::spawn(server.clone().collect_garbage())];
        let kubeconfig = options.dir.join("kubeconfig");
        if options.listen {
            tasks.push(listen(&server, &kubeconfig, &stop)?);
        }
        let stop_work = CancellationToken::new();
        let jobs = named(&server, "kube-controller-manager");
        let mut work = vec![tokio::spawn(jobs::run(jobs, stop_work.clone()))];
        if let Some(node) = options.node {
            let node = node.options(&options.dir, &logs);
            let kubelet = named(&server, "kubelet");
            work.push(tokio::spawn(run_node(kubelet, node, stop_work.clone())));
        }
        Ok(Self {
            server,
            store,
            logs,
            kubeconfig,
            stop,
            tasks,
            stop_work,
            work,
            _lock: lock,
        })
    }

    /// A client that calls the server in this process, without a socket.
    pub fn client(&self) -> kube::Client {
        kube::Client::new(self.server.clone(), "default")
    }

    /// The file that `kubectl` reads; only there if the cluster listens.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Resolves, with the reason, when what it stores can no longer be written: the disk is full or
    /// gone. Nothing that was acknowledged is lost; nothing new is taken.
    pub async fn broken(&self) -> String {
        let mut trouble = self.store.trouble();
        let told = trouble.wait_for(Option::is_some).await;
        match told.ok().and_then(|why| why.clone()) {
            Some(why) => why,
            // The store was closed in order.
            None => std::future::pending().await,
        }
    }

    /// Where container logs lie.
    pub fn logs(&self) -> &LogDir {
        &self.logs
    }

    /// Ends what Pods still run, then watches; waits for what is under way, and closes the store.
    pub async fn stop(self) {
        self.stop_work.cancel();
        for work in self.work {
            work.await.ok();
        }
        self.stop.cancel();
        for task in self.tasks {
            task.await.ok();
        }
        let store = self.store;
        let closed = tokio::task::spawn_blocking(move || store.close()).await;
        if closed.is_err() {
            tracing::error!("the store could not be closed in order");
        }
    }
}

impl Node {
    fn options(self, dir: &Path, logs: &LogDir) -> runner::Options {
        runner::Options {
            node: NODE_NAME.to_owned(),
            pods: dir.join("pods"),
            logs: logs.clone(),
            images: self.images,
            supervisor: self.supervisor,
            base_env: self.env,
            isolation: self.isolation,
            lender: self.lender,
            max_pods: MAX_PODS,
        }
    }
}

/// A client of a part of the cluster: its name is what `managedFields` tell of its writes.
fn named(server: &Server, name: &'static str) -> kube::Client {
    let agent = HeaderValue::from_static(name);
    let server = server
        .clone()
        .map_request(move |mut request: http::Request<_>| {
            request.headers_mut().insert(USER_AGENT, agent.clone());
            request
        });
    kube::Client::new(server, "default")
}

async fn run_node(client: kube::Client, options: runner::Options, stop: CancellationToken) {
    if let Err(error) = runner::run(client, options, stop).await {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        tracing::error!(%error, cause, "Pods cannot run");
    }
}

/// Serves HTTPS on a free port, and writes the kubeconfig that leads there.
fn listen(
    server: &Server,
    kubeconfig: &Path,
    stop: &CancellationToken,
) -> Result<JoinHandle<()>, Error> {
    let identity = Identity::generate().map_err(Error::Keys)?;
    let listener = api_server::listener::bind().map_err(Error::Listen)?;
    let address = listener.local_addr().map_err(Error::Listen)?;
    kubeconfig::write(kubeconfig, address, &identity).map_err(|source| Error::Kubeconfig {
        path: kubeconfig.to_path_buf(),
        source,
    })?;
    let serving = api_server::listener::serve(
        server.clone(),
        listener,
        identity.server,
        identity.token,
        stop.clone(),
    );
    Ok(tokio::spawn(serving))
}

/// Makes the directory, for its owner's eyes only, and keeps it out of git.
fn make_private(dir: &Path) -> Result<(), Error> {
    let failed = |source| Error::Directory {
        path: dir.to_path_buf(),
        source,
    };
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(PRIVATE);
    builder.create(dir).map_err(failed)?;
    // It may have been there before; Secrets lie in it.
    let private = fs::Permissions::from_mode(PRIVATE);
    fs::set_permissions(dir, private).map_err(failed)?;
    fs::write(dir.join(".gitignore"), "*\n").map_err(failed)
}
