//! Which commit is checked out, and how much of its history.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;

use super::Fixture;
use super::Pod;
use crate::git_server;
use crate::ssh_server::Sshd;

#[test]
fn branches_tags_and_commits() {
    let fixture = Fixture::new();
    let (first, second) = (&fixture.first, &fixture.second);
    let cases: [(&[&str], &str, &str); 8] = [
        (&[], second, "main"),
        (&["--ref", "main"], second, "main"),
        (&["--ref", "refs/heads/old"], first, "old"),
        (&["--ref", "v1"], first, "HEAD"),
        (&["--ref", "v1-signed"], first, "HEAD"),
        (&["--ref", first], first, "HEAD"),
        (&["--ref", &first[..9]], first, "HEAD"),
        (&["--ref", "v1", "--branch", "fix/1"], first, "fix/1"),
    ];
    for url in [fixture.repo.file_url(), fixture.url()] {
        for (words, commit, branch) in cases {
            let pod = Pod::new();
            pod.checked_out(&[&["--url", &url], words].concat());
            assert_eq!(
                pod.text("axon/base"),
                format!("{commit}\n"),
                "{url} {words:?}"
            );
            assert_eq!(pod.git(&["rev-parse", "HEAD"]), commit);
            assert_eq!(
                pod.git(&["rev-parse", "--abbrev-ref", "HEAD"]),
                branch,
                "{url} {words:?}"
            );
            assert_eq!(pod.git(&["status", "--porcelain"]), "");
            assert_eq!(
                pod.text("repo/file"),
                if commit == first { "one" } else { "two" }
            );
            pod.git(&["fsck"]);
        }
    }
}

#[test]
fn a_branch_that_exists_goes_on_where_it_stands() {
    let fixture = Fixture::new();
    let pod = Pod::new();
    pod.checked_out(&["--url", &fixture.url(), "--branch", "old"]);
    assert_eq!(
        pod.git(&["rev-parse", "HEAD", "--abbrev-ref", "HEAD"]),
        format!("{}\nold", fixture.first)
    );
    assert_eq!(pod.text("axon/base").trim(), fixture.first);
    pod.git(&["commit", "--quiet", "--allow-empty", "--message=more"]);
    pod.git(&["push", "--quiet"]);
    assert_eq!(
        fixture.repo.git(&["rev-parse", "old"]),
        pod.git(&["rev-parse", "HEAD"])
    );
}

#[test]
fn a_server_that_gives_out_no_single_commits() {
    let fixture = Fixture::new();
    let dir = tempfile::tempdir().unwrap();
    let Some(sshd) = Sshd::start_old(dir.path()) else {
        return;
    };
    // Else it would give out what a ref stands at.
    fixture.repo.git(&["branch", "--force", "old", "main"]);
    fixture.repo.git(&["tag", "--delete", "v1", "v1-signed"]);
    let pod = || {
        let pod = Pod::new().secret("known_hosts", &sshd.known("host"));
        pod.secret("ssh-privatekey", &sshd.key("client"))
    };
    let url = sshd.url(fixture.repo.path());
    let whole = pod();
    whole.checked_out(&["--url", &url, "--ref", &fixture.first]);
    assert_eq!(whole.git(&["rev-parse", "HEAD"]), fixture.first);
    assert_eq!(whole.text("repo/file"), "one");
    let history = whole.git(&["for-each-ref", "--format=%(refname)", "refs/remotes"]);
    assert_eq!(history, "refs/remotes/origin/main\nrefs/remotes/origin/old");
    let unknown = "1".repeat(40);
    let message = pod().refused(&["--url", &url, "--ref", &unknown]);
    let expected = format!("there is no branch, tag or commit \"{unknown}\"");
    assert!(message.contains(&expected), "{message}");
}

#[test]
fn a_line_that_breaks_is_no_reason_for_the_whole_history() {
    let fixture = Fixture::new();
    let url = fixture.url();
    let words = ["--url", &url, "--ref", &fixture.second];
    fixture.server.break_packs(1);
    let pod = Pod::new();
    pod.checked_out(&words);
    assert_eq!(pod.git(&["rev-list", "--all", "--count"]), "1");

    fixture.server.served();
    fixture.server.break_packs(usize::MAX);
    Pod::new().refused(&words);
    let served = fixture.server.served();
    let asked: Vec<_> = served
        .iter()
        .map(|it| String::from_utf8_lossy(&it.request))
        .filter(|it| it.contains("command=fetch"))
        .collect();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked.iter().all(|it| it.contains("deepen 1")), "{asked:?}");
}

#[test]
fn a_short_commit_of_several() {
    let fixture = Fixture::new();
    let twins = twins(&fixture);
    let short = &twins[0][..4];
    let message = Pod::new().refused(&["--url", &fixture.url(), "--ref", short]);
    assert!(
        message.contains(&format!(
            "\"{short}\" is the beginning of several commits: {}",
            twins[0]
        )),
        "{message}"
    );
    assert!(message.contains(&twins[1]) && message.ends_with("write more of it"));
    let pod = Pod::new();
    pod.checked_out(&["--url", &fixture.url(), "--ref", &twins[1][..12]]);
    assert_eq!(pod.git(&["rev-parse", "HEAD"]), twins[1]);
}

/// Two commits whose names begin alike, found among a thousand.
fn twins(fixture: &Fixture) -> [String; 2] {
    let mut stream = String::new();
    for n in 0..1000 {
        let who = "T <t@example.com>";
        writeln!(stream, "commit refs/heads/many\nmark :{}", n + 1).unwrap();
        writeln!(stream, "committer {who} {} +0000", 1_700_000_000 + n).unwrap();
        writeln!(stream, "data 1\nx").unwrap();
    }
    let mut import = git_server::command()
        .env("GIT_DIR", fixture.repo.path())
        .args(["fast-import", "--quiet"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = import.stdin.take().unwrap();
    stdin.write_all(stream.as_bytes()).unwrap();
    drop(stdin);
    assert!(import.wait().unwrap().success());
    let mut seen = HashMap::new();
    for commit in fixture.repo.git(&["rev-list", "many"]).lines() {
        if let Some(other) = seen.insert(commit[..4].to_owned(), commit.to_owned()) {
            let mut twins = [other, commit.to_owned()];
            twins.sort();
            return twins;
        }
    }
    panic!("no two of a thousand begin alike");
}

#[test]
fn as_much_history_as_is_asked_for() {
    let fixture = Fixture::new();
    for n in 0..4 {
        fixture.repo.commit(&[("file", &n.to_string())]);
    }
    let check = |words: &[&str], commits: &str, branches: &str| {
        let pod = Pod::new();
        pod.checked_out(&[&["--url", &fixture.url()], words].concat());
        assert_eq!(
            pod.git(&["rev-list", "--count", "HEAD"]),
            commits,
            "{words:?}"
        );
        let remote = pod.git(&[
            "for-each-ref",
            "--format=%(refname:lstrip=2)",
            "refs/remotes",
        ]);
        assert_eq!(remote.replace('\n', " "), branches, "{words:?}");
        pod.git(&["fsck"]);
    };
    check(&[], "1", "origin/main");
    check(&["--depth", "3"], "3", "origin/main");
    check(&["--depth", "100"], "6", "origin/main");
    check(&["--depth", "0"], "6", "origin/main origin/old");
    check(
        &["--depth", "0", "--ref", "v1"],
        "1",
        "origin/main origin/old",
    );
    check(
        &["--depth", "0", "--ref", &fixture.second],
        "2",
        "origin/main origin/old",
    );
    check(&["--depth", "2", "--branch", "fix"], "2", "origin/main");
    check(
        &["--depth", "0", "--branch", "old"],
        "1",
        "origin/main origin/old",
    );
}

#[test]
fn who_commits() {
    let fixture = Fixture::new();
    let pod = Pod::new();
    let words = [
        "--git-name",
        " Ann \"Q\" #1 ",
        "--git-email",
        "ann@example.com",
    ];
    pod.checked_out(&[&["--url", &fixture.url()], &words[..]].concat());
    pod.git(&["commit", "--quiet", "--allow-empty", "--message=x"]);
    assert_eq!(
        pod.git(&["log", "-1", "--format=%an <%ae> %cn"]),
        "Ann \"Q\" #1 <ann@example.com> Ann \"Q\" #1"
    );
}
