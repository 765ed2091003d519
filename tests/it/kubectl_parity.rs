//! The everyday verbs of `kubectl`, typed at both servers: what it prints and how it ends is the same.

use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;

use regex::Regex;

use crate::counts;
use crate::server;
use crate::server::Context;
use crate::server::Kind;

/// What is typed, a line each. `FILES` is the folder of the manifests; each line's namespace is its own.
const LINES: &str = include_str!("kubectl_parity.txt");

/// How one line ended.
#[derive(Debug, PartialEq, Eq)]
struct Ended {
    line: String,
    code: Option<i32>,
    out: String,
    error: String,
}

const MANIFESTS: [(&str, &str); 6] = [
    (
        "map.yaml",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: one, labels: {a: b}}, data: {k: v}}",
    ),
    (
        "map2.yaml",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: one, labels: {a: b}}, data: {k: w, l: x}}",
    ),
    (
        "list.yaml",
        "{apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: ConfigMap, metadata: {name: of-list}}, \
         {apiVersion: v1, kind: Secret, metadata: {name: of-list}, stringData: {k: v}}]}",
    ),
    (
        "bad.yaml",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: bad}, dta: {k: v}}",
    ),
    (
        "pod.yaml",
        "{apiVersion: v1, kind: Pod, metadata: {name: p, labels: {app: x}}, spec: {containers: \
         [{name: c, image: i, env: [{name: A, value: b}]}]}}",
    ),
    (
        "task.yaml",
        "{apiVersion: axon.io/v1alpha1, kind: Task, metadata: {name: t}, spec: {type: claude-code, \
         prompt: do it, credentials: {type: none}}}",
    ),
];

/// Lines that do not end the same, each for a reason that docs/local-mode.md tells.
const KNOWN: [&str; 1] = ["get configmaps --field-selector data.k=v"];

/// What differs from run to run, and what stands for it.
fn normal(text: &str, namespace: &str, files: &str) -> String {
    let patterns = [
        (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UID"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
        (r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000", "TIME"),
        (r"https://127\.0\.0\.1:\d+", "SERVER"),
        (r#"(resourceVersion"?: )"\d+""#, "${1}RV"),
        (r"Resource Version: +\d+", "Resource Version: RV"),
        // The log of kubectl's own watch: what ends first at its deadline is chance.
        (r"(?m)^[EWI]\d{4} .* reflector=.*\n", ""),
        (r"/tmp/(LIVE|MERGED)-\d+", "/tmp/$1"),
        (r"(?m)\s\S+ [+0]\d+$", ""),
        (r"(?m)^(\+\+\+|---) (\S+).*$", "$1 $2"),
        // Ages: the last word of a row, or among the columns.
        (r"\b(<invalid>|\d+[smh](\d+[sm])?)(\s|$)", "AGE$3"),
        (r"(?m) +", " "),
        (r"(?m) $", ""),
    ];
    let text = text.replace(namespace, "NS").replace(files, "FILES");
    patterns.iter().fold(text, |text, (pattern, with)| {
        let pattern = Regex::new(pattern).unwrap();
        pattern.replace_all(&text, *with).into_owned()
    })
}

fn type_line(program: &[String], context: &Context, home: &Path, line: &str) -> Ended {
    let files = home.to_str().unwrap();
    let words = line
        .replace("FILES", files)
        .replace("NS", &context.namespace);
    let output = Command::new(&program[0])
        .args(&program[1..])
        .args(["--namespace", &context.namespace])
        .args(words.split_whitespace())
        .env("KUBECONFIG", &context.kubeconfig)
        .env("HOME", home)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| normal(&String::from_utf8_lossy(bytes), &context.namespace, files);
    Ended {
        line: line.to_owned(),
        code: output.status.code(),
        out: text(&output.stdout),
        error: text(&output.stderr),
    }
}

/// Types all lines at one server.
fn transcript(kind: Kind, program: &[String]) -> Vec<Ended> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let write = Arc::clone(&told);
    let program = program.to_vec();
    server::run(kind, async move |context| {
        let typing = tokio::task::spawn_blocking(move || {
            let home = tempfile::tempdir().unwrap();
            for (name, text) in MANIFESTS {
                std::fs::write(home.path().join(name), text).unwrap();
            }
            let lines = LINES
                .lines()
                .filter(|it| !it.is_empty() && !it.starts_with('#'));
            let ended = lines.map(|line| type_line(&program, &context, home.path(), line));
            write.lock().unwrap().extend(ended);
            // It keeps the server.
            drop(context);
        });
        typing.await.unwrap();
    });
    Arc::into_inner(told).unwrap().into_inner().unwrap()
}

#[test]
fn what_is_typed_at_both_servers_ends_the_same() {
    let (Some(program), Some(_)) = (crate::kubectl::program(), server::real_kubeconfig()) else {
        return;
    };
    let (ours, theirs) = std::thread::scope(|scope| {
        let theirs = scope.spawn(|| transcript(Kind::Real, &program));
        let ours = transcript(Kind::Embedded, &program);
        (ours, theirs.join().unwrap())
    });
    assert_eq!(ours.len(), theirs.len());
    let (mut same, mut differences) = (0, Vec::new());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        if ours == theirs {
            same += 1;
            if KNOWN.contains(&ours.line.as_str()) {
                differences.push(format!("no longer differs: {}", ours.line));
            }
        } else if !KNOWN.contains(&ours.line.as_str()) {
            differences.push(format!("embedded {ours:#?}\nreal {theirs:#?}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    let failed = ours.iter().filter(|it| it.code != Some(0)).count();
    let told = format!(
        "{same} of {} lines end the same on both servers, {failed} in an error; the others are known",
        ours.len()
    );
    counts::tell("kubectl", &told);
}
