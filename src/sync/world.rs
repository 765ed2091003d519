//! What a plan is made from, and whose the objects in it are. Pure.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::api::labels;
use crate::cluster::Object;
use crate::model::Desired;
use crate::model::Home;
use crate::model::Key;
use crate::model::Kind;
use crate::model::Namespace;
use crate::model::ObjectName;
use crate::model::Origin;
use crate::model::SyncId;
use crate::model::names::cut;
use crate::model::object::DesiredSet;
use crate::model::plan::Blocked;
use crate::model::run::Outcome;
use crate::model::run::RunDigest;
use crate::model::run::RunRecord;
use crate::model::run::RunScope;
use crate::model::run::record_key;
use crate::model::run::record_name;

/// Whose configuration it is, and where it goes.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) namespace: Namespace,
    pub(super) sync: SyncId,
    /// The id that it had before, where that is given up.
    pub(super) old: Option<SyncId>,
    pub(super) home: Home,
    /// The file that declared it before, where that is known to be the same configuration.
    pub(super) old_home: Option<Home>,
}

impl Identity {
    /// The field manager of this sync.
    pub(super) fn manager(&self) -> String {
        manager_of(&self.sync)
    }

    /// Whether the value of the label `axon.io/sync` stands for this sync, by its id or its old one.
    pub(super) fn is_ours(&self, label: &str) -> bool {
        label == self.sync.as_str() || self.is_old(label)
    }

    pub(super) fn is_old(&self, label: &str) -> bool {
        self.old.as_ref().is_some_and(|old| old.as_str() == label)
    }

    /// Whether `origin` is that of an object that this configuration declared, here or where it was.
    fn is_home(&self, key: &Key, origin: &Origin) -> bool {
        let homes = [Some(&self.home), self.old_home.as_ref()];
        homes
            .into_iter()
            .flatten()
            .any(|home| home.origin(key) == *origin)
    }

    /// Selects what carries its label, or that of its old id.
    pub(super) fn selector(&self) -> String {
        match &self.old {
            None => format!("{}={}", labels::SYNC, self.sync),
            Some(old) => format!("{} in ({},{old})", labels::SYNC, self.sync),
        }
    }
}

/// The field manager of a sync.
pub(super) fn manager_of(sync: &SyncId) -> String {
    format!("axon-{sync}")
}

/// What the cluster holds, as far as a plan has to know.
#[derive(Debug, Default)]
pub(super) struct World {
    /// Objects with the label of the sync, and others that have the name of a declared one. Of those
    /// that are blocked, only the metadata may be there.
    pub(super) objects: BTreeMap<Key, Object>,
    /// Records of runs, by the name of the record.
    pub(super) records: BTreeMap<String, RunRecord>,
    /// Runs of other syncs of the namespace: by Task and run, the sync.
    pub(super) elsewhere: BTreeMap<(String, String), String>,
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

    /// Objects that carry its label, are not declared, and do not say which configuration made them.
    pub(super) fn unproven<'a>(
        &'a self,
        identity: &'a Identity,
        set: &'a DesiredSet,
    ) -> impl Iterator<Item = &'a Key> {
        let is_ours = |label: &str| identity.is_ours(label);
        let found = self.objects.iter().filter(move |(key, object)| {
            set.has_config
                && !object.is_terminating()
                && !declares(set, key)
                && object.label(labels::SYNC).is_some_and(is_ours)
                && object.annotation(labels::ORIGIN).is_none()
        });
        found.map(|(key, _)| key)
    }

    /// Objects that this very configuration made. One without an origin is not provably one.
    pub(super) fn members<'a>(
        &'a self,
        identity: &'a Identity,
    ) -> impl Iterator<Item = (&'a Key, &'a Object)> {
        self.objects.iter().filter(|(key, object)| {
            object
                .label(labels::SYNC)
                .is_some_and(|it| identity.is_ours(it))
                && object
                    .annotation(labels::ORIGIN)
                    .is_some_and(|it| identity.is_home(key, &Origin::from_annotation(it)))
        })
    }
}

impl World {
    /// Keys that the sync's label does not find, and that matter all the same: of what is to be created,
    /// and of Workspaces that are named but not declared.
    pub(super) fn wanted(&self, set: &DesiredSet, identity: &Identity) -> BTreeSet<Key> {
        let new = set
            .objects
            .iter()
            .filter(|it| has_run(it, self, identity).is_none())
            .map(|it| it.key.clone());
        let named = set.external_workspaces.iter().map(|(name, _)| Key {
            kind: Kind::Workspace,
            name: name.clone(),
        });
        new.chain(named)
            .filter(|key| !self.objects.contains_key(key))
            .collect()
    }

    /// The spawners that leave the configuration.
    pub(super) fn spawners_leaving(
        &self,
        identity: &Identity,
        set: &DesiredSet,
    ) -> Vec<ObjectName> {
        self.leaving(identity, set)
            .filter(|(key, _)| key.kind == Kind::TaskSpawner)
            .map(|(key, _)| key.name.clone())
            .collect()
    }
}

/// Whether the configuration declares the object.
pub(super) fn declares(set: &DesiredSet, key: &Key) -> bool {
    set.objects
        .binary_search_by(|desired| desired.key.cmp(key))
        .is_ok()
}

/// The record of the run of `desired`, if it ran or runs: by the sync's id, or by its old one.
pub(super) fn has_run<'a>(
    desired: &Desired,
    world: &'a World,
    identity: &Identity,
) -> Option<&'a RunRecord> {
    let run = desired.run.as_ref()?;
    let ids = [Some(&identity.sync), identity.old.as_ref()];
    ids.into_iter().flatten().find_map(|sync| {
        let scope = RunScope::Sync {
            sync: sync.to_string(),
            task: desired.key.name.to_string(),
        };
        world.records.get(&record_name(&scope, run))
    })
}

/// The sync under whose id this very run was had: another one, or ours before its id changed.
pub(super) fn has_run_elsewhere<'a>(desired: &Desired, world: &'a World) -> Option<&'a str> {
    let run = desired.run.as_ref()?.to_string();
    let found = world.elsewhere.get(&(desired.key.name.to_string(), run));
    found.map(String::as_str)
}

/// Records by their names, and the runs of other syncs among them.
pub(super) fn sorted(
    records: impl Iterator<Item = RunRecord>,
    identity: &Identity,
) -> (
    BTreeMap<String, RunRecord>,
    BTreeMap<(String, String), String>,
) {
    let (mut ours, mut others) = (BTreeMap::new(), BTreeMap::new());
    for record in records {
        match record.sync.clone() {
            Some(sync) if identity.is_ours(&sync) => {
                ours.insert(record.name.clone(), record);
            }
            Some(sync) => {
                others.insert((record.task, record.run.to_string()), sync);
            }
            // A spawner's.
            None => {}
        }
    }
    (ours, others)
}

/// Whose an object is, seen from a sync that declares one of that name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Of this sync.
    Ours,
    /// Of this sync, by the id that it had before.
    Renamed,
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
        (Some(sync), origin) if !identity.is_ours(sync) => Standing::Blocked(Blocked::OtherSync {
            sync: sync.to_owned(),
            is_elsewhere: origin.is_some_and(|it| !identity.is_home(key, &it)),
        }),
        (Some(sync), Some(origin)) if !identity.is_home(key, &origin) => {
            let reason = Blocked::OtherSource {
                origin: origin.to_string(),
            };
            match unless_adopted(reason) {
                Standing::Adoptable if identity.is_old(sync) => Standing::Renamed,
                standing => standing,
            }
        }
        (Some(sync), _) if identity.is_old(sync) => Standing::Renamed,
        (Some(_), _) => Standing::Ours,
    }
}

/// Whether `task` is an unfinished one that `spawner` made.
pub(super) fn is_running_for(spawner: &ObjectName, task: &Object) -> bool {
    task.label(labels::TASK_SPAWNER) == Some(&*cut(spawner.as_str())) && is_unfinished(task)
}

/// A record as it was read.
pub(super) fn record_of(object: &Object) -> RunRecord {
    let field = |key: &str| object.text(&format!("/data/{key}"));
    let owned = |key: &str| field(key).unwrap_or_default().to_owned();
    RunRecord {
        name: object.name().to_owned(),
        task: owned(record_key::TASK),
        task_uid: owned(record_key::TASK_UID),
        run: RunDigest::from_annotation(field(record_key::RUN).unwrap_or_default()),
        outcome: field(record_key::OUTCOME).map_or(Outcome::Unknown, Outcome::parse),
        finished: field(record_key::FINISHED).map(str::to_owned),
        item: field(record_key::ITEM).map(str::to_owned),
        sync: object.label(labels::SYNC).map(str::to_owned),
        left: object.label(labels::LEFT).is_some(),
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
