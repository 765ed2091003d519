//! A declared object as it is sent: with the marks of its sync. Pure.

use serde_json::Value;
use serde_json::json;

use crate::api::labels;
use crate::model::Desired;
use crate::model::Home;
use crate::model::Namespace;
use crate::model::SyncId;
use crate::model::plan::Manifest;

/// `desired` with namespace, membership, origin and, for a Task, the identity of its run.
pub(super) fn marked(
    desired: &Desired,
    namespace: &Namespace,
    sync: &SyncId,
    home: &Home,
) -> Manifest {
    let mut manifest = desired.manifest.clone();
    let metadata = &mut manifest["metadata"];
    metadata["namespace"] = namespace.as_str().into();
    set(metadata, "labels", labels::SYNC, sync.as_str());
    let origin = home.origin(&desired.key);
    set(metadata, "annotations", labels::ORIGIN, origin.as_str());
    if let Some(run) = &desired.run {
        set(metadata, "annotations", labels::RUN, run.as_str());
    }
    Manifest::new(manifest)
}

fn set(metadata: &mut Value, map: &str, key: &str, value: &str) {
    if !metadata[map].is_object() {
        metadata[map] = json!({});
    }
    metadata[map][key] = value.into();
}
