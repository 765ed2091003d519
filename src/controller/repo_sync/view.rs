//! What the namespaces hold, kept by watches: plans are made from it without asking the API server.
//!
//! Objects are kept as text, and of those of no sync only what a plan can need. A change is told
//! only where a plan could differ for it: the writes of the other controllers are not told.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use kube::runtime::watcher::Event;
use serde_json::Value;
use tokio::sync::Notify;

use super::slim;
use crate::api::labels;
use crate::cluster::Object;
use crate::model::Digest;
use crate::model::Home;
use crate::model::Key;
use crate::model::Kind;
use crate::model::ObjectName;
use crate::model::SyncId;
use crate::sync;

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shelf {
    Declared(Kind),
    Records,
}

/// An object changed in a way that a plan may depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) namespace: String,
    pub(super) key: Key,
    /// The sync it belonged to, and belongs to now.
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
}

/// All that is watched.
#[derive(Debug, Default)]
pub(super) struct View {
    shelves: Mutex<[Stock; 4]>,
    filled: Notify,
}

/// The objects of one watch, by namespace and name.
#[derive(Debug, Default)]
struct Stock {
    held: HashMap<String, HashMap<String, Held>>,
    /// What a list that is being read has named so far.
    listed: Option<HashSet<(String, String)>>,
    is_filled: bool,
}

#[derive(Debug)]
struct Held {
    sync: Option<String>,
    /// Of the file that declares it, by its `axon.io/origin`.
    home: Option<Digest>,
    /// Of all that a plan may depend on.
    relevant: Digest,
    json: Arc<[u8]>,
}

impl View {
    /// Takes an event of a watch; gives the changes that it means.
    pub(super) fn take(&self, of: Shelf, event: Event<Value>) -> Vec<Change> {
        let mut shelves = self.lock();
        let stock = &mut shelves[index(of)];
        match event {
            Event::Init => {
                stock.listed = Some(HashSet::new());
                Vec::new()
            }
            Event::InitApply(object) => {
                let place = place(&object);
                let change = stock.put(of, object);
                stock.listed.get_or_insert_default().insert(place);
                change.into_iter().collect()
            }
            Event::InitDone => {
                stock.is_filled = true;
                let listed = stock.listed.take().unwrap_or_default();
                let gone = stock.places().filter(|it| !listed.contains(it));
                let gone: Vec<_> = gone.collect();
                if shelves.iter().all(|it| it.is_filled) {
                    self.filled.notify_waiters();
                }
                let stock = &mut shelves[index(of)];
                let changes = gone.iter().filter_map(|place| stock.take(of, place));
                changes.collect()
            }
            Event::Apply(object) => stock.put(of, object).into_iter().collect(),
            Event::Delete(object) => stock.take(of, &place(&object)).into_iter().collect(),
        }
    }

    /// Waits until all watches have listed once.
    pub(super) async fn filled(&self) {
        loop {
            let notified = self.filled.notified();
            if self.is_filled() {
                return;
            }
            notified.await;
        }
    }

    pub(super) fn is_filled(&self) -> bool {
        self.lock().iter().all(|it| it.is_filled)
    }

    /// What a plan of `sync` has to know of a namespace: all but objects of other syncs that have
    /// no name that it declares.
    pub(super) fn of(
        &self,
        namespace: &str,
        sync: &SyncId,
        declares: impl Fn(&Key) -> bool,
    ) -> sync::View {
        let mut objects = Vec::new();
        let mut records = Vec::new();
        {
            let shelves = self.lock();
            let held = |shelf: Shelf| shelves[index(shelf)].held.get(namespace);
            for kind in Kind::ALL {
                for (name, it) in held(Shelf::Declared(kind)).into_iter().flatten() {
                    let is_foreign = it.sync.as_deref().is_some_and(|id| id != sync.as_str());
                    if !is_foreign || key(kind, name).is_some_and(|key| declares(&key)) {
                        objects.push((kind, Arc::clone(&it.json)));
                    }
                }
            }
            let all = held(Shelf::Records).into_iter().flatten();
            let ours = all.filter(|(_, it)| it.sync.as_deref() == Some(sync.as_str()));
            records.extend(ours.map(|(_, it)| Arc::clone(&it.json)));
        }
        // The watches and all other RepoSyncs do not wait for this.
        let objects = objects.iter().map(|(kind, json)| (*kind, object(json)));
        sync::View {
            objects: objects.collect(),
            records: records.iter().map(|json| object(json)).collect(),
        }
    }

    /// Objects of a namespace that carry the id `sync`, and were declared by another file than `home`
    /// where that is given.
    pub(super) fn left(&self, namespace: &str, sync: &str, home: Option<&Home>) -> Vec<Key> {
        let home = home.map(|it| Digest::of(it.to_string()));
        let shelves = self.lock();
        let mut left = Vec::new();
        for kind in Kind::ALL {
            let held = shelves[index(Shelf::Declared(kind))].held.get(namespace);
            let of = |it: &Held| {
                let is_elsewhere = home.is_none() || (it.home.is_some() && it.home != home);
                it.sync.as_deref() == Some(sync) && is_elsewhere
            };
            let names = held.into_iter().flatten().filter(|(_, it)| of(it));
            left.extend(names.filter_map(|(name, _)| key(kind, name)));
        }
        left.sort();
        left
    }

    fn lock(&self) -> MutexGuard<'_, [Stock; 4]> {
        // After a panic in between, at worst an object is missing: a plan with changes is made anew.
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stock {
    fn put(&mut self, of: Shelf, object: Value) -> Option<Change> {
        let (namespace, name) = place(&object);
        let sync = object["metadata"]["labels"][labels::SYNC]
            .as_str()
            .map(str::to_owned);
        let origin = object["metadata"]["annotations"][labels::ORIGIN].as_str();
        let home = origin.and_then(|it| it.rsplit_once('#'));
        let home = home.map(|(home, _)| Digest::of(home));
        let slim = match of {
            Shelf::Declared(_) => slim::object(object),
            Shelf::Records => slim::record(object),
        };
        let held = Held {
            sync,
            home,
            relevant: slim::relevant(&slim),
            json: slim.to_string().into_bytes().into(),
        };
        let after = held.sync.clone();
        let relevant = held.relevant;
        let there = self.held.entry(namespace.clone()).or_default();
        let before = there.insert(name.clone(), held);
        if before.as_ref().is_some_and(|it| it.relevant == relevant) {
            return None;
        }
        change(of, namespace, &name, before.and_then(|it| it.sync), after)
    }

    fn take(&mut self, of: Shelf, (namespace, name): &(String, String)) -> Option<Change> {
        let there = self.held.get_mut(namespace)?;
        let before = there.remove(name)?.sync;
        if there.is_empty() {
            self.held.remove(namespace);
        }
        change(of, namespace.clone(), name, before, None)
    }

    fn places(&self) -> impl Iterator<Item = (String, String)> {
        self.held.iter().flat_map(|(namespace, objects)| {
            objects.keys().map(|name| (namespace.clone(), name.clone()))
        })
    }
}

fn object(json: &[u8]) -> Object {
    Object::new(serde_json::from_slice(json).expect("it was written by serde_json"))
}

/// A record is news to nobody by itself: it is made and finished beside its Task.
fn change(
    shelf: Shelf,
    namespace: String,
    name: &str,
    before: Option<String>,
    after: Option<String>,
) -> Option<Change> {
    let kind = match shelf {
        Shelf::Declared(kind) => kind,
        Shelf::Records => return None,
    };
    Some(Change {
        namespace,
        key: key(kind, name)?,
        before,
        after,
    })
}

fn key(kind: Kind, name: &str) -> Option<Key> {
    let name = ObjectName::parse(name).ok()?;
    Some(Key { kind, name })
}

fn index(shelf: Shelf) -> usize {
    match shelf {
        Shelf::Declared(Kind::Workspace) => 0,
        Shelf::Declared(Kind::TaskSpawner) => 1,
        Shelf::Declared(Kind::Task) => 2,
        Shelf::Records => 3,
    }
}

fn place(object: &Value) -> (String, String) {
    let field = |name: &str| object["metadata"][name].as_str().unwrap_or_default();
    (field("namespace").to_owned(), field("name").to_owned())
}

#[cfg(test)]
mod tests;
