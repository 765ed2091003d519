//! What names a commit, and what a poll costs.

use std::fs;

use axon::model::RepoPath;
use axon::model::Revision;
use axon::repo::Access;
use axon::repo::Error;
use axon::repo::Reference;
use axon::repo::Repository;
use axon::repo::Tip;

use super::Fixture;
use super::ROOT;
use super::answered;
use super::files;
use super::lines;
use super::open;
use super::read;
use super::told;

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
    let before = {
        fixture.repo.git(&["branch", "few"]);
        let few = Reference::parse("few").unwrap();
        fixture.open().resolve(&few).await.unwrap();
        answered(&fixture.server.served())
    };
    let many: Vec<String> = (0..5000)
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
    // 10,000 refs more: the name that is one character longer is all that is added.
    assert!(
        answered(&polled) <= before + 4,
        "{} bytes of refs",
        answered(&polled)
    );
    assert!(answered(&polled) < 1024);

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

#[tokio::test]
async fn branches_that_move_vanish_and_are_renamed() {
    let fixture = Fixture::new();
    let first = fixture.repo.commit(&[(ROOT, "# one")]);
    let second = fixture.repo.commit(&[(ROOT, "# two")]);
    let repository = fixture.open();
    let text = async |reference: &str| {
        let snapshot = read(&repository, reference).await;
        snapshot.map(|it| files(&it)[0].1.clone())
    };
    assert_eq!(text("main").await.unwrap(), "# two");
    // A force push, back and then aside.
    fixture.repo.git(&["reset", "--quiet", "--hard", &first]);
    assert_eq!(text("main").await.unwrap(), "# one");
    fixture.repo.commit(&[(ROOT, "# aside")]);
    assert_eq!(text("main").await.unwrap(), "# aside");
    // The default branch gets another name.
    fixture.repo.git(&["branch", "--move", "main", "trunk"]);
    assert_eq!(text("HEAD").await.unwrap(), "# aside");
    let error = text("main").await.unwrap_err();
    assert!(
        matches!(error, Error::NoReference { .. }),
        "{}",
        told(&error)
    );
    // A deleted branch: its commits that were fetched are still there.
    let error = text("refs/heads/main").await.unwrap_err();
    assert!(told(&error).contains("refs/heads/main"), "{}", told(&error));
    assert_eq!(text(&second).await.unwrap(), "# two");
}

#[tokio::test]
async fn a_server_that_is_shallow_itself() {
    let fixture = Fixture::new();
    fixture.repo.commit(&[(ROOT, "# one")]);
    fixture.repo.commit(&[(ROOT, "# two")]);
    let clone = ["clone", "--quiet", "--bare", "--depth=1"];
    let shallow = fixture.dir.path().join("acme/shallow.git");
    let mut args: Vec<&str> = clone.to_vec();
    let (from, to) = (fixture.repo.file_url(), shallow.to_str().unwrap());
    args.extend([from.as_str(), to]);
    super::git(fixture.dir.path(), &args);
    for location in [
        format!("{}/acme/shallow.git", fixture.server.url()),
        format!("file://{}", shallow.display()),
    ] {
        let repository = open(&location, Access::default());
        let snapshot = read(&repository, "main").await.unwrap();
        assert_eq!(files(&snapshot), [(ROOT, "# two".to_owned())], "{location}");
    }
    let repository: Repository = open(&fixture.url(), Access::default());
    read(&repository, "main").await.unwrap();
}
