//! What is kept of what was fetched.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;

use axon::repo::ErrorKind;

use super::Fixture;
use super::ROOT;
use super::files;
use super::read;

#[tokio::test]
async fn many_fetches_leave_a_small_store() {
    let fixture = Fixture::new();
    let repository = fixture.open();
    let mut commit = String::new();
    for n in 0..34 {
        let text = format!("# {n} in a small store");
        commit = fixture.repo.commit(&[(ROOT, &text)]);
        assert_eq!(
            files(&read(&repository, "main").await.unwrap()),
            [(ROOT, text)]
        );
    }
    let store = store_with(&commit);
    let mode = fs::metadata(&store).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "nobody else may read it");
    assert!((1..=32).contains(&packs(&store)), "{}", packs(&store));
    // Whatever happens to the store: it is only a cache.
    fs::remove_dir_all(&store).unwrap();
    read(&repository, "main").await.unwrap();
    assert!(!store.exists(), "it is made anew elsewhere");
    let store = store_with(&commit);
    fs::write(bare(&store).join("HEAD"), "rubbish").unwrap();
    read(&repository, "main").await.unwrap();
    drop(repository);
    assert!(!store.exists(), "it goes with its repository");
}

/// The store, among those of all tests, in which `commit` was fetched last.
fn store_with(commit: &str) -> PathBuf {
    let stores = fs::read_dir(std::env::temp_dir()).unwrap().flatten();
    let mut stores = stores.map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        let fetched = repositories(path).map(|bare| bare.join("refs/axon/fetched"));
        let mut fetched = fetched.filter_map(|file| fs::read_to_string(file).ok());
        name.starts_with("axon-store-") && fetched.any(|id| id.trim() == commit.trim())
    });
    stores.next().unwrap()
}

/// The repositories in a store: one, but for the moment of a renewal.
fn repositories(store: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(store).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
}

fn bare(store: &Path) -> PathBuf {
    let all: Vec<_> = repositories(store).collect();
    assert_eq!(all.len(), 1, "{all:?}");
    all[0].clone()
}

fn packs(store: &Path) -> usize {
    let packs = fs::read_dir(bare(store).join("objects/pack")).unwrap();
    let is_pack = |path: &Path| path.extension().is_some_and(|it| it == "pack");
    packs
        .filter(|entry| is_pack(&entry.as_ref().unwrap().path()))
        .count()
}

/// Commits `count` times to a branch, by one program; gives the commits, the oldest first.
fn commit_often(fixture: &Fixture, count: usize) -> Vec<String> {
    let mut script = String::new();
    for n in 0..count {
        let text = format!("# {n}");
        write!(
            script,
            "commit refs/heads/main\ncommitter T <t@x> {} +0000\ndata 1\nx\n\
             M 100644 inline axon.yaml\ndata {}\n{text}\n",
            1_700_000_000 + n,
            text.len()
        )
        .unwrap();
    }
    let file = fixture.dir.path().join("script");
    fs::write(&file, script).unwrap();
    let status = crate::git_server::command()
        .env("GIT_DIR", fixture.repo.path())
        .args(["fast-import", "--quiet"])
        .stdin(fs::File::open(file).unwrap())
        .status();
    assert!(status.unwrap().success());
    let log = fixture.repo.git(&["rev-list", "--reverse", "main"]);
    log.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn two_hundred_fetches_leave_no_more_than_a_few() {
    let fixture = Fixture::new();
    let repository = fixture.open();
    let commits = commit_often(&fixture, 200);
    let mut largest = 0;
    for (n, commit) in commits.iter().enumerate() {
        let snapshot = read(&repository, commit).await.unwrap();
        assert_eq!(files(&snapshot), [(ROOT, format!("# {n}"))]);
        if n % 10 == 9 {
            largest = largest.max(packs(&store_with(commit)));
        }
    }
    assert!((2..=32).contains(&largest), "{largest}");
}

#[tokio::test]
async fn a_renewal_that_fails_loses_nothing() {
    let fixture = Fixture::new();
    let repository = fixture.open();
    let commits = commit_often(&fixture, 33);
    let (next, fetched) = commits.split_last().unwrap();
    for commit in fetched {
        read(&repository, commit).await.unwrap();
    }
    let last = fetched.last().unwrap();
    assert_eq!(packs(&store_with(last)), 32, "the next fetch is a renewal");
    fixture.server.require_token("another");
    let error = read(&repository, next).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    fixture.server.served();
    for commit in fetched {
        read(&repository, commit).await.unwrap();
    }
    assert_eq!(fixture.server.served().len(), 0, "all is still there");
    assert_eq!(repositories(&store_with(last)).count(), 1);
}
