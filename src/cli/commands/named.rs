//! One object by its name: read, or told what there is instead, and changed by a person's word.

use kube::api::Patch;
use kube::api::PatchParams;
use serde_json::Value;

use crate::cli::commands::plan::with_hint;
use crate::cli::inspect::Item;
use crate::cli::inspect::Kind;
use crate::cli::inspect::Reader;
use crate::cli::inspect::reader::within;
use crate::cli::ui::Failure;
use crate::cluster;
use crate::model::Namespace;
use crate::model::ObjectName;

/// Field manager of what people change by commands.
pub(super) const FIELD_MANAGER: &str = "axon-cli";
/// Most names that a hint lists.
const MAX_NAMES: usize = 10;

/// The object, or what there is instead.
pub(super) async fn get(
    reader: &Reader,
    namespace: &Namespace,
    kind: Kind,
    name: &ObjectName,
) -> Result<Item, Failure> {
    let tried = format!("cannot read {kind} \"{name}\"");
    let found = reader.get(kind, name).await;
    let found = found.map_err(|error| with_hint(Failure::new(tried, &error), &error))?;
    if let Some(item) = found {
        return Ok(item);
    }
    let message = format!("there is no {kind} \"{name}\" in namespace \"{namespace}\"");
    let others = reader.list(kind, "").await.unwrap_or_default();
    let more = if others.len() > MAX_NAMES {
        ", …"
    } else {
        ""
    };
    let others = others.iter().take(MAX_NAMES);
    let others: Vec<String> = others.map(|it| format!("{:?}", it.name())).collect();
    Err(Failure::plain(message).hint(match others.as_slice() {
        [] if kind == Kind::RepoSync => {
            format!("create it: axon create sync {name} --repo URL -n {namespace}")
        }
        [] => format!(
            "there are none; look in all namespaces: axon get {} -A",
            kind.plural()
        ),
        some => format!("there are: {}{more}", some.join(", ")),
    }))
}

/// A change by a person: a merge patch, which fails where it names a resource version that has passed.
pub(super) async fn patch(
    reader: &Reader,
    kind: Kind,
    name: &ObjectName,
    change: &Value,
) -> Result<(), cluster::Error> {
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let (api, change) = (reader.api(kind), Patch::Merge(change));
    let request = api.patch(name.as_str(), &params, &change);
    within(kind, Some(name), request).await.map(drop)
}
