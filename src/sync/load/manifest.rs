//! Plain manifests, as for kubectl. `defaults` do not touch them.

use crate::model::Code;
use crate::model::Kind;
use crate::model::Namespace;

use super::node::Entry;
use super::node::Mark;
use super::node::Node;
use super::node::Value;
use super::object::Draft;
use super::object::Objects;
use super::report::Report;
use super::report::suggest;
use super::schema::Holder;
use super::words::brief;
use super::words::got;

/// Keys of a manifest; `status` is the cluster's and left out.
const KEYS: [&str; 4] = ["apiVersion", "kind", "metadata", "spec"];
/// Keys of the metadata that a configuration can set.
const METADATA_KEYS: [&str; 4] = ["name", "namespace", "labels", "annotations"];
/// What a cluster adds to an object; it comes with `kubectl get -o yaml`.
const OF_THE_CLUSTER: [&str; 7] = [
    "creationTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "status",
    "uid",
];

/// Declares the object of a manifest.
pub(super) fn declare(
    kind: Kind,
    document: &Node,
    objects: &mut Objects<'_>,
    report: &mut Report<'_>,
) {
    check_keys(document.entries(), &KEYS, report);
    let metadata = map_under("metadata", document, report);
    let spec = map_under("spec", document, report);
    let name = metadata.and_then(|metadata| checked_name(metadata, document, objects, report));
    let (Some(metadata), Some(spec), Some(name)) = (metadata, spec, name) else {
        return;
    };
    let draft = Draft {
        kind,
        name,
        metadata: Some(metadata),
        spec: spec.clone(),
        rerun: None,
        holder: Holder {
            name: "spec",
            mark: document.entry("spec").map_or(spec.mark, |it| it.mark),
            is_entry: false,
        },
        own_repository: false,
    };
    objects.declare(&draft, report);
}

/// The name of the object, once what stands beside it is checked.
fn checked_name<'d>(
    metadata: &'d Node,
    document: &Node,
    objects: &mut Objects<'_>,
    report: &mut Report<'_>,
) -> Option<(&'d str, Mark)> {
    check_keys(metadata.entries(), &METADATA_KEYS, report);
    if let Some(namespace) = metadata.get("namespace") {
        check_namespace(namespace, objects, report);
    }
    let Some(name) = metadata.get("name") else {
        let key = document.entry("metadata").map(|entry| entry.mark);
        let mark = key.unwrap_or(metadata.mark);
        report.error(
            Code::MissingKey,
            mark,
            "\"name\" is missing in \"metadata\"",
        );
        return None;
    };
    if name.as_text().is_none() {
        let message = format!("\"name\" must be text, got {}", got(name));
        report.error(Code::WrongType, name.mark, message);
    }
    Some((name.as_text()?, name.mark))
}

fn map_under<'d>(key: &str, document: &'d Node, report: &mut Report<'_>) -> Option<&'d Node> {
    let Some(node) = document.get(key) else {
        report.error(
            Code::MissingKey,
            document.mark,
            format!("\"{key}\" is missing"),
        );
        return None;
    };
    match node.value {
        Value::Map(_) => Some(node),
        Value::Broken => None,
        _ => {
            let message = format!("\"{key}\" must be a map, got {}", got(node));
            report.error(Code::WrongType, node.mark, message);
            None
        }
    }
}

fn check_keys(entries: &[Entry], known: &[&str], report: &mut Report<'_>) {
    for entry in entries {
        let key = entry.key.as_str();
        if known.contains(&key) {
            continue;
        }
        if OF_THE_CLUSTER.contains(&key) {
            let message = format!("\"{key}\" is set by the cluster and left out here");
            report.warning(
                Code::ClusterField,
                entry.mark,
                message,
                Some("remove it".to_owned()),
            );
            continue;
        }
        let message = format!("unknown key \"{}\"", brief(key));
        report.error_with(
            Code::UnknownKey,
            entry.mark,
            message,
            suggest(key, known.iter().copied()),
        );
    }
}

fn check_namespace(namespace: &Node, objects: &mut Objects<'_>, report: &mut Report<'_>) {
    let Some(text) = namespace.as_text() else {
        let message = format!("\"namespace\" must be text, got {}", got(namespace));
        return report.error(Code::WrongType, namespace.mark, message);
    };
    match Namespace::parse(text) {
        Ok(parsed) => objects.agree_on_namespace(parsed, namespace.mark, report),
        Err(error) => report.error(
            Code::InvalidName,
            namespace.mark,
            format!("\"namespace\": {error}"),
        ),
    }
}
