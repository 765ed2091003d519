//! Agents that print, fork and resist too much.

use std::fs;
use std::io::Read;

use nix::sys::signal::Signal;

use crate::fixture::Run;
use crate::fixture::Running;
use crate::fixture::is_alive;

/// Most memory that a helper may need, whatever is printed; the program itself is a third of it.
const MAX_MEMORY_KB: u64 = 16 * 1024;
/// How much is printed.
const MUCH: usize = 200_000_000;

/// Reads all that the helper prints; gives how much it was, and its end.
fn swallow(run: &mut Running) -> (usize, Vec<u8>) {
    let mut stdout = run.child.stdout.take().unwrap();
    let (mut length, mut last, mut chunk) = (0, Vec::new(), vec![0; 1 << 20]);
    loop {
        let read = stdout.read(&mut chunk).unwrap();
        if read == 0 {
            return (length, last);
        }
        length += read;
        last.extend_from_slice(&chunk[..read]);
        last.drain(..last.len().saturating_sub(100));
        if last.ends_with(b"ready\n") {
            return (length, last);
        }
    }
}

/// The most memory that the helper had so far.
fn peak_kb(run: &Running) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", run.child.id())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn check_flat(print: &str, expected: usize) {
    let script = format!(r#"{print}; echo ready; while ! [ -e "$DIR/go" ]; do sleep 0.01; done"#);
    let mut run = Run::of(&script)
        .args(&["--agent", "claude-code", "--mask", "TOKEN"])
        .args(&["--url-host", "github.com"])
        .env("TOKEN", "hunter2secret")
        .start();
    let (length, last) = swallow(&mut run);
    assert_eq!(length, expected + "ready\n".len());
    assert!(last.ends_with(b"ready\n"));
    let peak = peak_kb(&run);
    assert!(peak < MAX_MEMORY_KB, "{peak} kB");
    fs::write(run.dir.path().join("go"), "").unwrap();
    run.end();
}

#[test]
fn one_line_without_end_needs_no_memory() {
    check_flat(&format!("head -c {MUCH} /dev/zero | tr '\\0' x"), MUCH);
}

#[test]
fn an_event_without_end_needs_no_memory() {
    let head = r#"{"type":"result","result":""#;
    check_flat(
        &format!("printf '{head}'; head -c 20000000 /dev/zero | tr '\\0' x; printf '\"}}\\n'"),
        20_000_000 + head.len() + "\"}\n".len(),
    );
    check_flat(
        "yes '[0,[],{\"a\":1}],' | head -c 20000000 | tr -d '\\n' | sed '1s/^/{\"a\":[/'; echo",
        20_000_000 - 20_000_000 / 16 + "{\"a\":[".len() + 1,
    );
}

#[test]
fn many_lines_need_no_memory() {
    let line = r#"{"type":"user","message":{"content":[{"type":"tool_result","content":"x"}]}}"#;
    let lines = 200_000;
    check_flat(
        &format!("yes '{line}' | head -n {lines}"),
        lines * (line.len() + 1),
    );
}

#[test]
fn an_agent_that_ignores_all_that_can_be_ignored() {
    let run = Run::of(
        r#"exec 2>/dev/null; trap '' INT TERM HUP QUIT
        sh -c 'echo $$ > "$DIR/child.new"; mv "$DIR/child.new" "$DIR/child"; while :; do sleep 0.05; done' &
        while :; do sleep 0.05; done"#,
    )
    .args(&["--term-after", "0.1", "--kill-after", "0.3", "--drain", "0.1"])
    .start();
    run.await_file("child");
    let child = fs::read_to_string(run.dir.path().join("child")).unwrap();
    run.signal(Signal::SIGTERM);
    let ended = run.end();
    assert_eq!(ended.code(), 137);
    assert!(!is_alive(&child));
}

#[test]
fn a_crowd_of_grandchildren_that_hold_the_output() {
    // Each leaves the group, has a child, and ignores what it can.
    let ended = Run::of(
        r#"n=0; while [ $n -lt 60 ]; do n=$((n+1))
            setsid sh -c 'trap "" INT TERM HUP; sh -c "echo \$\$ >> \"$DIR/pids\"; exec sleep 1000" & echo $$ >> "$DIR/pids"; wait' &
        done
        while [ "$(wc -l < "$DIR/pids")" -lt 120 ]; do sleep 0.01; done; echo printed"#,
    )
    .args(&["--drain", "0.1"])
    .end();
    assert_eq!((ended.code(), ended.stdout().as_str()), (0, "printed\n"));
    let pids = String::from_utf8(ended.file("pids")).unwrap();
    assert_eq!(pids.lines().count(), 120);
    assert!(pids.lines().all(|pid| !is_alive(pid)));
}

#[test]
fn a_bomb_is_put_out() {
    // Whoever dies has been replaced before: a crowd that never stands still, bounded by generation.
    let ended = Run::of(
        r#"echo '[ $1 -gt 400 ] && exit; setsid sh "$0" $(($1+1)) & sleep 0.05' > "$DIR/bomb"
        for n in 1 2 3 4; do setsid sh "$DIR/bomb" 0 & done; sleep 0.2; exit 5"#,
    )
    .args(&["--drain", "0"])
    .end();
    assert_eq!(ended.code(), 5);
    let bomb = ended
        .dir
        .path()
        .join("bomb")
        .into_os_string()
        .into_encoded_bytes();
    let left = fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        words.windows(bomb.len()).any(|part| part == bomb)
    });
    assert_eq!(left.count(), 0);
}
