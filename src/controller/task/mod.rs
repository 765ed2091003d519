//! The Task controller: one Task, one Job, one Pod, one run.

use kube::Client;
use tokio_util::sync::CancellationToken;

use super::options::Options;

/// Runs the Task controller until `stop` is cancelled.
pub(super) async fn run(_client: Client, _options: &Options, stop: CancellationToken) {
    stop.cancelled().await;
}
