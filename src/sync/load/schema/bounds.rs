//! Sizes of texts, lists, maps and numbers.

use serde_json::Value as Json;

use crate::model::Code;

use super::Mark;
use super::Name;
use super::Node;
use super::Report;
use super::got;

/// Whether a text is too short or long.
pub(super) fn check_length(
    schema: &Json,
    text: &str,
    node: &Node,
    name: &Name<'_>,
    report: &mut Report<'_>,
) {
    if schema["minLength"].as_u64().is_some_and(|least| least > 0) && text.is_empty() {
        must_not_be_empty(node.mark, name, report);
    }
    if schema["maxLength"].is_u64() {
        let length = text.chars().count();
        check_size(
            schema,
            "maxLength",
            length,
            "characters",
            node,
            name,
            report,
        );
    }
}

/// Tells that something is empty.
pub(super) fn must_not_be_empty(mark: Mark, name: &Name<'_>, report: &mut Report<'_>) {
    let message = format!("{} must not be empty", name.subject());
    report.error(Code::OutOfRange, mark, message);
}

/// Whether there are more of something than `limit` of the schema says.
pub(super) fn check_size(
    schema: &Json,
    limit: &str,
    size: usize,
    of: &str,
    node: &Node,
    name: &Name<'_>,
    report: &mut Report<'_>,
) {
    let most = schema[limit].as_u64().unwrap_or(u64::MAX);
    if size as u64 > most {
        let subject = name.subject();
        let message = format!("{subject} must have at most {most} {of}, has {size}");
        report.error(Code::OutOfRange, node.mark, message);
    }
}

/// Whether a number is too small or large.
pub(super) fn check_range(
    schema: &Json,
    value: Option<f64>,
    node: &Node,
    name: &Name<'_>,
    report: &mut Report<'_>,
) {
    let Some(value) = value else { return };
    let (least_of_format, most_of_format) = match schema["format"].as_str() {
        Some("int32") => (f64::from(i32::MIN), f64::from(i32::MAX)),
        Some("uint32") => (0.0, f64::from(u32::MAX)),
        _ => (f64::MIN, f64::MAX),
    };
    let least = schema["minimum"].as_f64().unwrap_or(least_of_format);
    let most = schema["maximum"].as_f64().unwrap_or(most_of_format);
    let bound = if value < least {
        format!("at least {least}")
    } else if value > most {
        format!("at most {most}")
    } else {
        return;
    };
    let message = format!("{} must be {bound}, got {}", name.subject(), got(node));
    report.error(Code::OutOfRange, node.mark, message);
}
