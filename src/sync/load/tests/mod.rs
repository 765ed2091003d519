//! Each rule, as what a person is told.

mod bounds;
mod config;
mod dependencies;
mod fleets;
mod manifests;
mod schema;
mod templates;
mod yaml;

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

/// What is told of a snapshot.
fn told(snapshot: &Snapshot) -> String {
    match load(snapshot) {
        Ok(loaded) => shown(&loaded.warnings),
        Err(told) => shown(&told),
    }
}

/// Checks all that is told of a root file.
#[track_caller]
fn check(yaml: &str, expected: &str) {
    check_files(&[("axon.yaml", yaml)], expected);
}

/// Checks all that is told of a root file and the files that it includes.
#[track_caller]
fn check_files(files: &[(&str, &str)], expected: &str) {
    let told = told(&snapshot(files));
    assert!(
        told == expected.trim_end(),
        "told:\n{told}\n\nexpected:\n{expected}"
    );
}

/// Checks what is told of a root file that begins with [`HEAD`]; lines are counted after it.
#[track_caller]
fn check_config(yaml: &str, expected: &str) {
    let head = HEAD.lines().count();
    let yaml = format!("{HEAD}{yaml}");
    let mut snapshot = snapshot(&[("axon.yaml", yaml.as_str())]);
    snapshot.source.url = None;
    let told = match load(&snapshot) {
        Ok(loaded) => loaded.warnings,
        Err(told) => told,
    };
    let told: Vec<_> = told
        .into_iter()
        .map(|mut it| {
            it.place.line -= head;
            it
        })
        .collect();
    let told = shown(&told);
    assert!(
        told == expected.trim_end(),
        "told:\n{told}\n\nexpected:\n{expected}"
    );
}
