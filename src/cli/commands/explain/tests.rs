//! Every field that can be reached has a page.

use super::*;

/// Walks all fields of a schema.
fn walk(title: &str, path: &str, shape: &Shape<'_>, depth: usize, seen: &mut usize) {
    let page = text::page(title, path, shape);
    assert!(page.contains(title), "{page}");
    *seen += 1;
    if depth == 0 {
        return;
    }
    let shape = shape.clone().through_names(&mut |_| {});
    for (name, field, _) in shape.fields() {
        assert_ne!(field.kind(), "any value", "{title} {path} {name}");
        walk(title, &format!("{path}.{name}"), &field, depth - 1, seen);
    }
}

#[test]
fn every_field_has_a_page() {
    let config = api::config_schema();
    let mut seen = 0;
    walk("axon.yaml", "", &Shape::of(&config, &config), 5, &mut seen);
    for kind in kinds() {
        let spec = kind.schema.pointer("/properties/spec").unwrap();
        walk(
            &kind.name,
            "spec",
            &Shape::of(&kind.schema, spec),
            4,
            &mut seen,
        );
    }
    assert!(seen > 200, "{seen}");
}

/// Fields that people write have a description.
#[test]
fn every_field_of_the_configuration_is_described() {
    let config = api::config_schema();
    let root = Shape::of(&config, &config);
    for (name, field, _) in root.fields() {
        assert!(!field.description().is_empty(), "{name}");
        for (inner, field, _) in field.through_names(&mut |_| {}).fields() {
            assert!(!field.description().is_empty(), "{name}.{inner}");
        }
    }
}
