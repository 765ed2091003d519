//! Records of runs: ConfigMaps that are read and written by name.

use http::Method;
use serde_json::Value;
use serde_json::json;

use super::Cluster;
use super::Error;
use super::MERGE_PATCH;
use super::Object;
use super::Resource;
use crate::model::plan::LiveId;

impl Cluster {
    /// The record, if it is there.
    pub async fn record(&self, name: &str) -> Result<Option<Object>, Error> {
        let call = self.call(Method::GET, Resource::Record, name);
        match call.send::<Value>(&self.client).await {
            Ok(object) => Ok(Some(Object::new(object))),
            Err(Error::NotFound(_)) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// Creates a record. One that is there already is left as it is.
    pub async fn create_record(
        &self,
        name: &str,
        labels: &Value,
        facts: &Value,
        manager: &str,
    ) -> Result<(), Error> {
        let body = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "labels": labels},
            "data": facts,
        });
        let call = self
            .call(Method::POST, Resource::Record, None)
            .query("fieldManager", manager)
            .json("application/json", &body);
        match call.send::<Value>(&self.client).await {
            // A taken name is the only thing that a creation moves into.
            Ok(_) | Err(Error::Moved(_)) => Ok(()),
            Err(other) => Err(other),
        }
    }

    /// Merges `change` into the record. `live` demands that it is as it was seen then.
    pub async fn change_record(
        &self,
        name: &str,
        live: Option<&LiveId>,
        mut change: Value,
        manager: &str,
    ) -> Result<(), Error> {
        if let Some(live) = live {
            change["metadata"]["uid"] = live.uid.clone().into();
            change["metadata"]["resourceVersion"] = live.resource_version.clone().into();
        }
        self.call(Method::PATCH, Resource::Record, name)
            .query("fieldManager", manager)
            .json(MERGE_PATCH, &change)
            .send::<Value>(&self.client)
            .await
            .map(drop)
    }

    /// Deletes the record as it was seen.
    pub async fn delete_record(&self, name: &str, live: &LiveId) -> Result<(), Error> {
        let body = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": live.uid, "resourceVersion": live.resource_version},
        });
        self.call(Method::DELETE, Resource::Record, name)
            .json("application/json", &body)
            .send::<Value>(&self.client)
            .await
            .map(drop)
    }
}
