//! `axon validate`.

use std::path::Path;
use std::path::PathBuf;

use clap::Args;

use crate::cli::diagnostics;
use crate::cli::exit::Exit;
use crate::cli::ui;
use crate::cli::ui::Failure;
use crate::model::Diagnostic;
use crate::model::Kind;
use crate::model::RepoPath;
use crate::model::Snapshot;
use crate::model::object::DesiredSet;
use crate::repo::Access;
use crate::repo::Location;
use crate::repo::Reference;
use crate::repo::Repository;
use crate::sync::load::includes;
use crate::sync::load::load;

/// Name of the configuration file in a directory.
const FILE: &str = "axon.yaml";
/// Stands for a directory's repository where that has no address: `axon dev` works on it all the
/// same. Nothing is ever made of it.
const NO_ADDRESS: &str = "file:///here";

#[derive(Debug, Args)]
pub struct Options {
    /// Directory with an axon.yaml, or that file
    #[arg(default_value = ".")]
    path: PathBuf,
}

pub async fn run(options: &Options) -> Result<Exit, Failure> {
    let mut source = Source::read(&options.path).await?;
    let url = &mut source.snapshot.source.url;
    url.get_or_insert_with(|| NO_ADDRESS.to_owned());
    let loaded = load(&source.snapshot).map_err(|told| source.refused(&told))?;
    diagnostics::print(&loaded.warnings, Some(&source.base));
    let warnings = match diagnostics::count(&loaded.warnings) {
        none if none.is_empty() => none,
        some => format!(" ({some})"),
    };
    ui::out(format_args!(
        "\"{}\" is valid{warnings}: {}\n",
        source.name(),
        objects(&loaded.set)
    ));
    Ok(Exit::Ok)
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
        let (base, file) = split(path);
        let root = RepoPath::parse(&file).map_err(|error| tried(&error))?;
        let location = Location::Directory(base.clone());
        let repository =
            Repository::open(&location, Access::default()).map_err(|error| tried(&error))?;
        let tip = repository.resolve(&Reference::default()).await;
        let tip = tip.map_err(|error| tried(&error))?;
        let snapshot = repository.snapshot(&tip, &root, includes).await;
        let snapshot = snapshot.map_err(|error| tried(&error))?;
        Ok(Self { snapshot, base })
    }

    fn name(&self) -> String {
        self.base
            .join(self.snapshot.root.as_str())
            .display()
            .to_string()
    }

    /// Prints why it was refused, and says how often.
    pub(super) fn refused(&self, told: &[Diagnostic]) -> Failure {
        diagnostics::print(told, Some(&self.base));
        Failure::plain(format!(
            "\"{}\" has {}",
            self.name(),
            diagnostics::count(told)
        ))
    }
}

/// A directory, and the configuration file in it.
fn split(path: &Path) -> (PathBuf, String) {
    match path.file_name() {
        Some(name) if !path.is_dir() => {
            let base = path.parent().filter(|it| !it.as_os_str().is_empty());
            let base = base.unwrap_or(Path::new("."));
            (base.to_owned(), name.to_string_lossy().into_owned())
        }
        Some(_) | None => (path.to_owned(), FILE.to_owned()),
    }
}
