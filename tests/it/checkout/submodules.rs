//! Submodules of the workspace's host, and what is left of the others.

use std::fmt::Write as _;
use std::fs;

use super::Fixture;
use super::Pod;
use super::TOKEN;
use crate::git_server::GitRepo;

/// Adds submodules to the repository: path, URL, and commit of each.
fn add(repo: &GitRepo, modules: &[(&str, &str, &str)]) {
    let mut text = String::new();
    for (path, url, commit) in modules {
        write!(
            text,
            "[submodule \"{path}\"]\n\tpath = {path}\n\turl = {url}\n"
        )
        .unwrap();
        let entry = format!("160000,{commit},{path}");
        repo.git(&["update-index", "--add", "--cacheinfo", &entry]);
    }
    fs::write(repo.work().join(".gitmodules"), text).unwrap();
    repo.git(&["add", ".gitmodules"]);
    repo.git(&["commit", "--quiet", "--message=submodules"]);
}

#[test]
fn submodules_of_the_same_host() {
    let fixture = Fixture::new();
    let deep = GitRepo::new(fixture.dir.path(), "acme/deep.git");
    let deep_commit = deep.commit(&[("deep.txt", "deep")]);
    let lib = GitRepo::new(fixture.dir.path(), "other/lib.git");
    let lib_first = lib.commit(&[("lib.txt", "one")]);
    add(&lib, &[("in/deep", "../../acme/deep.git", &deep_commit)]);
    let lib_commit = lib.git(&["rev-parse", "HEAD"]);
    lib.commit(&[("lib.txt", "newer")]);
    let absolute = format!("{}/other/lib.git", fixture.server.url());
    add(
        &fixture.repo,
        &[
            ("lib", "../../other/lib.git", &lib_commit),
            ("a b/old", &absolute, &lib_first),
        ],
    );
    fixture.server.require_token(TOKEN);
    let pod = Pod::new().secret("GITHUB_TOKEN", TOKEN);
    pod.checked_out(&["--url", &fixture.url(), "--submodules"]);
    assert_eq!(pod.text("repo/lib/lib.txt"), "one");
    assert_eq!(pod.text("repo/a b/old/lib.txt"), "one");
    assert_eq!(pod.text("repo/lib/in/deep/deep.txt"), "deep");
    assert_eq!(pod.git(&["status", "--porcelain"]), "");
    let status = pod.git(&["submodule", "status", "--recursive"]);
    assert!(status.contains(&format!("{lib_commit} lib")), "{status}");
    assert!(
        status.contains(&format!("{deep_commit} lib/in/deep")),
        "{status}"
    );
    assert!(
        !status.lines().any(|line| line.starts_with(['-', '+'])),
        "{status}"
    );
    // Submodules can be pushed from, too.
    let inside = ["-C", "lib"];
    let git = |args: &[&str]| pod.git(&[&inside[..], args].concat());
    git(&["commit", "--quiet", "--allow-empty", "--message=more"]);
    git(&["push", "--quiet", "origin", "HEAD:refs/heads/pushed"]);
    assert_eq!(
        lib.git(&["rev-parse", "pushed"]),
        git(&["rev-parse", "HEAD"])
    );
}

#[test]
fn without_being_asked_for_they_are_empty_directories() {
    let fixture = Fixture::new();
    add(&fixture.repo, &[("deep/lib", "../lib.git", &fixture.first)]);
    let pod = Pod::new();
    pod.checked_out(&["--url", &fixture.url()]);
    let lib = pod.path("repo/deep/lib");
    assert_eq!(fs::read_dir(lib).unwrap().count(), 0);
    assert_eq!(pod.git(&["status", "--porcelain"]), "");
}

#[test]
fn a_submodule_that_is_not_there() {
    let fixture = Fixture::new();
    add(&fixture.repo, &[("lib", "../nope.git", &fixture.first)]);
    let message = Pod::new().refused(&["--url", &fixture.url(), "--submodules"]);
    assert!(
        message.contains("cannot check out the submodule \"lib\": there is no repository at"),
        "{message}"
    );
    let own = GitRepo::new(fixture.dir.path(), "acme/nope.git");
    own.commit(&[]);
    let message = Pod::new().refused(&["--url", &fixture.url(), "--submodules"]);
    assert!(
        message.contains("there is no branch, tag or commit"),
        "{message}"
    );
}

#[test]
fn submodules_elsewhere_are_left_empty_and_that_is_told() {
    let fixture = Fixture::new();
    let commit = &fixture.first;
    let touched = fixture.dir.path().join("touched");
    let command = format!("--upload-pack=touch {} #", touched.display());
    let external = format!("ext::touch% {}", touched.display());
    let modules = [
        ("other-host", "https://evil.invalid/acme/lib.git"),
        ("other-host-ssh", "git@evil.invalid:acme/lib.git"),
        ("outside", "../../../../x"),
        ("option", command.as_str()),
        ("dash", "-oProxyCommand=x"),
        ("external", external.as_str()),
        ("local", "file:///etc"),
        ("path", "/etc"),
        ("with-password", "https://bob:hunter2secret@evil.invalid/x"),
    ];
    let all = modules.map(|(path, url)| (path, url, commit.as_str()));
    add(&fixture.repo, &all);
    // One that the file does not list.
    let unlisted = format!("160000,{commit},unlisted");
    fixture
        .repo
        .git(&["update-index", "--add", "--cacheinfo", &unlisted]);
    fixture
        .repo
        .git(&["commit", "--quiet", "--message=unlisted"]);
    let pod = Pod::new().secret("GITHUB_TOKEN", TOKEN);
    let output = pod.checkout(&["--url", &fixture.url(), "--submodules"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    for (path, _) in modules.iter().chain(&[("unlisted", "")]) {
        let line = format!("left the submodule \"{path}\" empty: ");
        assert!(told.contains(&line), "{path}: {told}");
        let dir = pod.path("repo").join(path);
        assert_eq!(fs::read_dir(dir).unwrap().count(), 0, "{path}");
    }
    assert!(!touched.exists() && !told.contains(TOKEN));
}

#[test]
fn submodules_without_end() {
    let fixture = Fixture::new();
    // Each commit holds the one before as a submodule.
    let mut commit = fixture.repo.commit(&[("file", "x")]);
    for _ in 0..12 {
        add(&fixture.repo, &[("again", "../app.git", &commit)]);
        commit = fixture.repo.git(&["rev-parse", "HEAD"]);
    }
    let pod = Pod::new();
    let output = pod.checkout(&["--url", &fixture.url(), "--submodules"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    assert!(
        told.contains("submodules are checked out to a depth of 8"),
        "{told}"
    );
}
