//! Secrets of RepoSyncs, in the words of their conditions.

use kube::Client;

use super::reason::Reason;
use super::reason::Trouble;
use crate::controller::secrets;
use crate::controller::secrets::Read;
use crate::controller::secrets::Unread;
use crate::model::Namespace;

/// Reads a Secret. What is missing is the trouble `reason`, with what the Secret is for.
pub(super) async fn read(
    client: &Client,
    namespace: &Namespace,
    name: &str,
    reason: Reason,
    wanted_for: &str,
) -> Result<Read, Trouble> {
    secrets::read(client, namespace, name)
        .await
        .map_err(|error| match &error {
            Unread::Missing { .. } => {
                Trouble::of(reason, &error, &format!("create it with {wanted_for}"))
            }
            Unread::Forbidden { .. } => Trouble::of(reason, &error, "let a Role grant it \"get\""),
            Unread::Failed { .. } => Trouble::of(Reason::FetchFailed, &error, ""),
        })
}
