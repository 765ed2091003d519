//! What a request asks for: its path, its query, its options.

use http::HeaderMap;
use http::Method;
use http::header;
use percent_encoding::percent_decode_str;
use serde_json::json;

use super::error::ApiError;
use super::error::FieldError;
use super::error::Problem;

/// A path under `/api` or `/apis`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) resource: String,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
}

/// Splits a path. None: it names no resource.
pub(crate) fn target(path: &str) -> Option<Target> {
    let decoded: Option<Vec<String>> = path
        .trim_start_matches('/')
        .split('/')
        .map(|part| {
            let part = percent_decode_str(part).decode_utf8().ok()?;
            (!part.is_empty() && !part.contains('/')).then(|| part.into_owned())
        })
        .collect();
    let parts = decoded?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return None,
    };
    let (namespace, rest) = match rest {
        // The namespace itself, or its own subresources.
        ["namespaces"] | ["namespaces", _] | ["namespaces", _, "status" | "finalize"] => {
            (None, rest)
        }
        ["namespaces", namespace, inner @ ..] => (Some(*namespace), inner),
        _ => (None, rest),
    };
    let (resource, name, subresource) = match rest {
        [resource] => (*resource, None, None),
        [resource, name] => (*resource, Some(*name), None),
        [resource, name, sub] => (*resource, Some(*name), Some(*sub)),
        _ => return None,
    };
    Some(Target {
        group: group.into(),
        version: version.into(),
        resource: resource.into(),
        namespace: namespace.map(Into::into),
        name: name.map(Into::into),
        subresource: subresource.map(Into::into),
    })
}

/// The query of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(query: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self(pairs.into_owned().collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), Some("true" | "1"))
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let parsed = text.parse();
        let wrong = |_| ApiError::bad_request(format!("invalid value \"{text}\" for {name}"));
        parsed.map(Some).map_err(wrong)
    }
}

/// What to do with fields that the schema does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

/// Options of every write.
#[derive(Clone, Debug)]
pub(crate) struct WriteOptions {
    pub(crate) dry_run: bool,
    pub(crate) manager: String,
    pub(crate) force: bool,
    pub(crate) validation: FieldValidation,
}

/// The longest name of a field manager.
const MAX_MANAGER: usize = 128;

impl WriteOptions {
    pub(crate) fn parse(
        query: &Query,
        agent: &str,
        verb: Verb,
        headers: &HeaderMap,
    ) -> Result<Self, ApiError> {
        let named = query.get("fieldManager");
        let media = headers.get(header::CONTENT_TYPE);
        let applies = media.is_some_and(|it| it.as_bytes().starts_with(b"application/apply-patch"));
        let mut errors = Vec::new();
        let mut wrong = |field: &str, problem: Problem, why: &str| {
            errors.push(FieldError::new(field, problem, why));
        };
        if verb == Verb::Patch && applies && named.is_none() {
            wrong(
                "fieldManager",
                Problem::Required,
                "is required for apply patch",
            );
        }
        if verb == Verb::Patch && !applies && query.get("force").is_some() {
            let why = "may not be specified for non-apply patch";
            wrong("force", Problem::Forbidden, why);
        }
        if named.is_some_and(|name| name.len() > MAX_MANAGER) {
            let why = format!("may not be more than {MAX_MANAGER} bytes");
            wrong("fieldManager", Problem::TooLong, &why);
        }
        if let Some(other) = query.get("dryRun").filter(|it| *it != "All") {
            wrong(
                "dryRun",
                Problem::Unsupported(json!([other])),
                "supported values: \"All\"",
            );
        }
        let validation = match query.get("fieldValidation") {
            None | Some("Warn") => FieldValidation::Warn,
            Some("Ignore") => FieldValidation::Ignore,
            Some("Strict") => FieldValidation::Strict,
            Some(other) => {
                let why = "supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"";
                wrong("fieldValidation", Problem::Unsupported(json!(other)), why);
                FieldValidation::Ignore
            }
        };
        let kind = match verb {
            Verb::Create => Some("CreateOptions"),
            Verb::Update => Some("UpdateOptions"),
            Verb::Patch => Some("PatchOptions"),
            Verb::Get | Verb::List | Verb::Watch | Verb::Delete | Verb::DeleteCollection => None,
        };
        if let Some(kind) = kind.filter(|_| !errors.is_empty()) {
            return Err(ApiError::bad_options(kind, &errors));
        }
        let from_agent = agent.split('/').next().unwrap_or_default();
        let from_agent: String = from_agent.chars().take(MAX_MANAGER).collect();
        Ok(Self {
            dry_run: query.get("dryRun").is_some(),
            manager: named.map_or(from_agent, Into::into),
            force: query.flag("force"),
            validation,
        })
    }
}

/// Checks what a list asks for by more than a selector and a page.
pub(crate) fn check_list(query: &Query) -> Result<(), ApiError> {
    let matching = query.get(MATCH);
    let is_given = matching.is_some();
    let mut errors = forbidden(&[
        (
            is_given && query.get("resourceVersion").is_none(),
            "resourceVersionMatch is forbidden unless resourceVersion is provided",
        ),
        (is_given && query.get("continue").is_some(), WITH_CONTINUE),
    ]);
    errors.extend(unsupported(matching, &["Exact", "NotOlderThan", ""]));
    errors.extend(forbidden(&[(
        matching == Some("Exact") && query.get("resourceVersion") == Some("0"),
        "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
    )]));
    if query.get("sendInitialEvents").is_some() {
        let why = "sendInitialEvents is forbidden for list";
        errors.push(FieldError::new(
            "sendInitialEvents",
            Problem::Forbidden,
            why,
        ));
    }
    all_well(&errors)
}

/// Checks what a watch asks for by more than a selector.
pub(crate) fn check_watch(query: &Query) -> Result<(), ApiError> {
    let matching = query.get(MATCH);
    let is_given = matching.is_some();
    let initial = query.get("sendInitialEvents").is_some();
    let mut errors = forbidden(&[
        (
            initial && matching != Some("NotOlderThan"),
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ),
        (
            is_given && !initial,
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ),
    ]);
    errors.extend(unsupported(matching, &["NotOlderThan"]));
    let pages = is_given && query.get("continue").is_some();
    errors.extend(forbidden(&[(pages, WITH_CONTINUE)]));
    all_well(&errors)
}

const MATCH: &str = "resourceVersionMatch";
const WITH_CONTINUE: &str = "resourceVersionMatch is forbidden when continue is provided";

fn forbidden(rules: &[(bool, &str)]) -> Vec<FieldError> {
    let broken = rules.iter().filter(|(is_broken, _)| *is_broken);
    let errors = broken.map(|(_, why)| FieldError::new(MATCH, Problem::Forbidden, *why));
    errors.collect()
}

fn unsupported(matching: Option<&str>, known: &[&str]) -> Option<FieldError> {
    let given = matching.filter(|it| !known.contains(it))?;
    let quoted: Vec<_> = known.iter().map(|it| format!("{it:?}")).collect();
    let why = format!("supported values: {}", quoted.join(", "));
    Some(FieldError::new(
        MATCH,
        Problem::Unsupported(json!(given)),
        why,
    ))
}

fn all_well(errors: &[FieldError]) -> Result<(), ApiError> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(ApiError::bad_options("ListOptions", errors))
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
}

/// The verb that a method means on a path. None: there is none.
pub(crate) fn verb(method: &Method, target: &Target, query: &Query) -> Option<Verb> {
    let named = target.name.is_some();
    Some(match (method.as_str(), named) {
        ("GET", false) if query.flag("watch") => Verb::Watch,
        ("GET", false) => Verb::List,
        ("GET", true) if query.flag("watch") && target.subresource.is_none() => Verb::Watch,
        ("GET", true) => Verb::Get,
        ("POST", false) => Verb::Create,
        ("POST", true) if target.subresource.as_deref() == Some("binding") => Verb::Create,
        ("PUT", true) => Verb::Update,
        ("PATCH", true) => Verb::Patch,
        ("DELETE", true) => Verb::Delete,
        ("DELETE", false) => Verb::DeleteCollection,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::target;

    fn check(path: &str, expected: Option<&str>) {
        let found = target(path).map(|it| {
            let or_dash = |part: Option<String>| part.unwrap_or("-".into());
            format!(
                "{}|{}|{}|{}|{}|{}",
                it.group,
                it.version,
                it.resource,
                or_dash(it.namespace),
                or_dash(it.name),
                or_dash(it.subresource)
            )
        });
        assert_eq!(found.as_deref(), expected, "{path}");
    }

    #[test]
    fn paths_are_split_into_what_they_name() {
        check("/api/v1/pods", Some("|v1|pods|-|-|-"));
        check("/api/v1/namespaces", Some("|v1|namespaces|-|-|-"));
        check("/api/v1/namespaces/a", Some("|v1|namespaces|-|a|-"));
        check(
            "/api/v1/namespaces/a/finalize",
            Some("|v1|namespaces|-|a|finalize"),
        );
        check("/api/v1/namespaces/a/pods/p/log", Some("|v1|pods|a|p|log"));
        check(
            "/apis/g.io/v1/namespaces/a/things",
            Some("g.io|v1|things|a|-|-"),
        );
        check("/apis/g.io/v1", None);
        check("/api/v1/namespaces/a%2Fb/pods", None);
        check("/api/v1//pods", None);
        check("/healthz", None);
    }
}
