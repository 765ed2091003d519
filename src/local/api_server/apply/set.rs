//! Sets of fields, as `managedFields` writes them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

/// One step down into an object. Values are kept as JSON text, which orders and compares well.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Element {
    Field(String),
    /// The item of a list with these keys.
    Key(BTreeMap<String, String>),
    /// The item of a set.
    Item(String),
    Index(u64),
}

impl Element {
    /// `f:name`, `k:{"name":"x"}`, `v:"x"`, `i:0`.
    fn encode(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(keys) => {
                let pairs: Vec<_> = keys
                    .iter()
                    .map(|(name, value)| format!("{}:{value}", json!(name)))
                    .collect();
                format!("k:{{{}}}", pairs.join(","))
            }
            Self::Item(value) => format!("v:{value}"),
            Self::Index(index) => format!("i:{index}"),
        }
    }

    fn decode(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        match kind {
            "f" => Some(Self::Field(rest.into())),
            "k" => {
                let keys: Map<String, Value> = serde_json::from_str(rest).ok()?;
                let keys = keys.into_iter().map(|(name, it)| (name, it.to_string()));
                Some(Self::Key(keys.collect()))
            }
            "v" => {
                let value: Value = serde_json::from_str(rest).ok()?;
                Some(Self::Item(value.to_string()))
            }
            "i" => rest.parse().ok().map(Self::Index),
            _ => None,
        }
    }
}

/// As messages show it.
impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(keys) => {
                let pairs: Vec<_> = keys.iter().map(|(key, it)| format!("{key}={it}")).collect();
                write!(f, "[{}]", pairs.join(","))
            }
            Self::Item(value) => write!(f, "[={value}]"),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// A set of paths. A member is in the set itself; a child only has members below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSet {
    pub(super) members: BTreeSet<Element>,
    pub(super) children: BTreeMap<Element, FieldSet>,
}

impl FieldSet {
    pub(super) fn insert(&mut self, path: &[Element]) {
        match path {
            [] => {}
            [last] => {
                self.members.insert(last.clone());
            }
            [first, rest @ ..] => self.children.entry(first.clone()).or_default().insert(rest),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.children.values().all(Self::is_empty)
    }

    pub(super) fn union(&self, other: &Self) -> Self {
        let mut all = self.clone();
        all.members.extend(other.members.iter().cloned());
        for (element, theirs) in &other.children {
            let ours = all.children.entry(element.clone()).or_default();
            *ours = ours.union(theirs);
        }
        all
    }

    pub(super) fn intersection(&self, other: &Self) -> Self {
        let mut both = Self {
            members: self.members.intersection(&other.members).cloned().collect(),
            children: BTreeMap::new(),
        };
        for (element, ours) in &self.children {
            if let Some(theirs) = other.children.get(element) {
                both.adopt(element, ours.intersection(theirs));
            }
        }
        both
    }

    /// What is here and not in `other`. Having a path does not take away what lies below it.
    pub(super) fn difference(&self, other: &Self) -> Self {
        self.subtract(other, false)
    }

    /// What is here and neither in `other` nor below something in it.
    pub(super) fn without_trees(&self, other: &Self) -> Self {
        self.subtract(other, true)
    }

    fn subtract(&self, other: &Self, whole_trees: bool) -> Self {
        let mut left = Self {
            members: self.members.difference(&other.members).cloned().collect(),
            children: BTreeMap::new(),
        };
        for (element, ours) in &self.children {
            if whole_trees && other.members.contains(element) {
                continue;
            }
            match other.children.get(element) {
                Some(theirs) => left.adopt(element, ours.subtract(theirs, whole_trees)),
                None => left.adopt(element, ours.clone()),
            }
        }
        left
    }

    pub(super) fn adopt(&mut self, element: &Element, child: Self) {
        if !child.is_empty() {
            self.children.insert(element.clone(), child);
        }
    }

    /// Every member as text, `.spec.image`.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths: Vec<_> = self.members.iter().map(ToString::to_string).collect();
        for (element, child) in &self.children {
            let below = child.paths().into_iter();
            paths.extend(below.map(|path| format!("{element}{path}")));
        }
        paths
    }

    /// `fieldsV1`.
    pub(crate) fn encode(&self) -> Value {
        let mut fields = Map::new();
        for element in &self.members {
            fields.insert(element.encode(), json!({}));
        }
        for (element, child) in &self.children {
            let mut inner = child.encode();
            if self.members.contains(element) {
                inner["."] = json!({});
            }
            fields.insert(element.encode(), inner);
        }
        Value::Object(fields)
    }

    /// Reads `fieldsV1`. None if it is not well formed.
    pub(crate) fn decode(fields: &Value) -> Option<Self> {
        let mut set = Self::default();
        for (name, inner) in fields.as_object()? {
            if name == "." {
                continue;
            }
            let element = Element::decode(name)?;
            let child = Self::decode(inner)?;
            if child.is_empty() || inner.get(".").is_some() {
                set.members.insert(element.clone());
            }
            set.adopt(&element, child);
        }
        Some(set)
    }
}

#[cfg(test)]
mod tests {
    use super::FieldSet;
    use serde_json::Value;
    use serde_json::json;

    fn set(fields: &Value) -> FieldSet {
        FieldSet::decode(fields).unwrap()
    }

    #[test]
    fn what_is_read_is_written_again() {
        let fields = json!({
            "f:metadata": {"f:labels": {".": {}, "f:a": {}}},
            "f:spec": {"f:list": {"k:{\"name\":\"x\",\"port\":80}": {".": {}, "f:v": {}}}, "f:set": {"v:\"y\"": {}}},
        });
        assert_eq!(set(&fields).encode(), fields);
        assert_eq!(FieldSet::decode(&json!({"x:y": {}})), None);
    }

    #[test]
    fn paths_read_as_in_messages() {
        let fields =
            json!({"f:spec": {"f:a": {}, "f:l": {"k:{\"id\":\"x\"}": {"f:n": {}}, "v:1": {}}}});
        let expected = [".spec.a", ".spec.l[=1]", ".spec.l[id=\"x\"].n"];
        assert_eq!(set(&fields).paths(), expected);
    }

    #[test]
    fn sets_are_combined() {
        let one = set(&json!({"f:a": {}, "f:b": {".": {}, "f:c": {}, "f:d": {}}}));
        let two = set(&json!({"f:b": {"f:c": {}}, "f:e": {}}));
        let check = |found: FieldSet, expected: Value| assert_eq!(found.encode(), expected);
        check(one.intersection(&two), json!({"f:b": {"f:c": {}}}));
        check(
            one.difference(&two),
            json!({"f:a": {}, "f:b": {".": {}, "f:d": {}}}),
        );
        let parent = set(&json!({"f:b": {}}));
        check(
            one.difference(&parent),
            json!({"f:a": {}, "f:b": {"f:c": {}, "f:d": {}}}),
        );
        check(one.without_trees(&parent), json!({"f:a": {}}));
        assert_eq!(one.union(&two).difference(&two), one.difference(&two));
    }
}
