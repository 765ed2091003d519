//! `metadata.managedFields`: what one manager owns becomes another's. Pure.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

/// `entries` with what the managers `from` own added to what `manager` has applied. Entries of
/// subresources stay as they are.
pub(super) fn merged(entries: &[Value], from: &[String], manager: &str) -> Value {
    let is_main = |entry: &Value| entry["subresource"].as_str().is_none_or(str::is_empty);
    let gives = |entry: &Value| {
        is_main(entry)
            && entry["manager"]
                .as_str()
                .is_some_and(|it| from.iter().any(|from| from == it))
    };
    let takes = |entry: &Value| {
        is_main(entry) && entry["manager"] == manager && entry["operation"] == "Apply"
    };
    let mut kept: Vec<Value> = Vec::new();
    let mut fields = Map::new();
    let mut version = Value::Null;
    for entry in entries {
        if gives(entry) || takes(entry) {
            version = entry["apiVersion"].clone();
            if let Some(more) = entry["fieldsV1"].as_object() {
                unite(&mut fields, more);
            }
        } else {
            kept.push(entry.clone());
        }
    }
    kept.push(json!({
        "manager": manager,
        "operation": "Apply",
        "apiVersion": version,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }));
    kept.into()
}

fn unite(fields: &mut Map<String, Value>, more: &Map<String, Value>) {
    for (key, below) in more {
        match (fields.get_mut(key), below) {
            (Some(Value::Object(ours)), Value::Object(theirs)) => unite(ours, theirs),
            (Some(_), _) => {}
            (None, below) => {
                fields.insert(key.clone(), below.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_manager_owned_becomes_part_of_what_another_applied() {
        let entry = |manager: &str, operation: &str, fields: Value| {
            json!({
                "manager": manager, "operation": operation, "apiVersion": "axon.io/v1alpha1",
                "fieldsType": "FieldsV1", "fieldsV1": fields,
            })
        };
        let mut status = entry("kubectl-edit", "Update", json!({"f:status": {}}));
        status["subresource"] = "status".into();
        let other = entry("someone", "Update", json!({"f:spec": {"f:env": {}}}));
        let before = [
            entry(
                "kubectl-create",
                "Update",
                json!({"f:spec": {".": {}, "f:repo": {}}}),
            ),
            other.clone(),
            entry("axon-app", "Apply", json!({"f:spec": {"f:ref": {}}})),
            entry(
                "kubectl-edit",
                "Update",
                json!({"f:metadata": {"f:labels": {"f:a": {}}}}),
            ),
            status.clone(),
        ];
        let from = ["kubectl-create".to_owned(), "kubectl-edit".to_owned()];
        let ours = json!({
            "f:spec": {".": {}, "f:repo": {}, "f:ref": {}},
            "f:metadata": {"f:labels": {"f:a": {}}},
        });
        assert_eq!(
            merged(&before, &from, "axon-app"),
            json!([other, status, entry("axon-app", "Apply", ours)])
        );
    }
}
