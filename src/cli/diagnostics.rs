//! What is wrong with a configuration, as people and their tools are shown it.

pub mod github;
pub mod json;
pub mod sarif;

use std::fmt::Write as _;
use std::path::Path;

use anstyle::AnsiColor;
use anstyle::Style;

use crate::cli::text_diff::visible;
use crate::cli::ui;
use crate::model::Diagnostic;
use crate::model::RepoPath;
use crate::model::problem::Place;
use crate::model::problem::Severity;

/// Frame of a diagnostic.
const FRAME: Style = AnsiColor::Blue.on_default().bold();

/// Prints diagnostics to stderr. `base` is the directory that their paths begin at.
pub fn print(diagnostics: &[Diagnostic], base: Option<&Path>) {
    for diagnostic in diagnostics {
        ui::note(text(diagnostic, base));
    }
}

/// `1 error and 2 warnings`.
pub fn count(diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics
        .iter()
        .filter(|it| it.severity == Severity::Error)
        .count();
    let warnings = diagnostics.len() - errors;
    let words = [(errors, "error"), (warnings, "warning")];
    let words = words.into_iter().filter(|(count, _)| *count > 0);
    let words: Vec<_> = words
        .map(|(count, word)| format!("{count} {word}{}", if count == 1 { "" } else { "s" }))
        .collect();
    words.join(" and ")
}

/// The message, the place, the line with a mark under the column, and what can be done.
fn text(diagnostic: &Diagnostic, base: Option<&Path>) -> String {
    let Diagnostic {
        place,
        message,
        hint,
        severity,
        code,
        width,
        line_text,
    } = diagnostic;
    let word = word(*severity);
    let style = match severity {
        Severity::Error => ui::ERROR,
        Severity::Warning => ui::WARNING,
    };
    let shown = format!("{}:{}:{}", file(place, base), place.line, place.column);
    let number = place.line.to_string();
    let margin = " ".repeat(number.len());
    // Writing to a String cannot fail.
    let mut text = format!("{style}{word}[{code}]{style:#}: {}\n", visible(message));
    writeln!(text, "{margin}{FRAME}-->{FRAME:#} {}", visible(&shown)).ok();
    if !line_text.is_empty() {
        writeln!(text, "{margin} {FRAME}|{FRAME:#}").ok();
        writeln!(text, "{FRAME}{number} |{FRAME:#} {}", visible(line_text)).ok();
        let length = line_text.chars().count();
        let caret = match place.column.checked_sub(1) {
            Some(before) if before <= length => {
                let width = (*width).min(length - before).max(1);
                " ".repeat(before) + &"^".repeat(width)
            }
            _ => String::new(),
        };
        writeln!(text, "{margin} {FRAME}|{FRAME:#} {style}{caret}{style:#}").ok();
    }
    if let Some(hint) = hint {
        writeln!(
            text,
            "{margin} {}hint{:#}: {}",
            ui::HINT,
            ui::HINT,
            visible(hint)
        )
        .ok();
    }
    text
}

/// The file of a place, as seen from where the command runs.
fn file(place: &Place, base: Option<&Path>) -> String {
    path(&place.file, base)
}

/// A file below `base`, as seen from where the command runs; without a base, its path in the
/// repository.
pub fn path(file: &RepoPath, base: Option<&Path>) -> String {
    let Some(base) = base else {
        return file.to_string();
    };
    let full = base.join(file.as_str());
    let here = Path::new(".").canonicalize().ok();
    let near = here.and_then(|here| Some(full.strip_prefix(here).ok()?.to_path_buf()));
    near.unwrap_or(full).display().to_string()
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

#[cfg(test)]
mod tests {
    use crate::model::Code;
    use crate::model::RepoPath;

    use super::*;

    fn diagnostic(line_text: &str, column: usize) -> Diagnostic {
        Diagnostic {
            place: Place {
                file: RepoPath::parse("axon.yaml").unwrap(),
                line: 12,
                column,
            },
            message: "unknown key \"promt\"".into(),
            hint: Some("did you mean \"prompt\"?".into()),
            severity: Severity::Error,
            code: Code::UnknownKey,
            width: 5,
            line_text: line_text.into(),
        }
    }

    #[track_caller]
    fn check(diagnostic: &Diagnostic, base: Option<&str>, expected: &str) {
        let styled = text(diagnostic, base.map(Path::new));
        assert_eq!(anstream::adapter::strip_str(&styled).to_string(), expected);
    }

    #[test]
    fn the_column_is_marked() {
        check(
            &diagnostic("    promt: x", 5),
            Some("examples"),
            "error[unknown-key]: unknown key \"promt\"
  --> examples/axon.yaml:12:5
   |
12 |     promt: x
   |     ^^^^^
   hint: did you mean \"prompt\"?
",
        );
    }

    #[test]
    fn a_column_beyond_what_is_shown_has_no_mark() {
        check(
            &diagnostic("x", 300),
            None,
            "error[unknown-key]: unknown key \"promt\"
  --> axon.yaml:12:300
   |
12 | x
   | 
   hint: did you mean \"prompt\"?
",
        );
    }

    #[test]
    fn counts() {
        let mut warning = diagnostic("", 1);
        warning.severity = Severity::Warning;
        let error = diagnostic("", 1);
        assert_eq!(count(std::slice::from_ref(&error)), "1 error");
        assert_eq!(
            count(&[error.clone(), warning.clone(), error]),
            "2 errors and 1 warning"
        );
        assert_eq!(count(&[warning]), "1 warning");
    }
}
