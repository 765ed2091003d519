//! The helper's command line. It is written by a program, so there is no help text.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::stream::AgentKind;

/// Exit code for a wrong command line.
pub(crate) const USAGE_EXIT: i32 = 64;
/// An agent that is interrupted needs some seconds to tell its cost.
const TERM_AFTER: Duration = Duration::from_secs(5);
/// Leaves a third of the kubelet's grace period (30 s): three steps of two seconds at most end what is
/// left and its output, and the report is written.
const KILL_AFTER: Duration = Duration::from_secs(20);
/// How long output may go on after the agent's end, by processes that it left behind.
const DRAIN: Duration = Duration::from_secs(5);

/// What the helper is to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Whose stream standard output is.
    pub(crate) agent: AgentKind,
    pub(crate) prompt_file: PathBuf,
    /// Holds the commit that was checked out.
    pub(crate) base_file: Option<PathBuf>,
    pub(crate) repo_dir: Option<PathBuf>,
    /// Home directory for an agent whose own is not writable.
    pub(crate) home: Option<PathBuf>,
    pub(crate) results_file: Option<PathBuf>,
    /// Holds what the Tasks left that this one waited for.
    pub(crate) dependencies_file: Option<PathBuf>,
    pub(crate) termination_log: Option<PathBuf>,
    /// Names of the environment variables whose values are secret.
    pub(crate) mask: Vec<OsString>,
    /// Directories of files whose contents are secret, now and when they change.
    pub(crate) mask_dirs: Vec<PathBuf>,
    /// Host whose pull requests are outputs.
    pub(crate) url_host: Option<String>,
    /// From the first signal to SIGTERM.
    pub(crate) term_after: Duration,
    /// From the first signal to SIGKILL.
    pub(crate) kill_after: Duration,
    /// From the agent's end to the end of what it left behind.
    pub(crate) drain: Duration,
    /// The entrypoint, and arguments that come before the prompt.
    pub(crate) command: Vec<OsString>,
}

impl Options {
    /// Reads the words after `run`.
    pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let mut args = args;
        let mut options = Self::empty();
        let mut prompt_file = None;
        while let Some(flag) = args.next() {
            if flag == "--" {
                options.command = args.collect();
                break;
            }
            let flag = flag
                .into_string()
                .map_err(|flag| format!("unknown flag {}", flag.display()))?;
            let value = args
                .next()
                .ok_or_else(|| format!("\"{flag}\" needs a value"))?;
            let path = || Some(PathBuf::from(&value));
            match flag.as_str() {
                "--agent" => options.agent = agent(&value)?,
                "--prompt-file" => prompt_file = path(),
                "--base-file" => options.base_file = path(),
                "--repo-dir" => options.repo_dir = path(),
                "--home" => options.home = path(),
                "--results-file" => options.results_file = path(),
                "--dependencies-file" => options.dependencies_file = path(),
                "--termination-log" => options.termination_log = path(),
                "--mask-dir" => options.mask_dirs.extend(path()),
                "--mask" => options.mask.push(value),
                "--url-host" => options.url_host = Some(value.to_string_lossy().into_owned()),
                "--term-after" => options.term_after = seconds(&flag, &value)?,
                "--kill-after" => options.kill_after = seconds(&flag, &value)?,
                "--drain" => options.drain = seconds(&flag, &value)?,
                _ => return Err(format!("unknown flag \"{flag}\"")),
            }
        }
        options.prompt_file = prompt_file.ok_or("\"--prompt-file\" is missing")?;
        if options.command.is_empty() {
            return Err("the program is missing after \"--\"".into());
        }
        Ok(options)
    }

    fn empty() -> Self {
        Self {
            agent: AgentKind::Custom,
            prompt_file: PathBuf::new(),
            base_file: None,
            repo_dir: None,
            home: None,
            results_file: None,
            dependencies_file: None,
            termination_log: None,
            mask: Vec::new(),
            mask_dirs: Vec::new(),
            url_host: None,
            term_after: TERM_AFTER,
            kill_after: KILL_AFTER,
            drain: DRAIN,
            command: Vec::new(),
        }
    }
}

/// Says something to whoever reads the container's log. Where that fails, nobody listens.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "axon-helper: {text}");
}

fn agent(value: &OsString) -> Result<AgentKind, String> {
    let kind = value.to_str().and_then(AgentKind::from_name);
    kind.ok_or_else(|| format!("unknown agent \"{}\"", value.display()))
}

fn seconds(flag: &str, value: &OsString) -> Result<Duration, String> {
    let seconds = value.to_str().and_then(|text| text.parse::<f64>().ok());
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| format!("\"{flag}\" needs a number of seconds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split(' ').map(OsString::from))
    }

    #[test]
    fn a_whole_line() {
        let options = parse(
            "--agent opencode --prompt-file /axon/prompt --mask A --mask B --mask-dir /s --drain 0.5 -- /entry --prompt-file x",
        )
        .unwrap();
        assert_eq!(options.agent, AgentKind::OpenCode);
        assert_eq!(options.prompt_file, PathBuf::from("/axon/prompt"));
        assert_eq!(options.mask, ["A", "B"]);
        assert_eq!(options.mask_dirs, [PathBuf::from("/s")]);
        assert_eq!(options.drain, Duration::from_millis(500));
        assert_eq!(options.command, ["/entry", "--prompt-file", "x"]);
    }

    #[test]
    fn wrong_lines() {
        for line in [
            "-- /entry",
            "--prompt-file p",
            "--prompt-file p --",
            "--what 1 -- x",
            "--drain -1 -- x",
            "--drain",
            "--agent aider --prompt-file p -- x",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
