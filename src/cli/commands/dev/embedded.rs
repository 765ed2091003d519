//! The embedded cluster as `axon dev` sets it up.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use k8s_openapi::api::core::v1 as core;
use kube::Api;
use kube::Client;
use kube::api::ObjectMeta;
use kube::api::PostParams;

use crate::cli::commands::dev::agents;
use crate::cli::ui::Failure;
use crate::local;
use crate::local::images::Lender;
use crate::local::runner::isolation::Isolation;
use crate::model::Namespace;

/// Starts the embedded cluster, with this machine as its node.
pub(super) async fn start(
    state: &Path,
    ephemeral: bool,
    table: agents::Table,
    isolation: Isolation,
    lender: Arc<dyn Lender>,
) -> Result<local::Cluster, Failure> {
    let failed = |why: String| Failure::plain(format!("cannot start the runner: {why}"));
    let supervisor = supervisor()?;
    let path = std::env::join_paths(path_folders()).map_err(|error| failed(error.to_string()))?;
    let path = path.to_string_lossy().into_owned();
    let node = local::Node {
        images: Arc::new(move |image| table.resolve(image)),
        supervisor,
        env: BTreeMap::from([("PATH".to_owned(), path)]),
        isolation,
        lender: Some(lender),
    };
    let options = local::Options {
        dir: state.to_path_buf(),
        ephemeral,
        listen: true,
        node: Some(node),
    };
    local::Cluster::start(options).await.map_err(|error| {
        let what = format!(
            "cannot start the embedded cluster in \"{}\"",
            state.display()
        );
        let failure = Failure::new(what, &error);
        if !error.is_damaged_store() {
            return failure;
        }
        failure.hint(format!(
            "put back a copy of \"{0}\", or move it away to begin with an empty cluster: what \
             \"axon.yaml\" declares is made again",
            state.display()
        ))
    })
}

/// The executable that stands between the runner and its containers: this one.
pub(super) fn supervisor() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .map_err(|error| Failure::new("cannot find the program that is running", &error))
}

/// What to say when the state can no longer be written.
pub(super) fn unwritable(state: &Path, why: String) -> Failure {
    let what = format!("cannot keep the cluster's state in \"{}\"", state.display());
    let mut failure = Failure::plain(what);
    failure.causes.push(why);
    failure.hint("make room on its disk, and run this again: it goes on where it was")
}

pub(super) async fn create_namespace(
    client: &Client,
    namespace: &Namespace,
) -> Result<(), Failure> {
    let api: Api<core::Namespace> = Api::all(client.clone());
    let object = core::Namespace {
        metadata: ObjectMeta {
            name: Some(namespace.to_string()),
            ..ObjectMeta::default()
        },
        ..core::Namespace::default()
    };
    match api.create(&PostParams::default(), &object).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        Err(error) => Err(Failure::new(
            format!("cannot create namespace \"{namespace}\""),
            &error,
        )),
    }
}

/// The folders where programs are looked for.
#[expect(
    clippy::disallowed_methods,
    reason = "PATH is the shell's, not an option of ours"
)]
pub(super) fn path_folders() -> Vec<PathBuf> {
    std::env::var_os("PATH")
        .iter()
        .flat_map(std::env::split_paths)
        .collect()
}
