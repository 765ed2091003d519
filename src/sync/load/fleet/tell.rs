//! Why a text of a fleet cannot be expanded, in words.

use std::collections::BTreeSet;

use crate::model::Code;
use crate::template::fleet;
use crate::template::fleet::FILTERS;
use crate::template::fleet::Fault;
use crate::template::fleet::Scalar;
use crate::template::fleet::TESTS;

use crate::sync::load::node::Mark;
use crate::sync::load::report::Report;
use crate::sync::load::report::suggest;
use crate::sync::load::words::brief;

/// What a text needs that has the signs of a template and is none.
const RAW: &str = "to keep \"{{\" as it is, write {% raw %}…{% endraw %} around it";

/// `repo "acme/a" and year "2024"`.
pub(super) fn with(values: &[(&str, &Scalar)]) -> String {
    let words = values
        .iter()
        .map(|(name, value)| format!("{name} \"{}\"", brief(&value.to_string())));
    words.collect::<Vec<_>>().join(" and ")
}

/// Tells why a text cannot be expanded.
pub(super) fn tell(
    error: &fleet::Error,
    mark: Mark,
    text: &str,
    variables: &BTreeSet<&str>,
    report: &mut Report<'_>,
) {
    let (code, hint) = match &error.fault {
        Fault::Undefined(name) => {
            let near = suggest(name, variables.iter().copied());
            (Code::UndefinedVariable, near)
        }
        Fault::UnknownFilter(name) => {
            let near = suggest(name, FILTERS.iter().copied());
            (Code::InvalidTemplate, near)
        }
        Fault::UnknownTest(name) => {
            let near = suggest(name, TESTS.iter().copied());
            (Code::InvalidTemplate, near)
        }
        Fault::Statement | Fault::Fields | Fault::Unexpected(_) => {
            (Code::InvalidTemplate, Some(RAW.to_owned()))
        }
        Fault::TooLong | Fault::TooMany | Fault::TooLarge | Fault::TooMuch => {
            (Code::TooLarge, None)
        }
        Fault::Function(_)
        | Fault::Loop
        | Fault::Unclosed(_)
        | Fault::Empty
        | Fault::Invalid(_) => (Code::InvalidTemplate, None),
    };
    let fault = &error.fault;
    if let Some(exact) = report.inside(mark, text, error.line, error.column) {
        report.error_with(code, exact, fault.to_string(), hint);
    } else {
        let (line, column) = (error.line, error.column);
        let message = format!("template, line {line}, column {column}: {fault}");
        report.error_with(code, mark, message, hint);
    }
}
