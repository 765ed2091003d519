//! Which resources are served right now.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::RwLock;

use super::builtin;
use super::crd;
use super::resource::Resource;
use super::resource::builtins;
use crate::local::store::Scope;
use crate::local::store::Store;

/// Built-in resources and those of the stored definitions.
pub(crate) struct Registry {
    builtins: Vec<Arc<Resource>>,
    /// By name of the definition, with the revision it was read at.
    custom: RwLock<BTreeMap<String, (u64, Arc<Resource>)>>,
}

impl Registry {
    pub(crate) fn new(store: &Store) -> Self {
        let registry = Self {
            builtins: builtins(),
            custom: RwLock::default(),
        };
        registry.refresh(store);
        registry
    }

    /// Reads the definitions again. What did not change keeps its resource.
    pub(crate) fn refresh(&self, store: &Store) {
        let scope = Scope {
            resource: builtin::CRDS.into(),
            namespace: None,
        };
        let mut custom = self.custom.write().expect("no holder of this lock panics");
        let memory = store.read();
        let mut fresh = BTreeMap::new();
        for (key, entry) in memory.range(&scope, None) {
            let known = custom
                .get(key.name())
                .filter(|(at, _)| *at == entry.revision);
            let resource = match known {
                Some((_, resource)) => Some(Arc::clone(resource)),
                None => crd::resource(&entry.object()).map(Arc::new),
            };
            if let Some(resource) = resource {
                fresh.insert(key.name().to_owned(), (entry.revision, resource));
            }
        }
        *custom = fresh;
    }

    /// The resource of a path.
    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Resource>> {
        let fits =
            |it: &&Arc<Resource>| it.group == group && it.version == version && it.plural == plural;
        if let Some(found) = self.builtins.iter().find(fits) {
            return Some(Arc::clone(found));
        }
        let custom = self.custom.read().expect("no holder of this lock panics");
        let mut resources = custom.values().map(|(_, resource)| resource);
        resources.find(fits).map(Arc::clone)
    }

    /// The resource under whose name objects are stored.
    pub(crate) fn stored_as(&self, storage: &str) -> Option<Arc<Resource>> {
        let all = self.all();
        all.into_iter().find(|it| it.storage == storage)
    }

    pub(crate) fn all(&self) -> Vec<Arc<Resource>> {
        let custom = self.custom.read().expect("no holder of this lock panics");
        let custom = custom.values().map(|(_, resource)| resource);
        self.builtins.iter().chain(custom).cloned().collect()
    }
}
