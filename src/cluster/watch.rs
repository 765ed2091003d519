//! Follows the objects of one kind: what there is, and then each change as it happens.

use futures::Stream;
use futures::StreamExt;
use kube::Api;
use kube::api::ApiResource;
use kube::api::DynamicObject;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher;

use super::Cluster;
use super::Error;
use super::Object;
use crate::api;
use crate::model::Kind;

/// What a watch tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// All that is there is told anew; what is not told until [`Change::Complete`] has gone.
    Anew,
    /// The object is there, and is like this now.
    Is(Object),
    /// The object has gone; it was like this.
    Gone(Object),
    Complete,
}

impl Cluster {
    /// The objects that `selector` selects. A watch that is cut is taken up again, for as long as it
    /// is listened to; it ends with an error only if the server will not grant it.
    pub fn watch(
        &self,
        kind: Kind,
        selector: &str,
    ) -> impl Stream<Item = Result<Change, Error>> + Send + use<> {
        let resource = ApiResource {
            group: api::GROUP.into(),
            version: api::VERSION.into(),
            api_version: api::API_VERSION.into(),
            kind: kind.as_str().into(),
            plural: kind.plural().into(),
        };
        let namespace = self.namespace.as_str();
        let objects: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), namespace, &resource);
        let config = watcher::Config::default().labels(selector);
        watcher(objects, config)
            .default_backoff()
            .filter_map(async |event| change(event).transpose())
    }
}

/// What an event tells; nothing where the watch goes on by itself.
fn change(
    event: Result<watcher::Event<DynamicObject>, watcher::Error>,
) -> Result<Option<Change>, Error> {
    Ok(Some(match event {
        Ok(watcher::Event::Init) => Change::Anew,
        Ok(watcher::Event::InitApply(object) | watcher::Event::Apply(object)) => {
            Change::Is(read(&object)?)
        }
        Ok(watcher::Event::Delete(object)) => Change::Gone(read(&object)?),
        Ok(watcher::Event::InitDone) => Change::Complete,
        Err(error) => {
            refusal(&error)?;
            tracing::debug!(%error, "the watch was cut");
            return Ok(None);
        }
    }))
}

fn read(object: &DynamicObject) -> Result<Object, Error> {
    serde_json::to_value(object)
        .map(Object::new)
        .map_err(|error| Error::Garbled(error.into()))
}

/// What no later attempt mends.
fn refusal(error: &watcher::Error) -> Result<(), Error> {
    let (watcher::Error::InitialListFailed(source)
    | watcher::Error::WatchStartFailed(source)
    | watcher::Error::WatchFailed(source)) = error
    else {
        return Ok(());
    };
    match source {
        kube::Error::Api(status) if status.code == 401 => {
            Err(Error::Unauthorized(status.message.clone()))
        }
        kube::Error::Api(status) if status.code == 403 => {
            Err(Error::Forbidden(status.message.clone()))
        }
        _ => Ok(()),
    }
}
