//! The Pod of a Task: a checkout by our own image, then the agent's image started by our helper.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Capabilities;
use k8s_openapi::api::core::v1::Container;
use k8s_openapi::api::core::v1::LocalObjectReference;
use k8s_openapi::api::core::v1::PodSecurityContext;
use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::api::core::v1::SeccompProfile;
use k8s_openapi::api::core::v1::SecurityContext;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::CHECKOUT;
use super::args;
use super::env;
use super::env::AgentEnv;
use super::volumes;
use crate::api::Task;
use crate::api::pod_overrides::PodOverrides;
use crate::controller::Images;
use crate::controller::task::step::Start;

/// User and group of every agent image, as numbers: a name cannot be checked for not being root.
const AGENT_USER: i64 = 61100;
/// Time between SIGTERM and SIGKILL: the helper lets the agent tell its cost first.
const TERMINATION_GRACE: i64 = 30;
/// Longest deadline that the API server takes for a Pod.
const MAX_DEADLINE: i64 = i32::MAX as i64;
/// What an agent asks of a node unless the Task says otherwise. No limit: there was none before.
const REQUESTS: [(&str, &str); 2] = [("cpu", "250m"), ("memory", "512Mi")];

pub(super) const WORKSPACE_DIR: &str = "/workspace";
pub(super) const REPO_DIR: &str = "/workspace/repo";
pub(super) const HOME_DIR: &str = "/workspace/home";
pub(super) const RESULTS_FILE: &str = "/workspace/results";
pub(super) const AXON_DIR: &str = "/axon";
/// The keys of the Secret that lets git in, as files.
pub(super) const GIT_DIR: &str = "/run/axon/git";
pub(super) const TERMINATION_LOG: &str = "/dev/termination-log";

/// The Pod, and the variables of `podOverrides.env` that lost against built-in ones.
pub(super) fn spec(task: &Task, start: &Start, images: &Images) -> (PodSpec, Vec<String>) {
    let AgentEnv {
        variables,
        secret,
        overridden,
    } = env::of_agent(task, start.checkout.as_ref());
    let overrides = task.spec.pod_overrides.as_ref();
    let git = start.git();
    let policy = images.pull_policy.map(|it| it.as_str().to_owned());
    let agent = Container {
        name: task.spec.agent.as_str().to_owned(),
        image: Some(start.image.clone()),
        args: Some(args::of_agent(task, start, &secret)),
        command: Some(words(&["/axon/axon-helper", "run"])),
        env: Some(variables),
        volume_mounts: Some(volumes::of_agent(git, overrides)),
        ..container(overrides, policy.clone())
    };
    let init = Container {
        name: CHECKOUT.to_owned(),
        image: Some(images.helper.clone()),
        args: Some(args::of_checkout(task, start.checkout.as_ref())),
        command: Some(words(&["/usr/local/bin/axon", "agent", "checkout"])),
        env: Some(env::of_checkout(start)),
        volume_mounts: Some(volumes::of_checkout(git)),
        working_dir: None,
        ..container(overrides, policy)
    };
    let spec = PodSpec {
        containers: vec![agent],
        enable_service_links: Some(false),
        init_containers: Some(vec![init]),
        restart_policy: Some("Never".into()),
        security_context: Some(pod_security()),
        termination_grace_period_seconds: Some(TERMINATION_GRACE),
        volumes: Some(volumes::of_pod(git, overrides)),
        ..placed(overrides)
    };
    (spec, overridden)
}

/// Where the Pod runs, as whom and for how long.
fn placed(overrides: Option<&PodOverrides>) -> PodSpec {
    let PodOverrides {
        active_deadline_seconds,
        node_selector,
        tolerations,
        affinity,
        service_account_name,
        priority_class_name,
        runtime_class_name,
        image_pull_secrets,
        // Of the containers, the Pod's metadata and its volumes.
        resources: _,
        env: _,
        labels: _,
        annotations: _,
        volumes: _,
        volume_mounts: _,
    } = overrides.cloned().unwrap_or_default();
    let pull_secrets = image_pull_secrets
        .into_iter()
        .map(|it| LocalObjectReference { name: it.name });
    PodSpec {
        active_deadline_seconds: active_deadline_seconds.map(|it| it.min(MAX_DEADLINE)),
        affinity,
        // Whoever names an account wants what it can do; the account itself may still say no.
        automount_service_account_token: service_account_name.is_none().then_some(false),
        image_pull_secrets: filled(pull_secrets.collect()),
        node_selector: (!node_selector.is_empty()).then_some(node_selector),
        priority_class_name,
        runtime_class_name,
        service_account_name,
        tolerations: filled(tolerations),
        ..PodSpec::default()
    }
}

/// A list, if there is something in it.
fn filled<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

/// What both containers have in common.
fn container(overrides: Option<&PodOverrides>, pull_policy: Option<String>) -> Container {
    let asked = overrides.and_then(|it| it.resources.clone());
    Container {
        image_pull_policy: pull_policy,
        // The same for both: a quota that asks for limits asks it of every container.
        resources: Some(asked.unwrap_or_else(default_resources)),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities {
                drop: Some(words(&["ALL"])),
                ..Capabilities::default()
            }),
            ..SecurityContext::default()
        }),
        termination_message_path: Some(TERMINATION_LOG.to_owned()),
        termination_message_policy: Some("File".into()),
        working_dir: Some(REPO_DIR.to_owned()),
        ..Container::default()
    }
}

fn default_resources() -> ResourceRequirements {
    let requests = REQUESTS.map(|(name, amount)| (name.to_owned(), Quantity(amount.to_owned())));
    ResourceRequirements {
        requests: Some(BTreeMap::from(requests)),
        ..ResourceRequirements::default()
    }
}

fn pod_security() -> PodSecurityContext {
    PodSecurityContext {
        fs_group: Some(AGENT_USER),
        run_as_group: Some(AGENT_USER),
        run_as_non_root: Some(true),
        run_as_user: Some(AGENT_USER),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".into(),
            localhost_profile: None,
        }),
        ..PodSecurityContext::default()
    }
}

pub(super) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|it| (*it).to_owned()).collect()
}
