//! Reads objects of any kind, in one namespace or in all. Every request has a time limit and every list
//! a bound.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use kube::Api;
use kube::Client;
use kube::api::DynamicObject;
use kube::api::ListParams;
use kube::runtime::watcher;
use tokio::time::timeout;

use super::item::Item;
use super::kind::Kind;
use crate::cli::args::Global;
use crate::cli::connect::Target;
use crate::cli::connect::connect;
use crate::cli::ui::Failure;
use crate::cluster::Error;
use crate::model::Namespace;
use crate::model::ObjectName;

/// Objects a page of a list holds.
const PAGE: u32 = 1_000;
/// Most objects of one kind that are read: a bound on memory.
const MAX_LISTED: usize = 200_000;
/// Longest time for one request. The API server itself gives up after 60 s.
const LIMIT: Duration = Duration::from_secs(65);

/// Which namespaces are read.
#[derive(Clone, Debug)]
enum Scope {
    One(Namespace),
    All,
}

/// Reads a cluster.
#[derive(Clone)]
pub(in crate::cli) struct Reader {
    client: Client,
    scope: Scope,
}

/// What was read, and what could not be.
#[derive(Debug, Default)]
pub(in crate::cli) struct Seen {
    items: BTreeMap<Kind, Vec<Item>>,
    pub(in crate::cli) unread: Vec<(Kind, Error)>,
}

impl Seen {
    pub(in crate::cli) fn of(&self, kind: Kind) -> &[Item] {
        self.items.get(&kind).map_or(&[], Vec::as_slice)
    }

    pub(in crate::cli) fn find(&self, kind: Kind, name: &str) -> Option<&Item> {
        self.of(kind).iter().find(|it| it.name() == name)
    }

    pub(in crate::cli) fn add(&mut self, items: Vec<Item>) {
        for item in items {
            self.items.entry(item.kind).or_default().push(item);
        }
    }
}

impl Reader {
    /// Reads the namespace that the flags name.
    pub(in crate::cli) async fn connect(global: &Global) -> Result<(Self, Namespace), Failure> {
        let Target {
            client, namespace, ..
        } = connect(global).await?;
        let scope = Scope::One(namespace.clone());
        Ok((Self { client, scope }, namespace))
    }

    /// Reads one namespace.
    pub(in crate::cli) fn of(client: Client, namespace: Namespace) -> Self {
        let scope = Scope::One(namespace);
        Self { client, scope }
    }

    /// Reads all namespaces.
    pub(in crate::cli) async fn everywhere(global: &Global) -> Result<Self, Failure> {
        let Target { client, .. } = connect(global).await?;
        let scope = Scope::All;
        Ok(Self { client, scope })
    }

    /// Reads all objects of `kinds`, each with its label selector. What a person may not read, or the
    /// cluster does not know, is told in [`Seen::unread`]; what fails for every kind is an error.
    pub(in crate::cli) async fn read(&self, kinds: &[(Kind, &str)]) -> Result<Seen, Error> {
        let lists = kinds.iter().map(|(kind, labels)| self.list(*kind, labels));
        let mut seen = Seen::default();
        for ((kind, _), list) in kinds.iter().zip(join_all(lists).await) {
            match list {
                Ok(items) => seen.add(items),
                Err(error) if is_partial(&error) => seen.unread.push((*kind, error)),
                Err(error) => return Err(error),
            }
        }
        // Jobs and Pods alone tell nothing.
        let ours = kinds.iter().filter(|(kind, _)| kind.is_ours()).count();
        let unread = seen.unread.iter().filter(|(kind, _)| kind.is_ours());
        if unread.count() == ours
            && let Some((_, error)) = seen.unread.pop()
        {
            return Err(error);
        }
        Ok(seen)
    }

    /// The objects that a label selector selects, sorted by namespace and name.
    pub(in crate::cli) async fn list(&self, kind: Kind, labels: &str) -> Result<Vec<Item>, Error> {
        let api = self.api(kind);
        let mut params = ListParams::default().labels(labels).limit(PAGE);
        let mut items = Vec::new();
        loop {
            let page = within(kind, None, api.list(&params)).await?;
            let objects = page.items.into_iter();
            items.extend(objects.map(|object| Item::new(kind, object)));
            match page.metadata.continue_.filter(|it| !it.is_empty()) {
                None => break,
                Some(_) if items.len() >= MAX_LISTED => return Err(Error::TooMuch(MAX_LISTED)),
                Some(next) => params = params.continue_token(&next),
            }
        }
        items.sort_by(|a, b| (a.namespace(), a.name()).cmp(&(b.namespace(), b.name())));
        Ok(items)
    }

    /// The object, if it is there.
    pub(in crate::cli) async fn get(
        &self,
        kind: Kind,
        name: &ObjectName,
    ) -> Result<Option<Item>, Error> {
        let api = self.api(kind);
        match within(kind, Some(name), api.get(name.as_str())).await {
            Ok(object) => Ok(Some(Item::new(kind, object))),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(in crate::cli) fn client(&self) -> Client {
        self.client.clone()
    }

    pub(in crate::cli) fn api(&self, kind: Kind) -> Api<DynamicObject> {
        let resource = kind.api_resource();
        match &self.scope {
            Scope::One(namespace) => {
                Api::namespaced_with(self.client.clone(), namespace.as_str(), &resource)
            }
            Scope::All => Api::all_with(self.client.clone(), &resource),
        }
    }
}

/// Awaits a request, within its limit. `name` is that of the object that is asked for.
pub(in crate::cli) async fn within<T>(
    kind: Kind,
    name: Option<&ObjectName>,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T, Error> {
    match timeout(LIMIT, request).await {
        Ok(done) => done.map_err(|error| classified(error, kind, name)),
        Err(_) => Err(Error::Timeout(LIMIT)),
    }
}

/// Whether other kinds may be readable all the same.
fn is_partial(error: &Error) -> bool {
    match error {
        Error::NotInstalled(_) | Error::Forbidden(_) | Error::Garbled(_) | Error::TooMuch(_) => {
            true
        }
        Error::NotFound(_)
        | Error::NoNamespace(_)
        | Error::FieldConflict(_)
        | Error::Moved(_)
        | Error::Unauthorized(_)
        | Error::Invalid(_)
        | Error::Schema(_)
        | Error::StillThere(_)
        | Error::Expired
        | Error::TooMany { .. }
        | Error::Server { .. }
        | Error::Unreachable(_)
        | Error::Timeout(_) => false,
    }
}

/// What broke a watch, where no later attempt mends it. All else is tried again by the watch itself.
pub(in crate::cli) fn broken(error: watcher::Error, kind: Kind) -> Result<(), Error> {
    let cause = match error {
        watcher::Error::InitialListFailed(cause)
        | watcher::Error::WatchStartFailed(cause)
        | watcher::Error::WatchFailed(cause) => classified(cause, kind, None),
        watcher::Error::WatchError(status) => classified(kube::Error::Api(status), kind, None),
        watcher::Error::NoResourceVersion => return Ok(()),
    };
    let is_final = match &cause {
        Error::NotInstalled(_)
        | Error::NoNamespace(_)
        | Error::Unauthorized(_)
        | Error::Forbidden(_)
        | Error::Invalid(_)
        | Error::Schema(_) => true,
        Error::NotFound(_)
        | Error::FieldConflict(_)
        | Error::Moved(_)
        | Error::StillThere(_)
        | Error::TooMuch(_)
        | Error::Expired
        | Error::TooMany { .. }
        | Error::Unreachable(_)
        | Error::Timeout(_)
        | Error::Garbled(_)
        | Error::Server { .. } => false,
    };
    if is_final {
        return Err(cause);
    }
    tracing::debug!(%cause, "the watch broke");
    Ok(())
}

/// What the client library says, in our terms: by codes and reasons, never by words.
pub(in crate::cli) fn classified(
    error: kube::Error,
    kind: Kind,
    name: Option<&ObjectName>,
) -> Error {
    let status = match error {
        kube::Error::Api(status) => status,
        kube::Error::SerdeError(source) => return Error::Garbled(source.into()),
        kube::Error::Service(source) => return Error::Unreachable(source),
        kube::Error::HyperError(source) => return Error::Unreachable(source.into()),
        other => return Error::Unreachable(other.into()),
    };
    let details = status.details.as_ref();
    let message = status.message.clone();
    match (status.code, name) {
        (404, _) if details.is_some_and(|it| it.kind == "namespaces") => {
            Error::NoNamespace(details.map(|it| it.name.clone()).unwrap_or_default())
        }
        (404, Some(name)) if details.is_some_and(|it| it.name == name.as_str()) => {
            Error::NotFound(format!("{kind} \"{name}\""))
        }
        (404, _) => Error::NotInstalled(kind.plural()),
        (401, _) => Error::Unauthorized(message),
        (403, _) => Error::Forbidden(message),
        (409, _) => Error::Moved(message),
        (410, _) => Error::Expired,
        (429, _) => Error::TooMany {
            after: Duration::from_secs(
                details.map_or(1, |it| it.retry_after_seconds.max(1).into()),
            ),
        },
        (400..=499, _) => Error::Invalid(message),
        (code, _) => Error::Server { code, message },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a watch that is answered with this code ends.
    fn ends(code: u16) -> bool {
        let status = serde_json::from_value(serde_json::json!({"code": code})).unwrap();
        let answers: [fn(kube::Error) -> watcher::Error; 3] = [
            watcher::Error::InitialListFailed,
            watcher::Error::WatchStartFailed,
            watcher::Error::WatchFailed,
        ];
        let status: Box<kube::core::Status> = status;
        let told = answers
            .map(|it| broken(it(kube::Error::Api(status.clone())), Kind::Task).is_err())
            .to_vec();
        let within = broken(watcher::Error::WatchError(status), Kind::Task).is_err();
        assert!(told.iter().all(|it| *it == within), "{code}: {told:?}");
        within
    }

    #[test]
    fn a_watch_ends_where_no_later_attempt_helps() {
        // A token that has run out is one of them.
        for code in [401, 403, 404, 422] {
            assert!(ends(code), "{code}");
        }
        for code in [409, 410, 429, 500, 503] {
            assert!(!ends(code), "{code}");
        }
        assert!(broken(watcher::Error::NoResourceVersion, Kind::Task).is_ok());
    }
}
