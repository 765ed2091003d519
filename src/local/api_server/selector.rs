//! Label and field selectors.

use serde_json::Value;

use super::error::ApiError;
use crate::local::store::Entry;
use crate::local::store::Key;

/// Which objects a list or a watch is about.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Selector {
    labels: Vec<LabelTerm>,
    fields: Vec<FieldTerm>,
}

#[derive(Clone, Debug, PartialEq)]
struct LabelTerm {
    name: String,
    condition: Condition,
}

#[derive(Clone, Debug, PartialEq)]
enum Condition {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
    GreaterThan(i64),
    LessThan(i64),
}

#[derive(Clone, Debug, PartialEq)]
struct FieldTerm {
    path: String,
    value: String,
    equal: bool,
}

impl Selector {
    pub(crate) fn parse(
        labels: Option<&str>,
        fields: Option<&str>,
        storage: &str,
    ) -> Result<Self, ApiError> {
        Ok(Self {
            labels: parse_labels(labels.unwrap_or_default())?,
            fields: parse_fields(fields.unwrap_or_default(), storage)?,
        })
    }

    /// Narrowed to one name.
    pub(crate) fn with_name(mut self, name: &str) -> Self {
        self.fields.push(FieldTerm {
            path: "metadata.name".into(),
            value: name.into(),
            equal: true,
        });
        self
    }

    /// Whether it names the one object that it is about.
    pub(crate) fn is_of_one(&self) -> bool {
        let names = |term: &FieldTerm| term.path == "metadata.name" && term.equal;
        self.fields.iter().any(names)
    }

    pub(crate) fn matches(&self, key: &Key, entry: &Entry) -> bool {
        self.labels.iter().all(|term| term.matches(&entry.labels)) && self.fields_match(key, entry)
    }

    fn fields_match(&self, key: &Key, entry: &Entry) -> bool {
        // Names need no look inside the object.
        let (by_name, by_content): (Vec<_>, Vec<_>) = self.fields.iter().partition(|term| {
            matches!(
                term.path.as_str(),
                "metadata.name" | "metadata.namespace" | "name"
            )
        });
        let fits = by_name.iter().all(|term| {
            let value = match term.path.as_str() {
                "metadata.namespace" => key.namespace(),
                _ => key.name(),
            };
            (value == term.value) == term.equal
        });
        if !fits || by_content.is_empty() {
            return fits;
        }
        let object = entry.object();
        by_content
            .iter()
            .all(|term| (field(&object, &term.path) == term.value) == term.equal)
    }
}

/// The value of a field as a selector sees it.
fn field(object: &Value, path: &str) -> String {
    let path = match path {
        "successful" | "status.successful" => "status.succeeded",
        "type" if object["kind"] != "Secret" => "type",
        "source" => "source.component",
        other => other,
    };
    let found = path.split('.').fold(object, |value, part| &value[part]);
    match found {
        Value::String(text) => text.clone(),
        Value::Null if path == "status.succeeded" => "0".into(),
        Value::Null if path == "spec.unschedulable" => "false".into(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Fields besides name and namespace by which a resource can be selected.
fn selectable(storage: &str) -> &'static [&'static str] {
    match storage {
        "pods" => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        "jobs.batch" => &["status.successful"],
        "secrets" => &["type"],
        "namespaces" => &["status.phase", "name"],
        "events" => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        _ => &[],
    }
}

fn parse_fields(text: &str, storage: &str) -> Result<Vec<FieldTerm>, ApiError> {
    let terms = text.split(',').filter(|term| !term.is_empty());
    terms
        .map(|term| {
            let (path, value, equal) = if let Some((path, value)) = term.split_once("!=") {
                (path, value, false)
            } else if let Some((path, value)) = term.split_once("==") {
                (path, value, true)
            } else if let Some((path, value)) = term.split_once('=') {
                (path, value, true)
            } else {
                return Err(ApiError::bad_request(format!(
                    "invalid selector: '{text}'; can't understand '{term}'"
                )));
            };
            let known = matches!(path, "metadata.name" | "metadata.namespace")
                || selectable(storage).contains(&path);
            if !known {
                return Err(ApiError::bad_request(format!(
                    "field label not supported: {path}"
                )));
            }
            Ok(FieldTerm {
                path: path.into(),
                value: value.into(),
                equal,
            })
        })
        .collect()
}

impl LabelTerm {
    fn matches(&self, labels: &[(Box<str>, Box<str>)]) -> bool {
        let found = labels
            .binary_search_by(|(name, _)| name.as_ref().cmp(self.name.as_str()))
            .ok()
            .map(|at| labels[at].1.as_ref());
        let number = || found.and_then(|it| it.parse::<i64>().ok());
        match &self.condition {
            Condition::In(values) => found.is_some_and(|it| values.iter().any(|value| value == it)),
            Condition::NotIn(values) => {
                found.is_none_or(|it| values.iter().all(|value| value != it))
            }
            Condition::Exists => found.is_some(),
            Condition::Absent => found.is_none(),
            Condition::GreaterThan(bound) => number().is_some_and(|it| it > *bound),
            Condition::LessThan(bound) => number().is_some_and(|it| it < *bound),
        }
    }
}

fn parse_labels(text: &str) -> Result<Vec<LabelTerm>, ApiError> {
    let mut terms = Vec::new();
    for term in split_outside_parentheses(text) {
        let term = term.trim();
        if term.is_empty() {
            continue;
        }
        let parsed = parse_label(term).ok_or_else(|| {
            ApiError::bad_request(format!(
                "unable to parse requirement: found '{term}' in \"{text}\""
            ))
        })?;
        terms.push(parsed);
    }
    Ok(terms)
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_u32, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn parse_label(term: &str) -> Option<LabelTerm> {
    let one = |value: &str| vec![value.trim().to_owned()];
    let (name, condition) = if let Some(name) = term.strip_prefix('!') {
        (name, Condition::Absent)
    } else if let Some((name, value)) = term.split_once("!=") {
        (name, Condition::NotIn(one(value)))
    } else if let Some((name, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        (name, Condition::In(one(value)))
    } else if let Some((name, value)) = term.split_once('>') {
        (name, Condition::GreaterThan(value.trim().parse().ok()?))
    } else if let Some((name, value)) = term.split_once('<') {
        (name, Condition::LessThan(value.trim().parse().ok()?))
    } else if let Some((head, values)) = term.split_once('(') {
        let values = values.strip_suffix(')')?.split(',');
        let values = values.map(|value| value.trim().to_owned()).collect();
        let mut words = head.split_whitespace();
        let name = words.next()?;
        match (words.next()?, words.next()) {
            ("in", None) => (name, Condition::In(values)),
            ("notin", None) => (name, Condition::NotIn(values)),
            _ => return None,
        }
    } else {
        (term, Condition::Exists)
    };
    let name = name.trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    (!name.is_empty() && name.chars().all(plain)).then(|| LabelTerm {
        name: name.into(),
        condition,
    })
}

#[cfg(test)]
mod tests {
    use super::Selector;
    use super::parse_labels;

    fn check(selector: &str, labels: &[(&str, &str)], expected: bool) {
        let mut labels: Vec<_> = labels
            .iter()
            .map(|(name, value)| (Box::from(*name), Box::from(*value)))
            .collect();
        labels.sort();
        let terms = parse_labels(selector).unwrap();
        let matches = terms.iter().all(|term| term.matches(&labels));
        assert_eq!(matches, expected, "{selector} on {labels:?}");
    }

    #[test]
    fn labels_are_selected_as_kubernetes_does() {
        let labels = [("app", "web"), ("tier", "3")];
        check("", &labels, true);
        check("app=web", &labels, true);
        check("app==web,tier!=4", &labels, true);
        check("app in (api, web)", &labels, true);
        check("app notin (api),!gone", &labels, true);
        check("gone!=x", &labels, true);
        check("gone", &labels, false);
        check("tier>2,tier<4", &labels, true);
        check("tier>3", &labels, false);
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(Selector::parse(Some("a b"), None, "pods").is_err());
        assert!(Selector::parse(Some("a in x"), None, "pods").is_err());
        assert!(Selector::parse(None, Some("spec.secret=x"), "pods").is_err());
        assert!(Selector::parse(None, Some("spec.nodeName=x"), "pods").is_ok());
    }
}
