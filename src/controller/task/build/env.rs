//! Environment variables of the two containers.

use k8s_openapi::api::core::v1::EnvVar;
use k8s_openapi::api::core::v1::EnvVarSource;
use k8s_openapi::api::core::v1::SecretKeySelector;
use kube::ResourceExt;

use crate::api::Task;
use crate::controller::task::needs;
use crate::controller::task::needs::Checkout;
use crate::controller::task::step::Start;
use crate::model::repo_url::RepoUrl;
use crate::model::repo_url::Scheme;
use crate::model::secret::GITHUB_TOKEN;

/// Most bytes of one part of the prompt: half of what one variable of a process can hold.
const MAX_PART: usize = 64 * 1024;
/// Variables that the helper sets itself.
const OF_THE_HELPER: [&str; 3] = [
    "AXON_PROMPT_FILE",
    "AXON_RESULTS_FILE",
    "AXON_DEPENDENCIES_FILE",
];

/// The variables of the agent's container.
pub(super) struct AgentEnv {
    pub(super) variables: Vec<EnvVar>,
    /// Names of the variables whose values are secret.
    pub(super) secret: Vec<String>,
    /// Variables of `podOverrides.env` that lost against built-in ones.
    pub(super) overridden: Vec<String>,
}

/// The variables of the agent: the built-in ones, then the user's.
pub(super) fn of_agent(task: &Task, checkout: Option<&Checkout>) -> AgentEnv {
    let mut variables = built_in(task, checkout);
    let overrides = task.spec.pod_overrides.iter().flat_map(|it| &it.env);
    let mut overridden = Vec::new();
    let mut users = Vec::new();
    for variable in overrides {
        let name = variable.name.as_str();
        if OF_THE_HELPER.contains(&name) || variables.iter().any(|it| it.name == name) {
            overridden.push(variable.name.clone());
        } else {
            users.push(variable.clone());
        }
    }
    variables.extend(users);
    let is_secret = |it: &&EnvVar| {
        let source = it.value_from.as_ref();
        source.is_some_and(|it| it.secret_key_ref.is_some())
    };
    let secret = variables
        .iter()
        .filter(is_secret)
        .map(|it| it.name.clone())
        .collect();
    AgentEnv {
        variables,
        secret,
        overridden,
    }
}

fn built_in(task: &Task, checkout: Option<&Checkout>) -> Vec<EnvVar> {
    let mut all = Vec::new();
    if let Some(model) = task.spec.model.as_deref().filter(|it| !it.is_empty()) {
        all.push(literal("AXON_MODEL", model));
    }
    if let Some(key) = needs::credential(task.spec.agent, &task.spec.credentials) {
        all.push(from_secret(key.key, &key.secret, key.key));
    }
    if let Some(checkout) = checkout {
        let on_github = checkout.url.host() == "github.com";
        if let Some(secret) = token_secret(checkout) {
            let token = if on_github {
                "GH_TOKEN"
            } else {
                "GH_ENTERPRISE_TOKEN"
            };
            all.push(from_secret(GITHUB_TOKEN, secret, GITHUB_TOKEN));
            all.push(from_secret(token, secret, GITHUB_TOKEN));
        }
        if let Some(host) = web_host(&checkout.url).filter(|_| !on_github) {
            all.push(literal("GH_HOST", &host));
        }
    }
    all.push(literal("AXON_TASK", &task.name_any()));
    all.push(literal(
        "AXON_NAMESPACE",
        &task.namespace().unwrap_or_default(),
    ));
    if let Some(branch) = &task.spec.branch {
        all.push(literal("AXON_BRANCH", branch));
    }
    all
}

/// The Secret with the token, if there is one.
fn token_secret(checkout: &Checkout) -> Option<&str> {
    let credentials = checkout.credentials.as_ref()?;
    credentials.token.then_some(&credentials.secret)
}

/// The variables of the checkout: prompt and dependencies in parts. What lets git in is in files.
pub(super) fn of_checkout(start: &Start) -> Vec<EnvVar> {
    let mut all = in_parts("AXON_PROMPT", &start.prompt);
    if let Some(dependencies) = &start.dependencies {
        all.extend(in_parts("AXON_DEPENDENCIES", dependencies));
    }
    all
}

/// Host under which people see the repository; none for a file.
pub(super) fn web_host(url: &RepoUrl) -> Option<String> {
    match url.scheme() {
        Scheme::Https | Scheme::Http => Some(url.authority()),
        Scheme::Git | Scheme::Ssh | Scheme::Scp => Some(url.host().to_owned()),
        Scheme::File => None,
    }
}

/// `text` such that it comes out of the kubelet's expansion of `$(NAME)` as it was.
pub(super) fn escaped(text: &str) -> String {
    text.replace('$', "$$")
}

/// `text` as `NAME_0`, `NAME_1` and so on.
fn in_parts(name: &str, text: &str) -> Vec<EnvVar> {
    let parts = split(text, MAX_PART).into_iter().enumerate();
    parts
        .map(|(at, part)| literal(&format!("{name}_{at}"), part))
        .collect()
}

fn literal(name: &str, value: &str) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: Some(escaped(value)),
        value_from: None,
    }
}

fn from_secret(name: &str, secret: &str, key: &str) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: None,
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector {
                name: secret.to_owned(),
                key: key.to_owned(),
                optional: None,
            }),
            ..EnvVarSource::default()
        }),
    }
}

/// `text` in parts of at most `max` bytes, cut between characters.
fn split(text: &str, max: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while rest.len() > max {
        let mut end = max;
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (part, after) = rest.split_at(end);
        parts.push(part);
        rest = after;
    }
    parts.push(rest);
    parts
}
