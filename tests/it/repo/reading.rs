//! What is read, from a directory and from a repository.

use std::fs;

use axon::model::Revision;
use axon::repo::Access;
use axon::repo::Location;
use axon::repo::Repository;

use super::Fixture;
use super::ROOT;
use super::answered;
use super::files;
use super::git;
use super::open;
use super::read;

#[tokio::test]
async fn the_same_from_a_directory_a_file_url_and_over_http() {
    let fixture = Fixture::new();
    let commit = fixture.repo.commit(&[
        (
            ROOT,
            "agents/*.yaml\nmore/**/*.yaml\nnone/*.yaml\nAgents/b*",
        ),
        ("agents/b.yaml", "b"),
        ("agents/a.yaml", "a"),
        ("agents/c.txt", "c"),
        ("more/x/y/d.yaml", "d"),
    ]);
    let expected = [
        (
            ROOT,
            "agents/*.yaml\nmore/**/*.yaml\nnone/*.yaml\nAgents/b*",
        ),
        ("agents/a.yaml", "a"),
        ("agents/b.yaml", "b"),
        ("more/x/y/d.yaml", "d"),
    ]
    .map(|(path, text)| (path, text.to_owned()));
    let mut digests = Vec::new();
    for location in [
        fixture.repo.work().to_str().unwrap().to_owned(),
        fixture.repo.file_url(),
        fixture.url(),
    ] {
        let repository = open(&location, Access::default());
        let snapshot = read(&repository, "main").await.unwrap();
        assert_eq!(files(&snapshot), expected, "{location}");
        let unmatched = snapshot.unmatched.iter();
        let unmatched: Vec<_> = unmatched
            .map(|it| (&*it.pattern, it.near.as_deref()))
            .collect();
        assert_eq!(
            unmatched,
            [("none/*.yaml", None), ("Agents/b*", Some("agents/b.yaml"))]
        );
        assert_eq!(snapshot.source, *repository.source());
        match &snapshot.revision {
            Revision::Commit(id) => assert_eq!(*id, commit),
            Revision::Directory(_) => assert!(repository.directory().is_some()),
        }
        digests.push(snapshot.digest());
    }
    assert!(digests.windows(2).all(|two| two[0] == two[1]));
}

#[tokio::test]
async fn only_the_newest_commit_is_fetched() {
    let fixture = Fixture::new();
    fixture
        .repo
        .commit(&[("big", &"0123456789abcdef".repeat(65536)), (ROOT, "# one")]);
    fs::remove_file(fixture.repo.work().join("big")).unwrap();
    let noise: Vec<String> = (0..20_000)
        .map(|n| format!("{:x} ", n * 2_654_435_761_u64))
        .collect();
    fixture.repo.commit(&[("noise", &noise.concat())]);
    fs::remove_file(fixture.repo.work().join("noise")).unwrap();
    fixture.repo.commit(&[(ROOT, "# two")]);
    let snapshot = read(&fixture.open(), "main").await.unwrap();
    assert_eq!(files(&snapshot), [(ROOT, "# two".to_owned())]);
    assert!(answered(&fixture.server.served()) < 10_000);
}

#[test]
fn the_source_of_a_directory_is_its_origin() {
    let dir = tempfile::tempdir().unwrap();
    let source = |origin: Option<&str>| {
        let dir = dir.path().join("app");
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).unwrap();
        if let Some(origin) = origin {
            git(&dir, &["init", "--quiet"]);
            git(&dir, &["remote", "add", "origin", origin]);
        }
        let source = open(dir.to_str().unwrap(), Access::default())
            .source()
            .clone();
        (source.canonical, source.url)
    };
    let github = (
        "github.com/acme/app".to_owned(),
        Some("https://github.com/acme/app.git".to_owned()),
    );
    assert_eq!(source(None), ("app".to_owned(), None));
    assert_eq!(source(Some("git@github.com:acme/app.git")), github);
    assert_eq!(
        source(Some("https://bob:hunter2@github.com/acme/app.git")),
        github
    );
    assert_eq!(source(Some("../elsewhere")), ("app".to_owned(), None));
}

#[test]
fn a_directory_that_is_none() {
    let opened = Repository::open(
        &Location::parse("/nowhere/at/all").unwrap(),
        Access::default(),
    );
    assert_eq!(
        opened.unwrap_err().to_string(),
        "cannot read the directory \"/nowhere/at/all\""
    );
}
