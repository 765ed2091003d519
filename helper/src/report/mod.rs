//! What a container says when it ends: the JSON in its termination message.
//!
//! Written by the helper and the checkout, read by the Task controller. The agent runs under the
//! same user and could forge it: reading is bounded and cleans what it takes.

mod usage;

pub use usage::Usage;

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io;
use std::io::Write as _;
use std::path::Path;

use serde_json::Value;
use serde_json::json;

use crate::plain::is_invisible;

/// Most bytes of a report. The kubelet keeps 12 KiB for all containers of a Pod together, and cuts each
/// one's message to its share: this is what is left with six, ours and four that a cluster puts in.
pub const MAX_BYTES: usize = 2048;
/// Most bytes that are read: the kubelet keeps no more of one container.
const MAX_READ: usize = 4096;
/// Longest message; leaves more than half of the report to outputs.
const MAX_MESSAGE: usize = 768;
/// Longest output line, and longest value of a result.
const MAX_LINE: usize = 1024;
/// Longest key of a result.
const MAX_KEY: usize = 63;
/// Version of the format.
const VERSION: u64 = 1;

/// How a container ended, and what it left.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// One line each: `branch: NAME`, pull-request URLs, `commit: ID`, and lines the agent marked.
    pub outputs: Vec<String>,
    /// From the results file.
    pub results: BTreeMap<String, String>,
    /// Absent while the agent runs, or if it never started.
    pub exit_code: Option<i32>,
    /// False while the agent runs.
    pub succeeded: bool,
    /// Why it failed.
    pub message: Option<String>,
    /// What the agent used so far, if it tells.
    pub usage: Option<Usage>,
    /// Whether something was left out.
    pub cut: bool,
}

impl Report {
    /// A failure before any agent started.
    pub fn failed(message: impl Into<String>) -> Self {
        Self {
            message: Some(message.into()),
            ..Self::default()
        }
    }

    /// As JSON of at most [`MAX_BYTES`] bytes. What does not fit is left out, the least important
    /// first: outcome, message and usage stay, then branch, pull requests, commits, results, marked lines.
    pub fn to_bytes(&self) -> Vec<u8> {
        let message = self.message.as_deref().map(|text| clean(text, MAX_MESSAGE));
        let mut kept = Self {
            message: message.clone(),
            exit_code: self.exit_code,
            succeeded: self.succeeded,
            usage: self.usage,
            cut: self.cut || message != self.message,
            ..Self::default()
        };
        // Room for the mark that says so is kept free.
        let mut room = Room(
            MAX_BYTES.saturating_sub(
                Self {
                    cut: true,
                    ..kept.clone()
                }
                .encoded()
                .len(),
            ),
        );
        let mut outputs: Vec<&String> = self.outputs.iter().collect();
        outputs.sort_by_key(|line| Rank::of(line));
        let marked = outputs.partition_point(|line| Rank::of(line) < Rank::Marked);
        kept.take_outputs(&outputs[..marked], &mut room);
        for (key, value) in &self.results {
            let value_kept = clean(value, MAX_LINE);
            kept.cut |= value_kept != *value;
            if is_key(key)
                && room.take(json!(key).to_string().len() + json!(value_kept).to_string().len() + 2)
            {
                kept.results.insert(key.clone(), value_kept);
            } else {
                kept.cut = true;
            }
        }
        kept.take_outputs(&outputs[marked..], &mut room);
        kept.encoded()
    }

    /// Writes the report to the file that becomes the termination message: in place, for the kubelet
    /// mounts this very file, and without ever leaving it empty.
    pub fn write_to(&self, path: &Path) -> io::Result<()> {
        let bytes = self.to_bytes();
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        file.write_all(&bytes)?;
        file.set_len(bytes.len() as u64)
    }

    fn take_outputs(&mut self, lines: &[&String], room: &mut Room) {
        for line in lines {
            let line_kept = clean(line, MAX_LINE);
            self.cut |= line_kept != **line;
            if room.take(json!(line_kept).to_string().len() + 1) {
                self.outputs.push(line_kept);
            } else {
                self.cut = true;
            }
        }
    }

    fn encoded(&self) -> Vec<u8> {
        let mut value = json!({
            "version": VERSION,
            "outputs": self.outputs,
            "results": self.results,
            "succeeded": self.succeeded,
        });
        if let Some(code) = self.exit_code {
            value["exitCode"] = json!(code);
        }
        if let Some(message) = &self.message {
            value["message"] = json!(message);
        }
        if let Some(usage) = &self.usage {
            value["usage"] = usage.encoded();
        }
        if self.cut {
            value["cut"] = json!(true);
        }
        value.to_string().into_bytes()
    }

    /// What a termination message says, or nothing if it is not a report. What is malformed within
    /// a report is left out, and so is what stands behind it: the end of a longer one, where writing
    /// was cut short.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > MAX_READ {
            return None;
        }
        let mut values = serde_json::Deserializer::from_slice(bytes).into_iter();
        let value: Value = values.next()?.ok()?;
        if value.get("version")?.as_u64()? != VERSION {
            return None;
        }
        let list = value["outputs"].as_array().map_or(&[][..], Vec::as_slice);
        let outputs = list
            .iter()
            .filter_map(Value::as_str)
            .map(|line| clean(line, MAX_LINE));
        let results = value["results"].as_object().into_iter().flatten();
        let results = results.filter(|(key, _)| is_key(key));
        let results = results
            .filter_map(|(key, value)| Some((key.clone(), clean(value.as_str()?, MAX_LINE))));
        Some(Self {
            outputs: outputs.filter(|line| !line.is_empty()).collect(),
            results: results.collect(),
            exit_code: value["exitCode"]
                .as_i64()
                .and_then(|code| i32::try_from(code).ok()),
            succeeded: value["succeeded"].as_bool().unwrap_or(false),
            message: value["message"]
                .as_str()
                .map(|text| clean(text, MAX_MESSAGE)),
            usage: Usage::decoded(&value["usage"]),
            cut: value["cut"].as_bool().unwrap_or(false),
        })
    }
}

/// Bytes that are still free.
struct Room(usize);

impl Room {
    fn take(&mut self, bytes: usize) -> bool {
        match self.0.checked_sub(bytes) {
            Some(left) => {
                self.0 = left;
                true
            }
            None => false,
        }
    }
}

/// What an output line is, in the order of importance.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Branch,
    PullRequest,
    Commit,
    Marked,
}

impl Rank {
    fn of(line: &str) -> Self {
        if line.starts_with("branch: ") {
            Self::Branch
        } else if line.starts_with("https://") && line.contains("/pull/") {
            Self::PullRequest
        } else if line.starts_with("commit: ") {
            Self::Commit
        } else {
            Self::Marked
        }
    }
}

/// Whether `key` may be the key of a result.
pub fn is_key(key: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !key.is_empty() && key.len() <= MAX_KEY && key.chars().all(plain)
}

/// `text` without control characters (a line break stays) and cut to `max` bytes as JSON.
fn clean(text: &str, max: usize) -> String {
    let mut size = 0;
    let mut out = String::new();
    for c in text.chars() {
        let c = match c {
            '\n' => c,
            // Among them what turns or hides text on a terminal.
            c if c.is_control() || is_invisible(c) => '\u{fffd}',
            c => c,
        };
        size += match c {
            '\n' | '"' | '\\' => 2,
            c => c.len_utf8(),
        };
        if size > max {
            break;
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(outputs: &[&str]) -> Report {
        Report {
            outputs: outputs.iter().map(ToString::to_string).collect(),
            exit_code: Some(0),
            succeeded: true,
            ..Report::default()
        }
    }

    #[test]
    fn what_fits_comes_back_as_it_was() {
        let mut full = report(&[
            "branch: fix",
            "https://github.com/a/b/pull/1",
            "commit: 0123",
            "said \"so\" \\ ü 🦀",
        ]);
        full.results.insert("tests".into(), "12 passed".into());
        full.usage = Some(Usage {
            cost_usd: Some(0.006_915),
            estimated: true,
            input_tokens: 2300,
            cached_input_tokens: 300,
            output_tokens: 55,
            turns: 2,
        });
        assert_eq!(Report::parse(&full.to_bytes()), Some(full));
        let failed = Report {
            exit_code: Some(3),
            usage: Some(Usage::default()),
            ..Report::failed("agent exited with 3:\nno key")
        };
        assert_eq!(Report::parse(&failed.to_bytes()), Some(failed));
    }

    #[test]
    fn the_least_important_is_left_out_first() {
        let long = "x\"".repeat(600);
        let mut full = report(&[
            "commit: 0123",
            "branch: fix",
            "https://github.com/a/b/pull/1",
        ]);
        full.outputs
            .extend((0..9000).map(|n| format!("{n} {long}")));
        full.results = (0..3000)
            .map(|n| (format!("k{n}"), "v".repeat(500)))
            .collect();
        full.message = Some("m\u{1}".repeat(9000));
        let bytes = full.to_bytes();
        assert!(bytes.len() <= MAX_BYTES, "{}", bytes.len());
        let read = Report::parse(&bytes).unwrap();
        assert!(read.cut && read.succeeded);
        assert_eq!(
            read.outputs,
            [
                "branch: fix",
                "https://github.com/a/b/pull/1",
                "commit: 0123"
            ]
        );
        assert!(read.results.len() > 1 && read.message.unwrap().len() > 500);
    }

    /// The helper was killed between writing a shorter report over a longer one and cutting the rest.
    #[test]
    fn the_end_of_an_older_report_does_no_harm() {
        let older = report(&["note: one", "note: two"]).to_bytes();
        let newer = Report::failed("no");
        let mut bytes = newer.to_bytes();
        assert!(bytes.len() < older.len());
        bytes.extend(&older[bytes.len()..]);
        assert_eq!(Report::parse(&bytes), Some(newer));
    }

    #[test]
    fn a_report_is_never_too_long() {
        for (outputs, length) in [
            (1, 5000),
            (40, 100),
            (400, 10),
            (4096, 1),
            (3, 1023),
            (4, 1021),
        ] {
            for c in ["a", "\"", "ü", "🦀", "\u{7f}", "\n"] {
                let line = c.repeat(length);
                let bytes = Report {
                    outputs: vec![line; outputs],
                    ..Report::failed(c.repeat(1024))
                }
                .to_bytes();
                assert!(
                    bytes.len() <= MAX_BYTES,
                    "{outputs} × {length} {c:?}: {}",
                    bytes.len()
                );
                assert!(Report::parse(&bytes).is_some());
            }
        }
    }

    #[test]
    fn hostile_reports() {
        assert_eq!(Report::parse(b""), None);
        assert_eq!(Report::parse(b"killed"), None);
        assert_eq!(Report::parse(b"[1]"), None);
        assert_eq!(Report::parse(br#"{"version":9}"#), None);
        assert_eq!(Report::parse(&[b' '; MAX_READ + 1]), None);
        assert_eq!(Report::parse("[".repeat(MAX_READ).as_bytes()), None);
        let odd = "{\"version\":1,\"outputs\":[1,\"a\\u001b[31m\\u202eb\",\"\"],\"results\":{\"../x\":\"1\",\"ok\":2,\"y\":\"z\"},\"exitCode\":99999999999,\"succeeded\":\"yes\"}";
        let read = Report::parse(odd.as_bytes()).unwrap();
        assert_eq!(read.outputs, ["a\u{fffd}[31m\u{fffd}b"]);
        assert_eq!(read.results, BTreeMap::from([("y".into(), "z".into())]));
        assert_eq!((read.exit_code, read.succeeded), (None, false));
    }
}
