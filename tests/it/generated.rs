//! Generated files are fresh, and the examples fit what is generated.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use axon::api;
use axon::controller::Images;
use axon::model::Digest;
use axon::model::RepoPath;
use axon::model::Revision;
use axon::model::Snapshot;
use axon::model::snapshot::InputFile;
use axon::model::snapshot::Source;
use axon::sync;
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Compares a file with what it is generated from; `make schema` writes it anew.
#[expect(
    clippy::disallowed_methods,
    reason = "a switch of this test, not of the program"
)]
fn check(path: &str, generated: &str) {
    let file = root().join(path);
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, generated).unwrap();
        return;
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    assert!(written == generated, "{path} is stale: run `make schema`");
}

#[test]
fn schema_is_fresh() {
    let schema = serde_json::to_string_pretty(&api::config_schema()).unwrap();
    check("schema/axon.schema.json", &format!("{schema}\n"));
}

#[test]
fn the_schema_of_plans_is_fresh() {
    let schema = serde_json::to_string_pretty(&api::plan_schema()).unwrap();
    check("schema/plan.schema.json", &format!("{schema}\n"));
}

#[test]
fn crds_are_fresh() {
    for crd in api::crds() {
        let path = format!("deploy/crds/{}.yaml", crd.spec.names.plural);
        let yaml = sync::render::document(&serde_json::to_value(&crd).unwrap());
        let header = "# Generated from the types in src/api by `make schema`.\n";
        check(&path, &format!("{header}{yaml}"));
    }
}

/// `kubectl apply -f deploy/axon.yaml` is all there is to an installation.
#[test]
fn installation_is_fresh() {
    let header =
        "# Generated from deploy/controller.yaml.in and the types in src/api by `make schema`.\n";
    let mut whole = header.to_owned();
    for crd in api::crds() {
        whole += &sync::render::document(&serde_json::to_value(&crd).unwrap());
        whole += "---\n";
    }
    let controller = fs::read_to_string(root().join("deploy/controller.yaml.in")).unwrap();
    whole += &controller.replace("@IMAGE@", &Images::default().helper);
    check("deploy/axon.yaml", &whole);
}

/// `VERB RESOURCE in NAMESPACE`, as the table of docs/install.md tells them.
fn told_rights() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("docs/install.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| "));
    let mut rights = BTreeSet::new();
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, namespace, resources, verbs, _, _] = cells[..] else {
            continue;
        };
        if namespace == "namespace" {
            continue;
        }
        for resource in resources.split(' ') {
            for verb in verbs.split(' ') {
                let row = format!("{verb} {resource} in {namespace}");
                rights.insert(row.replace('`', ""));
            }
        }
    }
    rights
}

/// The same, as deploy/axon.yaml grants them to the controllers.
fn granted_rights() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("deploy/axon.yaml")).unwrap();
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    let is_theirs = |it: &&Value| {
        let kind = it["kind"].as_str().unwrap_or_default();
        let name = it["metadata"]["name"].as_str().unwrap_or_default();
        ["ClusterRole", "Role"].contains(&kind) && name.starts_with("axon-controller")
    };
    let words = |value: &Value| serde_json::from_value::<Vec<String>>(value.clone()).unwrap();
    let mut rights = BTreeSet::new();
    for role in documents.iter().filter(is_theirs) {
        let namespace = role["metadata"]["namespace"].as_str().unwrap_or("all");
        for rule in role["rules"].as_array().unwrap() {
            for resource in words(&rule["resources"]) {
                let verbs = words(&rule["verbs"]).into_iter();
                rights.extend(verbs.map(|verb| format!("{verb} {resource} in {namespace}")));
            }
        }
    }
    rights
}

#[test]
fn the_rights_are_those_that_are_told() {
    let (told, granted) = (told_rights(), granted_rights());
    assert!(granted.len() > 40, "{granted:?}");
    let differ: Vec<_> = told.symmetric_difference(&granted).collect();
    assert!(differ.is_empty(), "docs/install.md differs: {differ:?}");
}

/// All YAML files under `examples/`.
fn examples() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![root().join("examples")];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            // State of `axon dev` may lie there.
            let is_hidden = path
                .file_name()
                .is_some_and(|it| it.to_string_lossy().starts_with('.'));
            if path.is_dir() && !is_hidden {
                dirs.push(path);
            } else if path.is_file() && path.extension().is_some_and(|it| it == "yaml") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Whether a file is read by itself, and not only included by another.
fn is_root(path: &Path) -> bool {
    !path.starts_with(root().join("examples/monorepo/agents"))
}

#[test]
fn examples_load() {
    let examples = examples();
    assert!(examples.len() > 5, "{examples:?}");
    for path in examples.into_iter().filter(|path| is_root(path)) {
        let bytes = fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let file = RepoPath::parse(name).unwrap();
        let snapshot = Snapshot {
            source: Source {
                canonical: "example".into(),
                url: Some("https://github.com/acme/app.git".into()),
            },
            revision: Revision::Directory(Digest::of(&bytes)),
            root: file.clone(),
            files: vec![InputFile { path: file, bytes }],
            unmatched: Vec::new(),
        };
        let loaded = sync::load::load(&snapshot)
            .unwrap_or_else(|told| panic!("{}: {told:#?}", path.display()));
        assert!(!loaded.set.objects.is_empty(), "{}", path.display());
    }
}

#[test]
fn examples_fit_the_published_schema() {
    let schema = jsonschema::validator_for(&api::config_schema()).unwrap();
    for path in examples() {
        let text = fs::read_to_string(&path).unwrap();
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        for document in documents.iter().filter(|it| it["kind"] == "Config") {
            let problems: Vec<String> = schema
                .iter_errors(document)
                .map(|problem| format!("{}: {problem}", problem.instance_path()))
                .collect();
            assert!(problems.is_empty(), "{}: {problems:#?}", path.display());
        }
    }
}

/// The loader and the schema agree on what a configuration document is.
#[test]
fn the_schema_refuses_what_the_loader_refuses() {
    let schema = jsonschema::validator_for(&api::config_schema()).unwrap();
    for wrong in [
        "{apiVersion: axon.io/v1, kind: Config}",
        "{apiVersion: axon.io/v1alpha1, kind: Config, taks: {}}",
        "{apiVersion: axon.io/v1alpha1, kind: Config, tasks: {a: {}}}",
        "{apiVersion: axon.io/v1alpha1, kind: Config, tasks: {a: {prompt: 5}}}",
        "{apiVersion: axon.io/v1alpha1, kind: Config, tasks: {a: {prompt: x, type: cursr}}}",
        "{apiVersion: axon.io/v1alpha1, kind: Config, tasks: {a: {prompt: x, workspace: {rpo: a}}}}",
        "{apiVersion: axon.io/v1alpha1, kind: Config, tasks: {a: {prompt: x, podOverrides: {envs: []}}}}",
        "{apiVersion: axon.io/v1alpha1, kind: Config, spawners: {a: {prompt: x}}}",
        "{apiVersion: axon.io/v1alpha1, kind: Config, spawners: {a: {when: {cron: {}}}}}",
    ] {
        let document: Value = serde_saphyr::from_str(wrong).unwrap();
        assert!(!schema.is_valid(&document), "{wrong}");
    }
}
