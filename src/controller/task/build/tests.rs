mod env;
mod overrides;

use k8s_openapi::api::core::v1::Container;
use k8s_openapi::api::core::v1::EnvVar;
use k8s_openapi::api::core::v1::PodSpec;
use serde_json::Value;
use serde_json::json;

use super::super::fixture::TaskExt as _;
use super::super::fixture::task;
use super::super::needs::Checkout;
use super::super::needs::GitSecret;
use super::*;
use crate::api::workspace::GitIdentity;
use crate::controller::images::PullPolicy;
use crate::model::GitKeys;

fn images() -> Images {
    let mut images = Images::default();
    images.helper = "axon:1".into();
    images
}

fn checkout(url: &str, secret: Option<&str>) -> Checkout {
    Checkout {
        url: crate::model::repo_url::RepoUrl::parse(url).unwrap(),
        reference: Some("main".into()),
        depth: 1,
        submodules: false,
        identity: None,
        credentials: secret.map(|it| GitSecret {
            secret: it.to_owned(),
            kind: GitKeys::Token,
            token: true,
        }),
    }
}

fn start(task: &Task, checkout: Option<Checkout>) -> Start {
    Start {
        image: "claude:1".into(),
        checkout,
        prompt: task.spec.prompt.clone(),
        dependencies: None,
        attempt: 1,
    }
}

fn built(task: &Task, checkout: Option<Checkout>) -> Built {
    build(task, &task.name_any(), &start(task, checkout), &images())
}

fn pod_of(built: &Built) -> PodSpec {
    built.job.spec.clone().unwrap().template.spec.unwrap()
}

fn agent(built: &Built) -> Container {
    pod_of(built).containers.remove(0)
}

fn init(built: &Built) -> Container {
    pod_of(built).init_containers.unwrap().remove(0)
}

/// Variables as `NAME=value` or `NAME<secret/key`.
fn variables(container: &Container) -> Vec<String> {
    let shown = |it: &EnvVar| match it
        .value_from
        .as_ref()
        .and_then(|it| it.secret_key_ref.as_ref())
    {
        Some(from) => format!("{}<{}/{}", it.name, from.name, from.key),
        None => format!("{}={}", it.name, it.value.as_deref().unwrap_or_default()),
    };
    container.env.iter().flatten().map(shown).collect()
}

#[test]
fn the_job_of_a_plain_task() {
    let built = built(&task("fix-login"), None);
    insta::assert_snapshot!(serde_json::to_string_pretty(&built.job).unwrap());
}

#[test]
fn the_job_of_a_task_with_everything() {
    let full = task("fix-login").with(&json!({"spec": {
        "model": "opus", "branch": "fix/login", "workspaceRef": {"name": "web"},
        "podOverrides": {
            "activeDeadlineSeconds": 3600,
            "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "4Gi"}},
            "nodeSelector": {"disk": "ssd"},
            "env": [
                {"name": "CI", "value": "true"},
                {"name": "NPM_TOKEN", "valueFrom": {"secretKeyRef": {"name": "npm", "key": "token"}}},
                {"name": "AXON_MODEL", "value": "mine"},
            ],
        },
    }}));
    let mut images = images();
    images.pull_policy = Some(PullPolicy::Never);
    let from = checkout("https://github.com/acme/web.git", Some("git-token"));
    let start = start(&full, Some(from));
    let built = build(&full, "fix-login", &start, &images);
    insta::assert_snapshot!(serde_json::to_string_pretty(&built.job).unwrap());
    assert_eq!(built.overridden, ["AXON_MODEL"]);
}

/// The prompt as it comes out of the kubelet's expansion of the checkout's variables.
fn prompt_of(built: &Built) -> String {
    let mut whole = String::new();
    for (at, variable) in init(built).env.unwrap().iter().enumerate() {
        if variable.name != format!("AXON_PROMPT_{at}") {
            break;
        }
        let value = variable.value.clone().unwrap();
        assert!(!value.replace("$$", "").contains('$'), "an unguarded $");
        let value = value.replace("$$", "$");
        assert!(value.len() <= 64 * 1024, "{}", value.len());
        whole.push_str(&value);
    }
    whole
}

#[test]
fn prompts_come_out_byte_for_byte() {
    for prompt in [
        "x".to_owned(),
        "$(GITHUB_TOKEN) $$ $ $$(X)".to_owned(),
        "$".repeat(128 * 1024),
        "x".repeat(64 * 1024),
        format!("a{}", "🦀".repeat(32_000)),
        "--help\r\n\t'\"\\\u{1b}".to_owned(),
    ] {
        let it = task("a").with(&json!({"spec": {"prompt": prompt}}));
        let built = built(&it, None);
        assert!(prompt_of(&built) == prompt);
        assert!(serde_json::to_vec(&built.job).unwrap().len() < 512 * 1024);
    }
}

#[test]
fn what_a_user_writes_is_not_expanded() {
    let it = task("a").with(&json!({"spec": {
        "model": "$(GITHUB_TOKEN)", "branch": "$(X)", "workspaceRef": {"name": "web"},
    }}));
    let mut from = checkout("https://example.com/a/$(Y)", None);
    from.reference = Some("$(Z)".into());
    let built = built(&it, Some(from));
    assert!(variables(&agent(&built)).contains(&"AXON_MODEL=$$(GITHUB_TOKEN)".to_owned()));
    let args = init(&built).args.unwrap().join(" ");
    assert!(
        args.ends_with("--url https://example.com/a/$$(Y) --ref $$(Z) --branch $$(X)"),
        "{args}"
    );
}

#[test]
fn a_long_name_is_cut_in_labels_and_kept_in_an_annotation() {
    let name = "x".repeat(100);
    let built = built(&task(&name), None);
    let template = built.job.spec.unwrap().template.metadata.unwrap();
    for metadata in [&built.job.metadata, &template] {
        assert_eq!(metadata.labels.as_ref().unwrap()[labels::TASK].len(), 63);
        assert_eq!(metadata.annotations.as_ref().unwrap()[labels::TASK], name);
    }
}

#[test]
fn each_attempt_has_a_job_of_its_own() {
    for (name, attempt, expected) in [
        ("fix.login", 1, "fix.login"),
        ("fix.login", 2, "fix.login-2-"),
        ("a", 100, "a-100-"),
    ] {
        let found = job_name(&task(name), attempt);
        let rest = found.strip_prefix(expected).unwrap_or(&found);
        assert_eq!(
            rest.len(),
            if attempt > 1 { UID_DIGITS } else { 0 },
            "{found}"
        );
    }
    let long = task(&"x".repeat(63));
    let names = [1, 2, 3].map(|it| job_name(&long, it));
    assert_eq!(names[0], long.name_any());
    assert!(names.iter().all(|it| it.len() == 63), "{names:?}");
    assert_ne!(names[1], names[2]);
}

#[test]
fn a_later_attempt_has_no_name_that_another_task_brings() {
    let build = task("build");
    assert_ne!(job_name(&build, 2), job_name(&task("build-2"), 1));
    // Nor that of an earlier Task of its own name.
    let again = task("build").with(&json!({"metadata": {"uid": "another"}}));
    assert_ne!(job_name(&build, 2), job_name(&again, 2));
}

#[test]
fn what_the_workspace_asks_of_the_checkout() {
    let mut from = checkout("https://example.com/a/b", None);
    from.depth = 0;
    from.submodules = true;
    from.identity = Some(GitIdentity {
        name: "Ann $(X)".into(),
        email: "ann@example.com".into(),
    });
    let it = task("a").with(&json!({"spec": {"workspaceRef": {"name": "web"}}}));
    let args = init(&built(&it, Some(from))).args.unwrap().join(" ");
    let expected =
        "--ref main --depth 0 --git-name Ann $$(X) --git-email ann@example.com --submodules";
    assert!(args.ends_with(expected), "{args}");
}

#[test]
fn a_deadline_of_any_length() {
    for (asked, of_pod) in [(60, 60), (i64::MAX, i64::from(i32::MAX))] {
        let it =
            task("a").with(&json!({"spec": {"podOverrides": {"activeDeadlineSeconds": asked}}}));
        let job = built(&it, None).job.spec.unwrap();
        // The API server takes no longer one for a Pod; the Job's is later in any case.
        let pod = job.template.spec.unwrap();
        assert_eq!(pod.active_deadline_seconds, Some(of_pod));
        assert_eq!(job.active_deadline_seconds, Some(of_pod + 24 * 60 * 60));
    }
}

#[test]
fn the_pod_is_fit_for_the_restricted_level() {
    let built = built(&task("a"), None);
    let spec = pod_of(&built);
    let security: Value = serde_json::to_value(&spec.security_context).unwrap();
    assert_eq!(security["runAsNonRoot"], true);
    assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(spec.automount_service_account_token, Some(false));
    for container in spec
        .containers
        .iter()
        .chain(spec.init_containers.iter().flatten())
    {
        let security = container.security_context.as_ref().unwrap();
        assert_eq!(security.allow_privilege_escalation, Some(false));
        let capabilities = security.capabilities.as_ref().unwrap();
        assert_eq!(capabilities.drop.as_deref(), Some(&["ALL".to_owned()][..]));
        assert_eq!(capabilities.add, None);
    }
}
