//! What a Codex run used, from its session file: its stream tells that only at the very end, and
//! not at all when it was stopped.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Read as _;
use std::io::Seek as _;
use std::io::SeekFrom;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;

use crate::report::Usage;
use crate::stream::codex_tokens;

/// Sessions lie by year, month and day.
const DEPTH: usize = 3;
/// Most entries that are looked at; a home has one session, or what a volume kept of some months.
const MAX_ENTRIES: usize = 4096;
/// How much of the file's end is read. The counts come after each answer, so the last ones lie
/// within, unless a tool gave back more than this since.
const TAIL: u64 = 512 * 1024;

/// The session file, once it was found.
#[derive(Debug, Default)]
pub(crate) struct CodexSession {
    file: Option<PathBuf>,
}

impl CodexSession {
    /// What the session used so far. `home`: `CODEX_HOME`; `session`: the id that the stream tells.
    pub(crate) fn usage(&mut self, home: &Path, session: &str) -> Option<Usage> {
        if self.file.is_none() {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
            if session.is_empty() || !session.chars().all(plain) {
                return None;
            }
            let end = format!("-{session}.jsonl");
            self.file = find(&home.join("sessions"), &end, DEPTH, &mut { MAX_ENTRIES });
        }
        let text = tail(self.file.as_deref()?).ok()?;
        text.lines().rev().find_map(total)
    }
}

fn find(dir: &Path, end: &str, depth: usize, left: &mut usize) -> Option<PathBuf> {
    for entry in fs::read_dir(dir).ok()?.flatten() {
        *left = left.checked_sub(1)?;
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_dir && depth > 0 {
            if let Some(found) = find(&entry.path(), end, depth - 1, left) {
                return Some(found);
            }
        } else if !is_dir && entry.file_name().to_string_lossy().ends_with(end) {
            return Some(entry.path());
        }
    }
    None
}

/// The end of the file, the first line of which may be cut.
fn tail(path: &Path) -> io::Result<String> {
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The sum that a line tells.
fn total(line: &str) -> Option<Usage> {
    // Most lines are long and tell something else.
    if !line.contains("\"token_count\"") {
        return None;
    }
    let line: Value = serde_json::from_str(line).ok()?;
    let payload = &line["payload"];
    let total = &payload["info"]["total_token_usage"];
    (payload["type"] == "token_count" && total.is_object()).then(|| codex_tokens(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01a20428-9600-7c31-b2b5-1a7b12e4924f";

    fn count(input: u64) -> String {
        format!(
            "{{\"type\":\"event_msg\",\"payload\":{{\"type\":\"token_count\",\"info\":{{\"total_token_usage\":{{\"input_tokens\":{input},\"cached_input_tokens\":100,\"output_tokens\":21}},\"last_token_usage\":{{\"input_tokens\":1}}}}}}}}\n"
        )
    }

    fn usage_of(text: &str) -> Option<(u64, u64, u64)> {
        let dir = tempfile::tempdir().unwrap();
        let day = dir.path().join("sessions/2026/11/23");
        fs::create_dir_all(&day).unwrap();
        fs::write(day.join("rollout-1-other.jsonl"), count(7)).unwrap();
        fs::write(day.join(format!("rollout-2-{ID}.jsonl")), text).unwrap();
        let usage = CodexSession::default().usage(dir.path(), ID)?;
        Some((
            usage.input_tokens,
            usage.cached_input_tokens,
            usage.output_tokens,
        ))
    }

    #[test]
    fn the_last_count_of_the_right_session() {
        let noise = "{\"type\":\"response_item\",\"payload\":{\"text\":\"token_count\"}}\n";
        let none =
            "{\"type\":\"event_msg\",\"payload\":{\"type\":\"token_count\",\"info\":null}}\n";
        let text = [&count(900), noise, &count(1100), none, noise, "{\"cut"].concat();
        assert_eq!(usage_of(&text), Some((1100, 100, 21)));
        assert_eq!(usage_of(&noise.repeat(20)), None);
        let long = "x".repeat(3 << 20) + "\n" + &count(5) + &"y".repeat(100_000);
        assert_eq!(usage_of(&long), Some((5, 100, 21)));
    }

    #[test]
    fn odd_sessions() {
        let dir = tempfile::tempdir().unwrap();
        let none = |id: &str| CodexSession::default().usage(dir.path(), id);
        assert_eq!(none(ID), None);
        assert_eq!(none(""), None);
        assert_eq!(none("../../etc/passwd"), None);
        let sessions = dir.path().join("sessions");
        fs::create_dir(&sessions).unwrap();
        let pipe = sessions.join(format!("rollout-{ID}.jsonl"));
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(CodexSession::default().usage(dir.path(), ID), None);
    }
}
