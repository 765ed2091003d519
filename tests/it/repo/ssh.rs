//! Repositories behind a real sshd, which runs as whoever runs the tests.

use std::fs;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
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
use super::signatures::key;
use super::signatures::public;
use super::told;
use crate::git_server::free_address;
use crate::git_server::wait_for;

/// Where Debian and others keep the program.
const PROGRAMS: [&str; 3] = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"];

/// A server that lets one key in.
struct Sshd {
    child: Child,
    address: SocketAddr,
    dir: PathBuf,
    user: String,
}

impl Sshd {
    /// Nothing where the program is missing, unless the suite must be whole.
    #[expect(
        clippy::disallowed_methods,
        reason = "the harness speaks to the suite through the environment"
    )]
    fn start(dir: &Path) -> Option<Self> {
        let Some(program) = PROGRAMS.iter().find(|path| Path::new(path).exists()) else {
            assert!(
                std::env::var_os("AXON_REQUIRE_REAL").is_none(),
                "sshd is required and missing (Debian: openssh-server)"
            );
            eprintln!("skipped: no sshd (Debian: openssh-server)");
            return None;
        };
        if nix::unistd::getuid().is_root() {
            // As root it insists on this directory, which its service makes elsewhere.
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let host_key = key(dir, "host", &["-t", "ed25519"]);
        let client = key(dir, "client", &["-t", "ed25519"]);
        fs::write(dir.join("authorized"), public(&client)).unwrap();
        let address = free_address();
        let config = format!(
            "ListenAddress {address}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             PermitRootLogin yes\nAcceptEnv GIT_PROTOCOL\nMaxStartups 100\n",
            host_key.display(),
            dir.join("authorized").display(),
        );
        fs::write(dir.join("config"), config).unwrap();
        let child = Command::new(program)
            .args(["-D", "-e", "-f"])
            .arg(dir.join("config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(dir.join("log")).unwrap())
            .spawn()
            .unwrap();
        wait_for(address);
        let user = nix::unistd::User::from_uid(nix::unistd::getuid());
        Some(Self {
            child,
            address,
            dir: dir.to_owned(),
            user: user.unwrap().unwrap().name,
        })
    }

    fn url(&self, path: &Path) -> String {
        format!("ssh://{}@{}{}", self.user, self.address, path.display())
    }

    /// The line of known hosts for a key.
    fn known(&self, key: &str) -> String {
        let port = self.address.port();
        format!(
            "[{}]:{port} {}",
            self.address.ip(),
            public(&self.dir.join(key))
        )
    }

    fn access(&self, key: &str, known_hosts: &str) -> Access {
        Access {
            credentials: Some(Credentials::Ssh {
                key: Secret::new(fs::read_to_string(self.dir.join(key)).unwrap()),
                known_hosts: known_hosts.to_owned(),
            }),
            ..Access::default()
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn with_a_key_and_a_known_host() {
    let fixture = Fixture::new();
    let Some(sshd) = Sshd::start(fixture.dir.path()) else {
        return;
    };
    let commit = fixture.repo.commit(&[(ROOT, "# one")]);
    let access = sshd.access("client", &sshd.known("host"));
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
    let access = sshd.access("client", &sshd.known("host"));
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

    let error = failed(repo, sshd.access("client", &sshd.known("other"))).await;
    assert!(matches!(error, Error::HostKey { .. }), "{}", told(&error));
    assert!(told(&error).contains("another key"), "{}", told(&error));
    let error = failed(repo, sshd.access("client", "# none\n")).await;
    assert!(matches!(error, Error::HostKey { .. }), "{}", told(&error));
    assert!(told(&error).contains("not among"), "{}", told(&error));
    let error = failed(repo, sshd.access("other", &good)).await;
    assert!(
        matches!(error, Error::Unauthorised { .. }),
        "{}",
        told(&error)
    );
    let error = failed(Path::new("/nowhere/at/all"), sshd.access("client", &good)).await;
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
    let error = failed(repo, sshd.access("broken", &good)).await;
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
