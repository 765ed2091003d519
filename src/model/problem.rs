//! What is wrong with something a person wrote.

use std::fmt;

use super::code::Code;
use super::snapshot::RepoPath;

/// Something wrong with a value, not yet tied to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// JSON pointer from the root of the value, for example `/spec/when/cron/schedule`.
    pub pointer: String,
    /// What is wrong and what was expected, in one line: "expected a duration such as "5m", got 300".
    pub message: String,
    /// What a person can do, if that is more than the message says.
    pub hint: Option<String>,
    pub severity: Severity,
    pub code: Code,
}

impl Problem {
    /// An error of the most general kind; [`Self::code`] tells it better.
    pub fn error(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            message: message.into(),
            hint: None,
            severity: Severity::Error,
            code: Code::InvalidValue,
        }
    }

    #[must_use]
    pub fn code(mut self, code: Code) -> Self {
        self.code = code;
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Whether a problem stops what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Error,
    Warning,
}

/// A [`Problem`] with its place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub place: Place,
    pub message: String,
    pub hint: Option<String>,
    pub severity: Severity,
    pub code: Code,
    /// How many characters from `place` on are meant; 0 where only the place is known.
    pub width: usize,
    /// The line of the file that `place` names, cut to what a terminal shows; empty if there is none.
    pub line_text: String,
}

/// A place in a file. Line and column count from 1; the column counts characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub file: RepoPath,
    pub line: usize,
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// The beginning of a text of unknown length, fit for a message of one line.
pub fn brief(text: &str) -> String {
    const SHOWN: usize = 60;
    let line = text.lines().next().unwrap_or_default();
    let mut brief: String = line.chars().take(SHOWN).collect();
    if brief.len() < text.len() {
        brief.push('…');
    }
    brief
}
