//! The watches that wake the controller: of RepoSyncs, and of what they declare.

use std::collections::HashMap;

use futures::Stream;
use futures::StreamExt as _;
use futures::stream::SelectAll;
use futures::stream::select_all;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::Client;
use kube::Resource as _;
use kube::ResourceExt as _;
use kube::api::ApiResource;
use kube::api::DynamicObject;
use kube::core::DeserializeGuard;
use kube::core::GroupVersionKind;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher;
use kube::runtime::watcher::Event;
use serde_json::Value;

use super::view::Shelf;
use crate::api;
use crate::api::RepoSync;
use crate::api::labels;
use crate::controller::Options;
use crate::model::Kind;

/// A RepoSync as the watch knows it.
type Watched = DeserializeGuard<RepoSync>;

/// A watch's events, and which shelf they are of.
type Events = futures::stream::BoxStream<'static, (Shelf, watcher::Result<Event<Value>>)>;

/// What is compared: an edit of the spec, a deletion, an answer of a person.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    generation: Option<i64>,
    deleting: bool,
    notes: [Option<String>; 3],
}

/// RepoSyncs each time that somebody asks something of them, and when they go. What the controller
/// itself writes to their status is not told.
pub(super) fn asked(
    syncs: impl Stream<Item = watcher::Result<Event<Watched>>> + Send + 'static,
) -> impl Stream<Item = watcher::Result<Watched>> + Send + 'static {
    let mut seen = HashMap::new();
    syncs.filter_map(move |event| {
        let news = match event {
            Ok(Event::Apply(sync) | Event::InitApply(sync)) => {
                let asked = asked_of(&sync);
                let uid = sync.meta().uid.clone().unwrap_or_default();
                let is_news = seen.get(&uid) != Some(&asked);
                seen.insert(uid, asked);
                is_news.then_some(Ok(sync))
            }
            Ok(Event::Delete(sync)) => {
                seen.remove(&sync.meta().uid.clone().unwrap_or_default());
                Some(Ok(sync))
            }
            // What went while nobody watched is not told: all others are told anew.
            Ok(Event::Init) => {
                seen.clear();
                None
            }
            Ok(Event::InitDone) => None,
            Err(error) => Some(Err(error)),
        };
        std::future::ready(news)
    })
}

fn asked_of(sync: &Watched) -> Asked {
    let note = |name: &str| sync.annotations().get(name).cloned();
    Asked {
        generation: sync.meta().generation,
        deleting: sync.meta().deletion_timestamp.is_some(),
        notes: [
            labels::RECONCILE_AT,
            labels::APPROVED_PLAN,
            labels::ALLOW_PRUNE,
        ]
        .map(note),
    }
}

/// All that plans are made from.
pub(super) fn objects(client: &Client, options: &Options) -> SelectAll<Events> {
    let declared = Kind::ALL.map(|kind| {
        let (resource, shelf) = (resource(kind), Shelf::Declared(kind));
        events(
            client,
            options,
            &resource,
            watcher::Config::default(),
            shelf,
        )
    });
    let of_records = format!("{}={}", labels::RECORD, labels::RECORD_RUN);
    let records = events(
        client,
        options,
        &ApiResource::erase::<ConfigMap>(&()),
        watcher::Config::default().labels(&of_records),
        Shelf::Records,
    );
    select_all(declared.into_iter().chain([records]))
}

fn events(
    client: &Client,
    options: &Options,
    resource: &ApiResource,
    config: watcher::Config,
    shelf: Shelf,
) -> Events {
    let api: Api<DynamicObject> = match &options.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace.as_str(), resource),
        None => Api::all_with(client.clone(), resource),
    };
    watcher(api, config)
        .default_backoff()
        .map(move |event| (shelf, event.map(as_json)))
        .boxed()
}

fn resource(kind: Kind) -> ApiResource {
    let gvk = GroupVersionKind::gvk(api::GROUP, api::VERSION, kind.as_str());
    ApiResource::from_gvk_with_plural(&gvk, kind.plural())
}

fn as_json(event: Event<DynamicObject>) -> Event<Value> {
    match event {
        Event::Apply(object) => Event::Apply(json(object)),
        Event::Delete(object) => Event::Delete(json(object)),
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(json(object)),
        Event::InitDone => Event::InitDone,
    }
}

/// The object as the API server sent it.
fn json(object: DynamicObject) -> Value {
    let mut whole = object.data;
    whole["metadata"] =
        serde_json::to_value(object.metadata).expect("metadata holds nothing that JSON cannot");
    whole
}
