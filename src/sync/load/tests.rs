//! Each rule, as what a person is told.

use crate::model::Diagnostic;
use crate::model::Digest;
use crate::model::RepoPath;
use crate::model::Revision;
use crate::model::Snapshot;
use crate::model::problem::Severity;
use crate::model::snapshot::InputFile;
use crate::model::snapshot::Source;

use super::Loaded;
use super::load;
use crate::sync::render;

/// A Config with an entry's common fields under `defaults`.
const HEAD: &str = "\
apiVersion: axon.io/v1alpha1
kind: Config
defaults:
  type: codex
  credentials: {type: none}
";

fn snapshot(files: &[(&str, &str)]) -> Snapshot {
    let files = files.iter().map(|(path, text)| InputFile {
        path: RepoPath::parse(path).unwrap(),
        bytes: text.as_bytes().to_vec(),
    });
    Snapshot {
        source: Source {
            canonical: "github.com/acme/app".into(),
            url: Some("https://github.com/acme/app.git".into()),
        },
        revision: Revision::Directory(Digest::of("")),
        root: RepoPath::parse("axon.yaml").unwrap(),
        files: files.collect(),
        unmatched: Vec::new(),
    }
}

fn loaded(yaml: &str) -> Loaded {
    load(&snapshot(&[("axon.yaml", yaml)])).unwrap_or_else(|told| panic!("{}", shown(&told)))
}

/// `line:column message (hint)`, one a line; warnings begin with `warning`.
fn shown(told: &[Diagnostic]) -> String {
    let line = |it: &Diagnostic| {
        let severity = match it.severity {
            Severity::Error => "",
            Severity::Warning => "warning ",
        };
        let file = it.place.file.as_str().trim_end_matches("axon.yaml");
        let hint = it.hint.as_ref().map(|hint| format!(" ({hint})"));
        let (line, column) = (it.place.line, it.place.column);
        format!(
            "{file}{line}:{column} {severity}{}{}",
            it.message,
            hint.unwrap_or_default()
        )
    };
    told.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// All that is told of a root file.
fn told(yaml: &str) -> String {
    match load(&snapshot(&[("axon.yaml", yaml)])) {
        Ok(loaded) => shown(&loaded.warnings),
        Err(told) => shown(&told),
    }
}

#[test]
fn entries_become_manifests() {
    let yaml = format!(
        "{HEAD}tasks:
  a: {{prompt: x, workspace: {{ref: b}}, rerun: 2}}
spawners:
  s: {{when: {{cron: {{schedule: '@daily'}}}}, prompt: x}}
"
    );
    let expected = "\
---
apiVersion: axon.io/v1alpha1
kind: Workspace
metadata:
  name: a
spec:
  ref: b
  repo: https://github.com/acme/app.git
---
apiVersion: axon.io/v1alpha1
kind: TaskSpawner
metadata:
  name: s
spec:
  taskTemplate:
    credentials:
      type: none
    promptTemplate: x
    type: codex
  when:
    cron:
      schedule: \"@daily\"
---
apiVersion: axon.io/v1alpha1
kind: Task
metadata:
  name: a
  annotations:
    axon.io/rerun: \"2\"
spec:
  credentials:
    type: none
  prompt: x
  type: codex
  workspaceRef:
    name: a
";
    assert_eq!(render::yaml(&loaded(&yaml).set, None), expected);
}

#[test]
fn all_problems_are_told_at_once() {
    let yaml = format!("{HEAD}tasks:\n  a:\n    promt: x\n  A: {{prompt: 5}}\n");
    let expected = "\
7:3 \"prompt\" is missing in \"a\"
8:5 unknown key \"promt\" (did you mean \"prompt\"?)
9:3 Task name \"A\" must have 1 to 253 lower-case letters, digits or \"-\" or \".\", and begin and end with a letter or digit
9:15 \"prompt\" must be text, got 5 (put it in quotes)";
    assert_eq!(told(&yaml), expected);
}
