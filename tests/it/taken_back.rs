//! What agents leave in a repository of this machine comes into it, pushed or not, and no link that they leave is
//! followed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;

use crate::confined::is_possible;
use crate::dev::Place;
use crate::dev::config;
use crate::dev::text;

/// Does what its prompt says.
const AGENT: &str = "#!/bin/sh\nset -eu\neval \"$1\"\n";

fn place(tasks: &str) -> Place {
    let place = Place::new();
    fs::create_dir_all(place.bin()).unwrap();
    let agent = place.bin().join("agent");
    fs::write(&agent, AGENT).unwrap();
    fs::set_permissions(&agent, fs::Permissions::from_mode(0o755)).unwrap();
    if !tasks.is_empty() {
        place.commit(&config(tasks));
    }
    place
}

fn once(place: &Place, flag: &str) -> Output {
    let mut command = place.axon(&["dev", "--once", flag, "app"]);
    command.env("HOME", place.dir.path()).output().unwrap()
}

fn git(place: &Place, args: &[&str]) -> String {
    let mut git = crate::git_server::command();
    let output = git.args(args).current_dir(&place.work).output().unwrap();
    text(&output.stdout)
}

const COMMIT: &str =
    "echo done >work.txt && git add work.txt && git commit --quiet --message $AXON_TASK";

/// One commits on its branch, one on the branch that is checked out, one on none, one pushes a part, one
/// does nothing.
fn tasks() -> String {
    format!(
        "  fix: {{prompt: '{COMMIT}', branch: axon/fix}}\n  \
           plain: {{prompt: '{COMMIT}'}}\n  \
           loose: {{prompt: 'git checkout --quiet --detach && {COMMIT}'}}\n  \
           pushed: {{prompt: '{COMMIT} && git push --quiet origin HEAD:axon/other', branch: axon/pushed}}\n  \
           idle: {{prompt: 'true', branch: axon/idle}}\n"
    )
}

fn check(flag: &str) {
    let place = place(&tasks());
    // More history than a checkout has.
    fs::write(place.work.join("file"), "x").unwrap();
    place.commit(&config(&tasks()));
    let output = once(&place, flag);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{out}{err}");
    let list = git(&place, &["branch", "--format=%(refname:short)"]);
    let branches: Vec<_> = list.lines().collect();
    let of = |task: &str, end: &str| {
        let found = branches
            .iter()
            .find(|it| it.starts_with(&format!("axon/{task}-")) && it.ends_with(end));
        (*found.unwrap_or_else(|| panic!("{task}: {list}{err}"))).to_owned()
    };
    let (plain, loose) = (of("plain", "/main"), of("loose", "/head"));
    for branch in ["axon/fix", "axon/other", &plain, &loose] {
        let file = git(&place, &["show", &format!("{branch}:work.txt")]);
        assert_eq!(file, "done\n", "{branch}: {err}");
        let before = git(&place, &["merge-base", branch, "main"]);
        assert_eq!(before, git(&place, &["rev-parse", "main"]), "{branch}");
    }
    assert_eq!(branches.len(), 5, "{list}");
    assert!(err.contains(&plain), "it is told where it is: {err}");
    assert_eq!(git(&place, &["branch", "--show-current"]), "main\n");
    assert_eq!(git(&place, &["status", "--porcelain"]), "");
    assert!(!place.work.join(".git/shallow").exists());
}

#[test]
fn what_a_confined_agent_did_not_push_comes_back() {
    if is_possible() {
        check("--require-isolation");
    }
}

#[test]
fn what_an_agent_of_ones_own_did_not_push_comes_back() {
    check("--unconfined");
}

/// git runs as the user, and so does what cleans up before it.
#[test]
fn no_link_that_an_agent_leaves_is_followed() {
    if !is_possible() {
        return;
    }
    let place = place("");
    let victim = place.dir.path().join("victim");
    let (app, at) = (place.work.display(), victim.display());
    let swap = |dir: &str| format!("mv {dir} {dir}.old && ln -s {at} {dir}");
    let (copy, own, repo) = (
        swap(&format!("{app}/.git/objects")),
        swap(".git/objects"),
        "cd .. && mv repo old && ln -s old repo",
    );
    place.commit(&config(&format!(
        "  copy: {{prompt: '{copy}', branch: axon/copy}}\n  \
           own: {{prompt: '{COMMIT} && {own}', branch: axon/own}}\n  \
           repo: {{prompt: '{COMMIT} && {repo}', branch: axon/repo}}\n"
    )));
    for info in [victim.join("info"), place.dir.path().join("victim/pack")] {
        fs::create_dir_all(&info).unwrap();
        fs::write(info.join("keep"), "kept").unwrap();
    }
    let output = once(&place, "--require-isolation");
    let err = text(&output.stderr);
    assert!(victim.join("info/keep").exists(), "{err}");
    assert!(!victim.join("info/alternates").exists(), "{err}");
    for task in ["copy", "own", "repo"] {
        let warned = err
            .lines()
            .any(|it| it.starts_with("warning: ") && it.contains(&format!("\"{task}-")));
        assert!(warned, "{task}: {err}");
    }
    assert_eq!(git(&place, &["branch", "--list", "axon/*"]), "", "{err}");
}
