//! What a plan is made from, and whose the objects in it are. Pure.

use std::collections::BTreeMap;

use crate::api::labels;
use crate::cluster::Object;
use crate::model::Home;
use crate::model::Key;
use crate::model::Kind;
use crate::model::Namespace;
use crate::model::ObjectName;
use crate::model::Origin;
use crate::model::SyncId;
use crate::model::object::DesiredSet;
use crate::model::plan::Blocked;
use crate::model::run::RunRecord;

/// Whose configuration it is, and where it goes.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) namespace: Namespace,
    pub(super) sync: SyncId,
    pub(super) home: Home,
}

impl Identity {
    /// The field manager of this sync.
    pub(super) fn manager(&self) -> String {
        format!("axon-{}", self.sync)
    }
}

/// What the cluster holds, as far as a plan has to know.
#[derive(Debug, Default)]
pub(super) struct World {
    /// Objects with the label of the sync, and others that have the name of a declared one. Of those
    /// that are blocked, only the metadata may be there.
    pub(super) objects: BTreeMap<Key, Object>,
    /// Records of runs, by the name of the record.
    pub(super) records: BTreeMap<String, RunRecord>,
    /// Unfinished Tasks of the spawners that leave the configuration.
    pub(super) running: BTreeMap<ObjectName, usize>,
}

impl World {
    /// Objects of this very configuration that it no longer declares.
    pub(super) fn leaving<'a>(
        &'a self,
        identity: &'a Identity,
        set: &'a DesiredSet,
    ) -> impl Iterator<Item = (&'a Key, &'a Object)> {
        self.members(identity).filter(|(key, object)| {
            // Plain manifests alone say nothing about what is not in them.
            set.has_config && !object.is_terminating() && !declares(set, key)
        })
    }

    /// Objects that this very configuration made. One without an origin is not provably one.
    pub(super) fn members<'a>(
        &'a self,
        identity: &'a Identity,
    ) -> impl Iterator<Item = (&'a Key, &'a Object)> {
        self.objects.iter().filter(|(key, object)| {
            object.label(labels::SYNC) == Some(identity.sync.as_str())
                && object.annotation(labels::ORIGIN) == Some(identity.home.origin(key).as_str())
        })
    }
}

/// Whether the configuration declares the object.
pub(super) fn declares(set: &DesiredSet, key: &Key) -> bool {
    set.objects
        .binary_search_by(|desired| desired.key.cmp(key))
        .is_ok()
}

/// Whose an object is, seen from a sync that declares one of that name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Of this sync.
    Ours,
    /// Someone else's, but it may be taken.
    Adoptable,
    Blocked(Blocked),
}

/// `adopt`: objects of nobody and of the same sync in another source may be taken.
pub(super) fn standing(key: &Key, object: &Object, identity: &Identity, adopt: bool) -> Standing {
    let ours = identity.sync.as_str();
    let origin = object
        .annotation(labels::ORIGIN)
        .map(Origin::from_annotation);
    let invited = object.annotation(labels::ADOPT_INTO) == Some(ours);
    let unless_adopted = |blocked| {
        if adopt || invited {
            Standing::Adoptable
        } else {
            Standing::Blocked(blocked)
        }
    };
    match (object.label(labels::SYNC), origin) {
        (None, _) => unless_adopted(Blocked::Foreign),
        // Labels and origin came along with a copy (`kubectl get -o yaml | kubectl create`).
        (Some(_), Some(origin)) if !origin.names(key) => unless_adopted(Blocked::Foreign),
        (Some(sync), _) if sync != ours => Standing::Blocked(Blocked::OtherSync {
            sync: sync.to_owned(),
        }),
        (Some(_), Some(origin)) if origin != identity.home.origin(key) => {
            unless_adopted(Blocked::OtherSource {
                origin: origin.to_string(),
            })
        }
        (Some(_), _) => Standing::Ours,
    }
}

/// Whether a Task has not come to its end.
pub(super) fn is_unfinished(task: &Object) -> bool {
    !matches!(task.text("/status/phase"), Some("Succeeded" | "Failed"))
}

/// How many runs go on under an object.
pub(super) fn running(key: &Key, object: &Object, world: &World) -> usize {
    match key.kind {
        Kind::Task => usize::from(is_unfinished(object)),
        Kind::TaskSpawner => world.running.get(&key.name).copied().unwrap_or(0),
        Kind::Workspace => 0,
    }
}
