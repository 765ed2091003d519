//! Collects what is wrong, in the words and with the lines that a person is shown.

use std::collections::HashSet;

use crate::model::Code;
use crate::model::Diagnostic;
use crate::model::Problem;
use crate::model::RepoPath;
use crate::model::leak;
use crate::model::problem::Place;
use crate::model::problem::Severity;

use super::node::Mark;

/// Most problems that are told: nobody reads more, and a hostile file must not fill memory.
pub(super) const MAX_DIAGNOSTICS: usize = 100;
/// Longest part of a line that is shown.
const MAX_LINE: usize = 160;
/// Longest part of a line that is looked through for credentials.
const MAX_MASKED: usize = 4096;
/// Longest word that is compared with known words.
const MAX_WORD: usize = 64;
/// Shortest beginning of a word that is taken for it.
const MIN_BEGINNING: usize = 3;
/// Most known words that are listed.
const MAX_KNOWN: usize = 12;

/// One input file, as text.
pub(super) struct Source<'a> {
    pub(super) path: &'a RepoPath,
    /// Empty where the file is not text.
    pub(super) text: &'a str,
    /// Byte offsets at which lines begin.
    lines: Vec<usize>,
}

impl<'a> Source<'a> {
    pub(super) fn new(path: &'a RepoPath, text: &'a str) -> Self {
        let after_breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(after_breaks).collect();
        Self { path, text, lines }
    }

    fn raw_line(&self, number: usize) -> Option<&'a str> {
        let start = *self.lines.get(number.checked_sub(1)?)?;
        self.text[start..].lines().next()
    }

    /// A line, fit to be shown: cut, without control characters and without credentials.
    fn line(&self, number: usize) -> String {
        let line = self.raw_line(number).unwrap_or_default();
        // Masked as a whole: a part of a token is not known for one.
        let shown: String = line.chars().take(MAX_MASKED).collect();
        let shown = leak::masked_line(&shown);
        let shown = shown.chars().take(MAX_LINE);
        shown
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect()
    }
}

/// What is wrong so far.
pub(super) struct Report<'a> {
    sources: Vec<Source<'a>>,
    found: Vec<(Mark, Diagnostic)>,
    seen: HashSet<(Mark, String)>,
    /// Places of errors, told or not.
    refused: HashSet<Mark>,
    untold: usize,
    /// Texts that are being expanded, and with what.
    expanding: Option<(HashSet<Mark>, String)>,
}

impl<'a> Report<'a> {
    pub(super) fn new(sources: Vec<Source<'a>>) -> Self {
        Self {
            sources,
            found: Vec::new(),
            seen: HashSet::new(),
            refused: HashSet::new(),
            untold: 0,
            expanding: None,
        }
    }

    pub(super) fn text(&self, file: usize) -> &'a str {
        self.sources[file].text
    }

    pub(super) fn place(&self, mark: Mark) -> Place {
        Place {
            file: self.sources[mark.file].path.clone(),
            line: mark.line,
            column: mark.column,
        }
    }

    /// The place of a line and a column within the text that stands at `mark`, where what is written
    /// there shows it: in a block, and on one line without escapes.
    pub(super) fn inside(
        &self,
        mark: Mark,
        text: &str,
        line: usize,
        column: usize,
    ) -> Option<Mark> {
        // A block begins at its first line that is not empty.
        let empty = text.len() - text.trim_start_matches('\n').len();
        let at = (mark.line + line).checked_sub(1 + empty)?;
        let wanted = text.lines().nth(line.checked_sub(1)?)?;
        let written = self.sources[mark.file].raw_line(at)?;
        let written: String = written.chars().skip(mark.column - 1).collect();
        let quote = usize::from(written.starts_with(['"', '\'']));
        let as_written = written.get(quote..)?.starts_with(wanted);
        as_written.then_some(Mark {
            line: at,
            column: mark.column + quote + column - 1,
            width: 0,
            ..mark
        })
    }

    /// Whether another problem would still be told: what costs time to word can ask first.
    pub(super) fn has_room(&self) -> bool {
        self.found.len() < MAX_DIAGNOSTICS
    }

    pub(super) fn has_errors(&self) -> bool {
        !self.refused.is_empty()
    }

    /// Whether an error was found at this very place.
    pub(super) fn is_refused(&self, mark: Mark) -> bool {
        self.refused.contains(&mark)
    }

    pub(super) fn error(&mut self, code: Code, mark: Mark, message: impl Into<String>) {
        self.add(mark, Problem::error("", message).code(code));
    }

    pub(super) fn error_with(
        &mut self,
        code: Code,
        mark: Mark,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        let mut problem = Problem::error("", message).code(code);
        problem.hint = hint;
        self.add(mark, problem);
    }

    pub(super) fn warning(
        &mut self,
        code: Code,
        mark: Mark,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        let mut problem = Problem::error("", message).code(code);
        problem.severity = Severity::Warning;
        problem.hint = hint;
        self.add(mark, problem);
    }

    /// What is told of these places from now on holds for these values of a fleet.
    pub(super) fn enter(&mut self, marks: &HashSet<Mark>, values: String) {
        match &mut self.expanding {
            Some((_, old)) => *old = values,
            None => self.expanding = Some((marks.clone(), values)),
        }
    }

    /// Ends what [`Self::enter`] began.
    pub(super) fn leave(&mut self) {
        self.expanding = None;
    }

    /// Adds a problem, unless the same was said of the same place before.
    pub(super) fn add(&mut self, mark: Mark, problem: Problem) {
        let is_error = problem.severity == Severity::Error;
        if is_error {
            self.refused.insert(mark);
        }
        if self.seen.contains(&(mark, problem.message.clone())) {
            return;
        }
        if !self.has_room() {
            self.untold += usize::from(is_error);
            return;
        }
        self.seen.insert((mark, problem.message.clone()));
        let diagnostic = Diagnostic {
            place: self.place(mark),
            message: leak::masked(&problem.message),
            hint: self.with_values(mark, problem.hint.map(|it| leak::masked(&it))),
            severity: problem.severity,
            code: problem.code,
            width: mark.width,
            line_text: self.sources[mark.file].line(mark.line),
        };
        self.found.push((mark, diagnostic));
    }

    fn with_values(&self, mark: Mark, hint: Option<String>) -> Option<String> {
        match &self.expanding {
            Some((marks, values)) if marks.contains(&mark) => {
                let values = format!("with {values}");
                Some(hint.map_or(values.clone(), |hint| format!("{hint} ({values})")))
            }
            Some(_) | None => hint,
        }
    }

    /// All that was found, in the order of files and lines.
    pub(super) fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        self.found.sort_by_key(|(mark, _)| *mark);
        let mut told: Vec<_> = self.found.into_iter().map(|(_, told)| told).collect();
        if let (Some(last), true) = (told.last(), self.untold > 0) {
            told.push(Diagnostic {
                place: last.place.clone(),
                message: format!("{} more problems are not shown", self.untold),
                hint: None,
                severity: Severity::Error,
                code: Code::NotShown,
                width: 0,
                line_text: String::new(),
            });
        }
        told
    }
}

/// "did you mean", or the known words where none is near.
pub fn suggest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<String> {
    let known: Vec<&str> = known.collect();
    if let Some(near) = nearest(word, &known) {
        return Some(format!("did you mean \"{near}\"?"));
    }
    if known.is_empty() {
        return None;
    }
    let mut listed = quoted(known.iter().take(MAX_KNOWN).copied());
    if known.len() > MAX_KNOWN {
        listed.push_str(", …");
    }
    Some(format!("known here: {listed}"))
}

/// The known word that `word` was most likely meant to be.
fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    if word.len() > MAX_WORD {
        return None;
    }
    let word = word.to_lowercase();
    // The beginning of one word alone is that word.
    let mut begun = known.iter().filter(|it| it.starts_with(&word));
    if let (Some(one), None, true) = (begun.next(), begun.next(), word.len() >= MIN_BEGINNING) {
        return Some(one);
    }
    let distance = |other: &str| strsim::damerau_levenshtein(&word, &other.to_lowercase());
    let (near, off) = known
        .iter()
        .filter(|other| other.len() <= MAX_WORD)
        .map(|other| (*other, distance(other)))
        .min_by_key(|(_, off)| *off)?;
    // A third of the letters may be wrong, and at least one, but not all.
    let letters = near.chars().count();
    (off <= (letters / 3).max(1) && off < letters).then_some(near)
}

/// `"a", "b"`.
pub(super) fn quoted<'k>(words: impl Iterator<Item = &'k str>) -> String {
    let words: Vec<String> = words.map(|word| format!("\"{word}\"")).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions() {
        let check = |word: &str, expected: Option<&str>| {
            assert_eq!(nearest(word, &["prompt", "branch", "type"]), expected);
        };
        check("promt", Some("prompt"));
        check("Prompt", Some("prompt"));
        check("tpye", Some("type"));
        check("image", None);
        check("bra", Some("branch"));
        assert_eq!(
            nearest("claude", &["claude-code", "codex"]),
            Some("claude-code")
        );
        assert_eq!(nearest("c", &["a", "b"]), None);
    }
}
