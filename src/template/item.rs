//! A work item as data of a template.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::text::Value;
use crate::model::item::WorkItem;

pub(super) const COMMENTS: &str = "Comments";

/// The fields of an item.
pub(super) const FIELDS: &[&str] = &[
    "ID", "Number", "Title", "Body", "URL", "Labels", COMMENTS, "Kind", "Time", "Schedule",
];

pub(super) fn value(item: &WorkItem) -> Value {
    let WorkItem {
        key: _,
        id,
        number,
        title,
        body,
        url,
        labels,
        comments,
        kind,
        time,
        schedule,
    } = item;
    let text = |text: &str| Value::Str(text.into());
    let fields = [
        ("ID", text(id)),
        ("Number", Value::Int((*number).into())),
        ("Title", text(title)),
        ("Body", text(body)),
        ("URL", text(url)),
        ("Labels", text(&labels.join(", "))),
        (COMMENTS, text(&comments.join("\n\n"))),
        ("Kind", text(kind.as_str())),
        ("Time", text(time)),
        ("Schedule", text(schedule)),
    ];
    let fields = fields.map(|(name, value)| (name.to_owned(), value));
    Value::Map(Arc::new(BTreeMap::from(fields)))
}
