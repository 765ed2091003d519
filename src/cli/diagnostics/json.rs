//! Problems as JSON. What is here stays: a change that breaks readers raises [`FORMAT_VERSION`].

use std::path::Path;

use serde_json::Value;
use serde_json::json;

use crate::model::Diagnostic;
use crate::model::object::DesiredSet;
use crate::model::problem::Severity;

/// Version of the shape of this document.
pub const FORMAT_VERSION: u32 = 1;

/// What `axon validate` found: the objects of a good configuration, and all problems.
pub fn document(
    file: &str,
    set: Option<&DesiredSet>,
    problems: &[Diagnostic],
    base: Option<&Path>,
) -> Value {
    let objects = set.map(|set| {
        let objects = set.objects.iter().map(|object| {
            json!({
                "kind": object.key.kind.as_str(),
                "name": object.key.name.as_str(),
                "file": super::file(&object.place, base),
                "line": object.place.line,
                "column": object.place.column,
            })
        });
        objects.collect::<Vec<_>>()
    });
    json!({
        "formatVersion": FORMAT_VERSION,
        "file": file,
        "valid": set.is_some(),
        "errors": count(problems, Severity::Error),
        "warnings": count(problems, Severity::Warning),
        "problems": problems.iter().map(|told| problem(told, base)).collect::<Vec<_>>(),
        "objects": objects.unwrap_or_default(),
    })
}

fn count(problems: &[Diagnostic], severity: Severity) -> usize {
    problems.iter().filter(|it| it.severity == severity).count()
}

fn problem(told: &Diagnostic, base: Option<&Path>) -> Value {
    let Diagnostic {
        place,
        message,
        hint,
        severity,
        code,
        width,
        line_text,
    } = told;
    json!({
        "code": code.as_str(),
        "severity": super::word(*severity),
        "message": message,
        "hint": hint,
        "file": super::file(place, base),
        "line": place.line,
        "column": place.column,
        "width": width,
        "lineText": line_text,
    })
}
