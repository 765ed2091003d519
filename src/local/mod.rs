//! The embedded cluster: API server, Job controller, runner. Knows Kubernetes and nothing of Axon.
//!
//! An embedded default, not a second engine: whoever uses it holds a `kube::Client` and cannot
//! tell it from a real cluster.

mod api_server;
mod clock;
pub mod images;
pub mod logs;
mod store;

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::api_server::Server;
use self::logs::LogDir;
use self::store::Store;

/// How an embedded cluster is to run.
#[derive(Clone)]
pub struct Options {
    /// Where it keeps its state. Made, with mode 0700, if it is missing.
    pub dir: PathBuf,
    /// Whether objects are kept in memory only. Logs and the kubeconfig are files all the same.
    pub ephemeral: bool,
    /// What the images of containers stand for.
    pub images: images::Resolver,
    /// Whether it is also served by HTTPS on 127.0.0.1.
    pub listen: bool,
}

/// Why an embedded cluster cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot use the directory \"{}\"", path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error("cannot open the store of the embedded cluster")]
    Store(#[source] store::Error),
    #[error("cannot prepare the embedded cluster: {0}")]
    Prepare(String),
}

/// A running embedded cluster.
pub struct Cluster {
    server: Server,
    store: Arc<Store>,
    logs: LogDir,
    kubeconfig: PathBuf,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Cluster {
    /// Starts it and waits until it serves.
    pub async fn start(options: Options) -> Result<Self, Error> {
        make_private(&options.dir)?;
        let dir = (!options.ephemeral).then_some(options.dir.as_path());
        let store = Arc::new(Store::open(dir).map_err(Error::Store)?);
        let logs = LogDir::new(options.dir.join("logs"));
        let stop = CancellationToken::new();
        let server = Server::new(Arc::clone(&store), logs.clone(), stop.clone());
        let prepared = server.prepare().await;
        prepared.map_err(|error| Error::Prepare(error.message))?;
        let tasks = vec![tokio::spawn(server.clone().collect_garbage())];
        Ok(Self {
            server,
            store,
            logs,
            kubeconfig: options.dir.join("kubeconfig"),
            stop,
            tasks,
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

    /// Where container logs lie.
    pub fn logs(&self) -> &LogDir {
        &self.logs
    }

    /// Ends watches, waits for what is under way, and closes the store.
    pub async fn stop(self) {
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

/// Makes the directory, for its owner's eyes only, and keeps it out of git.
fn make_private(dir: &Path) -> Result<(), Error> {
    let failed = |source| Error::Directory {
        path: dir.to_path_buf(),
        source,
    };
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(dir).map_err(failed)?;
    fs::write(dir.join(".gitignore"), "*\n").map_err(failed)
}
