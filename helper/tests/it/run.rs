//! One run: prompt, environment, output, stop.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use nix::sys::signal::Signal;

use crate::fixture::Run;
use crate::fixture::await_that;
use crate::fixture::is_alive;

#[test]
fn the_prompt_arrives_byte_for_byte() {
    let longest = "x".repeat(128 * 1024 - 1);
    let every_byte: Vec<u8> = (1..=255).collect();
    let prompts: [&[u8]; 13] = [
        b"plain",
        b"",
        b"$(GITHUB_TOKEN) $$ $HOME ${HOME} `id`",
        b"'single' \"double\" \\ \\n",
        b"two\nlines\n",
        b"\n",
        b"-n leading dash",
        b"--",
        "🦀 ü \u{202e}".as_bytes(),
        b" spaces  ",
        b"* ? [a-z] ~ ; & | > /dev/null",
        &every_byte,
        longest.as_bytes(),
    ];
    for prompt in prompts {
        let ended = Run::of(r#"printf %s "$1" > "$DIR/seen"; cp "$AXON_PROMPT_FILE" "$DIR/file""#)
            .prompt(prompt)
            .end();
        assert_eq!(
            ended.code(),
            0,
            "{}",
            String::from_utf8_lossy(&ended.output.stderr)
        );
        assert!(
            ended.file("seen") == prompt,
            "{}",
            String::from_utf8_lossy(prompt)
        );
        assert!(ended.file("file") == prompt);
        assert!(ended.report.succeeded);
    }
}

#[test]
fn a_prompt_that_no_argument_holds_is_pointed_to() {
    for prompt in ["x".repeat(128 * 1024), "a\0b".to_owned()] {
        let ended = Run::of(r#"printf %s "$1""#).prompt(prompt.as_bytes()).end();
        let file = ended.dir.path().join("prompt");
        assert!(
            ended.stdout().contains(file.to_str().unwrap()) && ended.stdout().len() < 500,
            "{}",
            ended.stdout()
        );
    }
}

#[test]
fn nothing_to_read_and_a_home_to_write() {
    let script = r#"cat; printf %s "$HOME"; touch "$HOME/x""#;
    let own = Run::of(script).end();
    assert_eq!(
        (own.code(), own.stdout()),
        (0, own.dir.path().to_str().unwrap().to_owned())
    );
    let other = Run::of(script).env("HOME", "/nowhere").end();
    assert_eq!(
        (other.code(), other.stdout()),
        (
            0,
            other.dir.path().join("home").to_str().unwrap().to_owned()
        )
    );
}

#[test]
fn what_dependencies_left_is_pointed_to() {
    let run = Run::of(r#"cat "$AXON_DEPENDENCIES_FILE""#).args(&["--agent", "custom"]);
    fs::write(run.dir.path().join("dependencies"), "{\"build\":{}}").unwrap();
    assert_eq!(run.end().stdout(), "{\"build\":{}}");
}

#[test]
fn secrets_are_masked_in_both_streams_and_in_the_report() {
    let ended = Run::of(
        r#"printf 'a hunt'; sleep 0.05; printf 'er2secret b\n'; printf '%s' "$TOKEN" | base64
        echo "err $TOKEN" >&2
        printf '%s\n' ---AXON_OUTPUTS_START--- "got $TOKEN" ---AXON_OUTPUTS_END---
        echo "key: $TOKEN" > "$AXON_RESULTS_FILE"; exit 1"#,
    )
    .args(&["--mask", "TOKEN", "--mask", "ABSENT"])
    .env("TOKEN", "hunter2secret")
    .end();
    let stdout = ended.stdout();
    assert!(stdout.starts_with("a *** b\n***"), "{stdout}");
    assert!(!stdout.contains("aHVudGVyMnNlY3"), "{stdout}");
    assert_eq!(String::from_utf8_lossy(&ended.output.stderr), "err ***\n");
    assert_eq!(ended.report.outputs, ["got ***"]);
    assert_eq!(ended.report.results["key"], "***");
    assert_eq!(ended.message(), "the agent exited with 1:\nerr ***");
}

#[test]
fn outputs() {
    let base = "1".repeat(40);
    let head = "2".repeat(40);
    let ended = Run::of(&format!(
        r#"mkdir -p .git/refs/heads/fix; echo 'ref: refs/heads/fix/42' > .git/HEAD; echo {head} > .git/refs/heads/fix/42
        echo 'tests: 12 passed' > "$AXON_RESULTS_FILE"
        echo '{{"text":"opened https://github.com/a/b/pull/7."}}' >&2
        printf '%s\n' ---AXON_OUTPUTS_START--- 'branch: fix/42' 'note: done' ---AXON_OUTPUTS_END---"#
    ))
    .args(&["--url-host", "github.com"]);
    fs::write(ended.dir.path().join("base"), format!("{base}\n")).unwrap();
    let ended = ended.end();
    assert_eq!(
        ended.report.outputs,
        [
            "branch: fix/42",
            "https://github.com/a/b/pull/7",
            &format!("commit: {head}"),
            "note: done"
        ]
    );
    assert_eq!(ended.report.results["tests"], "12 passed");
    assert!(ended.report.succeeded && !ended.report.cut);
    assert_eq!(
        (ended.report.exit_code, ended.report.message),
        (Some(0), None)
    );
}

#[test]
fn a_repository_that_did_not_move_is_no_output() {
    let run = Run::of("mkdir .git; cp \"$DIR/base\" .git/HEAD");
    fs::write(run.dir.path().join("base"), "1".repeat(40)).unwrap();
    assert_eq!(run.end().report.outputs, Vec::<String>::new());
}

#[test]
fn outputs_are_told_while_the_agent_runs() {
    let run = Run::of(
        r#"printf '%s\n' ---AXON_OUTPUTS_START--- one ---AXON_OUTPUTS_END---
        while ! [ -e "$DIR/go" ]; do sleep 0.01; done"#,
    )
    .start();
    await_that("the report", || run.report().is_some());
    let report = run.report().unwrap();
    assert_eq!(report.outputs, ["one"]);
    assert_eq!((report.succeeded, report.exit_code), (false, None));
    fs::write(run.dir.path().join("go"), "").unwrap();
    assert!(run.end().report.succeeded);
}

#[test]
fn the_exit_code_is_kept() {
    let check = |script: &str, code: i32, message: &str| {
        let ended = Run::of(script).end();
        assert_eq!(
            (ended.code(), ended.report.exit_code),
            (code, Some(code)),
            "{script}"
        );
        assert_eq!(ended.message(), message);
        assert!(!ended.report.succeeded);
    };
    check("exit 3", 3, "the agent exited with 3");
    check(
        "echo first >&2; echo last >&2; exit 255",
        255,
        "the agent exited with 255:\nfirst\nlast",
    );
    check("kill -9 $$", 137, "the agent was killed by SIGKILL");
}

#[test]
fn an_agent_that_cannot_be_started() {
    let check = |arrange: fn(&Path), code: i32| {
        let run = Run::of("");
        arrange(&run.dir.path().join("entry"));
        let ended = run.end();
        assert_eq!(ended.code(), code);
        assert!(
            ended.message().starts_with("cannot start "),
            "{}",
            ended.message()
        );
    };
    check(|entry| fs::remove_file(entry).unwrap(), 127);
    check(
        |entry| fs::set_permissions(entry, fs::Permissions::from_mode(0o644)).unwrap(),
        126,
    );
    check(
        |entry| fs::remove_file(entry.with_file_name("prompt")).unwrap(),
        126,
    );
}

#[test]
fn a_stop_begins_with_an_interrupt() {
    let run = Run::of(
        r#"trap 'echo cost: 1 > "$AXON_RESULTS_FILE"; exit 0' INT
        touch "$DIR/ready"; while :; do sleep 0.01; done"#,
    )
    .start();
    run.await_file("ready");
    run.signal(Signal::SIGTERM);
    let ended = run.end();
    // It calls the interruption a success; it is none.
    assert_eq!((ended.code(), ended.report.succeeded), (143, false));
    assert_eq!(
        ended.message(),
        "the agent was stopped by SIGTERM and exited with 0"
    );
    assert_eq!(ended.report.results["cost"], "1");
}

#[test]
fn a_stop_goes_on_to_terminate_and_to_kill() {
    let check = |trap: &str, message: &str| {
        let run = Run::of(&format!(
            "exec 2>/dev/null\n{trap}\ntouch \"$DIR/ready\"; while :; do sleep 0.01; done"
        ))
        .args(&["--term-after", "0.2", "--kill-after", "0.6"])
        .start();
        run.await_file("ready");
        run.signal(Signal::SIGINT);
        assert_eq!(run.end().message(), message);
    };
    check(
        "trap '' INT; trap 'exit 9' TERM",
        "the agent was stopped by SIGINT and exited with 9",
    );
    check(
        "trap '' INT TERM",
        "the agent was stopped by SIGINT and ended by SIGKILL",
    );
}

/// The agent does not end, something else keeps its output open, and nobody reads ours.
#[test]
fn a_stop_has_an_end_whatever_holds_it_up() {
    let mut run = Run::of(
        r#"trap '' INT TERM; setsid sh -c 'yes' & touch "$DIR/ready"; while :; do sleep 0.01; done"#,
    )
    .args(&["--term-after", "0.1", "--kill-after", "0.2"])
    .start();
    run.await_file("ready");
    let begun = Instant::now();
    run.signal(Signal::SIGTERM);
    run.child.wait().unwrap();
    let took = begun.elapsed();
    // Twice five seconds where nobody waits.
    assert!(took < Duration::from_secs(9), "{took:?}");
    assert_eq!(run.report().unwrap().exit_code, Some(137));
}

#[test]
fn a_stop_after_the_end_changes_nothing() {
    let run = Run::of("sleep 1000 & echo $$ > \"$DIR/pid.new\"; mv \"$DIR/pid.new\" \"$DIR/pid\"")
        .args(&["--drain", "1000"])
        .start();
    run.await_file("pid");
    let pid = fs::read_to_string(run.dir.path().join("pid")).unwrap();
    await_that("the agent's end", || !is_alive(&pid));
    run.signal(Signal::SIGTERM);
    let ended = run.end();
    assert_eq!((ended.code(), ended.report.succeeded), (0, true));
}

#[test]
fn what_the_agent_leaves_behind_is_killed() {
    // One in the agent's group that keeps its output open, and one that left the group.
    let ended = Run::of(
        r#"sleep 1000 & echo $! > "$DIR/one"
        setsid sh -c 'echo $$ > "$DIR/two"; exec sleep 1000' >/dev/null 2>&1 &
        while ! [ -s "$DIR/two" ]; do sleep 0.01; done
        echo printed"#,
    )
    .args(&["--drain", "0.1"])
    .end();
    assert_eq!((ended.code(), ended.stdout().as_str()), (0, "printed\n"));
    for name in ["one", "two"] {
        let pid = String::from_utf8(ended.file(name)).unwrap();
        assert!(!is_alive(&pid), "{name}");
    }
}

#[test]
fn the_agent_does_not_outlive_a_killed_helper() {
    let run = Run::of(r#"echo $$ > "$DIR/new"; mv "$DIR/new" "$DIR/pid"; exec sleep 300"#);
    let mut run = run.start();
    run.await_file("pid");
    let pid = fs::read_to_string(run.dir.path().join("pid")).unwrap();
    assert!(is_alive(&pid));
    run.child.kill().unwrap();
    run.child.wait().unwrap();
    await_that("the agent's end", || !is_alive(&pid));
}

#[test]
fn the_group_keeps_its_number_while_others_of_it_live() {
    let script = r#"(while kill -0 $$; do grep -q "^State:.Z" /proc/$$/status && touch "$DIR/kept"
        sleep 0.05; done; touch "$DIR/lost") 2>/dev/null & exit 3"#;
    let run = Run::of(script).args(&["--drain", "60"]).start();
    run.await_file("kept");
    run.signal(Signal::SIGTERM);
    let ended = run.end();
    assert_eq!(ended.code(), 3);
    assert!(!ended.dir.path().join("lost").exists());
}

#[test]
fn output_after_the_agents_end_is_drained() {
    let ended = Run::of("(sleep 0.2; echo late) &").end();
    assert_eq!(ended.stdout(), "late\n");
}

#[test]
fn much_output_is_passed_on_whole() {
    let mut run = Run::of("head -c 20000000 /dev/zero | tr '\\0' 'a'; echo; echo end").start();
    let mut bytes = Vec::new();
    run.child
        .stdout
        .take()
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    assert_eq!(bytes.len(), 20_000_005);
    assert!(bytes.ends_with(b"a\nend\n"));
    assert!(run.end().report.succeeded);
}

#[test]
fn a_reader_that_went_away_does_not_stop_the_agent() {
    let mut run = Run::of(
        r#"touch "$DIR/ready"; while ! [ -e "$DIR/go" ]; do sleep 0.01; done; seq 100000; exit 4"#,
    )
    .start();
    run.await_file("ready");
    drop(run.child.stdout.take());
    fs::write(run.dir.path().join("go"), "").unwrap();
    assert_eq!(run.end().code(), 4);
}

#[test]
fn a_wrong_command_line() {
    let output = Command::new(env!("CARGO_BIN_EXE_axon-helper"))
        .args(["run", "--what", "x"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--what"));
}
