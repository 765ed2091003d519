//! What the caches of the controllers do not hold.

use kube::Resource;
use kube::core::DeserializeGuard;

/// Drops the field managers, which are the greater part of many objects: no controller reads them from its
/// cache.
pub(super) fn without_managers<K: Resource>(object: &mut DeserializeGuard<K>) {
    object.meta_mut().managed_fields = None;
}
