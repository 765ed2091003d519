//! Who owns which field, by `metadata.managedFields`.

use serde_json::Map;
use serde_json::Value;

use crate::cluster::Object;
use crate::sync::path::FieldPath;
use crate::sync::path::Part;

/// The field managers whose fields are ours.
pub(super) struct Ours<'a> {
    pub(super) manager: &'a str,
    /// Managers whose fields become ours with the next apply.
    pub(super) inherits: &'a [String],
}

impl Ours<'_> {
    fn include(&self, manager: &str) -> bool {
        manager == self.manager || self.inherits.iter().any(|it| it == manager)
    }
}

/// The field managers of one object.
pub(super) struct Owners<'a> {
    entries: Vec<Entry<'a>>,
}

struct Entry<'a> {
    manager: &'a str,
    is_apply: bool,
    time: &'a str,
    fields: &'a Map<String, Value>,
}

impl<'a> Owners<'a> {
    pub(super) fn of(object: &'a Object) -> Self {
        let mut entries: Vec<Entry<'a>> =
            object.managed_fields().iter().filter_map(entry).collect();
        // RFC 3339 times in UTC, as the API server writes them, sort as text.
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.time));
        Self { entries }
    }

    /// Whether `manager` owns anything.
    pub(super) fn has(&self, manager: &str) -> bool {
        self.entries.iter().any(|entry| entry.manager == manager)
    }

    /// What an apply of ours gives up unless it is declared, as trees of `f:` keys.
    pub(super) fn applied<'s>(
        &'s self,
        ours: &'s Ours<'s>,
    ) -> impl Iterator<Item = &'a Map<String, Value>> + 's {
        self.entries
            .iter()
            .filter(|entry| {
                ours.include(entry.manager) && (entry.is_apply || entry.manager != ours.manager)
            })
            .map(|entry| entry.fields)
    }

    /// The manager not of `ours` that owns the field, or some of it; the latest, if there are several.
    pub(super) fn other_than(&self, ours: &Ours<'_>, path: &FieldPath) -> Option<&'a str> {
        self.entries
            .iter()
            .find(|entry| !ours.include(entry.manager) && owns(entry.fields, path.parts()))
            .map(|entry| entry.manager)
    }
}

fn entry(value: &Value) -> Option<Entry<'_>> {
    // What is written through a subresource (the status) is no business of the configuration.
    if value["subresource"]
        .as_str()
        .is_some_and(|it| !it.is_empty())
    {
        return None;
    }
    Some(Entry {
        manager: value["manager"].as_str()?,
        is_apply: value["operation"] == "Apply",
        time: value["time"].as_str().unwrap_or_default(),
        fields: value["fieldsV1"].as_object()?,
    })
}

fn owns(fields: &Map<String, Value>, path: &[Part]) -> bool {
    let Some((first, rest)) = path.split_first() else {
        return true;
    };
    let Part::Key(key) = first else {
        // Lists of ours are owned as a whole.
        return true;
    };
    match fields.get(&format!("f:{key}")) {
        None => false,
        // Owned as a whole, whatever is in it.
        Some(Value::Object(below)) if !below.is_empty() => owns(below, rest),
        Some(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(path: &FieldPath, expected: Option<&str>) {
        let object = Object::new(json!({"metadata": {"managedFields": [
            {"manager": "axon-app", "operation": "Apply", "time": "2026-01-01T00:00:00Z",
             "fieldsV1": {"f:spec": {"f:repo": {}, "f:ref": {}}}},
            {"manager": "older", "operation": "Update", "time": "2026-01-02T00:00:00Z",
             "fieldsV1": {"f:spec": {"f:ref": {}, "f:env": {}}}},
            {"manager": "newer", "operation": "Update", "time": "2026-01-03T00:00:00Z",
             "fieldsV1": {"f:spec": {"f:ref": {}}}},
            {"manager": "status-writer", "operation": "Update", "subresource": "status",
             "fieldsV1": {"f:spec": {"f:repo": {}}}},
            {"manager": "broken"},
        ]}}));
        let ours = Ours {
            manager: "axon-app",
            inherits: &[],
        };
        assert_eq!(
            Owners::of(&object).other_than(&ours, path),
            expected,
            "{path}"
        );
    }

    #[test]
    fn the_latest_other_manager_is_named() {
        check(&FieldPath::of(&["spec", "ref"]), Some("newer"));
        check(&FieldPath::of(&["spec", "repo"]), None);
        check(
            &FieldPath::of(&["spec", "env"]).index(2).key("value"),
            Some("older"),
        );
        check(&FieldPath::of(&["spec", "absent"]), None);
    }
}
