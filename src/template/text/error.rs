//! What can be wrong with a template.

use super::limits::Limit;

/// What is wrong, and where. Holds no value of the data: issue text does not reach a status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("template: {line}:{column}: {fault}")]
pub struct Error {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    pub fault: Fault,
}

impl Error {
    /// The data is wrong, not the template.
    pub(crate) fn of_data(fault: Fault) -> Self {
        Self {
            line: 1,
            column: 1,
            fault,
        }
    }
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("unclosed {0}")]
    Unclosed(&'static str),
    #[error("unexpected {found:?} in {place}")]
    Unexpected { found: String, place: &'static str },
    #[error("missing value for {0}")]
    MissingValue(&'static str),
    #[error("{text:?} cannot be given a value: only a function can")]
    NotExecutable { text: String },
    #[error("cannot read {text:?} as a {kind}")]
    Literal { text: String, kind: &'static str },
    #[error("unknown function {name:?}{}", did_you_mean("", suggestion.as_deref()))]
    UnknownFunction {
        name: String,
        suggestion: Option<String>,
    },
    #[error("{name:?} takes {takes}, got {got}")]
    Arguments {
        name: &'static str,
        takes: String,
        got: usize,
    },
    #[error("undefined variable {name:?}")]
    UndefinedVariable { name: String },
    #[error("undefined template {name:?}")]
    UndefinedTemplate { name: String },
    #[error("template {name:?} is defined twice")]
    DefinedTwice { name: String },
    #[error("unknown field \".{name}\"; known: {}{}", dotted(known), did_you_mean(".", suggestion.as_deref()))]
    UnknownField {
        name: String,
        known: Vec<String>,
        suggestion: Option<String>,
    },
    #[error("{of} has no field \".{name}\"")]
    NoFields { name: String, of: &'static str },
    #[error("cannot loop over {0}")]
    Loop(&'static str),
    /// A function was given a value that it cannot take.
    #[error("{0}")]
    Value(String),
    #[error("{0}")]
    Limit(Limit),
}

impl Fault {
    /// An unknown field, with those that are known.
    pub(super) fn unknown_field<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Self {
        /// More would not be read.
        const SHOWN: usize = 20;
        let known: Vec<String> = known.take(SHOWN).map(shown).collect();
        Self::UnknownField {
            suggestion: similar(name, known.iter().map(String::as_str)),
            name: shown(name),
            known,
        }
    }

    pub(super) fn unknown_function<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Self {
        Self::UnknownFunction {
            suggestion: similar(name, known),
            name: shown(name),
        }
    }

    pub(super) fn unexpected(found: &str, place: &'static str) -> Self {
        Self::Unexpected {
            found: shown(found),
            place,
        }
    }
}

/// A fault at a byte of the template.
#[derive(Debug)]
pub(super) struct At {
    pub(super) at: usize,
    pub(super) fault: Fault,
}

impl At {
    /// With line and column of `source`.
    pub(super) fn within(self, source: &str) -> Error {
        let mut at = self.at.min(source.len());
        while !source.is_char_boundary(at) {
            at -= 1;
        }
        let before = &source[..at];
        let line = before.rsplit('\n').next().unwrap_or_default();
        Error {
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
            fault: self.fault,
        }
    }
}

/// Puts a place to what goes wrong there.
pub(super) trait Place<T> {
    fn at(self, at: usize) -> Result<T, At>;
}

impl<T> Place<T> for Result<T, Fault> {
    fn at(self, at: usize) -> Result<T, At> {
        self.map_err(|fault| At { at, fault })
    }
}

/// `text` cut to what a message shows.
pub(super) fn shown(text: &str) -> String {
    const SHOWN: usize = 40;
    text.chars().take(SHOWN).collect()
}

fn dotted(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!(".{name}")).collect();
    names.join(", ")
}

fn did_you_mean(prefix: &str, name: Option<&str>) -> String {
    name.map_or_else(String::new, |name| {
        format!("; did you mean \"{prefix}{name}\"?")
    })
}

fn similar<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    /// A letter or two wrong.
    const ALIKE: f64 = 0.8;
    let name = shown(name).to_lowercase();
    known
        .map(|it| (it, strsim::jaro_winkler(&it.to_lowercase(), &name)))
        .filter(|(_, alike)| *alike >= ALIKE)
        .max_by(|(_, a), (_, b)| a.total_cmp(b))
        .map(|(it, _)| it.to_owned())
}
