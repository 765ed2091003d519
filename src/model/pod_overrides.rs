//! What `podOverrides` may change: the rules of the schema, for objects that a schema never saw, and
//! those that a schema cannot hold.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::EnvVar;

use super::code::Code;
use super::label;
use super::names::ObjectName;
use super::names::SyncId;
use super::problem::Problem;
use super::problem::Severity;
use super::problem::brief;
use crate::api::pod_overrides::PodMount;
use crate::api::pod_overrides::PodOverrides;
use crate::api::pod_overrides::PodVolume;
use crate::api::task::LocalRef;

/// Directories of ours that a user's volume would hide, or that hold the mount points of others.
const TAKEN: [&str; 7] = [
    "/dev",
    "/dev/termination-log",
    "/run",
    "/workspace",
    "/workspace/home",
    "/workspace/repo",
    "/workspace/results",
];
/// Directories that are ours with all that is in them.
const OURS: [&str; 2] = ["/axon", "/run/axon"];
/// What volumes can be.
const KINDS: &str = "\"emptyDir\", \"configMap\", \"secret\" or \"persistentVolumeClaim\"";

/// Everything that is wrong with `overrides`. Pointers begin at the Task's spec.
pub(super) fn problems(overrides: &PodOverrides) -> Vec<Problem> {
    let PodOverrides {
        resources: _,
        active_deadline_seconds: deadline,
        env,
        node_selector: _,
        tolerations: _,
        affinity: _,
        service_account_name,
        priority_class_name,
        runtime_class_name,
        image_pull_secrets,
        labels,
        annotations,
        volumes,
        volume_mounts,
    } = overrides;
    let mut found = Vec::new();
    if deadline.is_some_and(|it| it < 1) {
        let message = "expected a number of seconds from 1 up";
        found.push(error("activeDeadlineSeconds", message));
    }
    found.extend(env_problems(env));
    for (field, name) in [
        ("serviceAccountName", service_account_name),
        ("priorityClassName", priority_class_name),
        ("runtimeClassName", runtime_class_name),
    ] {
        found.extend(name.as_ref().and_then(|it| name_problem(field, it)));
    }
    for (at, LocalRef { name }) in image_pull_secrets.iter().enumerate() {
        found.extend(name_problem(&format!("imagePullSecrets/{at}/name"), name));
    }
    for (key, value) in labels {
        let field = format!("labels/{}", escaped(key));
        found.extend(key_problem(&field, "label", key));
        if !label::is_value(value) {
            found.push(error(&field, label::wrong_value(value)).code(Code::InvalidLabel));
        }
    }
    for key in annotations.keys() {
        let field = format!("annotations/{}", escaped(key));
        found.extend(key_problem(&field, "annotation", key));
    }
    found.extend(volume_problems(volumes));
    found.extend(mount_problems(volume_mounts, volumes));
    found
}

fn error(field: &str, message: impl Into<String>) -> Problem {
    Problem::error(format!("/podOverrides/{field}"), message)
}

fn warning(field: &str, message: impl Into<String>) -> Problem {
    let mut problem = error(field, message);
    problem.severity = Severity::Warning;
    problem
}

/// A key as a step of a JSON pointer.
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn name_problem(field: &str, name: &str) -> Option<Problem> {
    let wrong = ObjectName::parse(name).err()?;
    Some(error(field, wrong.to_string()).code(Code::InvalidName))
}

fn key_problem(field: &str, what: &str, key: &str) -> Option<Problem> {
    if label::is_reserved(key) {
        let message = format!("the {what} \"{}\" is not for users", brief(key));
        let hint = "choose a prefix of your own, such as \"example.com/\"";
        return Some(error(field, message).code(Code::ReservedKey).hint(hint));
    }
    let wrong = (!label::is_key(key)).then(|| label::wrong_key(key))?;
    Some(error(field, wrong).code(Code::InvalidLabel))
}

fn env_problems(env: &[EnvVar]) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for (at, variable) in env.iter().enumerate() {
        let name = format!("env/{at}/name");
        if variable.name.is_empty() || variable.name.contains(['=', '\0']) {
            let message = "the name of a variable is not empty and has no \"=\" and no NUL";
            found.push(error(&name, message).code(Code::InvalidName));
        }
        if !seen.insert(&variable.name) {
            let message = format!("variable \"{}\" stands twice", variable.name);
            found.push(warning(&name, message).code(Code::DuplicateVariable));
        }
        let value = variable.value.as_deref();
        if value.is_some_and(|it| it.contains('\0')) {
            let message = "the value of a variable has no NUL";
            found.push(error(&format!("env/{at}/value"), message));
        }
    }
    found
}

fn volume_problems(volumes: &[PodVolume]) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for (at, volume) in volumes.iter().enumerate() {
        let PodVolume {
            name,
            empty_dir,
            config_map,
            secret,
            persistent_volume_claim: claim,
        } = volume;
        let field = format!("volumes/{at}");
        if let Some(wrong) = volume_name(name) {
            found.push(wrong.at(&format!("{field}/name")));
        } else if !seen.insert(name) {
            let message = format!("volume \"{name}\" stands twice");
            found.push(error(&format!("{field}/name"), message));
        }
        let is_given = [
            empty_dir.is_some(),
            config_map.is_some(),
            secret.is_some(),
            claim.is_some(),
        ];
        if is_given.into_iter().filter(|it| *it).count() != 1 {
            let message = format!("a volume must be one of {KINDS}");
            found.push(error(&field, message));
        }
        let sources = [
            ("configMap/name", config_map.as_ref().map(|it| &it.name)),
            (
                "secret/secretName",
                secret.as_ref().and_then(|it| it.secret_name.as_ref()),
            ),
            (
                "persistentVolumeClaim/claimName",
                claim.as_ref().map(|it| &it.claim_name),
            ),
        ];
        for (inner, name) in sources {
            let wrong = name.and_then(|it| ObjectName::parse(it).err());
            found.extend(wrong.map(|it| error(&format!("{field}/{inner}"), it.to_string())));
        }
        if secret.as_ref().is_some_and(|it| it.secret_name.is_none()) {
            let message = "\"secretName\" is missing in \"secret\"";
            found.push(error(&format!("{field}/secret"), message));
        }
    }
    found
}

/// What is wrong with a volume's name.
struct WrongName(Code, String);

impl WrongName {
    fn at(self, field: &str) -> Problem {
        error(field, self.1).code(self.0)
    }
}

fn volume_name(name: &str) -> Option<WrongName> {
    if let Err(wrong) = SyncId::parse(name) {
        return Some(WrongName(Code::InvalidName, wrong.to_string()));
    }
    let is_ours = name == "workspace" || name == "axon" || name.starts_with("axon-");
    is_ours.then(|| {
        let message = format!("a volume named \"{name}\" is Axon's own: choose another name");
        WrongName(Code::InvalidValue, message)
    })
}

fn mount_problems(mounts: &[PodMount], volumes: &[PodVolume]) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for (at, mount) in mounts.iter().enumerate() {
        let PodMount {
            name,
            mount_path: path,
            sub_path,
            read_only: _,
        } = mount;
        let field = |key: &str| format!("volumeMounts/{at}/{key}");
        if !volumes.iter().any(|it| it.name == *name) {
            let message = format!("there is no volume \"{name}\" in \"volumes\"");
            found.push(error(&field("name"), message));
        }
        if let Some(wrong) = path_problem(path) {
            found.push(error(&field("mountPath"), wrong));
        } else if !seen.insert(path) {
            let message = format!("two volumes are mounted at \"{path}\"");
            found.push(error(&field("mountPath"), message));
        }
        let leaves = |it: &String| it.starts_with('/') || it.split('/').any(|it| it == "..");
        if sub_path.as_ref().is_some_and(leaves) {
            let message = "\"subPath\" must be a path within the volume";
            found.push(error(&field("subPath"), message));
        }
    }
    found
}

/// What is wrong with a place to mount at.
fn path_problem(path: &str) -> Option<String> {
    let parts = path.strip_prefix('/');
    let is_plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(':');
    if !parts.is_some_and(|it| it.split('/').all(is_plain)) {
        return Some(absolute(path));
    }
    let below = |dir: &&str| {
        path.strip_prefix(*dir)
            .is_some_and(|it| it.starts_with('/'))
    };
    if TAKEN.contains(&path) || OURS.contains(&path) || OURS.iter().any(below) {
        return Some(format!(
            "\"{path}\" cannot be mounted at: Axon's own files are there"
        ));
    }
    None
}

/// What is told of a path that no volume can be mounted at.
pub fn absolute(path: &str) -> String {
    format!(
        "\"{}\" is not a path to mount at: expected one such as \"/var/cache\", without \":\", \".\", \
         \"..\" or a \"/\" at its end",
        brief(path)
    )
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json;

    use super::*;

    /// Problems as `pointer: message`.
    fn told(overrides: &Value) -> Vec<String> {
        let overrides: PodOverrides = serde_json::from_value(overrides.clone()).unwrap();
        let text = |it: &Problem| format!("{}: {}", it.pointer, it.message);
        problems(&overrides).iter().map(text).collect()
    }

    fn mount(path: &str) -> Value {
        json!({
            "volumes": [{"name": "a", "emptyDir": {}}],
            "volumeMounts": [{"name": "a", "mountPath": path}],
        })
    }

    #[test]
    fn what_may_be_changed() {
        for good in [
            json!({}),
            json!({"env": [{"name": "A", "value": ""}], "activeDeadlineSeconds": 1}),
            json!({"serviceAccountName": "ci", "priorityClassName": "low", "runtimeClassName": "gvisor"}),
            json!({"imagePullSecrets": [{"name": "registry"}]}),
            json!({"labels": {"team": "web", "example.com/a": ""}, "annotations": {"a/b": "any text"}}),
            json!({"labels": {"my-axon.io/a": "b"}}),
            json!({"volumes": [
                {"name": "a", "emptyDir": {"medium": "Memory"}}, {"name": "b", "configMap": {"name": "c"}},
                {"name": "c", "secret": {"secretName": "s"}},
                {"name": "d", "persistentVolumeClaim": {"claimName": "cache"}},
            ]}),
            mount("/cache"),
            mount("/workspace/cache"),
            mount("/workspace/repo/node_modules"),
            mount("/dev/shm"),
            mount("/axonic"),
            mount("/..a/.b"),
        ] {
            assert_eq!(told(&good), Vec::<String>::new(), "{good}");
        }
    }

    /// Checks that `bad` has one problem, and where.
    fn check(bad: &Value, place: &str) {
        let found = told(bad);
        let expected = format!("/podOverrides/{place}: ");
        assert!(
            found.len() == 1 && found[0].starts_with(&expected),
            "{bad} gave {found:?}"
        );
    }

    #[test]
    fn each_problem_names_its_place() {
        for (bad, place) in [
            (json!({"activeDeadlineSeconds": 0}), "activeDeadlineSeconds"),
            (json!({"env": [{"name": "A=B"}]}), "env/0/name"),
            (
                json!({"env": [{"name": "A", "value": "\u{0}"}]}),
                "env/0/value",
            ),
            (json!({"env": [{"name": "A"}, {"name": "A"}]}), "env/1/name"),
            (json!({"serviceAccountName": "A"}), "serviceAccountName"),
            (json!({"priorityClassName": ""}), "priorityClassName"),
            (json!({"runtimeClassName": "a/b"}), "runtimeClassName"),
            (
                json!({"imagePullSecrets": [{"name": "-"}]}),
                "imagePullSecrets/0/name",
            ),
            (
                json!({"labels": {"axon.io/task": "x"}}),
                "labels/axon.io~1task",
            ),
            (
                json!({"labels": {"app.kubernetes.io/name": "x"}}),
                "labels/app.kubernetes.io~1name",
            ),
            (
                json!({"labels": {"batch.kubernetes.io/a": "x"}}),
                "labels/batch.kubernetes.io~1a",
            ),
            (json!({"labels": {"a b": "x"}}), "labels/a b"),
            (json!({"labels": {"a": "x y"}}), "labels/a"),
            (
                json!({"annotations": {"axon.io/task-uid": "x"}}),
                "annotations/axon.io~1task-uid",
            ),
        ] {
            check(&bad, place);
        }
    }

    #[test]
    fn each_problem_of_a_volume_names_its_place() {
        for (bad, place) in [
            (json!({"volumes": [{"name": "a"}]}), "volumes/0"),
            (
                json!({"volumes": [{"name": "a", "hostPath": {"path": "/"}}]}),
                "volumes/0",
            ),
            (
                json!({"volumes": [{"name": "a", "emptyDir": {}, "secret": {"secretName": "s"}}]}),
                "volumes/0",
            ),
            (
                json!({"volumes": [{"name": "axon-x", "emptyDir": {}}]}),
                "volumes/0/name",
            ),
            (
                json!({"volumes": [{"name": "workspace", "emptyDir": {}}]}),
                "volumes/0/name",
            ),
            (
                json!({"volumes": [{"name": "a.b", "emptyDir": {}}]}),
                "volumes/0/name",
            ),
            (
                json!({"volumes": [{"name": "a", "emptyDir": {}}, {"name": "a", "emptyDir": {}}]}),
                "volumes/1/name",
            ),
            (
                json!({"volumes": [{"name": "a", "secret": {}}]}),
                "volumes/0/secret",
            ),
            (
                json!({"volumes": [{"name": "a", "configMap": {"name": ""}}]}),
                "volumes/0/configMap/name",
            ),
            (
                json!({"volumeMounts": [{"name": "a", "mountPath": "/a"}]}),
                "volumeMounts/0/name",
            ),
            (mount("cache"), "volumeMounts/0/mountPath"),
            (mount("/"), "volumeMounts/0/mountPath"),
            (mount("/a/../axon"), "volumeMounts/0/mountPath"),
            (mount("/axon"), "volumeMounts/0/mountPath"),
            (mount("/axon/axon-helper"), "volumeMounts/0/mountPath"),
            (mount("/workspace"), "volumeMounts/0/mountPath"),
            (mount("/workspace/repo"), "volumeMounts/0/mountPath"),
            (mount("/workspace/"), "volumeMounts/0/mountPath"),
            (mount("/run/axon/git"), "volumeMounts/0/mountPath"),
            (mount("/dev/termination-log"), "volumeMounts/0/mountPath"),
        ] {
            check(&bad, place);
        }
    }
}
