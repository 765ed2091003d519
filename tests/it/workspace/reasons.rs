//! Each reason for which a repository cannot be reached is told, and nothing that a server answered.

use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::thread;

use serde_json::Value;
use serde_json::json;

use super::Stage;
use crate::git_server::GitServer;
use crate::server::Context;
use crate::ssh_server::Sshd;
use crate::ssh_server::key;

crate::on_both_servers!(
    what_keeps_it_from_being_reached,
    a_credential_that_is_put_right_is_enough,
    commits_prove_access_only,
    addresses_of_this_machine_are_refused,
    keys_of_hosts_and_people,
);

async fn what_keeps_it_from_being_reached(context: Context) {
    let stage = Stage::new(context);
    stage.repo.commit(&[("file", "x")]);
    stage.secret("odd", &[("other", "hunter2")]).await;
    stage.secret("half", &[("username", "hunter2")]).await;
    let other = GitServer::start(stage.dir.path());
    let answers = answers(&other.url()).map(server);
    let cases = cases(&stage.server.url(), &answers);
    stage.secret("token", &[("GITHUB_TOKEN", "hunter2")]).await;
    for (name, spec, _) in &cases {
        stage.create(name, spec.clone()).await;
    }
    let controller = stage.start();
    for (name, _, reason) in &cases {
        let (message, commit) = stage.reason(name, reason).await;
        assert!(!message.contains("hunter2"), "{name}: {message}");
        assert_eq!(commit, None);
        let expected = match *name {
            "rubbish" => "it does not answer as a git server does",
            "moved" => "it redirects to another host",
            "broken" => "status 500",
            "half-secret" => "it has the key \"username\" but not \"password\"",
            "missing" => "name a Secret in \"spec.secretRef\"",
            _ => "",
        };
        assert!(message.contains(expected), "{name}: {message}");
    }
    assert!(
        other.served().is_empty(),
        "no redirect to another host is followed"
    );
    controller.stop().await;
}

/// A page of some other service, a redirect to another host, and a server that fails.
fn answers(elsewhere: &str) -> [String; 3] {
    let page = "hunter2, a page of another service";
    [
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{page}",
            page.len()
        ),
        format!(
            "HTTP/1.1 302 Found\r\nLocation: {}/acme/app.git/info/refs?service=git-upload-pack\r\n\
             Content-Length: 0\r\n\r\n",
            elsewhere.replace("127.0.0.1", "localhost")
        ),
        "HTTP/1.1 500 Oh\r\nContent-Length: 7\r\n\r\nhunter2".to_owned(),
    ]
}

/// Names, specs and reasons.
fn cases(
    url: &str,
    [rubbish, moved, broken]: &[String; 3],
) -> Vec<(&'static str, Value, &'static str)> {
    vec![
        (
            "missing",
            json!({"repo": format!("{url}/acme/none.git")}),
            "AuthenticationFailed",
        ),
        ("no-ref", json!({"ref": "none"}), "RefNotFound"),
        ("bad-ref", json!({"ref": "a..b"}), "InvalidRef"),
        ("file", json!({"repo": "file:///srv/app.git"}), "InvalidURL"),
        (
            "no-secret",
            json!({"secretRef": {"name": "none"}}),
            "SecretNotFound",
        ),
        (
            "odd-secret",
            json!({"secretRef": {"name": "odd"}}),
            "SecretKeyMissing",
        ),
        (
            "half-secret",
            json!({"secretRef": {"name": "half"}}),
            "SecretKeyMissing",
        ),
        (
            "closed",
            json!({"repo": "http://127.0.0.1:9/a/b"}),
            "Unreachable",
        ),
        ("rubbish", json!({"repo": rubbish}), "Unreachable"),
        ("moved", json!({"repo": moved}), "Unreachable"),
        ("broken", json!({"repo": broken}), "Unreachable"),
        (
            "in-clear",
            json!({
                "repo": "http://example.invalid/a/b", "secretRef": {"name": "token"},
            }),
            "AuthenticationFailed",
        ),
    ]
}

/// The URL of a repository behind a server that answers everything alike.
fn server(answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/a/b", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                head.extend(byte);
            }
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}

async fn a_credential_that_is_put_right_is_enough(context: Context) {
    let stage = Stage::new(context);
    let commit = stage.repo.commit(&[("file", "x")]);
    stage.server.require("bob", "hunter2");
    stage
        .secret("git", &[("username", "bob"), ("password", "wrong")])
        .await;
    stage
        .create("web", json!({"secretRef": {"name": "git"}}))
        .await;
    let controller = stage.start();
    let (message, _) = stage.reason("web", "AuthenticationFailed").await;
    assert!(message.contains("check Secret \"git\""), "{message}");
    // Nobody tells of it: it is looked at again by itself.
    stage
        .secret("git", &[("username", "bob"), ("password", "hunter2")])
        .await;
    assert_eq!(stage.reason("web", "Reachable").await.1, Some(commit));
    controller.stop().await;
}

async fn commits_prove_access_only(context: Context) {
    let stage = Stage::new(context);
    let commit = stage.repo.commit(&[("file", "x")]);
    let unknown = "1".repeat(40);
    stage.create("whole", json!({"ref": unknown})).await;
    stage.create("short", json!({"ref": &commit[..8]})).await;
    let controller = stage.start();
    assert_eq!(stage.reason("whole", "Reachable").await.1, Some(unknown));
    let (message, seen) = stage.reason("short", "Reachable").await;
    assert!(message.ends_with("the commit is looked for at checkout") && seen.is_none());
    controller.stop().await;
}

async fn addresses_of_this_machine_are_refused(context: Context) {
    let stage = Stage::new(context);
    stage.repo.commit(&[("file", "x")]);
    let port = stage.server.url().rsplit_once(':').unwrap().1.to_owned();
    stage
        .secret(
            "ssh",
            &[
                (
                    "ssh-privatekey",
                    "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n-----END OPENSSH PRIVATE KEY-----",
                ),
                ("known_hosts", "x"),
            ],
        )
        .await;
    let urls = [
        stage.url(),
        format!("http://localhost:{port}/acme/app.git"),
        format!("http://[::ffff:127.0.0.1]:{port}/acme/app.git"),
        format!("http://0x7f.1:{port}/acme/app.git"),
        format!("http://0.0.0.0:{port}/acme/app.git"),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        format!("git://localhost:{port}/acme/app.git"),
        format!("ssh://git@localhost:{port}/acme/app.git"),
    ];
    for (n, url) in urls.iter().enumerate() {
        let mut spec = json!({"repo": url});
        if url.starts_with("ssh") {
            spec["secretRef"] = json!({"name": "ssh"});
        }
        stage.create(&format!("web-{n}"), spec).await;
    }
    let controller = stage.start_with(axon::controller::Options {
        local_addresses: false,
        ..stage.options()
    });
    for (n, url) in urls.iter().enumerate() {
        let (message, _) = stage.reason(&format!("web-{n}"), "AddressRefused").await;
        assert!(
            message.contains("is an address of this machine or its link"),
            "{url}: {message}"
        );
    }
    assert!(stage.server.served().is_empty());
    controller.stop().await;
}

async fn keys_of_hosts_and_people(context: Context) {
    let stage = Stage::new(context);
    let commit = stage.repo.commit(&[("file", "x")]);
    let dir = tempfile::tempdir().unwrap();
    let Some(sshd) = Sshd::start(dir.path()) else {
        return;
    };
    key(dir.path(), "other", &["-t", "ed25519"]);
    let cases = [
        ("good", "client", "host", "Reachable"),
        ("stranger", "other", "host", "AuthenticationFailed"),
        ("impostor", "client", "other", "HostKeyMismatch"),
    ];
    for (name, own, host, _) in cases {
        let (own, host) = (sshd.key(own), sshd.known(host));
        // The token is the agent's.
        let token = ("GITHUB_TOKEN", "x");
        let data = [
            ("ssh-privatekey", own.as_str()),
            ("known_hosts", &host),
            token,
        ];
        stage.secret(name, &data).await;
        let repo = sshd.url(stage.repo.path());
        stage
            .create(name, json!({"repo": repo, "secretRef": {"name": name}}))
            .await;
    }
    let controller = stage.start();
    for (name, _, _, reason) in cases {
        let (_, seen) = stage.reason(name, reason).await;
        assert_eq!(seen.is_some(), name == "good");
        assert!(seen.is_none_or(|it| it == commit));
    }
    controller.stop().await;
}
