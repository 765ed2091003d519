//! From the files of a repository to declared objects, or to everything that is wrong with them.
//!
//! Pure and bounded: no file, clock or network, and no input makes it panic, hang or fill memory.
//! It gives all objects or none.
//!
//! ```text
//! bytes ─ yaml ─► trees with places ─ document ─► config: entries (those of a `fleet` expanded),
//!                                              │          filled up from `defaults` ───────────┐
//!                                              └► manifest: plain Kubernetes manifests ──────┤
//!                              Desired ◄─ object: metadata, schema, meaning of each field ◄──┘
//! ```

mod config;
mod dependencies;
mod document;
mod fleet;
mod include;
mod manifest;
mod meaning;
mod metadata;
mod node;
mod object;
mod pasted;
mod report;
mod scalar;
mod schema;
mod shape;
mod words;
mod yaml;

use crate::model::Code;
use crate::model::Diagnostic;
use crate::model::Snapshot;
use crate::model::object::DesiredSet;
use crate::template::fleet::Fleets;

use node::Mark;
use object::Objects;
use report::Report;
use report::Source;

pub use include::includes;
pub use report::suggest;

/// Largest file: no configuration written by people comes near.
pub const MAX_FILE: usize = 1 << 20;
/// Largest sum of all files.
pub const MAX_TOTAL: usize = 8 << 20;
/// Most objects: what one plan can still list and show.
pub const MAX_OBJECTS: usize = 5_000;
/// What all objects may need in memory, filled up from `defaults`.
const MAX_OBJECTS_WEIGHT: usize = 64 << 20;

/// A configuration without errors.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub set: DesiredSet,
    pub warnings: Vec<Diagnostic>,
}

/// Loads a configuration. `Err` holds all problems, warnings too, in the order of files and lines.
pub fn load(snapshot: &Snapshot) -> Result<Loaded, Vec<Diagnostic>> {
    let files: Vec<_> = snapshot
        .files
        .iter()
        .map(|file| readable(&file.bytes))
        .collect();
    let sources = snapshot.files.iter().zip(&files);
    let sources = sources.map(|(file, (text, _))| Source::new(&file.path, text));
    let mut report = Report::new(sources.collect());
    let mut fleets = Fleets::default();
    let mut objects = Objects::new(snapshot.source.url.as_deref());
    if too_large(snapshot, &mut report) {
        return Err(report.into_diagnostics());
    }
    for (file, (_, problem)) in files.iter().enumerate() {
        if let Some((code, line, column, problem)) = problem {
            let mark = Mark {
                file,
                line: *line,
                column: *column,
                width: 0,
            };
            report.error(*code, mark, problem);
            continue;
        }
        let documents = yaml::documents(file, &mut report);
        if file == 0 {
            include::check(&documents, &snapshot.unmatched, &mut report);
        }
        for document in &documents {
            pasted::check(document, &mut report);
        }
        document::declare(documents, file == 0, &mut fleets, &mut objects, &mut report);
    }
    let set = objects.into_set(&mut report);
    if report.has_errors() {
        return Err(report.into_diagnostics());
    }
    let warnings = report.into_diagnostics();
    Ok(Loaded { set, warnings })
}

/// A file's text, as far as it is text; and where and why it cannot be read.
fn readable(bytes: &[u8]) -> (&str, Option<(Code, usize, usize, String)>) {
    if bytes.len() > MAX_FILE {
        let message = format!("the file has more than {} MiB", MAX_FILE >> 20);
        return ("", Some((Code::TooLarge, 1, 1, message)));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.strip_prefix('\u{feff}').unwrap_or(text), None),
        Err(error) => {
            let good = &bytes[..error.valid_up_to()];
            let text = std::str::from_utf8(good).unwrap_or_default();
            let last_line = text.rsplit('\n').next().unwrap_or_default();
            let line = text.matches('\n').count() + 1;
            let column = last_line.chars().count() + 1;
            let message = "the file is not UTF-8 text".to_owned();
            (text, Some((Code::NotText, line, column, message)))
        }
    }
}

fn too_large(snapshot: &Snapshot, report: &mut Report<'_>) -> bool {
    let total: usize = snapshot.files.iter().map(|file| file.bytes.len()).sum();
    let exceeds = total > MAX_TOTAL;
    if exceeds {
        let first = Mark {
            file: 0,
            line: 1,
            column: 1,
            width: 0,
        };
        let message = format!("the files have more than {} MiB in all", MAX_TOTAL >> 20);
        report.error(Code::TooLarge, first, message);
    }
    exceeds
}

#[cfg(test)]
mod tests;
