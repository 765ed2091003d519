//! The Pod of a Task: a checkout by our own image, then the agent's image started by our helper.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Capabilities;
use k8s_openapi::api::core::v1::Container;
use k8s_openapi::api::core::v1::EmptyDirVolumeSource;
use k8s_openapi::api::core::v1::PodSecurityContext;
use k8s_openapi::api::core::v1::PodSpec;
use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::api::core::v1::SeccompProfile;
use k8s_openapi::api::core::v1::SecurityContext;
use k8s_openapi::api::core::v1::Volume;
use k8s_openapi::api::core::v1::VolumeMount;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::CHECKOUT;
use super::env;
use crate::api::Task;
use crate::api::workspace::GitIdentity;
use crate::controller::Images;
use crate::controller::task::decide::Start;
use crate::controller::task::needs::Checkout;
use crate::controller::task::needs::DEFAULT_DEPTH;

/// User and group of every agent image, as numbers: a name cannot be checked for not being root.
const AGENT_USER: i64 = 61100;
/// Time between SIGTERM and SIGKILL: the helper lets the agent tell its cost first.
const TERMINATION_GRACE: i64 = 30;
/// What an agent asks of a node unless the Task says otherwise. No limit: there was none before.
const REQUESTS: [(&str, &str); 2] = [("cpu", "250m"), ("memory", "512Mi")];

const WORKSPACE: &str = "workspace";
const WORKSPACE_DIR: &str = "/workspace";
const REPO_DIR: &str = "/workspace/repo";
const HOME_DIR: &str = "/workspace/home";
const RESULTS_FILE: &str = "/workspace/results";
const AXON: &str = "axon";
const AXON_DIR: &str = "/axon";
const TERMINATION_LOG: &str = "/dev/termination-log";
/// What every agent image starts with.
const ENTRYPOINT: &str = "/axon_entrypoint.sh";

/// The Pod, and the variables of `podOverrides.env` that lost against built-in ones.
pub(super) fn spec(task: &Task, start: &Start, images: &Images) -> (PodSpec, Vec<String>) {
    let image = start.image.clone();
    let checkout = start.checkout.as_ref();
    let environment = env::of_agent(task, checkout);
    let policy = images.pull_policy.map(|it| it.as_str().to_owned());
    let agent = Container {
        name: task.spec.agent.as_str().to_owned(),
        image: Some(image),
        args: Some(agent_args(checkout, &environment.secret)),
        command: Some(words(&["/axon/axon-helper", "run"])),
        env: Some(environment.variables),
        volume_mounts: Some(vec![
            mount(WORKSPACE, WORKSPACE_DIR, false),
            mount(AXON, AXON_DIR, true),
        ]),
        ..container(task, policy.clone())
    };
    let init = Container {
        name: CHECKOUT.to_owned(),
        image: Some(images.helper.clone()),
        args: Some(checkout_args(task, checkout)),
        command: Some(words(&["/usr/local/bin/axon", "agent", "checkout"])),
        env: Some(env::of_checkout(start)),
        volume_mounts: Some(vec![
            mount(WORKSPACE, WORKSPACE_DIR, false),
            mount(AXON, AXON_DIR, false),
        ]),
        working_dir: None,
        ..container(task, policy)
    };
    let overrides = task.spec.pod_overrides.as_ref();
    let nodes = overrides
        .map(|it| it.node_selector.clone())
        .unwrap_or_default();
    let spec = PodSpec {
        active_deadline_seconds: overrides.and_then(|it| it.active_deadline_seconds),
        automount_service_account_token: Some(false),
        containers: vec![agent],
        enable_service_links: Some(false),
        init_containers: Some(vec![init]),
        node_selector: (!nodes.is_empty()).then_some(nodes),
        restart_policy: Some("Never".into()),
        security_context: Some(pod_security()),
        termination_grace_period_seconds: Some(TERMINATION_GRACE),
        volumes: Some(vec![empty_dir(WORKSPACE), empty_dir(AXON)]),
        ..PodSpec::default()
    };
    (spec, environment.overridden)
}

/// What both containers have in common.
fn container(task: &Task, pull_policy: Option<String>) -> Container {
    let asked = task
        .spec
        .pod_overrides
        .as_ref()
        .and_then(|it| it.resources.clone());
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

fn checkout_args(task: &Task, checkout: Option<&Checkout>) -> Vec<String> {
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
    let mut add = |flag: &str, value: &str| args.extend([flag.to_owned(), env::escaped(value)]);
    if let Some(checkout) = checkout {
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
        if checkout.submodules {
            args.push("--submodules".to_owned());
        }
    }
    args
}

fn agent_args(checkout: Option<&Checkout>, secret: &[String]) -> Vec<String> {
    let mut args = words(&[
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
    for name in secret {
        args.extend(["--mask".to_owned(), env::escaped(name)]);
    }
    if let Some(host) = checkout.and_then(|it| env::web_host(&it.url)) {
        args.extend(["--url-host".to_owned(), env::escaped(&host)]);
    }
    args.extend(words(&["--", ENTRYPOINT]));
    args
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

fn empty_dir(name: &str) -> Volume {
    Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    }
}

fn mount(volume: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|it| (*it).to_owned()).collect()
}
