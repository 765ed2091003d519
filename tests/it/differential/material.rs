//! What requests are made of: a smallest good object of each kind, and fields to lay over it.

use serde_json::Value;
use serde_json::json;

/// The kinds that requests are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    Gadget,
    ConfigMap,
    Secret,
    Pod,
    Job,
    Task,
}

pub(super) const SUBJECTS: [Subject; 6] = [
    Subject::Gadget,
    Subject::ConfigMap,
    Subject::Secret,
    Subject::Task,
    Subject::Job,
    Subject::Pod,
];

/// One field, and what it is to be. Null takes it away.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Edit {
    /// As in a JSON patch.
    pub(super) path: &'static str,
    pub(super) value: Value,
}

impl Subject {
    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Gadget => "gadgets",
            Self::ConfigMap => "configmaps",
            Self::Secret => "secrets",
            Self::Pod => "pods",
            Self::Job => "jobs",
            Self::Task => "tasks",
        }
    }

    /// Whether it is a custom resource.
    pub(super) fn is_custom(self) -> bool {
        matches!(self, Self::Gadget | Self::Task)
    }

    pub(super) fn has_status(self) -> bool {
        !matches!(self, Self::ConfigMap | Self::Secret)
    }

    pub(super) fn api_version(self, group: &str) -> String {
        match self {
            Self::Gadget => format!("{group}/v1"),
            Self::ConfigMap | Self::Secret | Self::Pod => "v1".into(),
            Self::Job => "batch/v1".into(),
            Self::Task => "axon.io/v1alpha1".into(),
        }
    }

    /// A good object. Nothing acts on it: the Job is another controller's, the Pod needs nothing of admission.
    pub(super) fn base(self, group: &str, name: &str) -> Value {
        let mut object = match self {
            Self::Gadget => json!({"spec": {"size": 5}}),
            Self::ConfigMap => json!({"data": {"k": "v"}}),
            Self::Secret => json!({"data": {"k": "dg=="}}),
            Self::Pod => json!({"spec": {
                "containers": [{"name": "c", "image": "i:1"}],
                "automountServiceAccountToken": false,
                "serviceAccountName": "default",
                "tolerations": tolerations(),
            }}),
            Self::Job => json!({"spec": {
                "managedBy": "test.io/nobody",
                "template": {"spec": {"containers": [{"name": "c", "image": "i:1"}], "restartPolicy": "Never"}},
            }}),
            Self::Task => json!({"spec": {
                "type": "codex", "prompt": "p",
                "credentials": {"type": "api-key", "secretRef": {"name": "s"}},
            }}),
        };
        object["apiVersion"] = self.api_version(group).into();
        object["kind"] = format!("{self:?}").into();
        object["metadata"] = json!({"name": name, "labels": {"app": name}});
        if self == Self::Job {
            object["metadata"]["labels"]["of"] = "job".into();
        }
        object
    }

    /// Fields that may be written, good ones first: a failing sequence shrinks towards them.
    pub(super) fn edits(self) -> Vec<Edit> {
        let mut edits = Vec::new();
        let own = match self {
            Self::Gadget => gadget(),
            Self::ConfigMap => config_map(),
            Self::Secret => secret(),
            Self::Pod => pod(),
            Self::Job => job(),
            Self::Task => task(),
        };
        for (path, values) in own.into_iter().chain(metadata()) {
            for value in values.as_array().unwrap() {
                // A Job without labels has those of its Pods: `jobs::labels_of_a_job_without_any` tells how.
                let has_none =
                    path == "/metadata/labels" && (value.is_null() || *value == json!({}));
                if self == Self::Job && has_none {
                    continue;
                }
                let value = value.clone();
                edits.push(Edit { path, value });
            }
        }
        edits
    }

    /// Fields of the status.
    pub(super) fn status_edits(self) -> Vec<Edit> {
        let rows = match self {
            Self::Gadget => vec![
                ("/status/ready", json!([true, false, null, "yes"])),
                ("/status/level", json!([1, 10])),
                (
                    "/status/conditions",
                    json!([
                        [{"type": "A", "status": "True"}],
                        [{"type": "A", "status": "False"}, {"type": "B", "status": "True"}],
                        [{"type": "A"}],
                    ]),
                ),
                ("/status/nope", json!([1])),
                ("/spec/size", json!([6])),
                ("/metadata/labels/app", json!(["s"])),
            ],
            Self::Pod => vec![
                ("/status/phase", json!(["Running", "Succeeded", "Failed"])),
                ("/status/message", json!(["m", null])),
                ("/status/reason", json!(["R"])),
                (
                    "/status/conditions",
                    json!([
                        [{"type": "Ready", "status": "True"}],
                        [{"type": "Ready", "status": "False", "reason": "Because"}],
                        [{"type": "test.io/gate", "status": "Unknown"}],
                    ]),
                ),
                ("/metadata/labels/app", json!(["s"])),
                ("/spec/activeDeadlineSeconds", json!([7])),
            ],
            Self::Job => vec![
                ("/status/active", json!([1, 2, null])),
                ("/status/failed", json!([1])),
                ("/metadata/labels/app", json!(["s"])),
                ("/spec/suspend", json!([true])),
            ],
            Self::Task => vec![
                ("/status/phase", json!(["Pending", "Running", "Odd"])),
                ("/status/message", json!(["m", null, 5])),
                ("/metadata/annotations/note", json!(["s"])),
            ],
            Self::ConfigMap | Self::Secret => Vec::new(),
        };
        rows.into_iter()
            .flat_map(|(path, values)| {
                let values = values.as_array().unwrap().clone();
                values.into_iter().map(move |value| Edit { path, value })
            })
            .collect()
    }
}

type Rows = Vec<(&'static str, Value)>;

/// What admission would add if it were not there.
fn tolerations() -> Value {
    let one = |key: &str| json!({"key": format!("node.kubernetes.io/{key}"), "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
    json!([one("not-ready"), one("unreachable")])
}

/// Of every kind.
fn metadata() -> Rows {
    vec![
        ("/metadata/labels/app", json!(["a", "b", null])),
        (
            "/metadata/labels/tier",
            json!(["1", "2", null, "bad value!", 5]),
        ),
        (
            "/metadata/labels",
            json!([{"app": "z"}, null, {"bad key!": "x"}, {}]),
        ),
        ("/metadata/annotations/note", json!(["x", "y", null, ""])),
        ("/metadata/annotations/Test.io~1Note", json!(["z"])),
        (
            "/metadata/annotations",
            json!([{"n": "1"}, null, {"bad key!": "x"}]),
        ),
        (
            "/metadata/finalizers",
            json!([
                ["test.io/hold"],
                ["test.io/hold", "test.io/two"],
                [],
                null,
                ["test.io/bad name!"]
            ]),
        ),
        (
            "/metadata/creationTimestamp",
            json!(["2020-01-01T00:00:00Z"]),
        ),
        ("/metadata/generateName", json!(["other-"])),
        ("/metadata/nope", json!([1])),
        ("/metadata/namespace", json!(["elsewhere"])),
        ("/metadata/name", json!(["other", "Bad_Name"])),
        (
            "/metadata/uid",
            json!(["00000000-0000-4000-8000-000000000000"]),
        ),
        ("/metadata/managedFields", json!([[], [{}]])),
        (
            "/metadata/ownerReferences",
            json!([[{"apiVersion": "v1", "kind": "ConfigMap", "name": "o"}]]),
        ),
        ("/nope", json!([1, {"a": 1}])),
    ]
}

#[expect(clippy::too_many_lines, reason = "one table")]
fn gadget() -> Rows {
    vec![
        (
            "/spec/size",
            json!([5, 6, 7, 4, 50, 13, 0, 101, 6.5, "x", null]),
        ),
        ("/spec/color", json!(["red", "blue", null, "green", 5])),
        (
            "/spec/name",
            json!(["abc", "abcd", null, "a", "toolong", "A1"]),
        ),
        ("/spec/fixed", json!(["one", "two", null])),
        (
            "/spec/tags",
            json!([
                ["a"],
                ["b"],
                ["a", "b"],
                ["c", "a"],
                [],
                null,
                ["a", "a"],
                ["a", "b", "c", "d"],
                "a",
                [5]
            ]),
        ),
        ("/spec/tags/-", json!(["d"])),
        ("/spec/order", json!([[1, 2], [2], [], null, ["x"]])),
        ("/spec/order/0", json!([9])),
        (
            "/spec/parts",
            json!([
                [{"id": "x"}],
                [{"id": "x", "count": 2}],
                [{"id": "y", "note": "n"}],
                [{"id": "y"}, {"id": "x", "note": "m"}],
                [{"id": "x", "slots": [{"name": "s"}]}],
                [{"id": "x", "slots": [{"name": "s", "port": 80, "on": true}, {"name": "s", "port": 81}]}],
                [{"id": "x", "slots": [{"name": "t", "on": false}]}],
                [], null,
                [{"id": "x"}, {"id": "x", "count": 3}],
                [{"count": 3}],
                [{"id": "x", "nope": 1}],
                [{"id": "x", "slots": [{"name": "s"}, {"name": "s", "port": 80}]}],
            ]),
        ),
        ("/spec/parts/0/note", json!(["p", null])),
        ("/spec/free", json!([{"a": {"b": 1}}, {"a": [1]}, {}, null])),
        ("/spec/free/a", json!([{"c": 2}, 5, null])),
        (
            "/spec/limits",
            json!([{"cpu": "1"}, {"cpu": "2", "mem": "3"}, null, {"a": "1", "b": "1", "c": "1"}, {"cpu": 5}]),
        ),
        ("/spec/limits/cpu", json!(["4", null])),
        (
            "/spec/point",
            json!([{"x": 1}, {"x": 1, "y": 2}, {"y": 3}, null, {"z": 1}]),
        ),
        ("/spec/point/x", json!([8, null])),
        ("/spec/share", json!([5, "50%", true])),
        ("/spec/when", json!(["2020-01-01T00:00:00Z", "soon"])),
        ("/spec/maybe", json!(["m", null])),
        ("/spec/deep", json!([{"level": 4}, {}, null, []])),
        ("/spec/deep/ratio", json!([0.5, 1, null])),
        ("/spec/nope", json!([1])),
        ("/spec", json!([{"size": 8}, null, {}, "x"])),
        ("/status/ready", json!([true])),
    ]
}

fn config_map() -> Rows {
    vec![
        ("/data/k", json!(["w", "x", "", null, 5])),
        ("/data/l", json!(["1", "2", null])),
        (
            "/data",
            json!([{"m": "1"}, null, {"bad key!": "x"}, {"..": "x"}]),
        ),
        ("/binaryData/b", json!(["AQI=", "AQ==", "!"])),
        ("/binaryData/k", json!(["AQI="])),
        ("/immutable", json!([true, false, null, "yes"])),
    ]
}

fn secret() -> Rows {
    vec![
        ("/data/k", json!(["dw==", "eA==", "", null, "!", 5])),
        ("/data/l", json!(["MQ==", null])),
        ("/stringData/k", json!(["plain", null])),
        ("/stringData/s", json!(["more"])),
        ("/data", json!([{"m": "MQ=="}, null, {"bad key!": "MQ=="}])),
        ("/immutable", json!([true, false, null])),
        ("/type", json!(["Opaque", "test.io/own", null])),
    ]
}

fn pod() -> Rows {
    vec![
        (
            "/spec/containers",
            json!([
                [{"name": "c", "image": "i:2"}],
                [{"name": "c", "env": [{"name": "A", "value": "1"}]}],
                [{"name": "c", "image": "i:1", "env": [{"name": "B", "value": "2"}, {"name": "A", "value": "3"}]}],
                [{"name": "d", "image": "j"}],
                [{"name": "c", "image": "i:1", "ports": [{"containerPort": 80}]}],
                [{"name": "c", "image": "i:1", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}],
                [{"name": "c"}],
                [], null,
                [{"name": "C!", "image": "i"}],
                [{"name": "c", "image": "i"}, {"name": "c", "image": "j"}],
                [{"name": "c", "image": "i", "nope": 1}],
                [{"name": "c", "$patch": "delete"}],
            ]),
        ),
        ("/spec/containers/0/image", json!(["i:3", "", 5])),
        (
            "/spec/initContainers",
            json!([[{"name": "init", "image": "i"}], [{"name": "c", "image": "i"}]]),
        ),
        (
            "/spec/activeDeadlineSeconds",
            json!([10, 5, 20, null, 0, -1]),
        ),
        ("/spec/terminationGracePeriodSeconds", json!([1, 0, null])),
        (
            "/spec/restartPolicy",
            json!(["Never", "Always", "Sometimes"]),
        ),
        (
            "/spec/volumes",
            json!([
                [{"name": "v", "emptyDir": {}}],
                [{"name": "v", "secret": {"secretName": "s"}}],
                [{"name": "v", "configMap": {"name": "m"}}, {"name": "w", "emptyDir": {}}],
                [{"name": "v"}],
                [{"name": "V!", "emptyDir": {}}, {"name": "v", "emptyDir": {}}, {"name": "v", "emptyDir": {}}],
            ]),
        ),
        (
            "/spec/containers/0/volumeMounts",
            json!([
                [{"name": "v", "mountPath": "/v"}],
                [{"name": "v", "mountPath": "/v"}, {"name": "v", "mountPath": "/v"}],
                [{"name": "v"}],
            ]),
        ),
        ("/spec/nodeSelector", json!([{"a": "b"}, null])),
        ("/spec/nodeSelector/a", json!(["c"])),
        ("/spec/securityContext", json!([{"runAsUser": 1000}])),
        ("/spec/hostname", json!(["h", "H!"])),
        ("/spec/nope", json!([1])),
        ("/status/phase", json!(["Running"])),
    ]
}

fn job() -> Rows {
    vec![
        ("/spec/backoffLimit", json!([1, 2, null, -1, "x"])),
        ("/spec/suspend", json!([true, false, null])),
        ("/spec/parallelism", json!([1, 0, 2, null, -1])),
        ("/spec/completions", json!([1, 2, null])),
        ("/spec/activeDeadlineSeconds", json!([100, 50, null, -1])),
        ("/spec/ttlSecondsAfterFinished", json!([100, null, -1])),
        ("/spec/podReplacementPolicy", json!(["Failed", "Odd"])),
        (
            "/spec/podFailurePolicy",
            json!([
                {"rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [1]}}]},
                {"rules": [{"action": "Odd"}]},
            ]),
        ),
        (
            "/spec/template/spec/containers",
            json!([
                [{"name": "c", "image": "i:2"}],
                [{"name": "c", "image": "i:1", "env": [{"name": "A", "value": "1"}]}],
                [],
            ]),
        ),
        (
            "/spec/template/spec/restartPolicy",
            json!(["OnFailure", "Always"]),
        ),
        (
            "/spec/template/metadata/labels",
            json!([{"app": "t"}, {"bad key!": "x"}]),
        ),
        ("/spec/template/spec/nodeSelector", json!([{"a": "b"}])),
        ("/spec/completionMode", json!(["Indexed"])),
        ("/spec/selector", json!([{"matchLabels": {"a": "b"}}])),
        ("/spec/managedBy", json!(["test.io/other"])),
        ("/spec/nope", json!([1])),
        ("/status/active", json!([1])),
    ]
}

fn task() -> Rows {
    vec![
        ("/spec/prompt", json!(["q", "r", null, "", 5])),
        ("/spec/type", json!(["codex", "gemini", "odd", null])),
        ("/spec/model", json!(["m", null])),
        ("/spec/branch", json!(["b", null])),
        (
            "/spec/dependsOn",
            json!([["a"], ["a", "b"], [], null, ["a", "a"]]),
        ),
        ("/spec/ttlSecondsAfterFinished", json!([1, 0, null, -1])),
        ("/spec/workspaceRef", json!([{"name": "w"}, null, {}])),
        (
            "/spec/podOverrides",
            json!([{"activeDeadlineSeconds": 10}, {"env": [{"name": "A", "value": "1"}]}, null]),
        ),
        (
            "/spec/credentials",
            json!([null, {"type": "none"}, {"type": "api-key"}]),
        ),
        ("/spec/nope", json!([1])),
        ("/spec", json!([null, {}])),
        ("/status/phase", json!(["Running"])),
    ]
}
