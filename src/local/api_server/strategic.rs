//! Strategic merge patches: lists of built-in types merge by key, and `$` fields say how.

use serde_json::Map;
use serde_json::Value;

use super::schema::typed;

const PATCH: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder/";
const DELETE: &str = "$deleteFromPrimitiveList/";

/// Why a patch cannot be laid over an object.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Refusal {
    /// A directive is not formed as it must be.
    Format(&'static str),
    /// The patch does not fit the type.
    Misfit(String),
}

/// Lays `patch` over `object`, which is of the type `schema`.
pub(super) fn merge(object: Value, patch: &Value, schema: &Value) -> Result<Value, Refusal> {
    let (Value::Object(object), Value::Object(patch)) = (object, patch) else {
        return Err(Refusal::Format("cannot unmarshal the patch into an object"));
    };
    merge_map(object, patch.clone(), typed::resolved(schema)).map(Value::Object)
}

fn merge_map(
    mut object: Map<String, Value>,
    mut patch: Map<String, Value>,
    schema: &Value,
) -> Result<Map<String, Value>, Refusal> {
    match patch.remove(PATCH) {
        None => {}
        Some(directive) if directive == "replace" => return Ok(patch),
        Some(directive) if directive == "delete" => return Ok(Map::new()),
        Some(directive) if directive == "merge" => {}
        Some(other) => {
            return Err(Refusal::Misfit(format!(
                "Unknown patch type found: {other}"
            )));
        }
    }
    retain(&mut object, &mut patch)?;
    let mut orders = Map::new();
    let directives: Vec<_> = patch
        .keys()
        .filter(|it| it.starts_with('$'))
        .cloned()
        .collect();
    for directive in directives {
        let Some(value) = patch.remove(&directive) else {
            continue;
        };
        if let Some(list) = directive.strip_prefix(ORDER) {
            orders.insert(list.to_owned(), value);
        } else if let Some(list) = directive.strip_prefix(DELETE) {
            let gone = value.as_array().cloned().unwrap_or_default();
            if let Some(items) = object.get_mut(list).and_then(Value::as_array_mut) {
                items.retain(|item| !gone.contains(item));
            }
        } else {
            patch.insert(directive, value);
        }
    }
    for (name, order) in &orders {
        if !patch.contains_key(name) && object.contains_key(name) {
            let key = merge_key(&schema["properties"][name]);
            let items = object.remove(name).unwrap_or_default();
            object.insert(name.clone(), ordered(items, None, order, key));
        }
    }
    for (name, value) in patch {
        let of = match schema["properties"].get(&name) {
            Some(of) => of,
            None => schema.get("additionalProperties").unwrap_or(&Value::Null),
        };
        let value = match (object.remove(&name), value) {
            (_, Value::Null) => continue,
            (Some(Value::Object(ours)), Value::Object(theirs)) => {
                Some(Value::Object(merge_map(ours, theirs, typed::resolved(of))?))
            }
            (Some(Value::Array(ours)), Value::Array(theirs)) => {
                Some(merge_list(ours, theirs, of, orders.get(&name))?)
            }
            (_, theirs) => without_directives(theirs),
        };
        if let Some(value) = value {
            object.insert(name, value);
        }
    }
    Ok(object)
}

/// `$retainKeys`: no other field stays.
fn retain(object: &mut Map<String, Value>, patch: &mut Map<String, Value>) -> Result<(), Refusal> {
    let Some(kept) = patch.remove(RETAIN) else {
        return Ok(());
    };
    let kept = kept
        .as_array()
        .ok_or(Refusal::Format("invalid patch format of retainKeys list"))?;
    let is_kept = |name: &str| kept.iter().any(|it| it == name);
    let strays = |(name, value): (&String, &Value)| {
        !value.is_null() && !name.starts_with('$') && !is_kept(name)
    };
    if patch.iter().any(strays) {
        return Err(Refusal::Format("invalid patch format of retainKeys list"));
    }
    object.retain(|name, _| is_kept(name));
    Ok(())
}

fn merge_key(schema: &Value) -> Option<&str> {
    schema["x-kubernetes-patch-merge-key"].as_str()
}

fn merge_list(
    mut ours: Vec<Value>,
    theirs: Vec<Value>,
    of: &Value,
    order: Option<&Value>,
) -> Result<Value, Refusal> {
    let strategy = of["x-kubernetes-patch-strategy"]
        .as_str()
        .unwrap_or_default();
    if !strategy.split(',').any(|it| it == "merge") {
        return Ok(without_directives(theirs.into()).unwrap_or_default());
    }
    let before: Value = ours.clone().into();
    let key = merge_key(of);
    let Some(key) = key.filter(|_| ours.iter().chain(&theirs).any(Value::is_object)) else {
        let sent: Value = theirs.clone().into();
        for item in theirs {
            if !ours.contains(&item) {
                ours.push(item);
            }
        }
        return Ok(ordered(
            ours.into(),
            Some(&before),
            order.unwrap_or(&sent),
            None,
        ));
    };
    let mut patches = Vec::new();
    let mut replaces = false;
    for item in theirs {
        match item[PATCH].as_str() {
            None => patches.push(item),
            Some("delete") if item.get(key).is_some() => ours.retain(|it| it[key] != item[key]),
            Some("delete") => return Err(no_key(&item, key)),
            Some("replace") => replaces = true,
            Some(_) => {
                let why = "merging lists cannot yet be specified in the patch";
                return Err(Refusal::Misfit(why.into()));
            }
        }
    }
    let sent: Value = patches.clone().into();
    if replaces {
        return Ok(sent);
    }
    for patch in patches {
        if patch.get(key).is_none() {
            return Err(no_key(&patch, key));
        }
        match ours.iter_mut().find(|it| it[key] == patch[key]) {
            Some(found) => *found = merge(found.take(), &patch, &of["items"])?,
            None => ours.push(patch),
        }
    }
    let order = order.unwrap_or(&sent);
    Ok(ordered(ours.into(), Some(&before), order, Some(key)))
}

fn no_key(item: &Value, key: &str) -> Refusal {
    Refusal::Misfit(format!(
        "map: {item} does not contain declared merge key: {key}"
    ))
}

/// Items in the order that the patch has; those it does not name stay where the object had them.
fn ordered(items: Value, before: Option<&Value>, order: &Value, key: Option<&str>) -> Value {
    let Value::Array(items) = items else {
        return items;
    };
    let place = |list: &[Value], item: &Value| {
        list.iter().position(|it| match key {
            Some(key) => it[key] == item[key],
            None => it == item,
        })
    };
    let order = order.as_array().map(Vec::as_slice).unwrap_or_default();
    let own: Vec<Value>;
    let before = if let Some(before) = before.and_then(Value::as_array) {
        before
    } else {
        own = items.clone();
        &own
    };
    let (mut named, mut others): (Vec<_>, Vec<_>) =
        items.into_iter().partition(|it| place(order, it).is_some());
    named.sort_by_key(|it| place(order, it));
    others.sort_by_key(|it| place(before, it));
    let (mut named, mut others) = (named.into_iter().peekable(), others.into_iter().peekable());
    let mut all = Vec::new();
    loop {
        let next = match (others.peek(), named.peek()) {
            (None, None) => return all.into(),
            (Some(other), Some(one)) => {
                let places = place(before, other).zip(place(before, one));
                if places.is_some_and(|(other, one)| other < one) {
                    others.next()
                } else {
                    named.next()
                }
            }
            (Some(_), None) => others.next(),
            (None, Some(_)) => named.next(),
        };
        all.extend(next);
    }
}

/// A value that is new: what only tells how to merge goes. None: nothing is left.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(fields) if fields.contains_key(PATCH) => {
            if fields[PATCH] == "delete" {
                return None;
            }
            let kept = fields
                .into_iter()
                .filter(|(name, _)| !name.starts_with('$'));
            Some(Value::Object(kept.collect()))
        }
        Value::Object(fields) => {
            let kept = fields
                .into_iter()
                .filter(|(name, value)| !name.starts_with('$') && !value.is_null())
                .filter_map(|(name, value)| Some((name, without_directives(value)?)));
            Some(Value::Object(kept.collect()))
        }
        Value::Array(items) => Some(items.into_iter().filter_map(without_directives).collect()),
        other => Some(other),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json;

    use crate::local::api_server::schema::typed;

    #[expect(clippy::needless_pass_by_value, reason = "literals read better")]
    fn check(spec: Value, patch: Value, expected: Value) {
        let merged = super::merge(spec, &patch, typed::named("core.v1.PodSpec"));
        assert_eq!(merged, Ok(expected));
    }

    #[test]
    fn lists_merge_by_key() {
        let spec = json!({"containers": [{"name": "a", "image": "i", "env": [{"name": "X", "value": "1"}]}, {"name": "b"}]});
        // The order is the patch's; what the patch does not name comes as soon as that order allows: after
        // what is new, as Kubernetes has it.
        check(
            spec.clone(),
            json!({"containers": [{"name": "b", "image": "j"}, {"name": "a", "env": [{"name": "Y", "value": "2"}]}]}),
            json!({"containers": [
                {"name": "b", "image": "j"},
                {"name": "a", "image": "i", "env": [{"name": "Y", "value": "2"}, {"name": "X", "value": "1"}]},
            ]}),
        );
        check(
            spec.clone(),
            json!({"containers": [{"name": "a", "$patch": "delete"}]}),
            json!({"containers": [{"name": "b"}]}),
        );
        check(
            spec.clone(),
            json!({"containers": [{"$patch": "replace"}, {"name": "c"}]}),
            json!({"containers": [{"name": "c"}]}),
        );
        check(
            spec,
            json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}),
            json!({"containers": [{"name": "b"}, {"name": "a", "image": "i", "env": [{"name": "X", "value": "1"}]}]}),
        );
    }

    #[test]
    fn other_fields_are_told_to_go() {
        check(
            json!({"volumes": [{"name": "v", "emptyDir": {}}], "tolerations": [{"key": "a"}]}),
            json!({
                "volumes": [{"name": "v", "$retainKeys": ["name", "secret"], "secret": {"secretName": "s"}}],
                "tolerations": [{"key": "b"}], "hostname": null,
            }),
            json!({"volumes": [{"name": "v", "secret": {"secretName": "s"}}], "tolerations": [{"key": "b"}]}),
        );
    }
}
