//! Walks over typed objects: which fields there are, how two states differ, merge, removal.
//!
//! The rules are those of Kubernetes' structured merge; the cases they leave open (values of a
//! wrong type) end as "replaced as a whole", and schema validation refuses them later.

use serde_json::Map;
use serde_json::Value;

use super::set::Element;
use super::set::FieldSet;
use super::types::ListType;
use super::types::Type;

/// How a value is walked into.
enum Shape<'v, 'a> {
    Leaf,
    Map(&'v Map<String, Value>),
    List(&'v [Value], ListType<'a>),
}

fn shape<'v, 'a>(value: &'v Value, of: Type<'a>) -> Shape<'v, 'a> {
    match value {
        Value::Object(fields) if !of.is_atomic_map() => Shape::Map(fields),
        Value::Array(items) => match of.list() {
            ListType::Atomic => Shape::Leaf,
            keyed => Shape::List(items, keyed),
        },
        _ => Shape::Leaf,
    }
}

fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Object(fields)) => fields.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(_) => false,
    }
}

/// The fields that an applied configuration has. The error names what cannot be.
pub(super) fn fields(value: &Value, of: Type<'_>) -> Result<FieldSet, String> {
    let mut collector = Collector::default();
    collector.collect(value, of);
    match collector.wrong.as_slice() {
        [] => Ok(collector.set),
        [one] => Err(one.clone()),
        several => Err(format!("errors:\n  {}", several.join("\n  "))),
    }
}

#[derive(Default)]
struct Collector {
    path: Vec<Element>,
    set: FieldSet,
    wrong: Vec<String>,
}

impl Collector {
    fn wrong(&mut self, why: &str) {
        let path = shown(&self.path);
        self.wrong.push(format!("{path}: {why}"));
    }

    fn collect(&mut self, value: &Value, of: Type<'_>) {
        if let Some(wanted) = of.misfit(value) {
            self.wrong(&format!("expected {wanted}, got {value}"));
            return;
        }
        match shape(value, of) {
            Shape::Leaf => {
                self.look_into(value, of);
                self.set.insert(&self.path);
            }
            Shape::Map(map) => self.map(map, of),
            Shape::List(items, list) => self.list(items, of, &list),
        }
    }

    /// What is replaced as a whole owns nothing within it, but all of it must be of its type.
    fn look_into(&mut self, value: &Value, of: Type<'_>) {
        if let Some(wanted) = of.misfit(value) {
            self.wrong(&format!("expected {wanted}, got {value}"));
            return;
        }
        match value {
            Value::Array(items) => {
                for (item, index) in items.iter().zip(0..) {
                    self.path.push(Element::Index(index));
                    self.look_into(item, of.item());
                    self.path.pop();
                }
            }
            Value::Object(fields) => {
                for (name, inner) in fields {
                    self.path.push(Element::Field(name.clone()));
                    match of.field(name) {
                        None => self.wrong("field not declared in schema"),
                        Some((inner_type, _)) => self.look_into(inner, inner_type),
                    }
                    self.path.pop();
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn map(&mut self, map: &Map<String, Value>, of: Type<'_>) {
        for (name, inner) in map {
            self.path.push(Element::Field(name.clone()));
            match of.field(name) {
                None => self.wrong("field not declared in schema"),
                Some((inner_type, declared)) => {
                    self.collect(inner, inner_type);
                    let is_void = inner.is_null() || inner.as_object().is_some_and(Map::is_empty);
                    if is_void || !declared {
                        self.set.insert(&self.path);
                    }
                }
            }
            self.path.pop();
        }
    }

    fn list(&mut self, items: &[Value], of: Type<'_>, list: &ListType<'_>) {
        let mut seen = Vec::new();
        for (item, index) in items.iter().zip(0..) {
            let keyed = matches!(list, ListType::Keyed(_));
            let Some(element) = of.element(list, item) else {
                if keyed && !item.is_object() {
                    let why = "associative list with keys may not have non-map elements";
                    self.wrong(&format!("element {index}: {why}"));
                    continue;
                }
                self.wrong(&format!("element {index}: {}", unkeyed(list)));
                continue;
            };
            if seen.contains(&element) {
                self.wrong(&format!("duplicate entries for key {element}"));
                continue;
            }
            self.path.push(element.clone());
            seen.push(element);
            self.collect(item, of.item());
            self.set.insert(&self.path);
            self.path.pop();
        }
    }
}

/// Why an item cannot be told from the others.
fn unkeyed(list: &ListType<'_>) -> String {
    match list {
        ListType::Keyed(keys) => {
            let keys: Vec<_> = keys.iter().map(|key| format!("\"{key}\"")).collect();
            format!(
                "associative list with keys has an element that omits all key fields [{}] (and doesn't have default values for any key fields)",
                keys.join(" ")
            )
        }
        ListType::Set | ListType::Atomic => {
            "associative list without keys has an element that's a map type".into()
        }
    }
}

fn shown(path: &[Element]) -> String {
    path.iter().map(ToString::to_string).collect()
}

/// The fields of a stored object, whatever they are.
pub(super) fn live_fields(value: &Value, of: Type<'_>) -> FieldSet {
    compare(None, value, of).added
}

/// How two states differ.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) removed: FieldSet,
    pub(super) modified: FieldSet,
    pub(super) added: FieldSet,
}

/// Compares; `old` None is a state without any field.
pub(super) fn compare(old: Option<&Value>, new: &Value, of: Type<'_>) -> Comparison {
    let mut found = Comparison::default();
    diff(old, Some(new), of, &mut Vec::new(), &mut found);
    found
}

fn diff(
    old: Option<&Value>,
    new: Option<&Value>,
    of: Type<'_>,
    path: &mut Vec<Element>,
    found: &mut Comparison,
) {
    let both_empty = is_empty(old) && is_empty(new);
    let walked = match (old, new) {
        _ if both_empty => None,
        (Some(old), Some(new)) => match (shape(old, of), shape(new, of)) {
            (Shape::Map(old), Shape::Map(new)) => Some((Some(old), Some(new))),
            (Shape::List(old, list), Shape::List(new, _)) => {
                diff_list(old, new, of, &list, path, found);
                return;
            }
            // Null takes any form.
            (Shape::List(items, list), Shape::Leaf) if new.is_null() => {
                diff_list(items, &[], of, &list, path, found);
                return;
            }
            (Shape::Leaf, Shape::List(items, list)) if old.is_null() => {
                diff_list(&[], items, of, &list, path, found);
                return;
            }
            (Shape::Map(old), Shape::Leaf) if new.is_null() => Some((Some(old), None)),
            (Shape::Leaf, Shape::Map(new)) if old.is_null() => Some((None, Some(new))),
            _ => None,
        },
        (None, Some(new)) => match shape(new, of) {
            Shape::Map(new) => Some((None, Some(new))),
            Shape::List(items, list) => {
                diff_list(&[], items, of, &list, path, found);
                found.added.insert(path);
                return;
            }
            Shape::Leaf => None,
        },
        (Some(old), None) => match shape(old, of) {
            Shape::Map(old) => Some((Some(old), None)),
            Shape::List(items, list) => {
                diff_list(items, &[], of, &list, path, found);
                found.removed.insert(path);
                return;
            }
            Shape::Leaf => None,
        },
        (None, None) => return,
    };
    if let Some((old_map, new_map)) = walked {
        let none = Map::new();
        diff_map(
            old_map.unwrap_or(&none),
            new_map.unwrap_or(&none),
            of,
            path,
            found,
        );
    }
    match (old, new) {
        (None, _) => found.added.insert(path),
        (_, None) => found.removed.insert(path),
        (Some(old), Some(new)) if walked.is_none() && old != new => {
            replaced(old, new, of, path, found);
        }
        _ => {}
    }
}

/// One value took the other's place, and so did the fields in it.
fn replaced(
    old: &Value,
    new: &Value,
    of: Type<'_>,
    path: &mut Vec<Element>,
    found: &mut Comparison,
) {
    found.modified.insert(path);
    let none = Map::new();
    let [old, new] = [old, new].map(|it| match shape(it, of) {
        Shape::Map(map) => map,
        Shape::Leaf | Shape::List(..) => &none,
    });
    diff_map(old, new, of, path, found);
}

fn diff_map(
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    of: Type<'_>,
    path: &mut Vec<Element>,
    found: &mut Comparison,
) {
    let gone = old.keys().filter(|name| !new.contains_key(*name));
    for name in new.keys().chain(gone) {
        let inner = of.field(name).map_or(Type::Deduced, |(inner, _)| inner);
        path.push(Element::Field(name.clone()));
        diff(old.get(name), new.get(name), inner, path, found);
        path.pop();
    }
}

fn diff_list(
    old: &[Value],
    new: &[Value],
    of: Type<'_>,
    list: &ListType<'_>,
    path: &mut Vec<Element>,
    found: &mut Comparison,
) {
    let old = index(old, of, list);
    let new = index(new, of, list);
    let gone = old
        .iter()
        .filter(|(element, _)| find(&new, element).is_none());
    for (element, _) in new.iter().chain(gone) {
        path.push(element.clone());
        diff(
            find(&old, element),
            find(&new, element),
            of.item(),
            path,
            found,
        );
        path.pop();
    }
}

type Indexed<'v> = Vec<(Element, &'v Value)>;

fn find<'v>(items: &Indexed<'v>, element: &Element) -> Option<&'v Value> {
    let found = items.iter().find(|(it, _)| it == element);
    found.map(|(_, item)| *item)
}

/// Items by what tells them apart; of several alike, the first.
fn index<'v>(items: &'v [Value], of: Type<'_>, list: &ListType<'_>) -> Indexed<'v> {
    let mut found: Indexed<'v> = Vec::with_capacity(items.len());
    for item in items {
        if let Some(element) = of.element(list, item)
            && found.iter().all(|(it, _)| *it != element)
        {
            found.push((element, item));
        }
    }
    found
}

/// What `live` becomes when `applied` is laid over it.
pub(super) fn merge(live: &Value, applied: &Value, of: Type<'_>) -> Value {
    match (shape(live, of), shape(applied, of)) {
        (Shape::Map(live), Shape::Map(applied)) => {
            let mut merged = live.clone();
            for (name, theirs) in applied {
                let inner = of.field(name).map_or(Type::Deduced, |(inner, _)| inner);
                let value = match live.get(name) {
                    Some(ours) => merge(ours, theirs, inner),
                    None => theirs.clone(),
                };
                merged.insert(name.clone(), value);
            }
            Value::Object(merged)
        }
        // Null takes any form, and has nothing in it.
        (Shape::Map(_) | Shape::List(..), Shape::Leaf) if applied.is_null() => live.clone(),
        (Shape::List(live, list), Shape::List(applied, _)) => {
            Value::Array(merge_list(live, applied, of, &list))
        }
        _ => applied.clone(),
    }
}

/// The order is the one that was applied; items that only the live list has keep their place.
fn merge_list(live: &[Value], applied: &[Value], of: Type<'_>, list: &ListType<'_>) -> Vec<Value> {
    let live = index(live, of, list);
    let applied = index(applied, of, list);
    let in_applied = |element: &Element| applied.iter().any(|(it, _)| it == element);
    let in_live = |element: &Element| live.iter().find(|(it, _)| it == element);
    let mut merged = Vec::new();
    let mut shared = applied
        .iter()
        .filter(|(element, _)| in_live(element).is_some())
        .map(|(element, _)| element)
        .peekable();
    let (mut ours, mut theirs) = (live.iter().peekable(), applied.iter().peekable());
    loop {
        match (ours.peek(), theirs.peek()) {
            (None, None) => return merged,
            (Some((element, item)), _) if !in_applied(element) => {
                merged.push((*item).clone());
                ours.next();
            }
            // A shared item whose turn has not come, or has passed.
            (Some((element, _)), Some((next, _)))
                if element != next && shared.peek() != Some(&element) =>
            {
                ours.next();
            }
            (Some(_), None) => {
                ours.next();
            }
            (_, Some((element, item))) => {
                let value = match in_live(element) {
                    Some((_, live)) => merge(live, item, of.item()),
                    None => (*item).clone(),
                };
                merged.push(value);
                if shared.peek() == Some(&element) {
                    shared.next();
                }
                if ours.peek().is_some_and(|(it, _)| it == element) {
                    ours.next();
                }
                theirs.next();
            }
        }
    }
}

/// `value` without what is in `set`. None: nothing is left.
pub(super) fn remove(value: &Value, of: Type<'_>, set: &FieldSet) -> Option<Value> {
    match shape(value, of) {
        Shape::Leaf => Some(value.clone()),
        Shape::Map(map) => {
            let mut left = Map::new();
            for (name, inner) in map {
                let element = Element::Field(name.clone());
                if set.members.contains(&element) {
                    continue;
                }
                let kept = match set.children.get(&element) {
                    Some(below) => {
                        let inner_type = of.field(name).map_or(Type::Deduced, |(inner, _)| inner);
                        // Whoever owns the field itself keeps it, with nothing in it.
                        remove(inner, inner_type, below).unwrap_or_default()
                    }
                    None => inner.clone(),
                };
                left.insert(name.clone(), kept);
            }
            (!left.is_empty()).then_some(Value::Object(left))
        }
        Shape::List(items, list) => {
            let mut left = Vec::new();
            for item in items {
                let Some(element) = of.element(&list, item) else {
                    left.push(item.clone());
                    continue;
                };
                if set.members.contains(&element) {
                    continue;
                }
                match set.children.get(&element) {
                    Some(below) => left.extend(remove(item, of.item(), below)),
                    None => left.push(item.clone()),
                }
            }
            (!left.is_empty()).then_some(Value::Array(left))
        }
    }
}

/// `set` with the named fields that lead to its members: whoever owns `spec.a` owns `spec`.
pub(super) fn with_named(set: &FieldSet, of: Type<'_>) -> FieldSet {
    let mut all = FieldSet {
        members: set.members.clone(),
        ..FieldSet::default()
    };
    for (element, child) in &set.children {
        let (inner, declared) = of.under(element).unwrap_or((Type::Deduced, false));
        if declared {
            all.members.insert(element.clone());
        }
        all.adopt(element, with_named(child, inner));
    }
    all
}
