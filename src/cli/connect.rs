//! The way to the cluster that the flags, the environment and the kubeconfig name.

use std::error::Error as _;
use std::io::ErrorKind;
use std::time::Duration;

use http::HeaderValue;
use http::header::USER_AGENT;
use kube::Client;
use kube::Config;
use kube::config::InferConfigError;
use kube::config::KubeConfigOptions;
use kube::config::Kubeconfig;
use kube::config::KubeconfigError;

use crate::cli::args::Global;
use crate::cli::ui::Failure;
use crate::model::Namespace;

/// A server that does not even take the connection in this time is told as unreachable.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest silence of an answer: more than a watch lasts before the server ends it.
const READ_TIMEOUT: Duration = Duration::from_secs(295);
/// Most contexts that a hint names.
const MAX_CONTEXTS: usize = 10;
/// What requests call themselves.
const AGENT: &str = concat!("axon/", env!("CARGO_PKG_VERSION"));

/// A cluster and the namespace to work in.
#[derive(Clone)]
pub struct Target {
    pub client: Client,
    pub namespace: Namespace,
    /// Address of the API server: scheme, host and port.
    pub server: String,
}

/// Connects as the flags say. Does not send a request yet.
pub async fn connect(global: &Global) -> Result<Target, Failure> {
    let mut config = config(global).await?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    config
        .headers
        .push((USER_AGENT, HeaderValue::from_static(AGENT)));
    let name = global
        .namespace
        .as_deref()
        .unwrap_or(&config.default_namespace);
    let namespace = Namespace::parse(name)
        .map_err(|error| Failure::new(format!("cannot use namespace \"{name}\""), &error))?;
    let server = address(&config.cluster_url);
    let client = Client::try_from(config)
        .map_err(|error| Failure::new("cannot set up a connection to the cluster", &error))?;
    Ok(Target {
        client,
        namespace,
        server,
    })
}

/// What of the address is no credential.
fn address(url: &http::Uri) -> String {
    let scheme = url.scheme_str().unwrap_or("https");
    let host = url.host().unwrap_or_default();
    match url.port_u16() {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    }
}

async fn config(global: &Global) -> Result<Config, Failure> {
    let options = KubeConfigOptions {
        context: global.context.clone(),
        ..KubeConfigOptions::default()
    };
    if let Some(path) = &global.kubeconfig {
        let tried = || format!("cannot use kubeconfig \"{}\"", path.display());
        let file = Kubeconfig::read_from(path).map_err(|error| unusable(&tried(), &error))?;
        let contexts = contexts(&file);
        return Config::from_custom_kubeconfig(file, &options)
            .await
            .map_err(|error| Failure::new(tried(), &error).hint(contexts));
    }
    let found = if global.context.is_some() {
        Config::from_kubeconfig(&options)
            .await
            .map_err(|error| unusable("cannot use the kubeconfig", &error))
    } else {
        Config::infer().await.map_err(|error| no_cluster(&error))
    };
    found.map_err(|failure| {
        failure.hint("name one with --kubeconfig or $KUBECONFIG, or start a local one: axon dev")
    })
}

/// That this is no Pod of a cluster is clear to whoever reads it.
fn no_cluster(error: &InferConfigError) -> Failure {
    let tried = "cannot find a cluster";
    match error.source().and_then(|it| it.downcast_ref()) {
        Some(kubeconfig) => unusable(tried, kubeconfig),
        None => Failure::new(tried, error),
    }
}

fn unusable(tried: &str, error: &KubeconfigError) -> Failure {
    match error {
        KubeconfigError::ReadConfig(cause, path) if cause.kind() == ErrorKind::NotFound => {
            let mut failure = Failure::plain(tried);
            failure
                .causes
                .push(format!("there is no file \"{}\"", path.display()));
            failure
        }
        KubeconfigError::ReadConfig(cause, path) => {
            Failure::new(format!("{tried}: \"{}\"", path.display()), cause)
        }
        other => Failure::new(tried, other),
    }
}

/// A hint that names the contexts of a kubeconfig.
fn contexts(file: &Kubeconfig) -> String {
    let names = file.contexts.iter().take(MAX_CONTEXTS);
    let names: Vec<String> = names.map(|it| format!("\"{}\"", it.name)).collect();
    match names.as_slice() {
        [] => "it has no contexts".to_owned(),
        some => format!("its contexts: {}", some.join(", ")),
    }
}
