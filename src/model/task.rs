//! What a Task's spec must be to run: the rules that the schema cannot hold, and those of objects
//! that a schema never saw.

use std::collections::BTreeSet;

use super::code::Code;
use super::duration::GoDuration;
use super::names::ObjectName;
use super::pod_overrides;
use super::problem::Problem;
use crate::api::task::AgentType;
use crate::api::task::CredentialType;
use crate::api::task::Credentials;
use crate::api::task::LocalRef;
use crate::api::task::Retry;
use crate::api::task::TaskSpec;

/// Most bytes of a prompt: what one argument of a process can hold.
pub const MAX_PROMPT: usize = 128 * 1024;
/// Most bytes of a branch's name: what a file name can hold, less git's own suffixes.
const MAX_BRANCH: usize = 244;

/// Everything that is wrong with `spec`. Pointers begin at the spec: `/prompt`.
pub fn validate(spec: &TaskSpec) -> Vec<Problem> {
    let TaskSpec {
        agent,
        prompt,
        credentials,
        model,
        image,
        workspace_ref,
        ttl_seconds_after_finished: ttl,
        pod_overrides,
        branch,
        depends_on,
        prompt_syntax: _,
        cancelled: _,
        retry,
    } = spec;
    let mut found = Vec::new();
    found.extend(prompt_problem(prompt));
    found.extend(credentials_problem(credentials));
    found.extend(image_problem(*agent, image.as_deref()));
    if model.as_deref().is_some_and(|it| it.contains('\0')) {
        found.push(Problem::error("/model", "a model name has no NUL"));
    }
    if let Some(workspace) = workspace_ref {
        found.extend(name_problem("/workspaceRef/name", workspace));
    }
    if ttl.is_some_and(|it| it < 0) {
        let message = "expected a number of seconds from 0 up";
        found.push(Problem::error("/ttlSecondsAfterFinished", message));
    }
    if let Some(overrides) = pod_overrides {
        found.extend(pod_overrides::problems(overrides));
    }
    if let Some(Err(wrong)) = branch.as_deref().map(check_branch) {
        found.push(Problem::error("/branch", wrong));
    }
    found.extend(dependency_problems(depends_on));
    found.extend(retry.as_ref().and_then(retry_problem));
    found
}

fn dependency_problems(depends_on: &[String]) -> Vec<Problem> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for (at, name) in depends_on.iter().enumerate() {
        let pointer = format!("/dependsOn/{at}");
        if let Err(wrong) = ObjectName::parse(name) {
            found.push(Problem::error(pointer, wrong.to_string()).code(Code::InvalidName));
        } else if !seen.insert(name) {
            found.push(Problem::error(
                pointer,
                format!("Task \"{name}\" stands twice"),
            ));
        }
    }
    found
}

fn retry_problem(retry: &Retry) -> Option<Problem> {
    let wrong = GoDuration::parse(&retry.backoff).err()?;
    Some(Problem::error("/retry/backoff", wrong.to_string()).code(Code::InvalidDuration))
}

fn prompt_problem(prompt: &str) -> Option<Problem> {
    let message = match prompt.len() {
        0 => "a prompt has at least one byte".to_owned(),
        size if size > MAX_PROMPT => {
            format!("a prompt has at most {MAX_PROMPT} bytes, this one has {size}")
        }
        _ if prompt.contains('\0') => "a prompt has no NUL".to_owned(),
        _ => return None,
    };
    Some(Problem::error("/prompt", message))
}

fn credentials_problem(credentials: &Credentials) -> Option<Problem> {
    match (credentials.kind, &credentials.secret_ref) {
        (CredentialType::None, _) => None,
        (CredentialType::ApiKey | CredentialType::Oauth, Some(secret)) => {
            name_problem("/credentials/secretRef/name", secret)
        }
        (CredentialType::ApiKey | CredentialType::Oauth, None) => Some(
            Problem::error("/credentials", "credentials need a secretRef")
                .code(Code::MissingKey)
                .hint("name the Secret that holds the key, or set type to \"none\""),
        ),
    }
}

fn image_problem(agent: AgentType, image: Option<&str>) -> Option<Problem> {
    let blank = |c: char| c.is_whitespace() || c.is_control();
    match (agent, image.filter(|it| !it.is_empty())) {
        (AgentType::Custom | AgentType::Cursor, None) => {
            let message = format!("an agent of type \"{}\" needs an image", agent.as_str());
            Some(Problem::error("/image", message).code(Code::Incomplete))
        }
        (_, Some(image)) if image.contains(blank) => Some(Problem::error(
            "/image",
            "an image reference has no white space",
        )),
        (_, _) => None,
    }
}

fn name_problem(pointer: &str, reference: &LocalRef) -> Option<Problem> {
    let wrong = ObjectName::parse(&reference.name).err()?;
    Some(Problem::error(pointer, wrong.to_string()).code(Code::InvalidName))
}

/// Whether git takes `name` for a branch; if not, what is wrong with it.
pub fn check_branch(name: &str) -> Result<(), String> {
    let refused = |why: &str| Err(format!("\"{}\" is not a branch name: {why}", shown(name)));
    let bad_part = |part: &str| {
        part.is_empty()
            || part.starts_with('.')
            || std::path::Path::new(part)
                .extension()
                .is_some_and(|it| it == "lock")
    };
    if name.is_empty() || name.len() > MAX_BRANCH {
        return refused(&format!("it has 1 to {MAX_BRANCH} bytes"));
    }
    if name == "HEAD" || name == "@" {
        return refused("git keeps this name for itself");
    }
    if name.starts_with('-') {
        return refused("it must not begin with \"-\"");
    }
    if name.contains(|c: char| c.is_ascii_control() || " ~^:?*[\\".contains(c)) {
        return refused("it has no spaces, control characters or any of ~ ^ : ? * [ \\");
    }
    if name.contains("..") || name.contains("@{") || name.ends_with('.') {
        return refused("it has no \"..\" or \"@{\" and does not end with \".\"");
    }
    if name.split('/').any(bad_part) {
        return refused("no part between \"/\" is empty, begins with \".\" or ends with \".lock\"");
    }
    Ok(())
}

/// The beginning of a text of unknown length.
fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json;

    use super::*;

    /// Problems of a good Task with `changes` merged in, as `pointer: message`.
    fn problems(changes: &Value) -> Vec<String> {
        let mut spec = json!({
            "type": "claude-code",
            "prompt": "Fix it.",
            "credentials": {"type": "api-key", "secretRef": {"name": "key"}},
        });
        json_patch::merge(&mut spec, changes);
        let spec: TaskSpec = serde_json::from_value(spec).unwrap();
        let text = |it: &Problem| format!("{}: {}", it.pointer, it.message);
        validate(&spec).iter().map(text).collect()
    }

    #[test]
    fn good_specs_have_no_problem() {
        for good in [
            json!({}),
            json!({"prompt": "x".repeat(MAX_PROMPT)}),
            json!({"credentials": {"type": "none", "secretRef": null}}),
            json!({"type": "custom", "image": "mine:1", "branch": "feature/a.b"}),
            json!({"image": "", "model": ""}),
            json!({"podOverrides": {"env": [{"name": "A", "value": ""}]}}),
        ] {
            assert_eq!(problems(&good), Vec::<String>::new(), "{good}");
        }
    }

    #[test]
    fn each_problem_names_its_place() {
        for (changes, pointer) in [
            (json!({"prompt": ""}), "/prompt"),
            (json!({"prompt": "ä".repeat(MAX_PROMPT / 2 + 1)}), "/prompt"),
            (json!({"prompt": "a\0"}), "/prompt"),
            (json!({"credentials": {"secretRef": null}}), "/credentials"),
            (
                json!({"credentials": {"secretRef": {"name": "A B"}}}),
                "/credentials/secretRef/name",
            ),
            (json!({"type": "cursor"}), "/image"),
            (json!({"type": "custom", "image": ""}), "/image"),
            (json!({"image": "a b"}), "/image"),
            (json!({"model": "a\0"}), "/model"),
            (json!({"workspaceRef": {"name": ""}}), "/workspaceRef/name"),
            (
                json!({"ttlSecondsAfterFinished": -1}),
                "/ttlSecondsAfterFinished",
            ),
            (json!({"branch": "a..b"}), "/branch"),
            (
                json!({"podOverrides": {"env": [{"name": "A=B"}]}}),
                "/podOverrides/env/0/name",
            ),
        ] {
            let found = problems(&changes);
            assert!(
                found.len() == 1 && found[0].starts_with(&format!("{pointer}: ")),
                "{changes} gave {found:?}"
            );
        }
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let found = problems(&json!({"prompt": "", "type": "cursor", "branch": "-"}));
        assert_eq!(found.len(), 3, "{found:?}");
    }

    #[test]
    fn branches() {
        for good in [
            "main", "a/b", "fix-42", "ünï", "a@b", "v1.2", "lock", "a.lock2",
        ] {
            assert_eq!(check_branch(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "@",
            "HEAD",
            "-a",
            "a b",
            "a..b",
            "a.",
            "/a",
            "a/",
            "a//b",
            ".a",
            "a/.b",
            "a.lock",
            "a.lock/b",
            "a@{b",
            "a~1",
            "a^",
            "a:b",
            "a?",
            "a*",
            "a[",
            "a\\b",
            "a\tb",
            "a\u{7f}",
            &"x".repeat(245),
        ] {
            assert!(check_branch(bad).is_err(), "{bad}");
        }
    }
}
