//! One body of tests, two servers: the embedded cluster (always) and a real kube-apiserver with
//! kube-controller-manager (where `tests/cluster` has started one).
//!
//! On neither of them does a runner execute Pods: a test that needs a run plays the kubelet by
//! writing the Pod's status, as it must on a control plane without nodes.

use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::Client;
use kube::api::ObjectMeta;
use kube::api::PostParams;

use axon::local;

pub(crate) mod kubelet;

/// How long any condition may take to come true.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// What a test is given: a client, and a namespace that is its own.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    pub(crate) server: Kind,
    /// For a program that is to use the server.
    pub(crate) kubeconfig: PathBuf,
    // Kept until the test ends.
    _embedded: Option<(local::Cluster, tempfile::TempDir)>,
}

/// Which server a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Embedded,
    Real,
}

impl Context {
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The same namespace, for a task of its own.
    pub(crate) fn alias(&self) -> Self {
        Self {
            client: self.client.clone(),
            namespace: self.namespace.clone(),
            server: self.server,
            kubeconfig: self.kubeconfig.clone(),
            _embedded: None,
        }
    }

    /// Another namespace of the same server.
    pub(crate) async fn sibling(&self) -> Self {
        let namespace = free_namespace();
        create_namespace(&self.client, &namespace).await;
        Self {
            client: self.client.clone(),
            namespace,
            server: self.server,
            kubeconfig: self.kubeconfig.clone(),
            _embedded: None,
        }
    }
}

/// Runs `test` on the server `kind`.
pub(crate) fn run<F, T>(kind: Kind, test: F)
where
    F: FnOnce(Context) -> T,
    T: Future<Output = ()>,
{
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let Some(context) = start(kind).await else {
            return;
        };
        axon::cluster::install(&context.client).await.unwrap();
        create_namespace(&context.client, &context.namespace).await;
        test(context).await;
    });
}

pub(crate) async fn start(kind: Kind) -> Option<Context> {
    let namespace = free_namespace();
    match kind {
        Kind::Embedded => {
            let dir = tempfile::tempdir().unwrap();
            let options = local::Options {
                listen: true,
                ..local::Options::control_plane(dir.path())
            };
            let cluster = local::Cluster::start(options).await.unwrap();
            Some(Context {
                client: cluster.client(),
                namespace,
                server: kind,
                kubeconfig: cluster.kubeconfig().to_path_buf(),
                _embedded: Some((cluster, dir)),
            })
        }
        Kind::Real => {
            let client = real_client().await?;
            Some(Context {
                client,
                namespace,
                server: kind,
                kubeconfig: real_kubeconfig()?,
                _embedded: None,
            })
        }
    }
}

/// A name that no other test has.
pub(crate) fn free_namespace() -> String {
    // Two runs against one server must not meet in a namespace.
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!(
        "t{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

/// The kubeconfig of the real server; none where there is none, unless it is required.
#[expect(
    clippy::disallowed_methods,
    reason = "the harness speaks to the suite through the environment"
)]
pub(crate) fn real_kubeconfig() -> Option<PathBuf> {
    let Some(path) = std::env::var_os("AXON_TEST_KUBECONFIG") else {
        assert!(
            std::env::var_os("AXON_REQUIRE_REAL").is_none(),
            "a real server is required and AXON_TEST_KUBECONFIG does not name one"
        );
        eprintln!("skipped: no real server (run `make test-real`)");
        return None;
    };
    Some(PathBuf::from(path))
}

async fn real_client() -> Option<Client> {
    let file = kube::config::Kubeconfig::read_from(real_kubeconfig()?).unwrap();
    let config =
        kube::Config::from_custom_kubeconfig(file, &kube::config::KubeConfigOptions::default())
            .await
            .unwrap();
    Some(Client::try_from(config).unwrap())
}

pub(crate) async fn create_namespace(client: &Client, name: &str) {
    let namespace = Namespace {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    };
    Api::all(client.clone())
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();
}

/// Awaits that `probe` gives a value, asking again until [`DEADLINE`].
pub(crate) async fn eventually<T, F>(what: &str, probe: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    within(DEADLINE, what, probe).await
}

/// Awaits that `probe` gives a value, asking again for so long.
pub(crate) async fn within<T, F>(limit: Duration, what: &str, mut probe: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let waiting = async {
        loop {
            if let Some(found) = probe().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(limit, waiting).await;
    waited.unwrap_or_else(|_| panic!("not seen within {limit:?}: {what}"))
}

/// Makes of each named async function two tests: one on the embedded server, one on the real one.
#[macro_export]
macro_rules! on_both_servers {
    ($($test:ident),+ $(,)?) => {
        mod embedded {
            $(#[test] fn $test() { $crate::server::run($crate::server::Kind::Embedded, super::$test); })+
        }
        mod real {
            $(#[test] fn $test() { $crate::server::run($crate::server::Kind::Real, super::$test); })+
        }
    };
}

/// The same on the real server alone: for what the embedded one does not have.
#[macro_export]
macro_rules! on_the_real_server {
    ($($test:ident),+ $(,)?) => {
        mod real_alone {
            $(#[test] fn $test() { $crate::server::run($crate::server::Kind::Real, super::$test); })+
        }
    };
}
