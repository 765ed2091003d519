//! The variables of the agent: by agent, credential, host and kind of Secret.

use serde_json::json;

use super::super::super::fixture::TaskExt as _;
use super::super::super::fixture::task;
use super::agent;
use super::built;
use super::checkout;
use super::variables;
use crate::model::GitKeys;

/// Agent, type of credential, and the variable that it is handed in.
const CREDENTIALS: [(&str, &str, Option<&str>); 18] = [
    ("claude-code", "api-key", Some("ANTHROPIC_API_KEY")),
    ("claude-code", "oauth", Some("CLAUDE_CODE_OAUTH_TOKEN")),
    ("claude-code", "none", None),
    ("codex", "api-key", Some("CODEX_API_KEY")),
    ("codex", "oauth", Some("CODEX_API_KEY")),
    ("codex", "none", None),
    ("gemini", "api-key", Some("GEMINI_API_KEY")),
    ("gemini", "oauth", Some("GEMINI_API_KEY")),
    ("gemini", "none", None),
    ("opencode", "api-key", Some("OPENCODE_API_KEY")),
    ("opencode", "oauth", Some("OPENCODE_API_KEY")),
    ("opencode", "none", None),
    ("cursor", "api-key", Some("CURSOR_API_KEY")),
    ("cursor", "oauth", Some("CURSOR_API_KEY")),
    ("cursor", "none", None),
    ("custom", "api-key", Some("AXON_API_KEY")),
    ("custom", "oauth", Some("AXON_API_KEY")),
    ("custom", "none", None),
];

/// Repository, kind of its credential, and the variables of git and gh.
const HOSTS: [(&str, Option<GitKeys>, &[&str]); 13] = [
    ("https://github.com/a/b", None, &[]),
    (
        "https://github.com/a/b",
        Some(GitKeys::Token),
        &["GITHUB_TOKEN<t/GITHUB_TOKEN", "GH_TOKEN<t/GITHUB_TOKEN"],
    ),
    ("https://github.com/a/b", Some(GitKeys::Basic), &[]),
    ("git@github.com:a/b.git", None, &[]),
    ("git@github.com:a/b.git", Some(GitKeys::Ssh), &[]),
    (
        "https://git.acme.dev/a/b",
        Some(GitKeys::Token),
        &[
            "GITHUB_TOKEN<t/GITHUB_TOKEN",
            "GH_ENTERPRISE_TOKEN<t/GITHUB_TOKEN",
            "GH_HOST=git.acme.dev",
        ],
    ),
    (
        "https://git.acme.dev/a/b",
        Some(GitKeys::Basic),
        &["GH_HOST=git.acme.dev"],
    ),
    (
        "https://git.acme.dev:8443/a/b",
        None,
        &["GH_HOST=git.acme.dev:8443"],
    ),
    (
        "https://git.acme.dev:8443/a/b",
        Some(GitKeys::Token),
        &[
            "GITHUB_TOKEN<t/GITHUB_TOKEN",
            "GH_ENTERPRISE_TOKEN<t/GITHUB_TOKEN",
            "GH_HOST=git.acme.dev:8443",
        ],
    ),
    (
        "ssh://git@git.acme.dev:2222/a/b",
        None,
        &["GH_HOST=git.acme.dev"],
    ),
    (
        "ssh://git@git.acme.dev:2222/a/b",
        Some(GitKeys::Ssh),
        &["GH_HOST=git.acme.dev"],
    ),
    (
        "git@git.acme.dev:a/b",
        Some(GitKeys::Ssh),
        &["GH_HOST=git.acme.dev"],
    ),
    ("file:///srv/web", None, &[]),
];

#[test]
fn every_agent_with_every_credential_on_every_host() {
    for (agent_type, kind, variable) in CREDENTIALS {
        let it = task("a").with(&json!({"spec": {
            "type": agent_type, "credentials": {"type": kind}, "workspaceRef": {"name": "web"},
            "model": "m",
        }}));
        for (url, keys, of_host) in HOSTS {
            let mut from = checkout(url, keys.map(|_| "t"));
            if let (Some(credentials), Some(keys)) = (&mut from.credentials, keys) {
                credentials.kind = keys;
                credentials.token = keys == GitKeys::Token;
            }
            let container = agent(&built(&it, Some(from)));
            let mut expected = vec!["AXON_MODEL=m".to_owned()];
            expected.extend(variable.map(|it| format!("{it}<key/{it}")));
            expected.extend(of_host.iter().map(|it| (*it).to_owned()));
            expected.extend(["AXON_TASK=a".into(), "AXON_NAMESPACE=team".into()]);
            assert_eq!(
                variables(&container),
                expected,
                "{agent_type} {kind} {url} {keys:?}"
            );
            assert_eq!(container.name, agent_type);
            assert_eq!(container.args.unwrap()[..2], ["--agent", agent_type]);
        }
    }
}

#[test]
fn an_agent_has_a_token_though_git_goes_by_ssh() {
    let it = task("a").with(&json!({"spec": {"workspaceRef": {"name": "web"}}}));
    let mut from = checkout("git@github.com:a/b", Some("t"));
    from.credentials.as_mut().unwrap().kind = GitKeys::Ssh;
    let variables = variables(&agent(&built(&it, Some(from))));
    for name in ["GITHUB_TOKEN", "GH_TOKEN"] {
        let expected = format!("{name}<t/GITHUB_TOKEN");
        assert!(variables.contains(&expected), "{variables:?}");
    }
}

#[test]
fn built_in_variables_win_and_only_those_that_are_set() {
    let it = task("a").with(&json!({"spec": {"podOverrides": {"env": [
        {"name": "AXON_TASK", "value": "x"},
        {"name": "AXON_PROMPT_FILE", "value": "x"},
        {"name": "ANTHROPIC_API_KEY", "value": "x"},
        {"name": "GITHUB_TOKEN", "value": "mine"},
        {"name": "TASK", "value": "$(AXON_TASK)"},
    ]}}}));
    let built = built(&it, None);
    assert_eq!(
        built.overridden,
        ["AXON_TASK", "AXON_PROMPT_FILE", "ANTHROPIC_API_KEY"]
    );
    // The user's own are left to the kubelet's expansion.
    assert_eq!(
        variables(&agent(&built)),
        [
            "ANTHROPIC_API_KEY<key/ANTHROPIC_API_KEY",
            "AXON_TASK=a",
            "AXON_NAMESPACE=team",
            "GITHUB_TOKEN=mine",
            "TASK=$(AXON_TASK)",
        ]
    );
}

#[test]
fn every_secret_variable_is_masked() {
    let it = task("a").with(&json!({"spec": {"podOverrides": {"env": [
        {"name": "NPM_TOKEN", "valueFrom": {"secretKeyRef": {"name": "npm", "key": "token"}}},
        {"name": "PLAIN", "value": "x"},
    ]}}}));
    let from = checkout("https://git.acme.dev/a/b", Some("t"));
    let args = agent(&built(&it, Some(from))).args.unwrap();
    let masked: Vec<&str> = args
        .windows(2)
        .filter(|it| it[0] == "--mask")
        .map(|it| it[1].as_str())
        .collect();
    assert_eq!(
        masked,
        [
            "ANTHROPIC_API_KEY",
            "GITHUB_TOKEN",
            "GH_ENTERPRISE_TOKEN",
            "NPM_TOKEN"
        ]
    );
}
