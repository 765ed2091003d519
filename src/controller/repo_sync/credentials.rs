//! Secrets of RepoSyncs: each is read by its name when it is needed, never listed or watched.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret as ClusterSecret;
use kube::Api;
use kube::Client;

use super::reason::Reason;
use super::reason::Trouble;
use crate::model::Namespace;
use crate::model::Secret;

/// The data of a Secret at one moment.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) version: String,
    pub(super) data: BTreeMap<String, Secret>,
}

/// Reads a Secret. What is missing is the trouble `reason`, with what the Secret is for.
pub(super) async fn read(
    client: &Client,
    namespace: &Namespace,
    name: &str,
    reason: Reason,
    wanted_for: &str,
) -> Result<Read, Trouble> {
    let secrets: Api<ClusterSecret> = Api::namespaced(client.clone(), namespace.as_str());
    let told = match secrets.get_opt(name).await {
        Ok(Some(secret)) => return Ok(text_of(secret)),
        Ok(None) => Trouble::new(
            reason,
            format!("Secret \"{name}\" is not in this namespace; create it with {wanted_for}"),
        ),
        Err(kube::Error::Api(status)) if matches!(status.code, 401 | 403) => Trouble::new(
            reason,
            format!(
                "the controller may not read Secret \"{name}\"; let a Role grant it \"get\": {}",
                status.message
            ),
        ),
        Err(error) => {
            let told = Trouble::of(Reason::FetchFailed, &error, "");
            let message = format!("cannot read Secret \"{name}\": {}", told.message);
            Trouble::new(Reason::FetchFailed, message)
        }
    };
    Err(told)
}

/// Values that are no text are left out: no credential is such a one.
fn text_of(secret: ClusterSecret) -> Read {
    let data = secret.data.unwrap_or_default().into_iter();
    let text = data.filter_map(|(key, value)| {
        let value = String::from_utf8(value.0).ok()?;
        Some((key, Secret::new(value)))
    });
    Read {
        data: text.collect(),
        version: secret.metadata.resource_version.unwrap_or_default(),
    }
}
