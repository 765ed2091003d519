//! Repositories that were made to do harm.

use std::fs;
use std::fs::File;
use std::os::unix::fs::symlink;

use super::Fixture;
use super::Pod;
use super::each_file;

/// Commits a tree as it is, to the branch `hostile`.
fn commit(fixture: &Fixture, tree: &str) {
    let commit = fixture.repo.git(&["commit-tree", "-m", "x", tree]);
    fixture
        .repo
        .git(&["update-ref", "refs/heads/hostile", &commit]);
}

const REF: [&str; 2] = ["--ref", "hostile"];

#[test]
fn a_repository_that_would_write_elsewhere_is_refused() {
    let fixture = Fixture::new();
    let blob = fixture.repo.git(&["rev-parse", "main:file"]);
    let inner = fixture.repo.tree(&[("100644", "pre-commit", &blob)]);
    for name in [".git", "..", ".GIT", "a/../../b"] {
        let tree = fixture.repo.tree(&[("40000", name, &inner)]);
        let commit = fixture.repo.git(&["commit-tree", "-m", "x", &tree]);
        fixture
            .repo
            .git(&["update-ref", "refs/heads/hostile", &commit]);
        let pod = Pod::new();
        pod.refused(&["--url", &fixture.url(), "--ref", "hostile"]);
        each_file(pod.dir.path(), &mut |path, _| {
            assert!(!path.ends_with("pre-commit"), "{name}: {}", path.display());
        });
    }
}

#[test]
fn a_symbolic_link_leads_no_file_out_of_the_worktree() {
    let fixture = Fixture::new();
    let outside = tempfile::tempdir().unwrap();
    let link = fixture.dir.path().join("to");
    fs::write(&link, outside.path().to_str().unwrap()).unwrap();
    let link = fixture
        .repo
        .git(&["hash-object", "-w", link.to_str().unwrap()]);
    let blob = fixture.repo.git(&["rev-parse", "main:file"]);
    let inner = fixture.repo.tree(&[("100644", "file", &blob)]);
    let module = fixture.repo.tree(&[("160000", "file", &fixture.first)]);
    for (first, second) in [("a", "a"), ("a", "A"), ("a", "a/")] {
        for inner in [&inner, &module] {
            let entries = [("120000", first, link.as_str()), ("40000", second, inner)];
            for entries in [entries, [entries[1], entries[0]]] {
                commit(&fixture, &fixture.repo.tree(&entries));
                let pod = Pod::new();
                // Refused or not: what matters is that nothing is written there.
                pod.checkout(&[&["--url", &fixture.url(), "--submodules"], &REF[..]].concat());
                assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
            }
        }
    }
}

#[test]
fn submodules_at_places_that_are_not_theirs() {
    let fixture = Fixture::new();
    for name in [".git", "..", ".GIT", ".gitmodules/../../x"] {
        let tree = fixture.repo.tree(&[("160000", name, &fixture.first)]);
        commit(&fixture, &tree);
        let pod = Pod::new();
        pod.refused(&["--url", &fixture.url(), "--submodules", "--ref", "hostile"]);
        assert!(!pod.path("x").exists());
    }
    // The list of submodules by way of a link.
    let link = fixture.repo.work().join("modules");
    symlink("/etc/passwd", link).unwrap();
    let blob = fixture.dir.path().join("to");
    fs::write(&blob, "/etc/passwd").unwrap();
    let blob = fixture
        .repo
        .git(&["hash-object", "-w", blob.to_str().unwrap()]);
    let tree = fixture.repo.tree(&[
        ("120000", ".gitmodules", &blob),
        ("160000", "lib", &fixture.first),
    ]);
    commit(&fixture, &tree);
    let pod = Pod::new();
    let output = pod.checkout(&["--url", &fixture.url(), "--submodules", "--ref", "hostile"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() || told.contains("\".gitmodules\" cannot be read"),
        "{told}"
    );
}

#[test]
fn names_that_differ_in_case_alone() {
    let fixture = Fixture::new();
    fixture.repo.commit(&[
        ("Case", "upper"),
        ("case", "lower"),
        ("D/x", "1"),
        ("d/x", "2"),
    ]);
    let pod = Pod::new();
    pod.checked_out(&["--url", &fixture.url()]);
    assert_eq!(
        (pod.text("repo/Case"), pod.text("repo/case")),
        ("upper".into(), "lower".into())
    );
    assert_eq!(
        (pod.text("repo/D/x"), pod.text("repo/d/x")),
        ("1".into(), "2".into())
    );
    assert_eq!(pod.git(&["status", "--porcelain"]), "");
}

#[test]
fn an_object_larger_than_memory_is_not_taken() {
    let fixture = Fixture::new();
    let huge = fixture.repo.work().join("huge");
    // Nothing but zeros: little to send, and much to hold.
    File::create(&huge).unwrap().set_len(600 << 20).unwrap();
    fixture.repo.commit(&[]);
    let message = Pod::new().refused(&["--url", &fixture.url()]);
    assert!(
        message.contains("holds more than can be taken: an object of 536870912 bytes"),
        "{message}"
    );
}
