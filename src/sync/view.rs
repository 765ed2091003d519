//! A namespace that was looked at already: what a controller's watch caches hold. Pure.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::api::labels;
use crate::cluster::Object;
use crate::model::Key;
use crate::model::Kind;
use crate::model::ObjectName;
use crate::model::object::DesiredSet;
use crate::sync::world::Identity;
use crate::sync::world::World;
use crate::sync::world::is_running_for;
use crate::sync::world::record_of;
use crate::sync::world::sorted;

/// All that one namespace holds, as far as plans are concerned.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// All objects of our kinds, `metadata.managedFields` included.
    pub objects: Vec<(Kind, Object)>,
    /// The records of runs: ConfigMaps with the label `axon.io/record`.
    pub records: Vec<Object>,
}

impl View {
    /// The names that are taken.
    pub(super) fn keys(&self) -> BTreeSet<Key> {
        let keys = self
            .objects
            .iter()
            .map(|(kind, object)| key_of(*kind, object));
        keys.flatten().collect()
    }

    /// What of it a plan from there to `set` has to know.
    pub(super) fn world(&self, set: &DesiredSet, identity: &Identity) -> World {
        let mut world = World {
            objects: self.members(identity),
            records: sorted(self.records.iter().map(record_of), identity).0,
            // It holds no others; what is to be created is planned again by the API server.
            elsewhere: BTreeMap::new(),
            running: BTreeMap::new(),
        };
        let wanted = world.wanted(set, identity);
        for (kind, object) in &self.objects {
            if let Some(key) = key_of(*kind, object)
                && wanted.contains(&key)
            {
                world.objects.insert(key, object.clone());
            }
        }
        let running = world.spawners_leaving(identity, set).into_iter();
        world.running = running
            .map(|name| (name.clone(), self.running(&name)))
            .collect();
        world
    }

    fn members(&self, identity: &Identity) -> BTreeMap<Key, Object> {
        let ours = self.objects.iter().filter(|(_, object)| {
            let label = object.label(labels::SYNC);
            label.is_some_and(|it| identity.is_ours(it))
        });
        ours.filter_map(|(kind, object)| Some((key_of(*kind, object)?, object.clone())))
            .collect()
    }

    fn running(&self, spawner: &ObjectName) -> usize {
        let tasks = self.objects.iter().filter(|(kind, _)| *kind == Kind::Task);
        tasks
            .filter(|(_, task)| is_running_for(spawner, task))
            .count()
    }
}

pub(super) fn key_of(kind: Kind, object: &Object) -> Option<Key> {
    let name = ObjectName::parse(object.name()).ok()?;
    Some(Key { kind, name })
}
