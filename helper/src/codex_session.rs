//! What a Codex run used, from its session file: its stream tells that only at the very end, not at
//! all when it was stopped, and never of which model.

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
    /// What the file told so far.
    told: Told,
}

/// What a session file tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Told {
    /// Without cost and turns.
    pub(crate) usage: Option<Usage>,
    pub(crate) model: Option<String>,
}

impl CodexSession {
    /// What the session told so far. `home`: `CODEX_HOME`; `session`: the id that the stream tells.
    pub(crate) fn read(&mut self, home: &Path, session: &str) -> Told {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if self.file.is_none() && !session.is_empty() && session.chars().all(plain) {
            let end = format!("-{session}.jsonl");
            self.file = find(&home.join("sessions"), &end, DEPTH, &mut { MAX_ENTRIES });
        }
        let text = self.file.as_deref().and_then(|file| tail(file).ok());
        let text = text.unwrap_or_default();
        let lines = || text.lines().rev();
        let told = &mut self.told;
        told.usage = lines().find_map(total).or(told.usage);
        if let Some(model) = lines().find_map(model) {
            told.model = Some(model);
        }
        told.clone()
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
    let line = line_with(line, "\"token_count\"")?;
    let payload = &line["payload"];
    let total = &payload["info"]["total_token_usage"];
    (payload["type"] == "token_count" && total.is_object()).then(|| codex_tokens(total))
}

/// The model that a line tells.
fn model(line: &str) -> Option<String> {
    let line = line_with(line, "\"turn_context\"")?;
    let model = line["payload"]["model"].as_str();
    model
        .filter(|_| line["type"] == "turn_context")
        .map(str::to_owned)
}

/// The line, if it holds `word`: most lines are long and tell something else.
fn line_with(line: &str, word: &str) -> Option<Value> {
    if !line.contains(word) {
        return None;
    }
    serde_json::from_str(line).ok()
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
        let mut session = CodexSession::default();
        let told = session.read(dir.path(), ID);
        let usage = told.usage?;
        // What the file told once is known for good.
        fs::write(day.join(format!("rollout-2-{ID}.jsonl")), "").unwrap();
        assert_eq!(session.read(dir.path(), ID), told);
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
        let told = |id: &str| CodexSession::default().read(dir.path(), id);
        for id in [ID, "", "../../etc/passwd"] {
            assert_eq!(told(id), Told::default());
        }
        let sessions = dir.path().join("sessions");
        fs::create_dir(&sessions).unwrap();
        let pipe = sessions.join(format!("rollout-{ID}.jsonl"));
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(told(ID), Told::default());
    }

    #[test]
    fn the_model() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sessions")).unwrap();
        let file = dir.path().join(format!("sessions/rollout-{ID}.jsonl"));
        fs::write(
            file,
            "{\"type\":\"turn_context\",\"payload\":{\"model\":\"gpt-6.1-sol\"}}\n{\"type\":\"x\",\"payload\":{\"model\":\"turn_context\"}}\n",
        )
        .unwrap();
        let told = CodexSession::default().read(dir.path(), ID);
        assert_eq!(told.model.as_deref(), Some("gpt-6.1-sol"));
    }
}
