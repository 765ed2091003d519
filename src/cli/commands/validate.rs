//! `axon validate`.

use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use clap::ValueEnum;

use crate::cli::diagnostics;
use crate::cli::exit::Exit;
use crate::cli::source::Found;
use crate::cli::ui;
use crate::cli::ui::Failure;
use crate::model::Code;
use crate::model::Diagnostic;
use crate::model::Kind;
use crate::model::RepoPath;
use crate::model::Snapshot;
use crate::model::object::DesiredSet;
use crate::model::problem::Place;
use crate::model::problem::Severity;
use crate::repo::Access;
use crate::repo::Reference;
use crate::repo::Repository;
use crate::sync::load::includes;
use crate::sync::load::load;

/// Stands for a directory's repository where that has no address: `axon dev` works on it all the
/// same. Nothing is ever made of it.
const NO_ADDRESS: &str = "file:///here";

#[derive(Debug, Args)]
pub struct Options {
    /// Directory with an axon.yaml, or that file
    #[arg(default_value = ".")]
    path: PathBuf,
    /// How to print what was found
    #[arg(short, long, value_enum, default_value = "text", value_name = "FORMAT")]
    output: Format,
}

/// For whom the answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// People: each problem with its line
    Text,
    /// Programs: one document with stable codes
    Json,
    /// Code scanners and editors: SARIF 2.1.0
    Sarif,
    /// GitHub Actions: commands that put problems on the lines of a pull request
    Github,
}

pub async fn run(options: &Options) -> Result<Exit, Failure> {
    let mut source = match Source::read(&options.path).await {
        Ok(source) => source,
        Err(failure) => return unreadable(options, failure),
    };
    let url = &mut source.snapshot.source.url;
    url.get_or_insert_with(|| NO_ADDRESS.to_owned());
    let (set, told) = match load(&source.snapshot) {
        Ok(loaded) => (Some(loaded.set), loaded.warnings),
        Err(told) => (None, told),
    };
    let base = Some(source.base.as_path());
    match options.output {
        Format::Text => diagnostics::print(&told, base),
        Format::Github => ui::out(diagnostics::github::text(&told, base)),
        Format::Json | Format::Sarif => {
            print(options.output, &source.name(), set.as_ref(), &told, base);
            return Ok(if set.is_some() { Exit::Ok } else { Exit::Error });
        }
    }
    let Some(set) = set else {
        return Err(source.has(&told));
    };
    let warnings = match diagnostics::count(&told) {
        none if none.is_empty() => none,
        some => format!(" ({some})"),
    };
    let name = source.name();
    ui::out(format_args!(
        "\"{name}\" is valid{warnings}: {}\n",
        objects(&set)
    ));
    Ok(Exit::Ok)
}

fn print(
    format: Format,
    name: &str,
    set: Option<&DesiredSet>,
    told: &[Diagnostic],
    base: Option<&Path>,
) {
    let document = match format {
        Format::Sarif => diagnostics::sarif::document(told, base),
        Format::Text | Format::Json | Format::Github => {
            diagnostics::json::document(name, set, told, base)
        }
    };
    ui::out(format_args!("{document:#}\n"));
}

/// Tells, in the format that was asked for, that the files cannot be read at all.
fn unreadable(options: &Options, failure: Failure) -> Result<Exit, Failure> {
    let (base, file) = match Found::at(&options.path, None) {
        Ok(found) => (Some(found.top), found.root),
        Err(_) => (None, options.path.display().to_string()),
    };
    let Ok(file) = RepoPath::parse(&file) else {
        return Err(failure);
    };
    let place = Place {
        file,
        line: 1,
        column: 1,
    };
    let causes = failure.causes.iter().map(|cause| format!(": {cause}"));
    let told = [Diagnostic {
        place,
        message: format!("{}{}", failure.what, causes.collect::<String>()),
        hint: failure.hint.clone(),
        severity: Severity::Error,
        code: Code::Unreadable,
        width: 0,
        line_text: String::new(),
    }];
    match options.output {
        Format::Text => {}
        Format::Github => ui::out(diagnostics::github::text(&told, base.as_deref())),
        Format::Json | Format::Sarif => {
            let name = options.path.display().to_string();
            print(options.output, &name, None, &told, base.as_deref());
            return Ok(Exit::Error);
        }
    }
    Err(failure)
}

/// `1 Workspace, 2 Tasks`.
fn objects(set: &DesiredSet) -> String {
    let count = |kind| set.objects.iter().filter(|it| it.key.kind == kind).count();
    let counts = Kind::ALL.map(|kind| (count(kind), kind));
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let words: Vec<_> = counts
        .map(|(count, kind)| format!("{count} {kind}{}", if count == 1 { "" } else { "s" }))
        .collect();
    if words.is_empty() {
        return "it declares nothing".to_owned();
    }
    words.join(", ")
}

/// A configuration on this machine.
pub(super) struct Source {
    pub(super) snapshot: Snapshot,
    /// The directory that paths in it begin at.
    pub(super) base: PathBuf,
}

impl Source {
    pub(super) async fn read(path: &Path) -> Result<Self, Failure> {
        let tried = |error: &dyn std::error::Error| {
            Failure::new(format!("cannot read \"{}\"", path.display()), error)
        };
        let found = Found::at(path, None)?;
        let root = RepoPath::parse(&found.root).map_err(|error| tried(&error))?;
        let repository = Repository::open(&found.location(), Access::default())
            .map_err(|error| tried(&error))?;
        let tip = repository.resolve(&Reference::default()).await;
        let tip = tip.map_err(|error| tried(&error))?;
        let snapshot = repository.snapshot(&tip, &root, includes).await;
        let snapshot = snapshot.map_err(|error| tried(&error))?;
        Ok(Self {
            snapshot,
            base: found.top,
        })
    }

    /// Where the root file is, as seen from here.
    pub(super) fn name(&self) -> String {
        diagnostics::path(&self.snapshot.root, Some(&self.base))
    }

    /// Prints why it was refused, and says how often.
    pub(super) fn refused(&self, told: &[Diagnostic]) -> Failure {
        diagnostics::print(told, Some(&self.base));
        self.has(told)
    }

    fn has(&self, told: &[Diagnostic]) -> Failure {
        Failure::plain(format!(
            "\"{}\" has {}",
            self.name(),
            diagnostics::count(told)
        ))
    }
}
