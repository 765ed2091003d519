//! `axon status`: what runs, and first what is wrong.

mod text;

use clap::Args;

use crate::cli::args::Global;
use crate::cli::commands::plan::with_hint;
use crate::cli::exit::Exit;
use crate::cli::inspect::Kind;
use crate::cli::inspect::Reader;
use crate::cli::inspect::Seen;
use crate::cli::inspect::age;
use crate::cli::output::Audience;
use crate::cli::output::Output;
use crate::cli::screen;
use crate::cli::ui;
use crate::cli::ui::Failure;
use crate::cluster;

/// What is read, in the order of output.
const KINDS: [(Kind, &str); 4] = [
    (Kind::RepoSync, ""),
    (Kind::Workspace, ""),
    (Kind::TaskSpawner, ""),
    (Kind::Task, ""),
];

/// Show what runs, and first what is wrong
#[derive(Debug, Args)]
pub struct Options {
    /// Look at all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    #[command(flatten)]
    output: Output,
}

pub(super) async fn run(global: &Global, options: &Options) -> Result<Exit, Failure> {
    let (reader, namespace) = if options.all_namespaces {
        (Reader::everywhere(global).await?, None)
    } else {
        let (reader, namespace) = Reader::connect(global).await?;
        (reader, Some(namespace))
    };
    let place = namespace.as_ref().map_or_else(
        || "all namespaces".to_owned(),
        |it| format!("namespace \"{it}\""),
    );
    let seen = reader.read(&KINDS).await;
    let seen = seen.map_err(|error| cannot_read(&place, &error))?;
    match options.output.audience() {
        Audience::Programs(machine) => {
            ui::out(machine.objects(KINDS.iter().flat_map(|(kind, _)| seen.of(*kind))));
        }
        Audience::People { wide } => {
            let view = text::View {
                everywhere: options.all_namespaces,
                wide,
                width: screen::width().filter(|_| !wide),
                now: age::now(),
            };
            let text = view.text(&seen);
            if text.is_empty() && seen.unread.is_empty() {
                ui::note(format_args!("Nothing of Axon's is in {place}."));
                ui::hint(
                    "follow a repository: axon create sync NAME --repo URL; or apply a directory: axon apply",
                );
            }
            ui::out(text);
        }
    }
    Ok(told_unread(&seen))
}

/// Says what could not be read. "Could not tell" is no success.
pub(super) fn told_unread(seen: &Seen) -> Exit {
    for (kind, error) in &seen.unread {
        let what = kind.plural();
        ui::warning(format_args!(
            "cannot read {what}: {}",
            screen::line(&error.to_string())
        ));
    }
    if seen.unread.is_empty() {
        Exit::Ok
    } else {
        Exit::Error
    }
}

/// Nothing can be read at all.
pub(super) fn cannot_read(place: &str, error: &cluster::Error) -> Failure {
    with_hint(
        Failure::new(format!("cannot look at {place}"), error),
        error,
    )
}
