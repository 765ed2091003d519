//! `metadata.managedFields`: who owns which fields.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::set::Element;
use super::set::FieldSet;

/// How many entries of other writes than apply are kept apart, as in Kubernetes.
const MAX_UPDATERS: usize = 10;
/// The entry that older writes are gathered in.
const ANCIENT: &str = "ancient-changes";

/// How a manager came to own fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// What tells one entry from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Manager {
    pub(super) name: String,
    pub(super) operation: Operation,
    pub(super) subresource: String,
}

/// One entry of `managedFields`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) manager: Manager,
    pub(super) api_version: String,
    pub(super) time: Option<String>,
    pub(super) set: FieldSet,
}

impl Entry {
    /// `"kubectl" using v1`, as conflicts name it.
    pub(super) fn shown(&self) -> String {
        let mut shown = format!("\"{}\"", self.manager.name);
        if !self.manager.subresource.is_empty() {
            shown = format!("{shown} with subresource \"{}\"", self.manager.subresource);
        }
        if self.manager.operation == Operation::Update {
            shown = format!("{shown} using {}", self.api_version);
        }
        shown
    }

    /// Where it stands among others: what Kubernetes calls a manager begins with its name, and ends with the
    /// subresource if there is one.
    pub(super) fn place(&self) -> impl Ord + use<> {
        let manager = &self.manager;
        let written = (manager.operation == Operation::Update)
            .then(|| (self.api_version.clone(), self.time.clone()));
        let is_of_whole = manager.subresource.is_empty();
        (
            manager.name.clone(),
            manager.operation,
            written,
            is_of_whole,
        )
    }

    fn decode(entry: &Value) -> Option<Self> {
        let text = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
        let operation = match entry["operation"].as_str()? {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return None,
        };
        if entry["fieldsType"] != "FieldsV1" {
            return None;
        }
        Some(Self {
            manager: Manager {
                name: text("manager"),
                operation,
                subresource: text("subresource"),
            },
            api_version: text("apiVersion"),
            time: entry["time"].as_str().map(Into::into),
            set: FieldSet::decode(&entry["fieldsV1"])?,
        })
    }

    fn encode(&self) -> Value {
        let mut entry = json!({
            "manager": self.manager.name,
            "operation": self.manager.operation.name(),
            "apiVersion": self.api_version,
            "fieldsType": "FieldsV1",
            "fieldsV1": self.set.encode(),
        });
        if let Some(time) = &self.time {
            entry["time"] = time.as_str().into();
        }
        if !self.manager.subresource.is_empty() {
            entry["subresource"] = self.manager.subresource.as_str().into();
        }
        entry
    }
}

/// All entries of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Managers(pub(super) Vec<Entry>);

impl Managers {
    /// Reads `managedFields`. None if an entry is not well formed.
    pub(super) fn decode(list: &Value) -> Option<Self> {
        let entries = list.as_array().map(Vec::as_slice).unwrap_or_default();
        let entries: Option<Vec<_>> = entries.iter().map(Entry::decode).collect();
        entries.map(Self)
    }

    /// Writes `managedFields` into an object.
    pub(super) fn store(mut self, meta: &mut Map<String, Value>) {
        self.0.retain(|entry| !entry.set.is_empty());
        if self.0.is_empty() {
            meta.remove("managedFields");
            return;
        }
        self.0.sort_by(|one, other| {
            let key = |it: &Entry| {
                (
                    it.manager.operation,
                    it.time.clone(),
                    it.manager.name.clone(),
                    it.manager.subresource.clone(),
                )
            };
            key(one).cmp(&key(other))
        });
        let entries: Vec<_> = self.0.iter().map(Entry::encode).collect();
        meta.insert("managedFields".into(), entries.into());
    }

    pub(super) fn find(&self, manager: &Manager) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.manager == *manager)
    }

    /// Puts an entry in the place of the one with the same manager.
    pub(super) fn put(&mut self, entry: Entry) {
        match self.0.iter_mut().find(|it| it.manager == entry.manager) {
            Some(known) => *known = entry,
            None => self.0.push(entry),
        }
    }

    /// Gathers the oldest writes when there are too many.
    pub(super) fn cap(&mut self) {
        let is_update = |it: &Entry| it.manager.operation == Operation::Update;
        let (mut updates, mut others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.0).into_iter().partition(is_update);
        if updates.len() > MAX_UPDATERS {
            updates.sort_by(|one, other| {
                (&one.time, &one.manager.name).cmp(&(&other.time, &other.manager.name))
            });
            let surplus = updates.len() - MAX_UPDATERS + 1;
            let newer = updates.split_off(surplus);
            let gathered = updates.into_iter().reduce(|one, other| Entry {
                manager: Manager {
                    name: ANCIENT.into(),
                    operation: Operation::Update,
                    subresource: String::new(),
                },
                set: one.set.union(&other.set),
                ..other
            });
            updates = gathered.into_iter().chain(newer).collect();
        }
        others.append(&mut updates);
        self.0 = others;
    }
}

/// Fields that nobody owns.
pub(super) fn unowned() -> FieldSet {
    let field = |name: &str| Element::Field(name.into());
    let mut set = FieldSet::default();
    for name in ["apiVersion", "kind", "metadata"] {
        set.insert(&[field(name)]);
    }
    for name in [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
    ] {
        set.insert(&[field("metadata"), field(name)]);
    }
    set
}
