//! The command lines of the two containers.

use super::env;
use super::pod::AXON_DIR;
use super::pod::GIT_DIR;
use super::pod::HOME_DIR;
use super::pod::REPO_DIR;
use super::pod::RESULTS_FILE;
use super::pod::TERMINATION_LOG;
use super::pod::words;
use super::volumes;
use crate::api::Task;
use crate::api::workspace::GitIdentity;
use crate::controller::task::needs::Checkout;
use crate::controller::task::needs::DEFAULT_DEPTH;
use crate::controller::task::step::Start;

/// What every agent image starts with.
const ENTRYPOINT: &str = "/axon_entrypoint.sh";
/// Where the checkout puts what other Tasks left.
const DEPENDENCIES_FILE: &str = "/axon/dependencies.json";

/// Arguments of the checkout.
pub(super) fn of_checkout(task: &Task, checkout: Option<&Checkout>) -> Vec<String> {
    let mut args = words(&[
        "--repo-dir",
        REPO_DIR,
        "--home",
        HOME_DIR,
        "--axon-dir",
        AXON_DIR,
        "--termination-log",
        TERMINATION_LOG,
    ]);
    let Some(checkout) = checkout else {
        return args;
    };
    let mut add = |flag: &str, value: &str| args.extend([flag.to_owned(), env::escaped(value)]);
    add("--url", &checkout.url.to_string());
    if let Some(reference) = &checkout.reference {
        add("--ref", reference);
    }
    if let Some(branch) = &task.spec.branch {
        add("--branch", branch);
    }
    if checkout.depth != DEFAULT_DEPTH {
        add("--depth", &checkout.depth.to_string());
    }
    if let Some(GitIdentity { name, email }) = &checkout.identity {
        add("--git-name", name);
        add("--git-email", email);
    }
    if checkout.credentials.is_some() {
        add("--credentials-dir", GIT_DIR);
    }
    if checkout.submodules {
        args.push("--submodules".to_owned());
    }
    args
}

/// Arguments of the helper. `secret` names the variables whose values are secret.
pub(super) fn of_agent(task: &Task, start: &Start, secret: &[String]) -> Vec<String> {
    let mut args = words(&[
        "--agent",
        task.spec.agent.as_str(),
        "--prompt-file",
        "/axon/prompt",
        "--base-file",
        "/axon/base",
        "--repo-dir",
        REPO_DIR,
        "--home",
        HOME_DIR,
        "--results-file",
        RESULTS_FILE,
        "--termination-log",
        TERMINATION_LOG,
    ]);
    let mut add = |flag: &str, value: &str| args.extend([flag.to_owned(), value.to_owned()]);
    if start.dependencies.is_some() {
        add("--dependencies-file", DEPENDENCIES_FILE);
    }
    for name in secret {
        add("--mask", &env::escaped(name));
    }
    for path in volumes::secret_paths(start.git(), task.spec.pod_overrides.as_ref()) {
        add("--mask-dir", &env::escaped(&path));
    }
    let host = start
        .checkout
        .as_ref()
        .and_then(|it| env::web_host(&it.url));
    if let Some(host) = host {
        add("--url-host", &env::escaped(&host));
    }
    args.extend(words(&["--", ENTRYPOINT]));
    args
}
