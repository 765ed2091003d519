//! Snapshots of real repositories and directories.

use std::fs;
use std::io::Read as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use axon::model::RepoPath;
use axon::model::Revision;
use axon::model::Secret;
use axon::model::Snapshot;
use axon::repo::Access;
use axon::repo::Credentials;
use axon::repo::Error;
use axon::repo::Location;
use axon::repo::Reference;
use axon::repo::Repository;
use axon::repo::Tip;
use tempfile::TempDir;

use crate::git_server::GitRepo;
use crate::git_server::GitServer;
use crate::git_server::Served;

const ROOT: &str = "axon.yaml";

/// Each line of the root file is a pattern.
fn lines(root: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(root)
        .lines()
        .map(str::to_owned)
        .collect()
}

fn open(location: &str, access: Access) -> Repository {
    Repository::open(&Location::parse(location).unwrap(), access).unwrap()
}

fn with_token(token: &str) -> Access {
    Access {
        credentials: Some(Credentials::Token(Secret::new(token))),
        ..Access::default()
    }
}

async fn read(repository: &Repository, reference: &str) -> Result<Snapshot, Error> {
    read_root(repository, reference, ROOT).await
}

async fn read_root(
    repository: &Repository,
    reference: &str,
    root: &str,
) -> Result<Snapshot, Error> {
    let tip = repository
        .resolve(&Reference::parse(reference).unwrap())
        .await?;
    repository
        .snapshot(&tip, &RepoPath::parse(root).unwrap(), lines)
        .await
}

fn files(snapshot: &Snapshot) -> Vec<(&str, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    snapshot
        .files
        .iter()
        .map(|file| (file.path.as_str(), text(&file.bytes)))
        .collect()
}

/// A message with all its causes.
fn told(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", told(cause)),
        None => error.to_string(),
    }
}

struct Fixture {
    dir: TempDir,
    repo: GitRepo,
    server: GitServer,
}

impl Fixture {
    fn new() -> Self {
        axon_tls();
        let dir = tempfile::tempdir().unwrap();
        let repo = GitRepo::new(dir.path(), "acme/app.git");
        let server = GitServer::start(dir.path());
        Self { dir, repo, server }
    }

    fn url(&self) -> String {
        format!("{}/acme/app.git", self.server.url())
    }

    fn open(&self) -> Repository {
        open(&self.url(), Access::default())
    }
}

fn axon_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

#[tokio::test]
async fn the_same_from_a_directory_a_file_url_and_over_http() {
    let fixture = Fixture::new();
    let commit = fixture.repo.commit(&[
        (ROOT, "agents/*.yaml\nmore/**/*.yaml\nnone/*.yaml"),
        ("agents/b.yaml", "b"),
        ("agents/a.yaml", "a"),
        ("agents/c.txt", "c"),
        ("more/x/y/d.yaml", "d"),
    ]);
    let expected = [
        (ROOT, "agents/*.yaml\nmore/**/*.yaml\nnone/*.yaml"),
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
        assert_eq!(snapshot.unmatched, ["none/*.yaml"]);
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
async fn branches_tags_commits_and_the_default_branch() {
    let fixture = Fixture::new();
    let first = fixture.repo.commit(&[(ROOT, "# one")]);
    fixture.repo.git(&["tag", "light"]);
    fixture
        .repo
        .git(&["tag", "--annotate", "--message=x", "heavy"]);
    fixture.repo.git(&["branch", "fix/a"]);
    let second = fixture.repo.commit(&[(ROOT, "# two")]);
    fixture.repo.git(&["tag", "main", &first]);
    for location in [fixture.repo.file_url(), fixture.url()] {
        let repository = open(&location, Access::default());
        for (reference, commit) in [
            ("HEAD", &second),
            ("main", &second),
            ("light", &first),
            ("heavy", &first),
            ("fix/a", &first),
            ("refs/tags/main", &first),
            (first.as_str(), &first),
            (&second.to_uppercase(), &second),
        ] {
            let snapshot = read(&repository, reference).await.unwrap();
            assert_eq!(
                snapshot.revision,
                Revision::Commit(commit.clone()),
                "{location} {reference}"
            );
        }
        for reference in ["nope", "refs/heads/nope", "fix", &"1".repeat(40)] {
            let error = read(&repository, reference).await.unwrap_err();
            assert!(
                matches!(error, Error::NoReference { .. }),
                "{location} {reference}: {}",
                told(&error)
            );
        }
    }
}

#[tokio::test]
async fn a_poll_is_flat_in_the_number_of_refs() {
    let fixture = Fixture::new();
    let commit = fixture.repo.commit(&[(ROOT, "# one")]);
    let many: Vec<String> = (0..2000)
        .map(|n| format!("{commit} refs/heads/main-{n}\n{commit} refs/tags/v{n}\n"))
        .collect();
    fs::write(
        fixture.repo.path().join("packed-refs"),
        format!("# pack-refs with: peeled fully-peeled \n{}", many.concat()),
    )
    .unwrap();
    fixture.repo.git(&["branch", "other"]);
    let repository = fixture.open();
    let reference = Reference::parse("other").unwrap();
    let tip = repository.resolve(&reference).await.unwrap();
    assert_eq!(tip, Tip::Commit(commit.parse().unwrap()));

    let polled = fixture.server.served();
    let requests: Vec<&str> = polled.iter().map(|served| served.what.as_str()).collect();
    assert_eq!(
        requests,
        [
            "GET /acme/app.git/info/refs?service=git-upload-pack",
            "POST /acme/app.git/git-upload-pack"
        ]
    );
    let asked = String::from_utf8_lossy(&polled[1].request).into_owned();
    assert_eq!(
        asked.matches("ref-prefix refs/heads/other\n").count(),
        1,
        "{asked}"
    );
    assert_eq!(asked.matches("ref-prefix ").count(), 2, "{asked}");
    assert!(
        answered(&polled) < 1024,
        "{} bytes of refs",
        answered(&polled)
    );

    // Nor does the fetch list them.
    repository
        .snapshot(&tip, &RepoPath::parse(ROOT).unwrap(), lines)
        .await
        .unwrap();
    assert!(answered(&fixture.server.served()) < 2048);
    // And what was fetched once is not fetched again.
    repository
        .snapshot(&tip, &RepoPath::parse(ROOT).unwrap(), lines)
        .await
        .unwrap();
    assert_eq!(fixture.server.served().len(), 0);
}

fn answered(served: &[Served]) -> usize {
    served.iter().map(|served| served.response.len()).sum()
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
    let packs = fs::read_dir(store.join("objects/pack")).unwrap();
    let packs = packs.filter(|entry| {
        entry
            .as_ref()
            .unwrap()
            .path()
            .extension()
            .is_some_and(|it| it == "pack")
    });
    let packs = packs.count();
    assert!((1..=32).contains(&packs), "{packs}");
    // Whatever happens to the store: it is only a cache.
    fs::remove_dir_all(&store).unwrap();
    read(&repository, "main").await.unwrap();
    fs::write(store.join("HEAD"), "rubbish").unwrap();
    read(&repository, "main").await.unwrap();
    drop(repository);
    assert!(!store.exists(), "it goes with its repository");
}

/// The store, among those of all tests, in which `commit` was fetched last.
fn store_with(commit: &str) -> PathBuf {
    let stores = fs::read_dir(std::env::temp_dir()).unwrap().flatten();
    let mut stores = stores.map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        let fetched = fs::read_to_string(path.join("refs/axon/fetched"));
        name.starts_with("axon-store-") && fetched.is_ok_and(|id| id.trim() == commit.trim())
    });
    stores.next().unwrap()
}

#[tokio::test]
async fn a_token_opens_and_is_never_shown() {
    let fixture = Fixture::new();
    fixture.repo.commit(&[(ROOT, "# one")]);
    fixture.server.require_token("hunter2secret");
    let good = open(&fixture.url(), with_token("hunter2secret"));
    read(&good, "main").await.unwrap();
    assert!(
        fixture
            .server
            .served()
            .iter()
            .all(|served| served.status == 200 && served.authorization.is_some())
    );
    for access in [Access::default(), with_token("wrongsecret")] {
        let error = read(&open(&fixture.url(), access), "main")
            .await
            .unwrap_err();
        assert!(
            matches!(error, Error::Unauthorised { .. }),
            "{}",
            told(&error)
        );
        let shown = format!("{} {error:?}", told(&error));
        assert!(
            !shown.contains("wrongsecret") && !shown.contains("d3Jvbmdz"),
            "{shown}"
        );
    }
    assert!(!format!("{good:?}").contains("hunter2"));
}

#[test]
fn a_token_does_not_travel_in_the_clear() {
    let check = |url: &str, refused: bool| {
        let opened = Repository::open(&Location::parse(url).unwrap(), with_token("x"));
        assert_eq!(
            matches!(opened, Err(Error::UnfitCredential { .. })),
            refused,
            "{url}"
        );
    };
    check("http://example.com/a/b", true);
    check("http://127.0.0.1/a/b", false);
    check("https://example.com/a/b", false);
}

#[tokio::test]
async fn servers_that_fail() {
    let fixture = Fixture::new();
    fixture.repo.commit(&[("other.yaml", "")]);
    let error = read(
        &open(
            &format!("{}/acme/nope.git", fixture.server.url()),
            Access::default(),
        ),
        "main",
    )
    .await;
    assert!(
        matches!(error, Err(Error::NoRepository { .. })),
        "{error:?}"
    );
    let error = read(&open("file:///nowhere/at/all", Access::default()), "main").await;
    assert!(
        matches!(error, Err(Error::NoRepository { .. })),
        "{error:?}"
    );
    let error = read(&fixture.open(), "main").await;
    assert!(matches!(error, Err(Error::NoPath { .. })), "{error:?}");
    // A port that nobody listens on.
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let error = read(
        &open(&format!("http://{closed}/a/b"), Access::default()),
        "main",
    )
    .await;
    assert!(matches!(error, Err(Error::Unreachable { .. })), "{error:?}");
    let empty = GitRepo::new(fixture.dir.path(), "acme/empty.git");
    for location in [
        empty.file_url(),
        format!("{}/acme/empty.git", fixture.server.url()),
    ] {
        let error = read(&open(&location, Access::default()), "HEAD").await;
        assert!(matches!(error, Err(Error::NoReference { .. })), "{error:?}");
    }
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/a/b", listener.local_addr().unwrap());
    // Takes what is sent, and says nothing until the client goes.
    let server =
        std::thread::spawn(move || listener.accept().unwrap().0.read_to_end(&mut Vec::new()));
    let began = Instant::now();
    let silence = Duration::from_millis(300);
    let error = read(
        &open(
            &url,
            Access {
                silence,
                ..Access::default()
            },
        ),
        "main",
    )
    .await
    .unwrap_err();
    assert!(
        matches!(error, Error::Unreachable { .. }),
        "{}",
        told(&error)
    );
    assert!(began.elapsed() < Duration::from_secs(10));
    server.join().unwrap().unwrap();
}

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

fn git(dir: &Path, args: &[&str]) {
    assert!(
        crate::git_server::command()
            .current_dir(dir)
            .args(args)
            .status()
            .unwrap()
            .success()
    );
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
