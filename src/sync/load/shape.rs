//! The patterns of the published schema, told in plain words.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value as Json;
use serde_json::json;

use crate::api::pattern;
use crate::model::Code;
use crate::model::ObjectName;
use crate::model::RepoUrl;
use crate::model::SyncId;
use crate::model::duration::GoDuration;
use crate::model::label;
use crate::model::pod_overrides;

use super::node::Entry;
use super::node::Mark;
use super::report::Report;
use super::words::brief;

/// The patterns that are checked here.
static PATTERNS: LazyLock<HashMap<&str, Regex>> = LazyLock::new(|| {
    let known = [
        pattern::NAME,
        pattern::LABEL_NAME,
        pattern::LABEL_VALUE,
        pattern::LABEL_KEY,
        pattern::DURATION,
        pattern::REPO_URL,
        pattern::QUANTITY,
        pattern::VARIABLE,
        pattern::MOUNT_PATH,
        pattern::FLEET_VARIABLE,
    ];
    let regex = |text| Some((text, Regex::new(text).ok()?));
    known.into_iter().filter_map(regex).collect()
});

/// Tells of a text that has not the shape that its schema wants.
pub(super) fn check(schema: &Json, text: &str, mark: Mark, subject: &str, report: &mut Report<'_>) {
    if let Some((code, message)) = wrong(schema, text, subject) {
        report.error(code, mark, message);
    }
}

/// Tells of a URL that the cluster's own schema refuses.
pub(super) fn check_repo_url(text: &str, mark: Mark, report: &mut Report<'_>) {
    let schema = json!({"pattern": pattern::REPO_URL});
    check(&schema, text, mark, "", report);
}

/// Tells of a key that has not the shape that its map wants.
pub(super) fn check_key(schema: &Json, entry: &Entry, report: &mut Report<'_>) {
    let key = entry.key.as_str();
    let longest = schema["maxLength"].as_u64().unwrap_or(u64::MAX);
    if let Some((code, message)) = wrong(schema, key, "a name") {
        let is_name = schema["pattern"] == pattern::NAME;
        let the = if is_name { "the name " } else { "" };
        report.error(code, entry.mark, format!("{the}{message}"));
    } else if key.len() as u64 > longest {
        let message = format!("the name must have at most {longest} characters");
        report.error(Code::InvalidName, entry.mark, message);
    }
}

fn wrong(schema: &Json, text: &str, subject: &str) -> Option<(Code, String)> {
    let shape = schema["pattern"].as_str()?;
    let known = PATTERNS.get(shape)?;
    if known.is_match(text) {
        return None;
    }
    let shown = brief(text);
    Some(match shape {
        pattern::NAME => {
            let why = ObjectName::parse(text).err().map(|why| why.to_string());
            let why = why.unwrap_or_else(|| format!("\"{shown}\" is not the name of an object"));
            (Code::InvalidName, why)
        }
        pattern::LABEL_NAME => {
            let why = SyncId::parse(text).err().map(|why| why.to_string());
            let why = why.unwrap_or_else(|| format!("\"{shown}\" is not a name"));
            (Code::InvalidName, format!("{subject}: {why}"))
        }
        pattern::LABEL_VALUE => (Code::InvalidLabel, label::wrong_value(text)),
        pattern::LABEL_KEY => (Code::InvalidLabel, label::wrong_key(text)),
        pattern::DURATION => {
            let why = GoDuration::parse(text).err().map(|why| why.to_string());
            let why = why.unwrap_or_else(|| format!("\"{shown}\" is not a duration"));
            (Code::InvalidDuration, why)
        }
        pattern::REPO_URL => {
            let why = RepoUrl::parse(text).err().map(|why| why.to_string());
            let begin = "a repository URL must begin with \"https://\", \"http://\", \"git://\", \
                         \"ssh://\", \"file://\" or \"git@host:\"";
            (Code::InvalidUrl, why.unwrap_or_else(|| begin.to_owned()))
        }
        pattern::QUANTITY => {
            let message = format!(
                "{subject} must be an amount such as \"500m\", \"2\" or \"4Gi\", got \"{shown}\""
            );
            (Code::InvalidQuantity, message)
        }
        pattern::VARIABLE => {
            let message = "the name of a variable is not empty and has no \"=\" and no NUL";
            (Code::InvalidName, message.to_owned())
        }
        pattern::MOUNT_PATH => (Code::InvalidValue, pod_overrides::absolute(text)),
        // Of a fleet's variables; the fleet knows its other words.
        _ => {
            let message = format!(
                "\"{shown}\" cannot be a variable: expected letters, digits and \"_\", beginning \
                 with a letter"
            );
            (Code::InvalidName, message)
        }
    })
}
