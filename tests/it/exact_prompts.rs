//! In local mode, too, an agent is given its prompt byte for byte.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::process::Stdio;

use crate::git_server::command as git;
use crate::prompts;

#[expect(clippy::disallowed_methods, reason = "the test's own PATH")]
fn inherited_path() -> String {
    std::env::var("PATH").unwrap()
}

/// `AGENT ARGUMENT FILE`, one line for each run.
const AGENT: &str = "#!/bin/sh
set -eu
[ $# = 1 ]
digest() { sha256sum | cut -d' ' -f1; }
echo \"$AXON_TASK $(printf %s \"$1\" | digest) $(digest <\"$AXON_PROMPT_FILE\")\" >>";

/// As YAML writes a text in one line: what it does not take for printable is escaped.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~'
            | '\u{a0}'..='\u{2027}'
            | '\u{3000}'..='\u{d7ff}'
            | '\u{1f300}'..='\u{1f9ff}' => {
                quoted.push(c);
            }
            c => write!(quoted, "\\U{:08x}", u32::from(c)).unwrap(),
        }
    }
    quoted + "\""
}

#[test]
fn every_prompt_arrives_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::create_dir_all(path("app/tasks")).unwrap();
    let mut init = git();
    init.args(["init", "--quiet", "app"]).current_dir(&dir);
    assert!(init.status().unwrap().success());
    fs::create_dir(path("bin")).unwrap();
    let agent = format!("{AGENT}{}\n", path("runs").display());
    fs::write(path("bin/agent"), agent).unwrap();
    fs::set_permissions(path("bin/agent"), fs::Permissions::from_mode(0o755)).unwrap();
    let config = "apiVersion: axon.io/v1alpha1\nkind: Config\ninclude: [tasks/*]\n";
    fs::write(path("app/axon.yaml"), config).unwrap();
    for (name, prompt) in prompts::corpus() {
        let task = format!(
            "apiVersion: axon.io/v1alpha1\nkind: Task\nmetadata: {{name: {name}}}\nspec:\n  type: custom\n  \
             image: local:agent\n  credentials: {{type: none}}\n  prompt: {}\n",
            quoted(&prompt)
        );
        fs::write(path(&format!("app/tasks/{name}.yaml")), task).unwrap();
    }
    let ran = Command::new(env!("CARGO_BIN_EXE_axon"))
        .args(["dev", "--once", "--unconfined", "app"])
        .env(
            "PATH",
            format!("{}:{}", path("bin").display(), inherited_path()),
        )
        .current_dir(&dir)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{told}");
    let runs = fs::read_to_string(path("runs")).unwrap();
    for (name, prompt) in prompts::corpus() {
        let digest = prompts::digest(&prompt);
        let of_this: Vec<&str> = runs
            .lines()
            .filter_map(|it| it.strip_prefix(&format!("{name} ")))
            .collect();
        let [run] = of_this[..] else {
            panic!("{name} ran {} times: {told}", of_this.len());
        };
        let (argument, file) = run.split_once(' ').unwrap();
        assert_eq!(file, digest, "the file of {name}");
        assert_eq!(
            argument == digest,
            prompts::fits_an_argument(&prompt),
            "the argument of {name}"
        );
    }
}
