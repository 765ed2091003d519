//! The few API-server verbs that we need, for one namespace: read, server-side apply, delete.
//!
//! Objects are JSON; no type of the client library leaves this module. Every request has a time limit and
//! a bounded answer. Nothing here decides anything.

mod error;
mod install;
mod object;
mod transport;

use std::time::Duration;

use http::Method;
use kube::Client;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::timeout_at;

use crate::api;
use crate::model::Key;
use crate::model::Kind;
use crate::model::Namespace;
use crate::model::plan::LiveId;
use crate::model::plan::Manifest;

pub use error::Error;
pub use install::install;
pub use object::Object;
use transport::Call;

/// Objects a page of a list may hold: fewer requests than `kubectl`'s 500, and still answers of
/// some 20 MB at most.
const PAGE: usize = 5_000;
/// More objects than one namespace of ours has use for; a bound on memory.
const MAX_LISTED: usize = 200_000;
/// How often a list is begun anew when it changed between two pages.
const LIST_ATTEMPTS: usize = 3;
/// First and longest pause between two looks at an object that is going.
const GONE_PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// What can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    Declared(Kind),
    /// Run records: ConfigMaps.
    Record,
}

impl Resource {
    fn plural(self) -> &'static str {
        match self {
            Self::Declared(kind) => kind.plural(),
            Self::Record => "configmaps",
        }
    }

    fn path(self, namespace: &Namespace) -> String {
        let group = match self {
            Self::Declared(_) => format!("/apis/{}", api::API_VERSION),
            Self::Record => "/api/v1".to_owned(),
        };
        format!("{group}/namespaces/{namespace}/{}", self.plural())
    }
}

/// How an object is applied.
#[derive(Clone, Copy, Debug)]
pub struct Apply<'a> {
    /// The field manager.
    pub manager: &'a str,
    /// Whether fields of other managers are taken.
    pub force: bool,
    /// Whether the server only says what would come of it.
    pub dry_run: bool,
}

/// What becomes of the objects that a deleted one owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// They go after it.
    Background,
    /// It goes after them.
    Foreground,
}

/// One namespace of a cluster.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    namespace: Namespace,
}

impl Cluster {
    pub fn new(client: Client, namespace: Namespace) -> Self {
        Self { client, namespace }
    }

    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The objects that `selector` selects.
    pub async fn list(&self, resource: Resource, selector: &str) -> Result<Vec<Object>, Error> {
        self.list_all(resource, selector, false).await
    }

    /// Metadata of all objects of a kind.
    pub async fn list_metadata(&self, resource: Resource) -> Result<Vec<Object>, Error> {
        self.list_all(resource, "", true).await
    }

    /// The object, if it is there.
    pub async fn get(&self, key: &Key) -> Result<Option<Object>, Error> {
        let call = self.call(Method::GET, Resource::Declared(key.kind), Some(key));
        match call.send::<Value>(&self.client).await {
            Ok(object) => Ok(Some(Object::new(object))),
            Err(Error::NotFound(_)) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// Server-side apply. Gives the object as it is then, or would be.
    pub async fn apply(
        &self,
        key: &Key,
        manifest: &Manifest,
        how: Apply<'_>,
    ) -> Result<Object, Error> {
        self.apply_value(key, manifest.as_value(), how).await
    }

    /// Server-side apply to exactly the object that `live` names: it fails when that one is gone.
    pub async fn apply_to(
        &self,
        key: &Key,
        manifest: &Manifest,
        live: &LiveId,
        how: Apply<'_>,
    ) -> Result<Object, Error> {
        let mut body = manifest.as_value().clone();
        body["metadata"]["uid"] = live.uid.clone().into();
        self.apply_value(key, &body, how).await
    }

    /// Deletes exactly the object that `live` names.
    pub async fn delete(
        &self,
        key: &Key,
        live: &LiveId,
        propagation: Propagation,
    ) -> Result<(), Error> {
        let body = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": live.uid, "resourceVersion": live.resource_version},
            "propagationPolicy": match propagation {
                Propagation::Background => "Background",
                Propagation::Foreground => "Foreground",
            },
        });
        self.call(Method::DELETE, Resource::Declared(key.kind), Some(key))
            .json("application/json", &body)
            .send::<Value>(&self.client)
            .await
            .map(drop)
    }

    /// Waits until the object with this UID is gone.
    pub async fn await_gone(&self, key: &Key, uid: &str, limit: Duration) -> Result<(), Error> {
        let deadline = Instant::now() + limit;
        let (mut pause, longest) = GONE_PAUSE;
        loop {
            match timeout_at(deadline, self.get(key)).await {
                Ok(Ok(Some(object))) if object.id().uid == uid => {}
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) => return Err(error),
                Err(_) => return Err(Error::Timeout(limit)),
            }
            if Instant::now() + pause > deadline {
                return Err(Error::Timeout(limit));
            }
            sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }

    async fn apply_value(&self, key: &Key, body: &Value, how: Apply<'_>) -> Result<Object, Error> {
        let mut call = self
            .call(Method::PATCH, Resource::Declared(key.kind), Some(key))
            .query("fieldManager", how.manager)
            .query("force", if how.force { "true" } else { "false" });
        if how.dry_run {
            call = call.query("dryRun", "All");
        }
        call.json("application/apply-patch+yaml", body)
            .send(&self.client)
            .await
            .map(Object::new)
    }

    async fn list_all(
        &self,
        resource: Resource,
        selector: &str,
        metadata_only: bool,
    ) -> Result<Vec<Object>, Error> {
        for _ in 1..LIST_ATTEMPTS {
            match self.list_once(resource, selector, metadata_only).await {
                Err(Error::Expired) => {}
                done => return done,
            }
        }
        self.list_once(resource, selector, metadata_only).await
    }

    async fn list_once(
        &self,
        resource: Resource,
        selector: &str,
        metadata_only: bool,
    ) -> Result<Vec<Object>, Error> {
        let mut objects = Vec::new();
        let mut next = String::new();
        loop {
            let mut call = self
                .call(Method::GET, resource, None)
                .query("limit", &PAGE.to_string());
            if !selector.is_empty() {
                call = call.query("labelSelector", selector);
            }
            if !next.is_empty() {
                call = call.query("continue", &next);
            }
            if metadata_only {
                call = call.metadata_only();
            }
            let page: Page = call.send(&self.client).await?;
            objects.extend(page.items.unwrap_or_default().into_iter().map(Object::new));
            next = page.metadata.next;
            if next.is_empty() {
                return Ok(objects);
            }
            if objects.len() >= MAX_LISTED {
                return Err(Error::TooMuch(MAX_LISTED));
            }
        }
    }

    fn call<'a>(&'a self, method: Method, resource: Resource, key: Option<&'a Key>) -> Call<'a> {
        let name = key.map(|key| key.name.as_str());
        let mut path = resource.path(&self.namespace);
        if let Some(name) = name {
            path.push('/');
            path.push_str(name);
        }
        Call::new(
            method,
            path,
            error::Asked {
                namespace: self.namespace.as_str(),
                resource: resource.plural(),
                name,
            },
        )
    }
}

/// One page of a list.
#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    metadata: PageMetadata,
    items: Option<Vec<Value>>,
}

#[derive(Default, Deserialize)]
struct PageMetadata {
    #[serde(rename = "continue", default)]
    next: String,
}
