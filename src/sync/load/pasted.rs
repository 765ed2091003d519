//! Tells of tokens and private keys that were pasted into a configuration.

use crate::model::Code;
use crate::model::leak;

use super::node::Node;
use super::node::Value;
use super::report::Report;

/// Keys of texts in which somebody may speak of a token without having one.
const PROSE: [&str; 2] = ["prompt", "promptTemplate"];
/// Key whose own check tells of credentials.
const URL: &str = "repo";

/// Looks through all values of a document.
pub(super) fn check(document: &Node, report: &mut Report<'_>) {
    look(document, false, report);
}

fn look(node: &Node, is_prose: bool, report: &mut Report<'_>) {
    match &node.value {
        Value::Text(text) if leak::is_pasted(text) => tell(node, is_prose, report),
        Value::List(items) => items.iter().for_each(|it| look(it, is_prose, report)),
        Value::Map(entries) => {
            for entry in entries.iter().filter(|it| it.key != URL) {
                let is_prose = is_prose || PROSE.contains(&entry.key.as_str());
                look(&entry.value, is_prose, report);
            }
        }
        Value::Text(_)
        | Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::Odd(_)
        | Value::Broken => {}
    }
}

fn tell(node: &Node, is_prose: bool, report: &mut Report<'_>) {
    let message =
        "this looks like a token or a private key, which whoever can read the repository has now";
    let hint =
        "revoke it; put the new one into a Secret and name that: \"credentials.secretRef\", or \
                \"valueFrom.secretKeyRef\" of a variable"
            .to_owned();
    if is_prose {
        report.warning(Code::PastedSecret, node.mark, message, Some(hint));
    } else {
        report.error_with(Code::PastedSecret, node.mark, message, Some(hint));
    }
}
