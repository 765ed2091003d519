//! Defaults that the API server fills in, by the schemas that are compiled in. Pure.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::Value;

use crate::api;
use crate::sync::path::FieldPath;
use crate::sync::path::Part;

/// Schemas of the kinds, by their names.
static SCHEMAS: LazyLock<HashMap<String, Value>> = LazyLock::new(|| {
    let crds = api::crds().into_iter();
    crds.filter_map(|crd| {
        let version = crd.spec.versions.into_iter().next()?;
        let schema = version.schema?.open_api_v3_schema?;
        Some((crd.spec.names.kind, serde_json::to_value(schema).ok()?))
    })
    .collect()
});

/// What the API server puts where an object of `kind` leaves the field out of a map that is there.
pub(super) fn of(kind: &str, path: &FieldPath) -> Option<&'static Value> {
    let schema = SCHEMAS.get(kind)?;
    let field = path.parts().iter().try_fold(schema, |schema, part| {
        let Part::Key(key) = part else {
            // Nothing in a list has a default.
            return None;
        };
        schema["properties"].get(key)
    })?;
    field.get("default")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_schema_knows_them() {
        let check = |path: &[&str], expected: Option<Value>| {
            let found = of("TaskSpawner", &FieldPath::of(path));
            assert_eq!(found, expected.as_ref(), "{path:?}");
        };
        check(&["spec", "pollInterval"], Some(json!("5m")));
        check(
            &["spec", "when", "githubIssues", "state"],
            Some(json!("open")),
        );
        check(&["spec", "maxConcurrency"], None);
        check(&["metadata", "labels", "x"], None);
        check(&["spec", "nonsense", "x"], None);
    }
}
