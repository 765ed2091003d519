//! YAML as a tree in which every key and value knows its place.
//!
//! Entries that are filled up, moved and renamed on their way to a manifest keep their places, so a
//! problem found at the end of that way is still told where it was written.

use serde_json::Map as JsonMap;
use serde_json::Number;
use serde_json::Value as Json;

/// A place in one of the input files. Line and column count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Mark {
    /// Index into the files of the snapshot.
    pub(super) file: usize,
    pub(super) line: usize,
    pub(super) column: usize,
    /// Characters that what stands there has on this line, as far as it is known.
    pub(super) width: usize,
}

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) mark: Mark,
    pub(super) value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    /// Unquoted text that YAML's versions read differently, as written: `017`, `0x1f`, `.inf`.
    Odd(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// Something that was already reported.
    Broken,
}

/// A key of a map, and its value. No key stands twice in a map.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Where the key stands.
    pub(super) mark: Mark,
    pub(super) value: Node,
}

impl Node {
    /// What was reported already.
    pub(super) fn broken(mark: Mark) -> Self {
        let value = Value::Broken;
        Self { mark, value }
    }

    pub(super) fn text(mark: Mark, text: impl Into<String>) -> Self {
        let value = Value::Text(text.into());
        Self { mark, value }
    }

    pub(super) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    pub(super) fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The value of `key`, where there is one that says something.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        let value = &self.entry(key)?.value;
        (!matches!(value.value, Value::Null)).then_some(value)
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text under `key`, and its place.
    pub(super) fn text_of(&self, key: &str) -> Option<(&str, Mark)> {
        let value = self.get(key)?;
        Some((value.as_text()?, value.mark))
    }

    /// The place of the value that a JSON pointer names; where it leads to nothing, of the key of
    /// the nearest ancestor.
    pub(super) fn place_of(&self, pointer: &str) -> Option<Mark> {
        let mut node = self;
        let mut nearest = None;
        for step in pointer.split('/').skip(1) {
            let step = unescaped(step);
            let (next, at) = match &node.value {
                Value::Map(_) => node.entry(&step).map(|it| (&it.value, it.mark)),
                Value::List(items) => step
                    .parse()
                    .ok()
                    .and_then(|at: usize| items.get(at))
                    .map(|item| (item, item.mark)),
                _ => None,
            }
            .unzip();
            let (Some(next), at) = (next, at) else {
                return nearest;
            };
            node = next;
            nearest = at;
        }
        nearest.map(|_| node.mark)
    }

    /// The place of the key whose value a JSON pointer names.
    pub(super) fn key_of(&self, pointer: &str) -> Option<Mark> {
        let (parent, key) = pointer.rsplit_once('/')?;
        let mut node = self;
        for step in parent.split('/').skip(1) {
            node = &node.entry(&unescaped(step))?.value;
        }
        Some(node.entry(&unescaped(key))?.mark)
    }

    /// Bytes this needs, about: what budgets count.
    pub(super) fn weight(&self) -> usize {
        NODE_WEIGHT
            + match &self.value {
                Value::Text(text) | Value::Odd(text) => text.len(),
                Value::List(items) => items.iter().map(Self::weight).sum(),
                Value::Map(entries) => entries
                    .iter()
                    .map(|entry| entry.key.len() + entry.value.weight())
                    .sum(),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Broken => 0,
            }
    }

    /// The value as JSON. Keys that are set to nothing are left out.
    pub(super) fn to_json(&self) -> Json {
        self.to_json_without(&|_| false)
    }

    /// The value as JSON, without the values of keys that stand where `refused` says so.
    pub(super) fn to_json_without(&self, refused: &dyn Fn(Mark) -> bool) -> Json {
        let stays = |entry: &&Entry| match entry.value.value {
            Value::Null | Value::Broken => false,
            _ => !refused(entry.value.mark),
        };
        match &self.value {
            Value::Null | Value::Broken => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Number(value) => Json::Number(value.clone()),
            Value::Odd(text) | Value::Text(text) => Json::String(text.clone()),
            Value::List(items) => items.iter().map(|it| it.to_json_without(refused)).collect(),
            Value::Map(entries) => {
                let kept = entries.iter().filter(stays);
                let fields = kept.map(|it| (it.key.clone(), it.value.to_json_without(refused)));
                Json::Object(fields.collect::<JsonMap<_, _>>())
            }
        }
    }
}

/// A step of a JSON pointer, as the key that it stands for.
fn unescaped(step: &str) -> String {
    step.replace("~1", "/").replace("~0", "~")
}

/// What a node costs besides its text.
pub(super) const NODE_WEIGHT: usize = 64;
