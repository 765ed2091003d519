//! `src/local/api_server/schema/types.json` is made of Kubernetes' own documents: what the built-in types hold, how
//! their parts merge, and which empty values Go leaves out. `make schema` makes it anew where Go is installed.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use regex::Regex;
use serde_json::Value;
use serde_json::json;

const FILE: &str = "src/local/api_server/schema/types.json";

/// Where the types are described, and which of them are served.
const ROOTS: &[(&str, &[&str])] = &[
    (
        "api__v1",
        &[
            "core.v1.Namespace",
            "core.v1.Secret",
            "core.v1.ConfigMap",
            "core.v1.ServiceAccount",
            "core.v1.Service",
            "core.v1.Event",
            "core.v1.Pod",
        ],
    ),
    ("apis__batch__v1", &["batch.v1.Job"]),
    ("apis__apps__v1", &["apps.v1.Deployment"]),
    ("apis__coordination.k8s.io__v1", &["coordination.v1.Lease"]),
    (
        "apis__rbac.authorization.k8s.io__v1",
        &[
            "rbac.v1.Role",
            "rbac.v1.RoleBinding",
            "rbac.v1.ClusterRole",
            "rbac.v1.ClusterRoleBinding",
        ],
    ),
    (
        "apis__networking.k8s.io__v1",
        &["networking.v1.NetworkPolicy"],
    ),
    ("apis__policy__v1", &["policy.v1.PodDisruptionBudget"]),
    (
        "apis__apiextensions.k8s.io__v1",
        &["apiextensions.v1.CustomResourceDefinition"],
    ),
];

/// Where the Go types stand, by the start of their names.
const SOURCES: &[(&str, &str)] = &[
    ("core.v1.", "api@v0.36.3/core/v1/types.go"),
    ("events.v1.", "api@v0.36.3/events/v1/types.go"),
    ("batch.v1.", "api@v0.36.3/batch/v1/types.go"),
    ("apps.v1.", "api@v0.36.3/apps/v1/types.go"),
    ("coordination.v1.", "api@v0.36.3/coordination/v1/types.go"),
    ("rbac.v1.", "api@v0.36.3/rbac/v1/types.go"),
    ("networking.v1.", "api@v0.36.3/networking/v1/types.go"),
    ("policy.v1.", "api@v0.36.3/policy/v1/types.go"),
    ("meta.v1.", "apimachinery@v0.36.3/pkg/apis/meta/v1/types.go"),
    (
        "apiextensions.v1.",
        "apiextensions-apiserver@v0.36.3/pkg/apis/apiextensions/v1/types.go",
    ),
    (
        "apiextensions.v1.",
        "apiextensions-apiserver@v0.36.3/pkg/apis/apiextensions/v1/types_jsonschema.go",
    ),
];

/// What is taken over from a schema as it is.
const KEPT: &[&str] = &[
    "type",
    "format",
    "required",
    "default",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
    "x-kubernetes-patch-merge-key",
    "x-kubernetes-patch-strategy",
];

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a switch of this test, not of the program"
)]
fn built_in_types_are_fresh() {
    let Some(modules) = modules() else {
        eprintln!(
            "skipped: Kubernetes' sources are not on this machine (run `tests/cluster/build`)"
        );
        return;
    };
    let fresh = generate(&modules);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(file, fresh).unwrap();
        return;
    }
    assert!(
        fs::read_to_string(&file).unwrap() == fresh,
        "{FILE} is stale: run `make schema`"
    );
}

fn modules() -> Option<PathBuf> {
    let output = Command::new("go")
        .args(["env", "GOMODCACHE"])
        .output()
        .ok()?;
    let dir = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()).join("k8s.io");
    dir.join("kubernetes@v1.36.3").is_dir().then_some(dir)
}

/// One type a line, so that a change can be read.
fn generate(modules: &Path) -> String {
    let marks = marks(modules);
    let mut types = BTreeMap::new();
    for (file, roots) in ROOTS {
        let path = format!("kubernetes@v1.36.3/api/openapi-spec/v3/{file}_openapi.json");
        let document: Value =
            serde_json::from_slice(&fs::read(modules.join(path)).unwrap()).unwrap();
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let by_name: BTreeMap<_, _> = schemas.iter().map(|(name, it)| (short(name), it)).collect();
        let mut queue: Vec<String> = roots.iter().map(|it| (*it).to_owned()).collect();
        while let Some(name) = queue.pop() {
            if types.contains_key(&name) {
                continue;
            }
            let mut found = BTreeSet::new();
            let schema = small(by_name[&name], &name, &marks, &mut found);
            queue.extend(found);
            types.insert(name, schema);
        }
    }
    let lines: Vec<_> = types
        .iter()
        .map(|(name, it)| format!("{}: {it}", json!(name)))
        .collect();
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

/// `io.k8s.api.core.v1.Pod` is `core.v1.Pod`.
fn short(name: &str) -> String {
    let mut parts: Vec<_> = name.rsplit('.').take(3).collect();
    parts.reverse();
    parts.join(".")
}

/// What is needed of a schema. `found`: the types that it names.
fn small(
    schema: &Value,
    name: &str,
    marks: &BTreeSet<String>,
    found: &mut BTreeSet<String>,
) -> Value {
    let mut left = json!({});
    for key in KEPT {
        if let Some(value) = schema.get(*key) {
            left[*key] = value.clone();
        }
    }
    let target = schema["$ref"]
        .as_str()
        .or(schema["allOf"][0]["$ref"].as_str());
    if let Some(target) = target {
        let target = short(target.rsplit('/').next().unwrap());
        left["$ref"] = target.as_str().into();
        found.insert(target);
    }
    if schema.get("oneOf").is_some() {
        left["x-kubernetes-int-or-string"] = true.into();
    }
    for key in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get(key).filter(|it| it.is_object()) {
            left[key] = small(inner, name, marks, found);
        }
    }
    for (field, inner) in schema["properties"].as_object().into_iter().flatten() {
        let mut inner = small(inner, name, marks, found);
        if marks.contains(&format!("{name}.{field}")) {
            inner["x-omitempty"] = true.into();
        }
        left["properties"][field] = inner;
    }
    left
}

/// The fields that Go leaves out when they are empty: neither pointers nor structs.
fn marks(modules: &Path) -> BTreeSet<String> {
    let head = Regex::new(r"^type (\w+) struct \{").unwrap();
    let field = Regex::new(r#"^\t\w+\s+(\S+)\s+`json:"(\w+),omitempty""#).unwrap();
    let inline = Regex::new(r#"^\t(\w+)\s+`json:",inline""#).unwrap();
    let mut marks = BTreeSet::new();
    let mut inlined = Vec::new();
    for (prefix, path) in SOURCES {
        let mut name = String::new();
        for line in fs::read_to_string(modules.join(path)).unwrap().lines() {
            if let Some(found) = head.captures(line) {
                name = format!("{prefix}{}", &found[1]);
            } else if let Some(found) = field.captures(line)
                && !found[1].starts_with('*')
            {
                marks.insert(format!("{name}.{}", &found[2]));
            } else if let Some(found) = inline.captures(line) {
                inlined.push((format!("{prefix}{}.", &found[1]), format!("{name}.")));
            }
        }
    }
    for (from, to) in inlined {
        let more: Vec<_> = marks
            .iter()
            .filter_map(|it| it.strip_prefix(&from))
            .map(|it| format!("{to}{it}"))
            .collect();
        marks.extend(more);
    }
    marks
}
