//! What a repository may hold that is not to be read.

use std::fs;
use std::os::unix::fs::symlink;

use axon::repo::Access;
use axon::repo::Error;

use super::Fixture;
use super::ROOT;
use super::open;
use super::read;
use super::read_root;
use super::told;

#[tokio::test]
async fn links_and_submodules_are_refused_by_name() {
    let fixture = Fixture::new();
    let commit = fixture.repo.commit(&[(ROOT, ""), ("agents/a.yaml", "a")]);
    let work = fixture.repo.work();
    symlink("a.yaml", work.join("agents/link.yaml")).unwrap();
    symlink("agents", work.join("dir")).unwrap();
    symlink("/etc/passwd", work.join("root.yaml")).unwrap();
    fixture.repo.git(&[
        "update-index",
        "--add",
        "--cacheinfo",
        &format!("160000,{commit},sub.yaml"),
    ]);
    fixture.repo.git(&["add", "agents", "dir", "root.yaml"]);
    fixture.repo.git(&["commit", "--quiet", "--message=links"]);
    let refused = async |location: &str, root: &str| match read_root(
        &open(location, Access::default()),
        "main",
        root,
    )
    .await
    {
        Err(Error::RefusedPath { path, what }) => format!("{path}: {what}"),
        other => format!("{root}: {other:?}"),
    };
    for location in [
        work.to_str().unwrap(),
        &fixture.repo.file_url(),
        &fixture.url(),
    ] {
        assert_eq!(
            refused(location, "root.yaml").await,
            "root.yaml: a symbolic link"
        );
        assert_eq!(
            refused(location, "dir/a.yaml").await,
            "dir: a symbolic link"
        );
        assert_eq!(refused(location, "agents").await, "agents: a directory");
        assert_eq!(
            refused(location, ".git/config").await,
            ".git/config: inside \".git\""
        );
    }
    assert_eq!(
        refused(&fixture.url(), "sub.yaml").await,
        "sub.yaml: a submodule"
    );
    for (pattern, expected) in [
        ("agents/*.yaml", "agents/link.yaml: a symbolic link"),
        ("dir/*.yaml", "dir: a symbolic link"),
        ("../*.yaml", "../*.yaml: outside the repository"),
        ("/etc/*", "/etc/*: an absolute path"),
        (".git/*", ".git/*: inside \".git\""),
    ] {
        fs::write(work.join(ROOT), pattern).unwrap();
        fixture.repo.git(&["add", ROOT]);
        fixture
            .repo
            .git(&["commit", "--quiet", "--message=pattern"]);
        for location in [work.to_str().unwrap(), &fixture.url()] {
            assert_eq!(refused(location, ROOT).await, expected, "{location}");
        }
    }
}

#[tokio::test]
async fn names_that_no_file_may_have_are_refused() {
    let fixture = Fixture::new();
    let blob = fixture.repo.commit(&[(ROOT, "**/*.yaml")]);
    let blob = fixture.repo.git(&["rev-parse", &format!("{blob}:{ROOT}")]);
    for name in ["..", "a\\b.yaml"] {
        // git itself would not write such a tree by name; its plumbing does.
        let tree = fixture
            .repo
            .tree(&[("100644", name, &blob), ("100644", ROOT, &blob)]);
        let commit = fixture.repo.git(&["commit-tree", "-m", "x", &tree]);
        let error = read(&fixture.open(), &commit).await.unwrap_err();
        assert!(
            matches!(error, Error::RefusedPath { .. }),
            "{name}: {}",
            told(&error)
        );
    }
}

#[tokio::test]
async fn odd_names_that_no_pattern_means_are_nobodys_business() {
    let fixture = Fixture::new();
    let blob = fixture.repo.commit(&[(ROOT, "**/agents-*.yaml")]);
    let blob = fixture.repo.git(&["rev-parse", &format!("{blob}:{ROOT}")]);
    let unit = "mnt-my\\x2ddata.mount";
    let inside = fixture
        .repo
        .tree(&[("100644", unit, &blob), ("100644", "agents-a.yaml", &blob)]);
    let tree = fixture.repo.tree(&[
        ("100644", ROOT, &blob),
        ("100644", unit, &blob),
        ("040000", "deploy", &inside),
        ("040000", "odd\\dir", &inside),
    ]);
    let commit = fixture.repo.git(&["commit-tree", "-m", "x", &tree]);
    let snapshot = read(&fixture.open(), &commit).await.unwrap();
    let files: Vec<&str> = snapshot.files.iter().map(|it| it.path.as_str()).collect();
    assert_eq!(files, [ROOT, "deploy/agents-a.yaml"]);
}

#[tokio::test]
async fn large_files_are_refused() {
    let fixture = Fixture::new();
    let mebibyte = "x".repeat(1 << 20);
    let many: Vec<(String, &str)> = (0..9)
        .map(|n| (format!("all/{n}"), mebibyte.as_str()))
        .collect();
    let many: Vec<(&str, &str)> = many
        .iter()
        .map(|(path, text)| (path.as_str(), *text))
        .collect();
    fixture.repo.commit(&many);
    let large = format!("{mebibyte}x");
    fixture.repo.commit(&[
        ("fits", &mebibyte),
        ("large", &large),
        ("all.yaml", "all/*"),
    ]);
    for location in [fixture.repo.work().to_str().unwrap(), &fixture.url()] {
        let repository = open(location, Access::default());
        let read = async |root: &str| read_root(&repository, "main", root).await;
        // A mebibyte of "x" is one pattern, and that is too long.
        assert!(matches!(
            read("fits").await,
            Err(Error::InvalidPattern { .. })
        ));
        assert!(matches!(read("large").await, Err(Error::TooLarge { .. })));
        assert!(matches!(read("all.yaml").await, Err(Error::TooMuch { .. })));
    }
}

#[tokio::test]
async fn a_pointer_of_lfs_is_not_taken_for_a_file() {
    let fixture = Fixture::new();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n";
    fixture.repo.commit(&[
        (ROOT, "agents/*"),
        ("agents/a.yaml", pointer),
        ("large", pointer),
    ]);
    for location in [fixture.repo.work().to_str().unwrap(), &fixture.url()] {
        for (root, path) in [(ROOT, "agents/a.yaml"), ("large", "large")] {
            let repository = open(location, Access::default());
            let error = read_root(&repository, "main", root).await.unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "\"{path}\" cannot be read: it is a pointer of git LFS: what it stands for is not in the repository"
                ),
                "{location}"
            );
        }
    }
}
