//! What came out of a run, told through the termination message.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use nix::sys::signal::Signal;

use crate::bounded;
use crate::capture::Capture;
use crate::capture::Captured;
use crate::git_state;
use crate::mask::Secrets;
use crate::options::Options;
use crate::options::complain;
use crate::process::End;
use crate::report;
use crate::report::Report;
use crate::tail::Tail;

/// Largest results file that is read; a report holds far less.
const MAX_RESULTS: u64 = 64 * 1024;
/// How much of stderr goes into the message: a report keeps a kilobyte of it.
const MAX_STDERR: usize = 800;

/// What the readers of both streams have seen.
#[derive(Debug, Default)]
pub(crate) struct Shared(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    captured: Captured,
    /// One for each stream, once something came of it.
    captures: [Option<Capture>; 2],
    stderr: Tail,
}

impl Shared {
    /// Takes masked output of one stream; whether it held something worth telling at once.
    pub(crate) fn take(
        &self,
        bytes: &[u8],
        ended: bool,
        is_stderr: bool,
        url_host: Option<&str>,
    ) -> bool {
        let mut seen = self.lock();
        let Seen {
            captured,
            captures,
            stderr,
        } = &mut *seen;
        if is_stderr {
            stderr.push(bytes);
        }
        let capture =
            captures[usize::from(is_stderr)].get_or_insert_with(|| Capture::new(url_host));
        let news = capture.push(bytes, captured);
        if ended {
            capture.finish(captured);
        }
        news
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        // What a reader that panicked left behind is as good as what it had seen.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes reports and writes them.
#[derive(Debug)]
pub(crate) struct Outcome<'r> {
    options: &'r Options,
    secrets: &'r Secrets,
    shared: &'r Shared,
}

impl<'r> Outcome<'r> {
    pub(crate) fn new(options: &'r Options, secrets: &'r Secrets, shared: &'r Shared) -> Self {
        Self {
            options,
            secrets,
            shared,
        }
    }

    /// Writes what there is while the agent runs: whoever kills the helper too loses no more than
    /// what came after.
    pub(crate) fn tell_progress(&self) {
        self.write(&self.report());
    }

    /// Writes how it ended; gives the helper's exit code.
    pub(crate) fn finish(&self, end: End, stopped_by: Option<Signal>) -> i32 {
        // An agent that was interrupted has not done its task, also if it calls that a success.
        let code = match (end.code(), stopped_by) {
            (0, Some(signal)) => 128 + signal as i32,
            (code, _) => code,
        };
        let why = match (end, stopped_by) {
            (End::Exited(0), None) => None,
            (End::Exited(code), None) => Some(format!("the agent exited with {code}")),
            (End::Signalled(signal), None) => Some(format!("the agent was killed by {signal}")),
            (End::Exited(code), Some(asked)) => Some(format!(
                "the agent was stopped by {asked} and exited with {code}"
            )),
            (End::Signalled(signal), Some(asked)) => Some(format!(
                "the agent was stopped by {asked} and ended by {signal}"
            )),
        };
        let mut report = self.report();
        report.exit_code = Some(code);
        report.succeeded = code == 0;
        report.message = why.map(|why| self.with_stderr(why));
        self.write(&report);
        code
    }

    /// Writes why the agent could not be started; gives the helper's exit code.
    pub(crate) fn not_started(&self, error: &io::Error, code: i32) -> i32 {
        let program = self.options.command[0].display();
        let message = self
            .secrets
            .mask(&format!("cannot start {program}: {error}"));
        complain(&message);
        self.write(&Report {
            exit_code: Some(code),
            ..Report::failed(message)
        });
        code
    }

    fn with_stderr(&self, why: String) -> String {
        let lines = self.shared.lock().stderr.lines(MAX_STDERR);
        if lines.is_empty() {
            why
        } else {
            format!("{why}:\n{lines}")
        }
    }

    /// What is known of the run so far.
    fn report(&self) -> Report {
        let mut outputs = Vec::new();
        let base = self
            .options
            .base_file
            .as_deref()
            .and_then(git_state::commit_in);
        let state = self.options.repo_dir.as_deref().and_then(git_state::read);
        if let Some(state) = state.filter(|state| Some(&state.commit) != base.as_ref()) {
            outputs.extend(state.branch.map(|branch| format!("branch: {branch}")));
            outputs.push(format!("commit: {}", state.commit));
        }
        let seen = self.shared.lock();
        for line in seen
            .captured
            .pull_requests
            .iter()
            .chain(&seen.captured.lines)
        {
            if !outputs.contains(line) {
                outputs.push(line.clone());
            }
        }
        let (results, more) = self
            .options
            .results_file
            .as_deref()
            .map_or_else(Default::default, results);
        let masked = |text: String| self.secrets.mask(&text);
        Report {
            outputs: outputs.into_iter().map(masked).collect(),
            results: results
                .into_iter()
                .map(|(key, value)| (masked(key), masked(value)))
                .collect(),
            cut: seen.captured.cut || more,
            ..Report::default()
        }
    }

    fn write(&self, report: &Report) {
        if let Some(path) = &self.options.termination_log
            && let Err(error) = report.write_to(path)
        {
            complain(&format!("cannot write {}: {error}", path.display()));
        }
    }
}

/// `key: value` lines of the results file, and whether something of it was left out.
fn results(path: &Path) -> (BTreeMap<String, String>, bool) {
    let Ok((bytes, mut cut)) = bounded::read(path, MAX_RESULTS) else {
        return <_>::default();
    };
    let text = String::from_utf8_lossy(&bytes);
    let mut results = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line.split_once(':') {
            Some((key, value)) if report::is_key(key.trim_end()) => {
                results.insert(key.trim_end().to_owned(), value.trim_start().to_owned());
            }
            Some(_) | None => cut = true,
        }
    }
    (results, cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results");
        assert_eq!(results(&path), (BTreeMap::new(), false));
        std::fs::write(
            &path,
            "tests: 12 passed\n\n url : https://x/y:z \ntests: 13\n",
        )
        .unwrap();
        let expected = [("tests", "13"), ("url", "https://x/y:z")];
        let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(results(&path), (BTreeMap::from(expected), false));
        std::fs::write(&path, "no result\nbad key!: x\n").unwrap();
        assert_eq!(results(&path), (BTreeMap::new(), true));
    }
}
