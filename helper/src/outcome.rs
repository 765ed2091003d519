//! What came out of a run, told through the termination message.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use nix::sys::signal::Signal;

use crate::bounded;
use crate::capture::Capture;
use crate::capture::Captured;
use crate::codex_session::CodexSession;
use crate::git_state;
use crate::mask::Current;
use crate::options::Options;
use crate::options::complain;
use crate::process::End;
use crate::report;
use crate::report::Report;
use crate::report::Usage;
use crate::stream::AgentKind;
use crate::stream::Event;
use crate::stream::Stream;
use crate::stream::price;
use crate::tail::Tail;
use crate::verdict;

/// Largest results file that is read; a report holds far less.
const MAX_RESULTS: u64 = 64 * 1024;
/// How much of stderr goes into the message: a report keeps a kilobyte of it.
const MAX_STDERR: usize = 800;

/// What the readers of both streams have seen.
#[derive(Debug)]
pub(crate) struct Shared(Mutex<Seen>);

#[derive(Debug)]
struct Seen {
    /// What the agent says of itself, unmasked: a mask could spoil it.
    stream: Stream,
    captured: Captured,
    /// One for each stream, once something came of it.
    captures: [Option<Capture>; 2],
    stderr: Tail,
}

/// A piece of what the agent prints.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece<'p> {
    /// As it was printed.
    pub(crate) raw: &'p [u8],
    /// What may be shown by now, without secrets.
    pub(crate) shown: &'p [u8],
    /// Whether it is the last.
    pub(crate) ended: bool,
    pub(crate) is_stderr: bool,
}

impl Shared {
    /// `model`: the one that the agent was asked to use.
    pub(crate) fn new(kind: AgentKind, model: Option<&str>) -> Self {
        Self(Mutex::new(Seen {
            stream: Stream::new(kind).for_model(model).only_own(),
            captured: Captured::default(),
            captures: [None, None],
            stderr: Tail::default(),
        }))
    }

    /// Takes output; whether it held something worth telling at once.
    pub(crate) fn take(&self, piece: Piece<'_>, url_host: Option<&str>) -> bool {
        let mut seen = self.lock();
        let Seen {
            stream,
            captured,
            captures,
            stderr,
        } = &mut *seen;
        let mut news = false;
        if piece.is_stderr {
            stderr.push(piece.shown);
        } else {
            stream.push(piece.raw, &mut |event| news |= is_news(&event));
            if piece.ended {
                stream.finish(&mut |_| {});
            }
        }
        let capture =
            captures[usize::from(piece.is_stderr)].get_or_insert_with(|| Capture::new(url_host));
        news |= capture.push(piece.shown, captured);
        if piece.ended {
            capture.finish(captured);
        }
        news
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        // What a reader that panicked left behind is as good as what it had seen.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the usage may have changed.
fn is_news(event: &Event) -> bool {
    match event {
        Event::Usage(_) | Event::Ended(_) | Event::ToolResult { .. } => true,
        Event::Begun { .. }
        | Event::Text(_)
        | Event::ToolCall { .. }
        | Event::Retry { .. }
        | Event::Warning(_)
        | Event::Plain(_) => false,
    }
}

/// Makes reports and writes them.
#[derive(Debug)]
pub(crate) struct Outcome<'r> {
    pub(crate) options: &'r Options,
    pub(crate) current: &'r Current,
    pub(crate) shared: &'r Shared,
    /// Where Codex keeps its sessions.
    pub(crate) codex_home: Option<PathBuf>,
    pub(crate) codex_session: Mutex<CodexSession>,
    pub(crate) model: Option<String>,
}

impl Outcome<'_> {
    /// Writes what there is while the agent runs: whoever kills the helper too loses no more than
    /// what came after.
    pub(crate) fn tell_progress(&self) {
        self.write(&self.report());
    }

    /// Writes how it ended; gives the helper's exit code.
    pub(crate) fn finish(&self, end: End, stopped_by: Option<Signal>) -> i32 {
        let ended = self.shared.lock().stream.summary().ended.clone();
        let verdict = verdict::of(self.options.agent, end, stopped_by, ended.as_ref());
        let mut report = self.report();
        report.exit_code = Some(verdict.code);
        report.succeeded = verdict.code == 0;
        report.message = verdict.why.map(|why| {
            let why = self.current.secrets().mask(&why);
            if verdict.see_stderr {
                self.with_stderr(why)
            } else {
                why
            }
        });
        self.write(&report);
        verdict.code
    }

    /// Writes why the agent could not be started; gives the helper's exit code.
    pub(crate) fn not_started(&self, error: &io::Error, code: i32) -> i32 {
        let program = self.options.command[0].display();
        let message = self
            .current
            .secrets()
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
        let usage = self.usage();
        let secrets = self.current.secrets();
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
        let masked = |text: String| secrets.mask(&text);
        Report {
            outputs: outputs.into_iter().map(masked).collect(),
            results: results
                .into_iter()
                .map(|(key, value)| (masked(key), masked(value)))
                .collect(),
            usage,
            cut: seen.captured.cut || more,
            ..Report::default()
        }
    }

    /// By the stream; what it does not tell, by Codex' session file.
    fn usage(&self) -> Option<Usage> {
        let (summary, turns) = {
            let seen = self.shared.lock();
            (seen.stream.summary().clone(), seen.stream.turns())
        };
        let known = summary.usage.is_some_and(|usage| usage.cost_usd.is_some());
        let (Some(home), false, Some(session)) = (&self.codex_home, known, &summary.session) else {
            return summary.usage;
        };
        let mut file = self
            .codex_session
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let told = file.read(home, session);
        let in_file = told.usage.map(|usage| Usage { turns, ..usage });
        let model = self.model.as_ref().or(told.model.as_ref());
        let usage = summary.usage.or(in_file)?;
        Some(price::with_estimate(usage, model.map(String::as_str)))
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
