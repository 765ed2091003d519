//! What the store holds in memory: every object, and the latest changes of each resource.
//!
//! Only the writer changes it, and only after the change is safe on disk.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::watch;

use super::key::Key;
use super::key::Scope;

/// How many changes of one resource a watch can look back on.
const HISTORY_EVENTS: usize = 2048;
/// How many bytes of objects the history of one resource keeps alive.
const HISTORY_BYTES: usize = 8 << 20;

/// One stored object.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) revision: u64,
    pub(crate) uid: Box<str>,
    /// UIDs of the objects that own this one.
    pub(crate) owners: Box<[Box<str>]>,
    /// Whether it is marked for deletion.
    pub(crate) is_deleting: bool,
    /// Sorted by name.
    pub(crate) labels: Box<[(Box<str>, Box<str>)]>,
    /// The object as JSON, `metadata.resourceVersion` included.
    pub(crate) json: Bytes,
}

impl Entry {
    /// `object` as it is stored at `revision`.
    pub(super) fn new(revision: u64, object: &mut Value) -> Self {
        if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            meta.insert("resourceVersion".into(), revision.to_string().into());
        }
        let json = object.to_string().into();
        Self::describe(revision, object, json)
    }

    /// An entry read back from disk. None if the bytes are no object.
    pub(super) fn read(revision: u64, json: Vec<u8>) -> Option<Self> {
        let object: Value = serde_json::from_slice(&json).ok()?;
        object.get("metadata")?.as_object()?;
        Some(Self::describe(revision, &object, json.into()))
    }

    fn describe(revision: u64, object: &Value, json: Bytes) -> Self {
        let meta = &object["metadata"];
        let owners = meta["ownerReferences"].as_array().into_iter().flatten();
        let labels: BTreeMap<_, _> = meta["labels"]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((Box::from(name.as_str()), value.as_str()?.into())))
            .collect();
        Self {
            revision,
            uid: meta["uid"].as_str().unwrap_or_default().into(),
            owners: owners
                .filter_map(|owner| owner["uid"].as_str().map(Box::from))
                .collect(),
            is_deleting: meta["deletionTimestamp"].is_string(),
            labels: labels.into_iter().collect(),
            json,
        }
    }

    /// The object.
    pub(crate) fn object(&self) -> Value {
        serde_json::from_slice(&self.json).expect("what is stored was written as JSON")
    }
}

/// What happened to one object.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Added(Arc<Entry>),
    Modified {
        before: Arc<Entry>,
        now: Arc<Entry>,
    },
    /// `now` is the last state, at the revision of the deletion.
    Deleted {
        before: Arc<Entry>,
        now: Arc<Entry>,
    },
}

impl Change {
    pub(crate) fn now(&self) -> &Arc<Entry> {
        match self {
            Self::Added(now) | Self::Modified { now, .. } | Self::Deleted { now, .. } => now,
        }
    }

    pub(crate) fn before(&self) -> Option<&Arc<Entry>> {
        match self {
            Self::Added(_) => None,
            Self::Modified { before, .. } | Self::Deleted { before, .. } => Some(before),
        }
    }
}

/// A change and the object it happened to.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) key: Key,
    pub(crate) change: Change,
}

impl Event {
    pub(crate) fn revision(&self) -> u64 {
        self.change.now().revision
    }
}

/// The revision asked for is no longer, or not yet, known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OutOfReach {
    Compacted { oldest: u64 },
    Future { current: u64 },
}

/// The changes of one resource since `floor`.
struct History {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    floor: u64,
    tip: watch::Sender<u64>,
}

impl History {
    fn new(floor: u64) -> Self {
        Self {
            events: VecDeque::new(),
            bytes: 0,
            floor,
            tip: watch::Sender::new(floor),
        }
    }

    fn push(&mut self, event: Arc<Event>) {
        self.bytes += event.change.now().json.len();
        self.tip.send_replace(event.revision());
        self.events.push_back(event);
        while self.events.len() > HISTORY_EVENTS || self.bytes > HISTORY_BYTES {
            let Some(dropped) = self.events.pop_front() else {
                break;
            };
            self.bytes -= dropped.change.now().json.len();
            self.floor = dropped.revision();
        }
    }

    /// Events after `revision`, oldest first.
    fn after(&self, revision: u64) -> impl DoubleEndedIterator<Item = &Arc<Event>> {
        let start = self
            .events
            .partition_point(|event| event.revision() <= revision);
        self.events.range(start..)
    }
}

/// Objects by key and uid, and the history of each resource.
pub(crate) struct Memory {
    pub(super) objects: BTreeMap<Key, Arc<Entry>>,
    uids: HashMap<Box<str>, Key>,
    dependents: HashMap<Box<str>, BTreeSet<Key>>,
    histories: HashMap<Box<str>, History>,
    /// What the garbage collector has to look at.
    touched: BTreeSet<Key>,
    opened: u64,
    pub(super) revision: u64,
}

impl Memory {
    pub(super) fn new(objects: BTreeMap<Key, Arc<Entry>>, revision: u64) -> Self {
        let mut memory = Self {
            objects: BTreeMap::new(),
            uids: HashMap::new(),
            dependents: HashMap::new(),
            histories: HashMap::new(),
            touched: BTreeSet::new(),
            opened: revision,
            revision,
        };
        for (key, entry) in objects {
            memory.link(&key, &entry);
            // What was under way when the last process ended is looked at again.
            if entry.is_deleting || !entry.owners.is_empty() {
                memory.touched.insert(key.clone());
            }
            memory.objects.insert(key, entry);
        }
        memory
    }

    /// The revision of the last write.
    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Arc<Entry>> {
        self.objects.get(key)
    }

    pub(crate) fn key_of(&self, uid: &str) -> Option<&Key> {
        self.uids.get(uid)
    }

    /// The objects that name `uid` as an owner.
    pub(crate) fn dependents(&self, uid: &str) -> Vec<Key> {
        let keys = self.dependents.get(uid);
        keys.into_iter().flatten().cloned().collect()
    }

    /// The objects inside `scope` whose keys come after `start`.
    pub(crate) fn range<'a>(
        &'a self,
        scope: &Scope,
        start: Option<&Key>,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Entry>)> + use<'a> {
        let prefix = scope.prefix();
        let from = match start {
            Some(key) => Bound::Excluded(key.clone()),
            None => Bound::Included(Key::begin(&prefix)),
        };
        self.objects
            .range((from, Bound::Unbounded))
            .take_while(move |(key, _)| key.as_str().starts_with(&prefix))
    }

    /// The objects inside `scope` as they were at `revision`.
    pub(crate) fn range_at(
        &self,
        scope: &Scope,
        start: Option<&Key>,
        revision: u64,
    ) -> Result<BTreeMap<Key, Arc<Entry>>, OutOfReach> {
        self.reach(&scope.resource, revision)?;
        let prefix = scope.prefix();
        let mut found: BTreeMap<_, _> = self
            .range(scope, start)
            .map(|(key, entry)| (key.clone(), Arc::clone(entry)))
            .collect();
        let Some(history) = self.histories.get(scope.resource.as_str()) else {
            return Ok(found);
        };
        // Undo what came later, the latest change first.
        for event in history.after(revision).rev() {
            let key = &event.key;
            if !key.as_str().starts_with(&prefix) || start.is_some_and(|start| key <= start) {
                continue;
            }
            match event.change.before() {
                Some(before) => found.insert(key.clone(), Arc::clone(before)),
                None => found.remove(key),
            };
        }
        Ok(found)
    }

    /// At most `limit` events inside `scope` after `revision`, and the revision up to which they
    /// are complete.
    pub(crate) fn events_after(
        &self,
        scope: &Scope,
        revision: u64,
        limit: usize,
    ) -> Result<(Vec<Arc<Event>>, u64), OutOfReach> {
        self.reach(&scope.resource, revision)?;
        let Some(history) = self.histories.get(scope.resource.as_str()) else {
            return Ok((Vec::new(), self.revision));
        };
        let prefix = scope.prefix();
        let inside = history
            .after(revision)
            .filter(|event| event.key.as_str().starts_with(&prefix));
        let events: Vec<_> = inside.take(limit).cloned().collect();
        let complete = match events.last() {
            Some(last) if events.len() == limit => last.revision(),
            _ => self.revision,
        };
        Ok((events, complete))
    }

    fn reach(&self, resource: &str, revision: u64) -> Result<(), OutOfReach> {
        let oldest = match self.histories.get(resource) {
            Some(history) => history.floor,
            None => self.opened,
        };
        if revision < oldest {
            return Err(OutOfReach::Compacted { oldest });
        }
        if revision > self.revision {
            return Err(OutOfReach::Future {
                current: self.revision,
            });
        }
        Ok(())
    }

    /// Tells when `resource` changes.
    pub(super) fn subscribe(&mut self, resource: &str) -> watch::Receiver<u64> {
        let opened = self.opened;
        let history = self
            .histories
            .entry(resource.into())
            .or_insert_with(|| History::new(opened));
        history.tip.subscribe()
    }

    /// What has to be looked at since the last call.
    pub(super) fn take_touched(&mut self) -> BTreeSet<Key> {
        std::mem::take(&mut self.touched)
    }

    /// Deletions, owners that went away, dependents that came: all that garbage collection is about.
    fn touch(&mut self, event: &Event) {
        let key = &event.key;
        match &event.change {
            Change::Added(now) | Change::Modified { now, .. } => {
                if now.is_deleting || !now.owners.is_empty() {
                    self.touched.insert(key.clone());
                }
                if now.is_deleting {
                    self.touched.extend(self.dependents(&now.uid));
                }
                if let Some(before) = event.change.before() {
                    // Owners that may have waited for it.
                    self.touch_owners(before);
                }
            }
            Change::Deleted { before, .. } => {
                self.touched.extend(self.dependents(&before.uid));
                self.touch_owners(before);
                // Containers that may wait for this object: its namespace, its definition.
                for (resource, name) in [
                    ("namespaces", key.namespace()),
                    (
                        "customresourcedefinitions.apiextensions.k8s.io",
                        key.resource(),
                    ),
                ] {
                    let holder = Key::new(resource, "", name);
                    if self.objects.get(&holder).is_some_and(|it| it.is_deleting) {
                        self.touched.insert(holder);
                    }
                }
            }
        }
    }

    /// Only one that is being deleted can wait for its dependents.
    fn touch_owners(&mut self, dependent: &Entry) {
        let owners = dependent.owners.iter().filter_map(|uid| self.uids.get(uid));
        let waiting = owners.filter(|it| self.objects.get(*it).is_some_and(|it| it.is_deleting));
        self.touched.extend(waiting.cloned());
    }

    /// Takes in a change that is safe on disk.
    pub(super) fn apply(&mut self, event: Event) {
        self.touch(&event);
        let key = &event.key;
        if let Some(before) = event.change.before() {
            self.unlink(key, before);
        }
        match &event.change {
            Change::Added(now) | Change::Modified { now, .. } => {
                self.link(key, now);
                self.objects.insert(key.clone(), Arc::clone(now));
            }
            Change::Deleted { .. } => {
                self.objects.remove(key);
            }
        }
        self.revision = event.revision();
        let opened = self.opened;
        self.histories
            .entry(key.resource().into())
            .or_insert_with(|| History::new(opened))
            .push(Arc::new(event));
    }

    fn link(&mut self, key: &Key, entry: &Entry) {
        self.uids.insert(entry.uid.clone(), key.clone());
        for owner in &entry.owners {
            let keys = self.dependents.entry(owner.clone()).or_default();
            keys.insert(key.clone());
        }
    }

    fn unlink(&mut self, key: &Key, entry: &Entry) {
        self.uids.remove(&entry.uid);
        for owner in &entry.owners {
            if let Some(keys) = self.dependents.get_mut(owner) {
                keys.remove(key);
                if keys.is_empty() {
                    self.dependents.remove(owner);
                }
            }
        }
    }
}
