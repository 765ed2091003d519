//! The published schema accepts and refuses what the loader does.
//!
//! Documents are a good one with a few changes anywhere in it. Each problem that the loader can tell
//! is one that a schema tells, too, or one that it cannot: the table below says which.

use axon::api;
use axon::model::Code;
use axon::model::Diagnostic;
use axon::model::Digest;
use axon::model::RepoPath;
use axon::model::Revision;
use axon::model::Snapshot;
use axon::model::problem::Severity;
use axon::model::snapshot::InputFile;
use axon::model::snapshot::Source;
use axon::sync::load::load;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;
use serde_json::json;

/// Whether a schema tells of a problem.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Always,
    Never,
    /// Of some values.
    Partly,
}

fn told_by_schema(problem: &Diagnostic) -> Told {
    let hint = problem.hint.as_deref().unwrap_or_default();
    let of_values = hint.starts_with("with ") || hint.contains("(with ");
    match problem.code {
        // What a fleet's text becomes is not written anywhere.
        _ if of_values => Told::Never,
        // What git refuses of names is more than a pattern tells.
        Code::InvalidName if problem.message.contains("cannot be a branch") => Told::Partly,
        Code::UnknownKey
        | Code::MissingKey
        | Code::WrongType
        | Code::UnknownValue
        | Code::OutOfRange
        | Code::InvalidName
        | Code::InvalidLabel
        | Code::InvalidDuration
        | Code::InvalidQuantity
        | Code::ExclusiveKeys
        | Code::RefusedKind => Told::Always,
        Code::InvalidUrl | Code::InvalidInclude | Code::ReservedKey => Told::Partly,
        Code::Unreadable
        | Code::NotText
        | Code::InvalidYaml
        | Code::UnsupportedYaml
        | Code::DuplicateKey
        | Code::TooLarge
        | Code::SecondConfig
        | Code::RootOnly
        | Code::InvalidSchedule
        | Code::InvalidTemplate
        | Code::InvalidValue
        | Code::Incomplete
        | Code::DuplicateObject
        | Code::DuplicateRerun
        | Code::NamespaceMismatch
        | Code::UnknownWorkspace
        | Code::UnknownTask
        | Code::DependencyCycle
        | Code::UndefinedVariable
        | Code::UnusedVariable
        | Code::NameCollision
        | Code::ClusterField
        | Code::DuplicateVariable
        | Code::PastedSecret
        | Code::NotShown => Told::Never,
    }
}

/// Whether a fleet with such a problem is not expanded, so that no more is told of it.
fn ends_a_fleet(code: Code) -> bool {
    matches!(
        code,
        Code::UndefinedVariable | Code::InvalidTemplate | Code::InvalidValue | Code::TooLarge
    )
}

/// Every key of `podOverrides`.
fn overrides() -> Value {
    json!({
        "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": 2}},
        "activeDeadlineSeconds": 600,
        "env": [
            {"name": "A", "value": "x"},
            {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": true}}},
            {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        ],
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "spot", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 1, "preference": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}},
        ]}},
        "serviceAccountName": "ci", "priorityClassName": "low", "runtimeClassName": "gvisor",
        "imagePullSecrets": [{"name": "registry"}],
        "labels": {"team": "web"}, "annotations": {"example.com/note": "any text"},
        "volumes": [
            {"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}},
            {"name": "cache", "persistentVolumeClaim": {"claimName": "cache"}},
        ],
        "volumeMounts": [
            {"name": "scratch", "mountPath": "/scratch"},
            {"name": "cache", "mountPath": "/cache", "subPath": "x", "readOnly": true},
        ],
    })
}

/// A good document that has every key.
fn document() -> Value {
    let overrides = overrides();
    let some = json!({"activeDeadlineSeconds": 600, "nodeSelector": {"disk": "ssd"}});
    let metadata =
        json!({"labels": {"team": "web"}, "annotations": {"example.com/note": "any text"}});
    json!({
        "apiVersion": "axon.io/v1alpha1",
        "kind": "Config",
        "namespace": "agents",
        "sync": "app",
        "include": ["more/*.yaml"],
        "defaults": {
            "type": "claude-code",
            "credentials": {"type": "oauth", "secretRef": {"name": "key"}},
            "model": "opus", "image": "ghcr.io/a/b:1", "workspace": "app",
            "ttlSecondsAfterFinished": 60, "podOverrides": some, "branch": "axon/x",
            "metadata": metadata, "retry": {"limit": 1, "backoff": "90s", "onDisruption": "Always"},
        },
        "workspaces": {
            "app": {"repo": "https://github.com/acme/app.git", "ref": "main", "depth": 0,
                    "submodules": true, "gitIdentity": {"name": "Ann", "email": "ann@example.com"},
                    "secretRef": {"name": "token"}, "metadata": metadata},
            "here": {},
        },
        "spawners": {
            "bugs": {"when": {"githubIssues": {"types": ["issues", "pulls"], "labels": ["bug"],
                     "excludeLabels": ["no"], "state": "open"}},
                     "pollInterval": "90s", "maxConcurrency": 3, "suspend": true, "maxTotalTasks": 9, "prompt": "Fix {{.Title}}",
                     "type": "codex", "credentials": {"type": "none"}, "workspace": "app",
                     "branch": "axon/{{.Number}}", "metadata": metadata},
            "nightly": {"when": {"cron": {"schedule": "0 3 * * *", "timeZone": "Europe/Berlin"}},
                        "podOverrides": some},
        },
        "tasks": {
            "a": {"prompt": "Do it.", "rerun": 1, "type": "custom", "image": "x:1",
                  "credentials": {"type": "api-key", "secretRef": {"name": "key"}},
                  "model": "m", "workspace": {"repo": "git@github.com:acme/x.git", "ref": "v1"},
                  "ttlSecondsAfterFinished": 0, "podOverrides": overrides, "branch": "b",
                  "metadata": metadata},
            "b": {"prompt": "Do {{.Deps.a.Results.x}}.", "workspace": "app", "dependsOn": ["a", "c-d"],
                  "promptSyntax": "GoTemplate", "cancelled": true, "retry": {"limit": 2}},
        },
        "fleets": {
            "t": {"forEach": {"repo": ["acme/a", "acme/b"], "n": [1, 2], "on": [true]},
                  "task": {"prompt": "{{ repo }} {{ n }} {{ on }}", "branch": "x-{{ n }}",
                           "workspace": {"repo": "https://github.com/{{ repo }}.git"}, "type": "codex",
                           "metadata": {"labels": {"n": "{{ n }}"}}, "podOverrides": overrides}},
            "s": {"forEach": {"app": ["app"]},
                  "spawner": {"when": {"githubIssues": {"labels": ["{{ app }}"]}},
                              "workspace": "{{ app }}", "prompt": "Fix {{.Title}}"}},
        },
    })
}

/// A change somewhere in a document.
#[derive(Clone, Debug)]
enum Change {
    Remove,
    Replace(Value),
    Rename(&'static str),
    Add(&'static str, Value),
}

fn any_value() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        json!(null),
        json!(true),
        json!(0),
        json!(5),
        json!(-1),
        json!(1.5),
        json!(1u64 << 40),
        json!(""),
        json!("x"),
        json!("Bad Name"),
        json!("5m"),
        json!("5 m"),
        json!("none"),
        json!("oauth"),
        json!("{{ repo }}"),
        json!("{{ app }}"),
        json!("{{ nothing }}"),
        json!("{{"),
        json!("codex"),
        json!("a".repeat(70)),
        json!("b".repeat(300)),
        json!("ä"),
        json!("two\nlines"),
        json!("true"),
        json!([]),
        json!({}),
        json!(["x"]),
        json!([1]),
        json!([null]),
        json!({"x": "y"}),
        json!({"name": "x"}),
        json!({"type": "none"}),
        json!({"type": "oauth"}),
        json!({"cron": {"schedule": "@daily"}}),
        json!({"prompt": "x"}),
        json!({"secretRef": null}),
        json!({"githubIssues": {}, "cron": null}),
        json!("https://bob:x@h/a"),
        json!("svn://h/a"),
    ])
}

fn any_key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "x",
        "X",
        "",
        "a.b",
        "-",
        "type",
        "prompt",
        "name",
        "task",
        "spawner",
        "cron",
        "githubIssues",
        "axon.io/x",
        "axon.io/prune",
        "example.com/ok",
        "a b",
        "value",
        "workspace",
        "repo",
        "forEach",
        "tasks",
        "status",
        "for",
        "tw-o",
        "é",
    ])
}

fn any_change() -> impl Strategy<Value = Change> {
    prop_oneof![
        Just(Change::Remove),
        any_value().prop_map(Change::Replace),
        any_key().prop_map(Change::Rename),
        (any_key(), any_value()).prop_map(|(key, value)| Change::Add(key, value)),
    ]
}

/// The pointers of all values in a document, but for the document itself.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (escaped(key), value))
            .collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(at, it)| (at.to_string(), it))
            .collect(),
        _ => Vec::new(),
    };
    for (step, value) in inner {
        let at = format!("{at}/{step}");
        pointers(value, &at, found);
        found.push(at);
    }
}

fn change(document: &mut Value, place: Index, change: Change) {
    let mut all = Vec::new();
    pointers(document, "", &mut all);
    if all.is_empty() {
        return;
    }
    let pointer = place.get(&all);
    let (parent, step) = pointer.rsplit_once('/').unwrap();
    let step = step.replace("~1", "/").replace("~0", "~");
    let value = document.pointer_mut(pointer).unwrap();
    match change {
        Change::Replace(new) => *value = new,
        Change::Add(key, new) => {
            if let Value::Object(fields) = value {
                fields.insert(key.to_owned(), new);
            } else if let Value::Array(items) = value {
                items.push(new);
            }
        }
        Change::Remove => match document.pointer_mut(parent).unwrap() {
            Value::Object(fields) => drop(fields.remove(&step)),
            Value::Array(items) => drop(items.remove(step.parse().unwrap())),
            _ => {}
        },
        Change::Rename(key) => {
            if let Value::Object(fields) = document.pointer_mut(parent).unwrap() {
                let value = fields.remove(&step).unwrap();
                fields.insert(key.to_owned(), value);
            }
        }
    }
}

fn problems(document: &Value) -> Vec<Diagnostic> {
    let root = RepoPath::parse("axon.yaml").unwrap();
    let bytes = serde_json::to_vec_pretty(document).unwrap();
    let snapshot = Snapshot {
        source: Source {
            canonical: "github.com/acme/app".into(),
            url: Some("https://github.com/acme/app.git".into()),
        },
        revision: Revision::Directory(Digest::of(&bytes)),
        root: root.clone(),
        files: vec![InputFile { path: root, bytes }],
        unmatched: Vec::new(),
    };
    let told = load(&snapshot).err().unwrap_or_default();
    let is_error = |it: &Diagnostic| it.severity == Severity::Error;
    told.into_iter().filter(is_error).collect()
}

fn compare(document: &Value) -> Result<(), TestCaseError> {
    let schema = jsonschema::validator_for(&api::config_schema()).unwrap();
    compare_with(&schema, document)
}

fn compare_with(schema: &jsonschema::Validator, document: &Value) -> Result<(), TestCaseError> {
    let problems = problems(document);
    let told: Vec<Told> = problems.iter().map(told_by_schema).collect();
    let refused: Vec<String> = schema
        .iter_errors(document)
        .map(|problem| format!("{}: {problem}", problem.instance_path()))
        .collect();
    let shown: Vec<String> = problems
        .iter()
        .map(|it| format!("{} {}: {}", it.place, it.code, it.message))
        .collect();
    if refused.is_empty() {
        let all = !told.contains(&Told::Always);
        prop_assert!(all, "only the loader refuses {document:#}\n{shown:#?}");
    } else {
        let any = told.iter().any(|told| *told != Told::Never)
            || problems.iter().any(|it| ends_a_fleet(it.code));
        prop_assert!(
            any,
            "only the schema refuses {document:#}\n{refused:#?}\n{shown:#?}"
        );
    }
    Ok(())
}

#[test]
fn a_good_document_is_good_to_both() {
    let document = document();
    assert_eq!(problems(&document), []);
    compare(&document).unwrap();
}

#[test]
fn a_branch_for_all_is_no_longer_than_one_for_a_task() {
    let mut document = document();
    document["defaults"]["branch"] = "b".repeat(245).into();
    assert!(!problems(&document).is_empty());
    compare(&document).unwrap();
}

/// Every value of the document, replaced by each of a list.
#[test]
fn every_place_takes_the_same_values() {
    let schema = jsonschema::validator_for(&api::config_schema()).unwrap();
    let good = document();
    let mut all = Vec::new();
    pointers(&good, "", &mut all);
    let mut differ = Vec::new();
    for pointer in all {
        for value in [
            json!(null),
            json!(5),
            json!("x"),
            json!(""),
            json!([]),
            json!({}),
            json!(true),
        ] {
            let mut changed = good.clone();
            *changed.pointer_mut(&pointer).unwrap() = value.clone();
            if let Err(error) = compare_with(&schema, &changed) {
                let text = error.to_string();
                let lines: Vec<_> = text.lines().collect();
                let tail = lines[lines.len().saturating_sub(4)..].join(" ");
                differ.push(format!("{pointer} = {value}: {tail}"));
            }
        }
    }
    assert!(differ.is_empty(), "{differ:#?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_loader_and_the_schema_agree(
        changes in prop::collection::vec((any::<Index>(), any_change()), 1..4),
    ) {
        thread_local! {
            static SCHEMA: jsonschema::Validator =
                jsonschema::validator_for(&api::config_schema()).unwrap();
        }
        let mut document = document();
        for (place, what) in changes {
            change(&mut document, place, what);
        }
        SCHEMA.with(|schema| compare_with(schema, &document))?;
    }
}
