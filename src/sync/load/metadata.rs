//! Labels and annotations that a person may set.

use serde_json::Map;
use serde_json::Value as Json;

use crate::api::labels;
use crate::model::Code;
use crate::model::Kind;
use crate::model::SyncId;
use crate::model::label;

use super::node::Entry;
use super::node::Node;
use super::node::Value;
use super::object::Rerun;
use super::report::Report;
use super::words::brief;
use super::words::got;

/// The API server's limit for all annotations of an object.
const MAX_ANNOTATIONS: usize = 256 << 10;

/// Labels and annotations of an object, as JSON maps; and the `rerun` that an annotation asks for.
pub(super) struct Metadata {
    pub(super) labels: Map<String, Json>,
    pub(super) annotations: Map<String, Json>,
    pub(super) rerun: Option<Rerun>,
}

pub(super) fn read(kind: Kind, metadata: Option<&Node>, report: &mut Report<'_>) -> Metadata {
    let mut read = Metadata {
        labels: Map::new(),
        annotations: Map::new(),
        rerun: None,
    };
    let Some(metadata) = metadata else {
        return read;
    };
    for (entry, value) in texts("labels", metadata, report) {
        check_key(entry, report);
        if label::is_reserved(&entry.key) {
            refuse_reserved("label", entry, report);
        }
        if !label::is_value(value) {
            report.error(
                Code::InvalidLabel,
                entry.value.mark,
                label::wrong_value(value),
            );
        }
        read.labels.insert(entry.key.clone(), value.into());
    }
    let mut size = 0;
    for (entry, value) in texts("annotations", metadata, report) {
        check_key(entry, report);
        if label::is_reserved(&entry.key) {
            check_own(kind, entry, value, &mut read.rerun, report);
        }
        size += entry.key.len() + value.len();
        read.annotations.insert(entry.key.clone(), value.into());
    }
    if size > MAX_ANNOTATIONS {
        let limit = MAX_ANNOTATIONS >> 10;
        let message = format!("the annotations have more than {limit} KiB in all");
        report.error(Code::TooLarge, metadata.mark, message);
    }
    read
}

/// The entries of a map of texts; others are told of.
fn texts<'n>(key: &str, metadata: &'n Node, report: &mut Report<'_>) -> Vec<(&'n Entry, &'n str)> {
    let Some(map) = metadata.get(key) else {
        return Vec::new();
    };
    if !matches!(map.value, Value::Map(_) | Value::Broken) {
        let message = format!("\"{key}\" must be a map, got {}", got(map));
        report.error(Code::WrongType, map.mark, message);
    }
    let mut texts = Vec::new();
    for entry in map.entries() {
        match &entry.value.value {
            Value::Text(text) => texts.push((entry, text.as_str())),
            Value::Broken => {}
            _ => {
                let key = brief(&entry.key);
                let message = format!("\"{key}\" must be text, got {}", got(&entry.value));
                let hint = Some("put it in quotes".to_owned());
                report.error_with(Code::WrongType, entry.value.mark, message, hint);
            }
        }
    }
    texts
}

fn refuse_reserved(what: &str, entry: &Entry, report: &mut Report<'_>) {
    let message = format!("the {what} \"{}\" is set by Axon", brief(&entry.key));
    let hint = "choose a prefix of your own, such as \"example.com/\"".to_owned();
    report.error_with(Code::ReservedKey, entry.mark, message, Some(hint));
}

/// The annotations under a reserved prefix that are a person's to set.
fn check_own(
    kind: Kind,
    entry: &Entry,
    value: &str,
    rerun: &mut Option<Rerun>,
    report: &mut Report<'_>,
) {
    let expected = match entry.key.as_str() {
        labels::PRUNE => (value != "disabled").then(|| "\"disabled\"".to_owned()),
        labels::ADOPT_INTO => {
            let id = SyncId::parse(value);
            id.err().map(|_| "the id of a sync".to_owned())
        }
        labels::RERUN if kind == Kind::Task => match value.parse() {
            Ok(number) => {
                let mark = entry.mark;
                *rerun = Some(Rerun { number, mark });
                None
            }
            Err(_) => Some("a whole number in quotes".to_owned()),
        },
        _ => return refuse_reserved("annotation", entry, report),
    };
    if let Some(expected) = expected {
        let message = format!(
            "\"{}\" must be {expected}, got \"{}\"",
            entry.key,
            brief(value)
        );
        report.error(Code::InvalidValue, entry.value.mark, message);
    }
}

fn check_key(entry: &Entry, report: &mut Report<'_>) {
    if !label::is_key(&entry.key) {
        report.error(Code::InvalidLabel, entry.mark, label::wrong_key(&entry.key));
    }
}
