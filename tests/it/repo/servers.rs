//! Servers that fail, are silent, drip, or send rubbish.

use std::io::Read as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use axon::repo::Access;
use axon::repo::Error;
use axon::repo::ErrorKind;

use super::Fixture;
use super::ROOT;
use super::open;
use super::read;
use super::told;
use super::with_token;
use crate::git_server::GitDaemon;
use crate::git_server::GitRepo;

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
        assert!(
            matches!(error, Err(Error::Empty { .. })),
            "{location}: {error:?}"
        );
        let error = read(&open(&location, Access::default()), "main").await;
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

/// A server that answers each connection by `answer`, which is given the request's head.
fn server(answer: impl Fn(&str, TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                head.extend(byte);
            }
            answer(&String::from_utf8_lossy(&head), stream);
        }
    });
    address
}

const ADVERTISEMENT: &str = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\
    Content-Type: application/x-git-upload-pack-advertisement\r\n\r\n";

#[tokio::test]
async fn a_server_that_drips_is_given_up() {
    super::axon_tls();
    let address = server(|_, mut stream| {
        // The beginning of a long line.
        let mut written = stream.write_all(format!("{ADVERTISEMENT}fff0").as_bytes());
        while written.is_ok() {
            thread::sleep(Duration::from_millis(10));
            written = stream.write_all(b" ");
        }
    });
    let access = Access {
        deadline: Duration::from_secs(1),
        ..Access::default()
    };
    let began = Instant::now();
    let error = read(&open(&format!("http://{address}/a/b"), access), "main").await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient, "{}", told(&error));
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn rubbish_is_told_and_not_believed() {
    super::axon_tls();
    let page = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Type: text/html\r\n\r\n<p/>";
    let lines = format!("{ADVERTISEMENT}zzzzzzzzzzzz");
    let lengths = format!("{ADVERTISEMENT}0001ffff");
    for answer in [
        page.to_owned(),
        lines,
        lengths,
        "rubbish\r\n\r\n".to_owned(),
    ] {
        let sent = answer.clone();
        let address = server(move |_, mut stream| {
            let _ = stream.write_all(sent.as_bytes());
        });
        let error = read(
            &open(&format!("http://{address}/a/b"), Access::default()),
            "main",
        )
        .await;
        let error = error.unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::Transient,
            "{answer}: {}",
            told(&error)
        );
    }
}

#[tokio::test]
async fn more_than_can_be_taken_is_refused() {
    let fixture = Fixture::new();
    let noise: Vec<String> = (0..100_000)
        .map(|n: u64| format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .collect();
    fixture
        .repo
        .commit(&[(ROOT, "# one"), ("noise", &noise.concat())]);
    let daemon = GitDaemon::start(fixture.dir.path());
    for url in [fixture.url(), format!("{}/acme/app.git", daemon.url())] {
        let access = Access {
            max_bytes: 100_000,
            ..Access::default()
        };
        let error = read(&open(&url, access), "main").await.unwrap_err();
        assert!(
            matches!(error, Error::Excess { .. }),
            "{url}: {}",
            told(&error)
        );
    }
    // A bomb: small on its way, and then larger than memory should have to be.
    let bomb = fixture.repo.work().join("bomb");
    let zeros = std::fs::File::create(bomb).unwrap();
    zeros.set_len((128 << 20) + 1).unwrap();
    fixture.repo.commit(&[]);
    let error = read(&fixture.open(), "main").await.unwrap_err();
    assert!(matches!(error, Error::Excess { .. }), "{}", told(&error));
}

#[tokio::test]
async fn by_the_protocol_of_git() {
    let fixture = Fixture::new();
    let commit = fixture.repo.commit(&[(ROOT, "# one")]);
    let daemon = GitDaemon::start(fixture.dir.path());
    let url = |name: &str| format!("{}/acme/{name}", daemon.url());
    for reference in ["main", "HEAD", commit.as_str()] {
        let snapshot = read(&open(&url("app.git"), Access::default()), reference).await;
        assert_eq!(snapshot.unwrap().files.len(), 1, "{reference}");
    }
    let error = read(&open(&url("nope.git"), Access::default()), "main").await;
    let error = error.unwrap_err();
    assert!(
        matches!(error, Error::NoRepository { .. }),
        "{}",
        told(&error)
    );
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let access = Access {
        silence: Duration::from_millis(300),
        ..Access::default()
    };
    let url = format!("git://{}/a", silent.local_addr().unwrap());
    let began = Instant::now();
    let error = read(&open(&url, access), "main").await.unwrap_err();
    assert!(told(&error).contains("does not answer"), "{}", told(&error));
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_redirect_takes_the_credential_only_to_the_same_host() {
    let fixture = Fixture::new();
    fixture.repo.commit(&[(ROOT, "# one")]);
    let target = fixture.server.url();
    let elsewhere = server(move |head, mut stream| {
        let path = head.split(' ').nth(1).unwrap();
        let answer =
            format!("HTTP/1.1 302 Found\r\nLocation: {target}{path}\r\nContent-Length: 0\r\n\r\n");
        let _ = stream.write_all(answer.as_bytes());
    });
    let url = format!("http://{elsewhere}/acme/app.git");
    read(&open(&url, with_token("hunter2")), "main")
        .await
        .unwrap();
    let served = fixture.server.served();
    assert!(!served.is_empty());
    assert!(served.iter().all(|it| it.authorization.is_none()));

    // A repository that was renamed.
    fixture.server.require_token("hunter2");
    let url = format!("{}/moved/app.git", fixture.server.url());
    read(&open(&url, with_token("hunter2")), "main")
        .await
        .unwrap();

    let nowhere = server(|_, mut stream| {
        let answer =
            "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n";
        let _ = stream.write_all(answer.as_bytes());
    });
    let error = read(
        &open(&format!("http://{nowhere}/a/b"), Access::default()),
        "main",
    )
    .await;
    let error = error.unwrap_err();
    assert!(told(&error).contains("redirects"), "{}", told(&error));
}

#[tokio::test]
async fn what_is_local_is_not_asked_for_tenants() {
    super::axon_tls();
    let asked = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&asked);
    let address = server(move |_, _| seen.store(true, Ordering::SeqCst));
    let port = address.port();
    for url in [
        format!("http://127.0.0.1:{port}/a/b"),
        format!("http://[::1]:{port}/a/b"),
        format!("http://localhost:{port}/a/b"),
        format!("git://127.0.0.1:{port}/a/b"),
        format!("git://localhost:{port}/a/b"),
        "http://169.254.169.254/latest".to_owned(),
    ] {
        let access = Access {
            local_addresses: false,
            ..Access::default()
        };
        let error = read(&open(&url, access), "main").await.unwrap_err();
        assert!(
            matches!(error, Error::LocalAddress { .. }),
            "{url}: {}",
            told(&error)
        );
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    assert!(!asked.load(Ordering::SeqCst));
}
