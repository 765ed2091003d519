//! No secret survives: in any form, in any piece, wherever it is printed.

use std::fs;

use crate::fixture::Run;
use crate::fixture::await_that;

const KEY: &str =
    "-----BEGIN KEY-----\nb3BlbnNzaC1rZXktdjEAAAA\nAAtzc2gtZWQyNTUxOQAAACB\n-----END KEY-----\n";

#[test]
fn a_rotated_token_is_masked_as_soon_as_it_is_there() {
    let run = Run::of(
        r#"cat "$DIR/git/token"; touch "$DIR/ready"
        while ! grep -q second "$DIR/git/token"; do sleep 0.01; done
        cat "$DIR/git/token"; echo "first-token-value"; cat "$DIR/git/token" >&2"#,
    );
    let git = run.dir.path().join("git");
    fs::create_dir(&git).unwrap();
    fs::write(git.join("token"), "first-token-value\n").unwrap();
    let dir = git.to_str().unwrap().to_owned();
    let run = run.args(&["--mask-dir", &dir]).start();
    run.await_file("ready");
    fs::write(git.join("new"), "second-token-value\n").unwrap();
    fs::rename(git.join("new"), git.join("token")).unwrap();
    let ended = run.end();
    assert_eq!(ended.stdout(), "***\n***\n***\n");
    assert_eq!(String::from_utf8_lossy(&ended.output.stderr), "***\n");
}

#[test]
fn nothing_of_a_secret_is_left_anywhere() {
    // Printed byte by byte, in pieces, in JSON, in base64, as outputs and results.
    let script = r#"
        slowly() { printf '%s' "$1" | while IFS= read -r -n 1 c; do printf '%s' "${c:-
}"; done; echo; }
        json() { printf '%s' "$1" | sed -z 's/\n/\\n/g'; }
        slowly "$TOKEN"; slowly "$TOKEN" >&2
        printf '{"type":"assistant","message":{"content":[{"type":"text","text":"%s %s"}]}}\n' "$(json "$KEY")" "$TOKEN"
        printf '%s' "$KEY" | base64; printf 'user:%s' "$TOKEN" | base64 -w 0; echo
        printf 'https://x:%s@host/\n' "$TOKEN"
        echo ---AXON_OUTPUTS_START---; echo "got $TOKEN"; echo "$KEY"; echo ---AXON_OUTPUTS_END---
        echo "https://github.com/a/$TOKEN/pull/1"
        printf 'one: %s\n%s: x\n' "$TOKEN" "$TOKEN" > "$AXON_RESULTS_FILE"
        echo "$KEY" >&2; echo "at last: $TOKEN" >&2
        printf '{"type":"result","is_error":true,"result":"%s"}\n' "$TOKEN"
        exit 1"#;
    let run = Run::of(script);
    let entry = run.dir.path().join("entry");
    let text = fs::read_to_string(&entry).unwrap();
    fs::write(&entry, text.replacen("#!/bin/sh", "#!/bin/bash", 1)).unwrap();
    let ended = run
        .args(&["--agent", "claude-code", "--url-host", "github.com"])
        .args(&["--mask", "TOKEN", "--mask", "KEY"])
        .env("TOKEN", "ghp_16C7e42F292c6912E7710c838347Ae178B4a")
        .env("KEY", KEY)
        .end();
    let log = ended.file("log");
    for shown in [&ended.output.stdout, &ended.output.stderr, &log] {
        let shown = String::from_utf8_lossy(shown);
        for part in [
            "ghp_",
            "16C7e42F",
            "Z2hwXzE2Qzdl",
            "BEGIN KEY",
            "b3BlbnNzaC1r",
            "AAtzc2gtZWQy",
            "LS0tLS1CRUdJTiB",
            "END KEY",
        ] {
            assert!(!shown.contains(part), "{part} in {shown}");
        }
        assert!(shown.contains("***"));
    }
    assert!(
        ended.message().contains("the agent failed: ***"),
        "{}",
        ended.message()
    );
}

#[test]
fn a_directory_that_comes_later_is_looked_at() {
    let run = Run::of(
        r#"touch "$DIR/ready"; while ! [ -s "$DIR/late/token" ]; do sleep 0.01; done; cat "$DIR/late/token""#,
    );
    let late = run.dir.path().join("late");
    let run = run.args(&["--mask-dir", late.to_str().unwrap()]).start();
    run.await_file("ready");
    fs::create_dir(&late).unwrap();
    fs::write(late.join("new"), "late-token").unwrap();
    fs::rename(late.join("new"), late.join("token")).unwrap();
    await_that("the token", || late.join("token").exists());
    assert_eq!(run.end().stdout(), "***");
}
