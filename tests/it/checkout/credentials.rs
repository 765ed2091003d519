//! The way in, for the checkout and for the agent's git hours later. Nothing secret is written down.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use super::Fixture;
use super::Pod;
use super::TOKEN;
use super::each_file;
use crate::git_server::GitServer;
use crate::ssh_server::Sshd;
use crate::ssh_server::key;

const OTHER: &str = "another-secret";

/// Fails if a credential stands anywhere but where it was mounted.
fn nothing_secret_in(pod: &Pod, canaries: &[&str]) {
    let mounted = pod.path("git");
    each_file(pod.dir.path(), &mut |path, bytes| {
        for canary in canaries.iter().filter(|_| !path.starts_with(&mounted)) {
            let found = bytes
                .windows(canary.len())
                .any(|it| it == canary.as_bytes());
            assert!(!found, "{canary} in {}", path.display());
        }
    });
}

fn commit_and_push(pod: &Pod) {
    pod.git(&["commit", "--quiet", "--allow-empty", "--message=more"]);
    pod.git(&["push", "--quiet", "origin", "HEAD:refs/heads/pushed"]);
}

#[test]
fn a_token_is_read_at_each_use_and_written_nowhere() {
    let fixture = Fixture::new();
    fixture.server.require_token(TOKEN);
    let pod = Pod::new().secret("GITHUB_TOKEN", &format!("{TOKEN}\n"));
    pod.checked_out(&["--url", &fixture.url()]);
    // As it is, and as a header would hold it.
    nothing_secret_in(&pod, &[TOKEN, "aHVudGVyMnNlY3"]);
    commit_and_push(&pod);
    fixture.server.require_token(OTHER);
    let refused = pod.try_git(&["push", "--quiet", "origin", "HEAD:refs/heads/x"]);
    assert!(!refused.status.success());
    assert!(!String::from_utf8_lossy(&refused.stderr).contains(TOKEN));
    pod.rotate(&[("GITHUB_TOKEN", OTHER)]);
    commit_and_push(&pod);
    assert_eq!(
        fixture.repo.git(&["rev-parse", "pushed"]),
        pod.git(&["rev-parse", "HEAD"])
    );
}

#[test]
fn a_user_name_and_password() {
    let fixture = Fixture::new();
    fixture.server.require("bob", "p@ss:word 1");
    let pod = Pod::new();
    pod.rotate(&[("username", "bob\n"), ("password", "p@ss:word 1\n")]);
    pod.checked_out(&["--url", &fixture.url(), "--branch", "fix/1"]);
    nothing_secret_in(&pod, &["p@ss:word"]);
    commit_and_push(&pod);
    fixture.server.require("ann", OTHER);
    pod.rotate(&[("username", "ann"), ("password", OTHER)]);
    commit_and_push(&pod);
}

#[test]
fn no_other_host_is_given_it() {
    let fixture = Fixture::new();
    fixture.server.require_token(TOKEN);
    let pod = Pod::new().secret("GITHUB_TOKEN", TOKEN);
    pod.checked_out(&["--url", &fixture.url()]);
    let other = GitServer::start(fixture.repo.path());
    other.require_token("x");
    let asked = pod.try_git(&["ls-remote", &format!("{}/x", other.url())]);
    assert!(!asked.status.success());
    let served = other.served();
    assert!(!served.is_empty() && served.iter().all(|it| it.authorization.is_none()));
    // Nor by the program itself.
    let mut helper = Command::new(pod.path("axon/axon-helper"));
    helper
        .args(["credential", "--protocol", "http", "--host", "127.0.0.1:1"])
        .arg("--credentials-dir")
        .arg(pod.path("git"))
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut helper = helper.spawn().unwrap();
    let question = "protocol=http\nhost=127.0.0.1:2\n\n";
    std::io::Write::write_all(&mut helper.stdin.take().unwrap(), question.as_bytes()).unwrap();
    assert_eq!(helper.wait_with_output().unwrap().stdout, b"");
}

#[test]
fn without_the_mounted_files_git_does_not_ask_a_person() {
    let fixture = Fixture::new();
    fixture.server.require_token(TOKEN);
    let pod = Pod::new().secret("GITHUB_TOKEN", TOKEN);
    pod.checked_out(&["--url", &fixture.url()]);
    fs::remove_dir_all(pod.path("git")).unwrap();
    let output = pod.try_git(&["push", "--quiet", "origin", "HEAD:refs/heads/x"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        told.contains("there is neither \"GITHUB_TOKEN\" nor"),
        "{told}"
    );
    assert!(told.contains("told us to quit"), "{told}");
}

#[test]
fn mounted_files_that_are_no_credential() {
    let fixture = Fixture::new();
    let url = fixture.url();
    let check = |pod: Pod, expected: &str| {
        let message = pod.refused(&["--url", &url]);
        assert!(message.contains(expected), "{message}");
        assert!(!message.contains(TOKEN));
    };
    check(Pod::new().secret("other", "x"), "it has none of these keys");
    check(
        Pod::new().secret("password", TOKEN),
        "it has the key \"password\" but not \"username\"",
    );
    check(Pod::new().secret("GITHUB_TOKEN", " "), "is empty");
    let pod = Pod::new();
    pod.rotate(&[("ssh-privatekey", TOKEN), ("known_hosts", "x")]);
    check(pod, "is not a private key");
}

#[test]
fn by_ssh() {
    let fixture = Fixture::new();
    let dir = tempfile::tempdir().unwrap();
    let Some(sshd) = Sshd::start(dir.path()) else {
        return;
    };
    let url = sshd.url(fixture.repo.path());
    let pod = Pod::new();
    // The program insists on the end of the last line, which a Secret may lack.
    let own_key = sshd.key("client");
    pod.rotate(&[
        ("ssh-privatekey", own_key.trim_end()),
        ("known_hosts", &sshd.known("host")),
    ]);
    let before = copies();
    pod.checked_out(&["--url", &url]);
    let body = own_key.lines().nth(1).unwrap();
    nothing_secret_in(&pod, &[body]);
    commit_and_push(&pod);
    assert_eq!(
        fixture.repo.git(&["rev-parse", "pushed"]),
        pod.git(&["rev-parse", "HEAD"])
    );

    key(dir.path(), "other", &["-t", "ed25519"]);
    pod.rotate(&[("ssh-privatekey", &sshd.key("other"))]);
    let output = pod.try_git(&["push", "--quiet"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && told.contains("Permission denied"),
        "{told}"
    );
    pod.rotate(&[
        ("ssh-privatekey", &own_key),
        ("known_hosts", &sshd.known("other")),
    ]);
    let output = pod.try_git(&["push", "--quiet"]);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && told.contains("Host key verification failed"),
        "{told}"
    );
    pod.rotate(&[("known_hosts", &sshd.known("host"))]);
    commit_and_push(&pod);
    assert_eq!(copies(), before, "copies of the key go with the program");
}

/// Directories with copies of keys that the helper of this test's Pods would leave.
fn copies() -> usize {
    let memory = fs::read_dir("/dev/shm").into_iter().flatten().flatten();
    let ours = memory.filter(|it| it.file_name().to_string_lossy().starts_with("axon-ssh-"));
    ours.filter(|it| fs::read_dir(it.path()).is_ok_and(|mut it| it.next().is_some()))
        .count()
}

#[test]
fn why_ssh_lets_nobody_in() {
    let fixture = Fixture::new();
    let dir = tempfile::tempdir().unwrap();
    let Some(sshd) = Sshd::start(dir.path()) else {
        return;
    };
    key(dir.path(), "other", &["-t", "ed25519"]);
    let url = sshd.url(fixture.repo.path());
    let check = |url: &str, own: &str, host: &str, expected: &str| {
        let pod = Pod::new();
        let (own, host) = (sshd.key(own), sshd.known(host));
        pod.rotate(&[("ssh-privatekey", &own), ("known_hosts", &host)]);
        let message = pod.refused(&["--url", url]);
        assert!(message.contains(expected), "{message}");
    };
    check(&url, "other", "host", "wants another credential");
    check(
        &url,
        "client",
        "other",
        "cannot be trusted: it shows another key",
    );
    let nowhere = sshd.url(Path::new("/nowhere/at/all"));
    check(&nowhere, "client", "host", "there is no repository");
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    check(
        &format!("ssh://git@{closed}/a"),
        "client",
        "host",
        "cannot reach",
    );
    let token = Pod::new().secret("GITHUB_TOKEN", TOKEN);
    let message = token.refused(&["--url", &url]);
    assert!(
        message.contains("needs a private key and known hosts"),
        "{message}"
    );
}
