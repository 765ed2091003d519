#![expect(clippy::needless_pass_by_value, reason = "literals read better")]

use serde_json::Value;
use serde_json::json;

use super::Refusal;
use super::Type;
use super::Writer;

fn schema() -> Value {
    json!({"properties": {"spec": {"properties": {
        "size": {"type": "integer"}, "color": {"type": "string"},
        "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "all": {"type": "array", "items": {"type": "string"}},
        "parts": {
            "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"],
            "items": {"properties": {"id": {"type": "string"}, "n": {"type": "integer"}}},
        },
        "map": {"additionalProperties": {"type": "string"}},
        "point": {"type": "object", "x-kubernetes-map-type": "atomic", "properties": {"x": {"type": "integer"}}},
        "free": {"x-kubernetes-preserve-unknown-fields": true},
    }}, "status": {"properties": {"ready": {"type": "boolean"}}}}})
}

struct Story {
    schema: Value,
    object: Option<Value>,
}

fn story() -> Story {
    Story {
        schema: schema(),
        object: None,
    }
}

impl Story {
    fn writer<'a>(&'a self, manager: &'a str) -> Writer<'a> {
        Writer {
            manager,
            subresource: "",
            api_version: "test.io/v1",
            time: "2026-01-01T00:00:00Z",
            of: Type::Custom(&self.schema),
            ignored: &[&["status"]],
            blank: None,
        }
    }

    fn whole(spec: Value) -> Value {
        json!({"apiVersion": "test.io/v1", "kind": "Widget", "metadata": {"name": "a"}, "spec": spec})
    }

    fn try_apply(&mut self, manager: &str, spec: Value, force: bool) -> Result<(), Refusal> {
        let writer = self.writer(manager);
        let object = writer.apply(self.object.as_ref(), &Self::whole(spec), force)?;
        self.object = Some(object);
        Ok(())
    }

    fn apply(mut self, manager: &str, spec: Value) -> Self {
        self.try_apply(manager, spec, false).unwrap();
        self
    }

    fn update(mut self, manager: &str, spec: Value) -> Self {
        let mut object = Self::whole(spec);
        if let Some(old) = &self.object {
            object["metadata"] = old["metadata"].clone();
        }
        self.writer(manager)
            .update(self.object.as_ref(), &mut object);
        self.object = Some(object);
        self
    }

    fn spec(&self) -> Value {
        self.object.as_ref().unwrap()["spec"].clone()
    }

    fn owners(&self) -> Value {
        let entries = self.object.as_ref().unwrap()["metadata"]["managedFields"].as_array();
        let entries = entries.into_iter().flatten();
        let owned = entries.map(|it| {
            let name = format!(
                "{} {}",
                it["manager"].as_str().unwrap(),
                it["operation"].as_str().unwrap()
            );
            (name, it["fieldsV1"].clone())
        });
        Value::Object(owned.collect())
    }
}

#[test]
fn an_apply_owns_what_it_names() {
    let story = story().apply(
        "a",
        json!({"size": 1, "tags": ["x"], "parts": [{"id": "p", "n": 1}], "map": {"k": "v"}}),
    );
    let expected = json!({"a Apply": {"f:spec": {
        "f:size": {}, "f:tags": {"v:\"x\"": {}}, "f:map": {"f:k": {}},
        "f:parts": {"k:{\"id\":\"p\"}": {".": {}, "f:id": {}, "f:n": {}}},
    }}});
    assert_eq!(story.owners(), expected);
}

#[test]
fn a_create_owns_all_of_it() {
    let story = story().update("u", json!({"size": 1, "map": {"k": "v"}}));
    let expected =
        json!({"u Update": {"f:spec": {".": {}, "f:size": {}, "f:map": {".": {}, "f:k": {}}}}});
    assert_eq!(story.owners(), expected);
}

#[test]
fn what_is_no_longer_applied_goes() {
    let story = story()
        .apply("a", json!({"size": 1, "color": "red", "tags": ["x", "y"], "parts": [{"id": "p", "n": 1}, {"id": "q"}]}))
        .apply("a", json!({"size": 1, "tags": ["y"], "parts": [{"id": "q"}]}));
    assert_eq!(
        story.spec(),
        json!({"size": 1, "tags": ["y"], "parts": [{"id": "q"}]})
    );
}

#[test]
fn what_others_own_stays() {
    let story = story()
        .apply("a", json!({"size": 1, "color": "red", "map": {"a": "1"}}))
        .apply("b", json!({"color": "red", "map": {"b": "2"}}))
        .apply("a", json!({"size": 1}));
    assert_eq!(
        story.spec(),
        json!({"size": 1, "color": "red", "map": {"b": "2"}})
    );
    assert_eq!(
        story.owners()["b Apply"],
        json!({"f:spec": {"f:color": {}, "f:map": {"f:b": {}}}})
    );
}

#[test]
fn a_field_of_another_is_a_conflict_unless_forced() {
    let mut story = story()
        .update("kubectl", json!({"size": 1, "color": "red"}))
        .apply("a", json!({"size": 1}));
    let refused = story.try_apply("a", json!({"size": 2}), false);
    let expected = vec![("\"kubectl\" using test.io/v1".into(), ".spec.size".into())];
    assert_eq!(refused, Err(Refusal::Conflicts(expected)));
    assert_eq!(story.spec()["size"], 1, "a refused apply changes nothing");
    story.try_apply("a", json!({"size": 2}), true).unwrap();
    assert_eq!(story.spec(), json!({"size": 2, "color": "red"}));
    assert_eq!(
        story.owners()["kubectl Update"],
        json!({"f:spec": {".": {}, "f:color": {}}})
    );
}

#[test]
fn an_update_takes_what_it_changes() {
    let story = story()
        .apply("a", json!({"size": 1, "color": "red"}))
        .update("u", json!({"size": 2, "color": "red"}));
    assert_eq!(
        story.owners()["a Apply"],
        json!({"f:spec": {"f:color": {}}})
    );
    assert_eq!(
        story.owners()["u Update"],
        json!({"f:spec": {"f:size": {}}})
    );
}

#[test]
fn a_map_in_place_of_a_list_is_owned_with_its_fields() {
    let story = story()
        .apply("a", json!({"free": [1]}))
        .update("u", json!({"free": {"b": 1}}));
    let expected = json!({"u Update": {"f:spec": {"f:free": {".": {}, "f:b": {}}}}});
    assert_eq!(story.owners(), expected);
}

#[test]
fn a_map_that_another_owns_stays_when_its_last_field_goes() {
    let story = story()
        .update("u", json!({"map": {"k": "v"}}))
        .apply("a", json!({"map": {"m": "1"}}))
        .update("u", json!({"map": {"m": "1"}}))
        .apply("a", json!({}));
    assert_eq!(story.owners()["u Update"]["f:spec"]["f:map"], json!({}));
}

#[test]
fn conflicts_are_told_in_the_order_of_the_managers() {
    let story = story().update("u", json!({"size": 1, "color": "red"}));
    let mut object = story.object.clone().unwrap();
    object["spec"]["color"] = "blue".into();
    let mut by_status = story.writer("u");
    by_status.subresource = "status";
    by_status.update(story.object.as_ref(), &mut object);
    let wanted = Story::whole(json!({"size": 2, "color": "green"}));
    let refused = story.writer("a").apply(Some(&object), &wanted, false);
    let Err(Refusal::Conflicts(conflicts)) = refused else {
        unreachable!("{refused:?}");
    };
    let paths: Vec<_> = conflicts.iter().map(|(_, path)| &**path).collect();
    assert_eq!(paths, [".spec.color", ".spec.size"]);
}

#[test]
fn lists_merge_by_their_type() {
    let story = story()
        .apply(
            "a",
            json!({"parts": [{"id": "p", "n": 1}, {"id": "q", "n": 1}], "tags": ["x"]}),
        )
        .apply(
            "b",
            json!({"parts": [{"id": "r", "n": 2}, {"id": "p"}], "tags": ["y"]}),
        );
    let expected = json!({"parts": [{"id": "r", "n": 2}, {"id": "p", "n": 1}, {"id": "q", "n": 1}], "tags": ["x", "y"]});
    assert_eq!(story.spec(), expected);
}

#[test]
fn fields_that_were_there_before_have_an_owner() {
    let mut story = story();
    story.object = Some(Story::whole(json!({"size": 1})));
    let refused = story.try_apply("a", json!({"size": 2}), false);
    let expected = vec![(
        "\"before-first-apply\" using test.io/v1".into(),
        ".spec.size".into(),
    )];
    assert_eq!(refused, Err(Refusal::Conflicts(expected)));
}

#[test]
fn nonsense_is_refused() {
    let check = |spec: Value, expected: &str| {
        let refused = story().try_apply("a", spec, false);
        assert_eq!(refused, Err(Refusal::Malformed(expected.into())));
    };
    check(
        json!({"sise": 1}),
        ".spec.sise: field not declared in schema",
    );
    check(
        json!({"tags": ["x", "x"]}),
        ".spec.tags: duplicate entries for key [=\"x\"]",
    );
    // What is replaced as a whole is looked into all the same.
    check(
        json!({"point": {"z": 1}}),
        ".spec.point.z: field not declared in schema",
    );
    let mut with_fields = Story::whole(json!({}));
    with_fields["metadata"]["managedFields"] = json!([]);
    let told = story();
    let refused = told.writer("a").apply(None, &with_fields, false);
    assert_eq!(refused, Err(Refusal::ManagedFieldsGiven));
}
