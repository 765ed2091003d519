//! Which document is what.

use crate::api::API_VERSION;
use crate::model::Code;
use crate::model::Kind;
use crate::template::fleet::Fleets;

use super::config;
use super::config::Config;
use super::manifest;
use super::node::Mark;
use super::node::Node;
use super::node::Value;
use super::object::Objects;
use super::report::Report;
use super::report::suggest;
use super::words::brief;
use super::words::got;

/// Kind of a configuration document.
pub(super) const CONFIG: &str = "Config";

/// Declares what the documents of one file hold.
pub(super) fn declare(
    documents: Vec<Node>,
    is_root: bool,
    fleets: &mut Fleets,
    objects: &mut Objects<'_>,
    report: &mut Report<'_>,
) {
    let documents: Vec<_> = documents
        .into_iter()
        .filter_map(|document| Some((kind_of(&document, report)?, document)))
        .collect();
    // What concerns all entries is read first, wherever in the file it stands.
    let mut first: Option<Mark> = None;
    for (_, document) in documents.iter().filter(|(kind, _)| *kind == Form::Config) {
        if !is_root {
            config::refuse_root_keys(document, report);
        } else if let Some(first) = first {
            let first = report.place(first);
            report.error_with(
                Code::SecondConfig,
                document.mark,
                "a second Config in this file",
                Some(format!("join it with the first at {first}")),
            );
        } else {
            first = Some(document.mark);
            config::root_keys(document, objects, report);
        }
    }
    for (form, document) in documents {
        match form {
            Form::Config => Config::new(&document).declare(fleets, objects, report),
            Form::Manifest(kind) => manifest::declare(kind, &document, objects, report),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Config,
    Manifest(Kind),
}

fn kind_of(document: &Node, report: &mut Report<'_>) -> Option<Form> {
    if matches!(document.value, Value::Broken) {
        return None;
    }
    let Value::Map(_) = document.value else {
        let message = format!("a document must be a map, got {}", got(document));
        report.error_with(
            Code::WrongType,
            document.mark,
            message,
            Some(how_to_begin()),
        );
        return None;
    };
    let Some(kind) = document.get("kind") else {
        report.error_with(
            Code::MissingKey,
            document.mark,
            "\"kind\" is missing",
            Some(how_to_begin()),
        );
        return None;
    };
    let form = match kind.as_text() {
        Some(CONFIG) => Some(Form::Config),
        Some(name) => Kind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == name)
            .map(Form::Manifest),
        None => None,
    };
    let Some(form) = form else {
        refuse_kind(kind, report);
        return None;
    };
    match document.get("apiVersion") {
        None => report.error_with(
            Code::MissingKey,
            document.mark,
            "\"apiVersion\" is missing",
            Some(format!("write apiVersion: {API_VERSION}")),
        ),
        Some(version) if version.as_text() != Some(API_VERSION) => {
            let message = format!(
                "\"apiVersion\" must be \"{API_VERSION}\", got {}",
                got(version)
            );
            report.error(Code::UnknownValue, version.mark, message);
        }
        Some(_) => {}
    }
    Some(form)
}

fn how_to_begin() -> String {
    format!("begin the document with apiVersion: {API_VERSION} and kind: {CONFIG}")
}

fn refuse_kind(kind: &Node, report: &mut Report<'_>) {
    let Some(name) = kind.as_text() else {
        let message = format!("\"kind\" must be text, got {}", got(kind));
        return report.error(Code::WrongType, kind.mark, message);
    };
    let message = format!("the kind \"{}\" does not belong here", brief(name));
    let hint = match name {
        "Secret" => Some(
            "secrets are referenced, never committed: create it in the cluster, and take it out of \
             the history of the repository"
                .to_owned(),
        ),
        "RepoSync" => Some(
            "a RepoSync says which configuration is read, so it cannot stand in one: create it with \
             \"axon create sync\" or \"kubectl apply\""
                .to_owned(),
        ),
        "List" => Some("write the items of the list as documents of their own".to_owned()),
        _ => {
            let kinds = Kind::ALL.iter().map(|kind| kind.as_str());
            suggest(name, kinds.chain([CONFIG]))
        }
    };
    report.error_with(Code::RefusedKind, kind.mark, message, hint);
}
