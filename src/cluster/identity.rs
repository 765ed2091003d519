//! What a cluster is known by, whatever its address.

use http::Method;
use serde_json::Value;

use super::Cluster;
use super::Error;
use super::Object;
use super::error::Asked;
use super::transport::Call;

/// The namespace that every cluster has, and whose UID is therefore the cluster's.
const SYSTEM: &str = "kube-system";

/// What a cluster is known by, as far as it may be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// UID of the namespace `kube-system`.
    pub system: Option<String>,
    /// UID of the namespace that is worked in.
    pub namespace: Option<String>,
}

impl Cluster {
    /// Reads what the cluster is known by. What may not be read is left out.
    pub async fn identity(&self) -> Result<Identity, Error> {
        let (system, namespace) =
            futures::try_join!(self.uid(SYSTEM), self.uid(self.namespace.as_str()))?;
        Ok(Identity { system, namespace })
    }

    async fn uid(&self, namespace: &str) -> Result<Option<String>, Error> {
        let asked = Asked {
            namespace,
            resource: "namespaces",
            name: Some(namespace),
        };
        let path = format!("/api/v1/namespaces/{namespace}");
        let answer = Call::new(Method::GET, path, asked)
            .send::<Value>(&self.client)
            .await;
        match answer {
            Ok(object) => Ok(Some(Object::new(object).id().uid)),
            Err(Error::Forbidden(_) | Error::NotFound(_) | Error::NoNamespace(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
