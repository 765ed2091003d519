//! What differs between an object as declared and as it is. Pure.

use serde_json::Map;
use serde_json::Value;

use crate::cluster::Object;
use crate::model::plan::FieldChange;
use crate::model::plan::Manifest;
use crate::sync::defaults;
use crate::sync::mask::shown;
use crate::sync::owners::Ours;
use crate::sync::owners::Owners;
use crate::sync::path::FieldPath;
use crate::sync::path::Part;

/// The parts of an object that a configuration has a say in.
const DECLARED: [&[&str]; 3] = [
    &["metadata", "labels"],
    &["metadata", "annotations"],
    &["spec"],
];

/// What applying `manifest` changes in `live`: declared fields that differ, and fields that are
/// `ours` and no longer declared. What the live object has beyond is left alone: defaults, and fields
/// of others.
pub(super) fn from_declared(
    manifest: &Manifest,
    live: &Object,
    ours: &Ours<'_>,
) -> Vec<FieldChange> {
    let owners = Owners::of(live);
    let mut found = Vec::new();
    for part in DECLARED {
        let path = FieldPath::of(part);
        let (declared, actual) = (at(manifest.as_value(), part), at(live.as_value(), part));
        // An empty map of labels is dropped by the API server.
        if let Some(Value::Object(fields)) = declared {
            for (key, value) in fields {
                let actual = actual.and_then(|it| it.get(key));
                compare(
                    &path.key(key),
                    Some(value),
                    actual,
                    Beyond::Ignored,
                    &mut found,
                );
            }
        }
        let mut gone = Vec::new();
        for fields in owners.applied(ours).filter_map(|it| owned(it, part)) {
            removed(&path, fields, declared, actual, &mut gone);
        }
        // The API server would put the same there again.
        gone.retain(|it| !is_default(manifest, it));
        // What somebody else owns too stays theirs.
        gone.retain(|it| owners.other_than(ours, &it.path).is_none());
        found.extend(gone);
    }
    finish(found, &owners, ours)
}

/// All that differs between two states of an object.
pub(super) fn between(before: &Object, after: &Object, ours: &Ours<'_>) -> Vec<FieldChange> {
    let owners = Owners::of(before);
    let empty = Value::Object(Map::new());
    let mut found = Vec::new();
    for part in DECLARED {
        let (before, after) = (at(before.as_value(), part), at(after.as_value(), part));
        let (before, after) = (before.unwrap_or(&empty), after.unwrap_or(&empty));
        let path = FieldPath::of(part);
        compare(
            &path,
            Some(after),
            Some(before),
            Beyond::Removed,
            &mut found,
        );
    }
    finish(found, &owners, ours)
}

/// A difference, not yet masked.
struct Found<'a> {
    path: FieldPath,
    before: Option<&'a Value>,
    after: Option<&'a Value>,
}

/// What it means that the live object has a field that the other side lacks.
#[derive(Clone, Copy)]
enum Beyond {
    /// A default, or someone else's.
    Ignored,
    Removed,
}

fn compare<'a>(
    path: &FieldPath,
    after: Option<&'a Value>,
    before: Option<&'a Value>,
    beyond: Beyond,
    found: &mut Vec<Found<'a>>,
) {
    // To declare null is to declare nothing.
    let after = after.filter(|it| !it.is_null());
    let before = before.filter(|it| !it.is_null());
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            for (key, value) in new {
                compare(&path.key(key), Some(value), old.get(key), beyond, found);
            }
            if let Beyond::Removed = beyond {
                for (key, value) in old.iter().filter(|(key, _)| !new.contains_key(*key)) {
                    compare(&path.key(key), None, Some(value), beyond, found);
                }
            }
        }
        // Lists are taken whole, so within one nothing is anyone else's.
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for index in 0..old.len().max(new.len()) {
                let (new, old) = (new.get(index), old.get(index));
                compare(&path.index(index), new, old, Beyond::Removed, found);
            }
        }
        (before, after) if before == after => {}
        (before, after) => found.push(Found {
            path: path.clone(),
            before,
            after,
        }),
    }
}

/// Finds fields of ours that are live but no longer declared.
fn removed<'a>(
    path: &FieldPath,
    ours: &Map<String, Value>,
    declared: Option<&Value>,
    live: Option<&'a Value>,
    found: &mut Vec<Found<'a>>,
) {
    for (key, below) in ours {
        // The other prefixes name entries of lists, which are owned as a whole here.
        let Some(name) = key.strip_prefix("f:") else {
            continue;
        };
        let Some(actual) = live.and_then(|it| it.get(name)) else {
            continue;
        };
        let declared = declared
            .and_then(|it| it.get(name))
            .filter(|it| !it.is_null());
        let path = path.key(name);
        match below
            .as_object()
            .filter(|it| it.keys().any(|key| key.starts_with("f:")))
        {
            Some(below) => removed(&path, below, declared, Some(actual), found),
            None if declared.is_none() => found.push(Found {
                path,
                before: Some(actual),
                after: None,
            }),
            None => {}
        }
    }
}

/// Whether a field that goes holds what the API server puts there where nobody sets it.
fn is_default(manifest: &Manifest, gone: &Found<'_>) -> bool {
    let kind = manifest.as_value()["kind"].as_str().unwrap_or_default();
    let default = defaults::of(kind, &gone.path);
    let parts = gone.path.parts();
    let mut holder = parts[..parts.len().saturating_sub(1)].iter();
    let holder = holder.try_fold(manifest.as_value(), |value, part| match part {
        Part::Key(key) => value.get(key),
        Part::Index(at) => value.get(at),
    });
    default.is_some() && default == gone.before && holder.is_some_and(Value::is_object)
}

fn finish(found: Vec<Found<'_>>, owners: &Owners<'_>, ours: &Ours<'_>) -> Vec<FieldChange> {
    let mut changes: Vec<FieldChange> = found
        .into_iter()
        .map(|it| FieldChange {
            before: shown(&it.path, it.before),
            after: shown(&it.path, it.after),
            changed_by: it
                .before
                .and_then(|_| owners.other_than(ours, &it.path))
                .map(str::to_owned),
            path: it.path.to_string(),
        })
        .collect();
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    // Several managers that are ours may own one field.
    changes.dedup_by(|a, b| a.path == b.path);
    changes
}

fn at<'a>(object: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(object, |value, key| value.get(key))
}

fn owned<'a>(fields: &'a Map<String, Value>, path: &[&str]) -> Option<&'a Map<String, Value>> {
    path.iter().try_fold(fields, |fields, key| {
        fields.get(&format!("f:{key}"))?.as_object()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::api;
    use crate::model::plan::Shown;

    const US: &str = "axon-app";
    const OURS: Ours<'_> = Ours {
        manager: US,
        inherits: &[],
    };

    fn live(spec: &Value, managed: &Value) -> Object {
        Object::new(json!({
            "metadata": {"name": "a", "labels": {"team": "web"}, "managedFields": managed},
            "spec": spec,
            "status": {"phase": "Running"},
        }))
    }

    fn ours(spec: &Value) -> Value {
        json!([{"manager": US, "operation": "Apply", "fieldsV1": {"f:spec": spec}}])
    }

    fn line(change: &FieldChange) -> String {
        let side = |shown: &Shown| match shown {
            Shown::Absent => "-".to_owned(),
            Shown::Sensitive => "(sensitive)".to_owned(),
            Shown::Value(value) => value.to_string(),
        };
        let by = change.changed_by.as_deref();
        format!(
            "{}: {} -> {}{}",
            change.path,
            side(&change.before),
            side(&change.after),
            by.map(|by| format!(" ({by})")).unwrap_or_default()
        )
    }

    fn check(declared: &Value, live: &Object, expected: &[&str]) {
        let manifest = Manifest::new(json!({"metadata": {"name": "a"}, "spec": declared}));
        let lines: Vec<String> = from_declared(&manifest, live, &OURS)
            .iter()
            .map(line)
            .collect();
        assert_eq!(lines, expected, "{declared}");
    }

    #[test]
    fn what_the_live_object_has_beyond_is_left_alone() {
        let live = live(
            &json!({"repo": "r", "pollInterval": "5m", "when": {"x": 1, "y": 2}}),
            &json!([]),
        );
        check(&json!({"repo": "r"}), &live, &[]);
        check(&json!({"when": {"x": 1}}), &live, &[]);
        check(&json!({"when": {"x": 2}}), &live, &["spec.when.x: 1 -> 2"]);
        check(&json!({"ref": null}), &live, &[]);
        check(&json!({"ref": "main"}), &live, &["spec.ref: - -> \"main\""]);
    }

    #[test]
    fn lists_are_compared_whole_and_told_by_element() {
        let live = live(
            &json!({"labels": ["a", "b"], "env": [{"name": "A", "value": "x"}]}),
            &json!([]),
        );
        check(&json!({"labels": ["a", "b"]}), &live, &[]);
        check(
            &json!({"labels": ["a", "c", "d"]}),
            &live,
            &[
                "spec.labels[1]: \"b\" -> \"c\"",
                "spec.labels[2]: - -> \"d\"",
            ],
        );
        check(
            &json!({"labels": ["a"]}),
            &live,
            &["spec.labels[1]: \"b\" -> -"],
        );
        check(
            &json!({"env": [{"name": "A"}]}),
            &live,
            &["spec.env[0].value: (sensitive) -> -"],
        );
    }

    #[test]
    fn what_we_applied_and_no_longer_declare_is_removed() {
        let spec = json!({"repo": "r", "ref": "x", "secretRef": {"name": "s"}, "others": 1});
        let live = live(
            &spec,
            &ours(&json!({"f:repo": {}, "f:ref": {}, "f:secretRef": {"f:name": {}}, "f:gone": {}})),
        );
        check(
            &json!({"repo": "r"}),
            &live,
            &["spec.ref: \"x\" -> -", "spec.secretRef.name: \"s\" -> -"],
        );
        check(
            &json!({"repo": "r", "ref": "x", "secretRef": {"name": "s"}}),
            &live,
            &[],
        );
    }

    #[test]
    fn a_default_that_is_no_longer_declared_stays() {
        let spec = json!({"pollInterval": "5m", "when": {"githubIssues": {"state": "open"}}});
        let owned = json!({"f:pollInterval": {}, "f:when": {"f:githubIssues": {"f:state": {}}}});
        let live = live(&spec, &ours(&owned));
        let check = |declared: &Value, expected: &[&str]| {
            let manifest = json!({"kind": "TaskSpawner", "spec": declared});
            let changes = from_declared(&Manifest::new(manifest), &live, &OURS);
            assert_eq!(changes.iter().map(line).collect::<Vec<_>>(), expected);
        };
        check(&json!({"when": {"githubIssues": {}}}), &[]);
        // Where what holds it goes, it goes too.
        check(
            &json!({"pollInterval": "5m", "when": {}}),
            &["spec.when.githubIssues.state: \"open\" -> -"],
        );
    }

    #[test]
    fn whoever_changed_a_declared_field_is_named() {
        let live = live(
            &json!({"ref": "x", "repo": "r"}),
            &json!([
                {"manager": US, "operation": "Apply", "fieldsV1": {"f:spec": {"f:repo": {}}}},
                {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:spec": {"f:ref": {}}}},
            ]),
        );
        check(
            &json!({"ref": "main", "repo": "q"}),
            &live,
            &[
                "spec.ref: \"x\" -> \"main\" (kubectl-edit)",
                "spec.repo: \"r\" -> \"q\"",
            ],
        );
    }

    #[test]
    fn states_differ_both_ways() {
        let before = live(&json!({"a": 1, "b": {"c": 1}}), &json!([]));
        let after = Object::new(json!({"spec": {"a": 2, "d": [1]}, "status": {"x": 1}}));
        let lines: Vec<String> = between(&before, &after, &OURS).iter().map(line).collect();
        assert_eq!(
            lines,
            [
                "metadata.labels.team: \"web\" -> -",
                "spec.a: 1 -> 2",
                "spec.b: {\"c\":1} -> -",
                "spec.d: - -> [1]",
            ]
        );
    }

    /// The comparison of lists rests on this: the API server adds nothing inside them.
    #[test]
    fn no_element_of_a_list_has_a_default() {
        fn walk(path: &str, schema: &Value, in_list: bool) {
            assert!(!in_list || schema.get("default").is_none(), "{path}");
            for (key, below) in schema["properties"].as_object().into_iter().flatten() {
                walk(&format!("{path}.{key}"), below, in_list);
            }
            for (key, list) in [("items", true), ("additionalProperties", in_list)] {
                if schema[key].is_object() {
                    walk(&format!("{path}.{key}"), &schema[key], list);
                }
            }
        }
        for crd in api::crds() {
            let version = &crd.spec.versions[0];
            let schema = serde_json::to_value(&version.schema).unwrap();
            let spec = &schema["openAPIV3Schema"]["properties"]["spec"];
            assert!(spec.is_object());
            walk(&crd.spec.names.kind, spec, false);
        }
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            (0..9i64).prop_map(Value::from),
            "[a-c]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-d]", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn an_object_does_not_differ_from_itself(spec in prop::collection::btree_map("[a-d]", json_value(), 0..5)) {
            let spec: Value = Value::Object(spec.into_iter().collect());
            let manifest = Manifest::new(json!({"spec": spec}));
            let object = live(&spec, &json!([]));
            prop_assert!(from_declared(&manifest, &object, &OURS).is_empty());
            prop_assert!(between(&object, &object, &OURS).is_empty());
        }

        #[test]
        fn different_specs_differ(a in json_value(), b in json_value()) {
            let object = |x: &Value| Object::new(json!({"spec": {"x": x}}));
            let differ = !between(&object(&a), &object(&b), &OURS).is_empty();
            prop_assert_eq!(differ, a != b);
        }
    }
}
