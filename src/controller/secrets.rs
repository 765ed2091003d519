//! Secrets: each is read by its name when it is needed, never listed or watched.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret as ClusterSecret;
use kube::Api;
use kube::Client;

use crate::model::Namespace;
use crate::model::ObjectName;
use crate::model::Secret;

/// The data of a Secret at one moment.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) version: String,
    pub(super) data: BTreeMap<String, Secret>,
}

/// Why a Secret cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    #[error("Secret \"{name}\" is not in this namespace")]
    Missing { name: String },
    #[error("the controller may not read Secret \"{name}\": {message}")]
    Forbidden { name: String, message: String },
    #[error("cannot read Secret \"{name}\"")]
    Failed { name: String, source: kube::Error },
}

/// Reads a Secret. A name that no Secret can have is that of a missing one.
pub(super) async fn read(
    client: &Client,
    namespace: &Namespace,
    name: &str,
) -> Result<Read, Unread> {
    let missing = || Unread::Missing {
        name: name.to_owned(),
    };
    if ObjectName::parse(name).is_err() {
        return Err(missing());
    }
    let secrets: Api<ClusterSecret> = Api::namespaced(client.clone(), namespace.as_str());
    match secrets.get_opt(name).await {
        Ok(Some(secret)) => Ok(text_of(secret)),
        Ok(None) => Err(missing()),
        Err(kube::Error::Api(status)) if matches!(status.code, 401 | 403) => {
            Err(Unread::Forbidden {
                name: name.to_owned(),
                message: status.message.clone(),
            })
        }
        Err(source) => Err(Unread::Failed {
            name: name.to_owned(),
            source,
        }),
    }
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
