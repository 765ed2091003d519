//! Server-side apply, and the ownership of fields that every write leaves behind.
//!
//! Pure: objects in, objects and ownership out. `managers` is what is written down, `set` the paths
//! in it, `types` says how parts merge, `walk` goes through objects.

mod managers;
mod set;
mod types;
mod walk;

use serde_json::Value;
use serde_json::json;

use self::managers::Entry;
use self::managers::Manager;
use self::managers::Managers;
use self::managers::Operation;
use self::set::Element;
use self::set::FieldSet;
pub(super) use self::types::Type;
use super::object;

/// The owner of fields that were there before anyone applied.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Who writes, and what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writer<'a> {
    pub(super) manager: &'a str,
    /// Empty for the object itself.
    pub(super) subresource: &'a str,
    pub(super) api_version: &'a str,
    /// When, as it is written down.
    pub(super) time: &'a str,
    pub(super) of: Type<'a>,
    /// Fields that this request cannot write, and so cannot own.
    pub(super) ignored: &'a [&'a [&'a str]],
    /// Paths of structs that built-in types always have, so that nobody owns them.
    pub(super) blank: Option<&'a Value>,
}

/// Why an apply is refused.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Refusal {
    /// The fields that others own: (who, path).
    Conflicts(Vec<(String, String)>),
    /// The configuration cannot be understood.
    Malformed(String),
    ManagedFieldsGiven,
}

impl Writer<'_> {
    fn identity(&self, operation: Operation) -> Manager {
        let name = if self.manager.is_empty() {
            "unknown"
        } else {
            self.manager
        };
        Manager {
            name: name.into(),
            operation,
            subresource: self.subresource.into(),
        }
    }

    fn ignored(&self) -> FieldSet {
        let mut set = FieldSet::default();
        for path in self.ignored {
            let path: Vec<_> = path.iter().map(|it| Element::Field((*it).into())).collect();
            set.insert(&path);
        }
        set
    }

    /// Notes in `new` which fields this write, other than an apply, has taken. `old` None: a create.
    pub(super) fn update(&self, old: Option<&Value>, new: &mut Value) {
        let live = old.map(|old| &old["metadata"]["managedFields"]);
        let given = new["metadata"]["managedFields"].take();
        let managers = if self.subresource.is_empty() {
            chosen(live, &given)
        } else {
            live.and_then(Managers::decode)
        };
        let mut managers = managers.unwrap_or_default();
        object::meta_mut(new).remove("managedFields");
        if managers.0.is_empty() && old.is_some() {
            return;
        }
        let mut before = old.or(self.blank).cloned().unwrap_or_else(|| json!({}));
        if let Some(meta) = before["metadata"].as_object_mut() {
            meta.remove("managedFields");
        }
        self.note(
            &before,
            new,
            &mut managers,
            &self.identity(Operation::Update),
        );
        managers.cap();
        managers.store(object::meta_mut(new));
    }

    fn note(&self, old: &Value, new: &Value, managers: &mut Managers, manager: &Manager) {
        let ignored = self.ignored();
        let found = walk::compare(Some(old), new, self.of);
        let changed = found.modified.union(&found.added).without_trees(&ignored);
        let removed = found.removed.without_trees(&ignored);
        for entry in &mut managers.0 {
            entry.set = entry.set.difference(&changed).difference(&removed);
        }
        let mut taken = changed.difference(&managers::unowned());
        if taken.is_empty() {
            return;
        }
        if let Some(known) = managers.find(manager) {
            taken = taken.union(&known.set);
        }
        managers.put(Entry {
            manager: manager.clone(),
            api_version: self.api_version.into(),
            time: Some(self.time.into()),
            set: taken,
        });
    }

    /// Lays `applied` over `old`. None: there is no object yet.
    pub(super) fn apply(
        &self,
        old: Option<&Value>,
        applied: &Value,
        force: bool,
    ) -> Result<Value, Refusal> {
        if !applied["metadata"]["managedFields"].is_null() {
            return Err(Refusal::ManagedFieldsGiven);
        }
        let mut live = old.cloned().unwrap_or_else(|| json!({}));
        let mut managers = Managers::decode(&live["metadata"]["managedFields"]).unwrap_or_default();
        if let Some(meta) = live["metadata"].as_object_mut() {
            meta.remove("managedFields");
        }
        if managers.0.is_empty() && old.is_some() {
            let first = Manager {
                name: BEFORE_FIRST_APPLY.into(),
                operation: Operation::Update,
                subresource: self.subresource.into(),
            };
            let blank = self.blank.cloned().unwrap_or_else(|| json!({}));
            self.note(&blank, &live, &mut managers, &first);
        }
        let manager = self.identity(Operation::Apply);
        let set = walk::fields(applied, self.of).map_err(Refusal::Malformed)?;
        let set = set.without_trees(&self.ignored());
        let known = managers.find(&manager);
        let last = known.map(|entry| entry.set.clone());
        let last_time = known.and_then(|entry| entry.time.clone());
        managers.put(Entry {
            manager: manager.clone(),
            api_version: self.api_version.into(),
            time: last_time,
            set: set.difference(&managers::unowned()),
        });
        let merged = walk::merge(&live, applied, self.of);
        let mut object = match last {
            Some(last) if !last.is_empty() => self.prune(&merged, &managers, &last),
            _ => merged,
        };
        let changes = self.settle(&live, &object, &mut managers, &manager, force)?;
        if changes && let Some(own) = managers.0.iter_mut().find(|it| it.manager == manager) {
            own.time = Some(self.time.into());
        }
        managers.store(object::meta_mut(&mut object));
        Ok(object)
    }

    /// Takes away what the manager applied last time and nobody owns now.
    fn prune(&self, merged: &Value, managers: &Managers, last: &FieldSet) -> Value {
        let named = |set: &FieldSet| walk::with_named(set, self.of);
        let strip =
            |set: &FieldSet| walk::remove(merged, self.of, set).unwrap_or_else(|| json!({}));
        let fields_of = |object: &Value| named(&walk::live_fields(object, self.of));
        let everything = fields_of(merged);
        let pruned = strip(&named(last));
        let owned = managers
            .0
            .iter()
            .fold(FieldSet::default(), |all, entry| all.union(&entry.set));
        let kept = fields_of(&pruned).union(&named(&owned));
        let pruned = strip(&everything.difference(&kept));
        let dangling = everything
            .difference(&fields_of(&pruned))
            .intersection(&named(last));
        strip(&dangling)
    }

    /// Finds conflicts, and with `force` takes the fields over. Whether anything changes.
    fn settle(
        &self,
        live: &Value,
        object: &Value,
        managers: &mut Managers,
        manager: &Manager,
        force: bool,
    ) -> Result<bool, Refusal> {
        let ignored = self.ignored();
        let found = walk::compare(Some(live), object, self.of);
        let changed = found.modified.union(&found.added).without_trees(&ignored);
        let removed = found.removed.without_trees(&ignored);
        let mut conflicts = Vec::new();
        // In the order of the names that Kubernetes gives its managers.
        let mut others: Vec<_> = managers.0.iter_mut().collect();
        others.retain(|it| it.manager != *manager);
        others.sort_by_key(|it| it.place());
        for entry in others {
            let taken = entry.set.intersection(&changed);
            let paths = taken.paths().into_iter();
            conflicts.extend(paths.map(|path| (entry.shown(), path)));
            entry.set = entry.set.difference(&taken).difference(&removed);
        }
        if conflicts.is_empty() || force {
            Ok(!(found.modified.is_empty() && found.added.is_empty() && found.removed.is_empty()))
        } else {
            Err(Refusal::Conflicts(conflicts))
        }
    }
}

/// The entries that a request keeps: its own if it has good ones, else those that are stored.
fn chosen(live: Option<&Value>, given: &Value) -> Option<Managers> {
    if let Some(list) = given.as_array() {
        let is_reset = list.is_empty() || *list == [json!({})];
        if is_reset {
            return Some(Managers::default());
        }
    }
    match Managers::decode(given) {
        Some(managers) if !managers.0.is_empty() => Some(managers),
        _ => live.and_then(Managers::decode),
    }
}

#[cfg(test)]
mod tests;
