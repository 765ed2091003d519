//! `podOverrides`, and what the Go Axon's manifests become.

use serde_json::Value;
use serde_json::json;

use super::super::super::fixture::TaskExt as _;
use super::super::super::fixture::task;
use super::*;

fn with(overrides: &Value) -> Task {
    task("a").with(&json!({"spec": {"podOverrides": overrides}}))
}

fn as_json(built: &Built) -> Value {
    serde_json::to_value(built.job.spec.clone().unwrap().template).unwrap()
}

#[test]
fn each_override_has_its_place_in_the_pod() {
    let affinity = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{"matchExpressions": [{"key": "gpu", "operator": "Exists"}]}],
    }}});
    for (overrides, place, expected) in [
        (
            json!({"nodeSelector": {"disk": "ssd"}}),
            "/spec/nodeSelector",
            json!({"disk": "ssd"}),
        ),
        (
            json!({"tolerations": [{"key": "spot", "operator": "Exists"}]}),
            "/spec/tolerations",
            json!([{"key": "spot", "operator": "Exists"}]),
        ),
        (
            json!({"affinity": affinity}),
            "/spec/affinity",
            affinity.clone(),
        ),
        (
            json!({"priorityClassName": "low"}),
            "/spec/priorityClassName",
            json!("low"),
        ),
        (
            json!({"runtimeClassName": "gvisor"}),
            "/spec/runtimeClassName",
            json!("gvisor"),
        ),
        (
            json!({"imagePullSecrets": [{"name": "registry"}]}),
            "/spec/imagePullSecrets",
            json!([{"name": "registry"}]),
        ),
        (
            json!({"labels": {"team": "web"}}),
            "/metadata/labels/team",
            json!("web"),
        ),
        (
            json!({"annotations": {"a/b": "c"}}),
            "/metadata/annotations/a~1b",
            json!("c"),
        ),
        (
            json!({"volumes": [{"name": "cache", "persistentVolumeClaim": {"claimName": "c"}}]}),
            "/spec/volumes/2",
            json!({"name": "cache", "persistentVolumeClaim": {"claimName": "c"}}),
        ),
        (
            json!({"volumeMounts": [{"name": "cache", "mountPath": "/cache", "subPath": "x", "readOnly": true}]}),
            "/spec/containers/0/volumeMounts/2",
            json!({"name": "cache", "mountPath": "/cache", "subPath": "x", "readOnly": true}),
        ),
    ] {
        let pod = as_json(&built(&with(&overrides), None));
        assert_eq!(pod.pointer(place), Some(&expected), "{place} of {pod:#}");
    }
}

#[test]
fn the_checkout_sees_no_volume_of_the_user() {
    let pod = as_json(&built(
        &with(&json!({
            "volumes": [{"name": "cache", "emptyDir": {}}],
            "volumeMounts": [{"name": "cache", "mountPath": "/cache"}],
        })),
        None,
    ));
    let mounts = pod.pointer("/spec/initContainers/0/volumeMounts").unwrap();
    assert_eq!(mounts.as_array().unwrap().len(), 2, "{mounts:#}");
}

#[test]
fn only_a_named_account_may_mount_its_token() {
    let pod = |overrides: Value| pod_of(&built(&with(&overrides), None));
    let plain = pod(json!({"labels": {"a": "b"}}));
    assert_eq!(plain.automount_service_account_token, Some(false));
    assert_eq!(plain.service_account_name, None);
    let named = pod(json!({"serviceAccountName": "ci"}));
    assert_eq!(named.automount_service_account_token, None);
    assert_eq!(named.service_account_name.as_deref(), Some("ci"));
}

#[test]
fn what_is_ours_stays_ours() {
    // A schema refuses these; an object may be older than the schema.
    let pod = as_json(&built(
        &with(&json!({
            "labels": {"axon.io/task": "other", "app.kubernetes.io/name": "other"},
            "annotations": {"axon.io/task-uid": "other"},
        })),
        None,
    ));
    let metadata = &pod["metadata"];
    assert_eq!(metadata["labels"]["axon.io/task"], "a");
    assert_eq!(metadata["labels"]["app.kubernetes.io/name"], "axon");
    assert_eq!(metadata["annotations"]["axon.io/task-uid"], "task-uid");
}

#[test]
fn the_keys_that_let_git_in_are_files() {
    for (kind, keys) in [
        (GitKeys::Token, &["GITHUB_TOKEN"][..]),
        (GitKeys::Basic, &["username", "password"]),
        (GitKeys::Ssh, &["ssh-privatekey", "known_hosts"]),
    ] {
        let mut from = checkout("https://example.com/a/b", Some("git"));
        from.credentials.as_mut().unwrap().kind = kind;
        let built = built(&task("a"), Some(from));
        let items: Vec<Value> = keys
            .iter()
            .map(|it| json!({"key": it, "path": it}))
            .collect();
        let pod = as_json(&built);
        assert_eq!(
            pod.pointer("/spec/volumes/2"),
            Some(&json!({
                "name": "axon-git",
                "secret": {"secretName": "git", "items": items, "defaultMode": 0o440},
            }))
        );
        let mount = json!({"name": "axon-git", "mountPath": "/run/axon/git", "readOnly": true});
        for container in ["initContainers", "containers"] {
            let place = format!("/spec/{container}/0/volumeMounts/2");
            assert_eq!(pod.pointer(&place), Some(&mount), "{kind:?}");
        }
        let args = init(&built).args.unwrap().join(" ");
        assert!(args.ends_with("--credentials-dir /run/axon/git"), "{args}");
    }
}

#[test]
fn what_other_tasks_left_goes_to_the_checkout() {
    let it = task("a");
    let mut start = start(&it, None);
    let dependencies = format!(
        r#"{{"build":{{"Results":{{"v":"$(X){}"}}}}}}"#,
        "é".repeat(50_000)
    );
    start.dependencies = Some(dependencies.clone());
    let built = build(&it, "a", &start, &images());
    let parts = init(&built).env.unwrap();
    let parts = parts
        .iter()
        .filter(|it| it.name.starts_with("AXON_DEPENDENCIES_"));
    let values: Vec<String> = parts.map(|it| it.value.clone().unwrap()).collect();
    assert_eq!(values.len(), 2);
    assert_eq!(values.concat().replace("$$", "$"), dependencies);
    let args = agent(&built).args.unwrap().join(" ");
    assert!(
        args.contains("--dependencies-file /axon/dependencies.json"),
        "{args}"
    );
}

/// A manifest with every field that the Go Axon had.
const OF_THE_GO_AXON: &str = r#"
apiVersion: axon.io/v1alpha1
kind: Task
metadata: {name: fix, namespace: team, uid: task-uid}
spec:
  type: codex
  prompt: Fix it.
  credentials: {type: api-key, secretRef: {name: codex-key}}
  model: o3
  image: registry.example/codex:7
  workspaceRef: {name: web}
  ttlSecondsAfterFinished: 60
  podOverrides:
    activeDeadlineSeconds: 1800
    nodeSelector: {disk: ssd}
    resources:
      requests: {cpu: "1", memory: 2Gi}
      limits: {cpu: "2", memory: 4Gi}
    env:
    - {name: HTTP_PROXY, value: "http://proxy:3128"}
    - name: NPM_TOKEN
      valueFrom: {secretKeyRef: {name: npm, key: token}}
"#;

#[test]
fn a_manifest_of_the_go_axon_gives_an_equivalent_pod() {
    let it: Task = serde_saphyr::from_str(OF_THE_GO_AXON).unwrap();
    let mut start = start(
        &it,
        Some(checkout("https://github.com/acme/web.git", Some("gh"))),
    );
    start.image = it.spec.image.clone().unwrap();
    let built = build(&it, "fix", &start, &images());
    let job = built.job.spec.clone().unwrap();
    assert_eq!(job.backoff_limit, Some(0));
    assert_eq!(
        job.ttl_seconds_after_finished, None,
        "the Task's own, which takes the Job along"
    );
    let pod = pod_of(&built);
    assert_eq!(pod.restart_policy.as_deref(), Some("Never"));
    assert_eq!(pod.active_deadline_seconds, Some(1800));
    assert_eq!(pod.node_selector.unwrap()["disk"], "ssd");
    let agent = agent(&built);
    assert_eq!(agent.name, "codex");
    assert_eq!(agent.image.as_deref(), Some("registry.example/codex:7"));
    assert_eq!(agent.working_dir.as_deref(), Some("/workspace/repo"));
    assert_eq!(
        agent.args.as_ref().unwrap().last().unwrap(),
        "/axon_entrypoint.sh"
    );
    let resources = serde_json::to_value(&agent.resources).unwrap();
    assert_eq!(resources["limits"], json!({"cpu": "2", "memory": "4Gi"}));
    assert_eq!(
        variables(&agent),
        [
            "AXON_MODEL=o3",
            "CODEX_API_KEY<codex-key/CODEX_API_KEY",
            "GITHUB_TOKEN<gh/GITHUB_TOKEN",
            "GH_TOKEN<gh/GITHUB_TOKEN",
            "AXON_TASK=fix",
            "AXON_NAMESPACE=team",
            "HTTP_PROXY=http://proxy:3128",
            "NPM_TOKEN<npm/token",
        ]
    );
    let security = serde_json::to_value(&pod.security_context).unwrap();
    assert_eq!(security["runAsUser"], 61100);
    assert_eq!(security["fsGroup"], 61100);
}

#[test]
fn what_the_agent_reads_of_secrets_is_masked() {
    let built = built(
        &with(&json!({
            "volumes": [
                {"name": "keys", "secret": {"secretName": "s"}},
                {"name": "settings", "configMap": {"name": "c"}},
            ],
            "volumeMounts": [
                {"name": "keys", "mountPath": "/etc/keys"},
                {"name": "settings", "mountPath": "/etc/settings"},
            ],
        })),
        Some(checkout("https://github.com/a/b", Some("git"))),
    );
    let args = agent(&built).args.unwrap();
    let dirs = args.windows(2).filter(|it| it[0] == "--mask-dir");
    let dirs: Vec<&str> = dirs.map(|it| it[1].as_str()).collect();
    assert_eq!(dirs, ["/run/axon/git/GITHUB_TOKEN", "/etc/keys"]);
    let variables = init(&built).env.unwrap();
    assert!(
        variables.iter().all(|it| it.value_from.is_none()),
        "{variables:?}"
    );
}
