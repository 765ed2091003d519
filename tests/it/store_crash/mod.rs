//! The embedded server killed at random moments of concurrent writes, many times over one directory;
//! and its files damaged.

mod damage;
mod host;
mod record;

use std::io::BufRead as _;
use std::io::BufReader;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use self::record::Record;

use crate::counts;

/// How often the server is killed, unless `AXON_KILLS` says otherwise.
const ROUNDS: u64 = 200;
/// After at most so many acknowledgements of a round.
const MAX_ACKNOWLEDGED: u64 = 60;
/// Every so many rounds the kill comes while the server starts.
const EARLY: u64 = 10;
/// How long a start of the test's own program may take.
const START_LIMIT: Duration = Duration::from_millis(150);

/// The same numbers in every run.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Starts the server as a process of its own.
fn start(dir: &Path, round: u64, seen: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store_crash::host::host", "--ignored"])
        .args(["--nocapture", "--test-threads=1"])
        .env(host::DIR, dir)
        .env(host::ROUND, round.to_string())
        .env(host::SEEN, seen.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Kills the server after `acknowledged` writes of it and takes down what it told.
fn killed(mut server: Child, acknowledged: Option<u64>, record: &mut Record, random: &mut Random) {
    if acknowledged.is_none() {
        let limit = u64::try_from(START_LIMIT.as_micros()).unwrap();
        std::thread::sleep(Duration::from_micros(random.below(limit)));
        server.kill().unwrap();
    }
    let lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let mut left = acknowledged;
    for line in lines {
        // A line that the kill cut is no acknowledgement.
        let Some(line) = line.unwrap().strip_prefix(host::MARK).map(str::to_owned) else {
            continue;
        };
        let Some(line) = line.strip_suffix(';') else {
            continue;
        };
        record.told(line);
        if let Some(count) = &mut left
            && (line.starts_with("write ") || line.starts_with("delete "))
        {
            if *count == 0 {
                server.kill().unwrap();
                left = None;
            } else {
                *count -= 1;
            }
        }
    }
    let output = server.wait_with_output().unwrap();
    assert_eq!(
        output.status.signal(),
        Some(9),
        "the server ended by itself: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Runs `rounds` over `dir`.
fn kill_often(dir: &Path, rounds: u64, seed: u64) -> Record {
    let mut random = Random::new(seed);
    let mut record = Record::default();
    for round in 1..=rounds {
        record.begin(round);
        let server = start(dir, round, record.seen());
        let early = round % EARLY == 0;
        let after = (!early).then(|| random.below(MAX_ACKNOWLEDGED));
        killed(server, after, &mut record, &mut random);
        record.end();
    }
    record
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "whoever runs the tests says how many rounds there are, and time is told"
)]
fn what_was_acknowledged_survives_every_kill() {
    let rounds = std::env::var("AXON_KILLS").ok();
    let rounds = rounds.map_or(ROUNDS, |it| it.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let record = kill_often(dir.path(), rounds, 0x5eed);
    assert!(record.acknowledged > rounds * 10, "{record:?}");
    assert!(record.events > rounds, "{record:?}");
    let told = format!(
        "killed {rounds} times in {} s: {} acknowledged writes and {} events all kept; \
         of the watches {} went on, {} were told to start anew",
        begun.elapsed().as_secs(),
        record.acknowledged,
        record.events,
        record.resumed,
        record.gone,
    );
    counts::tell("store", &told);
}
