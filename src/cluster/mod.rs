//! The few API-server verbs that we need, for one namespace: read, server-side apply, delete.
//!
//! Objects are JSON; no type of the client library leaves this module. Every request has a time limit and
//! a bounded answer. Nothing here decides anything.

mod bare;
mod error;
mod identity;
mod install;
mod managed;
mod object;
mod record;
mod transport;
mod watch;

use http::Method;
use kube::Client;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::json;

use crate::api;
use crate::model::Key;
use crate::model::Kind;
use crate::model::Namespace;
use crate::model::plan::LiveId;
use crate::model::plan::Manifest;

use bare::Bare;
pub use error::Error;
pub use identity::Identity;
pub use install::install;
pub use object::Object;
use transport::Call;
pub use watch::Change;

/// Objects a page of a list may hold: fewer requests than `kubectl`'s 500, and still answers of
/// some 20 MB at most.
const PAGE: usize = 5_000;
/// More objects than one namespace of ours has use for; a bound on memory.
const MAX_LISTED: usize = 200_000;
/// How often a list is begun anew when it changed between two pages.
const LIST_ATTEMPTS: usize = 3;

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

/// Which object an apply is meant for. It fails with [`Error::Moved`] where it would meet another.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// None of that name.
    Nothing,
    /// This one, whatever became of it.
    Object(&'a LiveId),
    /// This one, as it was seen.
    Exactly(&'a LiveId),
}

/// A version that no object has: the storage gives the first write a later one. An apply that names a
/// version creates an object where there is none, and else demands that very version.
const NEVER: &str = "1";
const MERGE_PATCH: &str = "application/merge-patch+json";

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
    /// On whose behalf is written; absent: our own.
    writer: Option<String>,
}

impl Cluster {
    pub fn new(client: Client, namespace: Namespace) -> Self {
        Self {
            client,
            namespace,
            writer: None,
        }
    }

    /// The same, but what is written (dry runs included) is written as `user`, with the rights of that
    /// user and no others. Reads stay our own.
    #[must_use]
    pub fn writing_as(mut self, user: String) -> Self {
        self.writer = Some(user);
        self
    }

    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The objects that `selector` selects.
    pub async fn list(&self, resource: Resource, selector: &str) -> Result<Vec<Object>, Error> {
        self.list_all::<Object>(resource, selector).await
    }

    /// Metadata of all objects of a kind, without `managedFields`.
    pub async fn list_metadata(&self, resource: Resource) -> Result<Vec<Object>, Error> {
        let all = self.list_all::<Bare>(resource, "").await?;
        Ok(all.into_iter().map(Object::from).collect())
    }

    /// The object, if it is there.
    pub async fn get(&self, key: &Key) -> Result<Option<Object>, Error> {
        let call = self.call(Method::GET, Resource::Declared(key.kind), key.name.as_str());
        match call.send::<Value>(&self.client).await {
            Ok(object) => Ok(Some(Object::new(object))),
            Err(Error::NotFound(_)) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// Server-side apply of an object that is not there yet: it fails with [`Error::Moved`] where there
    /// is one of that name. Gives the object as it is then, or would be.
    pub async fn create(
        &self,
        key: &Key,
        manifest: &Manifest,
        how: Apply<'_>,
    ) -> Result<Object, Error> {
        self.apply(key, manifest, Target::Nothing, how).await
    }

    /// Server-side apply to what `target` names, and to nothing else. Gives the object as it is then,
    /// or would be.
    pub async fn apply(
        &self,
        key: &Key,
        manifest: &Manifest,
        target: Target<'_>,
        how: Apply<'_>,
    ) -> Result<Object, Error> {
        let mut body = manifest.as_value().clone();
        match target {
            Target::Nothing => body["metadata"]["resourceVersion"] = NEVER.into(),
            Target::Object(live) => body["metadata"]["uid"] = live.uid.clone().into(),
            Target::Exactly(live) => {
                body["metadata"]["uid"] = live.uid.clone().into();
                body["metadata"]["resourceVersion"] = live.resource_version.clone().into();
            }
        }
        let mut call = self
            .call(
                Method::PATCH,
                Resource::Declared(key.kind),
                key.name.as_str(),
            )
            .query("fieldManager", how.manager)
            .query("force", if how.force { "true" } else { "false" });
        if how.dry_run {
            call = call.query("dryRun", "All");
        }
        call.json("application/apply-patch+yaml", &body)
            .send(&self.client)
            .await
            .map(Object::new)
    }

    /// What would come of creating the object under a name that the server makes up from its own. A rule
    /// that looks at names may answer otherwise.
    pub async fn create_elsewhere(
        &self,
        key: &Key,
        manifest: &Manifest,
        manager: &str,
    ) -> Result<Object, Error> {
        let mut body = manifest.as_value().clone();
        if let Some(metadata) = body["metadata"].as_object_mut() {
            metadata.remove("name");
            metadata.insert("generateName".into(), format!("{}-", key.name).into());
        }
        self.call(Method::POST, Resource::Declared(key.kind), None)
            .query("fieldManager", manager)
            .query("dryRun", "All")
            .json("application/json", &body)
            .send(&self.client)
            .await
            .map(Object::new)
    }

    /// Makes what the managers `from` own in the object `manager`'s, as if it had applied that. Nothing
    /// else changes. `live` must be the object as it is now.
    pub async fn inherit(
        &self,
        key: &Key,
        live: &Object,
        from: &[String],
        manager: &str,
    ) -> Result<Object, Error> {
        let body = json!({"metadata": {
            "uid": live.id().uid,
            "resourceVersion": live.id().resource_version,
            "managedFields": managed::merged(live.managed_fields(), from, manager),
        }});
        self.call(
            Method::PATCH,
            Resource::Declared(key.kind),
            key.name.as_str(),
        )
        .query("fieldManager", manager)
        .json(MERGE_PATCH, &body)
        .send(&self.client)
        .await
        .map(Object::new)
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
        self.call(
            Method::DELETE,
            Resource::Declared(key.kind),
            key.name.as_str(),
        )
        .json("application/json", &body)
        .send::<Value>(&self.client)
        .await
        .map(drop)
    }

    async fn list_all<T: Item>(&self, resource: Resource, selector: &str) -> Result<Vec<T>, Error> {
        for _ in 1..LIST_ATTEMPTS {
            match self.list_once(resource, selector).await {
                Err(Error::Expired) => {}
                done => return done,
            }
        }
        self.list_once(resource, selector).await
    }

    async fn list_once<T: Item>(
        &self,
        resource: Resource,
        selector: &str,
    ) -> Result<Vec<T>, Error> {
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
            if T::METADATA_ONLY {
                call = call.metadata_only();
            }
            let page: Page<T> = call.send(&self.client).await?;
            objects.extend(page.items.unwrap_or_default());
            next = page.metadata.next;
            if next.is_empty() {
                return Ok(objects);
            }
            if objects.len() >= MAX_LISTED {
                return Err(Error::TooMuch(MAX_LISTED));
            }
        }
    }

    fn call<'a>(
        &'a self,
        method: Method,
        resource: Resource,
        name: impl Into<Option<&'a str>>,
    ) -> Call<'a> {
        let name = name.into();
        let mut path = resource.path(&self.namespace);
        if let Some(name) = name {
            path.push('/');
            path.push_str(name);
        }
        let writes = method != Method::GET;
        let call = Call::new(
            method,
            path,
            error::Asked {
                namespace: self.namespace.as_str(),
                resource: resource.plural(),
                name,
            },
        );
        match &self.writer {
            Some(user) if writes => call.impersonating(user),
            Some(_) | None => call,
        }
    }
}

/// What a list is read as.
trait Item: DeserializeOwned {
    /// Whether no more than metadata is asked for.
    const METADATA_ONLY: bool;
}

impl Item for Object {
    const METADATA_ONLY: bool = false;
}

impl Item for Bare {
    const METADATA_ONLY: bool = true;
}

/// One page of a list.
#[derive(Deserialize)]
struct Page<T> {
    #[serde(default)]
    metadata: PageMetadata,
    items: Option<Vec<T>>,
}

#[derive(Default, Deserialize)]
struct PageMetadata {
    #[serde(rename = "continue", default)]
    next: String,
}
