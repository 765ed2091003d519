//! The `include` patterns of a root file.

use globset::Glob;

use crate::api::API_VERSION;
use crate::model::Code;
use crate::model::RepoPath;
use crate::model::snapshot::Unmatched;

use super::MAX_FILE;
use super::document::CONFIG;
use super::node::Node;
use super::report::Report;
use super::report::Source;
use super::yaml;

/// The patterns that a root file lists. A file that cannot be read lists none: [`super::load`] says why.
pub fn includes(root: &[u8]) -> Vec<String> {
    let Ok(path) = RepoPath::parse("axon.yaml") else {
        return Vec::new();
    };
    let text = match std::str::from_utf8(root) {
        Ok(text) if root.len() <= MAX_FILE => text.trim_start_matches('\u{feff}'),
        Ok(_) | Err(_) => return Vec::new(),
    };
    let mut report = Report::new(vec![Source::new(&path, text)]);
    let documents = yaml::documents(0, &mut report);
    patterns(&documents)
        .filter(|(_, pattern)| problem(pattern).is_none())
        .map(|(_, pattern)| pattern.to_owned())
        .collect()
}

/// Tells of patterns that cannot be, and of those that matched nothing.
pub(super) fn check(documents: &[Node], unmatched: &[Unmatched], report: &mut Report<'_>) {
    for (node, pattern) in patterns(documents) {
        if let Some(problem) = problem(pattern) {
            report.error(
                Code::InvalidInclude,
                node.mark,
                format!("\"{pattern}\" {problem}"),
            );
        } else if let Some(found) = unmatched.iter().find(|it| it.pattern == pattern) {
            let message = format!("no file matches \"{pattern}\"");
            let hint = match &found.near {
                Some(near) => format!("there is \"{near}\": upper and lower case are two letters"),
                None => "paths begin at the directory of this file".to_owned(),
            };
            report.error_with(Code::InvalidInclude, node.mark, message, Some(hint));
        }
    }
}

/// The patterns of the first Config; a second one is an error.
fn patterns(documents: &[Node]) -> impl Iterator<Item = (&Node, &str)> {
    let is_config = |document: &&Node| {
        document
            .text_of("kind")
            .is_some_and(|(kind, _)| kind == CONFIG)
            && document
                .text_of("apiVersion")
                .is_some_and(|(version, _)| version == API_VERSION)
    };
    let list = documents
        .iter()
        .find(is_config)
        .and_then(|it| it.get("include"));
    let items = list.map(Node::items).unwrap_or_default().iter();
    items.filter_map(|item| Some((item, item.as_text()?)))
}

fn problem(pattern: &str) -> Option<String> {
    if RepoPath::parse(pattern).is_err() {
        return Some("is not a path inside the repository".to_owned());
    }
    let error = Glob::new(pattern).err()?;
    Some(format!("is not a pattern: {}", error.kind()))
}
