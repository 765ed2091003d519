//! Tables: what `kubectl get` prints.

mod columns;
mod jsonpath;

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use super::object;
use super::resource::Resource;
use super::resource::Rules;

/// What stands beside the cells of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Include {
    Nothing,
    Metadata,
    Object,
}

/// A table of some objects.
pub(super) fn table(
    resource: &Resource,
    objects: &[Value],
    meta: &Value,
    include: Include,
    now: Timestamp,
) -> Value {
    let rows: Vec<_> = objects
        .iter()
        .map(|object| {
            let cells = match &resource.rules {
                Rules::Builtin(_) => columns::cells(&resource.storage, object, now),
                Rules::Custom(custom) => custom_cells(&custom.columns, object, now),
            };
            let mut row = json!({"cells": cells});
            match include {
                Include::Nothing => {}
                Include::Metadata => row["object"] = partial(object),
                Include::Object => row["object"] = object.clone(),
            }
            row
        })
        .collect();
    let definitions = match &resource.rules {
        Rules::Builtin(_) => columns::definitions(&resource.storage),
        Rules::Custom(custom) => custom_definitions(&custom.columns),
    };
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": meta,
        "columnDefinitions": definitions, "rows": rows,
    })
}

/// An object's metadata alone.
pub(super) fn partial(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"],
    })
}

fn definition(name: &str, kind: &str, format: &str, description: &str, priority: &Value) -> Value {
    json!({
        "name": name, "type": kind, "format": format,
        "description": description, "priority": priority,
    })
}

fn custom_definitions(columns: &[Value]) -> Vec<Value> {
    let mut definitions = vec![definition(
        "Name",
        "string",
        "name",
        "Name of the object",
        &json!(0),
    )];
    if columns.is_empty() {
        definitions.push(definition(
            "Age",
            "date",
            "",
            "Time since creation",
            &json!(0),
        ));
    }
    definitions.extend(columns.iter().map(|column| {
        let text = |field: &str| column[field].as_str().unwrap_or_default();
        let priority = column.get("priority").cloned().unwrap_or(json!(0));
        definition(
            text("name"),
            text("type"),
            text("format"),
            text("description"),
            &priority,
        )
    }));
    definitions
}

fn custom_cells(columns: &[Value], object: &Value, now: Timestamp) -> Vec<Value> {
    let mut cells = vec![json!(object::name(object))];
    if columns.is_empty() {
        cells.push(age(object, now));
    }
    for column in columns {
        let path = column["jsonPath"].as_str().unwrap_or_default();
        let found = jsonpath::find(object, path).unwrap_or_default();
        let cell = match found.first() {
            None => Value::Null,
            Some(value) if column["type"] == "date" => since(value.as_str(), now),
            Some(value @ (Value::Array(_) | Value::Object(_))) => json!(value.to_string()),
            Some(value) => (*value).clone(),
        };
        cells.push(cell);
    }
    cells
}

fn age(object: &Value, now: Timestamp) -> Value {
    since(object["metadata"]["creationTimestamp"].as_str(), now)
}

/// How long ago something was, as people read it.
fn since(at: Option<&str>, now: Timestamp) -> Value {
    match at.map(str::parse::<Timestamp>) {
        None => json!("<unknown>"),
        Some(Err(_)) => json!("<invalid>"),
        Some(Ok(at)) => json!(human(now.as_second() - at.as_second())),
    }
}

/// A duration in the two largest units that matter.
fn human(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let days = hours / 24;
    let pair = |big: i64, unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{big}{unit}"),
        _ => format!("{big}{unit}{small}{small_unit}"),
    };
    match seconds {
        ..-1 => "<invalid>".into(),
        -1..0 => "0s".into(),
        _ if seconds < 120 => format!("{seconds}s"),
        _ if minutes < 10 => pair(minutes, "m", seconds % 60, "s"),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => pair(hours, "h", minutes % 60, "m"),
        _ if hours < 48 => format!("{hours}h"),
        _ if hours < 192 => pair(days, "d", hours % 24, "h"),
        _ if days < 730 => format!("{days}d"),
        _ if days < 2920 => pair(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn ages_read_as_kubectl_prints_them() {
        let check = |seconds: i64, expected: &str| assert_eq!(super::human(seconds), expected);
        check(0, "0s");
        check(119, "119s");
        check(120, "2m");
        check(150, "2m30s");
        check(3_600, "60m");
        check(4 * 3_600 + 120, "4h2m");
        check(30 * 3_600, "30h");
        check(3 * 86_400 + 7_200, "3d2h");
        check(100 * 86_400, "100d");
        check(800 * 86_400, "2y70d");
    }
}
