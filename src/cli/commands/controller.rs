//! `axon controller`: the controllers against the cluster that the flags name.

use std::net::SocketAddr;
use std::str::FromStr;

use clap::Args;
use kube::Client;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::cli::args::Global;
use crate::cli::connect::connect;
use crate::cli::exit::Exit;
use crate::cli::ui;
use crate::cli::ui::Failure;
use crate::controller;
use crate::controller::ImageChoice;
use crate::controller::Images;
use crate::controller::PullPolicy;
use crate::model::Namespace;

/// Run the controllers against a cluster: Tasks become Jobs, work items become Tasks.
#[derive(Debug, Args)]
pub struct Options {
    /// Image for the Tasks of one agent type that name none; may be given several times
    #[arg(long = "image", value_name = "TYPE=IMAGE")]
    images: Vec<ImageChoice>,
    /// Axon's own image, which checks workspaces out
    #[arg(long, value_name = "IMAGE")]
    helper_image: Option<String>,
    /// When to pull images: `Always`, `IfNotPresent` or `Never`; default: as Kubernetes decides
    #[arg(long, value_name = "POLICY")]
    image_pull_policy: Option<PullPolicy>,
    /// Look after this namespace only; default: all
    #[arg(long, value_name = "NAME")]
    watch_namespace: Option<String>,
    /// Work without asking whether another replica does
    #[arg(long)]
    no_leader_election: bool,
    /// Where to take webhook deliveries (`POST /hook/NAMESPACE/REPOSYNC`) and answer `/healthz` and
    /// `/readyz`; `none` turns it off
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    listen: Listen,
    /// Let repositories be on this very machine or its own link: for trying things out
    #[arg(long)]
    allow_local_repositories: bool,
    /// What this replica calls itself
    #[arg(long, env = "HOSTNAME", hide = true, default_value = "axon")]
    identity: String,
}

/// Runs the controllers until SIGTERM or Ctrl-C.
pub async fn run(global: &Global, options: Options) -> Result<Exit, Failure> {
    let target = connect(global).await?;
    let Options {
        images,
        helper_image,
        image_pull_policy,
        watch_namespace,
        no_leader_election,
        listen,
        allow_local_repositories,
        identity,
    } = options;
    let settings = controller::Options {
        namespace: watch_namespace.as_deref().map(namespace).transpose()?,
        images: chosen(images, helper_image, image_pull_policy),
        local_addresses: allow_local_repositories,
        ..controller::Options::default()
    };
    let stop = CancellationToken::new();
    tokio::spawn(stop_on_signal(stop.clone()));
    let served = serve(listen, &target.client, &settings, &stop)?;
    let ended = if no_leader_election {
        controller::run(target.client, settings, stop.clone()).await
    } else {
        let identity = format!("{identity}_{}", Uuid::new_v4());
        controller::run_elected(
            target.client,
            settings,
            &target.namespace,
            identity,
            stop.clone(),
        )
        .await
    };
    stop.cancel();
    served.wait().await;
    match ended {
        Ok(()) => {
            ui::note("stopped");
            Ok(Exit::Ok)
        }
        Err(error @ controller::Error::NotInstalled) => {
            Err(Failure::new("cannot run the controllers", &error)
                .hint("apply the definitions of deploy/crds first"))
        }
        Err(error @ controller::Error::Reach(_)) => {
            Err(Failure::new("cannot run the controllers", &error)
                .hint("check --kubeconfig, --context and what this user may do"))
        }
    }
}

/// Serves HTTP beside the controllers, from before this replica leads until the tracker is empty.
fn serve(
    Listen(address): Listen,
    client: &Client,
    settings: &controller::Options,
    stop: &CancellationToken,
) -> Result<TaskTracker, Failure> {
    let served = TaskTracker::new();
    served.close();
    let Some(address) = address else {
        return Ok(served);
    };
    let listener = controller::http::bind(address).map_err(|error| {
        Failure::new(format!("cannot listen on {address}"), &error)
            .hint("choose another address with --listen, or none")
    })?;
    let (client, settings, stop) = (client.clone(), settings.clone(), stop.clone());
    served.spawn(async move { controller::http::serve(client, &settings, listener, stop).await });
    Ok(served)
}

/// Where HTTP is served; nowhere if there is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Listen(Option<SocketAddr>);

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if matches!(text, "" | "none") {
            return Ok(Self(None));
        }
        let address = text.parse().map_err(|_| {
            "must be an address and a port such as \"0.0.0.0:8080\", or \"none\"".to_owned()
        })?;
        Ok(Self(Some(address)))
    }
}

fn namespace(name: &str) -> Result<Namespace, Failure> {
    Namespace::parse(name).map_err(|error| Failure {
        causes: vec![error.to_string()],
        ..Failure::usage(format!("cannot watch namespace \"{name}\""))
    })
}

fn chosen(
    choices: Vec<ImageChoice>,
    helper: Option<String>,
    pull_policy: Option<PullPolicy>,
) -> Images {
    let mut images = Images::default();
    for ImageChoice { agent, image } in choices {
        images = images.with(agent, image);
    }
    if let Some(helper) = helper {
        images.helper = helper;
    }
    images.pull_policy = pull_policy;
    images
}

/// Cancels `stop` on SIGTERM or Ctrl-C.
async fn stop_on_signal(stop: CancellationToken) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        tracing::warn!("cannot hear signals: SIGTERM ends the process at once");
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    ui::note("stops when what is under way has ended");
    stop.cancel();
}
