//! Our custom resource definitions, brought into a cluster.

use std::time::Duration;

use futures::future::try_join_all;
use http::Method;
use kube::Client;
use serde_json::Value;
use tokio::time::sleep;
use tokio::time::timeout;

use super::error::Asked;
use super::error::Error;
use super::transport::Call;
use crate::api;

/// Field manager of the definitions.
const MANAGER: &str = "axon-install";
/// An API server serves a new definition within a second or two.
const ESTABLISHED_LIMIT: Duration = Duration::from_secs(30);
/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Applies the definitions and waits until they are served.
pub async fn install(client: &Client) -> Result<(), Error> {
    try_join_all(api::crds().into_iter().map(|crd| async move {
        let name = crd.metadata.name.clone().unwrap_or_default();
        let mut body = serde_json::to_value(&crd).map_err(|it| Error::Garbled(it.into()))?;
        // Never applied: the status is the API server's.
        if let Value::Object(fields) = &mut body {
            fields.remove("status");
        }
        let mut live: Value = call(Method::PATCH, &name)
            .query("fieldManager", MANAGER)
            .query("force", "true")
            .json("application/apply-patch+yaml", &body)
            .send(client)
            .await?;
        let waiting = async {
            while !is_established(&live) {
                sleep(PAUSE).await;
                live = call(Method::GET, &name).send(client).await?;
            }
            Ok(())
        };
        timeout(ESTABLISHED_LIMIT, waiting)
            .await
            .unwrap_or(Err(Error::Timeout(ESTABLISHED_LIMIT)))
    }))
    .await
    .map(drop)
}

fn call(method: Method, name: &str) -> Call<'_> {
    Call::new(
        method,
        format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"),
        Asked {
            namespace: "",
            resource: "customresourcedefinitions",
            name: Some(name),
        },
    )
}

fn is_established(crd: &Value) -> bool {
    crd["status"]["conditions"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|it| it["type"] == "Established" && it["status"] == "True")
}
