//! Finishes deletions: dependents without owners, namespaces and definitions with their content.

use std::sync::Arc;

use serde_json::Value;
use serde_json::json;

use super::Inner;
use super::builtin;
use super::delete;
use super::delete::Options;
use super::delete::Propagation;
use super::object;
use super::resource::Resource;
use crate::local::clock;
use crate::local::store::Action;
use crate::local::store::Entry;
use crate::local::store::Expected;
use crate::local::store::Key;
use crate::local::store::Scope;

/// Works until the server stops.
pub(super) async fn run(server: Arc<Inner>) {
    let mut tip = server.store.tip();
    loop {
        tip.borrow_and_update();
        let touched = server.store.take_touched();
        if touched.is_empty() {
            tokio::select! {
                () = server.stop.cancelled() => return,
                changed = tip.changed() => if changed.is_err() { return },
            }
            continue;
        }
        let worker = Arc::clone(&server);
        let swept = tokio::task::spawn_blocking(move || {
            for key in touched {
                look(&worker, &key);
            }
        });
        if swept.await.is_err() {
            tracing::error!("collecting garbage ended abnormally");
        }
    }
}

/// Does for one object what is due. A write that loses against another one touches the object
/// again, so that it comes back here.
fn look(server: &Inner, key: &Key) {
    let Some(entry) = server.store.get(key) else {
        return;
    };
    let object = entry.object();
    if object::is_deleting(&object) {
        finish(server, key, &entry, object);
    } else if !entry.owners.is_empty() {
        check_owners(server, key, &entry, object);
    }
}

fn finish(server: &Inner, key: &Key, entry: &Entry, mut object: Value) {
    if object::has_finalizer(&object, delete::ORPHAN) {
        for dependent in server.dependents(&entry.uid) {
            disown(server, &dependent, &entry.uid);
        }
        if server.dependents(&entry.uid).is_empty() {
            object::remove_finalizer(&mut object, delete::ORPHAN);
            put(server, key, entry, object);
        }
    } else if object::has_finalizer(&object, delete::FOREGROUND) {
        // Its dependents were looked at when it was marked; the end of each one comes back here.
        let dependents = server.dependents(&entry.uid);
        if !dependents.iter().any(|it| blocks(server, it, &entry.uid)) {
            object::remove_finalizer(&mut object, delete::FOREGROUND);
            put(server, key, entry, object);
        }
    } else if key.resource() == "namespaces" {
        if server.empty_namespace(key.name()) {
            object["spec"]["finalizers"] = json!([]);
            put(server, key, entry, object);
        }
    } else if key.resource() == builtin::CRDS
        && object::has_finalizer(&object, delete::CRD_CLEANUP)
        && server.empty_scope(&Scope {
            resource: key.name().to_owned(),
            namespace: None,
        })
    {
        object::remove_finalizer(&mut object, delete::CRD_CLEANUP);
        put(server, key, entry, object);
        server.registry.refresh(&server.store);
    }
}

/// Deletes an object that no owner keeps; forgets the owners that do not keep one that stays.
fn check_owners(server: &Inner, key: &Key, entry: &Entry, mut object: Value) {
    let references = object["metadata"]["ownerReferences"].as_array();
    let states: Vec<_> = references
        .into_iter()
        .flatten()
        .map(|it| (owner_uid(it).to_owned(), server.owner_state(key, it)))
        .collect();
    let is = |state: Owner| states.iter().any(|(_, it)| *it == state);
    if is(Owner::OutOfReach) {
        return;
    }
    if is(Owner::Present) {
        let keeps = |uid: &str| {
            states
                .iter()
                .any(|(it, state)| it == uid && *state == Owner::Present)
        };
        if !states.iter().all(|(uid, _)| keeps(uid)) {
            let list = object["metadata"]["ownerReferences"].as_array_mut();
            if let Some(list) = list {
                list.retain(|it| keeps(owner_uid(it)));
            }
            put(server, key, entry, object);
        }
        return;
    }
    let dependents = server.dependents(&entry.uid);
    if is(Owner::WaitsForUs) && !dependents.is_empty() {
        if dependents.iter().any(|it| waits(server, it)) && unblock(&mut object) {
            // The write brings it back here.
            put(server, key, entry, object);
            return;
        }
        remove(server, key, Some(Propagation::Foreground));
    } else {
        remove(server, key, Some(own_policy(&object)));
    }
}

fn owner_uid(reference: &Value) -> &str {
    reference["uid"].as_str().unwrap_or_default()
}

/// What the object's finalizers ask for.
fn own_policy(object: &Value) -> Propagation {
    if object::has_finalizer(object, delete::ORPHAN) {
        Propagation::Orphan
    } else if object::has_finalizer(object, delete::FOREGROUND) {
        Propagation::Foreground
    } else {
        Propagation::Background
    }
}

/// Whether the object at `key` is being deleted and waits for its dependents.
fn waits(server: &Inner, key: &Key) -> bool {
    let entry = server.store.get(key);
    entry.is_some_and(|it| is_waiting(&it))
}

fn is_waiting(entry: &Entry) -> bool {
    entry.is_deleting && object::has_finalizer(&entry.object(), delete::FOREGROUND)
}

/// Holds up none of its owners any more: in a circle each would wait for the next. Whether it did.
fn unblock(object: &mut Value) -> bool {
    let references = object["metadata"]["ownerReferences"].as_array_mut();
    let mut blocking = references
        .into_iter()
        .flatten()
        .filter(|it| it["blockOwnerDeletion"] == true)
        .peekable();
    let did = blocking.peek().is_some();
    for reference in blocking {
        reference["blockOwnerDeletion"] = false.into();
    }
    did
}

/// How an owner stands to its dependents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Present,
    Absent,
    /// It is being deleted and waits for its dependents.
    WaitsForUs,
    /// It is in a namespace, and the dependent is not: nobody can tell whether it is there.
    OutOfReach,
}

impl Inner {
    fn dependents(&self, uid: &str) -> Vec<Key> {
        self.store.read().dependents(uid)
    }

    fn owner_state(&self, dependent: &Key, reference: &Value) -> Owner {
        if dependent.namespace().is_empty() && self.is_namespaced(reference) {
            return Owner::OutOfReach;
        }
        let memory = self.store.read();
        let Some(key) = memory.key_of(owner_uid(reference)) else {
            return Owner::Absent;
        };
        if !key.namespace().is_empty() && key.namespace() != dependent.namespace() {
            return Owner::Absent;
        }
        if memory.get(key).is_some_and(|owner| is_waiting(owner)) {
            Owner::WaitsForUs
        } else {
            Owner::Present
        }
    }

    /// Whether a reference names a kind whose objects are in namespaces.
    fn is_namespaced(&self, reference: &Value) -> bool {
        let names = |it: &Resource| {
            reference["kind"] == *it.kind && reference["apiVersion"] == *it.api_version()
        };
        let all = self.registry.all();
        all.iter().any(|it| it.namespaced && names(it))
    }

    /// Deletes what is in a namespace. Whether nothing is left.
    fn empty_namespace(&self, namespace: &str) -> bool {
        let resources = self.registry.all().into_iter().filter(|it| it.namespaced);
        let emptied = resources.map(|resource| {
            self.empty_scope(&Scope {
                resource: resource.storage.clone(),
                namespace: Some(namespace.into()),
            })
        });
        // Every resource, not only those up to the first that is not empty yet.
        emptied.fold(true, |all, one| all & one)
    }

    /// Deletes what is in `scope`. Whether nothing is left.
    fn empty_scope(&self, scope: &Scope) -> bool {
        let keys = |server: &Self| -> Vec<Key> {
            let memory = server.store.read();
            memory
                .range(scope, None)
                .map(|(key, _)| key.clone())
                .collect()
        };
        for key in keys(self) {
            remove(self, &key, Some(Propagation::Background));
        }
        keys(self).is_empty()
    }
}

fn blocks(server: &Inner, dependent: &Key, owner: &str) -> bool {
    let Some(entry) = server.store.get(dependent) else {
        return false;
    };
    let object = entry.object();
    let references = object["metadata"]["ownerReferences"].as_array();
    references
        .into_iter()
        .flatten()
        .any(|it| owner_uid(it) == owner && it["blockOwnerDeletion"] == true)
}

fn disown(server: &Inner, dependent: &Key, owner: &str) {
    let Some(entry) = server.store.get(dependent) else {
        return;
    };
    let mut object = entry.object();
    if let Some(list) = object["metadata"]["ownerReferences"].as_array_mut() {
        list.retain(|it| it["uid"] != owner);
    }
    if object["metadata"]["ownerReferences"] == json!([]) {
        object::meta_mut(&mut object).remove("ownerReferences");
    }
    put(server, dependent, &entry, object);
}

fn put(server: &Inner, key: &Key, entry: &Entry, object: Value) {
    let action = if super::write::is_finished(&object) {
        Action::Delete
    } else {
        Action::Put(object)
    };
    let expected = Expected::Revision(entry.revision);
    if let Err(error) = server.store.write(key, expected, action) {
        tracing::debug!(%key, %error, "an object is to be looked at again");
    }
}

fn remove(server: &Inner, key: &Key, propagation: Option<Propagation>) {
    let Some(resource) = server.registry.stored_as(key.resource()) else {
        return;
    };
    let options = Options {
        propagation,
        ..Options::default()
    };
    if let Err(error) = delete::remove(server, &resource, key, &options, clock::now()) {
        tracing::debug!(%key, message = error.message, "an object could not be deleted");
    }
}
