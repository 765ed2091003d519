//! Repositories behind a real sshd, which runs as whoever runs the tests.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use axon::model::Secret;
use axon::repo::Access;
use axon::repo::Credentials;
use axon::repo::Error;
use axon::repo::Repository;

use super::Fixture;
use super::ROOT;
use super::files;
use super::open;
use super::read;
use super::told;
use crate::ssh_server::Sshd;
use crate::ssh_server::key;

fn access_by(sshd: &Sshd, key: &str, known_hosts: &str) -> Access {
    Access {
        credentials: Some(Credentials::Ssh {
            key: Secret::new(sshd.key(key)),
            known_hosts: known_hosts.to_owned(),
        }),
        ..Access::default()
    }
}

#[tokio::test]
async fn with_a_key_and_a_known_host() {
    let fixture = Fixture::new();
    let Some(sshd) = Sshd::start(fixture.dir.path()) else {
        return;
    };
    let commit = fixture.repo.commit(&[(ROOT, "# one")]);
    let access = access_by(&sshd, "client", &sshd.known("host"));
    let repository = open(&sshd.url(fixture.repo.path()), access);
    for reference in ["main", "HEAD", commit.as_str()] {
        let snapshot = read(&repository, reference).await;
        let snapshot = snapshot.unwrap_or_else(|error| panic!("{}", told(&error)));
        assert_eq!(files(&snapshot), [(ROOT, "# one".to_owned())]);
    }
    // A path that a shell would take apart.
    let odd = fixture.dir.path().join("it's a $(repo)");
    fs::rename(fixture.repo.path(), &odd).unwrap();
    let url = sshd.url(&odd).replace(' ', "%20");
    let access = access_by(&sshd, "client", &sshd.known("host"));
    read(&open(&url, access), "main").await.unwrap();
}

#[tokio::test]
async fn why_a_server_lets_nobody_in() {
    let fixture = Fixture::new();
    let Some(sshd) = Sshd::start(fixture.dir.path()) else {
        return;
    };
    fixture.repo.commit(&[(ROOT, "# one")]);
    key(fixture.dir.path(), "other", &["-t", "ed25519"]);
    let good = sshd.known("host");
    let failed = async |path: &Path, access: Access| {
        let repository: Repository = open(&sshd.url(path), access);
        read(&repository, "main").await.unwrap_err()
    };
    let repo = fixture.repo.path();

    let error = failed(repo, access_by(&sshd, "client", &sshd.known("other"))).await;
    assert!(matches!(error, Error::HostKey { .. }), "{}", told(&error));
    assert!(told(&error).contains("another key"), "{}", told(&error));
    let error = failed(repo, access_by(&sshd, "client", "# none\n")).await;
    assert!(matches!(error, Error::HostKey { .. }), "{}", told(&error));
    assert!(told(&error).contains("not among"), "{}", told(&error));
    let error = failed(repo, access_by(&sshd, "other", &good)).await;
    assert!(
        matches!(error, Error::Unauthorised { .. }),
        "{}",
        told(&error)
    );
    let error = failed(
        Path::new("/nowhere/at/all"),
        access_by(&sshd, "client", &good),
    )
    .await;
    assert!(
        matches!(error, Error::NoRepository { .. }),
        "{}",
        told(&error)
    );
    fs::write(
        fixture.dir.path().join("broken"),
        "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
    )
    .unwrap();
    let error = failed(repo, access_by(&sshd, "broken", &good)).await;
    assert!(
        matches!(error, Error::UnfitCredential { .. }),
        "{}",
        told(&error)
    );
}

#[tokio::test]
async fn a_silent_host_is_given_up_and_its_key_is_not_left() {
    super::axon_tls();
    let dir = tempfile::tempdir().unwrap();
    key(dir.path(), "client", &["-t", "ed25519"]);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let marker = "a host that no other test knows";
    let access = Access {
        credentials: Some(Credentials::Ssh {
            key: Secret::new(fs::read_to_string(dir.path().join("client")).unwrap()),
            known_hosts: format!("# {marker}\n"),
        }),
        silence: Duration::from_millis(500),
        ..Access::default()
    };
    let url = format!("ssh://git@{}/a", silent.local_addr().unwrap());
    let began = Instant::now();
    let error = read(&open(&url, access), "main").await.unwrap_err();
    assert!(
        matches!(error, Error::Unreachable { .. }),
        "{}",
        told(&error)
    );
    assert!(began.elapsed() < Duration::from_secs(10));
    let stores = fs::read_dir(std::env::temp_dir()).unwrap().flatten();
    let left = stores.filter(|entry| {
        let known = fs::read_to_string(entry.path().join("known_hosts"));
        known.is_ok_and(|text| text.contains(marker))
    });
    assert_eq!(left.count(), 0);
}
