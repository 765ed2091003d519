//! Files that mean harm, or that broke on their way: each is answered with a clear error, in bounded time
//! and memory, by the program itself. Their number is counted.

mod bytes;
mod files;
mod mutated;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::process::Output;
use std::time::Duration;
use std::time::Instant;

use files::Case;
use files::Expected;

use crate::counts;

/// What the issue asks for.
const LEAST: usize = 100;
/// Longest that one file may keep somebody waiting, in a build without optimisation on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// Address space, in KiB: enough for the threads of an idle program, and far less than a bomb would take.
const MEMORY: u64 = 1_500_000;
/// Most that is said of one configuration.
const MAX_SAID: usize = 256 << 10;

#[test]
fn every_hostile_configuration_is_answered_within_bounds() {
    let cases = files::all();
    let mut slowest = (Duration::ZERO, "");
    let mut wrong: Vec<String> = Vec::new();
    for case in &cases {
        let dir = tempfile::tempdir().unwrap();
        for (path, bytes) in &case.files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        for (path, target) in &case.links {
            symlink(target, dir.path().join(path)).unwrap();
        }
        let began = Instant::now();
        let output = validate(dir.path());
        let took = began.elapsed();
        wrong.extend(check(case, &output, took).err());
        if took > slowest.0 {
            slowest = (took, &case.name);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(cases.len() >= LEAST, "{}", cases.len());
    let told = format!(
        "{} answered in bounds; the slowest took {:?} ({})",
        cases.len(),
        slowest.0,
        slowest.1
    );
    counts::tell("hostile configurations", &told);
}

fn validate(dir: &Path) -> Output {
    let command = format!("ulimit -v {MEMORY}; exec \"$0\" validate");
    Command::new("sh")
        .args(["-c", &command, env!("CARGO_BIN_EXE_axon")])
        .current_dir(dir)
        .output()
        .unwrap()
}

/// What is wrong with the answer, if anything is.
fn check(case: &Case, output: &Output, took: Duration) -> Result<(), String> {
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&said);
    let wrong = |why: String| {
        let shown: String = text.chars().take(500).collect();
        let name: String = case.name.chars().take(80).collect();
        Err(format!("{name}: {why}: {shown}"))
    };
    let is_refused = output.status.code() == Some(1) && text.contains("error");
    let is_taken = output.status.code() == Some(0);
    let is_expected = match case.expected {
        Expected::Refused => is_refused,
        Expected::Taken => is_taken,
        Expected::Either => is_refused || is_taken,
    };
    let is_odd = |c: char| (c.is_control() && c != '\n') || c == '\u{fffd}';
    if !is_expected || !text.contains(case.says) {
        return wrong(format!("it ended with {}", output.status));
    }
    if took > PATIENCE {
        return wrong(format!("it took {took:?}"));
    }
    if text.len() > MAX_SAID {
        return wrong(format!("it said {} bytes", text.len()));
    }
    if text.contains("panicked") || text.contains(is_odd) {
        return wrong("it said what it must not".into());
    }
    Ok(())
}
