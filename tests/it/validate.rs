//! `axon validate` as its user sees it: what is refused, how it is told, and what programs get.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::process::Output;
use std::time::Duration;
use std::time::Instant;

use axon::model::Code;
use serde_json::Value;

const HEAD: &str = "\
apiVersion: axon.io/v1alpha1
kind: Config
defaults: {type: codex, credentials: {type: none}}
";
/// Longest that any input may keep someone waiting, in a build without optimisation on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

fn validate(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_axon"))
        .arg("validate")
        .args(arguments)
        .current_dir(dir)
        .output()
        .unwrap()
}

fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

/// Checks that a directory is refused, with this code and these words.
#[track_caller]
fn refused(files: &[(&str, &str)], code: Code, words: &[&str]) {
    let dir = directory(files);
    let started = Instant::now();
    let text = validate(dir.path(), &[]);
    assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
    let told = String::from_utf8(text.stderr).unwrap();
    assert_eq!(text.status.code(), Some(1), "{told}");
    assert!(text.stdout.is_empty());
    for word in words {
        assert!(told.contains(word), "{word:?} is not in:\n{told}");
    }
    let json = validate(dir.path(), &["-o", "json"]);
    assert_eq!(json.status.code(), Some(1));
    let document: Value = serde_json::from_slice(&json.stdout).unwrap();
    let problems = document["problems"].as_array().unwrap();
    let found = problems.iter().any(|it| it["code"] == code.as_str());
    assert!(found, "{document:#}");
}

#[track_caller]
fn root_refused(text: &str, code: Code, words: &[&str]) {
    refused(&[("axon.yaml", text)], code, words);
}

#[test]
fn kinds() {
    let kind = |kind: &str| format!("apiVersion: v1\nkind: {kind}\nmetadata: {{name: a}}\n");
    root_refused(
        &kind("Secret"),
        Code::RefusedKind,
        &[
            "the kind \"Secret\" does not belong here",
            "axon.yaml:2:7",
            "never committed",
        ],
    );
    root_refused(
        "apiVersion: axon.io/v1alpha1\nkind: RepoSync\nmetadata: {name: a}\n",
        Code::RefusedKind,
        &[
            "the kind \"RepoSync\" does not belong here",
            "axon create sync",
            "kubectl apply",
        ],
    );
    for other in ["ConfigMap", "Deployment", "Job", "Namespace", "Widget"] {
        let words = format!("the kind \"{other}\" does not belong here");
        root_refused(&kind(other), Code::RefusedKind, &[&words]);
    }
    root_refused(
        &kind("List"),
        Code::RefusedKind,
        &["documents of their own"],
    );
    root_refused(
        &kind("Taks"),
        Code::RefusedKind,
        &["did you mean \"Task\"?"],
    );
}

#[test]
fn keys_of_the_root_file() {
    for key in [
        "namespace: a",
        "sync: a",
        "include: [b.yaml]",
        "defaults: {model: a}",
    ] {
        let name = key.split(':').next().unwrap();
        let included = format!("apiVersion: axon.io/v1alpha1\nkind: Config\n{key}\n");
        refused(
            &[
                ("axon.yaml", &format!("{HEAD}include: [more/*.yaml]\n")),
                ("more/a.yaml", &included),
            ],
            Code::RootOnly,
            &[
                &format!("\"{name}\" can stand only in the root file"),
                "more/a.yaml:3:1",
            ],
        );
    }
    let twice = format!("{HEAD}---\n{HEAD}");
    root_refused(
        &twice,
        Code::SecondConfig,
        &["a second Config in this file", "axon.yaml:1:1"],
    );
    root_refused(
        "apiVersion: axon.io/v1alpha1\nkind: Config\nnamespace: a\nnamespace: b\n",
        Code::DuplicateKey,
        &[
            "the key \"namespace\" stands here a second time",
            "the first is at axon.yaml:3:1",
        ],
    );
}

#[test]
fn includes() {
    root_refused(
        &format!("{HEAD}include: [agents/*.yaml]\n"),
        Code::InvalidInclude,
        &["no file matches \"agents/*.yaml\"", "axon.yaml:4:11"],
    );
    root_refused(
        &format!("{HEAD}include: [../x.yaml]\n"),
        Code::InvalidInclude,
        &["\"../x.yaml\" is not a path inside the repository"],
    );
    root_refused(
        &format!("{HEAD}include: [/etc/passwd]\n"),
        Code::InvalidInclude,
        &["\"/etc/passwd\" is not a path inside the repository"],
    );
    refused(
        &[
            ("axon.yaml", &format!("{HEAD}include: [a.yaml, b.yaml]\n")),
            (
                "a.yaml",
                "apiVersion: axon.io/v1alpha1\nkind: Config\ntasks: {x: {prompt: a}}\n",
            ),
            (
                "b.yaml",
                "apiVersion: axon.io/v1alpha1\nkind: Config\ntasks: {x: {prompt: b}}\n",
            ),
        ],
        Code::DuplicateObject,
        &[
            "Task \"x\" is declared a second time",
            "b.yaml:3:9",
            "the first is at a.yaml:3:9",
        ],
    );
}

#[cfg(unix)]
#[test]
fn links_are_not_followed() {
    let dir = directory(&[
        ("axon.yaml", &format!("{HEAD}include: [more/*.yaml]\n")),
        ("more/x", ""),
    ]);
    std::os::unix::fs::symlink("/etc/passwd", dir.path().join("more/a.yaml")).unwrap();
    let told = validate(dir.path(), &[]);
    let text = String::from_utf8(told.stderr).unwrap();
    assert_eq!(told.status.code(), Some(1));
    assert!(
        text.contains("\"more/a.yaml\" cannot be read: it is a symbolic link"),
        "{text}"
    );
}

#[test]
fn bounds() {
    let large = format!("{HEAD}# {}\n", "x".repeat(1 << 20));
    root_refused(&large, Code::Unreadable, &["axon.yaml", "larger than"]);
    let most = format!("# {}\n", "x".repeat((1 << 20) - 10));
    let names: Vec<String> = (0..9).map(|at| format!("m/{at}.yaml")).collect();
    let root = format!("{HEAD}include: ['m/*.yaml']\n");
    let mut files = vec![("axon.yaml", root.as_str())];
    files.extend(names.iter().map(|name| (name.as_str(), most.as_str())));
    refused(&files, Code::Unreadable, &["8 MiB"]);
    let deep = format!("{HEAD}tasks: {}{}\n", "[".repeat(70), "]".repeat(70));
    root_refused(&deep, Code::TooLarge, &["nested more than 64 levels deep"]);
    let bomb: String = (0..12).fold(
        "a: &a [x, x, x, x, x, x, x, x, x]\n".into(),
        |text: String, at| {
            let name = if at == 0 {
                "a".into()
            } else {
                format!("b{}", at - 1)
            };
            format!(
                "{text}b{at}: &b{at} [{}]\n",
                vec![format!("*{name}"); 9].join(", ")
            )
        },
    );
    root_refused(
        &bomb,
        Code::TooLarge,
        &["anchors and aliases make this document more than 4 MiB larger"],
    );
    let tasks: Vec<String> = (0..5_001)
        .map(|at| format!("  t{at}: {{prompt: x}}\n"))
        .collect();
    let tasks = tasks.concat();
    root_refused(
        &format!("{HEAD}tasks:\n{tasks}"),
        Code::TooLarge,
        &["more than 5000 objects", "axon.yaml:5005:3"],
    );
    let list: Vec<String> = (0..72).map(|at| at.to_string()).collect();
    let list = list.join(", ");
    root_refused(
        &format!(
            "{HEAD}fleets: {{f: {{forEach: {{a: [{list}], b: [{list}]}}, task: {{prompt: '{{{{ a }}}}'}}}}}}\n"
        ),
        Code::TooLarge,
        &["fleet \"f\" makes 72 × 72 objects"],
    );
}

#[test]
fn templates_that_would_explode() {
    let grows = "| replace(from='a', to='aaaaaaaaaa') ".repeat(5);
    root_refused(
        &format!(
            "{HEAD}fleets: {{f: {{forEach: {{a: [aaaa]}}, task: {{prompt: \"{{{{ a {grows} }}}}\"}}}}}}\n"
        ),
        Code::InvalidTemplate,
        &["a text between filters has at most 16 KiB"],
    );
    root_refused(
        &format!(
            "{HEAD}fleets: {{f: {{forEach: {{a: [a]}}, task: {{prompt: '{{% for x in range(end=99999999) %}}x{{% endfor %}}'}}}}}}\n"
        ),
        Code::InvalidTemplate,
        &["there are no statements here"],
    );
}

#[test]
fn nothing_to_read() {
    let dir = directory(&[]);
    let told = validate(dir.path(), &[]);
    assert_eq!(told.status.code(), Some(1));
    let text = String::from_utf8(told.stderr).unwrap();
    assert!(text.contains("there is no file \"axon.yaml\""), "{text}");
    let json = validate(dir.path(), &["-o", "json"]);
    assert_eq!(json.status.code(), Some(1));
    let document: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(document["problems"][0]["code"], "unreadable");
    assert_eq!(validate(dir.path(), &["-o", "xml"]).status.code(), Some(64));
}

/// Warnings do not fail, and are in every format.
#[test]
fn warnings() {
    let text = format!("{HEAD}tasks: {{a: {{prompt: x, workspace: app}}}}\n");
    let dir = directory(&[("axon.yaml", &text)]);
    let plain = validate(dir.path(), &[]);
    assert_eq!(plain.status.code(), Some(0));
    assert!(
        String::from_utf8(plain.stderr)
            .unwrap()
            .contains("warning[unknown-workspace]")
    );
    let json = validate(dir.path(), &["-o", "json"]);
    assert_eq!(json.status.code(), Some(0));
    let document: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(document["valid"], true);
    assert_eq!(document["warnings"], 1);
    assert_eq!(document["objects"][0]["name"], "a");
    let sarif = validate(dir.path(), &["-o", "sarif"]);
    let document: Value = serde_json::from_slice(&sarif.stdout).unwrap();
    assert_eq!(document["runs"][0]["results"][0]["level"], "warning");
    let github = validate(dir.path(), &["-o", "github"]);
    let lines = String::from_utf8(github.stdout).unwrap();
    assert!(
        lines.starts_with("::warning file=axon.yaml,line=4,"),
        "{lines}"
    );
}

/// Every example is valid, and what a fleet stands for can be read.
#[test]
fn examples() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (path, objects) in [
        ("examples/axon.yaml", "1 Workspace, 2 TaskSpawners, 2 Tasks"),
        ("examples/quickstart", "1 Workspace, 1 TaskSpawner, 1 Task"),
        ("examples/monorepo", "1 Workspace, 2 TaskSpawners, 1 Task"),
        ("examples/chain.yaml", "1 Workspace, 2 Tasks"),
        (
            "examples/fleet.yaml",
            "3 Workspaces, 4 TaskSpawners, 3 Tasks",
        ),
    ] {
        let told = validate(root, &[path]);
        let text = String::from_utf8_lossy(&told.stdout).into_owned();
        let problems = String::from_utf8_lossy(&told.stderr).into_owned();
        assert_eq!(told.status.code(), Some(0), "{problems}");
        assert!(text.ends_with(&format!(" is valid: {objects}\n")), "{text}");
    }
    let rendered = Command::new(env!("CARGO_BIN_EXE_axon"))
        .args(["render", "examples/fleet.yaml"])
        .current_dir(root)
        .output()
        .unwrap();
    let yaml = String::from_utf8(rendered.stdout).unwrap();
    for part in [
        "  name: nightly-alpine-3-12\n",
        "    image: ghcr.io/your-org/agent:3.12-alpine\n",
        "        value: \"3.12\"\n",
        "Run the full test suite of {{.Time}} and",
        "  name: bump-ci-your-org-web\n  labels:\n    repo: web\n",
        "    Pin the CI images of your-org/web by digest.\n",
        "say ${{ matrix.os }} where",
        "  workspaceRef:\n    name: bump-ci-your-org-web\n",
    ] {
        assert!(yaml.contains(part), "{part:?} is not in:\n{yaml}");
    }
}

/// What SARIF 2.1.0 wants of the parts that are written.
#[test]
fn sarif_has_its_form() {
    let text = format!("{HEAD}tasks: {{a: {{promt: x}}, b: {{prompt: 5}}}}\n");
    let dir = directory(&[("sub dir/axon.yaml", &text)]);
    let told = validate(dir.path(), &["-o", "sarif", "sub dir"]);
    assert_eq!(told.status.code(), Some(1));
    let log: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    assert_eq!(run["columnKind"], "unicodeCodePoints");
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    assert!(
        rules
            .iter()
            .all(|rule| rule["id"].is_string() && rule["shortDescription"]["text"].is_string())
    );
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 3);
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(["error", "warning"].contains(&result["level"].as_str().unwrap()));
        assert!(result["message"]["text"].is_string());
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "sub%20dir/axon.yaml");
        let region = &place["region"];
        assert_eq!(region["startLine"], 4);
        assert!(region["endColumn"].as_u64() > region["startColumn"].as_u64());
    }
}
