//! The RepoSyncs of a namespace, as claimants of ids.

use kube::ResourceExt as _;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::Store;

use super::claims::Claims;
use super::claims::Name;
use super::own::Claimant;
use crate::api::RepoSync;
use crate::model::SyncId;

/// All RepoSyncs, as the watch knows them.
pub(super) struct Rivals(Store<DeserializeGuard<RepoSync>>);

impl Rivals {
    pub(super) fn new(store: Store<DeserializeGuard<RepoSync>>) -> Self {
        Self(store)
    }

    /// How many RepoSyncs there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the RepoSync is there.
    pub(super) fn has(&self, name: &Name) -> bool {
        self.0.get(name).is_some()
    }

    /// Those of a namespace that can be read.
    pub(super) fn of(&self, namespace: &str, claims: &Claims) -> Vec<Claimant> {
        let all = self.0.state();
        all.iter()
            .filter_map(|it| it.0.as_ref().ok())
            .filter(|it| it.metadata.namespace.as_deref() == Some(namespace))
            .map(|it| claimant(it, claims))
            .collect()
    }
}

/// One of them. What it is known to want now counts more than what its status says.
pub(super) fn claimant(sync: &RepoSync, claims: &Claims) -> Claimant {
    let name = Name::new(&sync.name_any()).within(&sync.namespace().unwrap_or_default());
    let status = sync.status.as_ref();
    let written = status.and_then(|it| it.sync.as_deref());
    let wants = claims.wants(&name);
    Claimant {
        name: sync.name_any(),
        uid: sync.uid().unwrap_or_default(),
        created: sync.creation_timestamp().map(|it| it.0),
        looked_at: wants.is_some() || status.is_some_and(|it| it.observed_generation >= 0),
        wants: wants.or_else(|| SyncId::parse(written?).ok()),
    }
}
